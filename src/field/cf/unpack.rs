//! Stored numbers and what they stand for: packing, signedness, missing values.

use super::RawArray;

/// Stored values in the type that the file has.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is named after its type")]
pub enum Values {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// How stored values of one array become physical ones:
/// `stored * scale + offset`, missing where the stored value is one of
/// `missing` or outside `valid` (CF 1.11, 8.1 and 2.5.1).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unpacking {
    scale: f64,
    offset: f64,
    /// Never NaN: a stored NaN stays NaN anyway.
    missing: Vec<f64>,
    valid: Option<(f64, f64)>,
    /// What `_Unsigned` says, where it is there.
    unsigned: Option<bool>,
}

/// A type that files store.
pub(super) trait Stored: Copy + PartialOrd + Default {
    fn wide(self) -> f64;
    /// The nearest value of this type to an attribute's.
    fn narrow(value: f64) -> Self;
    /// As the result has it, where nothing is packed.
    fn plain(self) -> f32;
}

macro_rules! stored {
    ($($type:ty),*) => {$(
        #[expect(clippy::allow_attributes, reason = "which casts are lossless depends on the type")]
        #[allow(
            clippy::cast_lossless,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::unnecessary_cast,
            clippy::cast_precision_loss,
            reason = "the casts are the purpose"
        )]
        impl Stored for $type {
            fn wide(self) -> f64 {
                self as f64
            }

            fn narrow(value: f64) -> Self {
                value as Self
            }

            fn plain(self) -> f32 {
                self as f32
            }
        }
    )*};
}

stored!(i8, u8, i16, u16, i32, u32, i64, u64, f32, f64);

/// Runs `$body` with `$values` bound to the vector inside.
macro_rules! each_type {
    ($of:expr, $values:ident => $body:expr) => {
        match $of {
            $crate::field::cf::Values::I8($values) => $body,
            $crate::field::cf::Values::U8($values) => $body,
            $crate::field::cf::Values::I16($values) => $body,
            $crate::field::cf::Values::U16($values) => $body,
            $crate::field::cf::Values::I32($values) => $body,
            $crate::field::cf::Values::U32($values) => $body,
            $crate::field::cf::Values::I64($values) => $body,
            $crate::field::cf::Values::U64($values) => $body,
            $crate::field::cf::Values::F32($values) => $body,
            $crate::field::cf::Values::F64($values) => $body,
        }
    };
}
pub(super) use each_type;

impl Values {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        each_type!(self, values => values.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same bits as unsigned or signed integers; floats stay.
    fn with_sign(self, unsigned: bool) -> Self {
        match (self, unsigned) {
            (Self::I8(v), true) => Self::U8(v.into_iter().map(i8::cast_unsigned).collect()),
            (Self::I16(v), true) => Self::U16(v.into_iter().map(i16::cast_unsigned).collect()),
            (Self::I32(v), true) => Self::U32(v.into_iter().map(i32::cast_unsigned).collect()),
            (Self::I64(v), true) => Self::U64(v.into_iter().map(i64::cast_unsigned).collect()),
            (Self::U8(v), false) => Self::I8(v.into_iter().map(u8::cast_signed).collect()),
            (Self::U16(v), false) => Self::I16(v.into_iter().map(u16::cast_signed).collect()),
            (Self::U32(v), false) => Self::I32(v.into_iter().map(u32::cast_signed).collect()),
            (Self::U64(v), false) => Self::I64(v.into_iter().map(u64::cast_signed).collect()),
            (other, _) => other,
        }
    }

    /// Bits of an integer type.
    fn integer_bits(&self) -> Option<i32> {
        match self {
            Self::I8(_) | Self::U8(_) => Some(8),
            Self::I16(_) | Self::U16(_) => Some(16),
            Self::I32(_) | Self::U32(_) => Some(32),
            Self::I64(_) | Self::U64(_) => Some(64),
            Self::F32(_) | Self::F64(_) => None,
        }
    }
}

impl Unpacking {
    /// From the attributes of an array.
    pub fn of(array: &RawArray) -> Self {
        let one = |name| array.numbers(name).and_then(|v| v.first().copied()).filter(|v: &f64| v.is_finite());
        let mut missing: Vec<f64> = ["_FillValue", "missing_value"]
            .into_iter()
            .filter_map(|name| array.numbers(name))
            .flatten()
            .filter(|v| !v.is_nan())
            .collect();
        missing.dedup();
        let valid = match array.numbers("valid_range").as_deref() {
            Some(&[low, high]) => Some((low, high)),
            _ => match (one("valid_min"), one("valid_max")) {
                (None, None) => None,
                (low, high) => Some((low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY))),
            },
        };
        Self {
            // A scale of zero is a fault of the writer, and would make clean air.
            scale: one("scale_factor").filter(|&s| s != 0.0).unwrap_or(1.0),
            offset: one("add_offset").unwrap_or(0.0),
            missing,
            valid,
            unsigned: array.text("_Unsigned").map(|text| text.eq_ignore_ascii_case("true")),
        }
    }

