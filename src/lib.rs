//! skydose computes what aircraft fly through.

pub mod atmosphere;
pub mod cli;
pub mod compute;
pub mod contaminant;
pub mod exposure;
pub mod field;
pub mod grid;
pub mod job;
pub mod time;
pub mod trajectory;
pub mod units;
