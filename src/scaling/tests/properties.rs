//! What holds whatever the sample.

use proptest::prelude::*;

use super::build::{Cluster, at, pool, settings};
use crate::scaling::{Decision, Guard, Memory, NodeState, Outcome, Settings, WorkerState, decide, settings as parts};

/// Pools `gpu` and `cpu` in any state, and any queue.
fn cluster() -> impl Strategy<Value = Cluster> {
    let life = prop_oneof![
        4 => Just(WorkerState::Consuming),
        1 => Just(WorkerState::Starting),
        2 => Just(WorkerState::Draining),
        1 => Just(WorkerState::Drained),
        1 => Just(WorkerState::Quarantined),
    ];
    let workers = prop::collection::vec((any::<bool>(), life, 0_u32..4, 0_u32..7), 0..12);
    let nodes = prop::collection::vec(
        (
            any::<bool>(),
            prop_oneof![
                3 => Just(NodeState::Booting),
                1 => Just(NodeState::Lost),
                1 => Just(NodeState::Failed),
                1 => Just(NodeState::Leaving)
            ],
            0_u32..4,
            0.0..2000.0,
        ),
        0..6,
    );
    let queue = (0_u64..20_000, 0.0..5.0, 0.0..5.0, prop::option::of(0.0..4000.0));
    (workers, nodes, queue, 0_u32..3, any::<bool>()).prop_map(|(workers, nodes, queue, unborn, leader)| {
        let name = |gpu: bool| if gpu { "gpu" } else { "cpu" };
        let mut cluster = Cluster::new(0).ready(queue.0).rates(queue.1, queue.2);
        cluster.0.queues.seen[0].oldest_age_s = queue.3;
        for (gpu, state, n, held) in workers {
            let held = if state == WorkerState::Drained { 0 } else { held };
            cluster = cluster.workers(name(gpu), n, state, held);
        }
        for (gpu, state, n, age) in nodes {
            cluster = cluster.nodes(name(gpu), n, state, age);
        }
        cluster.pool("gpu").wanted += unborn;
        if leader && let Some(worker) = cluster.0.workers.seen.first_mut() {
            worker.leader = true;
        }
        cluster
    })
}

fn two_pools(policy: &str) -> Settings {
    let cpu = parts::Pool { price: 1.3, jobs_per_s: Some(0.05), ..pool("cpu", 0, 10) };
    Settings { policy: policy.to_owned(), pools: vec![pool("gpu", 2, 20), cpu], ..settings() }
}

fn any_policy() -> impl Strategy<Value = Settings> {
    prop_oneof!["drain-time", "backlog", "ratio"].prop_map(|name| two_pools(&name))
}

/// A memory in which the cluster has looked like this for an hour.
fn remembered(settings: &Settings, cluster: &Cluster) -> Memory {
    (1..=60)
        .rev()
        .fold(Memory::default(), |memory, minutes| decide(settings, &cluster.shifted(-60 * minutes).0, memory).1)
}

