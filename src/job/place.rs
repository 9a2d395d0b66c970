//! Where things of a submission lie in the store.
//!
//! ```text
//! submissions/<submission>/submission.json      how many jobs there are
//! submissions/<submission>/cancelled.json       there is no need for them
//! submissions/<submission>/flights/<job>.arrow  flights too many for a message
//! submissions/<submission>/rows/<job>-<digest>.parquet
//! submissions/<submission>/results/<job>.json   the manifest: the job is answered
//! ```

use super::Id;

fn of(submission: &Id, rest: &str) -> String {
    format!("submissions/{submission}/{rest}")
}

/// What a submitter says of its submission.
#[must_use]
pub fn submission(submission: &Id) -> String {
    of(submission, "submission.json")
}

/// What says that a submission is cancelled.
#[must_use]
pub fn cancelled(submission: &Id) -> String {
    of(submission, "cancelled.json")
}

/// The folder of flights too many for a message.
#[must_use]
pub fn flights_folder(submission: &Id) -> String {
    of(submission, "flights/")
}

/// Flights of a job that are too many for a message.
#[must_use]
pub fn flights(submission: &Id, job: &Id) -> String {
    of(submission, &format!("flights/{job}.arrow"))
}

/// Rows of a job, by the first digits of their digest: what two workers write
/// differently lies apart, and the manifest says which counts.
#[must_use]
pub fn rows(submission: &Id, job: &Id, digest: &str) -> String {
    of(submission, &format!("rows/{job}-{}.parquet", digest.get(..16).unwrap_or(digest)))
}

/// The folder of the manifests.
#[must_use]
pub fn results_folder(submission: &Id) -> String {
    of(submission, "results/")
}

/// The manifest of a job: once it is there, the job is answered.
#[must_use]
pub fn manifest(submission: &Id, job: &Id) -> String {
    of(submission, &format!("results/{job}.json"))
}
