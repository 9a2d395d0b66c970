//! The ends of what is possible: a stated result or a clear error.

use skydose::{
    compute::{
        cpu::Cpu,
        run::{Flights, Run, Spent},
    },
    exposure::program::Integration,
    field::{
        Levels,
        dataset::{Dataset, DatasetFile, LevelPlace, LevelRule},
    },
    grid::VerticalRule,
    trajectory::Waypoint,
};

use super::{
    assert_close, exposures, fleet, labels,
    memory::{Axes, Memory, Node, dataset, steps},
    request, waypoint, whole,
};

const BOTH: [Integration; 2] = [Integration::Path, Integration::Waypoints];

fn axes() -> Axes {
    let levels = Levels::Pressure(vec![20_000.0, 25_000.0, 30_000.0]);
    Axes::new(steps(0.0, 10_800.0, 3), levels, steps(-10.0, 5.0, 5), steps(-10.0, 5.0, 5))
}

fn ash(axes: &Axes) -> Dataset {
    Memory::default().with("ash", "mg m-3", axes, |_| 3.0).dataset()
}

/// An hour eastwards, from 2 h after the field's beginning on.
fn eastwards(longitude: f64, latitude: f64, pressure_pa: f64) -> Vec<Waypoint> {
    (0..61).map(f64::from).map(|i| waypoint(7_200.0 + 60.0 * i, longitude + 0.05 * i, latitude, pressure_pa)).collect()
}

/// Part sampled, dosage \[g s m⁻³\] and peak \[mg m⁻³\].
fn figures(data: &Dataset, integration: Integration, flight: &Vec<Waypoint>) -> (f64, Option<f64>, Option<f64>) {
    let rows = exposures(data, &request(integration, &["ash"], &[]), VerticalRule::LinearP, &fleet([flight]));
    let row = whole(&rows[0], "ash");
    (row.sampled_fraction, row.dosage_g_s_m3, row.peak.map(|p| p.mg_m3))
}

#[track_caller]
fn assert_hour(data: &Dataset, flight: &Vec<Waypoint>) {
    for integration in BOTH {
        let (fraction, dosage, peak) = figures(data, integration, flight);
        assert!((fraction - 1.0).abs() < 1e-9, "{integration:?}: {fraction}");
        assert_close(dosage.expect("a dosage"), 3e-3 * 3_600.0, 1e-6, "dosage");
        assert_close(peak.expect("a peak"), 3.0, 1e-6, "peak");
    }
}

#[test]
fn one_waypoint_has_a_concentration_and_no_dosage() {
    let data = ash(&axes());
    for integration in BOTH {
        let (fraction, dosage, peak) = figures(&data, integration, &vec![waypoint(100.0, 0.0, 0.0, 25_000.0)]);
        assert_close(fraction, 1.0, 0.0, "fraction");
        assert_eq!(dosage, Some(0.0));
        assert_close(peak.expect("a peak"), 3.0, 1e-6, "peak");
        let outside = figures(&data, integration, &vec![waypoint(100.0, 0.0, 40.0, 25_000.0)]);
        assert_eq!(outside, (0.0, None, None));
    }
}

#[test]
fn a_flight_shorter_than_the_window_has_no_rolling_mean() {
    let data = Memory::default().with("so2", "kg m-3", &axes(), |_| 1e-7).dataset();
    for (seconds, expected) in [(599.0, None), (601.0, Some(0.1))] {
        let flight = vec![waypoint(0.0, 0.0, 0.0, 25_000.0), waypoint(seconds, 1.0, 0.0, 25_000.0)];
        for integration in BOTH {
            let rows = exposures(&data, &request(integration, &[], &[]), VerticalRule::LinearP, &fleet([&flight]));
            let row = whole(&rows[0], "so2");
            assert_eq!(row.rolling_peak_mg_m3.is_some(), expected.is_some(), "{seconds} s");
            if let (Some(actual), Some(expected)) = (row.rolling_peak_mg_m3, expected) {
                assert_close(actual, expected, 1e-6, "rolling peak");
            }
        }
    }
}

