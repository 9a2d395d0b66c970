//! Deciding how many nodes there should be: a pure function of what is seen,
//! how it is set up, and a little memory.
//!
//! ```text
//! Settings ─┐
//! Sample ───┼─ decide ─┬─ Decision
//! Memory ───┘          └─ Memory
//! ```
//!
//! | part | file |
//! |---|---|
//! | what is seen | `sample.rs` |
//! | how it is set up | `settings.rs` |
//! | what is to be done | `decision.rs` |
//! | what is remembered | `memory.rs` |
//! | all of it as one document | `record.rs` |
//! | what the figures ask for | `policies/`, one file a policy |
//! | what holds it back | `guard.rs`, `schedule.rs` |
//! | which pools, which nodes | `mix.rs`, `victims.rs` |
//!
//! How it fits together, and why, is in `design.md` beside this file.

mod check;
mod decide;
mod decision;
mod guard;
mod memory;
mod mix;
mod policies;
mod record;
mod sample;
mod schedule;
pub mod settings;
#[cfg(test)]
mod tests;
mod victims;
mod view;

pub use check::Fault;
pub use decide::decide;
pub use decision::{Decision, Guard, HeldBack, Outcome, PoolDecision};
pub use memory::{Asked, Memory, PoolMemory, Window};
pub use record::{Record, VERSION, schema};
pub use sample::{Node, NodeState, Part, Pool, Queue, Sample, Worker, WorkerState};
pub use settings::Settings;

/// The policies there are: name, and one line for people. The default first.
pub fn policies() -> impl Iterator<Item = (&'static str, &'static str)> {
    policies::POLICIES.iter().map(|policy| (policy.name(), policy.about()))
}
