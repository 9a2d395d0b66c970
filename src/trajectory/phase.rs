//! Phases of flight.

use serde::{Deserialize, Serialize};

/// A phase of flight, or the whole flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Everything from the first waypoint to the last.
    Flight,
    /// On the ground, where altitude or the source says so.
    Ground,
    /// Climbing.
    Climb,
    /// Level, at cruise altitude or at a lower one.
    Cruise,
    /// Descending.
    Descent,
}

impl Phase {
    /// The parts that add up to [`Phase::Flight`].
    pub const PARTS: [Self; 4] = [Self::Ground, Self::Climb, Self::Cruise, Self::Descent];

    /// As results write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flight => "flight",
            Self::Ground => "ground",
            Self::Climb => "climb",
            Self::Cruise => "cruise",
            Self::Descent => "descent",
        }
    }
}
