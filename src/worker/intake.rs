//! From a delivery to a job that can be computed, or to its end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep},
};

use super::{
    hook::Step,
    programs::Programs,
    publisher,
    settings::Settings,
    settler::{Pause, Settler, since},
    state::Board,
    task::{Asked, Item, Taken},
};
use crate::{
    compute::Description,
    job::{
        Id, Job, RawFlights,
        answer::{Answer, Manifest},
        key::{self, Key, Versions},
        place,
        settle::End,
        wire::{self, LoadError},
    },
    plan::Candidate,
    queue::{Delivery, Message},
    store::Store,
    telemetry::{events::worker as events, trace},
};

/// Bodies up to this size are read where they arrive; larger ones take longer
/// than other jobs should wait.
const SMALL_BYTES: usize = 16 << 10;

/// For how long it is believed that a submission is not cancelled.
const BELIEVED: Duration = Duration::from_secs(2);

/// A waypoint takes at least so many bytes of a message: four short numbers
/// of JSON.
const LEAST_BYTES_PER_WAYPOINT: usize = 20;

/// The largest answer that is looked at.
const MOST_MANIFEST_BYTES: u64 = 64 << 20;

/// Permits of memory are of so many bytes.
pub(super) const PERMIT_BYTES: usize = 1024;

/// How many more times than for computing it a delivery must have come back
/// before reading it is under suspicion.
const READING_LATER: u32 = 3;

/// What takes deliveries.
pub(super) struct Intake {
    pub settings: Settings,
    pub settler: Arc<Settler>,
    pub store: Arc<dyn Store>,
    pub board: Arc<Board>,
    /// Who computes.
    pub by: Description,
    pub programs: Programs,
    pub cancelled: Cancelled,
    /// For flights of all jobs held, in permits of [`PERMIT_BYTES`].
    pub memory: Arc<Semaphore>,
    pub memory_permits: u32,
    pub ready: mpsc::Sender<Item>,
}

/// How a delivery goes on.
enum Next {
    /// It is to be computed.
    Compute(Box<Asked>, Candidate, Memory),
    /// None of its flights can be used: its answer has no rows.
    Empty(Box<Asked>),
    /// It is answered already.
    Answered(Box<Manifest>),
}

/// Why a delivery does not go on.
pub(super) enum Stop {
    /// It is at its end.
    End(End),
    /// A store does not answer.
    Store(String),
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

/// Which steps of a job workers may have died of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    None,
    Computing,
    /// It dies before it is computed.
    Reading,
}

impl Intake {
    /// Takes a delivery, and hands it on or settles it.
    pub(super) async fn take(&self, delivery: Delivery) {
        let properties = &delivery.message.properties;
        let submission = properties.submission.as_deref().unwrap_or_default();
        let span = trace::job(&properties.headers, &properties.message_id, submission);
        let mut taken = Taken::new(delivery, span, self.board.clone());
        self.tell(&taken);
        self.settler.reach(Step::Received, &taken).await;
        if taken.message.properties.crashes >= self.settings.tries.most_crashes {
            return match self.answered(&taken).await {
                Some(manifest) => self.settler.again(taken, manifest).await,
                None => self.settler.end(taken, End::Crashed).await,
            };
        }
        let crashes = taken.message.properties.crashes;
        let suspicion = suspicion(taken.redeliveries, crashes, self.settings.suspect_after);
        if suspicion == Suspicion::Reading && !self.settler.put_on_trial(&mut taken).await {
            return;
        }
        match self.patiently(&taken, suspicion).await {
            Ok(Next::Compute(asked, candidate, memory)) => {
                // Where nobody computes any more, the job goes back.
                drop(self.ready.send(Item { taken, asked: *asked, candidate, memory }).await);
            }
            Ok(Next::Empty(asked)) => match self.empty(&asked) {
                Ok(answer) => self.settler.answer(taken, answer).await,
                Err(end) => self.settler.end(taken, end).await,
            },
            Ok(Next::Answered(manifest)) => self.settler.again(taken, *manifest).await,
            Err(end) => self.settler.end(taken, end).await,
        }
    }

