//! Consumers that die, and jobs that are given up.

use std::{collections::BTreeSet, time::Duration};

use skydose::queue::{DeadLetters as _, Destination, JobQueue as _};
use tokio::time::timeout;

use super::{Broker, Proxy, job, publishing::drain};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_deaths_of_consumers_bury_no_good_job() {
    const JOBS: usize = 20;
    let place = Broker::shared().place("deaths").await;
    let queue = place.queue();
    for n in 0..JOBS {
        queue.publish(&Destination::Jobs, &job(&format!("j{n}"))).await.unwrap();
    }
    let mut most = 0;
    for _ in 0..50 {
        let proxy = Proxy::start(&place.address);
        let dying = place.through(&proxy.address).queue();
        let mut jobs = dying.subscribe(3).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..3 {
            let delivery = timeout(SOON, jobs.next()).await.expect("in time").unwrap();
            most = most.max(delivery.redeliveries);
            held.push(delivery);
        }
        // No acknowledgement, no farewell.
        proxy.cut();
        drop(proxy);
        drop(held);
    }
    assert!(most >= 20, "jobs should have come back many times, not {most}");
    assert!(queue.list(10).await.unwrap().is_empty(), "good jobs were buried");
    assert_eq!(drain(&*queue).await.len(), JOBS);
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redriven_by_two_at_once_a_job_comes_once() {
    const JOBS: usize = 60;
    let place = Broker::shared().place("redrive").await;
    let queue = place.queue();
    for n in 0..JOBS {
        queue.publish(&Destination::Dead, &job(&format!("d{n}"))).await.unwrap();
    }
    let other = place.queue();
    let (one, two) = tokio::join!(queue.redrive(None), other.redrive(None));
    let third = queue.redrive(None).await.unwrap();
    assert_eq!(one.unwrap() + two.unwrap() + third, JOBS);
    let arrived = drain(&*queue).await;
    assert_eq!(arrived.len(), JOBS);
    assert!(arrived.values().all(|count| *count == 1), "{arrived:?}");
    assert!(queue.list(10).await.unwrap().is_empty());
    queue.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_at_random_moments_lose_and_repeat_nothing() {
    const JOBS: usize = 300;
    let seed =
        std::env::var("SKYDOSE_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("SKYDOSE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let place = Broker::shared().place("drains").await;
    let queue = place.queue();
    for n in 0..JOBS {
        queue.publish(&Destination::Jobs, &job(&format!("j{n}"))).await.unwrap();
    }
    let mut done = BTreeSet::new();
    while done.len() < JOBS {
        let worker = place.queue();
        let mut jobs = worker.subscribe(random.u16(1..8)).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..random.usize(1..60) {
            match timeout(Duration::from_millis(500), jobs.next()).await {
                Ok(Some(delivery)) => held.push(delivery),
                _ => break,
            }
            if random.bool() {
                finish(held.swap_remove(random.usize(..held.len())), &mut done).await;
            }
        }
        // Stop; finish what was begun, put back what was not.
        jobs.stop().await;
        while !held.is_empty() {
            finish(held.swap_remove(0), &mut done).await;
        }
        while let Some(delivery) = timeout(SOON, jobs.next()).await.expect("an end in time") {
            if random.bool() { finish(delivery, &mut done).await } else { delivery.requeue().await.unwrap() }
        }
        timeout(Duration::from_secs(5), worker.close()).await.expect("closed in time");
    }
    assert!(drain(&*queue).await.is_empty(), "something was left over");
    assert!(queue.list(1).await.unwrap().is_empty());
    queue.close().await;
}

async fn finish(delivery: skydose::queue::Delivery, done: &mut BTreeSet<String>) {
    let id = delivery.message.properties.message_id.clone();
    delivery.ack().await.unwrap();
    assert!(done.insert(id.clone()), "{id} was acknowledged and came again");
}
