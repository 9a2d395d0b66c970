//! What happened: one struct an event, whose `emit` writes the line of the
//! log and its metrics together.
//!
//! | events of | file |
//! |---|---|
//! | a worker and its jobs | `worker.rs` |
//! | the leader's rounds | `control.rs` |
//!
//! Levels: `error` asks for a person, `warn` tells of something that went
//! wrong and was dealt with, `info` tells of the life of the process, `debug`
//! of single jobs.

pub(crate) mod control;
pub(crate) mod worker;

use super::metrics::Metric;

/// Every metric, by the file that writes it.
pub(super) const METRICS: &[&[Metric]] = &[worker::METRICS, control::METRICS];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::metrics::{Kind, rendered},
        *,
    };

    #[test]
    fn every_metric_is_written_and_no_other() {
        let text = rendered(|| {
            worker::emit_all();
            control::emit_all();
        });
        let written: BTreeSet<(&str, &str)> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        let declared: BTreeSet<(&str, &str)> = METRICS
            .iter()
            .copied()
            .flatten()
            .map(|metric| {
                let kind = match metric.kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram(_) => "histogram",
                };
                (metric.name, kind)
            })
            .collect();
        assert_eq!(written, declared);
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in METRICS.iter().copied().flatten() {
            assert!(metric.name.starts_with("skydose_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
                assert!(!bounds.is_empty() && bounds.is_sorted(), "{}", metric.name);
            }
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