    /// The answer of a job of which no flight can be used.
    fn empty(&self, asked: &Asked) -> Result<Answer, End> {
        publisher::answer(asked, (self.by.precision, &self.by.to_string()), &[], self.settings.inline_rows)
    }

    fn tell(&self, taken: &Taken) {
        let properties = &taken.message.properties;
        let attempt = properties.attempt;
        let is_first = taken.redeliveries == 0 && attempt == 0 && properties.crashes == 0;
        let submitted = properties.submitted_at.filter(|_| is_first);
        let waited = submitted.and_then(|at| since(at, (self.settler.clock)()));
        events::Received { about: taken.about(), redeliveries: taken.redeliveries, attempt, waited }.emit();
    }

    /// The answer of a job whose message is not to be read any more: the last
    /// worker may have died after it had put it there.
    async fn answered(&self, taken: &Taken) -> Option<Manifest> {
        let properties = &taken.message.properties;
        let job: Id = properties.message_id.parse().ok()?;
        let submission: Id = properties.submission.as_deref()?.parse().ok()?;
        let name = place::manifest(&submission, &job);
        let mut pause = Pause::default();
        loop {
            match self.store.get(&name, MOST_MANIFEST_BYTES).await {
                Ok(bytes) => return Manifest::parse(&name, &bytes).ok(),
                Err(error) if error.is_retryable() => {
                    let again_in = pause.next();
                    events::StoreFailed { about: taken.about(), why: &error.to_string(), again_in }.emit();
                    sleep(again_in).await;
                }
                Err(_) => return None,
            }
        }
    }

    /// Waits for a store that does not answer: it is no fault of the job.
    async fn patiently(&self, taken: &Taken, suspicion: Suspicion) -> Result<Next, End> {
        let mut pause = Pause::default();
        loop {
            match self.next(taken, suspicion).await {
                Ok(next) => return Ok(next),
                Err(Stop::End(end)) => return Err(end),
                Err(Stop::Store(why)) => {
                    let again_in = pause.next();
                    events::StoreFailed { about: taken.about(), why: &why, again_in }.emit();
                    sleep(again_in).await;
                }
            }
        }
    }

    async fn next(&self, taken: &Taken, suspicion: Suspicion) -> Result<Next, Stop> {
        let (job, memory) = self.read(&taken.message).await?;
        let program = self.programs.of(&job.terms).await?;
        let versions = Versions { dataset: &program.entry.version, algorithm: key::ALGORITHM, mode: self.by.precision };
        let key = Key::of(&job, &versions);
        match Manifest::find(self.store.as_ref(), &job.terms).await {
            Ok(Some(manifest)) => {
                if manifest.key != key {
                    events::Conflict { about: taken.about(), key: &key.to_string() }.emit();
                }
                return Ok(Next::Answered(Box::new(manifest)));
            }
            Ok(None) => {}
            Err(error) if error.is_retryable() => return Err(Stop::Store(error.to_string())),
            Err(error) => return Err(End::Failed(error.to_string()).into()),
        }
        let candidate = Candidate::of(&job, taken.message.properties.priority, suspicion != Suspicion::None);
        let asked = Box::new(Asked { job, key, program });
        Ok(match candidate {
            Some(candidate) => Next::Compute(asked, candidate, memory),
            None => Next::Empty(asked),
        })
    }

    /// The job and its flights, if it is still wanted, and its part of the
    /// memory.
    async fn read(&self, message: &Message) -> Result<(Job, Memory), Stop> {
        let memory = self.memory(unpacked(message, &self.settings.limits)).await;
        let limits = self.settings.limits.clone();
        let raw = if message.body.len() <= SMALL_BYTES && message.properties.content_encoding.is_none() {
            wire::decode(message, &limits)
        } else {
            let message = message.clone();
            let decoded = tokio::task::spawn_blocking(move || wire::decode(&message, &limits)).await;
            decoded.map_err(|panic| End::Failed(format!("reading the message: {panic}")))?
        };
        let raw = raw.map_err(|rejection| End::Invalid(rejection.to_string()))?;
        if raw.terms.is_late((self.settler.clock)()) {
            return Err(End::Late.into());
        }
        if self.cancelled.is(&raw.terms.submission, self.store.as_ref()).await {
            return Err(End::Cancelled.into());
        }
        let memory = match &raw.flights {
            RawFlights::Inline(_) => memory,
            RawFlights::Stored(claim) => {
                // Whoever waits for memory holds none.
                drop(memory);
                self.memory(usize::try_from(claim.bytes).unwrap_or(usize::MAX)).await
            }
        };
        let job = raw.load(self.store.as_ref(), &self.settings.limits).await.map_err(|error| match error {
            LoadError::Rejected(rejection) => End::Invalid(rejection.to_string()).into(),
            LoadError::Store(error) if error.is_retryable() => Stop::Store(error.to_string()),
            LoadError::Store(error) => End::Failed(error.to_string()).into(),
        })?;
        Ok((job, memory))
    }

