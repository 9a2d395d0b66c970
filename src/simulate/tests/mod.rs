//! The simulator against what can be reckoned by hand, and decisions in it.

use super::{
    world::{Life, World},
    *,
};

/// One pool, `gpu`, of nodes with one slot that do a job in 10 s and boot in
/// 100 s.
fn small(text: &str) -> (Scenario, Settings) {
    let text = format!(
        "about = 'small'\nlasts = '1h'\njobs = {{ spread = 0.0 }}\n{text}\n[[nodes]]\npool = 'gpu'\nslots = 1\n\
         boot_least = '100s'\nboot_most = '100s'\n[[scaling.pools]]\nname = 'gpu'\nminimum = 1\nmaximum = 4\n\
         jobs_per_s = 0.1\nboot = '100s'\n"
    );
    let scenario = Scenario::parse("small", &text).unwrap();
    let settings = scenario.scaling.clone().unwrap();
    (scenario, settings)
}

fn at_once(jobs: usize) -> Vec<Arrival> {
    vec![Arrival { at_s: 0.0, size: 1.0 }; jobs]
}

#[test]
fn jobs_are_done_in_turn() {
    let (scenario, settings) = small("");
    let mut world = World::new(&scenario, &settings.pools, &at_once(5));
    world.start_with(0, 2);
    world.run_until(100.0);
    let finished: Vec<f64> = world.jobs.iter().map(|job| job.finished.unwrap()).collect();
    assert_eq!(finished, [10.0, 10.0, 20.0, 20.0, 30.0]);
    // Jobs wait in the queue, beyond the one that each worker holds besides,
    // until the last is handed out at 10 s.
    assert!((world.meters.slot_s - 20.0).abs() < 1e-6 && (world.meters.busy_s - 20.0).abs() < 1e-6);
}

#[test]
fn a_node_works_one_boot_after_it_was_asked_for() {
    let (scenario, settings) = small("");
    let mut world = World::new(&scenario, &settings.pools, &at_once(40));
    world.start_with(0, 1);
    world.add_node(0);
    world.run_until(99.0);
    assert_eq!(world.nodes[1].life, Life::Booting);
    world.run_until(1000.0);
    // Ten jobs by one, the other thirty by two.
    assert!((world.jobs.iter().filter_map(|job| job.finished).fold(0.0, f64::max) - 250.0).abs() < 1e-6);
}

#[test]
fn draining_gives_back_what_is_not_begun_and_deleting_cuts_off() {
    let (scenario, settings) = small("");
    let mut world = World::new(&scenario, &settings.pools, &at_once(6));
    world.start_with(0, 2);
    world.run_until(5.0);
    assert_eq!((world.nodes[0].held(), world.nodes[1].held(), world.queue.len()), (2, 2, 2));
    world.set_draining(0, true);
    assert_eq!((world.nodes[0].held(), world.queue.len()), (1, 3));
    world.run_until(11.0);
    assert_eq!((world.nodes[0].life, world.nodes[0].held()), (Life::Draining, 0));
    world.remove(0);
    assert_eq!(world.meters.interrupted, 0);
    world.add_node(0);
    world.remove(1);
    assert_eq!(world.meters.interrupted, 1, "one was running");
    world.run_until(1000.0);
    assert!(world.jobs.iter().all(|job| job.finished.is_some()), "what was cut off is done again");
    assert_eq!(world.meters.completed, 6);
}

#[test]
fn nodes_beyond_the_quota_fail_until_it_is_lifted() {
    let quota = "[[quotas]]\npool = 'gpu'\nfrom = '0s'\nuntil = '5m'\nmost = 2\n";
    let (scenario, settings) = small(quota);
    let mut world = World::new(&scenario, &settings.pools, &[]);
    world.start_with(0, 1);
    (0..3).for_each(|_| world.add_node(0));
    world.run_until(120.0);
    let lives: Vec<Life> = world.nodes.iter().map(|node| node.life).collect();
    assert_eq!(lives, [Life::Consuming, Life::Consuming, Life::Failed, Life::Failed]);
    world.run_until(500.0);
    assert!(world.nodes.iter().all(|node| node.life == Life::Consuming), "tried again for ever");
}

