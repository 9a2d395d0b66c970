//! `skydose submit`: flights out as jobs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::{
    Ending, args,
    asked::Asked,
    collect, say,
    worker::{Configuration, runtime},
};
use crate::{
    app,
    config::Config,
    job::{Id, answer::Rejected},
    queue::{JobQueue, Priority, amqp::Amqp},
    store::Objects,
    submitter::{self, Ask, Chunk, Record, Sender, SubmitError, Tally},
    trajectory::{AltitudeUnit, FleetReader, FlightsError, ReadOptions},
};

/// Waypoints that are read at a time: the same flights always make the same
/// jobs.
const WAYPOINTS_AT_A_TIME: usize = 2_000_000;

/// Chunks that wait to be sent.
const WAITING: usize = 4;

/// Without an event for so long, the store is asked.
const QUIET: Duration = Duration::from_secs(20);

/// Arguments of `submit`.
#[derive(Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    flights: args::FlightsFiles,
    /// A data set of the workers' catalogue.
    #[arg(long, value_name = "NAME")]
    dataset: Id,
    #[command(flatten)]
    asked: Asked,
    /// Flights a job.
    #[arg(long, default_value_t = 200, value_name = "FLIGHTS")]
    chunk: usize,
    /// Which jobs are served first.
    #[arg(long, value_enum, default_value_t)]
    priority: PriorityArg,
    /// After this nobody wants the answer: a time (2024-06-01T12:00:00Z) or a
    /// duration from now (2h).
    #[arg(long, value_name = "T")]
    deadline: Option<String>,
    /// The submission's name [default: a new one]. Sent again under the same
    /// name, the same flights do no harm.
    #[arg(long, value_name = "NAME")]
    id: Option<Id>,
    /// Wait until all jobs have ended, and show how far they are.
    #[arg(long)]
    wait: bool,
    /// Collect the results into this file; waits for them.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How results are written [default: by the ending of --out].
    #[arg(long, value_enum, requires = "out")]
    format: Option<args::FormatArg>,
}

/// Which jobs are served first.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum PriorityArg {
    /// Before all others.
    High,
    /// The usual.
    #[default]
    Normal,
}

impl Submit {
    /// Sends, and waits where that is asked for.
    ///
    /// # Errors
    /// A fault of the call or its files, of the broker or the store.
    pub fn run(self) -> anyhow::Result<Ending> {
        if self.chunk == 0 {
            bail!("--chunk is 0, expected at least 1");
        }
        if !self.flights.time_shift.is_finite() {
            bail!("--time-shift is {}, expected seconds", self.flights.time_shift);
        }
        let out = match &self.out {
            Some(path) => Some((path.clone(), args::format_of(path, self.format)?)),
            None => None,
        };
        let config = self.configuration.read()?;
        let ask = self.ask(app::clock()())?;
        runtime()?.block_on(self.send(&config, ask, out))
    }

    fn ask(&self, now: Timestamp) -> anyhow::Result<Ask> {
        Ok(Ask {
            submission: self.id.clone().unwrap_or_else(Id::new_submission),
            dataset: self.dataset.clone(),
            request: self.asked.request()?,
            vertical: self.asked.vertical.into(),
            deadline: self.deadline.as_deref().map(|text| deadline(text, now)).transpose()?,
            priority: match self.priority {
                PriorityArg::High => Priority::High,
                PriorityArg::Normal => Priority::Normal,
            },
        })
    }

    async fn send(
        self,
        config: &Config,
        ask: Ask,
        out: Option<(PathBuf, crate::job::outcome::OutputFormat)>,
    ) -> anyhow::Result<Ending> {
        app::trust();
        let queue: Arc<dyn JobQueue> = Arc::new(Amqp::new(config.broker.clone())?);
        let store = Objects::open(&config.store).context("store")?;
        let waits = self.wait || out.is_some();
        let events = if waits { Some(queue.results(ask.submission.as_str()).await?) } else { None };
        let record = self.send_all(config, &ask, &queue, &store).await?;
        say(&format!("{}\n", record.submission))?;
        eprintln!("{} flights in {} jobs sent to {}", record.flights, record.jobs, record.dataset);
        if !record.rejected.is_empty() {
            eprintln!("{} flights were rejected on reading and are named in the results", record.rejected.len());
        }
        let ending = match events {
            Some(mut events) => {
                let tally = watch(events.as_mut(), &store, &record).await?;
                tell(&tally);
                match out {
                    Some((path, format)) => collect::write(&store, &record.submission, &path, format).await?,
                    None if tally.answered() as u64 == record.jobs => Ending::Whole,
                    None => Ending::Incomplete,
                }
            }
            None => Ending::Whole,
        };
        queue.close().await;
        Ok(ending)
    }

