//! Grids: axes, and where a point lies between their nodes.
//!
//! All axes are canonical: ascending, longitudes from −180 up. A point is
//! located once and all variables on the grid are gathered from the same
//! cell.

pub mod axis;
pub mod level;

pub use axis::{Axis, LongitudeAxis};
pub use level::{LevelAxis, VerticalRule};

/// The axes of a field in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Vertical.
    pub levels: LevelAxis,
    /// Degrees north.
    pub latitude: Axis,
    /// Degrees east.
    pub longitude: LongitudeAxis,
}

impl Grid {
    /// Longitudes as stored: a global axis repeats its first column behind its
    /// last, so that no cell crosses the seam.
    #[must_use]
    pub fn stored_longitudes(&self) -> usize {
        self.longitude.len() + usize::from(self.longitude.is_global())
    }

    /// Grid points of one time, as stored.
    #[must_use]
    pub fn points(&self) -> usize {
        self.levels.len() * self.latitude.len() * self.stored_longitudes()
    }
}
