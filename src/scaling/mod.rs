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

mod decision;
mod memory;
mod sample;
pub mod settings;
#[cfg(test)]
mod tests;

pub use decision::{Decision, Guard, HeldBack, Outcome, PoolDecision};
pub use memory::{Asked, Memory, PoolMemory, Window};
pub use sample::{Node, NodeState, Part, Pool, Queue, Sample, Worker, WorkerState};
pub use settings::Settings;
