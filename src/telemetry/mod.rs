//! What the program tells about itself while it runs.
//!
//! | what | file |
//! |---|---|
//! | messages between workers and control: heartbeats and commands | `message.rs` |

pub mod message;
