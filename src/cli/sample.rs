//! `skydose sample`: every waypoint with the field's values at it.

use clap::Args;

use super::{Ending, args};

/// Arguments of `sample`.
#[derive(Debug, Args)]
pub struct Sample {
    #[command(flatten)]
    fields: args::Fields,
}

impl Sample {
    /// Writes the table.
    ///
    /// # Errors
    /// A fault of the call or its files.
    pub fn run(self, _verbose: u8) -> anyhow::Result<Ending> {
        anyhow::bail!("{:?}", self.fields)
    }
}
