#![expect(clippy::float_cmp, reason = "these values are exact")]

use super::{quantities::Horizontal, *};
use crate::contaminant::Entry;

const START_S: f64 = 1_700_000_000.0;

fn point(hours: f64, hpa: f64, latitude_deg: f64, longitude_deg: f64) -> Point {
    Point { time_s: START_S + 3600.0 * hours, pressure: Pressure::from_hectopascal(hpa), latitude_deg, longitude_deg }
}

fn number_of(field: &Synthetic, name: &str) -> usize {
    field.variables().iter().position(|v| v.name == name).unwrap()
}

#[test]
fn is_a_day_of_cams() {
    let field = Synthetic::new(START_S);
    for variable in field.variables() {
        let window = variable.whole(0);
        assert_eq!(window.len(), 9 * 25 * 241 * 480, "{}", variable.name);
        assert_eq!(variable.latitudes_deg[240], -90.0);
        assert_eq!(variable.longitudes_deg[479], 359.25);
        assert_eq!(variable.times_s[8] - variable.times_s[0], 86_400.0);
        assert!(Entry::find(&variable.name).is_some(), "{} is not in the catalogue", variable.name);
        let unit = crate::units::Unit::parse(variable.units.as_deref().unwrap()).unwrap();
        assert_eq!(unit.dimension, Entry::find(&variable.name).unwrap().usual_dimension(), "{}", variable.name);
    }
}

#[test]
fn knots_lie_on_the_grid() {
    for term in QUANTITIES.iter().flat_map(|q| q.terms) {
        assert!(term.time.iter().all(|k| k.0 % 3.0 == 0.0));
        assert!(term.vertical.iter().all(|k| LEVELS_HPA.contains(&k.0)), "{:?}", term.vertical);
        if let Horizontal::Tent { from, east, north } = term.horizontal {
            assert!(east.iter().chain(north).all(|k| k.0 % STEP_DEG == 0.0) && from % STEP_DEG == 0.0);
        }
    }
}

#[test]
fn plumes_have_the_values_that_their_shapes_say() {
    let field = Synthetic::new(START_S);
    let ash = |p: &Point| field.value("ash", p).unwrap();
    assert_eq!(ash(&point(12.0, 275.0, 57.0, -12.0)), 4e-6);
    // Half the way up each of the four ramps: hours, hPa, north, east.
    assert!((ash(&point(3.0, 400.0, 49.5, 4.5)) - 4e-6 / 16.0).abs() < 1e-18);
    assert!((ash(&point(3.0, 400.0, 49.5, 364.5)) - 4e-6 / 16.0).abs() < 1e-18);
    assert_eq!(ash(&point(12.0, 275.0, 57.0, 30.0)), 0.0);
    assert_eq!(ash(&point(12.0, 275.0, -57.0, -12.0)), 0.0);
    let dust = field.value("aermr06", &point(12.0, 600.0, 20.0 + 16.0, 5.0 - 24.0)).unwrap();
    assert!((dust - 0.8 * 6e-7 * ((-1.0f64).exp() + 0.02)).abs() < 1e-18, "{dust}");
    for outside in [point(-0.1, 300.0, 0.0, 0.0), point(24.1, 300.0, 0.0, 0.0), point(1.0, 1000.1, 0.0, 0.0)] {
        assert_eq!(field.value("ash", &outside), None);
        assert_eq!(field.concentration("dust", &outside), None);
    }
    assert_eq!(field.value("co", &point(1.0, 300.0, 0.0, 0.0)), None);
}

#[test]
fn concentration_is_mixing_ratio_times_density() {
    let field = Synthetic::new(START_S);
    // At 45° N: T = 249 + 27/2 K, q = 0.55 × 3.65e-3 (half way from 500 to 700 hPa).
    let rho = 60_000.0 / (287.06 * 262.5 * (1.0 + 0.609 * 0.55 * 3.65e-3));
    let chi = 6e-7 * ((-0.5f64 * (25.0f64 / 16.0).powi(2)).exp() + 0.02);
    let dust = field.concentration("dust", &point(12.0, 600.0, 45.0, 5.0)).unwrap();
    assert!((dust / (chi * rho) - 1.0).abs() < 1e-12, "{dust} is not {}", chi * rho);
    let bins: f64 = ["dust_1", "dust_2", "dust_3"]
        .iter()
        .map(|bin| field.concentration(bin, &point(12.0, 600.0, 45.0, 5.0)).unwrap())
        .sum();
    assert!((bins / dust - 1.0).abs() < 1e-12);
    assert_eq!(field.concentration("temperature", &point(12.0, 600.0, 45.0, 5.0)), None);
}

#[test]
fn the_air_is_like_air() {
    let field = Synthetic::new(START_S);
    for latitude in [-90.0, -45.0, 0.0, 30.0, 90.0] {
        for hpa in LEVELS_HPA {
            let value = |name| field.value(name, &point(12.0, hpa, latitude, 200.0)).unwrap();
            assert!((180.0..=310.0).contains(&value("t")), "{} K at {hpa} hPa", value("t"));
            assert!((0.0..=0.02).contains(&value("q")));
            assert!((1e-8..=2e-5).contains(&value("go3")));
        }
    }
}

