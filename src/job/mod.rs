//! Jobs: what one message asks for, and how it is answered.
//!
//! `Message` → [`wire::decode`] → [`RawJob`] → [`RawJob::load`] → [`Job`] →
//! … → [`answer`] → store → [`event`] → [`settle`].
//!
//! | file | what it holds |
//! |---|---|
//! | `wire/` | the message of a job: versions, forms, limits |
//! | `key.rs` | what makes two results the same |
//! | `answer/` | rows and manifests: what stands in the store |
//! | `event.rs` | what is told of a job's end |
//! | `settle.rs` | what becomes of a delivery |
//! | `outcome/` | results as files |

pub mod answer;
pub mod event;
pub mod id;
pub mod key;
pub mod outcome;
pub mod place;
pub mod settle;
#[cfg(test)]
pub(crate) mod testing;
pub mod wire;

use jiff::Timestamp;

pub use id::{Id, IdError};

use crate::{exposure::request::Request, grid::VerticalRule, trajectory::Loaded};

/// What is asked of a job's flights, and for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The job's name, unique in its submission.
    pub id: Id,
    /// What the job is a part of.
    pub submission: Id,
    /// The name of a data set in the worker's catalogue.
    pub dataset: Id,
    /// Contaminants, thresholds, rules.
    pub request: Request,
    /// Between levels.
    pub vertical: VerticalRule,
    /// After this instant nobody wants the answer.
    pub deadline: Option<Timestamp>,
}

/// A job whose flights are at hand.
#[derive(Debug, Clone)]
pub struct Job {
    /// What is asked.
    pub terms: Terms,
    /// The flights, and which of them could not be used.
    pub flights: Loaded,
}

/// A job as its message says it: its flights may still lie in the store.
#[derive(Debug)]
pub struct RawJob {
    /// What is asked.
    pub terms: Terms,
    /// Where the flights are.
    pub flights: RawFlights,
}

/// Flights of a [`RawJob`].
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a job, and most are inline")]
pub enum RawFlights {
    /// Came with the message.
    Inline(Loaded),
    /// Lie in the store.
    Stored(wire::Claim),
}

impl Terms {
    /// Whether nobody wants the answer any more.
    #[must_use]
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| now > deadline)
    }
}
