//! What may not change a figure, and figures that add up.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use skydose::{
    compute::{Batch, Window, cpu::Cpu, state::FlightState},
    exposure::{Exposure, program::Integration, request::Request},
    field::{
        Levels,
        dataset::{Dataset, DatasetFile},
        slab::Slab,
    },
    grid::VerticalRule,
    trajectory::{Waypoint, phase::Phase},
};

use super::{
    answers, assert_close, exposures, fleet,
    judged::Random,
    labels,
    memory::{Axes, Memory, Node, dataset, steps},
    request, waypoint, whole,
};

/// Numbers that turn by 360° without rounding.
const STEP_DEG: f64 = 7.5;

fn base_axes() -> Axes {
    let levels = Levels::Pressure([200.0, 250.0, 300.0, 400.0, 500.0].map(|hpa| hpa * 100.0).to_vec());
    // Uneven, as Gaussian latitudes are, and finest where few flights are.
    let uneven = |j: u32| if j == 1 { -3.75 } else { 0.375 * f64::from(j % 2) };
    let latitudes = (0..22).map(|j| -52.0 + 5.0 * f64::from(j) + uneven(j)).collect();
    Axes::new(steps(0.0, 10_800.0, 5), levels, latitudes, steps(-180.0, STEP_DEG, 48))
}

/// A value that depends on where a node is, not on its place in a file.
fn value(seed: u64, node: Node) -> f64 {
    // One zero, not two.
    let longitude = node.longitude_deg.rem_euclid(360.0) + 0.0;
    let mut random = Random(seed);
    for coordinate in [node.time_s, node.level, node.latitude_deg, longitude] {
        random = Random(random.next() ^ coordinate.to_bits());
    }
    random.within(0.5, 1.5)
}

fn fill(file: Memory, axes: &Axes, names: &[&str], seed: u64) -> Memory {
    names.iter().fold(file, |file, &name| match name {
        "so2" => file.with("so2", "kg kg-1", axes, |n| {
            // Missing here and there, at the first three times.
            let v = value(seed, n);
            if v < 0.56 && n.time_s < 30_000.0 { f64::NAN } else { v * 1e-8 }
        }),
        "ash" => file.with("ash", "kg m-3", axes, |n| value(seed + 1, n) * 1e-6),
        "t" => file.with("t", "K", axes, |n| 250.0 + 20.0 * value(seed + 2, n)),
        _ => file.with("q", "kg kg-1", axes, |n| 1e-3 * value(seed + 3, n)),
    })
}

const ALL: [&str; 4] = ["so2", "ash", "t", "q"];

fn whole_file(axes: &Axes, seed: u64) -> Memory {
    fill(Memory::default(), axes, &ALL, seed)
}

fn random_flights(seed: u64) -> Vec<Vec<Waypoint>> {
    let mut random = Random(seed);
    // Multiples of 2⁻¹⁰ degrees: another turn of the circle is exact.
    let exact = |x: f64| (x * 1024.0).round() / 1024.0;
    (0..4)
        .map(|_| {
            let (mut t, mut x) = (random.within(-3_000.0, 30_000.0), random.within(-180.0, 180.0));
            // Half of the flights pass through the field's very times.
            let unit = if random.below(2) == 0 { 150.0 } else { 1.0 };
            t = if unit > 1.0 { (t / unit).round() * unit } else { t };
            let (mut y, mut p) = (random.within(-50.0, 50.0), random.within(21_000.0, 49_000.0));
            (0..2 + random.below(40))
                .map(|_| {
                    t += (random.within(1.0, 400.0) / unit).ceil() * unit;
                    x += random.within(-0.3, 1.0);
                    y = (y + random.within(-0.7, 0.7)).clamp(-60.0, 60.0);
                    p += if random.below(3) == 0 { random.within(-800.0, 800.0) } else { 0.0 };
                    waypoint(t, exact(x), exact(y), p)
                })
                .collect()
        })
        .collect()
}

fn asked(integration: Integration) -> Request {
    request(integration, &[], &[("so2", "500 ug m-3"), ("so2", "4 ppbv"), ("ash", "1 mg m-3"), ("ash", "2 g s m-3")])
}

/// Every figure, to the last bit.
fn bytes(rows: &[Vec<Exposure>]) -> String {
    format!("{rows:?}")
}

fn all_of(dataset: &Dataset, integration: Integration, flights: &[Vec<Waypoint>]) -> Vec<Vec<Exposure>> {
    exposures(dataset, &asked(integration), VerticalRule::LinearP, &fleet(flights))
}

/// The same field with its axes in another order and another turn.
fn rearranged(random: &mut Random) -> Axes {
    let mut axes = base_axes();
    let turn = [0.0, 360.0, -360.0][random.below(3)];
    for longitude in &mut axes.longitudes_deg {
        *longitude += turn;
        if turn == 0.0 {
            *longitude = longitude.rem_euclid(360.0);
        }
    }
    let n = random.below(48);
    axes.longitudes_deg.rotate_left(n);
    if random.below(2) == 0 {
        axes.longitudes_deg.reverse();
    }
    if random.below(2) == 0 {
        axes.latitudes_deg.reverse();
    }
    if random.below(2) == 0 {
        axes.times_s.reverse();
    }
    let Levels::Pressure(pa) = &mut axes.levels else { return axes };
    let n = random.below(5);
    pa.rotate_left(n);
    axes
}