#[test]
fn grids_hold_the_exact_values() {
    let field = Synthetic::new(START_S);
    for (number, variable) in field.variables().iter().enumerate() {
        let Levels::Pressure(levels) = &variable.levels else { panic!("pressure levels") };
        let window = Window { member: 0, times: 3..6, levels: 11..18, latitudes: 20..90, longitudes: 430..480 };
        let mut out = vec![f32::NAN; window.len()];
        field.read(number, &window, &mut out).unwrap();
        let mut i = 0;
        for time in window.times {
            for level in window.levels.clone() {
                for latitude in window.latitudes.clone() {
                    for longitude in window.longitudes.clone() {
                        let exact = Point {
                            time_s: variable.times_s[time],
                            pressure: Pressure::from_pascal(levels[level]),
                            latitude_deg: variable.latitudes_deg[latitude],
                            longitude_deg: variable.longitudes_deg[longitude],
                        };
                        let exact = field.value(&variable.name, &exact).unwrap();
                        assert!((f64::from(out[i]) - exact).abs() <= 1e-7 * exact.abs(), "{}", variable.name);
                        i += 1;
                    }
                }
            }
        }
        assert_eq!(i, out.len());
    }
}

/// Four-dimensional linear interpolation, written for clearness.
fn interpolated(field: &Synthetic, name: &str, p: &Point) -> f64 {
    let number = number_of(field, name);
    let hours = (p.time_s - START_S) / 10_800.0;
    let hpa = p.pressure.hectopascal();
    let level = LEVELS_HPA.iter().rposition(|&l| l <= hpa).unwrap().min(23);
    let level_part = (hpa - LEVELS_HPA[level]) / (LEVELS_HPA[level + 1] - LEVELS_HPA[level]);
    let north = (90.0 - p.latitude_deg) / STEP_DEG;
    let east = p.longitude_deg.rem_euclid(360.0) / STEP_DEG;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    let cell = |x: f64| (x as usize, x.fract());
    let ((time, time_part), (lat, lat_part), (lon, lon_part)) = (cell(hours), cell(north), cell(east));
    let mut sum = 0.0;
    for corner in 0..16 {
        let bit = |n: usize| (corner >> n) & 1;
        let weight = |n: usize, part: f64| if bit(n) == 1 { part } else { 1.0 - part };
        let weight = weight(0, time_part) * weight(1, level_part) * weight(2, lat_part) * weight(3, lon_part);
        if weight == 0.0 {
            continue;
        }
        let (t, l, y, x) = (time + bit(0), level + bit(1), lat + bit(2), (lon + bit(3)) % LONGITUDES);
        let node = Window { member: 0, times: t..t + 1, levels: l..l + 1, latitudes: y..y + 1, longitudes: x..x + 1 };
        let mut value = [0.0];
        field.read(number, &node, &mut value).unwrap();
        sum += weight * f64::from(value[0]);
    }
    sum
}

/// A flight from the Gulf of Guinea over the Sahara to the Norwegian Sea,
/// climbing, for ten hours: through both plumes and over the meridian of
/// Greenwich.
fn along(part: f64) -> Point {
    point(4.0 + 10.0 * part, 900.0 - 680.0 * part.sqrt(), -5.0 + 70.0 * part, 12.0 - 25.0 * part * part)
}

#[test]
fn interpolation_gives_the_plumes_back() {
    let field = Synthetic::new(START_S);
    let steps = 2_000;
    for (name, pointwise, dosage) in
        [("ash", 3e-7, 1e-7), ("aermr06", 1e-3, 5e-4), ("so2", 1e-4, 1e-5), ("t", 1e-5, 1e-5), ("q", 1e-4, 1e-4)]
    {
        let (mut sum, mut exact_sum) = (0.0, 0.0);
        for step in 0..=steps {
            let p = along(f64::from(step) / f64::from(steps));
            let (value, exact) = (interpolated(&field, name, &p), field.value(name, &p).unwrap());
            assert!((value - exact).abs() <= pointwise * exact, "{name}: {value} is not {exact} at {p:?}");
            sum += value;
            exact_sum += exact;
        }
        assert!(exact_sum > 0.0);
        assert!((sum / exact_sum - 1.0).abs() < dosage, "{name}: dosage is off by {}", sum / exact_sum - 1.0);
    }
}

#[test]
fn the_dosage_of_a_crossing_has_a_closed_form() {
    // Along 57° N at 275 hPa from 06 to 18 h, 5° east an hour: the tent over
    // longitude has the area 12/2 + 12 + 21/2 = 28.5°, hence 28.5/5 h × 4 mg m⁻³.
    let field = Synthetic::new(START_S);
    let steps = 120_000;
    let step_s = 12.0 * 3600.0 / f64::from(steps);
    let dosage: f64 = (0..steps)
        .map(|i| {
            let hours = (f64::from(i) + 0.5) * step_s / 3600.0;
            field.concentration("ash", &point(6.0 + hours, 275.0, 57.0, -35.0 + 5.0 * hours)).unwrap() * step_s
        })
        .sum();
    assert!((dosage / (28.5 / 5.0 * 3600.0 * 4e-6) - 1.0).abs() < 1e-6, "{dosage}");
}