#[test]
fn nobody_pays_less_than_the_clairvoyant() {
    for seed in 0..12 {
        let text = format!(
            "seed = {seed}\n[[arrivals]]\nfrom = '0s'\nlasts = '10m'\njobs_per_s = 0.3\nnoise = 0.5\n\
             [[arrivals]]\nfrom = '20m'\nlasts = '1m'\njobs_per_s = {}\n",
            1 + seed % 3
        );
        let (scenario, settings) = small(&text);
        for (contender, _) in CONTENDERS {
            let run = run(&scenario, &settings, &scenario.jobs(), contender).unwrap();
            let least = run.figures.least_cost.unwrap();
            assert!(least <= run.figures.cost + 1e-9, "{contender}, seed {seed}: {} < {least}", run.figures.cost);
            assert!(least >= 1.0, "the node that stays for an hour is paid");
        }
    }
    // Two pools, one of them short of nodes.
    let quota = Scenario::named("quota").unwrap();
    let settings = quota.scaling.clone().unwrap();
    for (contender, _) in CONTENDERS {
        let figures = run(&quota, &settings, &quota.jobs(), contender).unwrap().figures;
        let least = figures.least_cost.unwrap();
        assert!((8.0..=figures.cost).contains(&least), "{contender}: {} and {least}", figures.cost);
    }
}

#[test]
fn the_same_scenario_is_the_same_run() {
    let scenario = Scenario::named("spike").unwrap();
    let settings = scenario.scaling.clone().unwrap();
    let [a, b] = [(); 2].map(|()| run(&scenario, &settings, &scenario.jobs(), "drain-time").unwrap());
    assert_eq!(a.figures, b.figures);
}

#[test]
fn noise_of_a_fifth_makes_nobody_come_and_go() {
    for (seed, load) in [(1, 0.35), (2, 0.8), (3, 1.16), (4, 1.73)] {
        let text =
            format!("seed = {seed}\n[[arrivals]]\nfrom = '0s'\nlasts = '6h'\njobs_per_s = {load}\nnoise = 0.2\n");
        let noise = Scenario::named("noise").unwrap();
        let scenario = Scenario::parse("noise", &format!("about = 'noise'\nlasts = '6h'\n{text}")).unwrap();
        let settings = noise.scaling.unwrap();
        let run = run(&scenario, &settings, &scenario.jobs(), "drain-time").unwrap();
        // When the quantity changed, and which way; the first hour settles.
        let changes: Vec<(f64, bool)> = run
            .moments
            .windows(2)
            .filter(|pair| pair[0].at_s > 3600.0 && pair[0].wanted != pair[1].wanted)
            .map(|pair| (pair[1].at_s, pair[1].wanted > pair[0].wanted))
            .collect();
        let turns = changes.windows(2).filter(|pair| pair[0].1 != pair[1].1 && pair[1].0 - pair[0].0 < 480.0).count();
        assert_eq!(turns, 0, "load {load}: taken back within a boot: {changes:?}");
        assert!(changes.len() <= 5 * 6, "load {load}: {} changes in five hours", changes.len());
    }
}

/// What `drain-time` is for, in each scenario that comes with the program.
#[test]
fn drain_time_reaches_its_aims() {
    for (name, _) in SCENARIOS {
        let scenario = Scenario::named(name).unwrap();
        let settings = scenario.scaling.clone().unwrap();
        assert_eq!(settings.faults(), [], "{name}");
        let figures = run(&scenario, &settings, &scenario.jobs(), "drain-time").unwrap().figures;
        assert_eq!((figures.interrupted, figures.unfinished), (0, 0), "{name}: {figures:#?}");
        assert!(figures.utilisation.unwrap() >= 0.95, "{name}: {figures:#?}");
        assert!(figures.to_minimum_s.unwrap() <= 600.0, "{name}: {figures:#?}");
        if let Some(to_maximum_s) = figures.to_maximum_s {
            assert!(to_maximum_s <= figures.slowest_boot_s + 60.0, "{name}: {figures:#?}");
            assert!(to_maximum_s <= 1800.0, "{name}: {figures:#?}");
        }
        assert!(figures.over_clairvoyant().unwrap() <= 1.15, "{name}: {figures:#?}");
    }
}

