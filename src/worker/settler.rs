//! The end of a job: its result into the store, its event out, its delivery
//! settled, in this order. Nothing is acknowledged before what follows from
//! it is confirmed.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    hook::{Hook, Step},
    state::Board,
    task::Taken,
};
use crate::{
    job::{
        Id,
        answer::{Answer, Committed, Manifest},
        event::{Ending, ResultEvent},
        settle::{self, End, Reason, Tries, Verdict},
    },
    queue::{Destination, ERROR, JobQueue, Message, QueueError, REASON},
    store::{Put, Store},
    telemetry::{events::worker as events, trace},
};

/// Longest pause before a call that failed is made again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What settles.
pub(super) struct Settler {
    pub queue: Arc<dyn JobQueue>,
    pub store: Arc<dyn Store>,
    pub board: Arc<Board>,
    pub tries: settle::Settings,
    pub trial_delay: Duration,
    pub clock: super::Clock,
    pub hook: Option<Hook>,
}

impl Settler {
    /// Stores an answer, tells of it and acknowledges the job.
    pub(super) async fn answer(&self, taken: Taken, answer: Answer) {
        let started = Instant::now();
        let storing = trace::step(&taken.span, "store");
        let committed = self.commit(&taken, &answer).await;
        drop(storing);
        let committed = match committed {
            Ok(committed) => committed,
            Err(why) => return self.end(taken, End::Failed(why)).await,
        };
        if committed.put == Put::Differs {
            let key = answer.manifest.key.to_string();
            events::Conflict { about: taken.about(), key: &key }.emit();
        }
        self.reach(Step::Stored, &taken).await;
        self.told(taken, committed.manifest, started, committed.put != Put::Created).await;
    }

    /// Tells of an answer that stands in the store and acknowledges the job.
    pub(super) async fn again(&self, taken: Taken, manifest: Manifest) {
        self.told(taken, manifest, Instant::now(), true).await;
    }

    async fn told(&self, mut taken: Taken, manifest: Manifest, started: Instant, again: bool) {
        let flights = manifest.flights;
        let publishing = trace::step(&taken.span, "publish");
        self.tell(&taken, Ending::Answered(Box::new(manifest))).await;
        drop(publishing);
        self.reach(Step::Published, &taken).await;
        if !taken.ack().await {
            return;
        }
        self.reach(Step::Acked, &taken).await;
        self.board.answered();
        let end_to_end = self.since_submission(&taken);
        events::Answered { about: taken.about(), flights, publishing: started.elapsed(), end_to_end, again }.emit();
    }

    /// Settles a job that has no answer. Where a copy of it waits in the
    /// queue already, that one will tell how it ends.
    pub(super) async fn end(&self, mut taken: Taken, end: End) {
        if !taken.is_owed() {
            return;
        }
        let properties = &taken.message.properties;
        let tries = Tries { failed: properties.attempt, crashed: properties.crashes };
        match settle::settle(&end, tries, &self.tries) {
            Verdict::Ack => {
                if end == End::Cancelled {
                    self.tell(&taken, Ending::Cancelled).await;
                }
                if taken.ack().await {
                    events::Cancelled { about: taken.about() }.emit();
                }
            }
            Verdict::Retry(delay) => {
                let why = match &end {
                    End::Failed(why) => why.clone(),
                    _ => String::new(),
                };
                let mut copy = taken.message.clone();
                copy.properties.attempt += 1;
                self.publish(&Destination::Later(delay), &copy, &taken).await;
                if taken.ack().await {
                    let attempt = copy.properties.attempt;
                    events::Retried { about: taken.about(), attempt, delay, why: &why }.emit();
                }
            }
            Verdict::Bury(reason) => self.bury(taken, reason).await,
        }
    }

    async fn bury(&self, mut taken: Taken, reason: Reason) {
        let mut letter = taken.message.clone();
        let headers = &mut letter.properties.headers;
        headers.insert(REASON.to_owned(), reason.kind.name().to_owned());
        headers.insert(ERROR.to_owned(), reason.text.clone());
        self.publish(&Destination::Dead, &letter, &taken).await;
        self.tell(&taken, Ending::Buried { kind: reason.kind, reason: reason.text.clone() }).await;
        if taken.ack().await {
            events::Buried { about: taken.about(), reason: reason.kind.name(), why: &reason.text }.emit();
        }
    }

