//! The faults of real tracks, counted. What is done about each is in `repair.rs`.

use std::path::PathBuf;

/// What can be wrong with a row, or what is worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// No column says which flight the row belongs to; dropped.
    NoFlight,
    /// No time; dropped.
    NoTime,
    /// No longitude or latitude; dropped.
    NoPosition,
    /// Longitude or latitude off the globe; dropped.
    WrongPosition,
    /// Time before that of a row above; sorted.
    OutOfOrder,
    /// Same time as another row of the flight; one is kept.
    Duplicate,
    /// A place that cannot be reached; dropped.
    PositionSpike,
    /// Altitude outside −1,000 … 25,000 m; as if missing.
    WrongAltitude,
    /// An altitude that cannot be reached; interpolated.
    AltitudeSpike,
    /// No altitude; interpolated, or 0 m on the ground.
    AltitudeFilled,
    /// No altitude and none to interpolate from; dropped.
    NoAltitude,
    /// On the ground by the file's own word; kept and marked.
    OnGround,
}

/// The names of faults, in the order of [`Fault`]: as results write them,
/// and whether they are wrong values rather than missing or harmless ones.
const FAULTS: [(Fault, &str, bool); 12] = [
    (Fault::NoFlight, "rows without a flight dropped", false),
    (Fault::NoTime, "rows without a time dropped", false),
    (Fault::NoPosition, "rows without a position dropped", false),
    (Fault::WrongPosition, "positions off the globe dropped", true),
    (Fault::OutOfOrder, "rows out of order sorted", false),
    (Fault::Duplicate, "rows at a time already taken dropped", false),
    (Fault::PositionSpike, "position spikes dropped", true),
    (Fault::WrongAltitude, "altitudes out of range taken as missing", true),
    (Fault::AltitudeSpike, "altitude spikes interpolated", true),
    (Fault::AltitudeFilled, "missing altitudes filled", false),
    (Fault::NoAltitude, "rows without an altitude dropped", false),
    (Fault::OnGround, "waypoints on the ground", false),
];

/// How often each fault was met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    rows: u64,
    counts: [u64; FAULTS.len()],
}

/// A flight that could not be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Reject {
    /// Its name.
    pub flight_id: String,
    /// What is wrong with it.
    pub reason: String,
    /// Rows that the files have of it.
    pub waypoints: usize,
    /// The file that has the first of them.
    pub path: PathBuf,
}

impl Fault {
    /// Every fault, in the order in which results list them.
    pub fn all() -> impl Iterator<Item = Self> {
        FAULTS.iter().map(|&(fault, ..)| fault)
    }

    /// As results write it, after the count.
    #[must_use]
    pub fn name(self) -> &'static str {
        FAULTS[self as usize].1
    }

    /// Whether it is a wrong value rather than a missing or harmless one.
    pub(super) fn is_wrong(self) -> bool {
        FAULTS[self as usize].2
    }
}

impl Repairs {
    /// Rows that were looked at.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How often a fault was met.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    /// The faults that were met, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::all().map(|f| (f, self.count(f))).filter(|&(_, n)| n > 0)
    }

    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        for (a, b) in self.counts.iter_mut().zip(other.counts) {
            *a += b;
        }
    }

    pub(super) fn note(&mut self, fault: Fault, times: u64) {
        self.counts[fault as usize] += times;
    }

    pub(super) fn note_rows(&mut self, rows: u64) {
        self.rows += rows;
    }
}
