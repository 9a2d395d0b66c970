//! Which jobs have ended, and how.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, timeout};

use super::{Record, SubmitError};
use crate::{
    job::{
        Id,
        event::{Ending, ResultEvent},
        place,
        settle::ReasonKind,
    },
    queue::Subscription,
    store::Store,
};

/// Which jobs of a submission have ended, and how. A job that is answered
/// stays so, whatever comes after.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    answered: BTreeSet<Id>,
    buried: BTreeMap<Id, (ReasonKind, String)>,
    cancelled: BTreeSet<Id>,
}

impl Tally {
    /// Takes an event into account; `false` where it says nothing new.
    pub fn note(&mut self, event: ResultEvent) -> bool {
        let ResultEvent { job, ending, .. } = event;
        match ending {
            Ending::Answered(_) => self.note_answer(job),
            _ if self.answered.contains(&job) => false,
            Ending::Buried { kind, reason } => self.buried.insert(job, (kind, reason)).is_none(),
            Ending::Cancelled => self.cancelled.insert(job),
        }
    }

    /// A job is answered.
    pub(super) fn note_answer(&mut self, job: Id) -> bool {
        self.buried.remove(&job);
        self.cancelled.remove(&job);
        self.answered.insert(job)
    }

    /// Jobs that are answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answered.len()
    }

    /// Jobs that were cancelled.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.cancelled.len()
    }

    /// Jobs among the dead letters, and why.
    #[must_use]
    pub fn buried(&self) -> impl ExactSizeIterator<Item = (&Id, ReasonKind, &str)> {
        self.buried.iter().map(|(job, (kind, reason))| (job, *kind, reason.as_str()))
    }

    /// Jobs that have ended.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.answered.len() + self.buried.len() + self.cancelled.len()
    }
}

/// Waits until every job of a submission has ended. `told` is called whenever
/// another one has. After `quiet` without an event the store is asked: it
/// knows of answers whose events were lost on the way to us.
///
/// # Errors
/// The store, or a message of results that is none.
pub async fn watch(
    events: &mut dyn Subscription,
    store: &dyn Store,
    record: &Record,
    quiet: Duration,
    told: &(dyn Fn(&Tally) + Sync),
) -> Result<Tally, SubmitError> {
    let names: BTreeSet<Id> = record.names().collect();
    let mut tally = Tally::default();
    while tally.ended() < names.len() {
        match timeout(quiet, events.next()).await {
            Ok(Some(delivery)) => {
                // A version that we do not read: the store will say.
                if let Ok(event) = ResultEvent::read(&delivery.message)
                    && names.contains(&event.job)
                    && tally.note(event)
                {
                    told(&tally);
                }
                // Lost, it comes again, and says nothing new.
                let _ = delivery.ack().await;
            }
            // The subscription has ended, or it is quiet.
            none => {
                for job in answered(store, &record.submission).await? {
                    if names.contains(&job) && tally.note_answer(job) {
                        told(&tally);
                    }
                }
                if matches!(none, Ok(None)) {
                    return Ok(tally);
                }
            }
        }
    }
    Ok(tally)
}

/// The jobs of a submission that have a manifest.
pub(super) async fn answered(store: &dyn Store, submission: &Id) -> Result<Vec<Id>, SubmitError> {
    let folder = place::results_folder(submission);
    let names = store.list(&folder).await?;
    let job = |name: &String| name.strip_prefix(&folder)?.strip_suffix(".json")?.parse().ok();
    Ok(names.iter().filter_map(job).collect())
}
