//! How full a queue is, and how fast it moves.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Priority, QueueError};

/// One look at the queues. What is not known is absent, never zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueFigures {
    /// The jobs' queues. One that cannot be looked at has only unknowns.
    pub priorities: BTreeMap<Priority, PriorityFigures>,
    /// Jobs that wait out a delay before they are tried again.
    pub delayed: Option<u64>,
    /// Messages among the dead letters.
    pub dead_letters: Option<u64>,
}

/// The jobs of one priority.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PriorityFigures {
    /// Jobs that wait.
    pub ready: Option<u64>,
    /// Jobs that workers hold.
    pub unacked: Option<u64>,
    /// Jobs that arrive, retries too \[1/s\].
    pub publish_rate: Option<f64>,
    /// Jobs that workers are done with \[1/s\].
    pub ack_rate: Option<f64>,
    /// For how long the first job in the queue has waited, where the jobs
    /// leave in the order in which they came; zero where none waits.
    #[serde(with = "seconds", default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Duration>,
}

/// Looks at the queues.
#[async_trait]
pub trait Gauge: Send + Sync {
    /// The figures of this moment; counts may lag by some seconds.
    ///
    /// # Errors
    /// [`QueueError`] where nothing can be said.
    async fn figures(&self) -> Result<QueueFigures, QueueError>;
}

impl QueueFigures {
    /// Names of what is not known, such as `high.unacked`; empty where the
    /// figures are whole.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        let mut names = Vec::new();
        for priority in Priority::ALL {
            let figures = self.priorities.get(&priority).cloned().unwrap_or_default();
            for (name, known) in [
                ("ready", figures.ready.is_some()),
                ("unacked", figures.unacked.is_some()),
                ("publish_rate", figures.publish_rate.is_some()),
                ("ack_rate", figures.ack_rate.is_some()),
                ("oldest", figures.oldest.is_some()),
            ] {
                if !known {
                    names.push(format!("{}.{name}", priority.name()));
                }
            }
        }
        for (name, known) in [("delayed", self.delayed.is_some()), ("dead_letters", self.dead_letters.is_some())] {
            if !known {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Whether anything is not known.
    #[must_use]
    pub fn partial(&self) -> bool {
        !self.unknown().is_empty()
    }
}

/// A duration as seconds, `12.5`.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, into: S) -> Result<S::Ok, S::Error> {
        duration.map(|d| d.as_secs_f64()).serialize(into)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        seconds.map(|s| Duration::try_from_secs_f64(s).map_err(de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_named() {
        let whole = PriorityFigures {
            ready: Some(3),
            unacked: Some(1),
            publish_rate: Some(0.5),
            ack_rate: Some(0.0),
            oldest: Some(Duration::from_millis(12_500)),
        };
        let mut figures = QueueFigures {
            priorities: Priority::ALL.map(|p| (p, whole.clone())).into(),
            delayed: Some(0),
            dead_letters: Some(0),
        };
        assert!(!figures.partial());
        let text = serde_json::to_string(&figures).unwrap();
        assert!(text.contains("\"oldest\":12.5"), "{text}");
        assert_eq!(serde_json::from_str::<QueueFigures>(&text).unwrap(), figures);

        figures.priorities.insert(Priority::High, PriorityFigures { unacked: None, ..whole });
        figures.dead_letters = None;
        assert_eq!(figures.unknown(), ["high.unacked", "dead_letters"]);
        assert_eq!(QueueFigures::default().unknown().len(), 12);
    }
}
