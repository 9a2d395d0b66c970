//! The arrays of a store by name, and their coordinates' values, read once.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
};

use super::{
    ArrayStore, RawArray,
    axes::{self, Axis},
    fault::Fault,
    time::Since,
    unpack::Unpacking,
};
use crate::{field::FieldError, time::UnixTime};

/// Longest coordinate that is read: far beyond any grid, and small in memory.
const MAX_COORDINATE: usize = 1 << 22;

/// Attributes that name arrays which only serve others.
const REFERENCES: &[&str] = &["bounds", "coordinates", "grid_mapping", "ancillary_variables", "climatology"];

/// What a store holds, while it is being interpreted.
pub(super) struct Catalogue<'a> {
    pub store: &'a dyn ArrayStore,
    axes: Vec<Option<Axis>>,
    by_name: HashMap<&'a str, usize>,
    serving: HashSet<usize>,
    values: RefCell<HashMap<usize, Rc<[f64]>>>,
}

impl<'a> Catalogue<'a> {
    pub fn new(store: &'a dyn ArrayStore) -> Self {
        let arrays = store.arrays();
        let by_name: HashMap<&str, usize> = arrays.iter().enumerate().map(|(i, a)| (a.name.as_str(), i)).collect();
        let serving = arrays
            .iter()
            .flat_map(|array| REFERENCES.iter().filter_map(|name| array.text(name)))
            .flat_map(str::split_whitespace)
            .filter_map(|name| by_name.get(name.trim_end_matches(':')).copied())
            .collect();
        Self { store, axes: arrays.iter().map(axes::classify).collect(), by_name, serving, values: RefCell::default() }
    }

    pub fn array(&self, index: usize) -> &'a RawArray {
        &self.store.arrays()[index]
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub fn axis(&self, index: usize) -> Option<Axis> {
        self.axes[index]
    }

    /// Arrays of this kind whose dimensions are all among `dims`.
    pub fn along<'s>(&'s self, axis: Axis, dims: &'s [String]) -> impl Iterator<Item = usize> + 's {
        (0..self.axes.len())
            .filter(move |&i| self.axes[i] == Some(axis) && self.array(i).dims.iter().all(|dim| dims.contains(dim)))
    }

    /// Whether the array is a coordinate or serves another array.
    pub fn is_serving(&self, index: usize) -> bool {
        let name = &self.array(index).name;
        self.axes[index].is_some()
            || self.serving.contains(&index)
            || name.ends_with("_bnds")
            || name.ends_with("_bounds")
    }

    /// What the dimension `dim` is along, with the array of its coordinate:
    /// the one of its name, else another that has this dimension alone.
    pub fn dimension(&self, dim: &str) -> Option<(Axis, Option<usize>)> {
        let alone = |i: &usize| self.array(*i).dims.len() == 1 && self.array(*i).dims[0] == dim;
        let own = self.find(dim).filter(alone).and_then(|i| Some((self.axes[i]?, Some(i))));
        own.or_else(|| {
            (0..self.axes.len()).filter(alone).find_map(|i| {
                let axis = self.axes[i]?;
                // Several coordinates of one dimension: a forecast's valid time
                // beside its period is the time.
                (axis != Axis::Projected).then_some((axis, Some(i)))
            })
        })
        .or_else(|| axes::classify_name(dim).map(|axis| (axis, None)))
    }

    /// The unpacked values of a coordinate, in C order.
    ///
    /// # Errors
    /// Where it cannot be read, is implausibly long or has a missing value.
    pub fn values(&self, index: usize) -> Result<Rc<[f64]>, FieldError> {
        if let Some(values) = self.values.borrow().get(&index) {
            return Ok(Rc::clone(values));
        }
        let array = self.array(index);
        if array.len() > MAX_COORDINATE {
            return Err(self.corrupt(index, format!("{} values; at most {MAX_COORDINATE} were expected", array.len())));
        }
        let ranges: Vec<_> = array.shape.iter().map(|&n| 0..n).collect();
        let values: Rc<[f64]> = Unpacking::of(array).apply_wide(self.store.read_box(index, &ranges)?).into();
        if values.len() != array.len() {
            return Err(self.corrupt(index, format!("{} values; {} were declared", values.len(), array.len())));
        }
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            return Err(self.corrupt(index, format!("value {bad} is missing or not a number")));
        }
        self.values.borrow_mut().insert(index, Rc::clone(&values));
        Ok(values)
    }

    /// As [`Self::values`], of a one-dimensional axis that must rise or fall throughout.
    pub fn monotonic(&self, index: usize) -> Result<Rc<[f64]>, FieldError> {
        let values = self.values(index)?;
        self.check_monotonic(index, &values)?;
        Ok(values)
    }

    pub fn check_monotonic(&self, index: usize, values: &[f64]) -> Result<(), FieldError> {
        let rising = values.len() < 2 || values[1] > values[0];
        let wrong = values.windows(2).position(|w| if rising { w[1] <= w[0] } else { w[1] >= w[0] });
        match wrong {
            None => Ok(()),
            Some(i) => {
                let (a, b) = (values[i], values[i + 1]);
                let fault = if a.to_bits() == b.to_bits() { "repeats" } else { "turns back" };
                let written = |v: f64| match self.axis(index) {
                    Some(Axis::Time | Axis::Reference) => UnixTime(v).to_string(),
                    _ => v.to_string(),
                };
                Err(self
                    .corrupt(index, format!("the axis {fault} at number {}: {}, {}", i + 1, written(a), written(b))))
            }
        }
    }

    /// Seconds since 1970 of an array of times.
    pub fn times(&self, index: usize) -> Result<Vec<f64>, Fault> {
        let array = self.array(index);
        let since = Since::parse(array.text("units").unwrap_or(""), array.text("calendar"))
            .map_err(|f| Fault::refuse(format!("`{}`: {}", array.name, f.what), f.remedy))?;
        Ok(self.values(index)?.iter().map(|&v| since.unix_s(v)).collect())
    }

    /// [`FieldError::Corrupt`] that names the array.
    pub fn corrupt(&self, index: usize, what: impl std::fmt::Display) -> FieldError {
        FieldError::corrupt(self.store.path(), format!("{}: {what}", self.array(index).name))
    }
}