fn goal(decision: &Decision) -> u32 {
    decision.pools.iter().map(|pool| pool.goal).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bounds_hold(settings in any_policy(), cluster in cluster()) {
        let decision = decide(&settings, &cluster.0, remembered(&settings, &cluster)).0;
        for (decided, pool) in decision.pools.iter().zip(&settings.pools) {
            // More only where the provider had more already.
            prop_assert!(decided.target <= pool.maximum.max(decided.wanted), "{decision:#?}");
            let backed_off = decision.held_back.iter().any(|held| held.guard == Guard::Backoff);
            prop_assert!(backed_off || decided.goal >= pool.minimum, "{decision:#?}");
            prop_assert!(decided.goal <= decided.target, "{decision:#?}");
        }
    }

    #[test]
    fn nothing_that_holds_a_job_and_no_leader_is_removed(settings in any_policy(), cluster in cluster()) {
        let decision = decide(&settings, &cluster.0, remembered(&settings, &cluster)).0;
        for (decided, seen) in decision.pools.iter().filter_map(|d| Some((d, cluster.0.pools.seen.iter().find(|p| p.name == d.name)?))) {
            let worker = |name: &String| cluster.0.workers.seen.iter().find(|w| w.node == *name);
            for name in &decided.remove {
                prop_assert!(worker(name).is_none_or(|w| w.held == 0 && !w.leader), "{name}: {decision:#?}");
            }
            for name in &decided.drain {
                prop_assert!(worker(name).is_some(), "{name} has no worker to ask");
            }
            let holding = seen.nodes.iter().filter(|n| worker(&n.name).is_some_and(|w| w.held > 0)).count();
            prop_assert!(decided.target as usize >= holding, "{decision:#?}");
        }
    }

    #[test]
    fn the_same_again_is_the_same_decision(settings in any_policy(), cluster in cluster()) {
        let memory = remembered(&settings, &cluster);
        let (first, after) = decide(&settings, &cluster.0, memory.clone());
        prop_assert_eq!(&first, &decide(&settings, &cluster.0, memory).0);
        // Deciding once more before anything has changed asks for the same.
        let (second, _) = decide(&settings, &cluster.0, after);
        for (a, b) in first.pools.iter().zip(&second.pools) {
            prop_assert!(b.target >= a.target || a.target <= a.wanted, "{first:#?} then {second:#?}");
        }
    }

    #[test]
    fn more_jobs_never_mean_fewer_nodes(
        policy in prop_oneof![Just("drain-time"), Just("backlog")],
        cluster in cluster(),
        more in 1_u64..10_000,
    ) {
        let settings = two_pools(policy);
        let memory = remembered(&settings, &cluster);
        let fewer = decide(&settings, &cluster.0, memory.clone()).0;
        let ready = cluster.0.queues.seen[0].ready + more;
        let with_more = decide(&settings, &cluster.ready(ready).0, memory).0;
        prop_assert!(capacity(&settings, &with_more) >= capacity(&settings, &fewer) - 1e-9, "{fewer:#?}\n{with_more:#?}");
    }

    #[test]
    fn an_old_or_incomplete_sample_touches_nothing(settings in any_policy(), cluster in cluster(), part in 0..3, old in any::<bool>()) {
        let memory = remembered(&settings, &cluster);
        let mut blind = cluster;
        match part {
            0 => spoil(&mut blind.0.queues, old),
            1 => spoil(&mut blind.0.pools, old),
            _ => spoil(&mut blind.0.workers, old),
        }
        let (decision, after) = decide(&settings, &blind.0, memory.clone());
        prop_assert_eq!(decision.outcome, Outcome::Blind);
        prop_assert_eq!(after, memory);
        for pool in &decision.pools {
            prop_assert_eq!(pool.target, pool.wanted);
            prop_assert!(pool.remove.is_empty());
        }
    }

    #[test]
    fn noise_of_a_fifth_flaps_nothing(noise in prop::collection::vec(0.8_f64..1.2, 720), tenths in 30_u32..180) {
        let (settings, mut memory) = (settings(), Memory::default());
        // As many nodes as the load needs, and three minutes' work in the queue.
        let (load, nodes) = (f64::from(tenths) / 10.0, tenths.div_ceil(10));
        let mut changes = 0;
        for (second, factor) in (0..).step_by(10).zip(&noise) {
            let waiting = 18 * u64::from(tenths) / 10;
            let cluster = Cluster::new(second)
                .ready(if *factor < 1.0 { waiting * 4 / 5 } else { waiting * 6 / 5 })
                .rates(0.1 * load * factor, 0.1 * load)
                .workers("gpu", nodes, WorkerState::Consuming, 4);
            let (decision, after) = decide(&settings, &cluster.0, memory);
            changes += u32::from(goal(&decision) != nodes);
            memory = after;
        }
        prop_assert_eq!(changes, 0);
    }

    #[test]
    fn what_is_remembered_stays_small(window_s in 0_u64..7200, steps in 1_i64..3000) {
        let mut settings = settings();
        settings.guards.stabilise_in = std::time::Duration::from_secs(window_s);
        settings.guards.stabilise_out = std::time::Duration::from_secs(window_s / 7);
        let mut memory = Memory::default();
        for step in 0..steps {
            let cluster = Cluster::new(step).ready(step.unsigned_abs() % 977);
            memory = decide(&settings, &cluster.0, memory).1;
        }
        prop_assert!(memory.asked.len() <= 520, "{} demands", memory.asked.len());
    }

    #[test]
    fn a_mix_costs_little_more_than_the_cheapest(
        pools in prop::collection::vec((0.5_f64..4.0, 0.02_f64..0.4, 0_u32..6), 1..4),
        jobs in 1_u64..1500,
    ) {
        let mut settings = settings();
        settings.policy = "backlog".to_owned();
        settings.guards.tolerance = 0.0;
        settings.pools = pools
            .iter()
            .enumerate()
            .map(|(i, (price, speed, most))| parts::Pool {
                price: *price, jobs_per_s: Some(*speed), ..pool(&format!("p{i}"), 0, *most)
            })
            .collect();
        let decision = decide(&settings, &Cluster::new(0).ready(jobs).0, Memory::default()).0;
        let mean = pools.iter().map(|(_, speed, _)| speed).sum::<f64>() / pools.len() as f64;
        let need = jobs as f64 / settings.backlog.jobs_per_node * mean;
        let got: f64 = decision.pools.iter().zip(&pools).map(|(d, (_, speed, _))| f64::from(d.goal) * speed).sum();
        let paid: f64 = decision.pools.iter().zip(&pools).map(|(d, (price, ..))| f64::from(d.goal) * price).sum();
        match cheapest(&pools, need) {
            Some(least) => {
                prop_assert!(got >= need * (1.0 - 1e-6), "{got} of {need}: {decision:#?}");
                let dearest = pools.iter().map(|(price, ..)| *price).fold(0.0, f64::max);
                prop_assert!(paid <= least + dearest + 1e-9, "{paid}, possible is {least}");
                prop_assert!(pools.len() > 1 || (paid - least).abs() < 1e-9, "{paid}, possible is {least}");
            }
            None => prop_assert!(decision.pools.iter().zip(&pools).all(|(d, (.., most))| d.goal == *most)),
        }
    }
}

fn spoil<T>(part: &mut crate::scaling::Part<T>, old: bool) {
    if old {
        part.at = Some(at(-3600));
    } else {
        part.missing.push("503".to_owned());
    }
}

fn capacity(settings: &Settings, decision: &Decision) -> f64 {
    let speed = |pool: &parts::Pool| pool.jobs_per_s.unwrap_or(0.0);
    decision.pools.iter().zip(&settings.pools).map(|(d, pool)| f64::from(d.goal) * speed(pool)).sum()
}

/// The least price of a mix for `need`, over all mixes.
fn cheapest(pools: &[(f64, f64, u32)], need: f64) -> Option<f64> {
    let Some(((price, speed, most), rest)) = pools.split_first() else {
        return (need <= 1e-9).then_some(0.0);
    };
    (0..=*most)
        .filter_map(|n| Some(f64::from(n) * price + cheapest(rest, need - f64::from(n) * speed)?))
        .reduce(f64::min)
}