#[test]
fn a_hundred_thousand_waypoints_are_one_flight() {
    let axes = Axes { times_s: vec![0.0, 60_000.0, 120_000.0], ..axes() };
    let data = Memory::default().with("go3", "kg m-3", &axes, |n| 1e-7 * n.time_s / 100_000.0).dataset();
    let flight: Vec<Waypoint> =
        (0..=100_000).map(f64::from).map(|t| waypoint(t, 5.0 * (t / 9_000.0).sin(), 0.0, 25_000.0)).collect();
    for integration in BOTH {
        let rows = exposures(&data, &request(integration, &[], &[]), VerticalRule::LinearP, &fleet([&flight]));
        let row = whole(&rows[0], "ozone");
        assert_close(row.dosage_g_s_m3.expect("a dosage"), 1e-4 * 50_000.0, 1e-6, "dosage");
        // The last three hours of a steady rise.
        assert_close(row.rolling_peak_mg_m3.expect("a mean"), 0.1 * (1.0 - 0.054), 1e-6, "rolling peak");
    }
}

#[test]
fn one_time_is_an_instant() {
    let data = ash(&Axes { times_s: vec![9_000.0], ..axes() });
    for integration in BOTH {
        // Only the waypoint at that very instant is sampled: for no time.
        let (fraction, dosage, peak) = figures(&data, integration, &eastwards(0.0, 0.0, 25_000.0));
        assert_eq!((fraction, dosage), (0.0, None), "{integration:?}");
        assert_close(peak.expect("a peak"), 3.0, 1e-6, "peak");
        let before: Vec<Waypoint> = eastwards(0.0, 0.0, 25_000.0).into_iter().take(10).collect();
        assert_eq!(figures(&data, integration, &before), (0.0, None, None));
    }
}

#[test]
fn one_latitude_or_longitude_or_level_is_a_place() {
    let one_latitude = ash(&Axes { latitudes_deg: vec![0.0], ..axes() });
    assert_hour(&one_latitude, &eastwards(0.0, 0.0, 25_000.0));
    assert_hour(&one_latitude, &eastwards(0.0, 0.0, 20_000.0));
    assert_hour(&one_latitude, &eastwards(0.0, 0.0, 30_000.0));
    assert_eq!(figures(&one_latitude, Integration::Path, &eastwards(0.0, 1.0, 25_000.0)), (0.0, None, None));

    let one_level = ash(&Axes { levels: Levels::Pressure(vec![25_000.0]), ..axes() });
    assert_hour(&one_level, &eastwards(0.0, 2.0, 25_000.0));
    assert_eq!(figures(&one_level, Integration::Path, &eastwards(0.0, 2.0, 25_001.0)), (0.0, None, None));

    let one_longitude = ash(&Axes { longitudes_deg: vec![7.5], ..axes() });
    for (south, level) in [(-10.0, 30_000.0), (3.0, 30_000.0), (7.0, 25_000.0)] {
        let northwards = eastwards(0.0, south, level);
        let northwards = northwards
            .into_iter()
            .map(|w| Waypoint { longitude_deg: 7.5, latitude_deg: south + w.longitude_deg, ..w })
            .collect();
        assert_hour(&one_longitude, &northwards);
    }
    let column = Axes { latitudes_deg: vec![0.0], longitudes_deg: vec![7.5], ..axes() };
    let still: Vec<Waypoint> =
        eastwards(7.5, 0.0, 30_000.0).into_iter().map(|w| Waypoint { longitude_deg: 7.5, ..w }).collect();
    assert_hour(&ash(&column), &still);
    let point = Axes { levels: Levels::Pressure(vec![30_000.0]), ..column };
    assert_hour(&ash(&point), &still);
}

