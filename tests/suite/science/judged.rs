//! The engine on random grids and flights, judged by the oracle.

use proptest::prelude::*;
use skydose::{
    exposure::{Exposure, program::Integration},
    field::{HybridLevels, Levels},
    grid::VerticalRule,
    trajectory::{Waypoint, phase::Phase},
};

use super::{
    answers, fleet,
    memory::{Axes, Memory, dataset, level_value, naming},
    oracle::{Figures, Oracle, SLACK, Stored, figures, rolling_peak},
    request, waypoint,
};

/// What a random case is like; what it holds follows from `seed`.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one choice, shrunk by itself")]
pub struct Shape {
    pub is_global: bool,
    pub is_uneven: bool,
    pub is_hybrid: bool,
    pub has_blobs: bool,
    pub has_temperature: bool,
    pub has_humidity: bool,
    /// times, levels, latitudes, longitudes
    pub nodes: (usize, usize, usize, usize),
    pub contaminants: usize,
    pub members: usize,
    pub rule: VerticalRule,
    pub seed: u64,
}

/// Numbers from a seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `low..high`.
    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).expect("below n")
    }

    fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }

    /// `n` ascending numbers from `low` to `high`; unevenly, no step is
    /// shorter than half of the mean or longer than one and a half of it.
    fn axis(&mut self, low: f64, high: f64, n: usize, is_uneven: bool) -> Vec<f64> {
        let step = (high - low) / (n - 1) as f64;
        (0..n)
            .map(|i| {
                let inner = is_uneven && i > 0 && i + 1 < n;
                low + step * (i as f64 + if inner { self.within(-0.25, 0.25) } else { 0.0 })
            })
            .collect()
    }

    fn order(&mut self, values: &mut [f64]) {
        match self.below(3) {
            0 => values.reverse(),
            1 => self.shuffle(values),
            _ => {}
        }
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let rule = prop_oneof![Just(VerticalRule::LinearP), Just(VerticalRule::LogP), Just(VerticalRule::LayerMean)];
    let nodes = (2_usize..5, 2_usize..7, 2_usize..9, 4_usize..14);
    (flags, nodes, 1_usize..=20, prop_oneof![3 => Just(0_usize), 1 => 1_usize..4], rule, any::<u64>()).prop_map(
        |((is_global, is_uneven, is_hybrid, has_blobs, t, q), nodes, contaminants, members, rule, seed)| Shape {
            is_global,
            is_uneven,
            is_hybrid,
            has_blobs,
            has_temperature: t,
            has_humidity: q,
            nodes,
            contaminants,
            members,
            rule,
            seed,
        },
    )
}

/// A case: a field in a file, and flights with their labels.
pub struct Case {
    pub shape: Shape,
    pub field: Memory,
    pub stored: Vec<(String, Stored)>,
    half_levels: Vec<(f64, f64)>,
    pub flights: Vec<Vec<Waypoint>>,
    pub phases: Vec<Vec<Phase>>,
}

impl Case {
    pub fn new(shape: &Shape) -> Self {
        let mut random = Random(shape.seed);
        let n_levels = shape.nodes.1;
        // p = a + b p_s, with b from 0 to 1: rising whatever the surface.
        let half_levels: Vec<(f64, f64)> =
            (0..=n_levels).map(|k| k as f64 / n_levels as f64).map(|s| (12_000.0 * (1.0 - s), s)).collect();
        let axes = axes(shape, &half_levels, &mut random);
        let mut field = Memory::default();
        let mut stored = Vec::new();
        let members: Vec<String> = (0..shape.members).map(|m| format!("m{m}")).collect();
        for number in 0..shape.contaminants {
            let name = format!("c{number:02}");
            let is_ratio = random.below(3) > 0;
            let is_holed = shape.has_blobs && random.below(2) == 0;
            let axes = Axes { members: members.clone(), ..axes.clone() };
            let units = if is_ratio { "kg kg-1" } else { "kg m-3" };
            field = field.with(&name, units, &axes, |_| hole(&mut random, is_holed, 1e-8, 2e-8));
            stored.push((name, if is_ratio { Stored::MixingRatio } else { Stored::Concentration }));
        }
        for (name, there, low, high) in
            [("t", shape.has_temperature, 210.0, 290.0), ("q", shape.has_humidity, 0.0, 0.02)]
        {
            let is_holed = shape.has_blobs && random.below(3) == 0;
            if there {
                field = field.with(name, "", &axes, |_| hole(&mut random, is_holed, low, high));
            }
        }
        if shape.is_hybrid {
            field = field.with("sp", "Pa", &axes.surface(), |_| random.within(85_000.0, 103_000.0));
        }
        let flights: Vec<Vec<Waypoint>> = (0..3).map(|_| flight(&axes, shape.is_global, &mut random)).collect();
        let phases = flights.iter().map(|f| phases(f.len(), &mut random)).collect();
        Self { shape: shape.clone(), field, stored, half_levels, flights, phases }
    }

