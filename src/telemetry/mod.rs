//! What the program tells about itself while it runs.
//!
//! | what | file |
//! |---|---|
//! | the log, as text or JSON | `log.rs` |
//! | traces by OTLP | `trace.rs` |
//! | what happened: a log line and its metrics in one place | `events/` |
//! | the table of metrics, rendered for Prometheus | `metrics.rs` |
//! | `/livez`, `/readyz`, `/metrics`, `/status` | `admin.rs` |
//! | the first two, asked from beside the process | `health.rs` |
//! | whether parts of the process still move | `pulse.rs` |
//! | messages between workers and control: heartbeats and commands | `message.rs` |

pub mod admin;
pub(crate) mod events;
pub mod health;
pub mod log;
pub mod message;
pub mod metrics;
pub mod pulse;
pub mod trace;

/// Why the program cannot tell about itself.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A filter that cannot be read.
    #[error(
        "log.filter is {filter:?}: {what}; expected levels by module, such as \"info\" or \"skydose::worker=debug,warn\""
    )]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        what: String,
    },
    /// It was started before.
    #[error("the log was started before: {0}")]
    Started(String),
    /// Traces that cannot be sent.
    #[error("traces.endpoint is {endpoint:?} and traces.sampled is {sampled}, expected {expected}")]
    Traces {
        /// As given.
        endpoint: String,
        /// As given.
        sampled: f64,
        /// What was expected.
        expected: &'static str,
    },
    /// The exporter of traces does not start.
    #[error("starting the export of traces: {0}")]
    Exporter(String),
    /// The admin server's port.
    #[error("admin.listen is {listen}: {source}")]
    Listen {
        /// As given.
        listen: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}
