//! Where the bytes of a file are: on disk, read by position from many
//! threads, or in memory (a member of a zip).

use std::{borrow::Cow, fs::File, io, os::unix::fs::FileExt, path::Path};

use super::super::FieldError;

/// A file's bytes.
#[derive(Debug)]
pub(super) enum Input {
    Disk { file: File, len: u64 },
    Memory(Vec<u8>),
}

/// A run of bytes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub at: u64,
    pub len: usize,
}

impl Input {
    pub fn open(path: &Path) -> Result<Self, FieldError> {
        let io = |source| FieldError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        Ok(Self::Disk { file, len })
    }

    pub fn len(&self) -> u64 {
        match self {
            Self::Disk { len, .. } => *len,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes of `span`; those of a file in memory are not copied.
    pub fn read(&self, span: Span) -> io::Result<Cow<'_, [u8]>> {
        let past_the_end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let end = span.at.checked_add(span.len as u64).filter(|&end| end <= self.len()).ok_or_else(past_the_end)?;
        match self {
            Self::Disk { file, .. } => {
                let mut bytes = vec![0; span.len];
                file.read_exact_at(&mut bytes, span.at)?;
                Ok(Cow::Owned(bytes))
            }
            Self::Memory(bytes) => {
                let range = usize::try_from(span.at).ok().zip(usize::try_from(end).ok());
                let slice = range.and_then(|(start, end)| bytes.get(start..end));
                slice.map(Cow::Borrowed).ok_or_else(past_the_end)
            }
        }
    }
}

/// Reads headers one after the other with few system calls: it keeps the
/// block around the last position.
#[derive(Debug)]
pub(super) struct Headers<'a> {
    input: &'a Input,
    at: u64,
    block: Cow<'a, [u8]>,
}

/// The headers of one field, hybrid coefficients included, fit in this.
const BLOCK: usize = 8 * 1024;

impl<'a> Headers<'a> {
    pub fn new(input: &'a Input) -> Self {
        Self { input, at: 0, block: Cow::Borrowed(&[]) }
    }

    /// `len` bytes from `at`, fewer where the file ends.
    pub fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.input.len().saturating_sub(at)).unwrap_or(usize::MAX);
        let len = len.min(left);
        if len == 0 {
            return Ok(&[]);
        }
        let held = at.checked_sub(self.at).and_then(|skip| usize::try_from(skip).ok());
        let held = held.filter(|skip| skip.checked_add(len).is_some_and(|end| end <= self.block.len()));
        let skip = if let Some(skip) = held {
            skip
        } else {
            self.block = self.input.read(Span { at, len: len.max(BLOCK).min(left) })?;
            self.at = at;
            0
        };
        Ok(&self.block[skip..skip + len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_follow_any_order_of_positions_and_stop_at_the_end() {
        let bytes: Vec<u8> = (0..50_000u32).map(|i| i.to_le_bytes()[1] ^ i.to_le_bytes()[0]).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        for input in [Input::open(file.path()).unwrap(), Input::Memory(bytes.clone())] {
            let mut headers = Headers::new(&input);
            for (at, len) in [(0, 16), (4, 8), (8190, 10), (100, 5), (49_990, 10), (20_000, 12_000), (0, 0)] {
                assert_eq!(headers.get(at as u64, len).unwrap(), &bytes[at..at + len], "{at}");
            }
            assert_eq!(headers.get(49_990, 16).unwrap(), &bytes[49_990..]);
            assert!(headers.get(60_000, 16).unwrap().is_empty());
            assert!(input.read(Span { at: 49_999, len: 2 }).is_err());
            assert!(input.read(Span { at: u64::MAX, len: 2 }).is_err());
        }
    }
}
