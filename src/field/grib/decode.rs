//! Sections 5 to 7: packed values to numbers.
//!
//! Simple and IEEE packing are read here; complex packing, CCSDS, JPEG 2000
//! and PNG by the crate `grib`, as integers: it gets section 5 with reference
//! 0 and scales 0. The scaling is done here in `f64`, so that a value rounds
//! once, to `f32`, however it was packed.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use grib::Grib2SubmessageDecoder;

use super::{
    Fault,
    input::{Input, Span},
    octets::Octets,
};

/// Where a field's values are.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    /// Section 5, whole.
    pub representation: Arc<[u8]>,
    pub bitmap: Bitmap,
    /// Section 7, whole.
    pub data: Span,
}

/// Which points have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bitmap {
    /// All.
    None,
    /// Those whose bit is set.
    At(Span),
    /// Those that a centre's own bit map of this number names.
    Predefined(u8),
}

/// A decoded field.
#[derive(Debug)]
pub(super) enum Values {
    /// The same everywhere: nothing was packed.
    Constant(f32),
    /// One a point, in the order of the grid's scanning mode.
    Points(Vec<f32>),
}

/// Code table 5.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Simple,
    Complex,
    Differences,
    Ieee,
    Jpeg2000,
    Png,
    Ccsds,
}

/// Value = (R + X 2^E) 10^−D (WMO-No. 306, regulation 92.9.4).
#[derive(Debug, Clone, Copy)]
struct Scale {
    reference: f64,
    binary: f64,
    decimal: f64,
}

impl Scale {
    fn parse(section: Octets<'_>) -> Result<Self, Fault> {
        Ok(Self {
            reference: f64::from(section.f32(12)?),
            binary: 2f64.powi(i32::from(section.i16(16)?)),
            decimal: 10f64.powi(-i32::from(section.i16(18)?)),
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "f32 is what fields are kept in")]
    fn apply(self, x: f64) -> f32 {
        ((self.reference + x * self.binary) * self.decimal) as f32
    }
}

impl Packed {
    fn section(&self) -> Octets<'_> {
        Octets::new(5, &self.representation)
    }

    fn packing(&self) -> Result<Packing, Fault> {
        let template = self.section().u16(10)?;
        let other = match template {
            0 => return Ok(Packing::Simple),
            2 => return Ok(Packing::Complex),
            3 => return Ok(Packing::Differences),
            4 => return Ok(Packing::Ieee),
            40 => return Ok(Packing::Jpeg2000),
            41 => return Ok(Packing::Png),
            42 => return Ok(Packing::Ccsds),
            50..=53 => "spectral data",
            61 => "packing with logarithmic pre-processing",
            200 => "run-length packing",
            _ => "packing",
        };
        Err(Fault::Unsupported {
            what: format!("{other} (template 5.{template})"),
            remedy: "repack the file (`grib_set -r -s packingType=grid_ccsds in out`)".into(),
        })
    }

    /// Whether the values can be decoded, as far as the headers say.
    pub fn check(&self) -> Result<(), Fault> {
        self.packing()?;
        if let Bitmap::Predefined(number) = self.bitmap {
            return Err(Fault::Unsupported {
                what: format!("bit map {number} that is predefined by its centre"),
                remedy: "write the bit map into the file, or write missing values as such".into(),
            });
        }
        Ok(())
    }

    /// Decodes the values of a grid of `points` points.
    pub fn decode(&self, input: &Input, points: usize) -> Result<Values, Fault> {
        let bitmap = match self.bitmap {
            Bitmap::At(span) => Some(read(input, span)?),
            _ => None,
        };
        let present = match &bitmap {
            Some(bits) => count(bits, points)?,
            None => points,
        };
        if present == 0 {
            return Ok(Values::Constant(f32::NAN));
        }
        let values = match (self.unpack(input, present)?, &bitmap) {
            (Values::Constant(value), None) => return Ok(Values::Constant(value)),
            (Values::Constant(value), Some(_)) => vec![value; present],
            (Values::Points(values), _) => values,
        };
        Ok(Values::Points(match bitmap {
            Some(bits) => spread(&bits, &values, points),
            None => values,
        }))
    }

    /// The `n` values that are packed.
    fn unpack(&self, input: &Input, n: usize) -> Result<Values, Fault> {
        let section = self.section();
        let packing = self.packing()?;
        let declared = section.u32(6)? as usize;
        if packing != Packing::Ieee {
            let scale = Scale::parse(section)?;
            let bits = section.u8(20)?;
            let has_groups = matches!(packing, Packing::Complex | Packing::Differences);
            if if has_groups { section.u32(32)? == 0 } else { bits == 0 } {
                return Ok(Values::Constant(scale.apply(0.0)));
            }
        }
        if declared != n {
            return Err(Fault::Corrupt(format!("section 5 has {declared} values, the grid and its bit map {n}")));
        }
        let data = read(input, self.data)?;
        let payload = data.get(5..).unwrap_or(&[]);
        Ok(Values::Points(match packing {
            Packing::Simple => simple(payload, n, section.u8(20)?, Scale::parse(section)?)?,
            Packing::Ieee => ieee(payload, n, section.u8(12)?)?,
            _ => {
                let mut representation = self.representation.to_vec();
                super::limits::prepare(&mut representation, payload, n)?;
                let scale = Scale::parse(section)?;
                let mut values = integers(n, representation, data.into_owned())?;
                for value in &mut values {
                    *value = scale.apply(f64::from(*value));
                }
                values
            }
        }))
    }
}

