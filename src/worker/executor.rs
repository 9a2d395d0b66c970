//! The one thread that computes: batches in, figures out. A batch that fails
//! is halved until the bad job stands alone.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use super::{
    engine::{Engine, Fault},
    publisher::Outcome,
    state::Board,
    task::{Done, Work},
};
use crate::{
    compute::run::Spent,
    job::settle::End,
    plan::{self, Batch, Candidate},
    telemetry::events::worker as events,
};

/// What computes.
pub(super) struct Executor {
    pub engine: Arc<Engine>,
    pub board: Arc<Board>,
    pub outcomes: mpsc::Sender<Outcome>,
}

impl Executor {
    /// Computes until there is no more work, or nobody takes the figures.
    pub(super) fn run(self, mut work: mpsc::Receiver<Work>) {
        while let Some(batch) = work.blocking_recv() {
            self.board.pulse.beat(Instant::now());
            if !self.batch(batch) {
                return;
            }
            self.board.pulse.rest();
        }
    }

    /// `false` where nobody takes the figures.
    fn batch(&self, work: Work) -> bool {
        let started = Instant::now();
        let mut spent = Spent::default();
        let progress = |_: f64| self.board.pulse.beat(Instant::now());
        let computed = catch_unwind(AssertUnwindSafe(|| self.engine.run(&work, &progress, &mut spent)));
        let fault = match computed {
            Ok(Ok(passed)) => {
                self.tell(&work, started.elapsed(), spent.computing);
                let by = self.engine.by(&spent);
                return self.outcomes.blocking_send(Outcome::Done(Box::new(Done { work, passed, by }))).is_ok();
            }
            Ok(Err(fault)) => fault,
            Err(panic) => Fault::Failed(format!("the computation panicked: {}", text_of(panic.as_ref()))),
        };
        let dataset = dataset(&work);
        events::BatchFailed { dataset, jobs: work.items.len(), why: fault.text() }.emit();
        self.halves(work, &fault)
    }

    fn halves(&self, work: Work, fault: &Fault) -> bool {
        let Work { mut items, .. } = work;
        if items.len() < 2 {
            return items.into_iter().all(|item| {
                let end = match fault {
                    Fault::Invalid(why) => End::Invalid(why.clone()),
                    Fault::Failed(why) => End::Failed(why.clone()),
                };
                self.outcomes.blocking_send(Outcome::Ended(Box::new(item.taken), end)).is_ok()
            });
        }
        let candidates: Vec<Candidate> = items.iter().map(|item| item.candidate.clone()).collect();
        let whole = Batch {
            jobs: (0..items.len()).collect(),
            dataset: items[0].asked.job.terms.dataset.clone(),
            time_s: (f64::NEG_INFINITY, f64::INFINITY),
            waypoints: 0,
        };
        // They are in order: each half is taken from the front.
        plan::halve(&whole, &candidates).iter().all(|half| {
            let rest = items.split_off(half.jobs.len().min(items.len()));
            let part = std::mem::replace(&mut items, rest);
            self.batch(self.engine.prepare(Work::of(part)))
        })
    }

    fn tell(&self, work: &Work, took: Duration, busy: Duration) {
        let (flights, waypoints) = (work.fleet.len(), work.fleet.waypoints());
        let dataset = dataset(work);
        events::BatchComputed { dataset, jobs: work.items.len(), flights, waypoints, took, busy }.emit();
        self.board.computed(flights as u64, busy, Instant::now());
        self.board.holds(self.engine.datasets(), self.engine.field_bytes());
    }
}

fn dataset(work: &Work) -> &str {
    work.items.first().map_or("", |item| item.asked.job.terms.dataset.as_str())
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}
