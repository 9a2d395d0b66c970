//! The same questions to both backends.
//!
//! On the CPU the answers are judged by the oracle (`judged.rs`); here those
//! of the GPU are judged by the CPU's: dosage, dose, mean, rolling peak and
//! time above within 1e-5, peaks within 1e-6, the same coverage, the same
//! nulls; with float16 fields within 1e-3. The same input gives the same bytes
//! run after run, however the field's times are cut into windows.

use std::{
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use skydose::{
    compute::{
        Backend, Health, Window,
        answer::Answers,
        cpu::Cpu,
        cuda::{self, Cuda, Precision, Settings},
        run::{Flights, Run, Spent},
    },
    exposure::{Exposure, request::Request},
    field::slab::Slab,
    trajectory::phase::Phase,
};

use super::{cases, cases::Case, inside};
use crate::science::PLENTY;

/// How far figures may be from those of the CPU.
#[derive(Clone, Copy)]
struct Tolerance {
    sum: f64,
    /// Of a value, and so of a peak. A time above a threshold may also be
    /// anything between those of thresholds that are so much higher and lower:
    /// where values graze the threshold, no digit of the time is certain.
    value: f64,
}

const FLOAT32: Tolerance = Tolerance { sum: 1e-5, value: 1e-6 };
const FLOAT16: Tolerance = Tolerance { sum: 1e-3, value: 1e-3 };

/// The rows of each flight.
pub fn answers(backend: &dyn Backend, case: &Case) -> Vec<Vec<Exposure>> {
    answers_to(&case.request, backend, case)
}

fn answers_to(request: &Request, backend: &dyn Backend, case: &Case) -> Vec<Vec<Exposure>> {
    let passes = request.passes(&case.data).expect("passes");
    let flights = Flights { fleet: &case.fleet, phases: &case.phases };
    let run =
        Run { dataset: &case.data, backend, vertical: case.rule, field_bytes: PLENTY, kept: None, progress: &|_| () };
    let mut spent = Spent::default();
    let passed = run.run(&passes, &flights, &mut spent).expect("a run");
    assert!(!spent.remarks.iter().any(|r| r.contains("CPU")), "{}: {:?}", case.name, spent.remarks);
    let answers = Answers::new(&passes, &flights, &passed, case.data.members());
    (0..case.fleet.len()).map(|i| answers.of(i)).collect()
}

/// Compares the rows of both.
pub fn compare_all(case: &Case, actual: &[Vec<Exposure>], expected: &[Vec<Exposure>]) {
    compare_within(case, actual, expected, FLOAT32);
}

fn compare_within(case: &Case, actual: &[Vec<Exposure>], expected: &[Vec<Exposure>], tolerance: Tolerance) {
    let with_thresholds = |factor: f64| {
        let mut request = case.request.clone();
        request.thresholds.values_mut().flatten().for_each(|limit| limit.value *= factor);
        answers_to(&request, &Cpu::new(), case)
    };
    let bounds = [with_thresholds(1.0 + tolerance.value), with_thresholds(1.0 - tolerance.value)];
    assert_eq!(actual.len(), expected.len());
    for (flight, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert_eq!(actual.len(), expected.len(), "{}", case.name);
        for (row, (actual, expected)) in actual.iter().zip(expected).enumerate() {
            if let Err(what) = compare(actual, expected, [&bounds[0][flight][row], &bounds[1][flight][row]], tolerance)
            {
                panic!(
                    "{}, flight {} {} {} {:?}: {what}",
                    case.name,
                    expected.flight_id,
                    expected.contaminant,
                    expected.phase.name(),
                    expected.member
                );
            }
        }
    }
}

fn compare(
    actual: &Exposure,
    expected: &Exposure,
    [least, most]: [&Exposure; 2],
    Tolerance { sum, value }: Tolerance,
) -> Result<(), String> {
    if (actual.sampled_fraction - expected.sampled_fraction).abs() > 1e-8 {
        return Err(format!("coverage {} is not {}", actual.sampled_fraction, expected.sampled_fraction));
    }
    near("dosage", actual.dosage_g_s_m3, expected.dosage_g_s_m3, sum)?;
    near("mean", actual.mean_mg_m3, expected.mean_mg_m3, sum)?;
    near("dose", actual.dose_g, expected.dose_g, sum)?;
    near("rolling peak", actual.rolling_peak_mg_m3, expected.rolling_peak_mg_m3, sum)?;
    near("peak", actual.peak.map(|p| p.mg_m3), expected.peak.map(|p| p.mg_m3), value)?;
    for (i, ((label, actual), (_, right))) in actual.time_above_s.iter().zip(&expected.time_above_s).enumerate() {
        let (least, most) = (least.time_above_s[i].1, most.time_above_s[i].1);
        let rounding = 1e-7 * expected.duration_s;
        let is_between = actual.zip(least).zip(most).is_some_and(|((a, l), m)| a >= l - rounding && a <= m + rounding);
        if !is_between {
            near(&format!("time above {label}, at least {least:?}, at most {most:?}"), *actual, *right, sum)?;
        }
    }
    let identity = |e: &Exposure| {
        let limits: Vec<_> = e.time_above_s.iter().map(|(label, _)| label.clone()).collect();
        format!("{:?}", (&e.flight_id, &e.contaminant, e.phase, &e.member, e.rolling_window_s, limits, e.duration_s))
    };
    if identity(actual) == identity(expected) { Ok(()) } else { Err("another row".to_owned()) }
}

fn near(what: &str, actual: Option<f64>, expected: Option<f64>, tolerance: f64) -> Result<(), String> {
    match (actual, expected) {
        (None, None) => Ok(()),
        (Some(a), Some(e)) if (a - e).abs() <= tolerance * e.abs() => Ok(()),
        _ => Err(format!("{what}: {actual:?} is not {expected:?} within {tolerance:e}")),
    }
}

/// All devices, with or without flights that the CPU checks.
pub fn open(settings: Settings) -> Cuda {
    let devices = cuda::Driver::load().expect("a driver").devices().expect("devices");
    let compiler = cuda::Compiler::load().expect("NVRTC");
    Cuda::open(&devices, &compiler, settings).expect("a device")
}

fn unchecked() -> Settings {
    Settings { check_fraction: 0.0, ..Settings::default() }
}

/// The states that are left when the times are cut at `cuts`, as text.
fn by_windows(backend: &dyn Backend, case: &Case, cut: impl Fn(usize) -> Vec<usize>) -> Vec<String> {
    let flights = Flights { fleet: &case.fleet, phases: &case.phases };
    let mut all = Vec::new();
    for pass in &case.request.passes(&case.data).expect("passes") {
        let field = case.data.field(&pass.channels, case.rule, None).expect("a field");
        let slabs: Vec<Arc<Slab>> =
            (0..field.times_s.len()).map(|time| Arc::new(field.load(time, 0).expect("a slab"))).collect();
        let mut session = backend.begin(&pass.program, flights).expect("a session");
        for pair in cut(slabs.len()).windows(2) {
            let slabs = &slabs[pair[0]..=pair[1]];
            let window = Window { grid: &field.grid, times_s: &field.times_s, first: pair[0], slabs };
            session.advance(&window).expect("a window");
        }
        let figures: Vec<_> = session
            .finish()
            .expect("figures")
            .iter()
            .map(|state| (Phase::PARTS.map(|phase| state.phase(phase).cloned()), state.rolling_peak(0)))
            .collect();
        all.push(format!("{figures:?}"));
    }
    all
}

mod contained {
    use super::*;

    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn float32() {
        let cuda = open(unchecked());
        for case in cases::all() {
            let expected = answers(&Cpu::new(), &case);
            let actual = answers(&cuda, &case);
            compare_all(&case, &actual, &expected);
            assert_eq!(format!("{actual:?}"), format!("{:?}", answers(&cuda, &case)), "{}: other bytes", case.name);
        }
        assert_eq!(cuda.health(), Health::Well);
    }

    /// A few of each, for tools that make everything a hundred times slower.
    #[test]
    #[ignore = "tests/run --gpu runs it under compute-sanitizer"]
    fn brief() {
        let cuda = open(unchecked());
        for case in cases::all().iter().filter(|case| case.name.contains("seed 1") || !case.name.contains("seed")) {
            compare_all(case, &answers(&cuda, case), &answers(&Cpu::new(), case));
        }
    }

    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn float16() {
        let cuda = open(Settings { precision: Precision::Float16, ..unchecked() });
        let hard = ["seed 1", "rolling", "dose", "logarithms", "concentrations"];
        for case in cases::all().iter().filter(|case| hard.iter().any(|name| case.name.contains(name))) {
            compare_within(case, &answers(&cuda, case), &answers(&Cpu::new(), case), FLOAT16);
        }
        assert_eq!(cuda.health(), Health::Well);
    }

    /// `SKYDOSE_TEST_FLIGHTS` asks for more flights than a run of the suite has
    /// time for; `docs/gpu.md` has what they came to.
    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn peaks() {
        let flights = std::env::var("SKYDOSE_TEST_FLIGHTS").map_or(100, |n| n.parse().expect("a number"));
        let case = cases::noise(flights);
        let pairs = [answers(&open(unchecked()), &case), answers(&Cpu::new(), &case)].map(|rows| rows.concat());
        let peaks = pairs[0].iter().zip(&pairs[1]).filter_map(|(a, e)| Some((a.peak?.mg_m3, e.peak?.mg_m3)));
        let differences: Vec<f64> = peaks.map(|(a, e)| ((a - e) / e).abs()).collect();
        let beyond = differences.iter().filter(|d| **d > FLOAT32.value).count();
        let largest = differences.iter().copied().fold(0.0, f64::max);
        println!("{} peaks, {beyond} beyond 1e-6, the largest {largest:e}", differences.len());
        assert!(differences.len() > 2 * flights && beyond == 0, "{beyond} peaks beyond 1e-6, the largest {largest:e}");
    }

    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn windows() {
        let cuda = open(unchecked());
        for case in cases::all().iter().filter(|case| case.name.contains("seed 2") || case.name.contains("rolling")) {
            let whole = by_windows(&cuda, case, |times| vec![0, times - 1]);
            let pairs = by_windows(&cuda, case, |times| (0..times).collect());
            assert_eq!(whole, pairs, "{}", case.name);
        }
        // Memory for 18 of 30 levels of two times: bands, sent and given up
        // one after another.
        let bytes = 18.0 * 2.0 * f64::from(7 * 13 * 8 * 4);
        let memory = std::env::var("SKYDOSE_FAKE_MEMORY").map_or(8_589_934_592.0, |m| m.parse().expect("bytes"));
        let narrow = open(Settings { field_share: (bytes + 1.0) / memory, ..unchecked() });
        for seed in 1..6 {
            let case = cases::many_levels(seed);
            let whole = by_windows(&cuda, &case, |times| vec![0, times - 1]);
            let sent = cuda.take_trace().field_bytes;
            assert_eq!(whole, by_windows(&narrow, &case, |times| vec![0, times - 1]), "{}: in bands", case.name);
            assert!(narrow.take_trace().field_bytes > 0 && sent > 0);
        }
    }

    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn digest() {
        let cuda = open(unchecked());
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        for case in cases::all().iter().filter(|case| case.name.contains("seed 1")) {
            format!("{:?}", answers(&cuda, case)).hash(&mut hasher);
        }
        println!("figures {:016x}", hasher.finish());
    }

    #[test]
    #[ignore = "its parent runs it with a driver"]
    fn checked() {
        let cuda = open(Settings { check_fraction: 1.0, ..unchecked() });
        let case = &cases::all()[0];
        compare_all(case, &answers(&cuda, case), &answers(&Cpu::new(), case));
        let trace = cuda.take_trace();
        assert_eq!(usize::try_from(trace.checked), Ok(case.fleet.len()));
        assert!(trace.largest_difference < 1e-6, "{trace:?}");
        assert!(trace.field_bytes > 0 && trace.waypoint_bytes > 0 && trace.result_bytes > 0, "{trace:?}");
    }
}

#[test]
fn float32_fields_give_the_figures_of_the_cpu() {
    inside("contract::contained::float32", &[]);
}

#[test]
fn float16_fields_give_them_within_a_thousandth() {
    inside("contract::contained::float16", &[]);
}

#[test]
fn peaks_in_a_field_of_noise_are_those_of_the_cpu() {
    inside("contract::contained::peaks", &[]);
}

#[test]
fn windows_and_bands_change_no_byte() {
    inside("contract::contained::windows", &[]);
}

#[test]
fn flights_that_the_cpu_checks_are_counted() {
    inside("contract::contained::checked", &[]);
}

#[test]
fn several_devices_give_the_bytes_of_one() {
    let figures = |devices| {
        let output = inside("contract::contained::digest", &[("SKYDOSE_FAKE_DEVICES", devices)]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find_map(|line| Some(line.split_once("figures ")?.1.to_owned())).expect("a digest")
    };
    assert_eq!(figures("3"), figures("1"));
}
