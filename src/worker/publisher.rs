//! From figures to answers: rows are encoded while the next batch is
//! computed, and settled side by side.

use std::{collections::BTreeMap, sync::Arc};

use rayon::prelude::*;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    hook::Step,
    programs::Program,
    settler::Settler,
    task::{Asked, Done, Taken, Work},
};
use crate::{
    compute::{answer::Answers, run::Flights},
    exposure::{Exposure, request::Pass},
    job::{
        Job, Terms,
        answer::{Answer, Manifest, Rejected, Rows},
        key,
        settle::End,
    },
};

/// Jobs that are settled at a time.
const SETTLING: usize = 256;

/// What the executor came to.
pub(super) enum Outcome {
    /// Figures of a batch.
    Done(Box<Done>),
    /// A job that has none.
    Ended(Box<Taken>, End),
}

/// What encodes and settles.
pub(super) struct Publisher {
    pub settler: Arc<Settler>,
    pub inline_rows: usize,
    /// How numbers are computed.
    pub mode: &'static str,
}

impl Publisher {
    /// Settles until the executor is gone and all is settled. Dropped, it
    /// drops what is not settled.
    pub(super) async fn run(self, mut outcomes: mpsc::Receiver<Outcome>) {
        let this = Arc::new(self);
        let room = Arc::new(Semaphore::new(SETTLING));
        let mut settling = JoinSet::new();
        while let Some(outcome) = outcomes.recv().await {
            let answers = match outcome {
                Outcome::Ended(taken, end) => vec![(*taken, Err(end))],
                Outcome::Done(done) => {
                    for item in &done.work.items {
                        this.settler.reach(Step::Computed, &item.taken).await;
                    }
                    let encoder = this.clone();
                    // A panic here drops the jobs, which go back to the queue.
                    tokio::task::spawn_blocking(move || encoder.encode(*done)).await.unwrap_or_default()
                }
            };
            for (taken, answer) in answers {
                // The semaphore is never closed.
                let Ok(permit) = room.clone().acquire_owned().await else { return };
                let settler = this.settler.clone();
                settling.spawn(async move {
                    match answer {
                        Ok(answer) => settler.answer(taken, answer).await,
                        Err(end) => settler.end(taken, end).await,
                    }
                    drop(permit);
                });
                while settling.try_join_next().is_some() {}
            }
        }
        while settling.join_next().await.is_some() {}
    }

    fn encode(&self, done: Done) -> Vec<(Taken, Result<Answer, End>)> {
        let Done { work: Work { items, spans, fleet, phases, ranges }, passed, by } = done;
        drop(spans);
        let Some(Program { entry, passes, .. }) = items.first().map(|item| item.asked.program.clone()) else {
            return Vec::new();
        };
        let flights = Flights { fleet: &fleet, phases: &phases };
        let answers = Answers::new(&passes, &flights, &passed, entry.dataset.members());
        items
            .into_par_iter()
            .zip(ranges)
            .map(|(item, range)| {
                let rows: Vec<Exposure> = range.flat_map(|flight| answers.of(flight)).collect();
                let answer = answer(&item.asked, (self.mode, &by), &rows, self.inline_rows);
                drop(item.memory);
                (item.taken, answer)
            })
            .collect()
    }
}

/// The answer of one job, with how and by whom it was computed.
pub(super) fn answer(
    asked: &Asked,
    (mode, by): (&str, &str),
    rows: &[Exposure],
    inline_rows: usize,
) -> Result<Answer, End> {
    Answer::new(manifest(asked, mode, by), rows, inline_rows).map_err(|error| End::Failed(error.to_string()))
}

/// All of a manifest but its rows.
fn manifest(asked: &Asked, mode: &str, by: &str) -> Manifest {
    let Asked { job: Job { terms, flights }, key, program } = asked;
    Manifest {
        job: terms.id.clone(),
        submission: terms.submission.clone(),
        key: *key,
        dataset: terms.dataset.clone(),
        dataset_version: program.entry.version.clone(),
        algorithm: key::ALGORITHM,
        mode: mode.to_owned(),
        backend: by.to_owned(),
        rules: rules(&program.passes, terms),
        flights: flights.fleet.len() as u64,
        rejected: flights
            .rejects
            .iter()
            .map(|reject| Rejected {
                flight_id: reject.flight_id.clone(),
                reason: reject.reason.clone(),
                waypoints: reject.waypoints as u64,
            })
            .collect(),
        repaired: flights
            .repairs
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(fault, count)| (fault.name().to_owned(), count))
            .collect(),
        rows: Rows::Inline(Vec::new()),
    }
}

fn rules(passes: &[Pass], terms: &Terms) -> BTreeMap<String, String> {
    let density =
        passes.iter().map(|pass| pass.density).find(|density| *density != "not needed").unwrap_or("not needed");
    [
        ("skydose_version", env!("CARGO_PKG_VERSION")),
        ("integration", terms.request.integration.name()),
        ("vertical", terms.vertical.name()),
        ("density", density),
        ("phases", "OpenAP FlightPhase; level flight counts as cruise"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
