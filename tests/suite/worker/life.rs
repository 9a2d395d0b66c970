//! How a worker lives: its states, its heartbeats, what it is told, how it
//! ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use skydose::{
    job::event::Ending as JobEnding,
    queue::{Destination, Listener, Message, Properties},
    telemetry::message::{Command, Heartbeat, Order, Said as _, State, VERSION},
    worker::{
        Ending, Wish,
        hook::{Hook, Step},
    },
};
use tokio::time::{Instant, sleep, timeout};

use super::harness::{SOON, Stage, now};

/// Waits for a heartbeat that tells what is expected.
async fn heartbeat(listener: &mut Box<dyn Listener>, which: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
    let heard = async {
        loop {
            let (_, message) = listener.next().await.expect("an open queue");
            let heartbeat = Heartbeat::decode(&message.body).expect("a heartbeat");
            if which(&heartbeat) {
                return heartbeat;
            }
        }
    };
    timeout(SOON, heard).await.expect("a heartbeat in time")
}

async fn say(stage: &Stage, order: Order, to: &Heartbeat) {
    let command = Command { worker: to.worker.clone(), order, from: "leader".into(), at: now() };
    let message = Message {
        properties: Properties { kind: Command::KIND.into(), version: VERSION, ..Properties::default() },
        body: command.encode().into(),
    };
    stage.queue.publish(&Destination::Telemetry(command.topic()), &message).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_tell_what_it_does_and_commands_change_it() {
    let mut stage = Stage::new("life").await;
    let mut listener = stage.queue.listen(Heartbeat::TOPICS, Duration::ZERO).await.unwrap();
    let worker = stage.start("w");
    let first = heartbeat(&mut listener, |h| h.state == State::Idle).await;
    assert_eq!((first.node.as_str(), first.pool.as_str(), first.slots), ("test-node", "default", 8));
    assert!(first.backend.starts_with("cpu (") && first.flights_per_s.is_none() && first.datasets.is_empty());
    assert_eq!(worker.subject.ready(), Ok(()));

    stage.submit("j0", 3).await;
    stage.told().await;
    let busy = heartbeat(&mut listener, |h| h.jobs_done == 1 && h.flights_per_s.is_some()).await;
    assert_eq!((busy.datasets.as_slice(), busy.in_flight), (["test".to_owned()].as_slice(), 0));
    assert!(busy.field_bytes > 0 && busy.flights_per_s.is_some_and(|f| f > 0.0));
    let status = worker.subject.status();
    assert_eq!(
        (&status["state"], &status["self_test"], &status["jobs_done"]),
        (&"idle".into(), &true.into(), &1.into())
    );

    let drain = Order::Drain { reason: "scale in".into() };
    say(&stage, drain.clone(), &first).await;
    say(&stage, drain, &first).await;
    let drained = heartbeat(&mut listener, |h| h.state == State::Drained).await;
    assert_eq!((drained.reason.as_deref(), drained.in_flight), (Some("scale in"), 0));
    assert!(worker.subject.ready().unwrap_err().contains("drained: takes no jobs"));
    assert_eq!(worker.subject.live(), Ok(()));
    stage.submit("j1", 1).await;
    sleep(Duration::from_millis(300)).await;
    assert!(heartbeat(&mut listener, |_| true).await.in_flight == 0, "a drained worker took a job");

    say(&stage, Order::Resume, &first).await;
    stage.told().await;
    heartbeat(&mut listener, |h| h.state.takes_jobs() && h.reason.is_none()).await;
    assert_eq!(worker.end().await, Ending::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_to_others_and_those_from_before_its_start_are_not_obeyed() {
    let stage = Stage::new("others").await;
    let mut listener = stage.queue.listen(Heartbeat::TOPICS, Duration::ZERO).await.unwrap();
    let worker = stage.start("w");
    let first = heartbeat(&mut listener, |h| h.state == State::Idle).await;
    let old = Command {
        worker: first.worker.clone(),
        order: Order::Drain { reason: "old".into() },
        from: "leader".into(),
        at: first.started_at - jiff::SignedDuration::from_secs(1),
    };
    let message = Message { body: old.encode().into(), ..Message::default() };
    stage.queue.publish(&Destination::Telemetry(old.topic()), &message).await.unwrap();
    let nonsense = Message { body: "drain!".into(), ..Message::default() };
    stage.queue.publish(&Destination::Telemetry(old.topic()), &nonsense).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(heartbeat(&mut listener, |_| true).await.state, State::Idle);
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_end_it_finishes_its_jobs() {
    let mut stage = Stage::new("finish").await;
    stage.submit("j", 1).await;
    let wish = Arc::new(std::sync::Mutex::new(None::<tokio::sync::watch::Sender<Wish>>));
    let told_to = wish.clone();
    let hook: Hook = Arc::new(move |step, _| {
        if step == Step::Computing
            && let Some(wish) = told_to.lock().unwrap().take()
        {
            wish.send_replace(Wish::End("SIGTERM".into()));
        }
        false
    });
    let worker = stage.start_with("w", Some(hook));
    *wish.lock().unwrap() = Some(worker.wish.clone());
    let told = stage.told().await;
    stage.check_ledger(&told).await;
    let ending = match timeout(Duration::from_secs(5), worker.task).await {
        Ok(ending) => ending.unwrap(),
        // The job had passed the step before the wish was there.
        Err(_) => return,
    };
    assert_eq!(ending, Ending::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_finish_within_the_grace_goes_back() {
    let mut stage = Stage::new("grace").await;
    stage.settings.grace = Duration::from_millis(200);
    stage.submit("j", 1).await;
    let hangs = Arc::new(AtomicBool::new(false));
    let mark = hangs.clone();
    let hook: Hook = Arc::new(move |step, _| {
        mark.store(true, Ordering::Relaxed);
        step == Step::Computing
    });
    let worker = stage.start_with("hanging", Some(hook));
    while !hangs.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(10)).await;
    }
    let started = Instant::now();
    assert_eq!(worker.end().await, Ending::OutOfTime);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let next = stage.start("next");
    let told = stage.told().await;
    assert!(matches!(told.endings["j"].0, JobEnding::Answered(_)));
    next.end().await;
}
