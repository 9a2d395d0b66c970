//! The worker's promises: on the queue in memory, and as a process on a real
//! broker.
//!
//! | promises | file |
//! |---|---|
//! | at every step, with deaths and failures in one process | `promises.rs` |
//! | drains, commands, heartbeats, the admin server | `life.rs` |
//! | a GPU that fails in a process on RabbitMQ | `devices.rs` |
//! | whole processes on RabbitMQ: kill -9, poison, SIGTERM, secrets | `processes.rs` |
//! | the world around a process: freezes, cut networks, a full store | `outages.rs` |

mod devices;
pub mod harness;
mod life;
mod outages;
pub mod processes;
mod promises;
