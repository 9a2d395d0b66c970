//! What a compressed data section says of its own size, checked before a
//! decoder believes it: a few bytes can declare gigabytes.

use super::{Fault, decode::Bits, octets::Octets};

/// Deflate does not compress better than this.
const DEFLATE_RATIO: usize = 1032;

/// Checks that `payload` can hold `n` values as section 5 (`representation`)
/// says, and rewrites section 5 for decoding to integers: reference and scales
/// 0, and what files get wrong put right.
pub(super) fn prepare(representation: &mut [u8], payload: &[u8], n: usize) -> Result<(), Fault> {
    let template = Octets::new(5, representation).u16(10)?;
    let bits = match template {
        2 => groups(Octets::new(5, representation), payload, n, 0)?,
        3 => {
            let section = Octets::new(5, representation);
            let extra = (usize::from(section.u8(48)?) + 1) * usize::from(section.u8(49)?);
            groups(section, payload, n, extra)?
        }
        40 => jpeg2000(Octets::new(5, representation), payload, n)?,
        41 => png(payload, n)?,
        _ => ccsds(representation, payload, n)?,
    };
    let Some(scales) = representation.get_mut(11..21) else {
        return Err(Fault::Corrupt("section 5 is shorter than its template".into()));
    };
    scales[..8].fill(0);
    scales[8] = bits;
    // Integers are packed as floating-point numbers are (code table 5.1).
    scales[9] = 0;
    Ok(())
}

/// Complex packing: the groups' lengths must add up to the number of values.
fn groups(section: Octets<'_>, payload: &[u8], n: usize, extra: usize) -> Result<u8, Fault> {
    let bits = section.u8(20)?;
    let count = section.u32(32)? as usize;
    let (width_bits, length_bits) = (section.u8(37)?, section.u8(47)?);
    if count > n || bits > 31 || width_bits > 32 || length_bits > 32 {
        return Err(Fault::Corrupt(format!(
            "{count} groups for {n} values, their references, widths and lengths of {bits}, {width_bits} and \
             {length_bits} bits"
        )));
    }
    let octets = |bits: u8| (count * usize::from(bits)).div_ceil(8);
    let start = extra + octets(bits) + octets(width_bits);
    let Some(lengths) = payload.get(start..start + octets(length_bits)) else {
        return Err(Fault::Corrupt(format!("{} bytes of data are too few for {count} groups", payload.len())));
    };
    let (reference, increment) = (u64::from(section.u32(38)?), u64::from(section.u8(42)?));
    let last = u64::from(section.u32(43)?);
    let before: u64 = Bits::new(lengths, usize::from(length_bits))
        .take(count.saturating_sub(1))
        .map(|length| reference + increment * u64::from(length))
        .sum();
    if before.checked_add(last) != Some(n as u64) {
        return Err(Fault::Corrupt(format!(
            "{count} groups hold {} values, expected {n}",
            before.saturating_add(last)
        )));
    }
    Ok(bits)
}

/// The size marker of a JPEG 2000 code stream (ISO/IEC 15444-1, A.5.1).
fn jpeg2000(section: Octets<'_>, payload: &[u8], n: usize) -> Result<u8, Fault> {
    let size = Octets::new(7, payload);
    if !payload.starts_with(&[0xff, 0x4f, 0xff, 0x51]) {
        return Err(Fault::Corrupt("the data are not a JPEG 2000 code stream".into()));
    }
    let side = |octet: usize| Ok::<_, Fault>(u64::from(size.u32(octet)?.saturating_sub(size.u32(octet + 8)?)));
    image(side(9)?, side(13)?, n)?;
    let (across, down) = (size.u32(25)?.max(1), size.u32(29)?.max(1));
    let tiles = u64::from(size.u32(9)?.div_ceil(across)) * u64::from(size.u32(13)?.div_ceil(down));
    if tiles > 65_535 {
        return Err(Fault::Corrupt(format!("JPEG 2000 image of {tiles} tiles")));
    }
    section.u8(20)
}

/// The header chunk of a PNG image (ISO/IEC 15948, 11.2.2). The bits a value
/// are the image's: `ecCodes` rounds them up to whole bytes, but not in section 5.
fn png(payload: &[u8], n: usize) -> Result<u8, Fault> {
    let header = Octets::new(7, payload);
    if !payload.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err(Fault::Corrupt("the data are not a PNG image".into()));
    }
    let (width, height) = (header.u32(17)?, header.u32(21)?);
    image(u64::from(width), u64::from(height), n)?;
    let depth = header.u8(25)?;
    let channels = match header.u8(26)? {
        0 => 1,
        2 => 3,
        6 => 4,
        other => return Err(Fault::Corrupt(format!("PNG image of colour type {other}, expected 0, 2 or 6"))),
    };
    let bits = depth.saturating_mul(channels);
    if !matches!(bits, 1 | 2 | 4 | 8 | 16 | 24 | 32) || !(width as usize * usize::from(bits)).is_multiple_of(8) {
        return Err(Fault::Unsupported {
            what: format!("PNG image {width} wide with {bits} bits a value"),
            remedy: "repack the file (`grib_set -r -s packingType=grid_ccsds in out`)".into(),
        });
    }
    enough(payload, n.saturating_mul(usize::from(bits)) / 8 / DEFLATE_RATIO, n)?;
    Ok(bits)
}

fn image(width: u64, height: u64, n: usize) -> Result<(), Fault> {
    if width.checked_mul(height) == Some(n as u64) {
        return Ok(());
    }
    Err(Fault::Corrupt(format!("image of {width} x {height} points, expected {n}")))
}

/// CCSDS 121.0-B: the shortest code, a run of zero blocks, covers 64 blocks.
fn ccsds(representation: &mut [u8], payload: &[u8], n: usize) -> Result<u8, Fault> {
    const SIGNED: u8 = 1;
    const THREE_BYTES: u8 = 2;
    const BIG_ENDIAN: u8 = 4;
    let section = Octets::new(5, representation);
    let (bits, flags, block) = (section.u8(20)?, section.u8(22)?, section.u8(23)?);
    if bits > 32 || block == 0 || flags & SIGNED != 0 {
        return Err(Fault::Corrupt(format!("CCSDS data of {bits} bits, flags {flags}, blocks of {block}")));
    }
    enough(payload, n / (8 * 64 * usize::from(block)), n)?;
    // How samples lie in memory, not in the file: as the decoder expects.
    representation[21] = flags | THREE_BYTES | BIG_ENDIAN;
    Ok(bits)
}

fn enough(payload: &[u8], least: usize, n: usize) -> Result<(), Fault> {
    if payload.len() >= least {
        return Ok(());
    }
    Err(Fault::Corrupt(format!("{} bytes of data cannot hold {n} values", payload.len())))
}