/// The field in files that each have a part of it.
fn split(how: usize, seed: u64, random: &mut Random) -> Vec<Memory> {
    let axes = base_axes();
    let (at_time, at_level) = (1 + random.below(4), 1 + random.below(4));
    let times = [axes.times_s[..at_time].to_vec(), axes.times_s[at_time..].to_vec()];
    let Levels::Pressure(pa) = &axes.levels else { return Vec::new() };
    let levels = [pa[..at_level].to_vec(), pa[at_level..].to_vec()];
    let of = |names: &[&str], times: &[f64], pa: &[f64]| {
        let part = Axes { times_s: times.to_vec(), levels: Levels::Pressure(pa.to_vec()), ..axes.clone() };
        fill(Memory::default(), &part, names, seed)
    };
    let mut files = match how {
        0 => ALL.iter().map(|&name| of(&[name], &axes.times_s, pa)).collect::<Vec<_>>(),
        1 => times.iter().map(|t| of(&ALL, t, pa)).collect(),
        2 => levels.iter().map(|p| of(&ALL, &axes.times_s, p)).collect(),
        _ => times.iter().flat_map(|t| levels.iter().map(|p| of(&ALL, t, p))).collect(),
    };
    if random.below(2) == 0 {
        files.reverse();
    }
    files
}

/// The states that are left when the field's times are cut at `cuts`.
fn by_windows(data: &Dataset, asked: &Request, flights: &[Vec<Waypoint>], cuts: &[usize]) -> Vec<String> {
    let fleet = fleet(flights);
    let phases = labels(&fleet);
    let passes = asked.passes(data).expect("passes");
    let mut all = Vec::new();
    for pass in &passes {
        let field = data.field(&pass.channels, VerticalRule::LinearP, None).expect("a field");
        let slabs: Vec<Arc<Slab>> =
            (0..field.times_s.len()).map(|time| Arc::new(field.load(time, 0).expect("a slab"))).collect();
        let mut states: Vec<FlightState> = fleet.iter().map(|_| FlightState::new(&pass.program)).collect();
        for pair in cuts.windows(2) {
            let window =
                Window { grid: &field.grid, times_s: &field.times_s, first: pair[0], slabs: &slabs[pair[0]..=pair[1]] };
            let mut batch = Batch { fleet: &fleet, phases: &phases, states: &mut states };
            Cpu::new().advance(&pass.program, &window, &mut batch);
        }
        all.push(format!("{states:?}"));
    }
    all
}

