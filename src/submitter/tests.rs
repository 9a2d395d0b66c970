//! Flights out and results in, through the queue in memory; what answers here
//! is a few lines, the worker itself is in the integration tests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::*;
use crate::{
    exposure::{Exposure, request::Request},
    grid::VerticalRule,
    job::{
        Id,
        answer::{Answer, Manifest, Rejected, Rows},
        event::{Ending, ResultEvent},
        key::{ALGORITHM, Key, Versions},
        settle::ReasonKind,
        testing::{fleet, id},
        wire::{self, Limits},
    },
    queue::{Destination, JobQueue, Priority, QueueError, memory::Memory},
    store::Objects,
    trajectory::phase::Phase,
};

const QUIET: Duration = Duration::from_millis(300);

fn sender(queue: &Memory, store: &Objects) -> Sender {
    Sender {
        queue: Arc::new(queue.clone()),
        store: Arc::new(store.clone()),
        settings: Settings { patience: Duration::from_millis(800), in_flight: 4, ..Settings::default() },
        limits: Limits::default(),
        clock: || Timestamp::UNIX_EPOCH,
    }
}

fn ask() -> Ask {
    Ask {
        submission: id("s"),
        dataset: id("cams"),
        request: Request::default(),
        vertical: VerticalRule::default(),
        deadline: None,
        priority: Priority::High,
    }
}

/// Chunks of so many flights each.
fn chunks(sizes: &[usize]) -> mpsc::Receiver<Result<Chunk, SubmitError>> {
    let (into, chunks) = mpsc::channel(sizes.len().max(1));
    for &size in sizes {
        into.try_send(Ok(Chunk { fleet: fleet(size), rejected: Vec::new() })).unwrap();
    }
    chunks
}

fn exposure(flight: &str) -> Exposure {
    Exposure {
        flight_id: flight.into(),
        contaminant: "ash".into(),
        phase: Phase::Flight,
        member: None,
        start_s: 0.0,
        end_s: 1.0,
        duration_s: 1.0,
        sampled_fraction: 1.0,
        dosage_g_s_m3: Some(1.0),
        mean_mg_m3: None,
        peak: None,
        rolling_peak_mg_m3: None,
        rolling_window_s: None,
        dose_g: None,
        time_above_s: Vec::new(),
        exceedance: Vec::new(),
    }
}

