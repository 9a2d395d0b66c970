//! What exchanges and queues are called.

use std::{fmt, time::Duration};

use crate::queue::{DELAYS, Destination, Priority, Properties, delay};

/// The names of exchanges and queues, which all begin alike.
#[derive(Debug, Clone)]
pub struct Names(String);

/// An exchange and a routing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub exchange: String,
    pub key: String,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exchange.is_empty() {
            write!(f, "queue {}", self.key)
        } else {
            write!(f, "exchange {} with key {:?}", self.exchange, self.key)
        }
    }
}

/// The first word of the topics that go to workers.
const COMMANDS: &str = "command";

impl Names {
    /// Names that begin with `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self(prefix.to_owned())
    }

    fn of(&self, what: &str) -> String {
        format!("{}.{what}", self.0)
    }

    /// What they begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// Exchange of the jobs; the routing key is the priority.
    #[must_use]
    pub fn jobs(&self) -> String {
        self.of("jobs")
    }

    /// Queue of the jobs of one priority.
    #[must_use]
    pub fn queue(&self, priority: Priority) -> String {
        self.of(&format!("jobs.{}", priority.name()))
    }

    /// Exchange and queue of the jobs that wait for `tier`.
    #[must_use]
    pub fn later(&self, tier: Duration) -> String {
        self.of(&format!("later.{}s", tier.as_secs()))
    }

    /// Exchanges and queues of all tiers.
    pub fn tiers(&self) -> impl Iterator<Item = (Duration, String)> {
        DELAYS.into_iter().map(|tier| (tier, self.later(tier)))
    }

    /// Exchange and queue of the dead letters.
    #[must_use]
    pub fn dead(&self) -> String {
        self.of("dead")
    }

    /// Exchange of the results; the routing key is the submission.
    #[must_use]
    pub fn results(&self) -> String {
        self.of("results")
    }

    /// Queue of one submission's results.
    #[must_use]
    pub fn submission(&self, submission: &str) -> String {
        self.of(&format!("results.{submission}"))
    }

    /// Exchange and queue of results that no queue waits for.
    #[must_use]
    pub fn unrouted(&self) -> String {
        self.of("unrouted")
    }

    /// Exchange of the telemetry, and the stream that keeps it a while.
    #[must_use]
    pub fn telemetry(&self) -> String {
        self.of("telemetry")
    }

    /// Stream of the commands to workers alone.
    #[must_use]
    pub fn commands(&self) -> String {
        self.of("commands")
    }

    /// The topics of the stream of commands.
    #[must_use]
    pub fn command_topics() -> String {
        format!("{COMMANDS}.#")
    }

    /// The stream that has what `topics` matches.
    #[must_use]
    pub fn stream(&self, topics: &str) -> String {
        if topics.split('.').next() == Some(COMMANDS) { self.commands() } else { self.telemetry() }
    }

    /// Exchange and queue of the leader's seat.
    #[must_use]
    pub fn seat(&self) -> String {
        self.of("leader")
    }

    /// Where a message goes.
    pub(super) fn route(&self, to: &Destination, properties: &Properties) -> Route {
        let priority = properties.priority.name().to_owned();
        match to {
            Destination::Jobs => Route { exchange: self.jobs(), key: priority },
            // The key stays with the message when its time is up.
            Destination::Later(wanted) => Route { exchange: self.later(delay(*wanted)), key: priority },
            Destination::Dead => Route { exchange: self.dead(), key: priority },
            Destination::Results => {
                Route { exchange: self.results(), key: properties.submission.clone().unwrap_or_default() }
            }
            Destination::Reply(queue) => Route { exchange: String::new(), key: queue.clone() },
            Destination::Telemetry(topic) | Destination::Order(topic) => {
                Route { exchange: self.telemetry(), key: topic.clone() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_has_its_way() {
        let names = Names::new("x");
        let properties =
            Properties { submission: Some("s1".into()), priority: Priority::High, ..Properties::default() };
        for (to, exchange, key) in [
            (Destination::Jobs, "x.jobs", "high"),
            (Destination::Later(Duration::from_secs(7)), "x.later.10s", "high"),
            (Destination::Dead, "x.dead", "high"),
            (Destination::Results, "x.results", "s1"),
            (Destination::Reply("mine".into()), "", "mine"),
            (Destination::Telemetry("heartbeat.w".into()), "x.telemetry", "heartbeat.w"),
            (Destination::Order("scaling.order".into()), "x.telemetry", "scaling.order"),
        ] {
            assert_eq!(names.route(&to, &properties), Route { exchange: exchange.into(), key: key.into() });
        }
        assert_eq!(names.stream("command.w1"), "x.commands");
        assert_eq!(names.stream("heartbeat.*"), "x.telemetry");
    }
}
