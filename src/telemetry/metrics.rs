//! The table of metrics, and their text for Prometheus.
//!
//! Only `events/` writes them, each beside the line of the log that tells the
//! same. A test there shows that every row of `METRICS` is written by some
//! event and that no event writes another.

use std::{fmt::Write as _, fs, sync::OnceLock};

use metrics::{Label, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::events;

/// One metric: its name by Prometheus' conventions, base units in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// Bounds for durations of steps \[s\].
pub(crate) const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Bounds for times that include waiting in a queue \[s\].
pub(crate) const WAITING_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

type Labels<'a> = &'a [(&'static str, &'a str)];

impl Metric {
    pub(crate) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Counter }
    }

    pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge }
    }

    pub(crate) const fn histogram(name: &'static str, help: &'static str, bounds: &'static [f64]) -> Self {
        Self { name, help, kind: Kind::Histogram(bounds) }
    }

    pub(crate) fn add(&self, count: u64, labels: Labels<'_>) {
        counter!(self.name, owned(labels)).increment(count);
    }

    pub(crate) fn set(&self, value: f64, labels: Labels<'_>) {
        gauge!(self.name, owned(labels)).set(value);
    }

    pub(crate) fn observe(&self, value: f64, labels: Labels<'_>) {
        histogram!(self.name, owned(labels)).record(value);
    }

    fn describe(&self) {
        match self.kind {
            Kind::Counter => describe_counter!(self.name, self.help),
            Kind::Gauge => describe_gauge!(self.name, self.help),
            Kind::Histogram(_) => describe_histogram!(self.name, self.help),
        }
    }
}

fn owned(labels: Labels<'_>) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

/// All that is told, as text for Prometheus.
#[derive(Clone)]
pub struct Exposition(PrometheusHandle);

impl Exposition {
    /// Starts to gather the metrics of this process; a second call gives the
    /// same.
    #[must_use]
    pub fn start() -> Self {
        static STARTED: OnceLock<Exposition> = OnceLock::new();
        let start = || {
            let recorder = recorder();
            let handle = recorder.handle();
            // Only this function sets one, and only once.
            if metrics::set_global_recorder(recorder).is_ok() {
                events::METRICS.iter().copied().flatten().for_each(Metric::describe);
            }
            Self(handle)
        };
        STARTED.get_or_init(start).clone()
    }

    /// The text that a scrape gets.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        let mut text = self.0.render();
        process(&mut text);
        text
    }
}

/// One that knows the buckets of all histograms.
fn recorder() -> PrometheusRecorder {
    let builder = events::METRICS.iter().copied().flatten().fold(PrometheusBuilder::new(), |builder, metric| {
        let Kind::Histogram(bounds) = metric.kind else { return builder };
        match builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds) {
            Ok(builder) => builder,
            // Only where there are no bounds, and a test looks at the table.
            Err(e) => unreachable!("{}: {e}", metric.name),
        }
    });
    builder.build_recorder()
}

/// What every exporter of Prometheus tells of its process, where the system
/// says it.
fn process(text: &mut String) {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|statm| statm.split_whitespace().nth(1)?.parse::<u64>().ok());
    if let Some(pages) = resident {
        let _ = write!(
            text,
            "# HELP process_resident_memory_bytes Resident memory.\n# TYPE process_resident_memory_bytes gauge\n\
             process_resident_memory_bytes {}\n\n",
            pages * 4096
        );
    }
    // Fields 14 and 15, counted behind the name in parentheses, in hundredths.
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let ticks = stat.and_then(|stat| {
        let fields: Vec<u64> = stat.rsplit(')').next()?.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
        Some(fields.get(11)? + fields.get(12)?)
    });
    if let Some(ticks) = ticks {
        let _ = write!(
            text,
            "# HELP process_cpu_seconds_total Time of processors used.\n# TYPE process_cpu_seconds_total counter\n\
             process_cpu_seconds_total {}\n\n",
            ticks as f64 / 100.0
        );
    }
}

/// Runs `tell` and gives the text of what it wrote, and nothing else.
#[cfg(test)]
pub(super) fn rendered(tell: impl FnOnce()) -> String {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, tell);
    handle.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_tells_of_itself() {
        let mut text = String::new();
        process(&mut text);
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes ") > 1e6);
        assert!(value("process_cpu_seconds_total ") >= 0.0);
    }
}
