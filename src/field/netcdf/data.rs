//! Boxes of stored values.

use std::{ops::Range, path::Path};

use hdf5_reader::{Dataset, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem};
use netcdf_reader::{DynStorage, NcFile, NcReadable, NcSliceInfo, NcSliceInfoElem, NcType, NcVariable};

use super::{MAKE_NETCDF, filters};
use crate::field::{FieldError, cf::Values};

/// Where the values are.
pub(super) enum Data {
    Classic(Box<NcFile>),
    /// One a variable, `None` where it holds no numbers.
    Hdf5(Vec<Option<Dataset>>),
}

/// Decoded chunks kept in each file, for reads that are not aligned to chunks.
/// Small: a year of daily files may be open at once.
const CHUNK_CACHE: usize = 16 << 20;
/// DEFLATE makes at most this many bytes of one.
const LARGEST_EXPANSION: u64 = 1032;
const LARGEST_CHUNK: usize = 2 << 30;

impl Data {
    /// Opens the datasets; also gives the names of the root's groups.
    pub fn of_hdf5(
        path: &Path,
        storage: DynStorage,
        variables: &[NcVariable],
    ) -> Result<(Self, Vec<String>), FieldError> {
        let wrong = |error: hdf5_reader::error::Error| fault(path, error.into());
        // A chunk that no part of this file can expand to is a lie.
        let largest = usize::try_from(storage.len().saturating_mul(LARGEST_EXPANSION)).unwrap_or(LARGEST_CHUNK);
        let largest = largest.min(LARGEST_CHUNK);
        let options = OpenOptions::default()
            .with_chunk_cache_bytes(CHUNK_CACHE)
            .with_max_chunk_bytes(largest)
            .with_filter_registry(filters::registry(largest));
        let file = Hdf5File::from_storage_with_options(storage, options).map_err(wrong)?;
        let root = file.root_group().map_err(wrong)?;
        let is_scale = |dataset: &Dataset| {
            dataset.attribute("CLASS").and_then(|a| a.read_string()).is_ok_and(|class| class == "DIMENSION_SCALE")
        };
        let (groups, datasets) = root.members().map_err(wrong)?;
        if root.attribute("_NCProperties").is_err() && !datasets.iter().any(is_scale) {
            return Err(FieldError::unsupported(path, "an HDF5 file without NetCDF's dimensions", MAKE_NETCDF));
        }
        let groups = groups.iter().map(|group| group.name().trim_matches('/').to_owned()).collect();
        let datasets = variables
            .iter()
            .map(|variable| {
                if !super::is_numeric(&variable.dtype) {
                    return Ok(None);
                }
                let dataset = file.dataset(&variable.name)?;
                // Along an unlimited dimension another variable can be longer.
                dataset.with_padded_shape(&variable.shape()).map(Some)
            })
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        Ok((Self::Hdf5(datasets), groups))
    }

    /// Of each variable, where it is chunked.
    pub fn chunk_shapes(&self, count: usize) -> Vec<Option<Vec<usize>>> {
        match self {
            Self::Classic(_) => vec![None; count],
            Self::Hdf5(datasets) => datasets
                .iter()
                .map(|dataset| {
                    let dataset = dataset.as_ref()?;
                    let chunks = dataset.chunks().filter(|c| c.len() == dataset.ndim())?;
                    Some(chunks.into_iter().map(|n| n as usize).collect())
                })
                .collect(),
        }
    }

    /// Stored values of a box of variable number `index`, called `name`.
    pub fn read_box(
        &self,
        index: usize,
        name: &str,
        dtype: &NcType,
        ranges: &[Range<usize>],
    ) -> netcdf_reader::Result<Values> {
        Ok(match dtype {
            NcType::Byte => Values::I8(self.read(index, name, ranges)?),
            NcType::UByte => Values::U8(self.read(index, name, ranges)?),
            NcType::Short => Values::I16(self.read(index, name, ranges)?),
            NcType::UShort => Values::U16(self.read(index, name, ranges)?),
            NcType::Int => Values::I32(self.read(index, name, ranges)?),
            NcType::UInt => Values::U32(self.read(index, name, ranges)?),
            NcType::Int64 => Values::I64(self.read(index, name, ranges)?),
            NcType::UInt64 => Values::U64(self.read(index, name, ranges)?),
            NcType::Float => Values::F32(self.read(index, name, ranges)?),
            NcType::Double => Values::F64(self.read(index, name, ranges)?),
            other => return Err(netcdf_reader::Error::InvalidData(format!("{name} holds {other:?}, not numbers"))),
        })
    }

    fn read<T: NcReadable + Clone>(
        &self,
        index: usize,
        name: &str,
        ranges: &[Range<usize>],
    ) -> netcdf_reader::Result<Vec<T>> {
        let ends = ranges.iter().map(|r| (r.start as u64, r.end as u64));
        let array = match self {
            Self::Classic(file) => {
                let selections = ends.map(|(start, end)| NcSliceInfoElem::Slice { start, end, step: 1 }).collect();
                file.read_variable_slice::<T>(name, &NcSliceInfo { selections })?
            }
            Self::Hdf5(datasets) => {
                let selections = ends.map(|(start, end)| SliceInfoElem::Slice { start, end, step: 1 }).collect();
                let dataset = datasets.get(index).and_then(Option::as_ref);
                let dataset = dataset.ok_or_else(|| netcdf_reader::Error::VariableNotFound(name.to_owned()))?;
                dataset.read_slice::<T>(&SliceInfo { selections })?
            }
        };
        if array.is_standard_layout() {
            Ok(array.into_raw_vec_and_offset().0)
        } else {
            Ok(array.iter().cloned().collect())
        }
    }
}

/// What a reader's error means to the user.
pub(super) fn fault(path: &Path, error: netcdf_reader::Error) -> FieldError {
    use hdf5_reader::error::Error as Hdf5;
    let mut inner = match error {
        netcdf_reader::Error::Io(source) => return FieldError::Io { path: path.to_owned(), source },
        netcdf_reader::Error::UnsupportedFeature(what) => {
            return FieldError::unsupported(path, what, "rewrite it with `nccopy`");
        }
        netcdf_reader::Error::Hdf5(inner) => inner,
        other => return FieldError::corrupt(path, other),
    };
    while let Hdf5::Context { source, .. } = inner {
        inner = *source;
    }
    match inner {
        Hdf5::Io(source) => FieldError::Io { path: path.to_owned(), source },
        Hdf5::UnsupportedFilter(which) => FieldError::unsupported(
            path,
            format!("compressed with an HDF5 filter that is not read ({which})"),
            "compress it with deflate or zstd, for example with `nccopy -F none in.nc out.nc`",
        ),
        Hdf5::UnsupportedEncoding(what) => FieldError::unsupported(path, what, "rewrite it with `nccopy`"),
        other => FieldError::corrupt(path, other),
    }
}
