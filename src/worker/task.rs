//! A job on its way through the worker.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use super::{programs::Program, state::Board};
use crate::{
    compute::run::Passed,
    job::{Job, key::Key},
    plan::Candidate,
    queue::{Delivery, Message},
    telemetry::{
        events::worker::{self as events, About},
        trace,
    },
    trajectory::{Fleet, phase::Phase},
};

/// A delivery that was taken. Dropped before it is settled, its message goes
/// back to the queue.
pub(super) struct Taken {
    /// What was delivered.
    pub message: Message,
    /// How often it came back before.
    pub redeliveries: u32,
    /// Of the job's trace.
    pub span: Span,
    job: String,
    submission: String,
    /// None once it is settled, or a copy waits in its place.
    /// In a lock only so that it can be looked at from several places.
    delivery: Mutex<Option<Delivery>>,
    board: Arc<Board>,
    /// Held while it is on trial.
    pub turn: Option<OwnedSemaphorePermit>,
}

/// A job, and what it comes to on its data set.
pub(super) struct Asked {
    pub job: Job,
    pub key: Key,
    pub program: Program,
}

/// A job that can be computed.
pub(super) struct Item {
    pub taken: Taken,
    pub asked: Asked,
    pub candidate: Candidate,
    /// Its part of the memory for flights, until its figures are encoded.
    pub memory: Option<OwnedSemaphorePermit>,
}

/// Jobs whose flights are one fleet.
pub(super) struct Work {
    pub items: Vec<Item>,
    /// Of the traces of its jobs, from here until they are computed.
    pub spans: Vec<Span>,
    pub fleet: Fleet,
    /// A label a waypoint, for each flight.
    pub phases: Vec<Vec<Phase>>,
    /// The flights of each item in the fleet.
    pub ranges: Vec<Range<usize>>,
}

/// Work with its figures.
pub(super) struct Done {
    pub work: Work,
    pub passed: Vec<Passed>,
    /// Who computed it.
    pub by: String,
}

impl Taken {
    pub(super) fn new(delivery: Delivery, span: Span, board: Arc<Board>) -> Self {
        board.took();
        let message = delivery.message.clone();
        let properties = &message.properties;
        Self {
            job: properties.message_id.clone(),
            submission: properties.submission.clone().unwrap_or_default(),
            redeliveries: delivery.redeliveries,
            message,
            span,
            delivery: Mutex::new(Some(delivery)),
            board,
            turn: None,
        }
    }

    /// Its names, for the log.
    pub(super) fn about(&self) -> About<'_> {
        About { job: &self.job, submission: &self.submission }
    }

    /// Whether its delivery is still to be settled.
    pub(super) fn is_owed(&self) -> bool {
        self.delivery().is_some()
    }

    fn delivery(&self) -> MutexGuard<'_, Option<Delivery>> {
        self.delivery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acknowledges the delivery, where it is still to be settled. `false`
    /// where it was lost with its connection: then it comes again.
    pub(super) async fn ack(&mut self) -> bool {
        let delivery = self.delivery().take();
        let Some(delivery) = delivery else { return true };
        match delivery.ack().await {
            Ok(()) => true,
            Err(error) => {
                events::Returned { about: self.about(), why: &error.to_string() }.emit();
                false
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.is_owed() {
            events::Returned { about: self.about(), why: "the worker let go of it" }.emit();
        }
        self.board.let_go();
    }
}

impl Work {
    /// What is computed: the same for all of them.
    pub(super) fn program(&self) -> Option<&Program> {
        self.items.first().map(|item| &item.asked.program)
    }

    /// Puts the flights of jobs together.
    pub(super) fn of(items: Vec<Item>) -> Self {
        let mut fleet = Fleet::new();
        let ranges = items
            .iter()
            .map(|item| {
                let start = fleet.len();
                fleet.append(&item.asked.job.flights.fleet);
                start..fleet.len()
            })
            .collect();
        let spans = items.iter().map(|item| trace::step(&item.taken.span, "compute")).collect();
        Self { items, spans, fleet, phases: Vec::new(), ranges }
    }
}
