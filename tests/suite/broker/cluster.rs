//! Three nodes, one of which is killed: the one that leads the jobs' queue.

use std::{collections::BTreeSet, time::Duration};

use skydose::queue::{Destination, JobQueue as _};
use tokio::time::{Instant, sleep, timeout};

use super::{Cluster, job, publish_until_safe, publishing::drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_a_queues_leader_loses_no_job() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let place = cluster.place("cluster").await;
    let queue = place.queue();
    publish_until_safe(&*queue, &Destination::Jobs, &job("first")).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let (publishing, stopped) = (queue.clone(), stop.clone());
    let publisher = tokio::spawn(async move {
        let (mut ids, mut longest) = (BTreeSet::from(["first".to_owned()]), Duration::ZERO);
        while !stopped.is_cancelled() {
            let id = format!("j{}", ids.len());
            let start = Instant::now();
            publish_until_safe(&*publishing, &Destination::Jobs, &job(&id)).await;
            longest = longest.max(start.elapsed());
            ids.insert(id);
        }
        (ids, longest)
    });
    sleep(Duration::from_secs(1)).await;
    let leader = tokio::task::block_in_place(|| cluster.leader_of(&place, "skydose.jobs.normal"));
    leader.kill();
    sleep(Duration::from_secs(8)).await;
    stop.cancel();
    let (ids, longest) = timeout(Duration::from_secs(30), publisher).await.expect("publishing resumes").unwrap();
    let arrived: BTreeSet<String> = drain(&*queue).await.into_keys().collect();
    assert!(ids.is_subset(&arrived), "lost: {:?}", ids.difference(&arrived).collect::<Vec<_>>());
    eprintln!("{} jobs, the longest publish took {:.1} s", ids.len(), longest.as_secs_f64());
    queue.close().await;
}
