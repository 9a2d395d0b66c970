//! Flights out, as jobs.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{Record, SubmitError};
use crate::{
    exposure::request::Request,
    grid::VerticalRule,
    job::{
        Id, Terms,
        answer::Rejected,
        wire::{Encoded, Encoding, Limits},
    },
    queue::{Destination, JobQueue, Message, Priority, QueueError},
    store::{Store, StoreError},
    trajectory::Fleet,
};

/// How jobs are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Flights up to which a job is JSON, which any program reads; more
    /// travel as Arrow.
    pub json_flights: usize,
    /// Whether messages are compressed.
    pub compress: bool,
    /// Bytes of a message beyond which its flights go into the store.
    pub inline_bytes: usize,
    /// Jobs on their way to the broker at a time.
    pub in_flight: usize,
    /// For how long a broker or store that does not answer is waited for.
    #[serde(with = "crate::time::duration")]
    pub patience: Duration,
}

/// What is asked of all flights of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The submission's name.
    pub submission: Id,
    /// The data set.
    pub dataset: Id,
    /// Contaminants, thresholds, rules.
    pub request: Request,
    /// Between levels.
    pub vertical: VerticalRule,
    /// After this instant nobody wants the answer.
    pub deadline: Option<Timestamp>,
    /// Which queue the jobs wait in.
    pub priority: Priority,
}

/// Some flights, to be one job.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// The flights; none makes no job.
    pub fleet: Fleet,
    /// Flights that were met on the way and cannot be used.
    pub rejected: Vec<Rejected>,
}

/// What sends.
pub struct Sender {
    /// Where jobs go.
    pub queue: Arc<dyn JobQueue>,
    /// Where flights go that are too many for a message.
    pub store: Arc<dyn Store>,
    /// How.
    pub settings: Settings,
    /// What workers take.
    pub limits: Limits,
    /// The time of day.
    pub clock: fn() -> Timestamp,
}

impl Default for Settings {
    fn default() -> Self {
        let Encoding { json_flights, compress, inline_bytes } = Encoding::default();
        Self { json_flights, compress, inline_bytes, in_flight: 64, patience: Duration::from_mins(1) }
    }
}

/// A job that has a number.
struct Numbered {
    terms: Terms,
    fleet: Fleet,
}

impl Sender {
    /// Sends every chunk as a job and waits until all are confirmed, then
    /// records how many there are. Never more than so many jobs are on their
    /// way: a broker that is slow slows the reading of flights down. `sent`
    /// is told the number of jobs and flights confirmed so far.
    ///
    /// # Errors
    /// The first thing that went wrong: some jobs may be out. Sent again
    /// under the same name, they do no harm.
    pub async fn send(
        &self,
        ask: &Ask,
        chunks: mpsc::Receiver<Result<Chunk, SubmitError>>,
        sent: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Record, SubmitError> {
        let mut rejected = Vec::new();
        let (mut jobs, mut flights) = (0, 0);
        let mut number = 0;
        let chunks = stream::unfold(chunks, async |mut chunks| Some((chunks.recv().await?, chunks)));
        let numbered = chunks.map(|chunk| {
            let Chunk { fleet, rejected: more } = chunk?;
            rejected.extend(more);
            if fleet.is_empty() {
                return Ok(None);
            }
            number += 1;
            Ok::<_, SubmitError>(Some(Numbered { terms: ask.terms(number)?, fleet }))
        });
        let sending = numbered
            .try_filter_map(async |job| Ok(job))
            .map_ok(|job| self.job(ask.priority, job))
            .try_buffer_unordered(self.settings.in_flight.max(1));
        {
            let mut sending = std::pin::pin!(sending);
            while let Some(of_job) = sending.try_next().await? {
                jobs += 1;
                flights += of_job;
                sent(jobs, flights);
            }
        }
        let record =
            Record { submission: ask.submission.clone(), dataset: ask.dataset.clone(), jobs, flights, rejected };
        self.patiently(|| record.put(self.store.as_ref())).await?;
        Ok(record)
    }

    /// Sends one job; answers how many flights it has.
    async fn job(&self, priority: Priority, job: Numbered) -> Result<u64, SubmitError> {
        let Numbered { terms, fleet } = job;
        let flights = fleet.len() as u64;
        let Settings { json_flights, compress, inline_bytes, .. } = self.settings;
        let (encoding, limits) = (Encoding { json_flights, compress, inline_bytes }, self.limits.clone());
        let name = terms.id.to_string();
        let encode = move || encoding.encode(&terms, &fleet, &limits);
        let encoded = tokio::task::spawn_blocking(encode).await.map_err(|e| SubmitError::Flights(e.to_string()))?;
        let Encoded { mut message, object } = encoded.map_err(|rejection| SubmitError::Job { job: name, rejection })?;
        if let Some((object, content)) = object {
            // Flights that are there already are the same: jobs have names.
            self.patiently(async || Ok(self.store.put_new(&object, content.clone()).await?)).await?;
        }
        message.properties.priority = priority;
        message.properties.submitted_at = Some((self.clock)());
        self.publish(&message).await?;
        Ok(flights)
    }

    async fn publish(&self, message: &Message) -> Result<(), SubmitError> {
        self.patiently(async || Ok(self.queue.publish(&Destination::Jobs, message).await?)).await
    }

    /// Makes a call again until it succeeds, as long as the patience lasts
    /// and it may.
    async fn patiently<T>(&self, mut call: impl AsyncFnMut() -> Result<T, SubmitError>) -> Result<T, SubmitError> {
        let give_up = Instant::now() + self.settings.patience;
        let mut pause = Duration::from_millis(100);
        loop {
            match call().await {
                Err(error) if may_pass(&error) && Instant::now() + pause < give_up => sleep(pause).await,
                other => return other,
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

/// Whether a fault may pass by itself.
fn may_pass(error: &SubmitError) -> bool {
    match error {
        SubmitError::Queue(e) => matches!(e, QueueError::Connection { .. } | QueueError::Timeout { .. }),
        SubmitError::Store(e) => matches!(e, StoreError::Unavailable { .. }),
        SubmitError::Answer(_)
        | SubmitError::Name(_)
        | SubmitError::Job { .. }
        | SubmitError::Flights(_)
        | SubmitError::Taken(_) => false,
    }
}

impl Ask {
    fn terms(&self, number: usize) -> Result<Terms, SubmitError> {
        Ok(Terms {
            id: Id::job(&self.submission, number)?,
            submission: self.submission.clone(),
            dataset: self.dataset.clone(),
            request: self.request.clone(),
            vertical: self.vertical,
            deadline: self.deadline,
        })
    }
}
