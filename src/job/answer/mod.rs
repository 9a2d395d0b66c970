//! Answers of jobs: rows, and the manifest that commits them.
//!
//! Rows that are few stand in the manifest itself; many lie beside it as
//! Parquet, written first. The manifest is put last, and only where there is
//! none yet: from then on the job is answered, once, whoever else computes it.

mod row;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use row::{Pairs, Row};

use super::{
    Id, Terms,
    key::Key,
    outcome::{self, Metadata, OutcomeError},
    place,
};
use crate::{
    exposure::Exposure,
    store::{Put, Store, StoreError},
};

/// What stands in the store for a job that is answered. The same job, data set
/// and engine give the same figures on the same kind of device, and on another
/// the same within what its mode promises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The job.
    pub job: Id,
    /// What it is a part of.
    pub submission: Id,
    /// What makes two results the same.
    pub key: Key,
    /// The data set.
    pub dataset: Id,
    /// Its version, as the worker's catalogue has it.
    pub dataset_version: String,
    /// Of the engine.
    pub algorithm: u32,
    /// How numbers are computed.
    pub mode: String,
    /// Who computed, and the CPU where a device gave the flights back.
    pub backend: String,
    /// Rules and origins, as files of results have them.
    pub rules: BTreeMap<String, String>,
    /// Flights that are answered.
    pub flights: u64,
    /// Flights that are not, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// Faults of the flights that were repaired, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repaired: BTreeMap<String, u64>,
    /// The rows.
    pub rows: Rows,
}

/// A flight that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Its name.
    pub flight_id: String,
    /// What is wrong with it.
    pub reason: String,
    /// How many waypoints the job has of it.
    pub waypoints: u64,
}

/// Rows of an answer: by flight, contaminant, phase and member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rows {
    /// Few.
    Inline(Vec<Row>),
    /// Many: an object of the store.
    Stored(StoredRows),
}

/// Rows that lie in the store, as Parquet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredRows {
    /// Name of the object.
    pub object: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes, 64 hexadecimal digits.
    pub blake3: String,
    /// How many rows.
    pub count: u64,
}

/// What a computation came to, ready to be put into the store.
#[derive(Debug)]
pub struct Answer {
    /// The manifest, its rows inline or about to be stored.
    pub manifest: Manifest,
    /// The object that the manifest names.
    rows: Option<Bytes>,
}

/// How a commit went.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The manifest that counts: the one that was there first.
    pub manifest: Manifest,
    /// What was found in its place.
    pub put: Put,
}

/// Why there is no answer in the store.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The encoder.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// What lies in the store is not ours.
    #[error("{object}: {what}")]
    Corrupt {
        /// Name of the object.
        object: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Answer {
    /// Makes the answer of a job: up to `most_inline` rows stand in the
    /// manifest. `manifest` brings all but the rows.
    ///
    /// # Errors
    /// [`OutcomeError`] where the rows cannot be encoded.
    pub fn new(manifest: Manifest, exposures: &[Exposure], most_inline: usize) -> Result<Self, OutcomeError> {
        if exposures.len() <= most_inline {
            let rows = Rows::Inline(exposures.iter().map(Row::from).collect());
            return Ok(Self { manifest: Manifest { rows, ..manifest }, rows: None });
        }
        let metadata = Metadata { pairs: manifest.rules.clone() };
        let bytes = Bytes::from(outcome::parquet_bytes(exposures, metadata)?);
        let digest = blake3::hash(&bytes).to_hex().to_string();
        let rows = Rows::Stored(StoredRows {
            object: place::rows(&manifest.submission, &manifest.job, &digest),
            bytes: bytes.len() as u64,
            blake3: digest,
            count: exposures.len() as u64,
        });
        Ok(Self { manifest: Manifest { rows, ..manifest }, rows: Some(bytes) })
    }

    /// Puts the rows, then the manifest. Where another manifest is there
    /// already, that one counts; [`Put::Differs`] says that it is not the same.
    ///
    /// # Errors
    /// [`AnswerError`]: the job is not known to be answered.
    pub async fn commit(&self, store: &dyn Store) -> Result<Committed, AnswerError> {
        if let (Rows::Stored(stored), Some(bytes)) = (&self.manifest.rows, &self.rows) {
            store.put_new(&stored.object, bytes.clone()).await?;
        }
        let name = place::manifest(&self.manifest.submission, &self.manifest.job);
        let put = store.put_new(&name, self.manifest.to_json()?.into()).await?;
        let manifest = match put {
            Put::Created | Put::Same => self.manifest.clone(),
            Put::Differs => Manifest::parse(&name, &store.get(&name, Manifest::MOST_BYTES).await?)?,
        };
        Ok(Committed { manifest, put })
    }
}

impl Manifest {
    /// Longest manifest that is read \[bytes\].
    pub const MOST_BYTES: u64 = 64 << 20;

    /// The manifest of a job, `None` where it is not answered.
    ///
    /// # Errors
    /// [`AnswerError`] where the store does not say, or what is there is none.
    pub async fn find(store: &dyn Store, terms: &Terms) -> Result<Option<Self>, AnswerError> {
        let name = place::manifest(&terms.submission, &terms.id);
        match store.get(&name, Manifest::MOST_BYTES).await {
            Ok(bytes) => Self::parse(&name, &bytes).map(Some),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Reads the bytes of the object `name`.
    ///
    /// # Errors
    /// [`AnswerError::Corrupt`] where they are no manifest.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, AnswerError> {
        serde_json::from_slice(bytes)
            .map_err(|e| AnswerError::Corrupt { object: name.to_owned(), what: format!("not a manifest: {e}") })
    }

    fn to_json(&self) -> Result<Vec<u8>, AnswerError> {
        serde_json::to_vec(self).map_err(|e| AnswerError::Corrupt { object: self.job.to_string(), what: e.to_string() })
    }
}

impl AnswerError {
    /// Whether another try may do better.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(e) if e.is_retryable())
    }
}