fn integrations() -> impl Strategy<Value = Integration> {
    prop_oneof![Just(Integration::Path), Just(Integration::Waypoints)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_a_files_axes_changes_no_byte(seed in any::<u64>(), integration in integrations()) {
        let flights = random_flights(seed);
        let expected = bytes(&all_of(&whole_file(&base_axes(), seed).dataset(), integration, &flights));
        let axes = rearranged(&mut Random(seed));
        let actual = bytes(&all_of(&whole_file(&axes, seed).dataset(), integration, &flights));
        prop_assert_eq!(actual, expected, "{:?}", axes);
    }

    #[test]
    fn how_a_field_is_split_into_files_changes_no_byte(seed in any::<u64>(), how in 0_usize..4, integration in integrations()) {
        let flights = random_flights(seed);
        let expected = bytes(&all_of(&whole_file(&base_axes(), seed).dataset(), integration, &flights));
        let files = dataset(split(how, seed, &mut Random(seed)), DatasetFile::default());
        prop_assert_eq!(bytes(&all_of(&files, integration, &flights)), expected);
    }

    #[test]
    fn another_turn_of_the_flights_longitudes_changes_no_byte(seed in any::<u64>(), turn in -2_i32..3) {
        let flights = random_flights(seed);
        let data = whole_file(&base_axes(), seed).dataset();
        let turned: Vec<Vec<Waypoint>> = flights
            .iter()
            .map(|f| f.iter().map(|w| Waypoint { longitude_deg: w.longitude_deg + 360.0 * f64::from(turn), ..*w }).collect())
            .collect();
        let expected = bytes(&all_of(&data, Integration::Path, &flights));
        prop_assert_eq!(bytes(&all_of(&data, Integration::Path, &turned)), expected);
    }

    #[test]
    fn windows_and_company_change_no_byte(seed in any::<u64>(), integration in integrations()) {
        let flights = random_flights(seed);
        let data = whole_file(&base_axes(), seed).dataset();
        let asked = asked(integration);
        let expected = by_windows(&data, &asked, &flights, &[0, 4]);
        for cuts in [&[0, 1, 2, 3, 4][..], &[0, 2, 4], &[0, 1, 4], &[0, 3, 4]] {
            prop_assert_eq!(&by_windows(&data, &asked, &flights, cuts), &expected, "{:?}", cuts);
        }
        // Flights computed together are read with a larger box of the field.
        let together = all_of(&data, integration, &flights);
        for (flight, rows) in flights.iter().zip(&together) {
            let alone = all_of(&data, integration, std::slice::from_ref(flight));
            for (a, b) in alone[0].iter().zip(rows) {
                let b = Exposure { flight_id: a.flight_id.clone(), ..b.clone() };
                prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
            }
        }
    }

    #[test]
    fn a_split_flight_adds_up(seed in any::<u64>(), at in 0.0..1.0_f64, integration in integrations()) {
        let flight = &random_flights(seed)[0];
        prop_assume!(flight.len() > 2);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let at = 1 + (at * (flight.len() - 2) as f64) as usize;
        let phases: Vec<Phase> = labels(&fleet([flight])).remove(0);
        let data = whole_file(&base_axes(), seed).dataset();
        let (first, second) = (flight[..=at].to_vec(), flight[at..].to_vec());
        let labels = [phases.clone(), phases[..=at].to_vec(), phases[at..].to_vec()];
        let fleet = fleet([flight, &first, &second]);
        let rows = answers(&data, &asked(integration), VerticalRule::LinearP, &fleet, &labels);
        for contaminant in ["so2", "ash"] {
            let [all, a, b] = [0, 1, 2].map(|i| whole(&rows[i], contaminant));
            add_up(all, &[a, b]);
        }
    }

    #[test]
    fn phases_add_up_to_the_flight(seed in any::<u64>(), integration in integrations()) {
        let flights = random_flights(seed);
        let mut random = Random(seed);
        let phases: Vec<Vec<Phase>> =
            flights.iter().map(|f| f.iter().map(|_| Phase::PARTS[random.below(4)]).collect()).collect();
        let data = whole_file(&base_axes(), seed).dataset();
        let all = answers(&data, &asked(integration), VerticalRule::LinearP, &fleet(&flights), &phases);
        for rows in &all {
            for contaminant in ["so2", "ash"] {
                let parts: Vec<&Exposure> =
                    rows.iter().filter(|r| &*r.contaminant == contaminant && r.phase != Phase::Flight).collect();
                add_up(whole(rows, contaminant), &parts);
            }
        }
    }
}

/// Sums to rounding, the peak to the last bit.
#[track_caller]
fn add_up(all: &Exposure, parts: &[&Exposure]) {
    let sum = |of: &dyn Fn(&Exposure) -> f64| parts.iter().map(|p| of(p)).sum::<f64>();
    assert_close(sum(&|e| e.duration_s), all.duration_s, 1e-12, "durations");
    let sampled = |e: &Exposure| e.sampled_fraction * e.duration_s;
    assert_close(sum(&sampled), sampled(all), 1e-12, "time sampled");
    assert_close(sum(&|e| e.dosage_g_s_m3.unwrap_or(0.0)), all.dosage_g_s_m3.unwrap_or(0.0), 1e-12, "dosage");
    let mut above: BTreeMap<&str, f64> = BTreeMap::new();
    for (label, seconds) in parts.iter().flat_map(|p| &p.time_above_s) {
        *above.entry(label).or_default() += seconds.unwrap_or(0.0);
    }
    for (label, seconds) in &all.time_above_s {
        let Some(seconds) = seconds else { continue };
        assert!((above[&**label] - seconds).abs() < 1e-9 * all.duration_s, "{label}: {} {seconds}", above[&**label]);
    }
    let largest = parts.iter().filter_map(|p| Some(p.peak?.mg_m3)).reduce(f64::max);
    assert_eq!(largest, all.peak.map(|p| p.mg_m3));
}

#[test]
fn threads_change_no_byte() {
    let flights: Vec<Vec<Waypoint>> = (0..40).flat_map(random_flights).collect();
    let data = whole_file(&base_axes(), 5).dataset();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| bytes(&all_of(&data, Integration::Path, &flights)))
    };
    let one = on(1);
    for threads in [2, 3, 8] {
        assert_eq!(on(threads), one, "{threads} threads");
    }
}

#[test]
fn flights_outside_the_field_have_no_figures() {
    let data = whole_file(&base_axes(), 1).dataset();
    let flight = |t, y, p| vec![waypoint(t, 0.0, y, p), waypoint(t + 600.0, 1.0, y, p)];
    let outside = [
        flight(-2e3, 0.0, 3e4),
        flight(1e5, 0.0, 3e4),
        flight(1e4, 70.0, 3e4),
        flight(1e4, 0.0, 9e4),
        flight(1e4, 0.0, 1e4),
    ];
    for integration in [Integration::Path, Integration::Waypoints] {
        for rows in all_of(&data, integration, &outside) {
            for row in rows {
                assert!(row.sampled_fraction.abs() < f64::EPSILON, "{row:?}");
                assert_eq!((row.dosage_g_s_m3, row.mean_mg_m3, row.peak, row.dose_g), (None, None, None, None));
                assert_eq!(row.rolling_peak_mg_m3, None);
                assert!(row.time_above_s.iter().chain(&row.exceedance).all(|(_, figure)| figure.is_none()), "{row:?}");
            }
        }
    }
}
