//! `skydose cancel`: there is no need for a submission's jobs any more.

use anyhow::Context as _;
use clap::Args;

use super::{
    Ending,
    worker::{Configuration, runtime},
};
use crate::{app, job::Id, store::Objects, submitter};

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    configuration: Configuration,
    /// The submission.
    #[arg(value_name = "ID")]
    submission: Id,
}

impl Cancel {
    /// Cancels.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn run(self) -> anyhow::Result<Ending> {
        let config = self.configuration.read()?;
        app::trust();
        let store = Objects::open(&config.store).context("store")?;
        runtime()?.block_on(async {
            let is_new = submitter::cancel(&store, &self.submission).await?;
            let gathered = submitter::gather(&store, &self.submission).await?;
            eprintln!(
                "{} is {}; {}",
                self.submission,
                if is_new { "cancelled: workers skip the jobs that they have not begun" } else { "cancelled already" },
                match &gathered.record {
                    Some(record) => format!("{} of its {} jobs are answered", gathered.answered.len(), record.jobs),
                    None => format!("{} of its jobs are answered", gathered.answered.len()),
                }
            );
            Ok(Ending::Whole)
        })
    }
}
