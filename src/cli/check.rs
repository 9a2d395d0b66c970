//! `skydose check`: whether a configuration can work, before anything starts.

use anyhow::bail;
use clap::Args;

use super::{
    Ending, say,
    worker::{Configuration, runtime},
};
use crate::app;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    configuration: Configuration,
}

impl Check {
    /// Reads the configuration and tries what it names.
    ///
    /// # Errors
    /// All faults of the configuration, or what does not answer as it should.
    pub fn run(self) -> anyhow::Result<Ending> {
        let config = self.configuration.read()?;
        say("configuration: ok\n")?;
        let findings = runtime()?.block_on(app::check(&config));
        let mut faults = Vec::new();
        for (what, found) in &findings {
            match found {
                Ok(found) => say(&format!("{what}: ok, {found}\n"))?,
                Err(fault) => {
                    say(&format!("{what}: FAULT, {fault}\n"))?;
                    faults.push(what.as_str());
                }
            }
        }
        if !faults.is_empty() {
            bail!("{} of {} are at fault: {}", faults.len(), findings.len(), faults.join(", "));
        }
        Ok(Ending::Whole)
    }
}
