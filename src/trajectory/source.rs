//! The bytes of a file, gzipped or not.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use tempfile::NamedTempFile;

use super::error::FlightsError;

/// How many of the first bytes a format is recognised by.
const HEAD_BYTES: usize = 8192;
/// Tables of flights shrink by 3 to 50 when gzipped; what expands by more
/// than this is no table but a trap for the memory.
const MAX_EXPANSION: u64 = 200;
/// Below this size the expansion does not matter.
const FREE_BYTES: u64 = 16 << 20;

/// A file that was found and looked into.
pub(super) struct Source {
    path: PathBuf,
    gzipped: bool,
    head: Vec<u8>,
    size: u64,
}

/// A file on disk that can be read from any offset: the source itself, or
/// its expanded copy, which is removed when this is dropped.
pub(super) enum Seekable {
    Original(PathBuf),
    Expanded(NamedTempFile),
}

/// Reads on until a limit, then fails where [`Read::take`] would end quietly.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, FlightsError> {
        let io_error = |source| FlightsError::Io { path: path.to_owned(), source };
        let unknown = |found: &str| FlightsError::Unknown { path: path.to_owned(), found: found.to_owned() };
        let mut file = File::open(path).map_err(io_error)?;
        let meta = file.metadata().map_err(io_error)?;
        if meta.is_dir() {
            return Err(unknown("it is a folder"));
        }
        let mut source = Self { path: path.to_owned(), gzipped: false, head: Vec::new(), size: meta.len() };
        source.head = first_bytes(&mut file).map_err(io_error)?;
        if source.head.starts_with(&[0x1f, 0x8b]) {
            source.gzipped = true;
            source.head = first_bytes(&mut *source.reader()?).map_err(|e| FlightsError::io(path, e))?;
        }
        if source.head.is_empty() {
            return Err(unknown("it is empty"));
        }
        Ok(source)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The first bytes, expanded.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn is_gzipped(&self) -> bool {
        self.gzipped
    }

    /// Everything from the start, expanded.
    pub(super) fn reader(&self) -> Result<Box<dyn Read + Send>, FlightsError> {
        let mut file = File::open(&self.path).map_err(|source| FlightsError::Io { path: self.path.clone(), source })?;
        file.rewind().map_err(|source| FlightsError::Io { path: self.path.clone(), source })?;
        if self.gzipped {
            let left = self.size.saturating_mul(MAX_EXPANSION).max(FREE_BYTES);
            let expanded = Bounded { inner: MultiGzDecoder::new(file), left };
            Ok(Box::new(BufReader::with_capacity(1 << 18, expanded)))
        } else {
            Ok(Box::new(BufReader::with_capacity(1 << 18, file)))
        }
    }

    /// For formats that are read from their end.
    pub(super) fn seekable(&self) -> Result<Seekable, FlightsError> {
        if !self.gzipped {
            return Ok(Seekable::Original(self.path.clone()));
        }
        let fail = |e| FlightsError::io(&self.path, e);
        let mut copy = NamedTempFile::new().map_err(fail)?;
        io::copy(&mut *self.reader()?, &mut copy).map_err(fail)?;
        copy.flush().map_err(fail)?;
        Ok(Seekable::Expanded(copy))
    }
}

impl Seekable {
    /// A handle with an offset of its own, so that threads do not disturb
    /// each other.
    pub(super) fn open(&self) -> io::Result<File> {
        match self {
            Self::Original(path) => File::open(path),
            Self::Expanded(copy) => copy.reopen(),
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it expands more than {MAX_EXPANSION}-fold, as no table of flights does"),
            )
        })?;
        Ok(n)
    }
}

fn first_bytes(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    reader.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
