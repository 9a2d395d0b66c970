//! What is promised of every job, whatever fails.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use skydose::{
    job::{answer::Rows, event::Ending, place},
    queue::{Destination, Priority, Properties},
    store::{Objects, Put, Store, StoreError},
    worker::hook::{Hook, Step},
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::harness::{SOON, Stage, breaking, id, message, now, seed, terms};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_answered_once_with_the_rows_of_their_flights() {
    let mut stage = Stage::new("plain").await;
    for n in 0..20 {
        stage.submit(&format!("j{n:02}"), 1 + n % 3).await;
    }
    let worker = stage.start("w");
    let told = stage.told().await;
    for (n, (job, (ending, times))) in told.endings.iter().enumerate() {
        let Ending::Answered(manifest) = ending else { panic!("{job}: {ending:?}") };
        assert_eq!((manifest.flights, *times), (1 + n as u64 % 3, 1), "{job}");
        let Rows::Inline(rows) = &manifest.rows else { panic!("{job}: rows are few") };
        let flights: BTreeSet<String> = rows.iter().map(|r| r.flight_id.clone()).collect();
        let expected: BTreeSet<String> = (0..manifest.flights).map(|f| format!("F{}", n as u64 * 7 + f)).collect();
        assert_eq!(flights, expected, "{job}");
        assert!(rows.iter().all(|r| r.dosage_g_s_m3.is_some_and(|d| d > 0.0)), "{job}");
    }
    stage.check_ledger(&told).await;
    assert_eq!(worker.end().await, skydose::worker::Ending::Finished);
}

