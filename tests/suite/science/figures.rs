//! Single figures, worked by hand or by `NumPy`.

use skydose::{
    exposure::{Exposure, flow::EngineFlow, program::Integration},
    field::{
        Levels,
        dataset::{DatasetFile, ValueRule, VariableRule},
    },
    grid::VerticalRule,
    trajectory::{Waypoint, phase::Phase},
};

use super::{
    answers, assert_close, exposures, fleet,
    memory::{Axes, Memory, dataset, naming, steps, upto},
    oracle::{density, isa_temperature},
    request, waypoint, whole,
};

const DAY_S: f64 = 86_400.0;

fn axes() -> Axes {
    let levels = Levels::Pressure(vec![20_000.0, 25_000.0, 30_000.0]);
    Axes::new(steps(0.0, DAY_S / 8.0, 9), levels, steps(-10.0, 5.0, 5), steps(-10.0, 5.0, 5))
}

/// In one place for all the day, but for the pressure.
fn hover(pressure_pa: f64, spacing: f64) -> Vec<Waypoint> {
    upto(DAY_S, spacing).into_iter().map(|s| waypoint(s, 1.0, 1.0, pressure_pa)).collect()
}

fn engine_flow(text: &str) -> EngineFlow {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flow.toml");
    std::fs::write(&path, text).expect("a file");
    EngineFlow::read(&path).expect("an engine flow")
}

const FLOW: &str = "engines = 2\n[core_mass_flow]\nground = 1\nclimb = 30\ncruise = 20\ndescent = 10\n";

#[test]
fn a_dose_is_the_air_through_the_engines_times_the_mixing_ratio() {
    let data = Memory::default()
        .with("dust", "kg kg-1", &axes(), |n| 1e-8 * (1.0 + n.time_s / DAY_S))
        .with("ash", "kg m-3", &axes(), |_| 1e-6)
        .dataset();
    for integration in [Integration::Path, Integration::Waypoints] {
        let mut asked = request(integration, &[], &[]);
        asked.engine_flow = Some(engine_flow(FLOW));
        let flight = hover(25_000.0, 3_600.0);
        let (climb, cruise) = (vec![Phase::Climb; 6], vec![Phase::Cruise; 19]);
        let labels = vec![[climb, cruise].concat()];
        let rows = answers(&data, &asked, VerticalRule::LinearP, &fleet([&flight]), &labels).remove(0);
        let dose = |contaminant: &str, phase| {
            rows.iter()
                .find(|r| &*r.contaminant == contaminant && r.phase == phase)
                .and_then(|r| r.dose_g)
                .expect("a dose")
        };
        // Two engines; ∫ (1 + t / day) dt over the first quarter and the rest.
        let (first, rest) = (0.25 + 0.031_25, 0.75 + 0.468_75);
        assert_close(dose("dust", Phase::Climb), 60.0 * 1e-8 * first * DAY_S * 1e3, 1e-6, "climb");
        assert_close(dose("dust", Phase::Cruise), 40.0 * 1e-8 * rest * DAY_S * 1e3, 1e-6, "cruise");
        let sum = dose("dust", Phase::Climb) + dose("dust", Phase::Cruise);
        assert_close(dose("dust", Phase::Flight), sum, 1e-12, "flight");
        // A concentration is divided by the density, here of the ISA.
        let chi = 1e-6 / density(25_000.0, isa_temperature(25_000.0), 0.0);
        assert_close(dose("ash", Phase::Cruise), 40.0 * chi * 0.75 * DAY_S * 1e3, 1e-6, "ash");
    }
}

#[test]
fn a_flow_that_depends_on_altitude_is_taken_at_each_sample() {
    let data = Memory::default().with("dust", "kg kg-1", &axes(), |_| 1e-8).dataset();
    let mut asked = request(Integration::Waypoints, &["dust"], &[]);
    // ISA: 0 ft 101325 Pa, 36089.24 ft (11 km) 22632 Pa.
    let curve = "{ altitude_ft = [0, 36089.2388451], kg_s = [60, 20] }";
    asked.engine_flow = Some(engine_flow(&FLOW.replace("30", curve).replace("engines = 2", "engines = 1")));
    let flight = vec![waypoint(0.0, 0.0, 0.0, 30_000.0), waypoint(600.0, 1.0, 0.0, 24_000.0)];
    let rows = answers(&data, &asked, VerticalRule::LinearP, &fleet([&flight]), &[vec![Phase::Climb; 2]]);
    let flow = |pa: f64| 20.0 + 40.0 * (pa - 22_632.04) / (101_325.0 - 22_632.04);
    let expected = 0.5 * 600.0 * (flow(30_000.0) + flow(24_000.0)) * 1e-8 * 1e3;
    assert_close(whole(&rows[0], "dust").dose_g.expect("a dose"), expected, 1e-6, "dose");
}

