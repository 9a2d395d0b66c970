//! The other end of the queue: flights go out as jobs, results come in.
//!
//! | file | what it does |
//! |---|---|
//! | `send.rs` | cuts flights into jobs, publishes them with confirms |
//! | `record.rs` | what the store knows of a submission |
//! | `watch.rs` | counts events: which jobs have ended, and how |
//! | `gather.rs` | one result of many |
//!
//! A submission that is sent again under its own name does no harm: its jobs
//! have the same names, and a job is answered once.

mod gather;
mod record;
mod send;
#[cfg(test)]
mod tests;
mod watch;

pub use gather::{Gathered, Part, gather};
pub use record::{Record, cancel};
pub use send::{Ask, Chunk, Sender, Settings};
pub use watch::{Tally, watch};

use crate::{
    job::{IdError, answer::AnswerError, wire::Rejection},
    queue::QueueError,
    store::StoreError,
};

/// Why a submission did not go as it should.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An answer in the store.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// A name.
    #[error(transparent)]
    Name(#[from] IdError),
    /// A job that no worker would take.
    #[error("job {job}: {rejection}")]
    Job {
        /// Which.
        job: String,
        /// What is wrong with it.
        rejection: Rejection,
    },
    /// The flights could not be read to their end.
    #[error("{0}")]
    Flights(String),
    /// Another submission has this name.
    #[error("submission {0} is there already, of other flights; expected a name of its own")]
    Taken(String),
}
