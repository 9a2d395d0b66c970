//! Flights through a data set, window by window, within a memory budget.
//!
//! A window is two consecutive times of the field. While the backend walks
//! the flights through one, the next time is read.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Backend, BackendFault, Window, cpu::Cpu, state::FlightState};
use crate::{
    exposure::request::Pass,
    field::{
        FieldError,
        dataset::{Dataset, Field, FieldBox},
        slab::Slab,
    },
    grid::VerticalRule,
    trajectory::{Fleet, phase::Phase},
};

/// Slabs in memory at a time: two of the window, and the one that is read.
const SLABS: usize = 3;

/// How often flights are halved that a backend has no memory for.
const HALVINGS: u32 = 3;

/// How flights are computed.
pub struct Run<'a> {
    /// The fields.
    pub dataset: &'a Dataset,
    /// Who computes.
    pub backend: &'a dyn Backend,
    /// Between levels.
    pub vertical: VerticalRule,
    /// For the field's slabs \[bytes\].
    pub field_bytes: usize,
    /// Where slabs are kept from one run to the next; none reads what it
    /// needs, and only that part of the field.
    pub kept: Option<&'a dyn Slabs>,
    /// Called after each window with the part done, 0 to 1.
    pub progress: &'a (dyn Fn(f64) + Sync),
}

/// Slabs of whole fields that are kept in memory.
pub trait Slabs: Sync {
    /// The slab, where it is in memory.
    fn held(&self, pass: &Pass, time: usize, member: usize) -> Option<Arc<Slab>>;

    /// The slab, read where it is not in memory. May wait for another thread
    /// that reads it, so it is never called by a thread of the pool.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn get(&self, pass: &Pass, field: &Field<'_>, time: usize, member: usize) -> Result<Arc<Slab>, FieldError>;
}

/// Flights and the label of each of their waypoints.
#[derive(Debug, Clone, Copy)]
pub struct Flights<'a> {
    /// The flights.
    pub fleet: &'a Fleet,
    /// A label a waypoint, for each flight.
    pub phases: &'a [Vec<Phase>],
}

/// The states that one pass left, flight by flight.
pub struct Passed {
    /// Which member of the ensemble, counted from 0.
    pub member: usize,
    /// Which of the passes.
    pub pass: usize,
    /// One a flight.
    pub states: Vec<FlightState>,
}

/// Who computed a run's flights, once for each pass over the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Computed {
    /// Flights of the backend that was asked.
    pub asked: usize,
    /// Flights that it gave back, computed on the CPU.
    pub instead: usize,
    /// Why the first of these were given back.
    pub why: Option<String>,
}

impl Computed {
    /// For results' metadata: `name` of the backend that was asked, and the CPU
    /// where it computed instead.
    #[must_use]
    pub fn by(&self, name: &str) -> String {
        match &self.why {
            None => name.to_owned(),
            Some(why) if self.asked == 0 => format!("cpu after {why}"),
            Some(why) => format!("{name}, cpu after {why}"),
        }
    }

    /// Both.
    pub fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.instead += other.instead;
        self.why = self.why.take().or(other.why);
    }
}

/// Where the time went and what was met.
#[derive(Debug, Clone, Default)]
pub struct Spent {
    /// Reading fields while nothing was computed, and waiting for them.
    pub reading: Duration,
    /// Computing, with the reading that went on beside it.
    pub computing: Duration,
    /// Bytes of field read into memory.
    pub field_bytes: u64,
    /// What the fields had to tell.
    pub remarks: Vec<String>,
    /// Who computed.
    pub computed: Computed,
}

/// One pass over the field of one member.
struct Leg<'a, 'f> {
    pass: &'a Pass,
    field: &'a Field<'f>,
    member: usize,
    kept: Option<&'a dyn Slabs>,
    /// Called with the part of the leg that is done.
    tell: &'a dyn Fn(f64),
}

/// Why a walk through the windows stopped.
enum Stop {
    Field(FieldError),
    Backend(BackendFault),
}

impl From<FieldError> for Stop {
    fn from(fault: FieldError) -> Self {
        Self::Field(fault)
    }
}

impl From<BackendFault> for Stop {
    fn from(fault: BackendFault) -> Self {
        Self::Backend(fault)
    }
}

impl Spent {
    /// Adds a remark, once.
    fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }
}

