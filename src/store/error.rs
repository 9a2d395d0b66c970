//! What can be wrong with a store.

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("{store}: no object {object}")]
    NotFound {
        /// Which store.
        store: String,
        /// Its name.
        object: String,
    },
    /// An object that is larger than the caller takes.
    #[error("{store}: {object} has {bytes} bytes, expected at most {most}")]
    TooLarge {
        /// Which store.
        store: String,
        /// Its name.
        object: String,
        /// Its size.
        bytes: u64,
        /// What was allowed.
        most: u64,
    },
    /// The store cannot be reached, is full, or does not answer in time:
    /// another try may do better.
    #[error("{store}: {doing} {object}: {what}")]
    Unavailable {
        /// Which store.
        store: String,
        /// What was tried.
        doing: &'static str,
        /// On which object.
        object: String,
        /// What it says.
        what: String,
    },
    /// The store refuses: credentials, permissions, a name that it does not
    /// take. An operator has to see to it.
    #[error("{store}: {doing} {object}: refused: {what}")]
    Refused {
        /// Which store.
        store: String,
        /// What was tried.
        doing: &'static str,
        /// On which object.
        object: String,
        /// What it says.
        what: String,
    },
    /// The address or a setting of a store.
    #[error("store {uri:?}: {what}; expected {expected}")]
    Address {
        /// As written.
        uri: String,
        /// What is wrong with it.
        what: String,
        /// What would do.
        expected: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may do better later. Refusals count: credentials
    /// are mended without the job's doing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Refused { .. })
    }
}
