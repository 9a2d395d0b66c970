//! Why a provider did not do what was asked.

use std::time::Duration;

use crate::http::{HttpError, HttpFault};

/// Why a provider did not do what was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NodesError {
    /// The call failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer lacks what it must have.
    #[error("{from}: {what}, expected {expected}")]
    Answer {
        /// What was read.
        from: String,
        /// What it has.
        what: String,
        /// What it should have.
        expected: String,
    },
    /// It must not be done, until the remedy is.
    #[error("{what}; {remedy}")]
    Refused {
        /// What stands against it.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The number wanted is not what the decision saw: decide again.
    #[error("pool {pool}: {found} machines are wanted, not the {expected} that the decision saw")]
    Changed {
        /// Which.
        pool: String,
        /// As the decision saw it.
        expected: u32,
        /// As it is.
        found: u32,
    },
    /// Somebody else writes the number faster than it can be checked.
    #[error("pool {pool}: {wanted} was written, {found} is read")]
    Reverted {
        /// Which.
        pool: String,
        /// As written.
        wanted: u32,
        /// As read again.
        found: u32,
    },
    /// The provider is between two states: look again later.
    #[error("pool {pool}: {what}")]
    Unsettled {
        /// Which.
        pool: String,
        /// What is going on.
        what: String,
    },
    /// Asked to leave, it stayed; undone.
    #[error("machine {machine}: not seen to leave within {within:?}, undone")]
    Stayed {
        /// Which.
        machine: String,
        /// How long was waited.
        within: Duration,
    },
    /// Another machine is being deleted instead; the number is as it was.
    #[error("machine {machine} was to leave, {} is being deleted instead; undone", taken.join(", "))]
    Another {
        /// The machine that was to leave.
        machine: String,
        /// Those that leave.
        taken: Vec<String>,
    },
    /// There is no such pool or machine.
    #[error("{what} is not there")]
    Missing {
        /// Pool or machine, by name.
        what: String,
    },
    /// The permission to write was withdrawn.
    #[error("pool {pool}: not written: this process leads no longer")]
    Withdrawn {
        /// Which.
        pool: String,
    },
}

impl NodesError {
    /// Whether it will be so until somebody changes something.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Answer { .. } | Self::Missing { .. } => true,
            Self::Http(error) => matches!(error.status(), Some(400..=499)) && error.status() != Some(409),
            _ => false,
        }
    }

    /// Whether it came to nothing because this process leads no longer.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        matches!(self, Self::Withdrawn { .. } | Self::Http(HttpError { fault: HttpFault::Withdrawn, .. }))
    }
}
