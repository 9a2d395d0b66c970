//! Control for real: RabbitMQ, Rancher and the API server over HTTP, and
//! processes that are killed and frozen.
//!
//! | what | file |
//! |---|---|
//! | the closed loop: a spike, and what goes wrong in it | `closed_loop.rs` |
//! | a machine that Azure takes away | `azure.rs` |
//! | a leader that freezes and wakes late | `frozen.rs` |
//! | a leader that is killed | `failover.rs` |
//! | a configuration that is checked | `checked.rs` |
//! | a folder with configurations, and processes | `home.rs` |

mod azure;
mod checked;
mod closed_loop;
mod failover;
mod frozen;
pub mod home;
