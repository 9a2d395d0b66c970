//! What comes out in cases that matter.

use super::build::{Cluster, pool, settings};
use crate::scaling::{
    Decision, Guard, Memory, NodeState, Outcome, Settings, WorkerState::*, decide, settings::Schedule,
};

/// Target, drain and remove of the only pool.
fn gpu(decision: &Decision) -> (u32, usize, usize) {
    let pool = decision.pool("gpu").unwrap();
    (pool.target, pool.drain.len(), pool.remove.len())
}

fn guards(decision: &Decision) -> Vec<Guard> {
    decision.held_back.iter().map(|held| held.guard).collect()
}

#[test]
fn a_spike_asks_for_all_there_is_at_once() {
    let spike = Cluster::new(0).ready(3000).workers("gpu", 2, Consuming, 4);
    let (decision, memory) = decide(&settings(), &spike.0, Memory::default());
    assert_eq!((decision.outcome, gpu(&decision)), (Outcome::Grow, (20, 0, 0)), "{decision:#?}");
    assert_eq!(guards(&decision), [Guard::Maximum]);
    assert_eq!(memory.grew_at, Some(spike.0.at));
}

#[test]
fn booting_nodes_count_from_when_they_will_be_there() {
    let base = Cluster::new(0).ready(560).workers("gpu", 2, Consuming, 0);
    let (decision, _) = decide(&settings(), &base.0, Memory::default());
    // A boot later 560 - 2 * 48 are left; in 600 s they take 7.7 nodes.
    assert_eq!(gpu(&decision), (8, 0, 0), "{decision:#?}");
    let booting = base.clone().nodes("gpu", 6, NodeState::Booting, 100.0);
    let (decision, _) = decide(&settings(), &booting.0, Memory::default());
    assert_eq!((decision.outcome, gpu(&decision)), (Outcome::Steady, (8, 0, 0)), "{decision:#?}");
    // Five that will be there soon do the rest; five that have just begun do not.
    for (age_s, target) in [(400.0, 7), (10.0, 8)] {
        let booting = base.clone().nodes("gpu", 5, NodeState::Booting, age_s);
        let (decision, _) = decide(&settings(), &booting.0, Memory::default());
        assert_eq!(gpu(&decision), (target, 0, 0), "booting for {age_s} s: {decision:#?}");
    }
    let unborn = base.wanted("gpu", 8);
    let (decision, _) = decide(&settings(), &unborn.0, Memory::default());
    assert_eq!((decision.outcome, gpu(&decision)), (Outcome::Steady, (8, 0, 0)), "{decision:#?}");
}

#[test]
fn jobs_in_hand_count_as_backlog() {
    // On ready alone, nothing waits and busy workers would be let go.
    let busy = Cluster::new(0).workers("gpu", 20, Consuming, 40);
    assert_eq!(busy.settled(&settings()).outcome, Outcome::Steady);
}

#[test]
fn nodes_stay_while_there_is_work_for_them() {
    for ready in [2000, 800, 725] {
        let decision = Cluster::new(0).ready(ready).workers("gpu", 20, Consuming, 0).settled(&settings());
        assert_eq!(gpu(&decision), (20, 0, 0), "{ready}: {decision:#?}");
    }
    let decision = Cluster::new(0).ready(180).workers("gpu", 20, Consuming, 0).settled(&settings());
    assert_eq!(gpu(&decision), (20, 15, 0), "180 jobs are six minutes' work for 5: {decision:#?}");
}

#[test]
fn an_empty_queue_drains_first_and_removes_what_has_drained() {
    let idle = Cluster::new(0).workers("gpu", 20, Consuming, 0);
    let decision = idle.settled(&settings());
    assert_eq!((decision.outcome, gpu(&decision)), (Outcome::Shrink, (20, 18, 0)), "{decision:#?}");
    assert_eq!(decision.pools[0].goal, 2);
    let drained = Cluster::new(0)
        .workers("gpu", 2, Consuming, 0)
        .workers("gpu", 11, Drained, 0)
        .workers("gpu", 7, Draining, 1)
        .settled(&settings());
    assert_eq!(gpu(&drained), (9, 18, 11), "those that hold a job stay until it is done: {drained:#?}");
    assert_eq!(drained.pools[0].goal, 2);
}