/// Answers every job, but buries those whose name ends in `bury`; the event of
/// each goes out `times` times.
async fn answer(queue: Memory, store: Objects, bury: &'static str, times: usize) {
    let mut jobs = queue.subscribe(8).await.unwrap();
    while let Some(delivery) = jobs.next().await {
        assert_eq!(delivery.message.properties.priority, Priority::High);
        let job = wire::decode(&delivery.message, &Limits::default()).unwrap();
        let job = job.load(&store, &Limits::default()).await.unwrap();
        let (name, submission) = (job.terms.id.clone(), job.terms.submission.clone());
        let ending = if name.as_str().ends_with(bury) {
            Ending::Buried { kind: ReasonKind::Invalid, reason: "no such data set".to_owned() }
        } else {
            let manifest = Manifest {
                job: name.clone(),
                submission: submission.clone(),
                key: Key::of(&job, &Versions { dataset: "1", algorithm: ALGORITHM, mode: "f64" }),
                dataset: job.terms.dataset.clone(),
                dataset_version: "1".to_owned(),
                algorithm: ALGORITHM,
                mode: "f64".to_owned(),
                backend: "cpu".into(),
                rules: BTreeMap::new(),
                flights: job.flights.fleet.len() as u64,
                rejected: Vec::new(),
                repaired: BTreeMap::new(),
                rows: Rows::Inline(Vec::new()),
            };
            let rows: Vec<Exposure> = job.flights.fleet.iter().map(|f| exposure(f.id)).collect();
            let committed = Answer::new(manifest, &rows, 3).unwrap().commit(&store).await.unwrap();
            Ending::Answered(Box::new(committed.manifest))
        };
        let (worker, at) = ("w".to_owned(), Timestamp::UNIX_EPOCH);
        let event = ResultEvent { job: name, submission, ending, worker, attempt: 1, at };
        for _ in 0..times {
            queue.publish(&Destination::Results, &event.message()).await.unwrap();
        }
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn flights_become_jobs_and_jobs_one_result() {
    let (queue, store) = (Memory::default(), Objects::in_memory());
    let mut events = queue.results("s").await.unwrap();
    let told = AtomicU64::new(0);
    let sent = |jobs, _| told.store(jobs, Ordering::Relaxed);
    let record = sender(&queue, &store).send(&ask(), chunks(&[5, 0, 1, 5]), &sent).await.unwrap();
    assert_eq!((record.jobs, record.flights, told.into_inner()), (3, 11, 3));
    let worker = tokio::spawn(answer(queue.clone(), store.clone(), "none", 3));
    let tally = watch(events.as_mut(), &store, &record, QUIET, &|_| ()).await.unwrap();
    assert_eq!((tally.answered(), tally.buried().len(), tally.cancelled()), (3, 0, 0));
    let gathered = gather(&store, &id("s")).await.unwrap();
    assert_eq!((gathered.answered.len(), gathered.missing.len(), gathered.is_cancelled), (3, 0, false));
    let parts = gathered.all(&store, &id("s")).await.unwrap();
    let names: Vec<&str> = parts.iter().map(|p| p.manifest.job.as_str()).collect();
    assert_eq!(names, ["s-000001", "s-000002", "s-000003"]);
    // Five rows lie apart, one is inline.
    assert_eq!(parts.iter().map(|p| p.rows.is_some()).collect::<Vec<_>>(), [true, false, true]);
    worker.abort();
}

#[tokio::test]
async fn what_is_missing_has_a_name_and_a_reason() {
    let (queue, store) = (Memory::default(), Objects::in_memory());
    let mut events = queue.results("s").await.unwrap();
    let record = sender(&queue, &store).send(&ask(), chunks(&[1, 1, 1]), &|_, _| ()).await.unwrap();
    let worker = tokio::spawn(answer(queue.clone(), store.clone(), "2", 2));
    let tally = watch(events.as_mut(), &store, &record, QUIET, &|_| ()).await.unwrap();
    let buried: Vec<_> = tally.buried().collect();
    assert_eq!(buried, [(&id("s-000002"), ReasonKind::Invalid, "no such data set")]);
    assert_eq!(gather(&store, &id("s")).await.unwrap().missing, [id("s-000002")]);
    worker.abort();
}

#[tokio::test]
async fn answers_whose_events_were_lost_are_found_in_the_store() {
    let (queue, store) = (Memory::default(), Objects::in_memory());
    let record = sender(&queue, &store).send(&ask(), chunks(&[1, 1]), &|_, _| ()).await.unwrap();
    let worker = tokio::spawn(answer(queue.clone(), store.clone(), "none", 0));
    let mut events = queue.results("s").await.unwrap();
    let tally = watch(events.as_mut(), &store, &record, QUIET, &|_| ()).await.unwrap();
    assert_eq!(tally.answered(), 2);
    worker.abort();
}

#[tokio::test]
async fn sent_again_a_submission_does_no_harm_and_another_cannot_take_its_name() {
    let (queue, store) = (Memory::default(), Objects::in_memory());
    let sender = sender(&queue, &store);
    let one = sender.send(&ask(), chunks(&[2, 2]), &|_, _| ()).await.unwrap();
    assert_eq!(sender.send(&ask(), chunks(&[2, 2]), &|_, _| ()).await.unwrap(), one);
    let error = sender.send(&ask(), chunks(&[2]), &|_, _| ()).await.unwrap_err();
    assert!(matches!(error, SubmitError::Taken(name) if name == "s"));
}

#[tokio::test]
async fn flights_that_were_rejected_on_the_way_are_in_the_record() {
    let (queue, store) = (Memory::default(), Objects::in_memory());
    let (into, chunks) = mpsc::channel(2);
    let rejected = vec![Rejected { flight_id: "X".into(), reason: "too fast".into(), waypoints: 3 }];
    into.try_send(Ok(Chunk { rejected: rejected.clone(), ..Chunk::default() })).unwrap();
    drop(into);
    let record = sender(&queue, &store).send(&ask(), chunks, &|_, _| ()).await.unwrap();
    assert_eq!((record.jobs, &record.rejected), (0, &rejected));
    assert_eq!(Record::find(&store, &id("s")).await.unwrap(), Some(record));
}

#[tokio::test]
async fn flights_that_cannot_be_read_to_their_end_leave_no_record() {
    let (queue, store) = (Memory::default(), Objects::in_memory());
    let (into, chunks) = mpsc::channel(2);
    into.try_send(Ok(Chunk { fleet: fleet(1), rejected: Vec::new() })).unwrap();
    into.try_send(Err(SubmitError::Flights("flights.csv: cut short".to_owned()))).unwrap();
    drop(into);
    let error = sender(&queue, &store).send(&ask(), chunks, &|_, _| ()).await.unwrap_err();
    assert_eq!(error.to_string(), "flights.csv: cut short");
    assert_eq!(Record::find(&store, &id("s")).await.unwrap(), None);
}

#[tokio::test]
async fn a_broker_that_is_gone_is_waited_for_only_so_long() {
    let (queue, store) = (Memory::default(), Objects::in_memory());
    queue.close().await;
    let error = sender(&queue, &store).send(&ask(), chunks(&[1]), &|_, _| ()).await.unwrap_err();
    assert!(matches!(error, SubmitError::Queue(QueueError::Connection { .. })), "{error}");
}

#[tokio::test]
async fn a_submission_is_cancelled_once() {
    let store = Objects::in_memory();
    assert!(cancel(&store, &id("s")).await.unwrap());
    assert!(!cancel(&store, &id("s")).await.unwrap());
    assert!(gather(&store, &id("s")).await.unwrap().is_cancelled);
}

#[test]
fn an_answer_stays_whatever_comes_after() {
    let event = |ending| ResultEvent {
        job: id("s-1"),
        submission: id("s"),
        ending,
        worker: String::new(),
        attempt: 1,
        at: Timestamp::UNIX_EPOCH,
    };
    let buried = || event(Ending::Buried { kind: ReasonKind::Failed, reason: String::new() });
    let mut tally = Tally::default();
    assert!(tally.note(buried()) && !tally.note(buried()));
    assert_eq!((tally.ended(), tally.buried().len()), (1, 1));
    assert!(tally.note(event(Ending::Cancelled)));
    let name: Id = id("s-1");
    assert!(tally.note_answer(name));
    assert!(!tally.note(buried()) && !tally.note(event(Ending::Cancelled)));
    assert_eq!((tally.answered(), tally.buried().len(), tally.cancelled(), tally.ended()), (1, 0, 0, 1));
}
