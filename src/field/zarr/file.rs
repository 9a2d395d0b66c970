//! Positioned reads of chunk files.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use bytemuck::Pod;

use super::geometry::Run;
use crate::field::FieldError;

/// Runs at least this long [bytes] are read straight to where they belong.
const DIRECT_BYTES: usize = 32 << 10;
/// Shorter runs are read together, with the gaps between them, as long as
/// the gaps are no longer than this [bytes] ...
const GAP_BYTES: usize = 8 << 10;
/// ... and the whole no longer than this [bytes]: it stays in the cache.
const SPAN_BYTES: usize = 256 << 10;

/// An open chunk file.
pub(super) struct ChunkFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl ChunkFile {
    /// `None` where there is no such file: the chunk was not written.
    pub(super) fn open(path: PathBuf) -> Result<Option<Self>, FieldError> {
        let opened = File::open(&path).and_then(|file| file.metadata().map(|m| (file, m)));
        match opened {
            Ok((_, metadata)) if !metadata.is_file() => Err(FieldError::corrupt(&path, "not a file, expected a chunk")),
            Ok((file, metadata)) => Ok(Some(Self { path, file, len: metadata.len() })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FieldError::Io { path, source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes from `offset`; the caller has checked that they are there.
    pub(super) fn bytes(&self, offset: u64, len: usize) -> Result<Vec<u8>, FieldError> {
        let mut bytes = vec![0; len];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Reads the runs of a file that is nothing but elements in native order.
    pub(super) fn read_runs<T: Pod>(&self, runs: impl Iterator<Item = Run>, out: &mut [T]) -> Result<(), FieldError> {
        let size = size_of::<T>();
        let mut batch: Vec<Run> = Vec::new();
        let mut scratch: Vec<T> = Vec::new();
        for run in runs {
            let joins = batch.first().zip(batch.last()).is_some_and(|(first, last)| {
                let gap = run.from - (last.from + last.len);
                gap * size <= GAP_BYTES && (run.from + run.len - first.from) * size <= SPAN_BYTES
            });
            if !joins {
                self.read_batch(&batch, &mut scratch, out)?;
                batch.clear();
            }
            if run.len * size >= DIRECT_BYTES {
                self.read_batch(&batch, &mut scratch, out)?;
                batch.clear();
                self.read_batch(&[run], &mut scratch, out)?;
            } else {
                batch.push(run);
            }
        }
        self.read_batch(&batch, &mut scratch, out)
    }

    fn read_batch<T: Pod>(&self, batch: &[Run], scratch: &mut Vec<T>, out: &mut [T]) -> Result<(), FieldError> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
            return Ok(());
        };
        let offset = (first.from * size_of::<T>()) as u64;
        if batch.len() == 1 {
            return self.read_at(bytemuck::cast_slice_mut(&mut out[first.to..first.to + first.len]), offset);
        }
        let span = last.from + last.len - first.from;
        if scratch.len() < span {
            scratch.resize(span, T::zeroed());
        }
        self.read_at(bytemuck::cast_slice_mut(&mut scratch[..span]), offset)?;
        for run in batch {
            let from = run.from - first.from;
            out[run.to..run.to + run.len].copy_from_slice(&scratch[from..from + run.len]);
        }
        Ok(())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<(), FieldError> {
        read_exact_at(&self.file, out, offset).map_err(|source| FieldError::Io { path: self.path.clone(), source })
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(out)
}
