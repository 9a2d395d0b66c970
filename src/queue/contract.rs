//! What every queue of jobs does. Run on the one in memory and on RabbitMQ.
//!
//! Each check finds the queues empty and leaves them so.
//!
//! # Panics
//! Each panics where a queue does not keep the contract.
#![allow(clippy::missing_panics_doc, reason = "to panic is what a check is for; said once, above")]

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{
    DeadLetters, Delivery, Destination, ERROR, Election, Gauge, JobQueue, Message, Priority, Properties, QueueError,
    QueueFigures, REASON, Subscription,
};

/// One queue, seen from two processes.
#[derive(Clone)]
pub struct Parts {
    /// One process.
    pub mine: Arc<dyn JobQueue>,
    /// Another.
    pub other: Arc<dyn JobQueue>,
    /// Its dead letters.
    pub dead: Arc<dyn DeadLetters>,
    /// Its figures.
    pub gauge: Arc<dyn Gauge>,
    /// Where the one process stands for leader.
    pub mine_stands: Arc<dyn Election>,
    /// Where the other does.
    pub other_stands: Arc<dyn Election>,
}

/// A check.
pub type Check = fn(Parts) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// All of them.
pub const CHECKS: &[(&str, Check)] = &[
    ("what is published arrives whole", |parts| Box::pin(whole(parts))),
    ("high priority comes first", |parts| Box::pin(priorities(parts))),
    ("at most prefetch are unsettled", |parts| Box::pin(prefetch(parts))),
    ("what is dropped comes again", |parts| Box::pin(redelivery(parts))),
    ("what a process held when it went comes again", |parts| Box::pin(abandoned(parts))),
    ("after stop no more comes", |parts| Box::pin(stop(parts))),
    ("a delay is waited out", |parts| Box::pin(later(parts))),
    ("results wait for whoever asks again", |parts| Box::pin(results(parts))),
    ("a reply needs a queue", |parts| Box::pin(replies(parts))),
    ("telemetry is heard by topic", |parts| Box::pin(telemetry(parts))),
    ("dead letters are listed, redriven, discarded", |parts| Box::pin(dead_letters(parts))),
    ("figures tell what is there", |parts| Box::pin(figures(parts))),
    ("one leads", |parts| Box::pin(election(parts))),
];

/// For what should happen at once.
const SOON: Duration = Duration::from_secs(20);

/// For what should not happen.
const A_WHILE: Duration = Duration::from_millis(300);

fn job(id: &str, priority: Priority) -> Message {
    Message {
        properties: Properties {
            message_id: id.to_owned(),
            kind: "skydose.job".into(),
            version: 1,
            priority,
            ..Properties::default()
        },
        body: "{}".into(),
    }
}

async fn publish(parts: &Parts, to: &Destination, message: &Message) {
    parts.mine.publish(to, message).await.expect("published");
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    timeout(SOON, subscription.next()).await.expect("a delivery in time").expect("a delivery")
}

async fn nothing(subscription: &mut Box<dyn Subscription>) {
    let extra = timeout(A_WHILE, subscription.next()).await;
    assert!(extra.is_err(), "expected no delivery, got {extra:?}");
}

fn id(delivery: &Delivery) -> String {
    delivery.message.properties.message_id.clone()
}

async fn whole(parts: Parts) {
    let properties = Properties {
        message_id: "whole".into(),
        kind: "skydose.job".into(),
        version: 1,
        submission: Some("s".into()),
        attempt: 3,
        crashes: 1,
        deadline: Some("2030-01-01T00:00:00Z".parse().expect("a time")),
        submitted_at: Some("2024-01-01T00:00:00.125Z".parse().expect("a time")),
        priority: Priority::High,
        content_type: Some("application/json".into()),
        content_encoding: Some("zstd".into()),
        reply_to: Some("mine".into()),
        correlation_id: Some("c".into()),
        headers: [("traceparent".to_owned(), "00-1".to_owned())].into(),
    };
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let sent = [
        Message { properties: properties.clone(), body: bytes.into() },
        Message { properties: Properties { message_id: "empty".into(), ..properties }, body: "".into() },
    ];
    let mut jobs = parts.other.subscribe(2).await.expect("subscribed");
    for message in &sent {
        publish(&parts, &Destination::Jobs, message).await;
        let delivery = next(&mut jobs).await;
        assert_eq!(&delivery.message, message);
        assert_eq!(delivery.redeliveries, 0);
        delivery.ack().await.expect("acknowledged");
    }
    nothing(&mut jobs).await;
}

