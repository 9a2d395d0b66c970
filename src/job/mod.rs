//! Jobs: what one call asks for, and how its results are written.

pub mod outcome;
