//! What goes wrong with a device, a compiler or a driver: the figures are the
//! same all the same.

use skydose::{
    compute::{
        Backend, Health,
        answer::Answers,
        cpu::Cpu,
        cuda::{self, Settings, Wish},
        run::{Flights, Run, Spent},
    },
    exposure::Exposure,
};
use std::time::Duration;

use super::{
    cases::{self, Case},
    contract::{answers, compare_all, open},
    inside, is_real,
};
use crate::science::PLENTY;

/// What a contained test expects, in its environment.
const EXPECT: &str = "SKYDOSE_TEST_EXPECT";

/// The rows, whoever computed them, and what there is to tell of that.
fn by_whoever(backend: &dyn Backend, case: &Case) -> (Vec<Vec<Exposure>>, Spent) {
    let passes = case.request.passes(&case.data).expect("passes");
    let flights = Flights { fleet: &case.fleet, phases: &case.phases };
    let run =
        Run { dataset: &case.data, backend, vertical: case.rule, field_bytes: PLENTY, kept: None, progress: &|_| () };
    let mut spent = Spent::default();
    let passed = run.run(&passes, &flights, &mut spent).expect("a run");
    let answers = Answers::new(&passes, &flights, &passed, case.data.members());
    ((0..case.fleet.len()).map(|i| answers.of(i)).collect(), spent)
}

fn expected() -> String {
    std::env::var(EXPECT).unwrap_or_default()
}

mod contained {
    use super::*;

    /// A fault comes, the figures are right, and the health is as expected;
    /// after it too.
    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn run() {
        let settings = Settings { check_fraction: 1.0, watchdog: Duration::from_millis(300), ..Settings::default() };
        let cuda = open(settings);
        let case = &cases::many_flights();
        let right = answers(&Cpu::new(), case);
        let (first, spent) = by_whoever(&cuda, case);
        let remarks = spent.remarks.join("; ");
        compare_all(case, &first, &right);
        let text = expected();
        let (health, what) = text.split_once(": ").expect("a health and a remark");
        match cuda.health() {
            Health::Well => assert_eq!(health, "well", "{remarks}"),
            Health::Quarantined(why) => {
                assert_eq!(health, "quarantined", "{why}");
                assert!(why.contains(what), "{why:?}, expected {what:?}");
            }
        }
        assert!(if what == "none" { remarks.is_empty() } else { remarks.contains(what) }, "{remarks:?}");
        let (second, spent) = by_whoever(&cuda, case);
        let remarks = spent.remarks.join("; ");
        compare_all(case, &second, &right);
        if health == "quarantined" && std::env::var_os("SKYDOSE_FAKE_DEVICES").is_none() {
            assert!(remarks.contains("quarantined") && remarks.contains("computed on the CPU"), "{remarks}");
        }
        if std::env::var_os("SKYDOSE_FAKE_DEVICES").is_some() {
            assert!(remarks.is_empty(), "the other device goes on: {remarks}");
        }
    }

