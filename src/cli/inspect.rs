//! `skydose inspect`: what is in a file, and what is wrong with it.

use std::path::PathBuf;

use clap::Args;

use super::Ending;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Field and flights files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Inspect {
    /// Prints a report a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn run(self) -> anyhow::Result<Ending> {
        anyhow::bail!("{} files", self.paths.len())
    }
}
