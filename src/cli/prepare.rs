//! `skydose prepare`: fields in the form that loads fastest.

use std::path::PathBuf;

use clap::Args;

use super::Ending;

/// Arguments of `prepare`.
#[derive(Debug, Args)]
pub struct Prepare {
    /// Field files or folders.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The folder to write.
    #[arg(long, value_name = "DIR.zarr")]
    out: PathBuf,
}

impl Prepare {
    /// Writes the prepared form.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn run(self, _verbose: u8) -> anyhow::Result<Ending> {
        anyhow::bail!("{} files to {}", self.paths.len(), self.out.display())
    }
}

pub(super) fn write(_dataset: &crate::field::dataset::Dataset, out: &std::path::Path, _what: &str, _memory: usize) -> anyhow::Result<()> {
    anyhow::bail!("{}", out.display())
}
