//! What was confirmed is there, and what is not there was not confirmed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use reqwest::Method;
use skydose::queue::{
    DeadLetters as _, Destination, Election as _, JobQueue, Message, Priority, QueueError,
    amqp::{Amqp, Settings},
};
use tokio::time::timeout;

use super::{Broker, job, publish_until_safe};

const SOON: Duration = Duration::from_secs(30);

/// A result of a submission.
fn result(submission: &str, n: usize) -> Message {
    let mut message = job(&format!("{submission}-{n}"));
    message.properties.submission = Some(submission.to_owned());
    message
}

/// Takes and acknowledges until nothing comes for a while; how often each id
/// came.
pub async fn drain(queue: &dyn JobQueue) -> BTreeMap<String, u32> {
    let mut seen = BTreeMap::new();
    let mut jobs = queue.subscribe(50).await.unwrap();
    while let Ok(Some(delivery)) = timeout(Duration::from_secs(2), jobs.next()).await {
        *seen.entry(delivery.message.properties.message_id.clone()).or_insert(0) += 1;
        delivery.ack().await.unwrap();
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_2000_results_in_flight_the_unroutable_ones_are_named() {
    const ALL: usize = 2000;
    let broker = Broker::shared();
    let place = broker.place("unroutable").await;
    let queue = place.queue();
    let mut kept = queue.results("kept").await.unwrap();
    // Without the alternate exchange, as if the topology were broken.
    broker.api().call(Method::DELETE, "policies/unroutable/skydose.results", None);
    tokio::time::sleep(Duration::from_millis(500)).await;

    let routable = |n: usize| !n.is_multiple_of(7);
    let messages: Vec<Message> = (0..ALL).map(|n| result(if routable(n) { "kept" } else { "lost" }, n)).collect();
    let verdicts = join_all(messages.iter().map(|message| queue.publish(&Destination::Results, message))).await;
    for (n, verdict) in verdicts.iter().enumerate() {
        match verdict {
            Ok(()) => assert!(routable(n), "{n} went nowhere and was confirmed"),
            Err(QueueError::Unroutable { message_id, why, .. }) => {
                assert!(!routable(n), "{n} was routed and called unroutable");
                assert_eq!((message_id, why.as_str()), (&format!("lost-{n}"), "NO_ROUTE"));
            }
            Err(error) => panic!("{n}: {error}"),
        }
    }
    let mut arrived = BTreeSet::new();
    while arrived.len() < (0..ALL).filter(|n| routable(*n)).count() {
        let delivery = timeout(SOON, kept.next()).await.expect("in time").unwrap();
        arrived.insert(delivery.message.properties.message_id.clone());
        delivery.ack().await.unwrap();
    }
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::await_holding_lock, reason = "tests that harm the one broker go one after another")]
async fn a_broker_that_is_killed_while_publishing_loses_no_confirmed_job() {
    const TASKS: usize = 8;
    let broker = Broker::victim();
    let place = broker.place("killed").await;
    let queue = place.queue();
    let stop = tokio_util::sync::CancellationToken::new();
    let tasks = (0..TASKS).map(|task| {
        let (queue, stop) = (queue.clone(), stop.clone());
        tokio::spawn(async move {
            let (mut confirmed, mut repeated) = (Vec::new(), 0);
            for n in 0.. {
                let id = format!("{task}-{n}");
                repeated += publish_until_safe(&*queue, &Destination::Jobs, &job(&id)).await;
                confirmed.push(id);
                if stop.is_cancelled() {
                    break;
                }
            }
            (confirmed, repeated)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        broker.kill();
        tokio::task::block_in_place(|| broker.restart());
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stop.cancel();
    let (mut confirmed, mut repeated) = (BTreeSet::new(), 0);
    for task in tasks {
        let (ids, again) = timeout(SOON, task).await.expect("in time").unwrap();
        confirmed.extend(ids);
        repeated += again;
    }
    assert!(repeated > 0, "the broker was killed and nobody noticed");
    let arrived = drain(&*queue).await;
    let lost: Vec<&String> = confirmed.iter().filter(|id| !arrived.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} of {} confirmed jobs are lost: {lost:?}", lost.len(), confirmed.len());
    let twice: u32 = arrived.values().map(|count| count - 1).sum();
    eprintln!("{} jobs confirmed, {repeated} publishes repeated, {twice} jobs arrived again", confirmed.len());
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_over_the_limit_are_refused_and_disturb_nobody() {
    let broker = Broker::shared();
    let place = broker.place("sizes").await;
    let sized = |id: &str, mib: usize| Message { body: vec![7; mib << 20].into(), ..job(id) };
    let queue = place.queue();
    queue.publish(&Destination::Jobs, &sized("m15", 15)).await.unwrap();
    for mib in [17, 140] {
        match queue.publish(&Destination::Jobs, &sized(&format!("m{mib}"), mib)).await {
            Err(QueueError::Message { field, .. }) => assert_eq!(field, "body"),
            other => panic!("{mib} MiB: {other:?}"),
        }
    }
    queue.close().await;

    // As if the cap were set above the broker's own.
    let settings = Settings { largest_message: 200 << 20, publish_timeout: Duration::from_mins(1), ..place.settings() };
    let reckless = Arc::new(Amqp::new(settings).unwrap());
    let of_four = !broker.version().starts_with("3.");
    let beside = reckless.clone();
    let others = tokio::spawn(async move {
        for n in 0..50 {
            publish_until_safe(&*beside, &Destination::Jobs, &job(&format!("small{n}"))).await;
        }
    });
    let mut expected: BTreeSet<String> = (0..50).map(|n| format!("small{n}")).collect();
    expected.insert("m15".into());
    for (mib, refused) in [(17, of_four), (140, true)] {
        let id = format!("m{mib}");
        match reckless.publish(&Destination::Jobs, &sized(&id, mib)).await {
            Ok(()) if !refused => assert!(expected.insert(id)),
            Err(QueueError::Refused { what, .. }) if refused => assert!(what.contains("larger than"), "{what}"),
            other => panic!("{mib} MiB: {other:?}"),
        }
    }
    timeout(SOON, others).await.expect("in time").unwrap();
    assert_eq!(drain(&*reckless).await.into_keys().collect::<BTreeSet<_>>(), expected);
    reckless.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_may_do_its_work_and_no_more() {
    let place = Broker::shared().place("roles").await;
    let [worker, submitter, leader, operator] =
        ["worker", "submitter", "leader", "operator"].map(|role| place.as_user(&format!("skydose-{role}")).queue());
    let refused = |what: &str, result: Result<(), QueueError>| match result {
        Err(QueueError::Refused { what: said, expected, .. }) => {
            assert!(said.contains("refused"), "{said}");
            assert!(expected.contains("skydose topology apply"), "{expected}");
        }
        other => panic!("{what}: expected a refusal, got {other:?}"),
    };
    // A submitter makes its own queue of results, and submits.
    let mut results = submitter.results("s1").await.unwrap();
    submitter.publish(&Destination::Jobs, &job("j1")).await.unwrap();
    refused("submitter takes jobs", submitter.subscribe(1).await.map(drop));
    refused("submitter writes results", submitter.publish(&Destination::Results, &result("s1", 0)).await);
    // Refusals close channels; a connection that came of that goes is made anew.
    let buried = loop {
        match submitter.publish(&Destination::Dead, &job("j1")).await {
            Err(QueueError::Connection { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
            other => break other,
        }
    };
    refused("submitter buries", buried);

    // A worker works.
    let mut jobs = worker.subscribe(2).await.unwrap();
    let delivery = timeout(SOON, jobs.next()).await.expect("in time").unwrap();
    worker.publish(&Destination::Results, &result("s1", 1)).await.unwrap();
    worker.publish(&Destination::Later(Duration::from_secs(1)), &job("j2")).await.unwrap();
    worker.publish(&Destination::Dead, &job("j3")).await.unwrap();
    worker.publish(&Destination::Reply("skydose.results.s1".into()), &result("s1", 2)).await.unwrap();
    worker.publish(&Destination::Telemetry("heartbeat.w".into()), &job("h")).await.unwrap();
    let _heard = worker.listen("command.w", Duration::ZERO).await.unwrap();
    delivery.ack().await.unwrap();
    let retried = timeout(SOON, jobs.next()).await.expect("in time").unwrap();
    assert_eq!(retried.message.properties.message_id, "j2");
    retried.ack().await.unwrap();
    refused("worker declares", worker.results("s2").await.map(drop));
    refused("worker reads dead letters", worker.list(1).await.map(drop));

    for _ in 0..2 {
        timeout(SOON, results.next()).await.expect("in time").unwrap().ack().await.unwrap();
    }
    // A leader stands and listens; an operator looks after what was given up.
    leader.stand().await.unwrap().resign().await;
    let _heard = leader.listen("heartbeat.*", Duration::from_mins(1)).await.unwrap();
    refused("leader takes jobs", leader.subscribe(1).await.map(drop));
    refused("leader submits", leader.publish(&Destination::Jobs, &job("j")).await);
    assert_eq!(operator.redrive(None).await.unwrap(), 1);
    refused("operator takes jobs", operator.subscribe(1).await.map(drop));
    let redriven = timeout(SOON, jobs.next()).await.expect("in time").unwrap();
    assert_eq!(redriven.message.properties.priority, Priority::Normal);
    redriven.ack().await.unwrap();
    for queue in [worker, submitter, leader, operator] {
        queue.close().await;
    }
}
