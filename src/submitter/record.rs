//! What the store knows of a submission.

use serde::{Deserialize, Serialize};

use super::SubmitError;
use crate::{
    job::{
        Id,
        answer::{AnswerError, Rejected},
        place,
    },
    store::{Put, Store, StoreError},
};

/// Longest record that is read \[bytes\].
const MOST_BYTES: u64 = 64 << 20;

/// What a submitter says once all jobs are sent. The same submission has the
/// same record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its name.
    pub submission: Id,
    /// The data set.
    pub dataset: Id,
    /// How many jobs there are: `<submission>-000001` and on.
    pub jobs: u64,
    /// How many flights they have together.
    pub flights: u64,
    /// Flights that could not be sent, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
}

impl Record {
    /// Puts the record.
    ///
    /// # Errors
    /// The store, or that there is another one of this name.
    pub async fn put(&self, store: &dyn Store) -> Result<(), SubmitError> {
        let name = place::submission(&self.submission);
        let bytes =
            serde_json::to_vec(self).map_err(|e| AnswerError::Corrupt { object: name.clone(), what: e.to_string() })?;
        match store.put_new(&name, bytes.into()).await? {
            Put::Created | Put::Same => Ok(()),
            Put::Differs => Err(SubmitError::Taken(self.submission.to_string())),
        }
    }

    /// The record of a submission; `None` where it was not sent to its end,
    /// or by a program that keeps none.
    ///
    /// # Errors
    /// The store, or that what is there is no record.
    pub async fn find(store: &dyn Store, submission: &Id) -> Result<Option<Self>, SubmitError> {
        let name = place::submission(submission);
        let bytes = match store.get(&name, MOST_BYTES).await {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let record = serde_json::from_slice(&bytes)
            .map_err(|e| AnswerError::Corrupt { object: name, what: format!("not a record of a submission: {e}") })?;
        Ok(Some(record))
    }

    /// The names of all jobs, in order.
    pub fn names(&self) -> impl Iterator<Item = Id> {
        (1..=self.jobs).filter_map(|number| Id::job(&self.submission, usize::try_from(number).ok()?).ok())
    }
}

/// Cancels a submission: workers skip the jobs that they have not begun.
/// Answers whether it was not cancelled before.
///
/// # Errors
/// The store.
pub async fn cancel(store: &dyn Store, submission: &Id) -> Result<bool, SubmitError> {
    let put = store.put_new(&place::cancelled(submission), "{\"cancelled\":true}\n".into()).await?;
    Ok(put == Put::Created)
}