#[test]
fn nodes_that_drain_are_called_back_before_new_ones_are_asked_for() {
    let cluster = Cluster::new(0)
        .ready(3000)
        .workers("gpu", 2, Consuming, 4)
        .workers("gpu", 9, Draining, 1)
        .workers("gpu", 2, Drained, 0);
    let (decision, _) = decide(&settings(), &cluster.0, Memory::default());
    assert_eq!(gpu(&decision), (20, 0, 0), "13 there and 7 new: {decision:#?}");
    let few = Cluster::new(0).ready(300).workers("gpu", 2, Consuming, 4).workers("gpu", 9, Draining, 1);
    let (decision, _) = decide(&settings(), &few.0, Memory::default());
    let pool = &decision.pools[0];
    assert_eq!((pool.target, pool.goal), (11, 4), "two are called back, none is new: {decision:#?}");
    assert_eq!(pool.drain.len(), 7);
}

#[test]
fn a_short_lull_lets_nobody_go() {
    let busy = Cluster::new(-600).ready(900).workers("gpu", 20, Consuming, 4);
    let mut memory = busy.after_an_hour(&settings()).1;
    memory.grew_at = None;
    let idle = Cluster::new(0).workers("gpu", 20, Consuming, 0);
    for (seconds, outcome) in [(0, Outcome::HeldBack), (60, Outcome::HeldBack), (130, Outcome::Shrink)] {
        let (decision, after) = decide(&settings(), &idle.shifted(seconds).0, memory);
        assert_eq!(decision.outcome, outcome, "after {seconds} s: {decision:#?}");
        memory = after;
    }
}

#[test]
fn a_new_leader_lets_nobody_go_before_it_has_seen_enough() {
    let idle = Cluster::new(0).workers("gpu", 20, Consuming, 0);
    let (decision, _) = decide(&settings(), &idle.0, Memory::default());
    assert_eq!((decision.outcome, guards(&decision)), (Outcome::HeldBack, vec![Guard::Stabilisation]));
}

#[test]
fn what_cannot_be_judged_changes_nothing() {
    type Change = fn(&mut Cluster, &mut Settings);
    let spike = Cluster::new(0).ready(3000).workers("gpu", 2, Consuming, 4).workers("gpu", 1, Drained, 0);
    let changes: [(&str, Outcome, Guard, Change); 6] = [
        ("pause by configuration", Outcome::Paused, Guard::Pause, |_, s| s.paused = true),
        ("pause by command", Outcome::Paused, Guard::Pause, |c, _| c.0.paused = Some("maintenance".to_owned())),
        ("an old queue", Outcome::Blind, Guard::Stale, |c, _| c.0.queues.at = Some(super::at(-46))),
        ("no nodes", Outcome::Blind, Guard::Stale, |c, _| c.0.pools.at = None),
        ("old workers", Outcome::Blind, Guard::Stale, |c, _| c.0.workers.at = Some(super::at(-100))),
        ("half a queue", Outcome::Blind, Guard::Partial, |c, _| c.0.queues.missing = vec!["high: 503".to_owned()]),
    ];
    for (what, outcome, guard, change) in changes {
        let (mut cluster, mut settings) = (spike.clone(), settings());
        change(&mut cluster, &mut settings);
        let before = Memory { backlog: 7, ..Memory::default() };
        let (decision, memory) = decide(&settings, &cluster.0, before.clone());
        assert_eq!((decision.outcome, guards(&decision)), (outcome, vec![guard]), "{what}: {decision:#?}");
        assert_eq!(gpu(&decision), (3, 1, 0), "{what}: {decision:#?}");
        assert_eq!(memory, before, "{what} is not remembered");
    }
}

