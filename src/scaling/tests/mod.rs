//! Cases and properties of decisions.

pub mod build;
mod cases;
mod properties;

use std::time::Duration;

use super::*;
use build::at;

#[test]
fn documents_come_back_as_they_were_written() {
    let sample = Sample {
        at: at(0),
        queues: Part::fresh(at(-3), vec![Queue { priority: "high".to_owned(), ready: 7, ..Queue::default() }]),
        pools: Part { missing: vec!["pool gpu: 502".to_owned()], ..Part::default() },
        workers: Part::fresh(
            at(0),
            vec![Worker {
                node: "gpu-1".to_owned(),
                state: WorkerState::Draining,
                held: 2,
                jobs_per_s: Some(0.25),
                free_in_s: None,
                leader: true,
                preempted: false,
            }],
        ),
        paused: None,
    };
    let text = serde_json::to_string(&sample).unwrap();
    assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample, "{text}");

    let memory = Memory { at: Some(at(5)), arrivals_per_s: Some(1.5), ..Memory::default() };
    let text = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory, "{text}");
}

#[test]
fn settings_need_no_more_than_their_pools() {
    let settings: Settings = serde_json::from_str(
        r#"{"drain_time": {"within": "20m"}, "pools": [{"name": "gpu", "minimum": 1, "maximum": 20}]}"#,
    )
    .unwrap();
    assert_eq!(settings.drain_time.within, Duration::from_mins(20));
    assert_eq!(settings.pools[0].boot, Duration::from_mins(8));
    let fault = serde_json::from_str::<Settings>(r#"{"polcy": "ratio"}"#).unwrap_err().to_string();
    assert!(fault.contains("polcy"), "{fault}");
}

#[test]
fn a_part_knows_its_age() {
    let part = Part::fresh(at(0), ());
    assert_eq!(part.age(at(30)), Some(Duration::from_secs(30)));
    assert_eq!(part.age(at(-30)), Some(Duration::ZERO), "a clock ahead of ours is no age");
    assert_eq!(Part::<()>::default().age(at(0)), None);
}