impl Run<'_> {
    /// Runs `passes` over all flights, for each member of the ensemble. What
    /// the backend gives back is computed on the CPU, with a remark.
    ///
    /// # Errors
    /// What is wrong with the fields, or that they do not fit into memory.
    pub fn run(&self, passes: &[Pass], flights: &Flights<'_>, spent: &mut Spent) -> Result<Vec<Passed>, FieldError> {
        let members = self.dataset.members().len().max(1);
        let within = if self.kept.is_some() { None } else { box_of(flights.fleet) };
        let mut passed = Vec::new();
        for member in 0..members {
            for (index, pass) in passes.iter().enumerate() {
                let field = self.dataset.field(&pass.channels, self.vertical, within.as_ref())?;
                let done = (member * passes.len() + index) as f64;
                let share = 1.0 / (members * passes.len()) as f64;
                let tell = |part: f64| (self.progress)((done + part) * share);
                self.check_memory(&field)?;
                let leg = Leg { pass, field: &field, member, kept: self.kept, tell: &tell };
                let states = self.in_parts(&leg, *flights, HALVINGS, spent)?;
                for remark in field.remarks {
                    spent.remark(remark);
                }
                passed.push(Passed { member, pass: index, states });
            }
        }
        Ok(passed)
    }

    /// Flights on the backend; where its memory is too small for them, one
    /// half after the other; what it gives back, on the CPU.
    fn in_parts(
        &self,
        leg: &Leg<'_, '_>,
        flights: Flights<'_>,
        halvings: u32,
        spent: &mut Spent,
    ) -> Result<Vec<FlightState>, FieldError> {
        let count = flights.fleet.len();
        let fault = match leg.walk(self.backend, flights, spent) {
            Ok(states) => {
                spent.computed.asked += count;
                return Ok(states);
            }
            Err(Stop::Field(fault)) => return Err(fault),
            Err(Stop::Backend(fault)) => fault,
        };
        if fault.is_out_of_memory && halvings > 0 && count > 1 {
            tracing::warn!(%fault, flights = count, "flights are computed in halves");
            let mut states = Vec::with_capacity(count);
            for half in [0..count / 2, count / 2..count] {
                let fleet = flights.fleet.select(&half.clone().collect::<Vec<_>>());
                let flights = Flights { fleet: &fleet, phases: &flights.phases[half] };
                states.append(&mut self.in_parts(leg, flights, halvings - 1, spent)?);
            }
            return Ok(states);
        }
        spent.remark(format!("{fault}; computed on the CPU"));
        spent.computed.add(Computed { asked: 0, instead: count, why: Some(fault.to_string()) });
        leg.walk(&Cpu::new(), flights, spent).map_err(|stop| match stop {
            Stop::Field(fault) => fault,
            Stop::Backend(fault) => FieldError::Dataset(fault.to_string()),
        })
    }

    fn check_memory(&self, field: &Field<'_>) -> Result<(), FieldError> {
        let needed = field.slab_bytes().saturating_mul(SLABS.min(field.times_s.len() + 1));
        if needed <= self.field_bytes {
            return Ok(());
        }
        Err(FieldError::Dataset(format!(
            "the field needs {} MB in memory ({} times of {} MB), and {} MB are left for it; \
             raise --memory or name fewer contaminants (--contaminant)",
            needed / 1_000_000,
            SLABS,
            field.slab_bytes() / 1_000_000,
            self.field_bytes / 1_000_000
        )))
    }
}

impl Leg<'_, '_> {
    /// All windows that the flights touch, one after another.
    fn walk(&self, backend: &dyn Backend, flights: Flights<'_>, spent: &mut Spent) -> Result<Vec<FlightState>, Stop> {
        let Self { pass, field, member, kept, tell } = *self;
        let mut session = backend.begin(&pass.program, flights)?;
        let Some(times) = times_of(flights.fleet, &field.times_s) else { return Ok(session.finish()?) };
        let load = |time: usize| match kept {
            Some(kept) => kept.get(pass, field, time, member),
            None => field.load(time, member).map(Arc::new),
        };
        let started = now();
        let mut slabs = vec![load(times.start)?];
        if times.len() > 1 {
            slabs.push(load(times.start + 1)?);
        }
        spent.reading += started.elapsed();
        let windows = (times.len() - 1).max(1);
        for (done, first) in (times.start..times.start + windows).enumerate() {
            let started = now();
            let next = first + 2;
            let mut compute = || {
                let window = Window { grid: &field.grid, times_s: &field.times_s, first, slabs: &slabs };
                (session.advance(&window), now())
            };
            if next < times.end {
                let ((advanced, computed), loaded) = match kept {
                    None => rayon::join(&mut compute, || load(next)),
                    Some(kept) => match kept.held(pass, next, member) {
                        Some(slab) => (compute(), Ok(slab)),
                        None => beside(&mut compute, || load(next)),
                    },
                };
                spent.computing += computed - started;
                spent.reading += computed.elapsed();
                advanced?;
                slabs.remove(0);
                slabs.push(loaded?);
            } else {
                let (advanced, computed) = compute();
                spent.computing += computed - started;
                advanced?;
            }
            tell((done + 1) as f64 / windows as f64);
        }
        spent.field_bytes += times.len() as u64 * field.slab_bytes() as u64;
        let started = now();
        let states = session.finish()?;
        spent.computing += started.elapsed();
        Ok(states)
    }
}

