//! From jobs to batches: what has arrived is grouped whenever the executor
//! has room, so that batches grow with the load and a lone job does not wait.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use super::{
    engine::Engine,
    hook::Step,
    settler::Settler,
    task::{Item, Work},
};
use crate::{
    job::settle::End,
    plan::{self, Candidate},
};

/// What makes batches.
pub(super) struct Batcher {
    pub limits: plan::Limits,
    pub settler: Arc<Settler>,
    pub engine: Arc<Engine>,
    /// One: deaths count against one job at a time, the one that is computed.
    pub trial: Arc<Semaphore>,
}

impl Batcher {
    /// Makes batches until no more jobs can come.
    pub(super) async fn run(self, mut ready: mpsc::Receiver<Item>, work: mpsc::Sender<Work>) {
        let mut pending: Vec<Item> = Vec::new();
        loop {
            if pending.is_empty() {
                match ready.recv().await {
                    Some(item) => pending.push(item),
                    None => return,
                }
            }
            let Some(room) = Self::room(&mut ready, &work, &mut pending).await else { return };
            let batch = next_batch(&mut pending, &self.limits);
            let batch = self.still_wanted(batch).await;
            if batch.is_empty() {
                continue;
            }
            let engine = self.engine.clone();
            let pulse = &self.settler.board.preparing;
            pulse.beat(Instant::now());
            let prepared = tokio::task::spawn_blocking(move || engine.prepare(Work::of(batch))).await;
            pulse.rest();
            // A panic dropped the jobs, which go back to the queue.
            if let Ok(prepared) = prepared {
                room.send(prepared);
            }
        }
    }

    /// Waits until the executor can take work; jobs that arrive meanwhile may
    /// join the batch.
    async fn room<'a>(
        ready: &mut mpsc::Receiver<Item>,
        work: &'a mpsc::Sender<Work>,
        pending: &mut Vec<Item>,
    ) -> Option<mpsc::Permit<'a, Work>> {
        let mut open = true;
        let room = loop {
            tokio::select! {
                biased;
                item = ready.recv(), if open => match item {
                    Some(item) => pending.push(item),
                    None => open = false,
                },
                room = work.reserve() => break room.ok()?,
            }
        };
        while let Ok(item) = ready.try_recv() {
            pending.push(item);
        }
        Some(room)
    }

    /// Drops jobs that nobody waits for any more, and puts those on trial of
    /// which workers may have died.
    async fn still_wanted(&self, batch: Vec<Item>) -> Vec<Item> {
        let now = (self.settler.clock)();
        let mut wanted = Vec::with_capacity(batch.len());
        for mut item in batch {
            if item.asked.job.terms.is_late(now) {
                self.settler.end(item.taken, End::Late).await;
                continue;
            }
            let is_suspect = item.candidate.alone && item.taken.is_owed();
            if is_suspect {
                item.taken.turn = Arc::clone(&self.trial).acquire_owned().await.ok();
                if !self.settler.put_on_trial(&mut item.taken).await {
                    continue;
                }
            }
            self.settler.reach(Step::Computing, &item.taken).await;
            wanted.push(item);
        }
        wanted
    }
}

/// Takes the jobs out of `pending` that should be computed next.
fn next_batch(pending: &mut Vec<Item>, limits: &plan::Limits) -> Vec<Item> {
    let candidates: Vec<Candidate> = pending.iter().map(|item| item.candidate.clone()).collect();
    let Some(batch) = plan::group(&candidates, limits).into_iter().next() else { return Vec::new() };
    let mut slots: Vec<Option<Item>> = std::mem::take(pending).into_iter().map(Some).collect();
    let taken = batch.jobs.iter().filter_map(|&index| slots[index].take()).collect();
    pending.extend(slots.into_iter().flatten());
    taken
}
