//! The bytes of a section, counted in octets from 1 as WMO's tables count.

use super::Fault;

/// One section of a message, its header included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Octets<'a> {
    number: u8,
    bytes: &'a [u8],
}

/// A scale factor and a scaled value: `value` × 10^−`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Scaled {
    pub scale: i8,
    pub value: i64,
}

impl<'a> Octets<'a> {
    /// Section `number`, whose first byte is octet 1.
    pub fn new(number: u8, bytes: &'a [u8]) -> Self {
        Self { number, bytes }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Everything from `octet` to the end; empty past the end.
    pub fn from(&self, octet: usize) -> &'a [u8] {
        self.bytes.get(octet - 1..).unwrap_or(&[])
    }

    fn array<const N: usize>(&self, octet: usize) -> Result<[u8; N], Fault> {
        self.from(octet).first_chunk().copied().ok_or_else(|| {
            Fault::Corrupt(format!(
                "section {} is {} bytes long, expected at least {}",
                self.number,
                self.len(),
                octet - 1 + N
            ))
        })
    }

    pub fn u8(&self, octet: usize) -> Result<u8, Fault> {
        self.array::<1>(octet).map(|[b]| b)
    }

    pub fn u16(&self, octet: usize) -> Result<u16, Fault> {
        self.array(octet).map(u16::from_be_bytes)
    }

    pub fn u32(&self, octet: usize) -> Result<u32, Fault> {
        self.array(octet).map(u32::from_be_bytes)
    }

    /// GRIB's signed integers: the first bit is the sign, the rest magnitude.
    pub fn i16(&self, octet: usize) -> Result<i16, Fault> {
        let raw = self.u16(octet)?;
        let magnitude = (raw & 0x7fff).cast_signed();
        Ok(if raw >> 15 == 1 { -magnitude } else { magnitude })
    }

    /// As [`Octets::i16`], in four octets.
    pub fn i32(&self, octet: usize) -> Result<i32, Fault> {
        let raw = self.u32(octet)?;
        let magnitude = (raw & 0x7fff_ffff).cast_signed();
        Ok(if raw >> 31 == 1 { -magnitude } else { magnitude })
    }

    pub fn f32(&self, octet: usize) -> Result<f32, Fault> {
        self.array(octet).map(f32::from_be_bytes)
    }

    /// A scale factor at `octet` and the four octets of its value behind it;
    /// `None` where the value is missing (all bits set).
    pub fn scaled(&self, octet: usize) -> Result<Option<Scaled>, Fault> {
        let (scale, value) = (self.u8(octet)?, self.u32(octet + 1)?);
        if value == u32::MAX {
            return Ok(None);
        }
        let magnitude = (scale & 0x7f).cast_signed();
        let scale = match scale {
            0xff => 0,
            _ if scale >> 7 == 1 => -magnitude,
            _ => magnitude,
        };
        Ok(Some(Scaled { scale, value: i64::from(self.i32(octet + 1)?) }))
    }
}

impl Scaled {
    /// The value times ten to the power `shift`: 6 gives micrometres of metres.
    #[expect(clippy::cast_precision_loss, reason = "at most 31 bits")]
    pub fn shifted(self, shift: i32) -> f64 {
        // Dividing by an exact power of ten rounds once; 10⁻² itself is not exact.
        match i32::from(self.scale) - shift {
            down @ 0.. => self.value as f64 / 10f64.powi(down),
            up => self.value as f64 * 10f64.powi(-up),
        }
    }

    pub fn value(self) -> f64 {
        self.shifted(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_the_first_bit_and_octets_count_from_one() {
        let octets = Octets::new(4, &[0x80, 0x01, 0x00, 0x02, 0xff]);
        assert_eq!(octets.i16(1).ok(), Some(-1));
        assert_eq!(octets.i16(3).ok(), Some(2));
        assert_eq!(octets.i32(1).ok(), Some(-0x0001_0002));
        assert_eq!(octets.u8(5).ok(), Some(255));
        let Err(Fault::Corrupt(what)) = octets.u16(5) else { panic!("two octets from one") };
        assert_eq!(what, "section 4 is 5 bytes long, expected at least 6");
    }

    #[test]
    fn scaled_values_are_exact_decimals() {
        let of = |bytes: [u8; 6]| Octets::new(4, &bytes).scaled(1).ok().flatten().map(Scaled::value);
        assert_eq!(of([2, 0, 0, 0, 1, 0]), Some(0.01));
        assert_eq!(of([0x82, 0, 0, 0x03, 0xe8, 0]), Some(100_000.0));
        assert_eq!(of([1, 0x80, 0, 0, 3, 0]), Some(-0.3));
        assert_eq!(of([0xff, 0, 0, 0, 7, 0]), Some(7.0));
        assert_eq!(of([0xff, 0xff, 0xff, 0xff, 0xff, 0]), None);
    }
}
