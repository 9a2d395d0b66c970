//! `skydose health`: whether the process beside it is alive, or does its work.

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Builder;

use super::{Ending, say, worker::Configuration};
use crate::{
    app,
    telemetry::health::{self, Question},
};

/// Arguments of `health`.
#[derive(Debug, Args)]
pub struct Health {
    /// Ask whether it does its work: connected, consuming, self-test passed.
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    configuration: Configuration,
}

impl Health {
    /// Asks and prints one line.
    ///
    /// # Errors
    /// A configuration that cannot be used.
    pub fn run(self) -> anyhow::Result<Ending> {
        let config = self.configuration.read()?;
        let (question, well) = if self.ready { (Question::Ready, "ready") } else { (Question::Live, "alive") };
        app::trust();
        // One thread is enough; probes run this every few seconds.
        let runtime = Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
        match runtime.block_on(health::ask(&config.admin, question)) {
            Ok(()) => say(&format!("{well}\n")).map(|()| Ending::Whole),
            Err(why) => say(&format!("not {well}: {why}\n")).map(|()| Ending::Unwell),
        }
    }
}
