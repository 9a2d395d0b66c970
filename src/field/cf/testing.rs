//! A store in memory, for tests.

use std::{
    ops::Range,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{ArrayStore, Attribute, FieldError, RawArray, Values, unpack::each_type};

/// Arrays with their values.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    pub arrays: Vec<RawArray>,
    pub values: Vec<Values>,
    /// How many boxes were read.
    pub reads: AtomicUsize,
}

/// An attribute as tests write it.
pub(crate) fn text(value: &str) -> Attribute {
    Attribute::Text(value.to_owned())
}

/// An attribute as tests write it.
pub(crate) fn number(value: f64) -> Attribute {
    Attribute::Numbers(vec![value])
}

impl MemoryStore {
    /// With one array more.
    pub fn array(
        mut self,
        name: &str,
        dims: &[(&str, usize)],
        values: Values,
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let shape: Vec<usize> = dims.iter().map(|(_, n)| *n).collect();
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        self.arrays.push(RawArray {
            name: name.to_owned(),
            dims: dims.iter().map(|(dim, _)| (*dim).to_owned()).collect(),
            shape,
            attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            numeric: true,
            chunk_shape: None,
        });
        self.values.push(values);
        self
    }

    /// With a one-dimensional coordinate more.
    pub fn axis(self, name: &str, values: &[f64], units: &str) -> Self {
        let units = [("units", text(units))];
        let units = if units[0].1 == text("") { &[][..] } else { &units };
        self.array(name, &[(name, values.len())], Values::F64(values.to_vec()), units)
    }

    /// With latitudes 50, 49, … and longitudes 10, 12, …
    pub fn horizontal(self, latitudes: usize, longitudes: usize) -> Self {
        let latitudes: Vec<f64> = (0..latitudes).map(|i| 50.0 - i as f64).collect();
        let longitudes: Vec<f64> = (0..longitudes).map(|i| 10.0 + 2.0 * i as f64).collect();
        self.axis("latitude", &latitudes, "degrees_north").axis("longitude", &longitudes, "degrees_east")
    }
}

impl ArrayStore for MemoryStore {
    fn path(&self) -> &Path {
        Path::new("memory.nc")
    }

    fn format(&self) -> String {
        "memory".to_owned()
    }

    fn arrays(&self) -> &[RawArray] {
        &self.arrays
    }

    fn read_box(&self, array: usize, ranges: &[Range<usize>]) -> Result<Values, FieldError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let shape = &self.arrays[array].shape;
        assert_eq!(ranges.len(), shape.len());
        let mut offsets = vec![0];
        for (range, n) in ranges.iter().zip(shape) {
            assert!(range.end <= *n);
            offsets = offsets.iter().flat_map(|o| range.clone().map(move |i| o * n + i)).collect();
        }
        macro_rules! pick {
            ($($kind:ident),*) => {
                match &self.values[array] {
                    $(Values::$kind(v) => Values::$kind(offsets.iter().map(|&o| v[o]).collect()),)*
                }
            };
        }
        let picked = pick!(I8, U8, I16, U16, I32, U32, I64, U64, F32, F64);
        each_type!(&picked, v => assert_eq!(v.len(), offsets.len()));
        Ok(picked)
    }
}