    /// The values with the sign that `_Unsigned` asks for, and the unpacking
    /// whose missing and valid values are of that sign.
    pub fn settle_sign(&self, values: Values) -> (Values, Self) {
        let (Some(unsigned), Some(bits)) = (self.unsigned, values.integer_bits()) else {
            return (values, self.clone());
        };
        let span = 2f64.powi(bits);
        let wrap = |v: f64| match unsigned {
            true if v < 0.0 => v + span,
            false if v >= span / 2.0 => v - span,
            _ => v,
        };
        let settled = Self {
            missing: self.missing.iter().copied().map(wrap).collect(),
            valid: self.valid.map(|(low, high)| (wrap(low), wrap(high))),
            ..self.clone()
        };
        (values.with_sign(unsigned), settled)
    }

    /// Physical values of `stored` into `out`, computed in f64.
    pub fn apply<T: Stored>(&self, stored: &[T], out: &mut [f32]) {
        if self.is_plain() {
            out.iter_mut().zip(stored).for_each(|(o, v)| *o = v.plain());
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "the result is f32")]
            out.iter_mut().zip(stored).for_each(|(o, v)| *o = (v.wide() * self.scale + self.offset) as f32);
        }
        self.mask(stored, |i| out[i] = f32::NAN);
    }

    /// As [`Self::apply`], for coordinates.
    pub fn apply_wide(&self, values: Values) -> Vec<f64> {
        let (values, this) = self.settle_sign(values);
        each_type!(values, stored => {
            let mut out: Vec<f64> = stored
                .iter()
                .map(|v| if this.is_plain() { v.wide() } else { v.wide() * this.scale + this.offset })
                .collect();
            this.mask(&stored, |i| out[i] = f64::NAN);
            out
        })
    }

    fn is_plain(&self) -> bool {
        #[expect(clippy::float_cmp, reason = "exactly as the file says or by default")]
        let plain = self.scale == 1.0 && self.offset == 0.0;
        plain
    }

    /// Calls `clear` with the number of each missing value.
    fn mask<T: Stored>(&self, stored: &[T], mut clear: impl FnMut(usize)) {
        for &missing in &self.missing {
            let missing = T::narrow(missing);
            stored.iter().enumerate().filter(|&(_, &v)| v == missing).for_each(|(i, _)| clear(i));
        }
        if let Some((low, high)) = self.valid {
            let outside = |v: f64| v < low || v > high;
            stored.iter().enumerate().filter(|&(_, v)| outside(v.wide())).for_each(|(i, _)| clear(i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Attribute, RawArray},
        *,
    };

    fn array(attributes: &[(&str, Attribute)]) -> RawArray {
        RawArray {
            name: "x".to_owned(),
            dims: vec![],
            shape: vec![],
            attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            numeric: true,
            chunk_shape: None,
        }
    }

    fn number(value: f64) -> Attribute {
        Attribute::Numbers(vec![value])
    }

    fn unpack(attributes: &[(&str, Attribute)], values: Values) -> Vec<f32> {
        let (values, unpacking) = Unpacking::of(&array(attributes)).settle_sign(values);
        let mut out = vec![0.0; values.len()];
        each_type!(&values, stored => unpacking.apply(stored, &mut out));
        out
    }

    /// Compared by bits, with NaN equal to NaN.
    fn assert_same(actual: &[f32], expected: &[f32]) {
        assert_eq!(actual.len(), expected.len());
        let same = |(a, e): (&f32, &f32)| a.to_bits() == e.to_bits() || (a.is_nan() && e.is_nan());
        assert!(actual.iter().zip(expected).all(same), "{actual:?} is not {expected:?}");
    }

    #[test]
    fn packed_shorts_are_unpacked_in_f64() {
        // Python: [numpy.float32(v * s + o) for v in ...] with the t of a real file.
        let packing = [
            ("scale_factor", number(0.000_580_953_252_515_073_5)),
            ("add_offset", number(228.662_284_291_440_16)),
            ("_FillValue", number(-32767.0)),
        ];
        let out = unpack(&packing, Values::I16(vec![-32767, -32766, 0, 12345, 32767]));
        assert_same(&out, &[f32::NAN, 209.626_77, 228.662_28, 235.834_15, 247.698_38]);
    }

    #[test]
    fn floats_lose_their_fill_values_and_nothing_else() {
        let out = unpack(
            &[("_FillValue", number(-9999.9)), ("missing_value", Attribute::Numbers(vec![1e20, f64::NAN]))],
            Values::F32(vec![1.0, -9999.9, 1e20, f32::NAN, -1e-30]),
        );
        assert_same(&out, &[1.0, f32::NAN, f32::NAN, f32::NAN, -1e-30]);
    }

    #[test]
    fn valid_limits_are_of_stored_values_and_inclusive() {
        let range = Attribute::Numbers(vec![0.0, 100.0]);
        let out = unpack(&[("valid_range", range), ("scale_factor", number(0.5))], Values::I16(vec![-1, 0, 100, 101]));
        assert_same(&out, &[f32::NAN, 0.0, 50.0, f32::NAN]);
        let out = unpack(&[("valid_min", number(2.0))], Values::F64(vec![1.9, 2.0, 1e9]));
        assert_same(&out, &[f32::NAN, 2.0, 1e9]);
    }

    #[test]
    fn bytes_are_unsigned_where_the_file_says_so() {
        let unsigned = [
            ("_Unsigned", Attribute::Text("true".to_owned())),
            ("_FillValue", number(-1.0)),
            ("scale_factor", number(2.0)),
        ];
        assert_same(&unpack(&unsigned, Values::I8(vec![1, -2, -1])), &[2.0, 508.0, f32::NAN]);
        assert_same(&unpack(&unsigned[1..], Values::I8(vec![1, -2, -1])), &[2.0, -4.0, f32::NAN]);
        let signed = [("_Unsigned", Attribute::Text("false".to_owned()))];
        assert_same(&unpack(&signed, Values::U8(vec![255])), &[-1.0]);
    }

    #[test]
    fn an_integer_offset_of_zero_and_a_scale_of_zero_do_no_harm() {
        assert_same(&unpack(&[("add_offset", number(0.0))], Values::I32(vec![7])), &[7.0]);
        assert_same(&unpack(&[("scale_factor", number(0.0))], Values::I32(vec![7])), &[7.0]);
    }

    #[test]
    fn coordinates_keep_their_precision() {
        let seconds = Unpacking::of(&array(&[])).apply_wide(Values::I64(vec![1_528_653_601]));
        assert_eq!(seconds, [1_528_653_601.0]);
    }
}
