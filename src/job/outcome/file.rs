//! A file that appears under its name only when it is whole.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::OutcomeError;

/// Writes beside the target and renames at the end; dropped, it leaves
/// nothing.
pub(super) struct AtomicFile {
    target: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    pub(super) fn create(target: &Path) -> Result<Self, OutcomeError> {
        let io = OutcomeError::io(target);
        if target.is_dir() {
            return Err(io(io::Error::new(io::ErrorKind::IsADirectory, "is a folder; expected the name of a file")));
        }
        // The parent of a bare name is the empty path, which no system opens.
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".skydose-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Temporary files are private by default; a result is as
            // readable as the user's umask lets any file be.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(io)?;
        Ok(Self { target: target.to_owned(), file: BufWriter::with_capacity(1 << 20, file) })
    }

    /// The name under which the file will appear.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Puts the file under its name, replacing what was there.
    pub(super) fn finish(self) -> Result<(), OutcomeError> {
        let io = OutcomeError::io(&self.target);
        let file = self.file.into_inner().map_err(|e| io(e.into_error()))?;
        // Without this a crash after the rename can leave an empty file.
        file.as_file().sync_all().map_err(&io)?;
        file.persist(&self.target).map_err(|e| io(e.error))?;
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
