//! `skydose worker`: jobs from the queue, until told to stop.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::Ending;
use crate::{
    app::{self, Sources},
    worker::{self, hook},
};

/// The variable that makes a worker abort or freeze at a step of a job, for
/// tests of the whole program.
const FAILPOINT: &str = "SKYDOSE_FAILPOINT";

/// Arguments of `worker`.
#[derive(Debug, Args)]
pub struct Worker {
    #[command(flatten)]
    configuration: Configuration,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(super) struct Configuration {
    /// The configuration's file, in TOML.
    #[arg(long, value_name = "FILE", env = "SKYDOSE_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// A value of the configuration, such as worker.slots=8; repeatable,
    /// stands above the environment (`SKYDOSE_WORKER__SLOTS=8`) and the file.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub set: Vec<String>,
}

impl Configuration {
    pub(super) fn read(&self) -> anyhow::Result<crate::config::Config> {
        app::configure(&Sources { file: self.config.as_deref(), flags: &self.set })
    }
}

impl Worker {
    /// Works.
    ///
    /// # Errors
    /// What keeps it from starting, or what broke.
    pub fn run(self) -> anyhow::Result<Ending> {
        let config = self.configuration.read()?;
        let hook = match std::env::var(FAILPOINT) {
            Ok(text) => Some(hook::failpoint(&text).map_err(|e| anyhow!("{FAILPOINT}: {e}"))?),
            Err(_) => None,
        };
        let runtime = runtime()?;
        let ending = runtime.block_on(app::worker(config, hook));
        // What still reads a field, or computes, is not waited for.
        runtime.shutdown_timeout(Duration::from_secs(1));
        match ending? {
            worker::Ending::Finished | worker::Ending::OutOfTime => Ok(Ending::Whole),
            worker::Ending::Quarantined(_) => Ok(Ending::Quarantined),
            worker::Ending::Broken(why) => Err(anyhow!("{why}")),
        }
    }
}

/// What runs the commands that wait for others.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")
}