async fn priorities(parts: Parts) {
    for n in 0..3 {
        publish(&parts, &Destination::Jobs, &job(&format!("n{n}"), Priority::Normal)).await;
    }
    for n in 0..3 {
        publish(&parts, &Destination::Jobs, &job(&format!("h{n}"), Priority::High)).await;
    }
    let mut jobs = parts.mine.subscribe(1).await.expect("subscribed");
    let mut order = Vec::new();
    // One of them may be picked before the first of high priority arrives.
    sleep(A_WHILE).await;
    for _ in 0..6 {
        let delivery = next(&mut jobs).await;
        order.push(id(&delivery));
        delivery.ack().await.expect("acknowledged");
        sleep(A_WHILE).await;
    }
    let late: Vec<usize> = (0..6).filter(|i| order[*i].starts_with('n')).collect();
    assert!(late.iter().sum::<usize>() >= 3 + 4, "those of high priority should come first: {order:?}");
    let normal: Vec<&String> = order.iter().filter(|id| id.starts_with('n')).collect();
    assert_eq!(normal, ["n0", "n1", "n2"]);
}

async fn prefetch(parts: Parts) {
    for n in 0..5 {
        publish(&parts, &Destination::Jobs, &job(&format!("p{n}"), Priority::Normal)).await;
    }
    let mut jobs = parts.mine.subscribe(2).await.expect("subscribed");
    let (first, second) = (next(&mut jobs).await, next(&mut jobs).await);
    nothing(&mut jobs).await;
    first.ack().await.expect("acknowledged");
    let third = next(&mut jobs).await;
    nothing(&mut jobs).await;
    for delivery in [second, third] {
        delivery.ack().await.expect("acknowledged");
    }
    for _ in 0..2 {
        next(&mut jobs).await.ack().await.expect("acknowledged");
    }
    nothing(&mut jobs).await;
}

async fn redelivery(parts: Parts) {
    publish(&parts, &Destination::Jobs, &job("again", Priority::Normal)).await;
    let mut jobs = parts.mine.subscribe(1).await.expect("subscribed");
    drop(next(&mut jobs).await);
    let second = next(&mut jobs).await;
    assert_eq!((id(&second).as_str(), second.redeliveries), ("again", 1));
    second.requeue().await.expect("put back");
    let third = next(&mut jobs).await;
    assert_eq!(third.redeliveries, 2);
    third.ack().await.expect("acknowledged");
    nothing(&mut jobs).await;
}

async fn abandoned(parts: Parts) {
    for n in 0..4 {
        publish(&parts, &Destination::Jobs, &job(&format!("a{n}"), Priority::Normal)).await;
    }
    let mut jobs = parts.mine.subscribe(4).await.expect("subscribed");
    let held = [next(&mut jobs).await, next(&mut jobs).await];
    drop(jobs);
    drop(held);
    let mut others = parts.other.subscribe(4).await.expect("subscribed");
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let delivery = next(&mut others).await;
        seen.insert(id(&delivery));
        delivery.ack().await.expect("acknowledged");
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    nothing(&mut others).await;
}

async fn stop(parts: Parts) {
    for n in 0..20 {
        publish(&parts, &Destination::Jobs, &job(&format!("s{n}"), Priority::Normal)).await;
    }
    let mut jobs = parts.mine.subscribe(3).await.expect("subscribed");
    let held = next(&mut jobs).await;
    jobs.stop().await;
    let mut seen = BTreeSet::from([id(&held)]);
    while let Some(delivery) = timeout(SOON, jobs.next()).await.expect("an end in time") {
        seen.insert(id(&delivery));
        // Done while stopping, which must still reach the broker.
        delivery.ack().await.expect("acknowledged");
    }
    assert!(seen.len() <= 8, "at most what was held and what was on its way: {seen:?}");
    held.ack().await.expect("acknowledged after the stop");
    let mut others = parts.other.subscribe(5).await.expect("subscribed");
    while seen.len() < 20 {
        let delivery = next(&mut others).await;
        assert!(seen.insert(id(&delivery)), "{} was acknowledged and came again", id(&delivery));
        delivery.ack().await.expect("acknowledged");
    }
    nothing(&mut others).await;
}