#[test]
fn a_pool_that_fails_is_asked_for_less_and_passed_over() {
    let mut settings = settings();
    settings.pools.push(crate::scaling::settings::Pool { price: 2.0, ..pool("cpu", 0, 10) });
    let start = Cluster::new(0).ready(3000).workers("gpu", 2, Consuming, 4);
    let (decision, _) = decide(&settings, &start.0, Memory::default());
    assert_eq!((decision.pools[0].target, decision.pools[1].target), (20, 10), "dear ones too, if need be");

    let mut broken = start.nodes("gpu", 5, NodeState::Booting, 100.0).nodes("gpu", 3, NodeState::Failed, 60.0);
    broken.pool("gpu").wanted = 20;
    broken.pool("gpu").fault = Some("quota exceeded".to_owned());
    let (decision, memory) = decide(&settings, &broken.0, Memory::default());
    let gpu = &decision.pools[0];
    assert_eq!((gpu.target, gpu.goal), (7, 7), "2 at work and 5 that boot: {decision:#?}");
    assert_eq!(gpu.remove, ["gpu-8", "gpu-9", "gpu-10"], "failed ones by name, so that no other goes");
    assert_eq!(decision.pools[1].target, 10, "the demand goes elsewhere");
    assert_eq!(guards(&decision)[0], Guard::Backoff);

    // Mended, but not asked again before five minutes have passed.
    let whole = Cluster::new(0).ready(3000).workers("gpu", 7, Consuming, 4).workers("cpu", 10, Consuming, 4);
    let (decision, memory) = decide(&settings, &whole.shifted(290).0, memory);
    assert_eq!(decision.pools[0].target, 7, "{decision:#?}");
    let (decision, memory) = decide(&settings, &whole.shifted(310).0, memory);
    assert_eq!(decision.pools[0].target, 20, "{decision:#?}");

    // It fails again: twice as long.
    let again = whole.nodes("gpu", 13, NodeState::Failed, 60.0);
    let (decision, memory) = decide(&settings, &again.shifted(330).0, memory);
    assert_eq!((decision.pools[0].target, memory.pools["gpu"].failures), (7, 2), "{decision:#?}");
    let until = memory.pools["gpu"].passed_over_until.unwrap();
    assert_eq!(until, super::at(330 + 600));
}

#[test]
fn a_boot_without_end_counts_as_failed() {
    let slow = Cluster::new(0).ready(3000).workers("gpu", 2, Consuming, 4);
    let late = slow.clone().nodes("gpu", 18, NodeState::Booting, 1190.0);
    assert_eq!(gpu(&decide(&settings(), &late.0, Memory::default()).0), (20, 0, 0));
    let hopeless = slow.nodes("gpu", 18, NodeState::Booting, 1210.0);
    assert_eq!(gpu(&decide(&settings(), &hopeless.0, Memory::default()).0), (2, 0, 18));
}

#[test]
fn boots_that_nobody_needs_any_more_are_cancelled_while_young() {
    let young = Cluster::new(0).workers("gpu", 2, Consuming, 0).nodes("gpu", 6, NodeState::Booting, 100.0);
    let decision = young.settled(&settings());
    assert_eq!(gpu(&decision), (2, 0, 6), "{decision:#?}");
    let old = Cluster::new(0).workers("gpu", 2, Consuming, 0).nodes("gpu", 6, NodeState::Booting, 300.0);
    let decision = old.settled(&settings());
    assert_eq!(gpu(&decision), (8, 0, 0), "a worker may be up by now, and hold a job: {decision:#?}");
}

