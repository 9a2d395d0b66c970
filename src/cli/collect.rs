//! `skydose collect`: the results of a submission as one file.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::TryStreamExt as _;

use super::{
    Ending, args,
    worker::{Configuration, runtime},
};
use crate::{
    app,
    exposure::Exposure,
    job::{
        Id,
        answer::{Manifest, Rejected, Row, Rows},
        outcome::{ExposureWriter, Metadata, OutcomeWriter, OutputFormat, rejects},
    },
    queue::{
        DeadLetter, DeadLetters as _, JobQueue as _,
        amqp::{Amqp, Settings},
    },
    store::{Objects, Store},
    submitter::{self, Gathered, Part},
};

/// Names that are shown of what is missing.
const SHOWN: usize = 10;

/// Dead letters that are looked at, the oldest ones.
const LOOKED_AT: usize = 1_000;

/// Arguments of `collect`.
#[derive(Debug, Args)]
pub struct Collect {
    #[command(flatten)]
    configuration: Configuration,
    /// The submission.
    #[arg(value_name = "ID")]
    submission: Id,
    /// The file of results.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How results are written [default: by the ending of --out].
    #[arg(long, value_enum)]
    format: Option<args::FormatArg>,
}

impl Collect {
    /// Collects.
    ///
    /// # Errors
    /// A fault of the call, of the store, or of what lies in it.
    pub fn run(self) -> anyhow::Result<Ending> {
        let format = args::format_of(&self.out, self.format)?;
        let config = self.configuration.read()?;
        app::trust();
        let store = Objects::open(&config.store).context("store")?;
        runtime()?.block_on(async {
            let ending = write(&store, &self.submission, &self.out, format).await?;
            if ending == Ending::Incomplete {
                tell_buried(config.broker, &self.submission).await;
            }
            Ok(ending)
        })
    }
}

/// Says which jobs of a submission lie among the dead letters, and why, where
/// the configuration names a broker.
async fn tell_buried(broker: Settings, submission: &Id) {
    if broker.uri.is_none() && broker.uri_file.is_none() {
        return;
    }
    let look = async {
        let queue = Amqp::new(broker)?;
        let letters = queue.list(LOOKED_AT).await;
        queue.close().await;
        letters
    };
    match look.await {
        Ok(letters) => {
            let own =
                |letter: &&DeadLetter| letter.message.properties.submission.as_deref() == Some(submission.as_str());
            for letter in letters.iter().filter(own).take(SHOWN) {
                let job = &letter.message.properties.message_id;
                eprintln!("{job} lies among the dead letters, {}: {}", letter.reason(), letter.error());
            }
        }
        Err(error) => eprintln!("the dead letters cannot be looked at: {error}"),
    }
}

/// Writes what the store has of a submission and says what is missing.
pub(super) async fn write(
    store: &Objects,
    submission: &Id,
    out: &Path,
    format: OutputFormat,
) -> anyhow::Result<Ending> {
    let gathered = submitter::gather(store, submission).await?;
    if gathered.record.is_none() && gathered.answered.is_empty() {
        bail!("no submission {submission} in {}", store.name());
    }
    let mut file =
        File { out, format, writer: None, backends: BTreeSet::new(), flights: 0, rejected: Vec::new(), odd: 0 };
    file.rejected.extend(gathered.record.iter().flat_map(|record| record.rejected.iter().cloned()));
    let mut parts = std::pin::pin!(gathered.parts(store, submission));
    while let Some(part) = parts.try_next().await? {
        file.add(part)?;
    }
    file.finish(&gathered)
}

/// The file that is written.
struct File<'a> {
    out: &'a Path,
    format: OutputFormat,
    /// Begun with the first answer, whose rules it takes over.
    writer: Option<(ExposureWriter, Manifest)>,
    /// Who computed.
    backends: BTreeSet<String>,
    flights: u64,
    rejected: Vec<Rejected>,
    /// Answers by other rules than the first one's.
    odd: usize,
}