    /// Leaves a copy that counts one more death in the queue, to come when
    /// the job should be done, and acknowledges the job: whatever happens to
    /// this process now, the death is counted.
    pub(super) async fn put_on_trial(&self, taken: &mut Taken) -> bool {
        let mut copy = taken.message.clone();
        copy.properties.crashes += 1;
        self.publish(&Destination::Later(self.trial_delay), &copy, taken).await;
        let (redeliveries, crashes) = (taken.redeliveries, taken.message.properties.crashes);
        events::TrialBegun { about: taken.about(), redeliveries, crashes }.emit();
        taken.ack().await
    }

    async fn commit(&self, taken: &Taken, answer: &Answer) -> Result<Committed, String> {
        let mut pause = Pause::default();
        loop {
            match answer.commit(self.store.as_ref()).await {
                Ok(committed) => return Ok(committed),
                Err(error) if error.is_retryable() => {
                    let again_in = pause.next();
                    events::StoreFailed { about: taken.about(), why: &error.to_string(), again_in }.emit();
                    sleep(again_in).await;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Tells of a job's end on the exchange of results, and to whoever is
    /// named in `reply_to`.
    async fn tell(&self, taken: &Taken, ending: Ending) {
        let properties = &taken.message.properties;
        // A message without these names is buried before anything is told.
        let names = (properties.message_id.parse::<Id>(), properties.submission.as_deref().unwrap_or("").parse::<Id>());
        let (Ok(job), Ok(submission)) = names else { return };
        let event = ResultEvent {
            job,
            submission,
            ending,
            worker: self.board.identity.worker.to_string(),
            attempt: properties.attempt + 1,
            at: (self.clock)(),
        };
        let mut message = event.message();
        message.properties.correlation_id.clone_from(&properties.correlation_id);
        message.properties.headers.clone_from(&properties.headers);
        trace::mark(&taken.span, &mut message.properties.headers);
        self.publish(&Destination::Results, &message, taken).await;
        if let Some(reply_to) = &properties.reply_to {
            // Who asked may be gone; the event is on the exchange all the same.
            if let Err(error) = self.queue.publish(&Destination::Reply(reply_to.clone()), &message).await {
                events::QueueFailed { call: "reply", about: Some(taken.about()), why: &error.to_string() }.emit();
            }
        }
    }

    /// Publishes until it is confirmed. Whoever cannot wait for that drops
    /// this future, and with it what was taken.
    async fn publish(&self, to: &Destination, message: &Message, taken: &Taken) {
        let mut pause = Pause::default();
        loop {
            let Err(error) = self.queue.publish(to, message).await else { return };
            events::QueueFailed { call: call(&error), about: Some(taken.about()), why: &error.to_string() }.emit();
            sleep(pause.next()).await;
        }
    }

    fn since_submission(&self, taken: &Taken) -> Option<Duration> {
        let submitted = taken.message.properties.submitted_at?;
        since(submitted, (self.clock)())
    }

    /// Tests may stop the worker here.
    pub(super) async fn reach(&self, step: Step, taken: &Taken) {
        if self.hook.as_ref().is_some_and(|hook| hook(step, taken.about().job)) {
            std::future::pending::<()>().await;
        }
    }
}

/// From one instant to a later one.
pub(super) fn since(from: Timestamp, to: Timestamp) -> Option<Duration> {
    Duration::try_from(to.duration_since(from)).ok()
}

fn call(error: &QueueError) -> &'static str {
    match error {
        QueueError::Unroutable { .. } => "publish (unroutable)",
        QueueError::Timeout { .. } => "publish (timeout)",
        _ => "publish",
    }
}

/// Pauses between tries: longer and longer, never in step with others.
#[derive(Default)]
pub(super) struct Pause(u32);

impl Pause {
    pub(super) fn next(&mut self) -> Duration {
        let longest = Duration::from_millis(100).saturating_mul(1 << self.0.min(10)).min(LONGEST_PAUSE);
        self.0 += 1;
        longest.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}