#[test]
fn the_minimum_and_maximum_hold_whatever_the_demand() {
    let decision = decide(&settings(), &Cluster::new(0).0, Memory::default()).0;
    assert_eq!((gpu(&decision), guards(&decision)), ((2, 0, 0), vec![Guard::Minimum]));
    let many = Cluster::new(0).ready(9000).workers("gpu", 25, Consuming, 4);
    let decision = decide(&settings(), &many.0, Memory::default()).0;
    assert_eq!(gpu(&decision), (25, 5, 0), "{decision:#?}");
    let mut night = settings();
    night.schedules.push(Schedule {
        name: "night".to_owned(),
        pool: None,
        start: "0 0 * * *".to_owned(),
        end: "0 0 1 1 *".to_owned(),
        time_zone: "UTC".to_owned(),
        minimum: Some(6),
        maximum: None,
    });
    let decision = decide(&night, &Cluster::new(0).0, Memory::default()).0;
    assert_eq!(gpu(&decision), (6, 0, 0));
    assert!(decision.held_back[0].why.contains("by night"), "{decision:#?}");
}

#[test]
fn steps_and_cooldowns_slow_changes_down() {
    let mut settings = settings();
    settings.guards.step_out = Some(3);
    settings.guards.cooldown_out = std::time::Duration::from_mins(1);
    let spike = Cluster::new(0).ready(3000).workers("gpu", 2, Consuming, 4);
    let (decision, memory) = decide(&settings, &spike.0, Memory::default());
    assert_eq!((gpu(&decision), guards(&decision)), ((5, 0, 0), vec![Guard::Maximum, Guard::Step]));
    let more = spike.nodes("gpu", 3, NodeState::Booting, 10.0);
    let (decision, memory) = decide(&settings, &more.shifted(30).0, memory);
    assert_eq!((gpu(&decision), guards(&decision)), ((5, 0, 0), vec![Guard::Cooldown]));
    let (decision, _) = decide(&settings, &more.shifted(61).0, memory);
    assert_eq!(gpu(&decision), (8, 0, 0));

    settings.guards.step_in = Some(4);
    let idle = Cluster::new(0).workers("gpu", 20, Consuming, 0).settled(&settings);
    assert_eq!((gpu(&idle), guards(&idle)), ((20, 4, 0), vec![Guard::Step]));
}

#[test]
fn nodes_are_not_let_go_to_be_asked_for_again() {
    // One node less than 0.85 jobs a second take may stay.
    let steady = Cluster::new(0).rates(0.85, 0.85).workers("gpu", 14, Consuming, 0).settled(&settings());
    assert_eq!(steady.pools[0].goal, 8, "{steady:#?}");
    // Without the last one, every job would wait for ever.
    let mut none = settings();
    none.pools[0].minimum = 0;
    let trickle = Cluster::new(0).rates(0.05, 0.05).workers("gpu", 3, Consuming, 0).settled(&none);
    assert_eq!((trickle.pools[0].goal, guards(&trickle)), (1, vec![Guard::ScaleOutRule]), "{trickle:#?}");
    let nothing = Cluster::new(0).workers("gpu", 3, Consuming, 0).settled(&none);
    assert_eq!(nothing.pools[0].goal, 0, "{nothing:#?}");
}

#[test]
fn the_leader_and_the_busy_stay_longest() {
    let mut cluster = Cluster::new(0).workers("gpu", 3, Consuming, 0).workers("gpu", 3, Consuming, 1);
    cluster.0.workers.seen[0].leader = true;
    cluster.0.workers.seen[4].free_in_s = Some(5.0);
    cluster.0.workers.seen[5].free_in_s = Some(30.0);
    let mut three = settings();
    three.pools[0].minimum = 3;
    let decision = cluster.settled(&three);
    assert_eq!(decision.pools[0].drain, ["gpu-2", "gpu-3", "gpu-5"], "{decision:#?}");
    let mut none = settings();
    none.pools[0].minimum = 0;
    let mut alone = Cluster::new(0).workers("gpu", 3, Consuming, 0);
    alone.0.workers.seen[1].leader = true;
    let decision = alone.settled(&none);
    assert_eq!((decision.pools[0].drain.len(), decision.pools[0].goal), (2, 1), "{decision:#?}");
    assert_eq!(guards(&decision), [Guard::Leader]);
}

