//! The folder of a prepared store: whose it is, and files that are whole or
//! not there.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};

use super::{
    metadata::{is_plain_name, read_json},
    prepared::{STATE, UNFINISHED},
};
use crate::field::FieldError;

/// Ending of files that are being written; such files are hidden, too.
const PARTIAL: &str = ".partial";

/// What a folder holds.
pub(super) enum Existing {
    /// Nothing.
    Empty,
    /// A prepared store, finished or not: the group's metadata and the names
    /// of its arrays.
    Prepared { group: Value, names: Vec<String> },
    /// Anything else.
    Other,
}

impl Existing {
    pub(super) fn of(dir: &Path) -> Result<Self, FieldError> {
        let mut entries = fs::read_dir(dir).map_err(|source| io(dir, source))?;
        // A run that was stopped at its first file leaves that unfinished.
        if entries.all(|entry| entry.is_ok_and(|e| is_partial(&e.path()))) {
            return Ok(Self::Empty);
        }
        let Some(group) = read_json(&dir.join("zarr.json"))? else {
            return Ok(Self::Other);
        };
        if !group["attributes"][STATE].is_string() {
            return Ok(Self::Other);
        }
        let metadata = group["consolidated_metadata"]["metadata"].as_object();
        let names = metadata.into_iter().flat_map(|m| m.keys()).filter(|n| is_plain_name(n)).cloned().collect();
        Ok(Self::Prepared { group, names })
    }
}

/// Locks the folder for as long as the file lives; `None` where the system
/// cannot.
pub(super) fn lock(dir: &Path) -> Result<Option<File>, FieldError> {
    let Ok(file) = File::open(dir) else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => Err(FieldError::unsupported(
            dir,
            "another run is preparing this folder",
            "wait for it to end, or give another folder",
        )),
    }
}

/// Deletes the arrays of a prepared store, and nothing else. Stopped half way
/// it leaves a store that says that it is not finished.
pub(super) fn remove_store(dir: &Path, mut group: Value, names: &[String]) -> Result<(), FieldError> {
    group["attributes"][STATE] = json!(UNFINISHED);
    put(&dir.join("zarr.json"), &document(&group))?;
    for name in names {
        let array = dir.join(name);
        match fs::remove_dir_all(&array) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(io(&array, source)),
            _ => {}
        }
    }
    Ok(())
}

/// Deletes what a stopped run was about to write.
pub(super) fn remove_partial(dir: &Path) -> Result<(), FieldError> {
    for entry in fs::read_dir(dir).map_err(|source| io(dir, source))?.flatten() {
        let path = entry.path();
        if is_partial(&path) {
            fs::remove_file(&path).map_err(|source| io(&path, source))?;
        }
    }
    Ok(())
}

fn is_partial(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(PARTIAL)
}

/// Writes a file as a whole: beside its place, then renamed.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<(), FieldError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let partial: PathBuf = path.with_file_name(format!(".{name}.{}-{count}{PARTIAL}", process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&partial)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // What failed is the news; the left-over is swept by the next run.
        let _ = fs::remove_file(&partial);
        io(path, source)
    })
}

/// As [`put`], but leaves a file alone that already says this.
pub(super) fn put_if_different(path: &Path, bytes: &[u8]) -> Result<(), FieldError> {
    if fs::read(path).is_ok_and(|old| old == bytes) { Ok(()) } else { put(path, bytes) }
}

/// A metadata document as it is written.
pub(super) fn document(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

pub(super) fn io(path: &Path, source: io::Error) -> FieldError {
    FieldError::Io { path: path.to_owned(), source }
}