    async fn send_all(
        self,
        config: &Config,
        ask: &Ask,
        queue: &Arc<dyn JobQueue>,
        store: &Objects,
    ) -> anyhow::Result<Record> {
        let sender = Sender {
            queue: queue.clone(),
            store: Arc::new(store.clone()),
            settings: config.submitter.clone(),
            limits: config.worker.limits.clone(),
            clock: now,
        };
        let (into, chunks) = mpsc::channel(WAITING);
        let reading = tokio::task::spawn_blocking(move || self.read(&into));
        let bar = args::progress("sending");
        let told = |jobs: u64, flights: u64| bar.set_message(format!("{flights} flights, {jobs} jobs"));
        let sent = sender.send(ask, chunks, &told).await.with_context(|| {
            format!("submission {0} is not sent to its end; the same call with --id {0} sends it again", ask.submission)
        });
        bar.finish_and_clear();
        let record = sent?;
        reading.await.context("reading the flights")?;
        Ok(record)
    }

    /// Reads the flights and cuts them into chunks.
    fn read(&self, into: &mpsc::Sender<Result<Chunk, SubmitError>>) {
        let chunks = || -> Result<(), FlightsError> {
            let altitude_unit = self.flights.altitude_unit.map(AltitudeUnit::from);
            let options = ReadOptions { altitude_unit, ..ReadOptions::default() };
            let mut reader = FleetReader::open(&self.flights.flights, &options)?;
            while let Some(mut loaded) = reader.next_batch(WAYPOINTS_AT_A_TIME)? {
                loaded.fleet.shift_time(self.flights.time_shift);
                let rejected = loaded.rejects.into_iter().map(|r| Rejected {
                    flight_id: r.flight_id,
                    reason: r.reason,
                    waypoints: r.waypoints as u64,
                });
                let mut chunk = Chunk { rejected: rejected.collect(), ..Chunk::default() };
                for start in (0..loaded.fleet.len()).step_by(self.chunk) {
                    chunk.fleet = loaded.fleet.cut(start..loaded.fleet.len().min(start.saturating_add(self.chunk)));
                    // Nobody sends any more: it has failed, and says so.
                    if into.blocking_send(Ok(std::mem::take(&mut chunk))).is_err() {
                        return Ok(());
                    }
                }
                if !chunk.rejected.is_empty() {
                    let _ = into.blocking_send(Ok(chunk));
                }
            }
            Ok(())
        };
        if let Err(error) = chunks() {
            let _ = into.blocking_send(Err(SubmitError::Flights(error.to_string())));
        }
    }
}

/// The clock that stamps jobs.
fn now() -> Timestamp {
    app::clock()()
}

/// Waits for the ends of all jobs.
async fn watch(events: &mut dyn crate::queue::Subscription, store: &Objects, record: &Record) -> anyhow::Result<Tally> {
    let bar = args::progress("computing");
    bar.set_length(record.jobs);
    let told = |tally: &Tally| bar.set_position(tally.ended() as u64);
    let watching = submitter::watch(events, store, record, QUIET, &told);
    let tally = tokio::select! {
        tally = watching => tally?,
        _ = tokio::signal::ctrl_c() => {
            bar.finish_and_clear();
            bail!("not waited to the end; later: skydose collect {} --out FILE", record.submission);
        }
    };
    bar.finish_and_clear();
    Ok(tally)
}

/// Says how jobs ended that have no answer.
fn tell(tally: &Tally) {
    const SHOWN: usize = 10;
    eprintln!("{} jobs answered", tally.answered());
    if tally.cancelled() > 0 {
        eprintln!("{} jobs cancelled", tally.cancelled());
    }
    let buried = tally.buried();
    let more = buried.len().saturating_sub(SHOWN);
    for (job, kind, reason) in buried.take(SHOWN) {
        eprintln!("{job} lies among the dead letters, {}: {reason}", kind.name());
    }
    if more > 0 {
        eprintln!("and {more} more; skydose dead-letters list names them");
    }
}

/// Reads a time, or a duration from now.
fn deadline(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let duration: Option<SignedDuration> = text.parse().ok().filter(|d: &SignedDuration| d.is_positive());
    duration.and_then(|d| now.checked_add(d).ok()).with_context(|| {
        format!("--deadline is {text:?}, expected a time such as 2024-06-01T12:00:00Z or a duration such as 2h")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_times_or_durations() {
        let now: Timestamp = "2024-06-01T10:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2024-06-01T12:00:00Z", "2024-06-01T12:00:00Z"),
            ("2024-06-01T14:00:00+02:00", "2024-06-01T12:00:00Z"),
            ("2h", "2024-06-01T12:00:00Z"),
            ("1m 30s", "2024-06-01T10:01:30Z"),
        ] {
            assert_eq!(deadline(text, now).unwrap().to_string(), expected, "{text}");
        }
        for bad in ["", "soon", "-2h", "12"] {
            assert!(deadline(bad, now).unwrap_err().to_string().contains("expected a time"), "{bad}");
        }
    }
}
