//! `skydose status`: the queues and the workers at this moment.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Ending, history, say,
    worker::{Configuration, runtime},
};
use crate::{
    app,
    config::Config,
    queue::{Gauge as _, JobQueue as _, PriorityFigures, QueueFigures},
    telemetry::message::{Heartbeat, Said as _, WorkerId},
};

/// How far back heartbeats are heard: some of the usual pace.
const PAST: Duration = Duration::from_secs(20);

/// What was said before is there at once; nothing for so long means no more.
const QUIET: Duration = Duration::from_millis(700);

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    configuration: Configuration,
    /// As one JSON document.
    #[arg(long)]
    json: bool,
    /// What the leader saw, decided and did in its last rounds, instead.
    #[arg(long)]
    history: bool,
    /// How long to listen for workers at most, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 6.0)]
    listen: f64,
}

/// All there is to tell.
#[derive(Debug, Serialize)]
struct Report {
    at: Timestamp,
    queues: QueueFigures,
    /// What of the queues is not known.
    unknown: Vec<String>,
    workers: Vec<Heartbeat>,
    /// Who decides on the number of nodes, where someone says so.
    leader: Option<String>,
}

impl Status {
    /// Looks and prints.
    ///
    /// # Errors
    /// A broker that does not answer.
    pub fn run(self) -> anyhow::Result<Ending> {
        let config = self.configuration.read()?;
        let listen = Duration::try_from_secs_f64(self.listen)
            .map_err(|_| anyhow::anyhow!("--listen is {}, expected seconds", self.listen))?;
        if self.history {
            return self.history(&config, listen);
        }
        let report = runtime()?.block_on(report(&config, listen))?;
        if self.json {
            let text = serde_json::to_string_pretty(&report).context("writing JSON")?;
            say(&format!("{text}\n"))?;
        } else {
            say(&table(&report))?;
        }
        Ok(Ending::Whole)
    }
}

impl Status {
    fn history(&self, config: &Config, listen: Duration) -> anyhow::Result<Ending> {
        let rounds = runtime()?.block_on(async {
            let broker = app::broker(config)?;
            let rounds = history::rounds(&broker, listen).await;
            broker.queue.close().await;
            rounds
        })?;
        if self.json {
            let text = serde_json::to_string_pretty(&rounds).context("writing JSON")?;
            say(&format!("{text}\n"))?;
        } else {
            say(&history::table(&rounds))?;
        }
        Ok(Ending::Whole)
    }
}

async fn report(config: &Config, listen: Duration) -> anyhow::Result<Report> {
    let broker = app::broker(config)?;
    let figures = broker.gauge.figures();
    let (queues, workers, leader) = tokio::join!(figures, workers(&broker, listen), history::leader(&broker));
    let (queues, workers, leader) = (queues?, workers?, leader?);
    let at = (app::clock())();
    broker.queue.close().await;
    let workers = workers.into_values().filter(|heartbeat| is_fresh(heartbeat, at)).collect();
    Ok(Report { at, unknown: queues.unknown(), queues, workers, leader })
}

/// The last heartbeat of each worker.
async fn workers(broker: &app::Broker, listen: Duration) -> anyhow::Result<BTreeMap<WorkerId, Heartbeat>> {
    let end = Instant::now() + listen;
    let mut listener = broker.queue.listen("#", PAST).await?;
    let mut workers = BTreeMap::new();
    loop {
        let wait = if workers.is_empty() { listen } else { QUIET };
        let Ok(Ok(Some((_, message)))) = timeout_at(end, timeout(wait, listener.next())).await else { break };
        if let Ok(heartbeat) = Heartbeat::decode(&message.body) {
            workers.insert(heartbeat.worker.clone(), heartbeat);
        }
    }
    Ok(workers)
}

/// Whether the worker should still be there: three heartbeats may get lost.
fn is_fresh(heartbeat: &Heartbeat, now: Timestamp) -> bool {
    now.duration_since(heartbeat.at).as_secs_f64() <= 3.0 * heartbeat.every_s + 1.0
}

fn table(report: &Report) -> String {
    let mut text = String::from("QUEUE      READY  UNACKED     IN/S    OUT/S  OLDEST\n");
    for (priority, figures) in &report.queues.priorities {
        let PriorityFigures { ready, unacked, publish_rate, ack_rate, oldest } = figures;
        let oldest = oldest.map_or_else(unknown, |age| format!("{:.0} s", age.as_secs_f64()));
        let _ = writeln!(
            text,
            "{:<8} {:>7} {:>8} {:>8} {:>8}  {oldest}",
            priority.name(),
            count(*ready),
            count(*unacked),
            rate(*publish_rate),
            rate(*ack_rate),
        );
    }
    let _ = writeln!(text, "{:<8} {:>7}", "delayed", count(report.queues.delayed));
    let _ = writeln!(text, "{:<8} {:>7}", "dead", count(report.queues.dead_letters));
    if let Some(leader) = &report.leader {
        let _ = writeln!(text, "\nleader {leader}");
    }
    if report.workers.is_empty() {
        text += "\nno worker has been heard\n";
        return text;
    }
    text += "\nWORKER                           NODE                 STATE        JOBS  DONE      FLIGHTS/S  BUSY   FIELDS                BACKEND\n";
    for w in &report.workers {
        let fields = format!(
            "{} ({} MB)",
            if w.datasets.is_empty() { "none".into() } else { w.datasets.join(", ") },
            w.field_bytes / 1_000_000
        );
        let _ = writeln!(
            text,
            "{:<32} {:<20} {:<12} {:>4}  {:<9} {:>9}  {:>3.0} %  {fields:<21} {}",
            w.worker,
            w.node,
            w.state.name(),
            w.in_flight,
            w.jobs_done,
            rate(w.flights_per_s),
            w.busy * 100.0,
            w.backend,
        );
        if let Some(reason) = &w.reason {
            let _ = writeln!(text, "  {reason}");
        }
    }
    text
}

fn count(value: Option<u64>) -> String {
    value.map_or_else(unknown, |count| count.to_string())
}

fn rate(value: Option<f64>) -> String {
    value.map_or_else(unknown, |rate| if rate >= 100.0 { format!("{rate:.0}") } else { format!("{rate:.1}") })
}

fn unknown() -> String {
    "?".to_owned()
}
