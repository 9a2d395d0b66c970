//! What a job looks like, for the schema of the messages: the parts that are
//! read by hand.
#![expect(dead_code, reason = "describes, is never made")]

use schemars::JsonSchema;

use super::Head;

/// A job: what is asked, and the flights. `dataset` and one of `flights` and
/// `flights_in_store` are needed; all else has a default.
#[derive(JsonSchema)]
pub struct Job {
    #[schemars(flatten)]
    head: Head,
    /// The flights, unless they are in the store.
    flights: Option<Vec<Flight>>,
}

/// A flight: its name, and columns of one length. Of columns for the height
/// one is enough, and each waypoint takes the first that has a value; null
/// stands for what is missing. Columns may be called as in flights files, too
/// (`lon`, `baroaltitude`, …).
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
