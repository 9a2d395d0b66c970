//! Zip files, as CAMS sends them: each member that is a field becomes a source.
//!
//! Members are unpacked into memory, under limits.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use zip::{ZipArchive, read::ZipFile, result::ZipError};

use super::{FIRST_BYTES, FieldError, FieldSource, Format, SOURCES};

/// How much an archive may hold once unpacked, all its members together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Never more than this \[bytes\].
    pub bytes: u64,
    /// An archive that holds this or less is fine whatever its ratio \[bytes\].
    pub harmless_bytes: u64,
    /// Above that, how many times its own size it may hold. Fields shrink to a
    /// tenth; what shrinks to a thousandth is made to harm.
    pub ratio: u64,
    /// Members.
    pub members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 30, harmless_bytes: 256 << 20, ratio: 100, members: 10_000 }
    }
}

const UNZIP: &str = "unpack it with `unzip` and give the files";

/// Whether the first bytes are of a zip file.
#[must_use]
pub fn recognises(_path: &Path, first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04")
}

/// Opens every field in a zip file.
///
/// # Errors
/// Where it is no zip file or is damaged, holds no field, or one of its fields
/// cannot be opened; names are written `outer.zip:inner.nc`.
pub fn open(path: &Path) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    open_within(path, Limits::default())
}

/// As [`open`], within other limits.
///
/// # Errors
/// As [`open`]; [`FieldError::Unsupported`] where the limits are passed.
pub fn open_within(path: &Path, limits: Limits) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    let io = |source| FieldError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let packed = file.metadata().map_err(io)?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| fault(path, error))?;
    if archive.len() > limits.members {
        return Err(FieldError::unsupported(path, format!("{} members", archive.len()), UNZIP));
    }
    if archive.file_names().any(|name| [".zgroup", ".zarray", "zarr.json"].iter().any(|end| name.ends_with(end))) {
        return Err(FieldError::unsupported(path, "a Zarr store in a zip file", UNZIP));
    }
    let mut budget = limits.bytes.min(limits.harmless_bytes.max(packed.saturating_mul(limits.ratio)));
    let mut sources = Vec::new();
    let mut others = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|error| fault(path, error))?;
        let name = member.name().to_owned();
        let inner = PathBuf::from(format!("{}:{name}", path.display()));
        match open_member(&inner, member, &mut budget)? {
            Some(opened) => sources.extend(opened),
            None => others.push(name),
        }
    }
    if sources.is_empty() {
        others.truncate(5);
        let found = format!("a zip file without a field ({})", others.join(", "));
        return Err(FieldError::Unknown { path: path.to_owned(), found });
    }
    Ok(sources)
}

/// The sources of a member; `None` where it is not a field.
fn open_member<R: Read + Seek>(
    name: &Path,
    mut member: ZipFile<'_, R>,
    budget: &mut u64,
) -> Result<Option<Vec<Box<dyn FieldSource>>>, FieldError> {
    if !member.is_file() {
        return Ok(None);
    }
    let damaged = |error: std::io::Error| FieldError::corrupt(name, format!("damaged inside the archive: {error}"));
    let mut bytes = Vec::new();
    member.by_ref().take(FIRST_BYTES).read_to_end(&mut bytes).map_err(damaged)?;
    let format = |f: &&Format| f.open_bytes.is_some() && (f.recognises)(name, &bytes);
    let Some(open) = SOURCES.iter().find(format).and_then(|format| format.open_bytes) else {
        return Ok(None);
    };
    let declared = member.size();
    let too_large = || {
        let what = format!("{declared} bytes once unpacked, where at most {budget} are left");
        FieldError::unsupported(name, what, UNZIP)
    };
    if declared > *budget {
        return Err(too_large());
    }
    let length = usize::try_from(declared).map_err(|_| too_large())?;
    bytes.try_reserve_exact(length.saturating_sub(bytes.len())).map_err(|_| too_large())?;
    // One byte more than declared, to see whether there are more.
    let rest = declared.saturating_sub(bytes.len() as u64).saturating_add(1);
    member.take(rest).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() != length {
        let found = bytes.len().min(length + 1);
        return Err(FieldError::corrupt(name, format!("at least {found} bytes; {declared} were declared")));
    }
    *budget -= declared;
    open(name, bytes).map(Some)
}

fn fault(path: &Path, error: ZipError) -> FieldError {
    match error {
        ZipError::Io(source) => FieldError::Io { path: path.to_owned(), source },
        ZipError::UnsupportedArchive(what) => FieldError::unsupported(path, what, UNZIP),
        other => FieldError::corrupt(path, other),
    }
}
