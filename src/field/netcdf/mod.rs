//! `NetCDF`: the classic formats (CDF-1, 2, 5) and `NetCDF`-4, which is HDF5.
//!
//! The root group is read. A read decodes the chunks that its box touches,
//! each once, and takes no lock while it decodes.
//!
//! | concern | file |
//! |---|---|
//! | opening; arrays and attributes | `mod.rs` |
//! | boxes | `data.rs` |
//! | filters of HDF5 | `filters.rs` |

mod data;
mod filters;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use netcdf_reader::{
    BytesStorage, DynStorage, FileStorage, NcAttrValue, NcFile, NcFormat, NcOpenOptions, NcType, NcVariable,
};

use self::data::Data;
use super::{
    FieldError, FieldSource,
    cf::{self, ArrayStore, Attribute, RawArray, Values},
};

const HDF5_MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";
const MAKE_NETCDF: &str = "write it as NetCDF, for example with xarray's `to_netcdf`";

/// Whether the first bytes are of a `NetCDF` file.
#[must_use]
pub fn recognises(_path: &Path, first: &[u8]) -> bool {
    [b"CDF\x01", b"CDF\x02", b"CDF\x05"].iter().any(|magic| first.starts_with(*magic)) || first.starts_with(HDF5_MAGIC)
}

/// Opens a file.
///
/// # Errors
/// Where it cannot be read, breaks the format, or holds no field.
pub fn open(path: &Path) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    let storage = FileStorage::open(path).map_err(|error| data::fault(path, error.into()))?;
    from_storage(path, Arc::new(storage))
}

/// Opens the content of a file that messages call `name`.
///
/// # Errors
/// As [`open`].
pub fn from_bytes(name: &Path, bytes: Vec<u8>) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    from_storage(name, Arc::new(BytesStorage::from_owner(bytes)))
}

fn from_storage(path: &Path, storage: DynStorage) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    let (store, remarks) = guarded(path, || Store::open(path, storage))?;
    Ok(vec![cf::open(store, remarks)?])
}

struct Store {
    path: PathBuf,
    format: &'static str,
    arrays: Vec<RawArray>,
    types: Vec<NcType>,
    data: Data,
}

impl Store {
    /// The store, and what is worth telling about the file.
    fn open(path: &Path, storage: DynStorage) -> Result<(Self, Vec<String>), FieldError> {
        let wrong = |error| data::fault(path, error);
        let file = NcFile::from_storage_with_options(Arc::clone(&storage), options()).map_err(wrong)?;
        let variables = file.variables().map_err(wrong)?.to_vec();
        let types = variables.iter().map(|v| v.dtype.clone()).collect();
        let (format, hdf5) = match file.format() {
            NcFormat::Classic => ("NetCDF classic (CDF-1)", false),
            NcFormat::Offset64 => ("NetCDF classic (CDF-2)", false),
            NcFormat::Cdf5 => ("NetCDF classic (CDF-5)", false),
            NcFormat::Nc4 => ("NetCDF-4", true),
            NcFormat::Nc4Classic => ("NetCDF-4 classic model", true),
        };
        let shapes = variables.iter().map(|v| shape(path, v)).collect::<Result<Vec<_>, _>>()?;
        let mut remarks = Vec::new();
        let data = if hdf5 {
            let (data, groups) = Data::of_hdf5(path, storage, &variables)?;
            if !groups.is_empty() {
                remarks.push(format!("groups are not read: {}", groups.join(", ")));
            }
            data
        } else {
            Data::Classic(Box::new(file))
        };
        let chunks = data.chunk_shapes(variables.len());
        let arrays = variables.iter().zip(shapes).zip(chunks).map(|((v, shape), chunk)| raw_array(v, shape, chunk));
        Ok((Self { path: path.to_owned(), format, arrays: arrays.collect(), types, data }, remarks))
    }
}

impl ArrayStore for Store {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> String {
        self.format.to_owned()
    }

    fn arrays(&self) -> &[RawArray] {
        &self.arrays
    }

    fn read_box(&self, array: usize, ranges: &[std::ops::Range<usize>]) -> Result<Values, FieldError> {
        let name = &self.arrays[array].name;
        guarded(&self.path, || {
            self.data.read_box(array, name, &self.types[array], ranges).map_err(|error| {
                let error = data::fault(&self.path, error);
                match error {
                    FieldError::Corrupt { path, what } => FieldError::Corrupt { path, what: format!("{name}: {what}") },
                    other => other,
                }
            })
        })
    }
}

/// Runs a decoder; should it panic on what a file holds, the file is broken.
fn guarded<T>(path: &Path, decode: impl FnOnce() -> Result<T, FieldError>) -> Result<T, FieldError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(FieldError::corrupt(path, "the file is damaged: its decoder gave up")))
}

fn options() -> NcOpenOptions {
    // Only names and attributes are read through this handle.
    NcOpenOptions { chunk_cache_bytes: 0, ..NcOpenOptions::default() }
}

fn shape(path: &Path, variable: &NcVariable) -> Result<Vec<usize>, FieldError> {
    let too_long = |_| FieldError::corrupt(path, format!("{}: a dimension beyond all memory", variable.name));
    variable.shape().into_iter().map(usize::try_from).collect::<Result<_, _>>().map_err(too_long)
}

fn raw_array(variable: &NcVariable, shape: Vec<usize>, chunk_shape: Option<Vec<usize>>) -> RawArray {
    let mut attributes: BTreeMap<String, Attribute> =
        variable.attributes.iter().filter_map(|a| Some((a.name.clone(), attribute(&a.value)?))).collect();
    if let Some(fill) = default_fill(&variable.dtype) {
        attributes.entry("_FillValue".to_owned()).or_insert(Attribute::Numbers(vec![fill]));
    }
    RawArray {
        name: variable.name.clone(),
        dims: variable.dimensions.iter().map(|d| d.name.clone()).collect(),
        numeric: is_numeric(&variable.dtype),
        shape,
        attributes,
        chunk_shape,
    }
}

fn attribute(value: &NcAttrValue) -> Option<Attribute> {
    match value {
        NcAttrValue::Chars(text) => Some(Attribute::Text(text.clone())),
        NcAttrValue::Strings(texts) => Some(Attribute::Text(texts.join(" "))),
        other => other.as_f64_vec().map(Attribute::Numbers),
    }
}

fn is_numeric(dtype: &NcType) -> bool {
    dtype.is_primitive() && !matches!(dtype, NcType::Char | NcType::String)
}

/// What the library writes where nothing was written (netcdf.h, `NC_FILL_*`);
/// bytes have none.
fn default_fill(dtype: &NcType) -> Option<f64> {
    const FLOAT: f64 = 9.969_209_968_386_869e36;
    Some(match dtype {
        NcType::Short => -32_767.0,
        NcType::UShort => 65_535.0,
        NcType::Int => -2_147_483_647.0,
        NcType::UInt => 4_294_967_295.0,
        NcType::Int64 => -9_223_372_036_854_775_806.0,
        NcType::UInt64 => 18_446_744_073_709_551_614.0,
        NcType::Float | NcType::Double => FLOAT,
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