#[test]
fn one_layer_is_a_layer_where_its_top_is_known() {
    let levels = Axes { levels: Levels::FlightLevel(vec![350.0]), ..axes() };
    let file = |at| DatasetFile { levels: LevelRule { at, ..LevelRule::default() }, ..DatasetFile::default() };
    let memory = || Memory::default().with("ash", "mg m-3", &levels, |_| 3.0);
    let top = dataset(vec![memory()], file(LevelPlace::LayerTop));
    assert_hour(&top, &eastwards(0.0, 0.0, 30_000.0));
    assert_hour(&top, &eastwards(0.0, 0.0, 90_000.0));
    assert_eq!(figures(&top, Integration::Path, &eastwards(0.0, 0.0, 20_000.0)), (0.0, None, None));
    let mean = dataset(vec![memory()], file(LevelPlace::LayerMean));
    let asked = request(Integration::Path, &[], &[]);
    let passes = asked.passes(&mean).expect("passes");
    let fault = mean.field(&passes[0].channels, VerticalRule::LinearP, None).map(|_| ()).unwrap_err().to_string();
    assert!(fault.contains("layer means need at least two levels"), "{fault}");
}

#[test]
fn everything_missing_is_nothing_sampled() {
    let data = Memory::default().with("ash", "mg m-3", &axes(), |_| f64::NAN).dataset();
    for integration in BOTH {
        assert_eq!(figures(&data, integration, &eastwards(0.0, 0.0, 25_000.0)), (0.0, None, None));
    }
}

/// A window of the field that misses nothing follows one that does.
#[test]
fn what_is_missing_until_a_time_counts_from_then_on() {
    let data =
        Memory::default().with("ash", "mg m-3", &axes(), |n| if n.time_s < 1.0 { f64::NAN } else { 3.0 }).dataset();
    let flight: Vec<Waypoint> =
        eastwards(0.0, 0.0, 25_000.0).into_iter().map(|w| Waypoint { time_s: w.time_s + 1_800.0, ..w }).collect();
    for integration in BOTH {
        let (fraction, dosage, _) = figures(&data, integration, &flight);
        assert_close(fraction, 0.5, 1e-9, "fraction");
        assert_close(dosage.expect("a dosage"), 3e-3 * 1_800.0, 1e-6, "dosage");
    }
}

/// A neighbour without weight is not looked at: whatever stands beside the
/// node along any axis, on either side, the node's value is the sample's.
#[test]
fn a_node_has_its_value_whatever_its_neighbours_miss() {
    let node = (10_800.0_f64, 25_000.0_f64, 0.0_f64, 5.0_f64);
    let only = |axis: usize, n: Node| {
        let away = [n.time_s - node.0, n.level - node.1, n.latitude_deg - node.2, n.longitude_deg - node.3];
        if away[axis].abs() < 1e-9 { 3.0 } else { f64::NAN }
    };
    // By less than the weight that counts as none, and by more.
    let shifts = [(0.5e-6, 1.0), (2e-6, 0.0)];
    for axis in 0..4 {
        let data = Memory::default().with("ash", "mg m-3", &axes(), |n| only(axis, n)).dataset();
        for (part, expected) in [(0.0, 1.0)].into_iter().chain(shifts).chain(shifts.map(|(p, e)| (-p, e))) {
            let at = |of: usize, step: f64| if of == axis { part * step } else { 0.1 * step };
            let place =
                waypoint(node.0 + at(0, 10_800.0), node.3 + at(3, 5.0), node.2 + at(2, 5.0), node.1 + at(1, 5_000.0));
            let (fraction, _, peak) = figures(&data, Integration::Path, &vec![place]);
            assert_close(fraction, expected, 0.0, &format!("axis {axis}, {part} of a cell away"));
            assert_eq!(peak.is_some(), expected > 0.0);
            if let Some(peak) = peak {
                assert_close(peak, 3.0, 1e-6, "the node's value");
            }
        }
    }
}

/// From the field's second time on, and until its last: at neither does it
/// matter what the times beyond miss.
#[test]
fn a_sample_at_a_field_time_does_not_depend_on_the_next() {
    for (missing_s, start_s) in [(0.0, 10_800.0), (21_600.0, 7_200.0)] {
        let data = Memory::default()
            .with("ash", "mg m-3", &axes(), |n| if (n.time_s - missing_s).abs() < 1.0 { f64::NAN } else { 3.0 })
            .dataset();
        let flight: Vec<Waypoint> = eastwards(0.0, 1.0, 24_000.0)
            .into_iter()
            .map(|w| Waypoint { time_s: w.time_s - 7_200.0 + start_s, ..w })
            .collect();
        assert_hour(&data, &flight);
    }
}

