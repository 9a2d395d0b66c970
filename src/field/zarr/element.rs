//! The numeric types that an array may have, and their conversion.

use serde_json::Value;

/// Type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
}

impl Element {
    /// From `data_type` of Zarr v3 (`float32`); `None` for what is no number.
    pub(super) fn from_v3(data_type: &Value) -> Option<Self> {
        Some(match data_type.as_str()? {
            "int8" => Self::I8,
            "int16" => Self::I16,
            "int32" => Self::I32,
            "int64" => Self::I64,
            "uint8" => Self::U8,
            "uint16" => Self::U16,
            "uint32" => Self::U32,
            "uint64" => Self::U64,
            "float32" => Self::F32,
            "float64" => Self::F64,
            _ => return None,
        })
    }

    /// From `dtype` of Zarr v2 (`<f4`, `>i2`, `|u1`); `None` for what is no
    /// number.
    pub(super) fn from_v2(dtype: &Value) -> Option<Self> {
        Some(match dtype.as_str()?.strip_prefix(['<', '>', '|'])? {
            "i1" => Self::I8,
            "i2" => Self::I16,
            "i4" => Self::I32,
            "i8" => Self::I64,
            "u1" => Self::U8,
            "u2" => Self::U16,
            "u4" => Self::U32,
            "u8" => Self::U64,
            "f4" => Self::F32,
            "f8" => Self::F64,
            _ => return None,
        })
    }

    /// In bytes.
    pub(super) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Converts elements in native byte order; `bytes` is as long as `out`.
    pub(super) fn convert<T: Sample>(self, bytes: &[u8], out: &mut [T]) {
        macro_rules! each {
            ($type:ty, $from:expr) => {
                for (o, b) in out.iter_mut().zip(bytes.as_chunks::<{ size_of::<$type>() }>().0) {
                    *o = $from(<$type>::from_ne_bytes(*b));
                }
            };
        }
        match self {
            Self::I8 => each!(i8, |v| T::from_f64(f64::from(v))),
            Self::I16 => each!(i16, |v| T::from_f64(f64::from(v))),
            Self::I32 => each!(i32, |v| T::from_f64(f64::from(v))),
            Self::I64 => each!(i64, |v| T::from_f64(v as f64)),
            Self::U8 => each!(u8, |v| T::from_f64(f64::from(v))),
            Self::U16 => each!(u16, |v| T::from_f64(f64::from(v))),
            Self::U32 => each!(u32, |v| T::from_f64(f64::from(v))),
            Self::U64 => each!(u64, |v| T::from_f64(v as f64)),
            Self::F32 => each!(f32, T::from_f32),
            Self::F64 => each!(f64, T::from_f64),
        }
    }
}

/// What values are read as.
pub(super) trait Sample: Copy {
    const MISSING: Self;
    fn from_f32(value: f32) -> Self;
    fn from_f64(value: f64) -> Self;
}

impl Sample for f32 {
    const MISSING: Self = f32::NAN;
    fn from_f32(value: f32) -> Self {
        value
    }
    #[expect(clippy::cast_possible_truncation, reason = "the precision that was asked for")]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Sample for f64 {
    const MISSING: Self = f64::NAN;
    fn from_f32(value: f32) -> Self {
        f64::from(value)
    }
    fn from_f64(value: f64) -> Self {
        value
    }
}
