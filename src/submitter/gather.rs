//! One result of many.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::{Record, SubmitError, watch};
use crate::{
    job::{
        Id,
        answer::{AnswerError, Manifest, Rows},
        place,
    },
    store::Store,
};

/// Objects that are read at a time.
const READING: usize = 32;

/// What the store has of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// What the submitter said; none where it was not sent to its end.
    pub record: Option<Record>,
    /// Jobs that are answered, in order.
    pub answered: Vec<Id>,
    /// Jobs that are not, in order.
    pub missing: Vec<Id>,
    /// Whether the submission is cancelled.
    pub is_cancelled: bool,
}

/// The answer of one job, with its rows where they lie apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What stands in the store.
    pub manifest: Manifest,
    /// Rows as Parquet, checked against the manifest.
    pub rows: Option<Bytes>,
}

/// What the store has of a submission: each job once, for it has one manifest.
///
/// # Errors
/// The store.
pub async fn gather(store: &dyn Store, submission: &Id) -> Result<Gathered, SubmitError> {
    let record = Record::find(store, submission).await?;
    let there: BTreeSet<Id> = watch::answered(store, submission).await?.into_iter().collect();
    let missing = record.iter().flat_map(Record::names).filter(|name| !there.contains(name)).collect();
    let is_cancelled = store.size(&place::cancelled(submission)).await?.is_some();
    Ok(Gathered { record, answered: there.into_iter().collect(), missing, is_cancelled })
}

impl Gathered {
    /// The answers, in the order of the jobs.
    pub fn parts<'a>(
        &'a self,
        store: &'a dyn Store,
        submission: &'a Id,
    ) -> impl Stream<Item = Result<Part, SubmitError>> + 'a {
        stream::iter(&self.answered).map(async move |job| part(store, submission, job).await).buffered(READING)
    }

    /// All answers at once.
    ///
    /// # Errors
    /// The store, or what lies in it.
    pub async fn all(&self, store: &dyn Store, submission: &Id) -> Result<Vec<Part>, SubmitError> {
        self.parts(store, submission).try_collect().await
    }
}

async fn part(store: &dyn Store, submission: &Id, job: &Id) -> Result<Part, SubmitError> {
    let name = place::manifest(submission, job);
    let manifest = Manifest::parse(&name, &store.get(&name, Manifest::MOST_BYTES).await?)?;
    let Rows::Stored(stored) = &manifest.rows else { return Ok(Part { manifest, rows: None }) };
    let bytes = store.get(&stored.object, stored.bytes).await?;
    let digest = blake3::hash(&bytes).to_hex();
    if *digest != *stored.blake3 {
        let what = format!("its BLAKE3 is {digest}, expected {} as {name} says", stored.blake3);
        return Err(AnswerError::Corrupt { object: stored.object.clone(), what }.into());
    }
    Ok(Part { manifest, rows: Some(bytes) })
}
