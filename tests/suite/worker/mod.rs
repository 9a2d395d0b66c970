//! The worker's promises: on the queue in memory, and as a process on a real
//! broker.
//!
//! | promises | file |
//! |---|---|
//! | at every step, with deaths and failures in one process | `promises.rs` |
//! | drains, commands, heartbeats, the admin server | `life.rs` |
//! | whole processes on RabbitMQ: kill -9, poison, SIGTERM, secrets | `processes.rs` |

pub mod harness;
mod life;
pub mod processes;
mod promises;