#[test]
fn a_dose_that_lacks_its_density_for_a_while_is_none() {
    let data = Memory::default()
        .with("ash", "kg m-3", &axes(), |_| 1e-6)
        .with("t", "K", &axes(), |n| if n.time_s > 60_000.0 { f64::NAN } else { 220.0 })
        .dataset();
    let mut asked = request(Integration::Waypoints, &["ash"], &[("ash", "0.5 mg m-3"), ("ash", "1e-6 kg kg-1")]);
    asked.engine_flow = Some(engine_flow(FLOW));
    let row =
        whole(&exposures(&data, &asked, VerticalRule::LinearP, &fleet([&hover(25_000.0, 600.0)]))[0], "ash").clone();
    assert_close(row.dosage_g_s_m3.expect("a dosage"), 1e-3 * DAY_S, 1e-6, "the dosage needs no density");
    assert!((row.sampled_fraction - 1.0).abs() < 1e-12);
    assert_eq!(row.dose_g, None);
    assert_close(row.time_above_s[0].1.expect("a time"), DAY_S, 1e-12, "of the concentration");
    assert_eq!(row.time_above_s[1].1, None, "of the mixing ratio");
}

#[test]
fn thresholds_in_ppmv_are_on_the_mixing_ratio() {
    // 0 to 0.5 ppmv over the day: above 0.25 for half of it, 0.1 for 0.8.
    let top = 0.5e-6 * 47.997 / 28.964_4;
    let data = Memory::default().with("go3", "kg kg**-1", &axes(), |n| top * n.time_s / DAY_S).dataset();
    for (integration, spacing) in [(Integration::Path, 21_600.0), (Integration::Waypoints, 60.0)] {
        let asked = request(integration, &["ozone"], &[]);
        let rows = exposures(&data, &asked, VerticalRule::LinearP, &fleet([&hover(21_000.0, spacing)]));
        let row = whole(&rows[0], "ozone");
        let labels: Vec<&str> = row.time_above_s.iter().map(|(label, _)| &**label).collect();
        assert_eq!(labels, ["0.25 ppmv", "0.1 ppmv"]);
        assert_close(row.time_above_s[0].1.expect("a time"), 0.5 * DAY_S, 1e-5, "0.25 ppmv");
        assert_close(row.time_above_s[1].1.expect("a time"), 0.8 * DAY_S, 1e-5, "0.1 ppmv");
        let rho = density(21_000.0, isa_temperature(21_000.0), 0.0);
        assert_close(row.peak.expect("a peak").mg_m3, top * rho * 1e6, 1e-6, "peak");
        assert_close(row.dosage_g_s_m3.expect("a dosage"), 0.5 * top * rho * DAY_S * 1e3, 1e-6, "dosage");
    }
}

#[test]
fn ozone_over_three_hours_is_the_best_window() {
    // Up for six hours, down for six: the best three hours have 1 − 3 / 24.
    let axes = Axes { times_s: vec![0.0, 21_600.0, 43_200.0, DAY_S], ..axes() };
    let top = 1e-7;
    let data = Memory::default()
        .with("go3", "kg m-3", &axes, |n| top * (1.0 - (n.time_s - 21_600.0).abs() / 21_600.0).max(0.0))
        .dataset();
    // Of two waypoints a day apart the path makes what time asks for.
    for (integration, spacing) in
        [(Integration::Path, DAY_S), (Integration::Path, 7_200.0), (Integration::Waypoints, 300.0)]
    {
        let asked = request(integration, &["ozone"], &[]);
        let rows = exposures(&data, &asked, VerticalRule::LinearP, &fleet([&hover(21_000.0, spacing)]));
        let row = whole(&rows[0], "ozone");
        assert_eq!(row.rolling_window_s, Some(10_800.0));
        assert_close(row.rolling_peak_mg_m3.expect("a mean"), 0.875 * top * 1e6, 1e-6, "rolling peak");
    }
}

#[test]
fn limits_on_a_dosage_are_reached_or_not() {
    let data = Memory::default().with("ash", "mg/m3", &axes(), |_| 0.2).dataset();
    for (hours, expected) in [(0.9, [0.0, 0.0, 0.0]), (1.1, [1.0, 0.0, 0.0]), (10.1, [1.0, 1.0, 0.0]), (20.1, [1.0; 3])]
    {
        let flight = vec![waypoint(0.0, 0.0, 0.0, 25_000.0), waypoint(hours * 3_600.0, 5.0, 5.0, 25_000.0)];
        let rows = exposures(&data, &request(Integration::Path, &[], &[]), VerticalRule::LinearP, &fleet([&flight]));
        let row = whole(&rows[0], "ash");
        let limits: Vec<f64> =
            row.exceedance.iter().filter(|(l, _)| l.ends_with("g s m-3")).map(|(_, p)| p.expect("a figure")).collect();
        assert_eq!(limits, expected, "{hours} h at 0.2 mg m-3");
    }
}

