//! Messages that workers and control exchange on the telemetry exchange.
//!
//! A [`Heartbeat`] goes out from every worker at a steady pace and at each
//! change of its state; a [`Command`] goes to one worker. Neither is stored
//! by the broker: who listens hears what is said from then on, so a command
//! is repeated until a heartbeat shows that it was heard.
//!
//! Bodies are JSON with a `version`. A reader takes its own version and knows
//! what it needs: fields that a later program adds are passed over, fields
//! that it misses are faults. A change of meaning is a new version.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Of both formats.
pub const VERSION: u32 = 1;

/// The longest name of a worker.
const LONGEST_ID: usize = 128;

/// A worker's name, unique while it runs: letters, digits, `-` and `_`, so
/// that it is one word of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[A-Za-z0-9_-]{1,128}$"))]
pub struct WorkerId(String);

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not yet tested, not yet consuming.
    Starting,
    /// Taking jobs, and has some.
    Consuming,
    /// Taking jobs, and has none.
    Idle,
    /// Takes no more jobs, and finishes those that it has.
    Draining,
    /// Takes no more jobs and has none: its node may go.
    Drained,
    /// Its device gave wrong answers; it takes no more jobs.
    Quarantined,
}

/// What a worker tells about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// Who.
    pub worker: WorkerId,
    /// The machine that it runs on, as the cluster names it.
    pub node: String,
    /// The pool of machines that the node belongs to.
    pub pool: String,
    /// Of the program.
    pub release: String,
    /// What it is doing.
    pub state: State,
    /// Why it drains or is quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who computes: `cpu (avx512, 16 threads)`, …
    pub backend: String,
    /// Jobs that it takes at a time.
    pub slots: u32,
    /// Jobs that it has taken and not settled.
    pub in_flight: u32,
    /// Data sets of which it holds fields in memory.
    pub datasets: Vec<String>,
    /// Bytes of fields in memory.
    pub field_bytes: u64,
    /// Flights computed a second of busy time, over the last minutes; absent
    /// until some were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flights_per_s: Option<f64>,
    /// Part of the time since the last heartbeats in which it computed, 0 to 1.
    pub busy: f64,
    /// Jobs answered since it started.
    pub jobs_done: u64,
    /// When it started.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// When this was said.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Seconds until the next one, at the latest.
    pub every_s: f64,
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// Who is to obey.
    pub worker: WorkerId,
    /// What to do.
    pub order: Order,
    /// Who says so: the leader's name.
    pub from: String,
    /// When this was said.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

/// What to do. Heard twice, an order changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Take no more jobs, finish those taken or give them back, and tell
    /// `drained`. The process stays, so that the order can be taken back.
    Drain {
        /// For the log and the heartbeats.
        reason: String,
    },
    /// Take jobs again.
    Resume,
}

/// A message that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {field} is {value}, expected {expected}")]
pub struct MessageFault {
    /// Which message.
    pub kind: &'static str,
    /// Where in it.
    pub field: String,
    /// As found.
    pub value: String,
    /// What was expected.
    pub expected: String,
}

/// A message on the telemetry exchange.
pub trait Said: Serialize + DeserializeOwned + JsonSchema {
    /// As the properties of a message name it.
    const KIND: &'static str;

    /// Where this message goes.
    fn topic(&self) -> String;

    /// As a body.
    #[must_use]
    fn encode(&self) -> Vec<u8> {
        // Strings, numbers and lists: none of them can fail.
        serde_json::to_vec(&Envelope { version: VERSION, said: self }).unwrap_or_default()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Names the field, what it is and what was expected.
    fn decode(body: &[u8]) -> Result<Self, MessageFault> {
        let fault = |field: &str, value: String, expected: String| MessageFault {
            kind: Self::KIND,
            field: field.into(),
            value,
            expected,
        };
        let found: Version =
            serde_json::from_slice(body).map_err(|e| fault("body", e.to_string(), "JSON with a version".into()))?;
        if found.version != VERSION {
            return Err(fault("version", found.version.to_string(), VERSION.to_string()));
        }
        serde_json::from_slice(body)
            .map_err(|e| fault("body", e.to_string(), format!("a {} of version {VERSION}", Self::KIND)))
    }
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    version: u32,
    #[serde(flatten)]
    said: &'a T,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Heartbeat {
    /// The topics of all heartbeats.
    pub const TOPICS: &str = "heartbeat.*";
}

impl Command {
    /// The topic of the commands to one worker.
    #[must_use]
    pub fn topic_of(worker: &WorkerId) -> String {
        format!("command.{worker}")
    }
}

impl Said for Heartbeat {
    const KIND: &'static str = "skydose.heartbeat";

