//! Whether the numbers are right.
//!
//! | judged against | file |
//! |---|---|
//! | a naive double-precision implementation, on random grids and flights | `judged.rs`, `oracle.rs` |
//! | closed forms of analytic fields | `analytic.rs`, `plumes.rs`, `demo_plumes.rs` |
//! | themselves, where nothing may change | `invariants.rs` |
//! | worked examples of single figures | `figures.rs` |
//! | the ends of what is possible | `edges.rs` |
//! | values of other programs on real fields | `real.rs` |
//! | the CPU, where a GPU computes | `cuda/` |

mod analytic;
pub mod cuda;
mod demo_plumes;
mod edges;
mod figures;
mod invariants;
mod judged;
mod memory;
mod oracle;
mod plumes;
mod real;

use std::collections::BTreeMap;

use skydose::{
    compute::{
        answer::Answers,
        cpu::Cpu,
        run::{Flights, Run, Spent},
    },
    exposure::{
        Exposure,
        program::Integration,
        request::{Limit, Request},
    },
    field::dataset::Dataset,
    grid::VerticalRule,
    trajectory::{
        Fleet, Waypoint,
        phase::{self, Phase},
    },
    units::Pressure,
};

/// Memory that is never short.
const PLENTY: usize = 1 << 33;

/// A waypoint in the air: time \[s\], longitude, latitude \[degrees\], pressure \[Pa\].
fn waypoint(time_s: f64, longitude_deg: f64, latitude_deg: f64, pressure_pa: f64) -> Waypoint {
    Waypoint { time_s, longitude_deg, latitude_deg, pressure: Pressure::from_pascal(pressure_pa), on_ground: false }
}

/// Flights named by their number.
fn fleet<'a>(flights: impl IntoIterator<Item = &'a Vec<Waypoint>>) -> Fleet {
    let mut fleet = Fleet::new();
    for (number, flight) in flights.into_iter().enumerate() {
        fleet.push(number.to_string(), flight).expect("a flight");
    }
    fleet
}

/// The labels of all flights.
fn labels(fleet: &Fleet) -> Vec<Vec<Phase>> {
    fleet.iter().map(|flight| phase::label(&flight)).collect()
}

/// A request with thresholds in the words of the command line.
fn request(integration: Integration, contaminants: &[&str], thresholds: &[(&str, &str)]) -> Request {
    let mut limits: BTreeMap<String, Vec<Limit>> = BTreeMap::new();
    for (name, limit) in thresholds {
        limits.entry((*name).to_owned()).or_default().push(Limit::parse(limit).expect("a threshold"));
    }
    Request {
        contaminants: contaminants.iter().map(|&c| c.to_owned()).collect(),
        thresholds: limits,
        integration,
        engine_flow: None,
    }
}

/// The rows of each flight, phases as given.
fn answers(
    dataset: &Dataset,
    request: &Request,
    vertical: VerticalRule,
    fleet: &Fleet,
    phases: &[Vec<Phase>],
) -> Vec<Vec<Exposure>> {
    let passes = request.passes(dataset).expect("passes");
    let flights = Flights { fleet, phases };
    let backend = Cpu::new();
    let run = Run { dataset, backend: &backend, vertical, field_bytes: PLENTY, kept: None, progress: &|_| () };
    let passed = run.run(&passes, &flights, &mut Spent::default()).expect("a run");
    let answers = Answers::new(&passes, &flights, &passed, dataset.members());
    (0..fleet.len()).map(|i| answers.of(i)).collect()
}

/// The rows of each flight.
fn exposures(dataset: &Dataset, request: &Request, vertical: VerticalRule, fleet: &Fleet) -> Vec<Vec<Exposure>> {
    answers(dataset, request, vertical, fleet, &labels(fleet))
}

/// The row of a contaminant over a whole flight, without members.
fn whole<'a>(rows: &'a [Exposure], contaminant: &str) -> &'a Exposure {
    rows.iter()
        .find(|r| &*r.contaminant == contaminant && r.phase == Phase::Flight && r.member.is_none())
        .expect("a row of the flight")
}

/// Relative difference, of two numbers that are not zero.
fn relative(actual: f64, expected: f64) -> f64 {
    ((actual - expected) / expected).abs()
}

#[track_caller]
fn assert_close(actual: f64, expected: f64, tolerance: f64, what: &str) {
    let difference = if expected == 0.0 { actual.abs() } else { relative(actual, expected) };
    assert!(difference <= tolerance, "{what}: {actual} is not {expected} within {tolerance:e}: {difference:e}");
}