fn read(input: &Input, span: Span) -> Result<Cow<'_, [u8]>, Fault> {
    input.read(span).map_err(|e| Fault::Corrupt(format!("cannot read {} bytes at byte {}: {e}", span.len, span.at)))
}

/// Points of `points` whose bit is set.
fn count(bits: &[u8], points: usize) -> Result<usize, Fault> {
    let Some(whole) = bits.get(..points.div_ceil(8)) else {
        return Err(Fault::Corrupt(format!("bit map of {} bytes for {points} points", bits.len())));
    };
    let ones: usize = whole.iter().map(|byte| byte.count_ones() as usize).sum();
    let unused = if points.is_multiple_of(8) {
        0
    } else {
        whole.last().map_or(0, |b| (b << (points % 8)).count_ones() as usize)
    };
    Ok(ones - unused)
}

/// Puts each value where its bit is set, NaN elsewhere.
fn spread(bits: &[u8], values: &[f32], points: usize) -> Vec<f32> {
    let mut values = values.iter();
    let is_set = |point: usize| bits[point / 8] & (0x80 >> (point % 8)) != 0;
    (0..points).map(|point| if is_set(point) { values.next().copied().unwrap_or(f32::NAN) } else { f32::NAN }).collect()
}

/// Template 7.0: integers of `bits` bits, the first bit first.
fn simple(payload: &[u8], n: usize, bits: u8, scale: Scale) -> Result<Vec<f32>, Fault> {
    if bits > 32 {
        return Err(Fault::Corrupt(format!("{bits} bits a value, expected 32 at most")));
    }
    let width = usize::from(bits);
    let needed = n.checked_mul(width).map(|total| total.div_ceil(8));
    let Some(payload) = needed.and_then(|needed| payload.get(..needed)) else {
        return Err(Fault::Corrupt(format!("{} bytes of data for {n} values of {bits} bits", payload.len())));
    };
    Ok(match bits {
        8 => payload.iter().map(|&x| scale.apply(f64::from(x))).collect(),
        16 => {
            let (pairs, _) = payload.as_chunks::<2>();
            pairs.iter().map(|&x| scale.apply(f64::from(u16::from_be_bytes(x)))).collect()
        }
        24 => {
            let (triples, _) = payload.as_chunks::<3>();
            triples.iter().map(|&[a, b, c]| scale.apply(f64::from(u32::from_be_bytes([0, a, b, c])))).collect()
        }
        _ => Bits::new(payload, width).take(n).map(|x| scale.apply(f64::from(x))).collect(),
    })
}

/// Template 7.4: IEEE numbers.
#[expect(clippy::cast_possible_truncation, reason = "f32 is what fields are kept in")]
fn ieee(payload: &[u8], n: usize, precision: u8) -> Result<Vec<f32>, Fault> {
    let (fours, _) = payload.as_chunks::<4>();
    let (eights, _) = payload.as_chunks::<8>();
    let values = match precision {
        1 => fours.get(..n).map(|v| v.iter().map(|&x| f32::from_be_bytes(x)).collect()),
        2 => eights.get(..n).map(|v| v.iter().map(|&x| f64::from_be_bytes(x) as f32).collect()),
        other => return Err(Fault::Corrupt(format!("IEEE precision {other}, expected 1 (32 bits) or 2 (64 bits)"))),
    };
    values.ok_or_else(|| Fault::Corrupt(format!("{} bytes of data for {n} IEEE values", payload.len())))
}

/// The packed integers as the crate `grib` decodes them, missing as NaN. They
/// are exact below 2²⁴, more than any field's precision.
fn integers(n: usize, representation: Vec<u8>, data: Vec<u8>) -> Result<Vec<f32>, Fault> {
    const NO_BITMAP: [u8; 6] = [0, 0, 0, 6, 6, 255];
    // Decoders of foreign formats sit behind this call; should one of them
    // panic on broken input, the message is broken, not the program.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let decoder = Grib2SubmessageDecoder::new(n, representation, NO_BITMAP.to_vec(), data)?;
        Ok::<Vec<f32>, grib::GribError>(decoder.dispatch()?.collect())
    }));
    let values = match decoded {
        Ok(Ok(values)) => values,
        Ok(Err(error)) => return Err(Fault::Corrupt(format!("the data cannot be decoded: {error:?}"))),
        Err(_) => return Err(Fault::Corrupt("the data cannot be decoded".into())),
    };
    if values.len() != n {
        return Err(Fault::Corrupt(format!("the data hold {} values, expected {n}", values.len())));
    }
    Ok(values)
}

/// Integers of up to 32 bits in a row, the first bit first; zero bits past the end.
pub(super) struct Bits<'a> {
    bytes: std::slice::Iter<'a, u8>,
    width: usize,
    held: u64,
    count: usize,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8], width: usize) -> Self {
        Self { bytes: bytes.iter(), width, held: 0, count: 0 }
    }
}

impl Iterator for Bits<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.count < self.width {
            self.held = self.held << 8 | u64::from(self.bytes.next().copied().unwrap_or(0));
            self.count += 8;
        }
        self.count -= self.width;
        let mask = (1u64 << self.width) - 1;
        u32::try_from(self.held >> self.count & mask).ok()
    }
}