    fn oracle(&self, member: usize) -> Oracle<'_> {
        Oracle {
            field: &self.field,
            rule: self.shape.rule,
            is_global: self.shape.is_global,
            half_levels: self.half_levels.clone(),
            member,
        }
    }
}

fn hole(random: &mut Random, is_holed: bool, low: f64, high: f64) -> f64 {
    if is_holed && random.below(40) == 0 { f64::NAN } else { random.within(low, high) }
}

fn axes(shape: &Shape, half_levels: &[(f64, f64)], random: &mut Random) -> Axes {
    let (n_times, n_levels, n_latitudes, n_longitudes) = shape.nodes;
    let times_s = random.axis(1.6e9, 1.6e9 + 10_800.0 * (n_times - 1) as f64, n_times, shape.is_uneven);
    let levels = if shape.is_hybrid {
        let mut numbers: Vec<u32> = (1_u32..).take(n_levels).collect();
        if random.below(2) == 0 {
            numbers.reverse();
        }
        Levels::Hybrid(HybridLevels { numbers, half_levels: Some(half_levels.to_vec()) })
    } else {
        let mut pa = random.axis(15_000.0, 100_000.0, n_levels, shape.is_uneven);
        random.order(&mut pa);
        Levels::Pressure(pa)
    };
    let south = if shape.is_global { -90.0 } else { random.within(-88.0, 40.0) };
    let north = if shape.is_global { 90.0 } else { south + random.within(4.0, 48.0) };
    let mut latitudes = random.axis(south, north, n_latitudes, shape.is_uneven);
    random.order(&mut latitudes);
    let mut longitudes = if shape.is_global {
        let step = 360.0 / n_longitudes as f64;
        let first = random.within(-180.0, 180.0);
        let jitter = if shape.is_uneven { 0.08 } else { 0.0 };
        (0..n_longitudes).map(|i| first + step * (i as f64 + random.within(-jitter, jitter))).collect()
    } else {
        let west = random.within(-180.0, 180.0);
        let east = west + random.within(5.0, 100.0);
        random.axis(west, east, n_longitudes, shape.is_uneven)
    };
    let is_signed = random.below(2) == 0;
    for longitude in &mut longitudes {
        *longitude =
            if is_signed { (*longitude + 180.0).rem_euclid(360.0) - 180.0 } else { longitude.rem_euclid(360.0) };
    }
    random.order(&mut longitudes);
    Axes::new(times_s, levels, latitudes, longitudes)
}

