//! What holds of any plan.

use proptest::prelude::*;

use super::*;

fn job(dataset: &str, program: u8, start_s: f64, end_s: f64) -> Candidate {
    Candidate {
        dataset: dataset.parse().unwrap(),
        program: [program; 32],
        time_s: (start_s, end_s),
        waypoints: 100,
        priority: Priority::Normal,
        alone: false,
    }
}

fn limits(jobs: usize, waypoints: usize, window_s: f64) -> Limits {
    Limits { jobs, bytes: waypoints * 10, bytes_per_waypoint: 10, window_s }
}

fn groups(jobs: &[Candidate], limits: &Limits) -> Vec<Vec<usize>> {
    group(jobs, limits).into_iter().map(|b| b.jobs).collect()
}

#[test]
fn jobs_of_one_data_set_program_and_window_go_together() {
    let jobs = [
        job("a", 1, 0.0, 10.0),
        job("b", 1, 0.0, 10.0),
        job("a", 1, 5.0, 20.0),
        job("a", 2, 0.0, 10.0),
        job("a", 1, 95.0, 120.0),
    ];
    assert_eq!(groups(&jobs, &limits(9, 9_999, 94.0)), [vec![0, 2], vec![1], vec![3], vec![4]]);
    assert_eq!(groups(&jobs, &limits(9, 9_999, 95.0)), [vec![0, 2, 4], vec![1], vec![3]]);
}

#[test]
fn long_jobs_that_begin_together_go_together() {
    let jobs: Vec<Candidate> = (0..3).map(|i| job("a", 1, f64::from(i), f64::from(i) + 9_999.0)).collect();
    assert_eq!(groups(&jobs, &limits(9, 9_999, 2.0)), [vec![0, 1, 2]]);
}

#[test]
fn a_batch_ends_where_a_limit_is_reached() {
    let jobs: Vec<Candidate> = (0..5).map(|_| job("a", 1, 0.0, 1.0)).collect();
    assert_eq!(groups(&jobs, &limits(2, 9_999, 100.0)), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(groups(&jobs, &limits(9, 399, 100.0)), [vec![0, 1, 2], vec![3, 4]]);
    // Nothing fits, and yet every job is computed.
    assert_eq!(groups(&jobs, &limits(0, 0, -1.0)).len(), 5);
}

#[test]
fn suspects_are_computed_alone() {
    let mut jobs: Vec<Candidate> = (0..4).map(|_| job("a", 1, 0.0, 1.0)).collect();
    jobs[1].alone = true;
    jobs[2].alone = true;
    assert_eq!(groups(&jobs, &limits(9, 9_999, 100.0)), [vec![0, 3], vec![1], vec![2]]);
}

#[test]
fn high_priority_runs_first() {
    let mut jobs = vec![job("a", 1, 0.0, 1.0), job("b", 1, 0.0, 1.0), job("b", 1, 0.0, 1.0)];
    jobs[2].priority = Priority::High;
    assert_eq!(groups(&jobs, &limits(9, 9_999, 100.0)), [vec![2], vec![0], vec![1]]);
}

#[test]
fn a_failed_batch_is_halved_down_to_its_jobs() {
    let jobs: Vec<Candidate> = (0..5).map(|i| job("a", 1, f64::from(i), f64::from(i) + 1.0)).collect();
    let whole = group(&jobs, &limits(9, 9_999, 100.0)).remove(0);
    let halves = halve(&whole, &jobs);
    assert_eq!(halves.iter().map(|b| b.jobs.clone()).collect::<Vec<_>>(), [vec![0, 1], vec![2, 3, 4]]);
    assert_eq!((halves[1].time_s, halves[1].waypoints), ((2.0, 5.0), 300));
    let mut open = vec![whole];
    let mut single = Vec::new();
    while let Some(batch) = open.pop() {
        match batch.jobs.as_slice() {
            [one] => single.push(*one),
            _ => open.extend(halve(&batch, &jobs)),
        }
    }
    single.sort_unstable();
    assert_eq!(single, [0, 1, 2, 3, 4]);
}

fn candidate() -> impl Strategy<Value = Candidate> {
    (0..3_u8, 0..3_u8, 0.0..50_000.0_f64, 0.0..30_000.0_f64, 1..500_usize, any::<bool>(), 0..8_u8).prop_map(
        |(dataset, program, start_s, duration_s, waypoints, high, suspect)| Candidate {
            waypoints,
            priority: if high { Priority::High } else { Priority::Normal },
            alone: suspect == 0,
            ..job(["a", "b", "c"][usize::from(dataset)], program, start_s, start_s + duration_s)
        },
    )
}

proptest! {
    #[test]
    fn any_plan_is_whole_within_limits_and_in_order(
        jobs in prop::collection::vec(candidate(), 0..60),
        most_jobs in 0..9_usize,
        most_waypoints in 0..1_500_usize,
        window_s in 0.0..40_000.0_f64,
    ) {
        let limits = limits(most_jobs, most_waypoints, window_s);
        let batches = group(&jobs, &limits);
        let mut seen: Vec<usize> = batches.iter().flat_map(|b| b.jobs.iter().copied()).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..jobs.len()).collect::<Vec<_>>());
        for batch in &batches {
            let of: Vec<&Candidate> = batch.jobs.iter().map(|&i| &jobs[i]).collect();
            prop_assert_eq!(batch.waypoints, of.iter().map(|j| j.waypoints).sum::<usize>());
            prop_assert_eq!(batch.time_s.0.to_bits(), of.iter().map(|j| j.time_s.0).fold(f64::INFINITY, f64::min).to_bits());
            prop_assert_eq!(batch.time_s.1.to_bits(), of.iter().map(|j| j.time_s.1).fold(0.0, f64::max).to_bits());
            prop_assert!(of.iter().all(|j| j.dataset == batch.dataset && j.program == of[0].program && j.priority == of[0].priority));
            if of.len() > 1 {
                prop_assert!(of.len() <= limits.jobs);
                prop_assert!(batch.waypoints * limits.bytes_per_waypoint <= limits.bytes);
                prop_assert!(of.iter().all(|j| j.time_s.0 - batch.time_s.0 <= limits.window_s));
                prop_assert!(of.iter().all(|j| !j.alone));
            }
        }
        let ranks: Vec<(Priority, usize)> =
            batches.iter().map(|b| (jobs[b.jobs[0]].priority, *b.jobs.iter().min().unwrap())).collect();
        prop_assert!(ranks.is_sorted());
    }
}
