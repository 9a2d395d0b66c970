//! Grids: axes, and where a point lies between their nodes.
//!
//! All axes are canonical: ascending, longitudes from −180 up. A point is
//! located once and all variables on the grid are gathered from the same
//! cell.

pub mod axis;
pub mod level;
pub mod longitude;

pub use axis::{Axis, Located};
pub use level::{LevelAxis, VerticalRule, finest_between};
pub use longitude::LongitudeAxis;

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
    /// Grid points of one time in memory.
    #[must_use]
    pub fn points(&self) -> usize {
        self.levels.len() * self.latitude.len() * self.longitude.columns()
    }
}