async fn later(parts: Parts) {
    let mut message = job("later", Priority::High);
    message.properties.attempt = 1;
    publish(&parts, &Destination::Later(Duration::from_millis(400)), &message).await;
    let mut jobs = parts.other.subscribe(1).await.expect("subscribed");
    nothing(&mut jobs).await;
    let delivery = next(&mut jobs).await;
    assert_eq!(delivery.message, message);
    assert_eq!(delivery.redeliveries, 0);
    delivery.ack().await.expect("acknowledged");
}

async fn results(parts: Parts) {
    let event = |submission: &str, n: u32| {
        let mut message = job(&format!("{submission}-{n}"), Priority::Normal);
        message.properties.submission = Some(submission.to_owned());
        message
    };
    let mut first = parts.mine.results("one").await.expect("listening");
    let mut second = parts.mine.results("two").await.expect("listening");
    for submission in ["one", "two"] {
        parts.other.publish(&Destination::Results, &event(submission, 1)).await.expect("published");
    }
    // One that nobody waits for stops nobody.
    parts.other.publish(&Destination::Results, &event("nobody", 1)).await.expect("published");
    let delivery = next(&mut first).await;
    assert_eq!(id(&delivery), "one-1");
    delivery.ack().await.expect("acknowledged");
    drop(next(&mut second).await);
    drop(first);
    parts.other.publish(&Destination::Results, &event("one", 2)).await.expect("published");
    let mut again = parts.mine.results("one").await.expect("listening");
    let delivery = next(&mut again).await;
    assert_eq!(id(&delivery), "one-2");
    delivery.ack().await.expect("acknowledged");
    nothing(&mut again).await;
    let delivery = next(&mut second).await;
    assert_eq!(id(&delivery), "two-1");
    delivery.ack().await.expect("acknowledged");
    nothing(&mut second).await;
}

async fn replies(parts: Parts) {
    let error = parts.mine.publish(&Destination::Reply("nowhere".into()), &job("r", Priority::Normal)).await;
    match error {
        Err(QueueError::Unroutable { message_id, destination, .. }) => {
            assert_eq!((message_id.as_str(), destination.as_str()), ("r", "queue nowhere"));
        }
        other => panic!("expected the reply to be unroutable, got {other:?}"),
    }
}

