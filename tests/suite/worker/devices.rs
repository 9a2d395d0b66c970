//! A worker whose GPU fails, as a process on RabbitMQ with the fake driver of
//! `tests/cuda`: its jobs are answered all the same, the answers say who
//! computed them, and the process ends with a code of its own, to be replaced
//! by one with a fresh context.

use std::{collections::BTreeSet, time::Duration};

use skydose::{job::event::Ending, queue::JobQueue as _};

use super::{
    harness::SOON,
    processes::{Home, place, tail},
};
use crate::science::cuda::fake_environment;

/// The kernels may have to be built for the processors first.
const LONG: Duration = Duration::from_secs(4 * SOON.as_secs());

/// Of a process whose device is not to be trusted.
const QUARANTINED: i32 = 4;

/// After the four launches of the self-tests, amid those of the first jobs.
const FAULTS: [(&str, &str); 3] = [
    ("sticky:6", "CUDA_ERROR_ILLEGAL_ADDRESS"),
    ("hang:6", "no answer for"),
    ("garbage:6", "is not what the CPU computes"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gpu_that_fails_costs_no_job_and_ends_its_worker() {
    for (fault, why) in FAULTS {
        let name = format!("worker-gpu-{}", fault.split_once(':').expect("a fault").0);
        let (place, queue) = place(&name).await;
        let home = Home::new(&place.uri);
        let mut stage = home.stage(&name, queue.clone()).await;
        let (log, cache) = (home.path("log"), home.path("kernels"));
        let mut environment = fake_environment(&cache);
        environment.extend(
            [
                ("SKYDOSE_FAKE_FAULT", fault),
                ("SKYDOSE_WORKER__BACKEND", "cuda"),
                ("SKYDOSE_WORKER__GPU__CHECK_FRACTION", "1"),
                ("SKYDOSE_WORKER__GPU__WATCHDOG", "300ms"),
            ]
            .map(|(name, value)| (name, value.to_owned())),
        );
        let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
        for n in 0..6 {
            stage.submit(&format!("j{n}"), 2).await;
        }
        let status = home.start(&environment, &log).end_within(LONG).await;
        assert_eq!(status.code(), Some(QUARANTINED), "{fault}: {status}: {}", tail(&log));
        assert!(tail(&log).contains(why), "{fault}: {}", tail(&log));
        // What it had not taken is for others.
        let other = home.start(&[("SKYDOSE_WORKER__BACKEND", "cpu")], &log);
        let told = stage.told().await;
        let backends: BTreeSet<&str> = told
            .endings
            .values()
            .filter_map(|(ending, _)| match ending {
                Ending::Answered(manifest) => Some(manifest.backend.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 6, "{fault}");
        let says_both = |by: &&str| by.starts_with("cpu after GPU 0") && by.contains(why);
        assert!(backends.iter().any(says_both), "{fault}: {backends:?}");
        stage.check_ledger(&told).await;
        drop(other);
        queue.close().await;
    }
}

/// Fields in 2 bytes: set by the configuration, told by the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_precision_is_set_for_a_worker_and_told_of_its_answers() {
    let (place, queue) = place("worker-gpu-half").await;
    let home = Home::new(&place.uri);
    let mut stage = home.stage("worker-gpu-half", queue.clone()).await;
    let (log, cache) = (home.path("log"), home.path("kernels"));
    let mut environment = fake_environment(&cache);
    environment.push(("SKYDOSE_WORKER__GPU__PRECISION", "f16".to_owned()));
    let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
    stage.submit("j0", 2).await;
    let worker = home.start(&environment, &log);
    let told = stage.told_within(LONG).await;
    let (ending, _) = &told.endings["j0"];
    let Ending::Answered(manifest) = ending else { panic!("{ending:?}: {}", tail(&log)) };
    assert_eq!((manifest.mode.as_str(), manifest.backend.contains("float16")), ("float16", true), "{manifest:?}");
    drop(worker);
    queue.close().await;
}