/// `numpy.quantile([1, 3, 4, 10, 20], [.05, .25, .5, .75, .95])` and `mean`.
#[test]
fn statistics_over_an_ensemble_are_those_of_numpy() {
    let concentrations = [4.0, 20.0, 1.0, 10.0, 3.0];
    let members: Vec<String> = (0..5).map(|m| m.to_string()).collect();
    let axes = Axes { members, ..axes() };
    let data = Memory::default()
        .with("ash", "mg m-3", &axes, |n| concentrations[n.member])
        .with("t", "K", &Axes { members: Vec::new(), ..axes.clone() }, |_| 220.0)
        .dataset();
    let limits = [("ash", "2 mg m-3"), ("ash", "9 mg m-3"), ("ash", "250 g s m-3")];
    let rows = exposures(
        &data,
        &request(Integration::Path, &[], &limits),
        VerticalRule::LinearP,
        &fleet([&hover(25_000.0, 3_600.0)]),
    )
    .remove(0);
    let of = |member: &str| -> &Exposure {
        rows.iter().find(|r| r.phase == Phase::Flight && r.member.as_deref() == Some(member)).expect("a row")
    };
    for (member, concentration) in concentrations.iter().enumerate() {
        let row = of(&member.to_string());
        assert_close(row.dosage_g_s_m3.expect("a dosage"), concentration * 1e-3 * DAY_S, 1e-6, "a member");
    }
    for (name, expected) in [("mean", 7.6), ("p05", 1.4), ("p25", 3.0), ("p50", 4.0), ("p75", 10.0), ("p95", 18.0)] {
        let row = of(name);
        assert_close(row.dosage_g_s_m3.expect("a dosage"), expected * 1e-3 * DAY_S, 1e-6, name);
        assert_close(row.mean_mg_m3.expect("a mean"), expected, 1e-6, name);
        assert_close(row.peak.expect("a peak").mg_m3, expected, 1e-6, name);
        let chance: Vec<Option<f64>> = row.exceedance.iter().map(|(_, p)| *p).collect();
        // 864 g s m-3 of 10 mg m-3 for a day, 345.6 of 4.
        assert_eq!(chance, [Some(0.8), Some(0.4), Some(0.8)], "{name}");
    }
}

#[test]
fn dust_is_the_sum_of_its_bins() {
    let data = Memory::default()
        .with("aermr04", "kg kg**-1", &axes(), |_| 1e-9)
        .with("aermr05", "kg kg**-1", &axes(), |n| 2e-9 * (1.0 + n.time_s / DAY_S))
        .with("aermr06", "kg kg**-1", &axes(), |_| 4e-9)
        .with("t", "K", &axes(), |_| 220.0)
        .with("q", "kg kg**-1", &axes(), |_| 0.01)
        .dataset();
    let rho = density(25_000.0, 220.0, 0.01);
    let flight = hover(25_000.0, 3_600.0);
    let rows = exposures(&data, &request(Integration::Waypoints, &[], &[]), VerticalRule::LinearP, &fleet([&flight]))
        .remove(0);
    assert!(rows.iter().all(|r| &*r.contaminant == "dust"), "bins count once");
    assert_close(whole(&rows, "dust").dosage_g_s_m3.expect("a dosage"), 8e-9 * rho * DAY_S * 1e3, 1e-6, "dust");
    let asked = request(Integration::Waypoints, &["dust_2"], &[]);
    let rows = exposures(&data, &asked, VerticalRule::LinearP, &fleet([&flight])).remove(0);
    assert_close(whole(&rows, "dust_2").dosage_g_s_m3.expect("a dosage"), 3e-9 * rho * DAY_S * 1e3, 1e-6, "a bin");
}

#[test]
fn logarithms_of_values_are_linear_where_the_data_set_file_says_so() {
    // Ten times as much each level: midway in pressure, √10 or 5.5 times.
    let file =
        Memory::default().with("tracer", "kg m-3", &axes(), |n| 1e-9 * 10_f64.powf((n.level - 20_000.0) / 5_000.0));
    for (interpolation, expected) in [(ValueRule::Linear, 5.5), (ValueRule::Log, 10_f64.sqrt())] {
        let mut names = naming(&["tracer"]);
        names.variables.insert(
            "tracer".to_owned(),
            VariableRule {
                contaminant: Some("tracer".to_owned()),
                interpolation: Some(interpolation),
                ..VariableRule::default()
            },
        );
        let data = dataset(vec![file.clone()], DatasetFile { ..names });
        let asked = request(Integration::Waypoints, &["tracer"], &[]);
        let rows = exposures(&data, &asked, VerticalRule::LinearP, &fleet([&hover(22_500.0, 3_600.0)]));
        // A logarithm of −20 in single precision is known to 1e-6.
        assert_close(whole(&rows[0], "tracer").mean_mg_m3.expect("a mean"), expected * 1e-3, 3e-6, "mean");
    }
}
