//! How long one decision takes, over 10,000 workers in 50 pools.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use skydose::scaling::{
    Memory, Node, NodeState, Part, Pool, Queue, Sample, Settings, Worker, WorkerState, decide, settings,
};

const POOLS: usize = 50;
const WORKERS: usize = 10_000;

fn settings(maximum: u32) -> Settings {
    let pool = |index: usize| settings::Pool {
        name: format!("pool-{index}"),
        minimum: 1,
        maximum,
        price: 1.0 + index as f64 / 50.0,
        jobs_per_s: Some(0.1 + index as f64 / 500.0),
        boot: Duration::from_mins(8),
    };
    Settings { pools: (0..POOLS).map(pool).collect(), ..Settings::default() }
}

/// Workers over all pools, and `ready` jobs.
fn sample(second: i64, ready: u64) -> Sample {
    let at = Timestamp::from_second(1_700_000_000 + second).expect("a time of today");
    let nodes = WORKERS / POOLS;
    let name = |pool: usize, node: usize| format!("pool-{pool}-{node:04}");
    let pools = (0..POOLS).map(|pool| Pool {
        name: format!("pool-{pool}"),
        wanted: u32::try_from(nodes).expect("a few hundred"),
        nodes: (0..nodes)
            .map(|node| Node { name: name(pool, node), state: NodeState::Running, age_s: 3600.0 })
            .collect(),
        fault: None,
    });
    let workers = (0..WORKERS).map(|index| Worker {
        node: name(index % POOLS, index / POOLS),
        state: WorkerState::Consuming,
        held: u32::from(ready > 0) * 4,
        jobs_per_s: Some(0.1),
        free_in_s: Some(index as f64 % 40.0),
        leader: index == 0,
        preempted: false,
    });
    let queue = Queue {
        priority: "normal".to_owned(),
        ready,
        unacked: 4 * WORKERS as u64,
        arrivals_per_s: Some(5.0),
        completions_per_s: Some(5.0),
        oldest_age_s: Some(60.0),
    };
    Sample {
        at,
        queues: Part::fresh(at, vec![queue]),
        pools: Part::fresh(at, pools.collect()),
        workers: Part::fresh(at, workers.collect()),
        paused: None,
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide/10000_workers_50_pools");
    for (case, maximum, ready) in [("grow", 400, 10_000_000), ("shrink", 400, 0)] {
        let settings = settings(maximum);
        // An hour of the same, so that every window is covered.
        let memory = (0..60).fold(Memory::default(), |memory, minute| {
            let mut before = sample(60 * minute, ready);
            before.workers.seen.truncate(100);
            decide(&settings, &before, memory).1
        });
        let sample = sample(3700, ready);
        group.bench_function(case, |b| b.iter(|| decide(&settings, black_box(&sample), memory.clone())));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
