//! Connections that freeze, are cut, or carry nothing any more: noticed in
//! bounded time, made again, and nothing lost.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use skydose::queue::{DeadLetters as _, Destination, Election as _, JobQueue as _, amqp::Amqp};
use tokio::time::{Instant, sleep, timeout};

use super::{Broker, Mode, Place, Proxy, job, publish_until_safe};

/// Within which work resumes once all is well.
const RESUMES: Duration = Duration::from_secs(30);

/// How long things stay broken: longer than the loss of a connection takes to
/// be noticed, which is two heartbeats of 2 s.
const BROKEN: Duration = Duration::from_secs(9);

/// Jobs go through `place` while `harm` is done, then `heal`; each must arrive
/// in the end.
async fn jobs_survive(place: &Place, harm: impl AsyncFnOnce(), heal: impl AsyncFnOnce()) {
    let queue = place.queue();
    let mut jobs = queue.subscribe(4).await.unwrap();
    let publishing = queue.clone();
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let publisher = tokio::spawn(async move {
        let mut count = 0;
        while !stopped.is_cancelled() {
            publish_until_safe(&*publishing, &Destination::Jobs, &job(&format!("j{count}"))).await;
            count += 1;
            sleep(Duration::from_millis(20)).await;
        }
        count
    });
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut take = async |until: Instant| {
        while let Ok(Some(delivery)) = tokio::time::timeout_at(until, jobs.next()).await {
            let id = delivery.message.properties.message_id.clone();
            // An acknowledgement that is lost brings the job again.
            if delivery.ack().await.is_ok() {
                *seen.entry(id).or_insert(0) += 1;
            }
        }
        seen.len()
    };
    let before = take(Instant::now() + Duration::from_secs(1)).await;
    assert!(before > 0, "nothing arrived before");
    harm().await;
    let broken = take(Instant::now() + BROKEN).await;
    assert!(!queue.health().publishing, "the loss was not noticed: {:?}", queue.health());
    heal().await;
    let healed = Instant::now();
    while take(Instant::now() + Duration::from_millis(200)).await == broken {
        assert!(healed.elapsed() < RESUMES, "work did not resume in {RESUMES:?}");
    }
    eprintln!("resumed {:.1} s after healing", healed.elapsed().as_secs_f64());
    stop.cancel();
    let published = timeout(RESUMES, publisher).await.expect("publishing resumes").unwrap();
    let deadline = Instant::now() + RESUMES;
    while take(Instant::now() + Duration::from_millis(200)).await < published {
        assert!(Instant::now() < deadline, "{published} jobs were confirmed, not all arrived");
    }
    assert!(queue.health().consuming && queue.health().publishing);
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::await_holding_lock, reason = "tests that harm the one broker go one after another")]
async fn a_frozen_broker_is_noticed_and_work_resumes() {
    let broker = Broker::victim();
    let place = broker.place("frozen").await;
    jobs_survive(&place, async || broker.freeze(), async || broker.thaw()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::await_holding_lock, reason = "tests that harm the one broker go one after another")]
async fn a_broker_that_restarts_is_found_again() {
    let broker = Broker::victim();
    let place = broker.place("restarted").await;
    jobs_survive(&place, async || broker.kill(), async || tokio::task::block_in_place(|| broker.restart())).await;
}

async fn proxied(name: &str, mode: Mode) {
    let place = Broker::shared().place(name).await;
    let proxy = Proxy::start(&place.address);
    let threads = io_threads();
    jobs_survive(&place.through(&proxy.address), async || proxy.set(mode), async || proxy.set(Mode::Pass)).await;
    // Attempts that came to nothing leave nothing behind.
    for _ in 0..50 {
        if io_threads() <= threads + 8 {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("{} threads of connections before, {} after", threads, io_threads());
}

/// Threads of the client library in this process, which runs other tests too.
fn io_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process's threads");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lapin")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_is_noticed_and_work_resumes() {
    proxied("swallowed", Mode::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_is_noticed_and_work_resumes() {
    proxied("halfopen", Mode::HalfOpen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections_are_tried_again() {
    proxied("refused", Mode::Refuse).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_connections_work() {
    let place = Broker::shared().place("slow").await;
    let proxy = Proxy::start(&place.address);
    proxy.set(Mode::Delay(Duration::from_millis(50)));
    let queue = place.through(&proxy.address).queue();
    for n in 0..5 {
        queue.publish(&Destination::Jobs, &job(&format!("j{n}"))).await.unwrap();
    }
    assert_eq!(super::publishing::drain(&*queue).await.len(), 5);
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_was_deleted_is_consumed_again_once_it_is_back() {
    let broker = Broker::shared();
    let place = broker.place("deleted").await;
    let queue = place.queue();
    let mut jobs = queue.subscribe(2).await.unwrap();
    broker.api().call(Method::DELETE, "queues/deleted/skydose.jobs.normal", None);
    // The consumer ends without an error, and must not be taken for idle.
    let start = Instant::now();
    while queue.health().consuming {
        assert!(start.elapsed() < RESUMES, "the end of the consumer was not noticed");
        sleep(Duration::from_millis(50)).await;
    }
    place.apply().await;
    publish_until_safe(&*queue, &Destination::Jobs, &job("back")).await;
    let delivery = timeout(RESUMES, jobs.next()).await.expect("in time").unwrap();
    assert_eq!(delivery.message.properties.message_id, "back");
    delivery.ack().await.unwrap();
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_knows_and_another_leads() {
    let place = Broker::shared().place("leaders").await;
    let proxy = Proxy::start(&place.address);
    let (mine, other) = (place.through(&proxy.address).queue(), place.queue());
    let mut first = mine.stand().await.unwrap();
    timeout(RESUMES, first.elected()).await.expect("elected");
    let mut second = other.stand().await.unwrap();
    assert!(timeout(Duration::from_millis(500), second.elected()).await.is_err(), "two lead");
    proxy.set(Mode::BlackHole);
    let start = Instant::now();
    // The first knows before the broker gives the seat to the second.
    assert!(!first.confirm().await, "confirmed through a black hole");
    timeout(RESUMES, second.elected()).await.expect("the other leads");
    eprintln!("another leads {:.1} s after the cut", start.elapsed().as_secs_f64());
    proxy.set(Mode::Pass);
    assert!(timeout(Duration::from_secs(3), first.elected()).await.is_err(), "two lead");
    assert!(second.confirm().await);
    second.resign().await;
    timeout(RESUMES, first.elected()).await.expect("the first leads again");
    first.resign().await;
    mine.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_down_is_passed_over() {
    let place = Broker::shared().place("passed-over").await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nodes = format!("{},{}", place.through(&nobody.to_string()).uri, place.uri);
    let some_down = Place { uri: nodes, ..place.clone() };
    let queue = some_down.queue();
    publish_until_safe(&*queue, &Destination::Dead, &job("dead")).await;
    assert_eq!(queue.list(10).await.unwrap().len(), 1);
    Amqp::probe(&some_down.settings()).await.unwrap();
    queue.close().await;
}
