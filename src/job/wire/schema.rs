//! What a job looks like, for the schema of the messages: the parts that are
//! read by hand.
#![expect(dead_code, reason = "describes, is never made")]

use schemars::JsonSchema;

use super::Head;
use crate::job::Id;

/// The body of a job: what is asked, and the flights. `dataset` and one of
/// `flights` and `flights_in_store` are needed; all else has a default.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{ "required": ["flights"] }, { "required": ["flights_in_store"] }]))]
pub struct Job {
    #[schemars(flatten)]
    head: Head,
    /// The flights, unless they are in the store.
    flights: Option<Vec<Flight>>,
}

/// What travels beside a body, as clients of AMQP name it.
#[derive(JsonSchema)]
#[schemars(rename = "Beside")]
pub struct Properties {
    /// The kind of the body.
    #[schemars(extend("enum" = KINDS))]
    r#type: String,
    /// Of a job: its name, unique in its submission. Of a result: its key, or
    /// the job's name where it has none. Empty on telemetry.
    message_id: String,
    /// `application/vnd.apache.arrow.stream` for the flights of jobs alone.
    #[schemars(extend("enum" = [super::JSON, super::ARROW]))]
    content_type: String,
    /// Where the body is compressed; of jobs alone.
    #[schemars(extend("enum" = ["zstd", "identity", ""]))]
    content_encoding: Option<String>,
    /// 2, kept on disk; telemetry is not.
    #[schemars(extend("enum" = [1, 2]))]
    delivery_mode: Option<u8>,
    /// A queue that gets the result of the job, too.
    reply_to: Option<String>,
    /// The submitter's own mark, handed back with the result.
    correlation_id: Option<String>,
    /// Headers.
    headers: Headers,
}

/// Kinds of messages.
const KINDS: [&str; 6] =
    [super::KIND, "skydose.result", "skydose.heartbeat", "skydose.command", "skydose.scaling", "skydose.scaling-order"];

/// Headers of a message; others, such as those of a trace, are handed on.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
struct Headers {
    /// Of the format of the kind.
    #[schemars(extend("const" = 1))]
    skydose_version: u32,
    /// Which submission the message belongs to; of jobs and results.
    skydose_submission: Option<Id>,
    /// After this instant nobody wants the answer.
    #[schemars(extend("format" = "date-time"))]
    skydose_deadline: Option<String>,
    /// When the job was sent first.
    #[schemars(extend("format" = "date-time"))]
    skydose_submitted_at: Option<String>,
    /// Besides the routing key, so that it outlives detours.
    #[schemars(extend("enum" = ["high", "normal"]))]
    skydose_priority: Option<String>,
    /// Tries that failed; the workers' own.
    skydose_attempt: Option<u32>,
    /// Tries that took a worker down; the workers' own.
    skydose_crashes: Option<u32>,
    /// Why a dead letter was buried, in one word.
    skydose_reason: Option<String>,
    /// The same as an error, for people.
    skydose_error: Option<String>,
}

/// A flight: its name, and columns of one length. Of columns for the height
/// one is enough, and each waypoint takes the first that has a value; null
/// stands for what is missing. Workers know the other names of flights files,
/// too (`lon`, `baroaltitude`, …); these are the ones to write.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Flight {
    /// The flight's name, unique in its job.
    flight_id: String,
    /// Seconds since 1970-01-01T00:00:00 UTC, or RFC 3339.
    time: Vec<Time>,
    /// Degrees east.
    longitude: Vec<Option<f64>>,
    /// Degrees north.
    latitude: Vec<Option<f64>>,
    /// Static air pressure [hPa].
    level: Option<Vec<Option<f64>>>,
    /// Static air pressure [Pa].
    pressure_pa: Option<Vec<Option<f64>>>,
    /// Pressure altitude [ft].
    altitude_ft: Option<Vec<Option<f64>>>,
    /// Pressure altitude in hundreds of feet.
    flight_level: Option<Vec<Option<f64>>>,
    /// Pressure altitude [m].
    altitude_m: Option<Vec<Option<f64>>>,
    /// Pressure altitude in the unit that `altitude_unit` says.
    altitude: Option<Vec<Option<f64>>>,
    /// Whether the aircraft is on the ground; false where it is not said.
    on_ground: Option<Vec<Option<bool>>>,
}

/// A time.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Time {
    /// Seconds since 1970-01-01T00:00:00 UTC.
    Seconds(f64),
    /// RFC 3339.
    Text(String),
}

/// Air through the engines' cores.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EngineFlow {
    /// How many engines, 1 to 16.
    engines: f64,
    /// Through the core of one engine, by phase.
    core_mass_flow: EngineFlowPhases,
}

/// The flow through one core in each phase.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct EngineFlowPhases {
    /// On the ground.
    ground: EngineFlowCurve,
    /// Climbing.
    climb: EngineFlowCurve,
    /// Level.
    cruise: EngineFlowCurve,
    /// Descending.
    descent: EngineFlowCurve,
}

/// A flow [kg/s].
#[derive(JsonSchema)]
#[schemars(untagged, deny_unknown_fields)]
enum EngineFlowCurve {
    /// The same at all altitudes.
    Constant(f64),
    /// Over pressure altitude [ft], linear in pressure between the points.
    Curve { altitude_ft: Vec<f64>, kg_s: Vec<f64> },
}