/// One infinite corner, from which no difference is taken on the way.
#[test]
fn what_is_infinite_is_missing() {
    let corner = (10_800.0_f64, 25_000.0_f64, 0.0_f64, 0.0_f64);
    let is_corner = |n: Node| {
        let away = (n.time_s - corner.0).abs() + (n.level - corner.1).abs();
        away + (n.latitude_deg - corner.2).abs() + (n.longitude_deg - corner.3).abs() < 1e-9
    };
    let data =
        Memory::default().with("ash", "mg m-3", &axes(), |n| if is_corner(n) { f64::INFINITY } else { 3.0 }).dataset();
    for integration in BOTH {
        assert_eq!(figures(&data, integration, &eastwards(-4.0, -1.0, 22_000.0)), (0.0, None, None));
        assert_close(figures(&data, integration, &eastwards(-9.0, -1.0, 22_000.0)).0, 1.0, 1e-9, "beside it");
    }
}

/// The field ends at 10° E, where the flight is after 40 of its 60 minutes,
/// or begins an hour and a half after the flight.
#[test]
fn coverage_is_the_part_inside() {
    let data = ash(&axes());
    let flight = eastwards(8.0, 0.0, 25_000.0);
    for integration in BOTH {
        let (fraction, dosage, _) = figures(&data, integration, &flight);
        assert_close(fraction, 2.0 / 3.0, 1e-9, "in space");
        assert_close(dosage.expect("a dosage"), 3e-3 * 2_400.0, 1e-6, "in space");
    }
    let early: Vec<Waypoint> =
        eastwards(0.0, 0.0, 25_000.0).into_iter().map(|w| Waypoint { time_s: w.time_s - 9_010.0, ..w }).collect();
    // A path is cut where the field begins; of waypoints the first one inside counts.
    let (fraction, dosage, _) = figures(&data, Integration::Path, &early);
    assert_close(fraction, 1_790.0 / 3_600.0, 1e-9, "in time");
    assert_close(dosage.expect("a dosage"), 3e-3 * 1_790.0, 1e-6, "in time");
    assert_close(figures(&data, Integration::Waypoints, &early).0, 1_740.0 / 3_600.0, 1e-9, "in time, waypoints");
}

/// Where a flight leaves the grid between two samples, that step is not
/// counted: less than a step is lost, none of the time outside is taken for
/// sampled, and what is counted is right. East to 10° E, and down to 300 hPa.
#[test]
fn the_step_across_the_edge_of_the_grid_is_left_out_whole() {
    let data = ash(&axes());
    // An hour in two waypoints: 15° of longitude are 12 steps of a quarter
    // cell, 200 hPa 16 of a quarter of a level.
    for (end, step_s, inside_s) in [
        (waypoint(3_600.0, 15.0, 0.0, 25_000.0), 300.0, 2_400.0),
        (waypoint(3_600.0, 14.9, 0.0, 25_000.0), 300.0, 3_600.0 / 1.49),
        (waypoint(3_600.0, 12.1, 0.0, 25_000.0), 360.0, 3_600.0 / 1.21),
    ] {
        let flight = vec![waypoint(0.0, 0.0, 0.0, 25_000.0), end];
        let (fraction, dosage, _) = figures(&data, Integration::Path, &flight);
        let lost_s = inside_s - fraction * 3_600.0;
        assert!((-1e-6..step_s).contains(&lost_s), "{lost_s} s of {inside_s} s are lost");
        assert_close(dosage.expect("a dosage"), 3e-3 * fraction * 3_600.0, 1e-6, "dosage");
        // Of waypoints alone the segment is the step.
        assert!(figures(&data, Integration::Waypoints, &flight).0.abs() < f64::MIN_POSITIVE);
    }
    // Pressure altitude is linear in time: 1.4 km of 5.2 km lie within.
    let descent = vec![waypoint(0.0, 0.0, 0.0, 25_000.0), waypoint(3_600.0, 0.0, 0.0, 50_000.0)];
    let altitude_m = |hpa: f64| 44_330.77 * (1.0 - (hpa / 1013.25_f64).powf(0.190_263));
    let inside_s = 3_600.0 * (altitude_m(250.0) - altitude_m(300.0)) / (altitude_m(250.0) - altitude_m(500.0));
    let (fraction, dosage, _) = figures(&data, Integration::Path, &descent);
    let lost_s = inside_s - fraction * 3_600.0;
    assert!((-1.0..3_600.0 / 20.0).contains(&lost_s), "{lost_s} s of {inside_s} s are lost");
    assert_close(dosage.expect("a dosage"), 3e-3 * fraction * 3_600.0, 1e-6, "dosage");
}