impl File<'_> {
    fn add(&mut self, part: Part) -> anyhow::Result<()> {
        let Part { mut manifest, rows } = part;
        self.flights += manifest.flights;
        self.rejected.append(&mut manifest.rejected);
        let inline = match std::mem::replace(&mut manifest.rows, Rows::Inline(Vec::new())) {
            Rows::Inline(rows) => rows,
            Rows::Stored(_) => Vec::new(),
        };
        if self.writer.is_none() {
            let writer = ExposureWriter::create(self.out, self.format, metadata(&manifest))?;
            self.writer = Some((writer, manifest.clone()));
        }
        let Some((writer, first)) = &mut self.writer else { return Ok(()) };
        self.odd += usize::from(!is_alike(first, &manifest));
        self.backends.insert(manifest.backend);
        let rows_inline: Vec<Exposure> = inline.into_iter().map(|row: Row| row.into()).collect();
        writer.write(&rows_inline)?;
        if let Some(rows) = rows {
            writer.append(rows)?;
        }
        Ok(())
    }

    fn finish(self, gathered: &Gathered) -> anyhow::Result<Ending> {
        let Self { out, writer, backends, flights, rejected, odd, .. } = self;
        let answered = gathered.answered.len();
        match writer {
            Some((mut writer, _)) => {
                writer.note("backend", &Vec::from_iter(backends).join("; "));
                Box::new(writer).finish()?;
                eprintln!("{flights} flights of {answered} jobs: {}", out.display());
            }
            None => eprintln!("no job is answered yet: {} is not written", out.display()),
        }
        if odd > 0 {
            eprintln!("{odd} jobs were answered by other rules or another version of the data set than the first one");
        }
        let from = PathBuf::from(gathered.record.as_ref().map_or_else(String::new, |r| r.submission.to_string()));
        let rejected: Vec<rejects::Reject> = rejected
            .into_iter()
            .map(|r| rejects::Reject {
                flight_id: r.flight_id,
                reason: r.reason,
                waypoints: usize::try_from(r.waypoints).unwrap_or(usize::MAX),
                file: from.clone(),
            })
            .collect();
        if let Some(path) = rejects::write(out, &rejected)? {
            eprintln!("rejected: {} flights, named in {}", rejected.len(), path.display());
        }
        Ok(if !tell_missing(gathered) {
            Ending::Incomplete
        } else if rejected.is_empty() {
            Ending::Whole
        } else {
            Ending::Rejects
        })
    }
}

/// Says what is missing; whether nothing is.
fn tell_missing(gathered: &Gathered) -> bool {
    let Gathered { record, missing, is_cancelled, .. } = gathered;
    if record.is_none() {
        eprintln!(
            "how many jobs there are is not known: the submission was not sent to its end, or by another program"
        );
        return false;
    }
    if missing.is_empty() {
        return true;
    }
    let names: Vec<&str> = missing.iter().take(SHOWN).map(Id::as_str).collect();
    let more = if missing.len() > SHOWN { ", …" } else { "" };
    eprintln!("{} jobs have no answer: {}{more}", missing.len(), names.join(", "));
    if *is_cancelled {
        eprintln!("the submission is cancelled");
    } else {
        eprintln!("they wait, are being computed, or lie among the dead letters (skydose dead-letters list)");
    }
    false
}

fn metadata(manifest: &Manifest) -> Metadata {
    let mut pairs = manifest.rules.clone();
    for (name, value) in [
        ("submission", manifest.submission.to_string()),
        ("dataset", manifest.dataset.to_string()),
        ("dataset_version", manifest.dataset_version.clone()),
    ] {
        pairs.insert(name.to_owned(), value);
    }
    Metadata { pairs }
}

fn is_alike(a: &Manifest, b: &Manifest) -> bool {
    (&a.rules, &a.dataset_version, a.algorithm, &a.mode) == (&b.rules, &b.dataset_version, b.algorithm, &b.mode)
}