/// A random walk that begins in the field, mostly, and may leave it.
fn flight(axes: &Axes, is_global: bool, random: &mut Random) -> Vec<Waypoint> {
    let any = |values: &[f64], random: &mut Random| values[random.below(values.len())];
    let mut time_s = any(&axes.times_s, random) + random.within(-4_000.0, 4_000.0);
    let mut longitude = any(&axes.longitudes_deg, random) + random.within(-1.0, 1.0);
    let mut latitude = (any(&axes.latitudes_deg, random) + random.within(-1.0, 1.0)).clamp(-90.0, 90.0);
    let mut pressure_pa = match &axes.levels {
        Levels::Pressure(_) => level_value(&axes.levels, random.below(axes.levels.len())) + random.within(-9e3, 9e3),
        _ => random.within(11_000.0, 100_000.0),
    };
    let (stride, climb) = (random.within(0.1, if is_global { 15.0 } else { 3.0 }), random.within(0.0, 6_000.0));
    let n = 1 + random.below(70);
    // Some pass the field's times, and fly along its nodes.
    let is_on_nodes = random.below(3) == 0;
    let snap = |values: &[f64], x: f64, random: &mut Random| {
        if is_on_nodes && !values.is_empty() && random.below(2) == 0 { any(values, random) } else { x }
    };
    // At the edges of a region rounding decides what lies inside: a GPU has
    // latitudes to 1e-9 degrees. Longitudes are turned to -180 to 180 by both
    // sides in ways of their own: `edges.rs` has their nodes.
    let edges = |values: &[f64]| values.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
    let (south, north) = edges(&axes.latitudes_deg);
    let is_inner = |x: &&f64| is_global || (**x > south && **x < north);
    let latitudes: Vec<f64> = axes.latitudes_deg.iter().filter(is_inner).copied().collect();
    (0..n)
        .map(|_| {
            let before_s = time_s;
            time_s += random.within(1.0, 900.0);
            if let Some(&node) = axes.times_s.iter().find(|&&t| is_on_nodes && before_s < t && t < time_s) {
                time_s = node;
            }
            longitude += random.within(-0.4, 1.0) * stride;
            latitude = snap(&latitudes, latitude + random.within(-1.0, 1.0) * stride, random);
            latitude = latitude.clamp(-90.0, 90.0);
            pressure_pa = (pressure_pa + random.within(-1.0, 1.0) * climb).clamp(9_000.0, 104_000.0);
            if let Levels::Pressure(levels) = &axes.levels {
                pressure_pa = snap(levels, pressure_pa, random);
            }
            // As a fleet keeps it.
            waypoint(time_s, (longitude + 180.0).rem_euclid(360.0) - 180.0, latitude, pressure_pa)
        })
        .collect()
}

fn phases(n: usize, random: &mut Random) -> Vec<Phase> {
    let mut phase = Phase::Climb;
    (0..n)
        .map(|_| {
            if random.below(6) == 0 {
                phase = Phase::PARTS[random.below(4)];
            }
            phase
        })
        .collect()
}

/// \[kg m⁻³\], \[kg kg⁻¹\]
const THRESHOLDS: (f64, f64) = (1.2e-8, 1.5e-8);

fn check(case: &Case) {
    let names: Vec<&str> = case.stored.iter().map(|(name, _)| name.as_str()).collect();
    let thresholds: Vec<(&str, &str)> =
        names.iter().flat_map(|&name| [(name, "0.012 mg m-3"), (name, "1.5e-8 kg kg-1")]).collect();
    let data = dataset(vec![case.field.clone()], naming(&names));
    let asked = request(Integration::Waypoints, &names, &thresholds);
    let all = answers(&data, &asked, case.shape.rule, &fleet(&case.flights), &case.phases);
    for (number, rows) in all.iter().enumerate() {
        let flight = &case.flights[number];
        for member in 0..case.shape.members.max(1) {
            let oracle = case.oracle(member);
            for (name, stored) in &case.stored {
                let values: Vec<Option<f64>> = flight.iter().map(|p| oracle.concentration(name, *stored, p)).collect();
                let ratios: Vec<Option<f64>> = flight.iter().map(|p| oracle.mixing_ratio(name, *stored, p)).collect();
                let by_mass = figures(flight, &values, &case.phases[number], &[THRESHOLDS.0]);
                let by_ratio = figures(flight, &ratios, &case.phases[number], &[THRESHOLDS.1]);
                let of_member = (case.shape.members > 0).then(|| format!("m{member}"));
                let mine: Vec<&Exposure> = rows
                    .iter()
                    .filter(|r| &*r.contaminant == name && r.member.as_deref() == of_member.as_deref())
                    .collect();
                // One waypoint alone is in no phase for any time.
                let expected = if flight.len() == 1 { 1 } else { by_mass.len() };
                assert_eq!(mine.len(), expected, "rows of {name} of flight {number}");
                for row in mine {
                    compare(row, &by_mass[&row.phase], &by_ratio[&row.phase]);
                    let at_peak =
                        row.peak.map(|p| waypoint(p.time_s, p.longitude_deg, p.latitude_deg, p.pressure_hpa * 100.0));
                    if let (Some(peak), Some(place)) = (row.peak, at_peak) {
                        let there = oracle.concentration(name, *stored, &place).expect("a value at the peak");
                        close(peak.mg_m3, there * 1e6, SLACK, "where the peak is");
                    }
                }
            }
        }
    }
}