#[test]
fn what_others_did_to_the_pool_never_costs_a_job() {
    let mut meddled = Cluster::new(0).workers("gpu", 6, Consuming, 2);
    meddled.pool("gpu").wanted = 3;
    let decision = meddled.settled(&settings());
    assert_eq!((decision.pools[0].target, guards(&decision)), (6, vec![Guard::Unacked]), "{decision:#?}");
}

#[test]
fn quarantined_and_preempted_workers_are_no_capacity() {
    let mut cluster = Cluster::new(0).ready(300).workers("gpu", 2, Consuming, 4).workers("gpu", 2, Quarantined, 0);
    cluster = cluster.workers("gpu", 2, Draining, 1);
    for worker in &mut cluster.0.workers.seen[4..] {
        worker.preempted = true;
    }
    let decision = decide(&settings(), &cluster.0, Memory::default()).0;
    assert_eq!(gpu(&decision), (8, 0, 0), "6 there and 2 new ones: {decision:#?}");
}

#[test]
fn without_a_speed_one_node_finds_it_out() {
    let mut settings = settings();
    settings.pools[0].jobs_per_s = None;
    settings.pools[0].minimum = 0;
    let jobs = Cluster::new(0).ready(3000);
    assert_eq!(gpu(&decide(&settings, &jobs.0, Memory::default()).0), (1, 0, 0));
    let mut told = Cluster::new(0).ready(3000).workers("gpu", 1, Consuming, 4);
    assert_eq!(gpu(&decide(&settings, &told.0, Memory::default()).0), (1, 0, 0));
    told.0.workers.seen[0].jobs_per_s = Some(0.1);
    assert_eq!(gpu(&decide(&settings, &told.0, Memory::default()).0), (20, 0, 0));
}

#[test]
fn rates_are_made_up_for_where_the_broker_gives_none() {
    let first = Cluster::new(0).ready(100).workers("gpu", 2, Consuming, 0);
    let memory = decide(&settings(), &first.0, Memory::default()).1;
    let later = Cluster::new(60).ready(400).workers("gpu", 2, Consuming, 0);
    let memory = decide(&settings(), &later.0, memory).1;
    let arriving = memory.arrivals_lately_per_s.unwrap();
    assert!((3.0..=5.0).contains(&arriving), "300 more in a minute, smoothed: {arriving}");
}

#[test]
fn backlog_is_nodes_by_the_number_of_jobs() {
    let settings = Settings { policy: "backlog".to_owned(), ..settings() };
    for (ready, nodes) in [(0, 2), (299, 3), (300, 3), (1201, 13), (90_000, 20)] {
        let cluster = Cluster::new(0).ready(ready).workers("gpu", 2, Consuming, 0);
        assert_eq!(gpu(&decide(&settings, &cluster.0, Memory::default()).0).0, nodes, "{ready}");
    }
}

#[test]
fn ratio_takes_a_step_at_the_end_of_each_window() {
    let mut settings = Settings { policy: "ratio".to_owned(), ..settings() };
    settings.guards.stabilise_in = std::time::Duration::ZERO;
    let mut memory = Memory::default();
    let mut nodes = 2;
    let mut seen = Vec::new();
    for seconds in (0..=3900).step_by(10) {
        let arrivals = if seconds < 1500 { 4.0 } else { 0.0 };
        let cluster = Cluster::new(seconds).rates(arrivals, 0.2).workers("gpu", nodes, Consuming, 0);
        let (decision, after) = decide(&settings, &cluster.0, memory);
        memory = after;
        if decision.pools[0].goal != nodes {
            nodes = decision.pools[0].goal;
            seen.push((seconds, nodes));
        }
    }
    assert_eq!(seen, [(600, 8), (1200, 14), (1800, 20), (2400, 14), (3000, 8), (3600, 2)]);
}