    /// Memory for flights that take so many bytes in a message, until they
    /// are computed; a job that needs more than there is gets all of it.
    async fn memory(&self, bytes: usize) -> Memory {
        let waypoints = bytes / LEAST_BYTES_PER_WAYPOINT;
        let bytes = waypoints.saturating_mul(self.settings.batch.bytes_per_waypoint);
        let permits = u32::try_from(bytes / PERMIT_BYTES).unwrap_or(u32::MAX).clamp(1, self.memory_permits);
        self.memory.clone().acquire_many_owned(permits).await.ok()
    }
}

/// Permits of the memory for flights; none once the worker has ended.
type Memory = Option<OwnedSemaphorePermit>;

/// Bytes of a body when it is unpacked, at most.
fn unpacked(message: &Message, limits: &wire::Limits) -> usize {
    let bytes = message.body.len();
    match message.properties.content_encoding {
        None => bytes,
        Some(_) => bytes.saturating_mul(limits.ratio).min(limits.unpacked_bytes),
    }
}

/// What is to be thought of a delivery that came back so often, of a job of
/// which so many workers died.
fn suspicion(redeliveries: u32, crashes: u32, suspect_after: u32) -> Suspicion {
    let reading_after = suspect_after.saturating_add(READING_LATER);
    match (redeliveries, crashes) {
        // A copy that counts a death and came back without being computed.
        (1.., 1..) => Suspicion::Reading,
        (_, 1..) => Suspicion::Computing,
        (n, 0) if n >= reading_after => Suspicion::Reading,
        (n, 0) if n >= suspect_after => Suspicion::Computing,
        _ => Suspicion::None,
    }
}

/// Which submissions are cancelled, as the store says it.
#[derive(Default)]
pub(super) struct Cancelled(Mutex<HashMap<Id, (Instant, bool)>>);

/// Submissions that are remembered at most.
const REMEMBERED: usize = 10_000;

impl Cancelled {
    /// Whether a submission is cancelled; where the store does not say, it is
    /// not known to be.
    async fn is(&self, submission: &Id, store: &dyn Store) -> bool {
        let now = Instant::now();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(submission).copied();
        match known {
            Some((_, true)) => return true,
            Some((at, false)) if now.duration_since(at) < BELIEVED => return false,
            _ => {}
        }
        let Ok(size) = store.size(&place::cancelled(submission)).await else { return false };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(submission.clone(), (now, size.is_some()));
        size.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_often_is_suspected_of_more_and_more() {
        use Suspicion::{Computing, None, Reading};
        let of_new = [0, 2, 3, 5, 6, 99].map(|n| suspicion(n, 0, 3));
        assert_eq!(of_new, [None, None, Computing, Computing, Reading, Reading]);
        assert_eq!(
            [(0, 1), (1, 1), (9, 2)].map(|(n, crashes)| suspicion(n, crashes, 3)),
            [Computing, Reading, Reading]
        );
    }

    #[test]
    fn compressed_bodies_count_as_what_they_may_unpack_to() {
        let limits = wire::Limits { ratio: 10, unpacked_bytes: 500, ..wire::Limits::default() };
        let mut message = Message { body: vec![0; 40].into(), ..Message::default() };
        assert_eq!(unpacked(&message, &limits), 40);
        message.properties.content_encoding = Some("zstd".into());
        assert_eq!(unpacked(&message, &limits), 400);
        message.body = vec![0; 80].into();
        assert_eq!(unpacked(&message, &limits), 500);
    }
}