fn compare(row: &Exposure, mass: &Figures, ratio: &Figures) {
    let context = format!("{} {} of flight {} {:?}", row.contaminant, row.phase.name(), row.flight_id, row.member);
    close(row.duration_s, mass.duration_s, 1e-12, &context);
    assert!((row.sampled_fraction - mass.fraction()).abs() < 1e-12, "{context}: {}", row.sampled_fraction);
    assert_eq!(row.dosage_g_s_m3.is_some(), mass.is_known(), "{context}");
    assert_eq!(row.mean_mg_m3.is_some(), mass.sampled_s > 0.0, "{context}");
    assert_eq!(row.peak.is_some(), mass.peak.is_some(), "{context}");
    if let Some(dosage) = row.dosage_g_s_m3 {
        close(dosage, mass.dosage * 1e3, SLACK, &format!("dosage of {context}"));
    }
    if let Some(mean) = row.mean_mg_m3 {
        close(mean, mass.dosage / mass.sampled_s * 1e6, SLACK, &format!("mean of {context}"));
    }
    if let (Some(peak), Some((value, _))) = (row.peak, mass.peak) {
        close(peak.mg_m3, value * 1e6, SLACK, &format!("peak of {context}"));
    }
    for (label, figures, threshold) in
        [("0.012 mg m-3", mass, THRESHOLDS.0), ("0.000000015 kg kg-1", ratio, THRESHOLDS.1)]
    {
        let (_, above) = row.time_above_s.iter().find(|(l, _)| &**l == label).expect("the threshold");
        // Not of less time than the row says was sampled.
        assert_eq!(
            above.is_some(),
            figures.is_known() && figures.sampled_s >= mass.sampled_s * (1.0 - 1e-9),
            "{context}"
        );
        if let Some(above) = above {
            let (least, most) = figures.above_s[0];
            let room = 1e-9 * row.duration_s;
            assert!(*above >= least - room && *above <= most + room, "{label} {context}: {above} {least} {most}");
        }
        let (_, reached) = row.exceedance.iter().find(|(l, _)| &**l == label).expect("the threshold");
        match figures.peak {
            Some((peak, _)) if peak > threshold * (1.0 + SLACK) => assert_eq!(*reached, Some(1.0), "{context}"),
            Some((peak, _)) if peak < threshold * (1.0 - SLACK) => {
                let is_whole = figures.fraction() >= 1.0 - 1e-9;
                assert_eq!(*reached, is_whole.then_some(0.0), "{label} {context}");
            }
            Some(_) => {}
            None => assert_eq!(*reached, None, "{context}"),
        }
    }
}

#[track_caller]
fn close(actual: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((actual - expected).abs() <= tolerance * expected.abs(), "{what}: {actual} is not {expected}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Corners, weights and interpolated values are single precision: each of
    /// four interpolations adds one rounding of 6e-8 and the density that of
    /// temperature and humidity, whence `SLACK` for a value. A dosage of few
    /// samples can be as wrong as its values.
    #[test]
    fn waypoints_agree_with_the_oracle(shape in shapes()) {
        check(&Case::new(&shape));
    }

    /// The largest mean over a window, over gaps and the field's edges.
    #[test]
    fn rolling_peaks_agree_with_brute_force(shape in shapes()) {
        let shape = Shape { contaminants: 1, members: 0, ..shape };
        let mut case = Case::new(&shape);
        // The name makes the window: ten minutes for sulphur dioxide.
        case.stored[0].0 = "so2".to_owned();
        let stored = case.stored[0].1;
        case.field = case.field.renamed("c00", "so2");
        let asked = request(Integration::Waypoints, &["so2"], &[]);
        let data = case.field.clone().dataset();
        let rows = answers(&data, &asked, shape.rule, &fleet(&case.flights), &case.phases);
        for (flight, rows) in case.flights.iter().zip(&rows) {
            let oracle = case.oracle(0);
            let samples: Vec<(f64, Option<f64>)> =
                flight.iter().map(|p| (p.time_s, oracle.concentration("so2", stored, p))).collect();
            let expected = rolling_peak(600.0, &samples).map(|kg| kg * 1e6);
            for row in rows {
                if row.phase != Phase::Flight {
                    prop_assert_eq!(row.rolling_peak_mg_m3, None);
                    continue;
                }
                prop_assert_eq!(row.rolling_window_s, Some(600.0));
                prop_assert_eq!(row.rolling_peak_mg_m3.is_some(), expected.is_some());
                if let (Some(actual), Some(expected)) = (row.rolling_peak_mg_m3, expected) {
                    close(actual, expected, SLACK, "rolling peak");
                }
            }
        }
    }
}