    fn topic(&self) -> String {
        format!("heartbeat.{}", self.worker)
    }
}

impl Said for Command {
    const KIND: &'static str = "skydose.command";

    fn topic(&self) -> String {
        Self::topic_of(&self.worker)
    }
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Starting, Self::Consuming, Self::Idle, Self::Draining, Self::Drained, Self::Quarantined];

    /// As messages write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Consuming => "consuming",
            Self::Idle => "idle",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Quarantined => "quarantined",
        }
    }

    /// Whether new jobs may go to the worker.
    #[must_use]
    pub fn takes_jobs(self) -> bool {
        matches!(self, Self::Consuming | Self::Idle)
    }
}

impl WorkerId {
    /// A name of the node and a mark that tells its processes apart. What a
    /// topic's word cannot hold becomes `-`.
    #[must_use]
    pub fn new(node: &str, mark: &str) -> Self {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let most = LONGEST_ID.saturating_sub(mark.len() + 1);
        let name: String = node.chars().take(most).chain(['-']).chain(mark.chars()).map(allowed).collect();
        Self(name.chars().take(LONGEST_ID).collect())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WorkerId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if is_word && (1..=LONGEST_ID).contains(&text.len()) {
            return Ok(Self(text));
        }
        Err(format!("{text:?} is no worker's name, expected 1 to {LONGEST_ID} letters, digits, - and _"))
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Heartbeat {
        let at = "2026-03-01T12:00:00Z".parse().unwrap();
        Heartbeat {
            worker: WorkerId::new("node-1.example.org", "a1b2"),
            node: "node-1.example.org".into(),
            pool: "gpu".into(),
            release: "0.1.0".into(),
            state: State::Consuming,
            reason: None,
            backend: "cpu (avx2, 2 threads)".into(),
            slots: 4,
            in_flight: 3,
            datasets: vec!["cams".into()],
            field_bytes: 1 << 30,
            flights_per_s: Some(812.5),
            busy: 0.97,
            jobs_done: 12,
            started_at: at,
            at,
            every_s: 5.0,
        }
    }

    #[test]
    fn messages_come_back_as_they_went() {
        let said = heartbeat();
        assert_eq!(said.topic(), "heartbeat.node-1-example-org-a1b2");
        assert_eq!(Heartbeat::decode(&said.encode()), Ok(said.clone()));
        for order in [Order::Drain { reason: "scale in".into() }, Order::Resume] {
            let command = Command { worker: said.worker.clone(), order, from: "leader".into(), at: said.at };
            assert_eq!(command.topic(), "command.node-1-example-org-a1b2");
            assert_eq!(Command::decode(&command.encode()), Ok(command));
        }
    }

    #[test]
    fn what_a_later_program_adds_is_passed_over() {
        let text = String::from_utf8(heartbeat().encode()).unwrap();
        let more = text.replacen('{', r#"{"mood":"sunny","#, 1);
        assert_eq!(Heartbeat::decode(more.as_bytes()), Ok(heartbeat()));
    }

    #[test]
    fn faults_name_what_was_found_and_expected() {
        let text = String::from_utf8(heartbeat().encode()).unwrap();
        let other = text.replacen(r#""version":1"#, r#""version":7"#, 1);
        let fault = Heartbeat::decode(other.as_bytes()).unwrap_err();
        assert_eq!(fault.to_string(), "skydose.heartbeat: version is 7, expected 1");
        for (from, to, named) in [
            (r#""node":"#, r#""knot":"#, "missing field `node`"),
            (r#""state":"consuming""#, r#""state":"asleep""#, "unknown variant `asleep`"),
            (r#""node-1-example-org-a1b2""#, r#""node.1""#, "expected 1 to 128 letters"),
        ] {
            let fault = Heartbeat::decode(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(named), "{fault}");
        }
        assert!(Command::decode(b"\xff").unwrap_err().to_string().contains("expected JSON with a version"));
    }

    #[test]
    fn names_of_workers_are_words_of_a_topic() {
        let long = "n".repeat(300);
        for (node, mark) in [("node", "1"), ("a.b*c#d e", "x.y"), (&long, "mark"), ("", "1"), ("größe", "1")] {
            let id = WorkerId::new(node, mark);
            assert_eq!(WorkerId::try_from(id.to_string()), Ok(id));
        }
        assert!(WorkerId::new(&long, "mark").as_str().ends_with("-mark"));
    }
}
