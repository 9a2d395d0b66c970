//! Flights that lie in the store, and how they are claimed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Head, Limits, Rejection, arrow};
use crate::{
    job::{Id, Job, RawFlights, RawJob, place},
    store::{Store, StoreError},
};

/// An object of the store that holds flights as a stream of Arrow IPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its name: `submissions/<submission>/flights/…`. A job cannot name what
    /// is not its submission's.
    pub object: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes, 64 hexadecimal digits.
    pub blake3: String,
    #[serde(skip)]
    #[schemars(skip)]
    head: Option<Box<Head>>,
}

/// Why flights that are claimed cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// They are not what the message says: another try would end the same way.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The store does not say.
    #[error(transparent)]
    Store(StoreError),
}

impl Claim {
    /// Of an object with these bytes.
    #[must_use]
    pub fn new(object: String, bytes: &[u8]) -> Self {
        Self { object, bytes: bytes.len() as u64, blake3: blake3::hash(bytes).to_hex().to_string(), head: None }
    }

    /// The claim, if the job may make it.
    pub(super) fn check(mut self, submission: &Id, head: &Head, limits: &Limits) -> Result<Self, Rejection> {
        let folder = place::flights_folder(submission);
        let name = self.object.strip_prefix(&folder).map(str::parse::<Id>);
        if !matches!(name, Some(Ok(_))) {
            let expected = format!("a name below {folder}");
            return Err(Rejection::new("flights_in_store.object", format_args!("{:?}", self.object), expected));
        }
        if self.bytes > limits.object_bytes {
            let expected = format!("at most {}", limits.object_bytes);
            return Err(Rejection::new("flights_in_store.bytes", self.bytes, expected));
        }
        if blake3::Hash::from_hex(&self.blake3).is_err() {
            let value = format!("{:?}", self.blake3);
            return Err(Rejection::new("flights_in_store.blake3", value, "64 hexadecimal digits"));
        }
        self.head = Some(Box::new(head.clone()));
        Ok(self)
    }

    async fn fetch(&self, store: &dyn Store) -> Result<bytes::Bytes, LoadError> {
        let bytes = match store.get(&self.object, self.bytes).await {
            Ok(bytes) => bytes,
            Err(e @ (StoreError::NotFound { .. } | StoreError::TooLarge { .. })) => {
                let expected = format!("an object of {} bytes", self.bytes);
                return Err(Rejection::new("flights_in_store.object", e, expected).into());
            }
            Err(other) => return Err(LoadError::Store(other)),
        };
        if bytes.len() as u64 != self.bytes {
            let expected = format!("that of the object, {}", bytes.len());
            return Err(Rejection::new("flights_in_store.bytes", self.bytes, expected).into());
        }
        let digest = blake3::hash(&bytes).to_hex();
        if *digest != *self.blake3.to_ascii_lowercase() {
            let expected = format!("that of the object, {digest}");
            return Err(Rejection::new("flights_in_store.blake3", &self.blake3, expected).into());
        }
        Ok(bytes)
    }
}

impl RawJob {
    /// The job, with its flights from the store where they lie there.
    ///
    /// # Errors
    /// [`LoadError`]
    pub async fn load(self, store: &dyn Store, limits: &Limits) -> Result<Job, LoadError> {
        let flights = match self.flights {
            RawFlights::Inline(loaded) => loaded,
            RawFlights::Stored(claim) => {
                let bytes = claim.fetch(store).await?;
                let head = claim.head.map_or_else(|| Head::new(self.terms.dataset.clone()), |head| *head);
                arrow::flights(&bytes, &head, limits)?
            }
        };
        Ok(Job { terms: self.terms, flights })
    }
}