/// A worker dies at `step` of each job in turn, and another goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_at_any_step_loses_and_repeats_nothing() {
    for step in Step::ALL {
        let mut stage = Stage::new(step.name()).await;
        for death in 0..3 {
            for n in 0..2 {
                stage.submit(&format!("j{death}{n}"), 1).await;
            }
            let reached = Arc::new(Notify::new());
            let (mark, is_dead) = (reached.clone(), AtomicBool::new(false));
            let hook: Hook = Arc::new(move |at, _| {
                let dies = at == step && !is_dead.swap(true, Ordering::Relaxed);
                if dies {
                    mark.notify_one();
                }
                dies
            });
            let worker = stage.start_with(&format!("dying{death}"), Some(hook));
            timeout(SOON, reached.notified()).await.unwrap_or_else(|_| panic!("{step:?} was not reached"));
            worker.kill().await;
        }
        let worker = stage.start("living");
        let mut told = stage.told().await;
        stage.rest(&mut told, Duration::from_millis(300)).await;
        assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 6, "{step:?}");
        stage.check_ledger(&told).await;
        worker.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_at_random_moments_lose_and_bury_no_good_job() {
    let mut random = seed();
    let mut stage = Stage::new("deaths").await;
    for n in 0..40 {
        stage.submit(&format!("j{n:02}"), 2).await;
    }
    for death in 0..50 {
        let worker = stage.start(&format!("w{death}"));
        sleep(Duration::from_millis(random.u64(0..12))).await;
        worker.kill().await;
    }
    let worker = stage.start("last");
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_secs(2)).await;
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 40);
    stage.check_ledger(&told).await;
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_job_on_two_workers_has_one_result() {
    let mut stage = Stage::new("twice").await;
    let message = message(&terms("twice", "j"), 3, 0);
    stage.publish(message.clone()).await;
    stage.publish(message).await;
    let workers = ["one", "two"].map(|name| stage.start(name));
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_millis(500)).await;
    assert_eq!(told.endings["j"].1, 2, "each copy is told of");
    stage.check_ledger(&told).await;
    for worker in workers {
        worker.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_comes_again_is_told_of_but_not_computed() {
    let mut stage = Stage::new("again").await;
    stage.submit("j", 1).await;
    let computed = Arc::new(AtomicUsize::new(0));
    let count = computed.clone();
    let hook: Hook = Arc::new(move |step, _| {
        count.fetch_add(usize::from(step == Step::Computing), Ordering::Relaxed);
        false
    });
    let worker = stage.start_with("w", Some(hook));
    let mut told = stage.told().await;
    let copy = message(&terms("again", "j"), 1, 0);
    stage.queue.publish(&Destination::Jobs, &copy).await.unwrap();
    stage.rest(&mut told, Duration::from_secs(1)).await;
    assert_eq!((told.endings["j"].1, computed.load(Ordering::Relaxed)), (2, 1));
    stage.check_ledger(&told).await;
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_kills_its_workers_is_buried_once_and_the_others_are_not() {
    let mut stage = Stage::new("poison").await;
    for n in 0..5 {
        stage.submit(&format!("good{n}"), 1).await;
    }
    stage.submit("poison", 1).await;
    // A supervisor that starts a worker again whenever one has died.
    let mut deaths = 0;
    let died = Arc::new(Notify::new());
    let mut told = None;
    while told.is_none() {
        let mark = died.clone();
        let hook: Hook = Arc::new(move |step, job| {
            let dies = step == Step::Computing && job == "poison";
            if dies {
                mark.notify_one();
            }
            dies
        });
        let worker = stage.start_with(&format!("w{deaths}"), Some(hook));
        tokio::select! {
            () = died.notified() => {
                deaths += 1;
                assert!(deaths < 20, "it goes on dying");
            }
            all = stage.told() => told = Some(all),
        }
        worker.kill().await;
    }
    let mut told = told.unwrap();
    stage.rest(&mut told, Duration::from_secs(2)).await;
    assert_eq!(told.buried("poison"), "crashed: 3 workers died while they computed it");
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 5);
    stage.check_ledger(&told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_answered_is_not_buried_by_a_copy_that_counts_deaths() {
    let mut stage = Stage::new("copies").await;
    stage.submit("j", 1).await;
    let worker = stage.start("w");
    let mut told = stage.told().await;
    let mut copy = message(&terms("copies", "j"), 1, 0);
    copy.properties.crashes = stage.settings.tries.most_crashes;
    stage.queue.publish(&Destination::Jobs, &copy).await.unwrap();
    stage.rest(&mut told, Duration::from_secs(1)).await;
    assert_eq!(told.endings["j"].1, 2, "it is told of again");
    stage.check_ledger(&told).await;
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_cannot_be_computed_does_not_take_its_batch_down() {
    // The field's last time cannot be read: jobs that reach it fail.
    let mut stage =
        Stage::on("halves", Arc::new(Objects::in_memory()), breaking(Arc::new(|window| window.times.contains(&3))))
            .await;
    for n in 0..7 {
        stage.submit(&format!("j{n}"), 1).await;
    }
    let mut bad = terms("halves", "late");
    bad.request.contaminants = vec![];
    let mut fleet = super::harness::fleet(1, 0);
    fleet.shift_time(25_000.0);
    let encoded = skydose::job::wire::Encoding::default().encode(&bad, &fleet, &skydose::job::wire::Limits::default());
    stage.settings.batch.window_s = 1e9;
    stage.publish(encoded.unwrap().message).await;
    let worker = stage.start("w");
    let told = stage.told().await;
    assert!(told.buried("late").starts_with("failed: test.nc: made to fail"), "{}", told.buried("late"));
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 7);
    stage.check_ledger(&told).await;
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_are_late_cancelled_or_wrong_have_their_own_ends() {
    let mut stage = Stage::new("ends").await;
    let past = now() - jiff::SignedDuration::from_secs(1);
    let late = skydose::job::Terms { deadline: Some(past), ..terms("ends", "late") };
    stage.publish(message(&late, 1, 0)).await;
    let unknown = skydose::job::Terms { dataset: id("elsewhere"), ..terms("ends", "unknown") };
    stage.publish(message(&unknown, 1, 0)).await;
    let mut lacking = terms("ends", "lacking");
    lacking.request.contaminants = vec!["so2".into()];
    stage.publish(message(&lacking, 1, 0)).await;
    let mut garbled = message(&terms("ends", "garbled"), 1, 0);
    garbled.body = Bytes::from_static(b"{\"dataset\":");
    stage.publish(garbled).await;
    let mut newer = message(&terms("ends", "newer"), 1, 0);
    newer.properties = Properties { version: 9, ..newer.properties };
    stage.publish(newer).await;
    let worker = stage.start("w");
    let told = stage.told().await;
    assert_eq!(told.buried("late"), "late: the deadline had passed before the job began");
    assert_eq!(told.buried("unknown"), "invalid: no data set \"elsewhere\" in the catalogue, which has test");
    assert!(told.buried("lacking").starts_with("invalid: no contaminant \"so2\" in the fields, which have"));
    assert!(told.buried("garbled").starts_with("invalid: "), "{}", told.buried("garbled"));
    assert!(told.buried("newer").starts_with("invalid: version is 9, expected 1"), "{}", told.buried("newer"));
    stage.check_ledger(&told).await;
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_submission_is_told_of_and_not_computed() {
    let mut stage = Stage::new("cancelled").await;
    stage.store.put_new(&place::cancelled(&id("cancelled")), Bytes::from_static(b"{}")).await.unwrap();
    for n in 0..3 {
        stage.submit(&format!("j{n}"), 1).await;
    }
    let worker = stage.start("w");
    let told = stage.told().await;
    assert_eq!(told.jobs(|e| matches!(e, Ending::Cancelled)).len(), 3);
    stage.check_ledger(&told).await;
    worker.end().await;
}

/// A store that is down or full while told so.
struct Failing {
    inner: Objects,
    down: AtomicBool,
    refused: AtomicUsize,
}

impl Failing {
    fn check(&self, object: &str) -> Result<(), StoreError> {
        if self.down.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Unavailable {
                doing: "putting",
                store: "memory:".into(),
                object: object.to_owned(),
                what: "no space left on device".into(),
            });
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Store for Failing {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn put_new(&self, object: &str, bytes: Bytes) -> Result<Put, StoreError> {
        self.check(object)?;
        self.inner.put_new(object, bytes).await
    }

    async fn get(&self, object: &str, most: u64) -> Result<Bytes, StoreError> {
        self.check(object)?;
        self.inner.get(object, most).await
    }

    async fn size(&self, object: &str) -> Result<Option<u64>, StoreError> {
        self.inner.size(object).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list(folder).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_or_full_is_waited_for() {
    let store =
        Arc::new(Failing { inner: Objects::in_memory(), down: AtomicBool::new(false), refused: AtomicUsize::new(0) });
    let mut stage = Stage::on("store", store.clone(), breaking(Arc::new(|_| false))).await;
    for n in 0..5 {
        stage.submit(&format!("j{n}"), 1).await;
    }
    // It fails once jobs are read: where their results go.
    let failing = store.clone();
    let hook: Hook = Arc::new(move |step, _| {
        if step == Step::Computed && failing.refused.load(Ordering::Relaxed) == 0 {
            failing.down.store(true, Ordering::Relaxed);
        }
        false
    });
    let worker = stage.start_with("w", Some(hook));
    while store.refused.load(Ordering::Relaxed) < 3 {
        sleep(Duration::from_millis(20)).await;
    }
    let figures = stage.gauge.figures().await.unwrap();
    let normal = &figures.priorities[&Priority::Normal];
    assert_eq!(normal.ready.unwrap() + normal.unacked.unwrap(), 5, "nothing is acknowledged");
    store.down.store(false, Ordering::Relaxed);
    let told = stage.told().await;
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 5);
    stage.check_ledger(&told).await;
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_at_random_moments_lose_and_repeat_nothing() {
    let mut random = seed();
    let mut stage = Stage::new("drains").await;
    stage.settings.grace = Duration::from_millis(40);
    for n in 0..60 {
        stage.submit(&format!("j{n:02}"), 1).await;
    }
    for turn in 0..12 {
        let worker = stage.start(&format!("w{turn}"));
        sleep(Duration::from_millis(random.u64(0..25))).await;
        worker.end().await;
    }
    let worker = stage.start("last");
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_millis(300)).await;
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 60);
    stage.check_ledger(&told).await;
    worker.end().await;
}
