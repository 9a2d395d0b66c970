//! A broker that is short of memory: publishers wait, consumers go on.

use std::time::Duration;

use skydose::queue::{Destination, JobQueue as _, QueueError};
use tokio::time::{Instant, sleep, timeout};

use super::{Broker, job, publish_until_safe};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::await_holding_lock, reason = "tests that harm the one broker go one after another")]
async fn a_memory_alarm_pauses_and_loses_nothing() {
    let broker = Broker::victim();
    let place = broker.place("alarm").await;
    let queue = place.queue();
    for n in 0..20 {
        queue.publish(&Destination::Jobs, &job(&format!("j{n}"))).await.unwrap();
    }
    let mut jobs = queue.subscribe(5).await.unwrap();
    let first = timeout(SOON, jobs.next()).await.expect("in time").unwrap();

    tokio::task::block_in_place(|| broker.memory_watermark("0"));
    // The broker tells when it is first sent something.
    let waiting = queue.clone();
    let start = Instant::now();
    let blocked = tokio::spawn(async move { waiting.publish(&Destination::Jobs, &job("blocked")).await });
    while !queue.health().blocked {
        assert!(start.elapsed() < SOON, "nobody noticed the alarm");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!queue.health().publishing && queue.health().consuming);
    // What is sent now waits, and is not given to the client library.
    match queue.publish(&Destination::Jobs, &job("waits")).await {
        Err(QueueError::Timeout { what, .. }) => assert!(what.contains("blocks publishers"), "{what}"),
        other => panic!("published under an alarm: {other:?}"),
    }
    // Consuming and acknowledging goes on.
    first.ack().await.unwrap();
    for _ in 1..20 {
        timeout(SOON, jobs.next()).await.expect("deliveries go on").unwrap().ack().await.unwrap();
    }
    // An end in time, too.
    let other = place.queue();
    let _ = timeout(Duration::from_secs(1), other.publish(&Destination::Jobs, &job("x"))).await;
    timeout(Duration::from_secs(6), other.close()).await.expect("closed in time");

    tokio::task::block_in_place(|| broker.memory_watermark("0.6"));
    let _ = timeout(SOON, blocked).await.expect("an answer in time");
    publish_until_safe(&*queue, &Destination::Jobs, &job("after")).await;
    let mut seen = Vec::new();
    while !seen.contains(&"after".to_owned()) {
        let delivery = timeout(SOON, jobs.next()).await.expect("in time").unwrap();
        seen.push(delivery.message.properties.message_id.clone());
        delivery.ack().await.unwrap();
    }
    assert!(!seen.iter().any(|id| id.starts_with('j')), "acknowledged under the alarm, and came again: {seen:?}");
    queue.close().await;
}