/// Runs `here` on this thread and `there` on one of its own, which may wait.
fn beside<A, B: Send>(here: impl FnOnce() -> A, there: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let other = scope.spawn(there);
        let ours = here();
        match other.join() {
            Ok(theirs) => (ours, theirs),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The times of `field` that flights touch; `None` where there are none.
#[must_use]
pub fn first_times(fleet: &Fleet, field: &Field<'_>) -> Option<Range<usize>> {
    times_of(fleet, &field.times_s).map(|times| times.start..times.end.min(times.start + 2))
}

/// The clock that tells where the time went; no figure depends on it.
#[expect(clippy::disallowed_methods, reason = "durations that are printed, never used")]
fn now() -> Instant {
    Instant::now()
}

fn box_of(fleet: &Fleet) -> Option<FieldBox> {
    let (longitude, latitude, pressure) = fleet.positions();
    let mut within = FieldBox::around(longitude, latitude, pressure)?;
    // A great circle between two waypoints may reach beyond both: polewards,
    // and across the longitudes between them.
    let bulge = fleet
        .iter()
        .flat_map(|f| f.longitude_deg.windows(2))
        .map(|w| (w[1] - w[0]).abs())
        .map(|d| d.min(360.0 - d))
        .fold(0.0, f64::max);
    if bulge > 2.0 {
        within.latitude_deg = (-90.0, 90.0);
        within.longitude_deg = (-180.0, 360.0);
    } else {
        within.latitude_deg = (within.latitude_deg.0 - 0.05, within.latitude_deg.1 + 0.05);
    }
    Some(within)
}

/// The times that flights touch.
fn times_of(fleet: &Fleet, times_s: &[f64]) -> Option<Range<usize>> {
    let (low, high) = fleet
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), f| (low.min(f.start_s()), high.max(f.end_s())));
    let last = times_s.len() - 1;
    if !(low <= times_s[last] && high >= times_s[0]) {
        return None;
    }
    let start = times_s.partition_point(|&t| t <= low).saturating_sub(1);
    let end = (times_s.partition_point(|&t| t <= high) + 1).min(times_s.len());
    // A window has two times where the field has.
    let start = if end - start < 2 && start > 0 { start - 1 } else { start };
    Some(start..end)
}

/// For tests and callers that hold slabs already.
#[must_use]
pub fn whole_window<'a>(field: &'a Field<'_>, slabs: &'a [Arc<Slab>]) -> Window<'a> {
    Window { grid: &field.grid, times_s: &field.times_s, first: 0, slabs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{trajectory::Waypoint, units::Pressure};

    fn fleet(times_s: &[f64]) -> Fleet {
        let mut fleet = Fleet::new();
        let waypoints: Vec<Waypoint> = times_s
            .iter()
            .map(|&time_s| Waypoint {
                time_s,
                longitude_deg: 0.0,
                latitude_deg: 0.0,
                pressure: Pressure::from_pascal(25_000.0),
                on_ground: false,
            })
            .collect();
        fleet.push("one", &waypoints).unwrap();
        fleet
    }

    #[test]
    fn who_computed_is_told_with_the_first_reason() {
        let mut computed = Computed { asked: 2, instead: 0, why: None };
        assert_eq!(computed.by("cuda"), "cuda");
        for why in ["GPU 0: gone", "quarantined"] {
            computed.add(Computed { asked: 0, instead: 1, why: Some(why.to_owned()) });
        }
        assert_eq!((computed.instead, computed.by("cuda").as_str()), (2, "cuda, cpu after GPU 0: gone"));
        assert_eq!(Computed { asked: 0, ..computed }.by("cuda"), "cpu after GPU 0: gone");
    }

    #[test]
    fn only_times_in_use_are_read() {
        let times: Vec<f64> = (0..9).map(|i| f64::from(i) * 100.0).collect();
        let of = |a: f64, b: f64| times_of(&fleet(&[a, b]), &times);
        assert_eq!(of(250.0, 350.0), Some(2..5));
        assert_eq!(of(200.0, 300.0), Some(2..5));
        assert_eq!(of(-50.0, 50.0), Some(0..2));
        assert_eq!(of(750.0, 950.0), Some(7..9));
        assert_eq!(of(800.0, 900.0), Some(7..9));
        assert_eq!(of(801.0, 900.0), None);
        assert_eq!(of(-2.0, -1.0), None);
        assert_eq!(times_of(&fleet(&[5.0, 15.0]), &[10.0]), Some(0..1));
    }
}
