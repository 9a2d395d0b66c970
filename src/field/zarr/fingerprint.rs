//! What a prepared store was made of, in 32 digits.

use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{
    folder::{document, io},
    prepared::{ArrayDocument, PreparedLayout},
};
use crate::field::FieldError;

/// A fingerprint of input files and options: names, sizes and times of change
/// of the files (of all files in a folder), and the text of the options.
///
/// # Errors
/// [`FieldError::Io`] for a path that cannot be looked at.
pub fn fingerprint(paths: &[PathBuf], options: &str) -> Result<String, FieldError> {
    let mut hash = Fnv::default();
    hash.write(options.as_bytes());
    for path in paths {
        hash_path(path, &mut hash)?;
    }
    Ok(hash.to_string())
}

fn hash_path(path: &Path, hash: &mut Fnv) -> Result<(), FieldError> {
    let metadata = fs::metadata(path).map_err(|source| io(path, source))?;
    hash.write(path.file_name().unwrap_or_default().as_encoded_bytes());
    if metadata.is_dir() {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries: Vec<PathBuf> =
            entries.map_err(|source| io(path, source))?.iter().map(fs::DirEntry::path).collect();
        entries.sort();
        hash.write(&(entries.len() as u64).to_le_bytes());
        return entries.iter().try_for_each(|entry| hash_path(entry, hash));
    }
    let changed = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    hash.write(&metadata.len().to_le_bytes());
    hash.write(&changed.as_nanos().to_le_bytes());
    Ok(())
}

/// The caller's fingerprint and all that the store says of itself.
pub(super) fn layout_fingerprint(layout: &PreparedLayout, arrays: &[ArrayDocument]) -> String {
    let mut hash = Fnv::default();
    hash.write(&document(&layout.group("", &layout.fingerprint, arrays)));
    for array in arrays {
        hash.write(array.coordinate.as_deref().unwrap_or_default());
    }
    hash.to_string()
}

/// FNV-1a of 128 bits: the same on every machine, in every version.
struct Fnv(u128);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Fnv {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    fn mix(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(Self::PRIME);
        }
    }

    /// Length first, so that no two lists of parts are the same.
    fn write(&mut self, bytes: &[u8]) {
        self.mix(&(bytes.len() as u64).to_le_bytes());
        self.mix(bytes);
    }
}

impl std::fmt::Display for Fnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