async fn telemetry(parts: Parts) {
    let say = async |topic: &str| {
        let to = Destination::Telemetry(topic.to_owned());
        // A connection may be on its way.
        for _ in 0..100 {
            if parts.other.publish(&to, &job(topic, Priority::Normal)).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("nothing could be said");
    };
    let mut beats = parts.mine.listen("heartbeat.*", Duration::ZERO).await.expect("listening");
    let mut orders = parts.mine.listen("command.w1", Duration::ZERO).await.expect("listening");
    for topic in ["heartbeat.w1", "command.w2", "command.w1", "heartbeat.w2"] {
        say(topic).await;
    }
    for expected in ["heartbeat.w1", "heartbeat.w2"] {
        let (topic, message) = timeout(SOON, beats.next()).await.expect("heard in time").expect("heard");
        assert_eq!((topic.as_str(), message.properties.message_id.as_str()), (expected, expected));
    }
    let (topic, _) = timeout(SOON, orders.next()).await.expect("heard in time").expect("heard");
    assert_eq!(topic, "command.w1");
    // Who comes late hears what was said a moment ago.
    let mut late = parts.other.listen("heartbeat.*", Duration::from_mins(1)).await.expect("listening");
    let mut heard = BTreeSet::new();
    while heard.len() < 2 {
        heard.insert(timeout(SOON, late.next()).await.expect("heard in time").expect("heard").0);
    }
    assert!(heard.contains("heartbeat.w1") && heard.contains("heartbeat.w2"), "{heard:?}");
    assert!(timeout(A_WHILE, orders.next()).await.is_err());
}

async fn dead_letters(parts: Parts) {
    for n in 0..3 {
        let mut message = job(&format!("d{n}"), Priority::High);
        message.properties.attempt = 5;
        message.properties.headers =
            [(REASON, "attempts"), (ERROR, "no such data set")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        publish(&parts, &Destination::Dead, &message).await;
    }
    let ids = |letters: &[super::DeadLetter]| -> Vec<String> {
        letters.iter().map(|letter| letter.message.properties.message_id.clone()).collect()
    };
    for _ in 0..2 {
        let letters = parts.dead.list(10).await.expect("listed");
        assert_eq!(ids(&letters), ["d0", "d1", "d2"]);
        assert_eq!((letters[0].reason(), letters[0].error()), ("attempts", "no such data set"));
    }
    assert_eq!(ids(&parts.dead.list(1).await.expect("listed")), ["d0"]);
    assert_eq!(ids(&parts.dead.get("d1").await.expect("read")), ["d1"]);
    assert!(parts.dead.get("other").await.expect("read").is_empty());

    let chosen = ["d1".to_owned()];
    assert_eq!(parts.dead.redrive(Some(&chosen)).await.expect("redriven"), 1);
    assert_eq!(parts.dead.redrive(Some(&chosen)).await.expect("redriven"), 0);
    let mut jobs = parts.mine.subscribe(1).await.expect("subscribed");
    let delivery = next(&mut jobs).await;
    assert_eq!(delivery.message, job("d1", Priority::High));
    delivery.ack().await.expect("acknowledged");
    nothing(&mut jobs).await;

    assert_eq!(parts.dead.discard(Some(&["d0".to_owned()])).await.expect("discarded"), 1);
    assert_eq!(ids(&parts.dead.list(10).await.expect("listed")), ["d2"]);
    assert_eq!(parts.dead.discard(None).await.expect("discarded"), 1);
    assert!(parts.dead.list(10).await.expect("listed").is_empty());
}

async fn figures(parts: Parts) {
    for n in 0..3 {
        publish(&parts, &Destination::Jobs, &job(&format!("f{n}"), Priority::Normal)).await;
    }
    let mut jobs = parts.mine.subscribe(1).await.expect("subscribed");
    let held = next(&mut jobs).await;
    settle_at(&*parts.gauge, (2, 1)).await;
    held.ack().await.expect("acknowledged");
    for _ in 0..2 {
        next(&mut jobs).await.ack().await.expect("acknowledged");
    }
    let seen = settle_at(&*parts.gauge, (0, 0)).await;
    assert_eq!(seen.priorities[&Priority::Normal].oldest, Some(Duration::ZERO));
    assert!(!seen.partial(), "{:?}", seen.unknown());
}

/// Waits until the figures, which lag, say so many ready and unacknowledged of
/// normal priority, and nothing else anywhere.
async fn settle_at(gauge: &dyn Gauge, normal: (u64, u64)) -> QueueFigures {
    let mut last = QueueFigures::default();
    for _ in 0..60 {
        last = gauge.figures().await.expect("figures");
        let counts = |priority| {
            let one = last.priorities.get(&priority).cloned().unwrap_or_default();
            one.ready.zip(one.unacked)
        };
        let others = (counts(Priority::High), last.dead_letters, last.delayed);
        if counts(Priority::Normal) == Some(normal) && others == (Some((0, 0)), Some(0), Some(0)) {
            return last;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("expected {normal:?} and nothing else, got {last:?}");
}

async fn election(parts: Parts) {
    let mut first = parts.mine_stands.stand().await.expect("standing");
    timeout(SOON, first.elected()).await.expect("elected in time");
    let mut second = parts.other_stands.stand().await.expect("standing");
    for _ in 0..3 {
        assert!(timeout(A_WHILE, second.elected()).await.is_err(), "two lead");
        assert!(!second.confirm().await);
        assert!(first.confirm().await, "the seat was lost for no reason");
    }
    first.resign().await;
    timeout(SOON, second.elected()).await.expect("elected in time");
    assert!(second.confirm().await);
    let mut third = parts.mine_stands.stand().await.expect("standing");
    assert!(timeout(A_WHILE, third.elected()).await.is_err(), "two lead");
    drop(second);
    timeout(SOON, third.elected()).await.expect("elected in time");
    third.resign().await;
}