    /// The device is lost in the second of three members: the first is its
    /// work, the others are the CPU's, and both are told.
    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn midway() {
        let cuda = open(Settings { check_fraction: 0.0, ..Settings::default() });
        let case = &cases::ensemble();
        let (rows, spent) = by_whoever(&cuda, case);
        compare_all(case, &rows, &answers(&Cpu::new(), case));
        let flights = case.fleet.len();
        assert_eq!((spent.computed.asked, spent.computed.instead), (flights, 2 * flights), "{:?}", spent.computed);
        let by = spent.computed.by("cuda");
        assert!(by.starts_with("cuda, cpu after GPU 0") && by.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{by}");
        let (_, spent) = by_whoever(&cuda, case);
        let by = spent.computed.by("cuda");
        assert!(by.starts_with("cpu after") && by.contains("quarantined"), "{by}");
    }

    /// A device too small for all levels of two times: what its budget holds.
    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn levels() {
        let plane = f64::from(7 * 13 * 8 * 4);
        let memory = 8_589_934_592.0;
        let case = &cases::many_levels(1);
        let right = answers(&Cpu::new(), case);
        for (levels, gives_up) in [(18.0, false), (0.5, true)] {
            let field_share = (levels * 2.0 * plane + 1.0) / memory;
            let cuda = open(Settings { field_share, check_fraction: 0.0, ..Settings::default() });
            let (rows, spent) = by_whoever(&cuda, case);
            compare_all(case, &rows, &right);
            assert_eq!(cuda.health(), Health::Well);
            assert_eq!(spent.computed.instead > 0, gives_up, "{levels} levels: {:?}", spent.computed);
            if gives_up {
                let why = spent.computed.why.expect("a reason");
                assert!(why.contains("the levels that one flight needs of two times"), "{why}");
            }
        }
    }

    /// The choice is as expected: `cuda`, or why not.
    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn choice() {
        let auto = cuda::choose(Wish::Auto, Settings::default()).expect("a backend");
        let wished = cuda::choose(Wish::Cuda, Settings::default());
        let text = expected();
        if let Some(devices) = text.strip_prefix("cuda: ") {
            assert_eq!(auto.why_cpu, None);
            let name = auto.backend.description().device;
            assert!(name.contains(devices), "{name}");
            assert!(wished.is_ok());
            return;
        }
        assert_eq!(auto.backend.description().backend, "cpu");
        let why = auto.why_cpu.expect("a reason");
        assert!(why.contains(&text), "{why:?}, expected {text:?}");
        assert_eq!(why.lines().count(), 1, "{why}");
        let error = wished.err().expect("an error");
        assert!(error.contains(&text), "{error:?}");
        let case = &cases::all()[0];
        let (rows, _) = by_whoever(&*auto.backend, case);
        compare_all(case, &rows, &answers(&Cpu::new(), case));
    }
}

#[test]
fn every_fault_leaves_the_same_figures() {
    if is_real() {
        return;
    }
    for (fault, expect) in [
        ("memory:1", "well: none"),
        ("memory:5", "well: none"),
        ("memory:11", "well: none"),
        ("sticky:1", "quarantined: CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("sticky:2", "quarantined: CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("hang:1", "quarantined: no answer for"),
        ("hang:2", "quarantined: no answer for"),
        ("garbage:1", "quarantined: is not what the CPU computes"),
        ("garbage:2", "quarantined: is not what the CPU computes"),
    ] {
        inside("faults::contained::run", &[("SKYDOSE_FAKE_FAULT", fault), (EXPECT, expect)]);
    }
}

#[test]
fn a_device_lost_midway_is_told_beside_who_went_on() {
    if is_real() {
        return;
    }
    inside("faults::contained::midway", &[("SKYDOSE_FAKE_FAULT", "sticky:3")]);
}

#[test]
fn levels_that_do_not_fit_come_in_bands_and_those_of_one_flight_go_to_the_cpu() {
    if is_real() {
        return;
    }
    inside("faults::contained::levels", &[]);
}

#[test]
fn flights_that_do_not_fit_are_halved_and_then_left_to_the_cpu() {
    if is_real() {
        return;
    }
    for (memory, expect) in
        [("100000000", "well: none"), ("2000000", "well: none"), ("300000", "well: CUDA_ERROR_OUT_OF_MEMORY")]
    {
        inside("faults::contained::run", &[("SKYDOSE_FAKE_MEMORY", memory), (EXPECT, expect)]);
    }
}

#[test]
fn a_lost_device_leaves_the_others_at_work() {
    if is_real() {
        return;
    }
    for fault in ["sticky:1", "hang:1", "garbage:1"] {
        let variables = [
            ("SKYDOSE_FAKE_DEVICES", "2"),
            ("SKYDOSE_FAKE_FAULT", fault),
            ("SKYDOSE_FAKE_FAULT_DEVICE", "1"),
            (EXPECT, "quarantined: GPU 1"),
        ];
        inside("faults::contained::run", &variables);
    }
}

#[test]
fn the_gpu_is_taken_where_it_is_sound_and_otherwise_the_reason_is_told() {
    if is_real() {
        return;
    }
    let choice = |variables: &[(&str, &str)], expect: &str| {
        let mut all = variables.to_vec();
        all.push((EXPECT, expect));
        inside("faults::contained::choice", &all);
    };
    choice(&[], "cuda: No GPU");
    choice(&[("SKYDOSE_FAKE_DEVICES", "2")], "cuda: 2 × No GPU");
    // Newer than the compiler: its PTX.
    choice(&[("SKYDOSE_FAKE_CAPABILITY", "12.0")], "cuda: No GPU");
    choice(&[("SKYDOSE_FAKE_CAPABILITY", "6.1")], "makes no code for compute capability 6.1");
    choice(&[("SKYDOSE_FAKE_DEVICES", "0")], "CUDA_ERROR_NO_DEVICE");
    choice(&[("SKYDOSE_FAKE_FAULT", "init")], "the NVIDIA driver does not start");
    choice(&[("SKYDOSE_FAKE_FAULT", "garbage:1")], "its figures are not those of the CPU");
    choice(&[("SKYDOSE_FAKE_FAULT", "sticky:1")], "CUDA_ERROR_ILLEGAL_ADDRESS");
    choice(&[("SKYDOSE_FAKE_MEMORY", "1000")], "CUDA_ERROR_OUT_OF_MEMORY");
    choice(&[("SKYDOSE_FAKE_NVRTC_FAULT", "compile")], "as it was asked for");
    let one_of_two = [("SKYDOSE_FAKE_DEVICES", "2"), ("SKYDOSE_FAKE_FAULT", "garbage:1")];
    choice(&one_of_two, "cuda: No GPU");
}
