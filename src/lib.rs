//! skydose computes what aircraft fly through.
//!
//! Flights come from files into a [`trajectory::Fleet`]; fields of
//! contaminants from files into a [`field::dataset::Dataset`]. What is asked
//! becomes an [`exposure::program::Program`], which a [`compute::Backend`]
//! runs along each flight's path; [`compute::answer::Answers`] are the rows
//! that [`job::outcome`] writes.
//!
//! ```text
//! flights ─ trajectory ─┐
//!                       ├─ exposure ─ compute ─ job
//! fields ── field ──────┘
//! ```
//!
//! # Invariants
//!
//! 1. Missing data is never clean air: a figure that does not exist is absent,
//!    and every row says what part of the time was sampled.
//! 2. The CPU backend defines the answer.
//! 3. The same input gives the same bytes, whatever the number of threads and
//!    however the field's times were cut into windows.
//! 4. Pure modules never read a clock, log or await.
//! 5. `unsafe` is one prefetch hint, in `compute/prefetch.rs`, and the calls of
//!    the driver and of NVRTC, in `compute/cuda`.
//! 6. Every quantity has its unit in its type, its column's name or its
//!    schema.
//! 7. Sizes that a file declares are checked before anything is allocated.

pub mod app;
pub mod atmosphere;
pub mod cli;
pub mod compute;
pub mod config;
pub mod contaminant;
pub mod control;
pub mod exposure;
pub mod field;
pub mod grid;
pub mod http;
pub mod job;
pub mod leader;
pub mod nodes;
pub mod plan;
pub mod queue;
pub mod scaling;
pub mod simulate;
pub mod store;
pub mod submitter;
pub mod telemetry;
pub mod time;
pub mod trajectory;
pub mod units;
pub mod worker;