#[test]
fn a_table_and_a_picture_show_every_run() {
    let (scenario, settings) = small("[[arrivals]]\nfrom = '0s'\nlasts = '5m'\njobs_per_s = 1.0\n");
    let jobs = scenario.jobs();
    let runs: Vec<Run> = ["drain-time", "keda-hpa"].map(|c| run(&scenario, &settings, &jobs, c).unwrap()).into();
    let texts = [markdown("small", &scenario, jobs.len(), &runs), csv(&runs), picture("small", &runs).unwrap()];
    for text in &texts {
        assert!(text.contains("drain-time") && text.contains("keda-hpa"), "{text}");
    }
    let heads = texts[1].lines().next().unwrap().split(',').count();
    assert!(texts[1].lines().all(|line| line.split(',').count() == heads), "{}", texts[1]);
    assert!(aims(&runs).contains("shorter waits than keda-hpa"), "{}", aims(&runs));
    assert!(texts[2].starts_with("<svg") && texts[2].trim_end().ends_with("</svg>"));
}

#[test]
fn a_trace_spreads_each_rows_jobs_until_the_next() {
    let text = "time,jobs,note\n2026-10-01T00:00:00Z,3,x\n2026-10-01T00:01:00Z,0,\n2026-10-01T00:05:00Z,2,\n";
    let (jobs, lasts) = read_trace("t.csv", text, &Scenario::quiet()).unwrap();
    assert!((lasts - 540.0).abs() < 1e-9);
    assert_eq!(jobs.iter().filter(|job| job.at_s < 60.0).count(), 3);
    assert_eq!(jobs.iter().filter(|job| (300.0..540.0).contains(&job.at_s)).count(), 2);
    let seconds = read_trace("t.csv", "time,jobs\n0,1\n60,1\n120,0\n", &Scenario::quiet()).unwrap();
    assert_eq!(seconds.0.len(), 2);
}

#[test]
fn faults_of_traces_and_scenarios_say_where() {
    for (text, expected) in [
        ("time,jobs\n0,1\n", "1 rows, expected at least three"),
        ("time,jobs\n0,1\n0,1\n5,1\n", "line 3: time 0 does not come after"),
        ("time,jobs\nnoon,1\n1,1\n2,1\n", "line 2: time is \"noon\", expected RFC 3339"),
        ("time,jobs\n0,many\n", "line 2:"),
        ("when,jobs\n0,1\n", "expected the columns time and jobs"),
        ("time,jobs\n0,30000000\n1,0\n2,0\n", "split the trace"),
    ] {
        let fault = read_trace("t.csv", text, &Scenario::quiet()).unwrap_err().to_string();
        assert!(fault.contains(expected) && fault.contains("t.csv"), "{fault}");
    }
    for (text, expected) in [
        ("about = 'x'", "lasts"),
        ("about = 'x'\nlasts = '9999h'", "two months"),
        ("about = 'x'\nlasts = '1h'\n[[arrivals]]\nfrom = '0s'\nlasts = '1m'\njobs_per_s = -1.0", "jobs_per_s is -1"),
    ] {
        let fault = Scenario::parse("s", text).unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    }
    let fault = Scenario::named("quake").unwrap_err().to_string();
    assert!(fault.contains("spike, sawtooth"), "{fault}");
    let (scenario, settings) = small("");
    let fault = run(&scenario, &settings, &[], "hope").unwrap_err().to_string();
    assert!(fault.contains("drain-time, backlog"), "{fault}");
}