/// Poles, seam, first and last time and level: nodes belong to the field.
#[test]
fn the_last_node_of_every_axis_is_inside() {
    let global = Axes { latitudes_deg: steps(90.0, -30.0, 7), longitudes_deg: steps(0.0, 30.0, 12), ..axes() };
    let data = ash(&global);
    for (time, level) in [(0.0, 20_000.0), (21_600.0, 30_000.0), (10_800.0, 25_000.0)] {
        for latitude in [-90.0, -60.0, 0.0, 90.0] {
            for longitude in [-180.0, -0.0, 0.0, 180.0, 330.0, 345.0, 359.999, 360.0] {
                let (fraction, _, peak) =
                    figures(&data, Integration::Path, &vec![waypoint(time, longitude, latitude, level)]);
                assert_close(fraction, 1.0, 0.0, "fraction");
                assert_close(peak.expect("a peak"), 3.0, 1e-6, "peak");
            }
        }
    }
}

#[test]
fn a_globe_of_few_columns_is_whole_for_flights_around_it() {
    for n in 2..=12 {
        let longitudes = steps(3.0, 360.0 / f64::from(n), usize::try_from(n).expect("few"));
        let data = ash(&Axes { longitudes_deg: longitudes, ..axes() });
        for gap in [1.0, 12.0, 30.0, 75.0] {
            for west in [-180.0, -100.0, 10.0, 95.0] {
                let flight: Vec<Waypoint> = (0..301)
                    .map(|i| f64::from(i) / 300.0)
                    .map(|f| waypoint(20_000.0 * f, west + (360.0 - gap) * f, 0.0, 25_000.0))
                    .collect();
                let (fraction, ..) = figures(&data, Integration::Waypoints, &flight);
                assert_close(fraction, 1.0, 1e-12, &format!("{n} columns, all but {gap}° from {west}°"));
            }
        }
    }
}

#[test]
fn a_field_larger_than_the_memory_is_refused() {
    let data = ash(&axes());
    let flights = fleet([&eastwards(0.0, 0.0, 25_000.0)]);
    let passes = request(Integration::Path, &[], &[]).passes(&data).expect("passes");
    let phases = labels(&flights);
    let backend = Cpu::new();
    let run = Run {
        dataset: &data,
        backend: &backend,
        vertical: VerticalRule::LinearP,
        field_bytes: 100,
        kept: None,
        progress: &|_| (),
    };
    let flights = Flights { fleet: &flights, phases: &phases };
    let fault = run.run(&passes, &flights, &mut Spent::default()).map(|_| ()).unwrap_err().to_string();
    assert!(fault.contains("raise --memory"), "{fault}");
}

#[test]
fn ensembles_of_different_sizes_are_refused() {
    let of = |n: usize| Axes { members: (0..n).map(|m| m.to_string()).collect(), ..axes() };
    let data =
        Memory::default().with("ash", "mg m-3", &of(3), |_| 3.0).with("so2", "kg m-3", &of(2), |_| 1e-7).dataset();
    let asked = request(Integration::Path, &[], &[]);
    let passes = asked.passes(&data).expect("passes");
    let fault = data.field(&passes[0].channels, VerticalRule::LinearP, None).map(|_| ()).unwrap_err().to_string();
    assert!(fault.contains("so2") && fault.contains("members"), "{fault}");
}
