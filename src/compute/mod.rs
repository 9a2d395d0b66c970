//! Programs over fields and flights: the engine and its backends.
//!
//! | backend | file |
//! |---|---|
//! | rayon on the CPU: the definition of the right answer | `cpu/` |

pub mod answer;
pub mod cpu;
pub mod cuda;
pub(crate) mod prefetch;
pub mod rolling;
pub mod run;
pub mod state;

use std::{fmt, sync::Arc};

use crate::{
    exposure::program::Program,
    field::slab::Slab,
    grid::Grid,
    trajectory::{Fleet, phase::Phase},
};

use run::Flights;
use state::FlightState;

/// A window of a field's times in memory.
pub struct Window<'a> {
    /// The axes.
    pub grid: &'a Grid,
    /// All times of the field \[s since 1970\], ascending.
    pub times_s: &'a [f64],
    /// `slabs[0]` is `times_s[first]`.
    pub first: usize,
    /// Consecutive times.
    pub slabs: &'a [Arc<Slab>],
}

/// Flights, their phases and how far each has come.
pub struct Batch<'a> {
    /// The flights.
    pub fleet: &'a Fleet,
    /// A label a waypoint of the fleet, in its order: of the segment that
    /// starts there.
    pub phases: &'a [Vec<Phase>],
    /// As many as flights.
    pub states: &'a mut [FlightState],
}

/// Something that runs a program.
pub trait Backend: Send + Sync {
    /// What it is, for results' metadata.
    fn description(&self) -> Description;

    /// What it calls itself, for people.
    fn name(&self) -> String {
        self.description().to_string()
    }

    /// Takes up flights; nothing is computed before the first window.
    ///
    /// # Errors
    /// Where the backend cannot serve these flights; another must.
    fn begin<'a>(&'a self, program: &'a Program, flights: Flights<'a>) -> Result<Box<dyn Session + 'a>, BackendFault>;

    /// Whether its answers are to be trusted and new work may be given to it.
    fn health(&self) -> Health;
}

/// Flights on their way through a program.
pub trait Session: Send {
    /// Takes every flight's samples that lie in `window`, after those of the
    /// windows before it: windows come in the order of time, overlap by one
    /// slab, and a flight's figures do not depend on how the times were cut.
    ///
    /// # Errors
    /// Where the backend gave up; what it had is lost.
    fn advance(&mut self, window: &Window<'_>) -> Result<(), BackendFault>;

    /// The state of each flight after the last window.
    ///
    /// # Errors
    /// Where the backend gave up; what it had is lost.
    fn finish(self: Box<Self>) -> Result<Vec<FlightState>, BackendFault>;
}

/// What computes: nothing here changes a figure's promise, and none of it
/// depends on the number of threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// `cpu` or `cuda`.
    pub backend: &'static str,
    /// As its maker calls it.
    pub device: String,
    /// Of the field's values: `float32` or `float16`.
    pub precision: &'static str,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.backend, self.device, self.precision)
    }
}

/// Why a backend gave flights back; they are then computed in halves where
/// there was too little memory, else on the CPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{device}: {what}")]
pub struct BackendFault {
    /// Who.
    pub device: String,
    /// What happened.
    pub what: String,
    /// Whether fewer flights might be computed.
    pub is_out_of_memory: bool,
}

/// Whether a backend may be given work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It may.
    Well,
    /// A device gave wrong answers or does not answer any more, for this
    /// reason. What it gave back is right, for the CPU computed it again; the
    /// process should be replaced by one with a fresh device context.
    Quarantined(String),
}

impl Window<'_> {
    /// Up to which instant this window takes samples: the last window takes
    /// those at its end and after it too, where there is no field.
    pub(crate) fn end_s(&self) -> f64 {
        if self.is_last() { f64::INFINITY } else { self.times_s[self.first + self.slabs.len() - 1] }
    }

    fn is_last(&self) -> bool {
        self.first + self.slabs.len() >= self.times_s.len()
    }
}
