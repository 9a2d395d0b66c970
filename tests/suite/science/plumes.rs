//! Gaussian plumes that flights cross along great circles.

use skydose::{
    exposure::{Exposure, program::Integration},
    field::{Levels, dataset::Dataset},
    grid::VerticalRule,
    trajectory::Waypoint,
};

use super::{
    analytic::{place, tropospheric_pressure, vector},
    assert_close, exposures, fleet,
    memory::{Axes, Memory, steps, upto},
    request, waypoint, whole,
};

/// At the plume's middle \[kg m⁻³\].
const PEAK: f64 = 4e-6;
/// Wide beside the grid of 0.75°, which then adds less than 0.05 %: (h/σ)²/8.
const SIGMA_DEG: f64 = 12.0;
/// 250 m s⁻¹.
const DEG_PER_S: f64 = 0.25 / 111.195;
/// Flights go from 2.5 σ before the middle to 2.5 σ behind it.
const REACH: f64 = 2.5;
/// Of the normal distribution, within ± 2.5 σ.
const WITHIN_REACH: f64 = 0.987_580_669_348_448;

/// Middle of a plume and the bearing at which it is crossed \[degrees\].
#[derive(Clone, Copy)]
struct Crossing {
    middle: (f64, f64),
    bearing: f64,
}

const CROSSINGS: [(&str, Crossing); 5] = [
    ("along the equator", Crossing { middle: (20.0, 0.0), bearing: 90.0 }),
    ("oblique", Crossing { middle: (100.3, 47.2), bearing: 60.0 }),
    ("over the antimeridian", Crossing { middle: (179.8, -31.0), bearing: 80.0 }),
    ("high latitude", Crossing { middle: (-30.0, 74.0), bearing: 85.0 }),
    ("beside the pole", Crossing { middle: (12.0, 88.9), bearing: 70.0 }),
];

fn distance_deg(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (a, b) = (vector(a), vector(b));
    let chord = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
    2.0 * (0.5 * chord).asin().to_degrees()
}

impl Crossing {
    /// The flight every `spacing` seconds, at an altitude that changes
    /// linearly \[m\].
    fn flight(self, spacing: f64, altitude_m: (f64, f64)) -> Vec<Waypoint> {
        let duration = 2.0 * REACH * SIGMA_DEG / DEG_PER_S;
        upto(duration, spacing)
            .into_iter()
            .map(|s| {
                let (longitude, latitude) = self.at(s * DEG_PER_S - REACH * SIGMA_DEG);
                let altitude = altitude_m.0 + s / duration * (altitude_m.1 - altitude_m.0);
                waypoint(10_000.0 + s, longitude, latitude, tropospheric_pressure(altitude))
            })
            .collect()
    }

    /// The point `ahead` degrees behind the middle of the track.
    fn at(self, ahead: f64) -> (f64, f64) {
        let up = vector(self.middle);
        let ((sx, cx), (sy, cy)) = (self.middle.0.to_radians().sin_cos(), self.middle.1.to_radians().sin_cos());
        let (east, north) = ([-sx, cx, 0.0], [-sy * cx, -sy * sx, cy]);
        let (sb, cb) = self.bearing.to_radians().sin_cos();
        let (sa, ca) = ahead.to_radians().sin_cos();
        place(std::array::from_fn(|i| ca * up[i] + sa * (sb * east[i] + cb * north[i])))
    }

    /// A plume over the middle, with a factor for the pressure \[Pa\].
    fn field(self, factor: fn(f64) -> f64) -> Dataset {
        self.field_of(SIGMA_DEG, factor)
    }

    fn field_of(self, sigma_deg: f64, factor: fn(f64) -> f64) -> Dataset {
        let levels = Levels::Pressure(vec![20_000.0, 40_000.0, 70_000.0, 102_000.0]);
        let axes = Axes::new(vec![0.0, 50_000.0], levels, steps(90.0, -0.75, 241), steps(0.0, 0.75, 480));
        let mut plane = Vec::new();
        let mut next = 0;
        let of = |latitude, longitude| {
            let d = distance_deg((longitude, latitude), self.middle) / sigma_deg;
            PEAK * (-0.5 * d * d).exp()
        };
        let points = 241 * 480;
        Memory::default()
            .with("ash", "kg m-3", &axes, |node| {
                if plane.len() < points {
                    plane.push(of(node.latitude_deg, node.longitude_deg));
                }
                next += 1;
                plane[(next - 1) % points] * factor(node.level)
            })
            .dataset()
    }
}

fn rows(dataset: &Dataset, integration: Integration, flights: &[Vec<Waypoint>]) -> Vec<Exposure> {
    let asked = request(integration, &["ash"], &[("ash", "2 mg m-3"), ("ash", "20 g s m-3")]);
    let rows = exposures(dataset, &asked, VerticalRule::LinearP, &fleet(flights));
    rows.iter().map(|rows| whole(rows, "ash").clone()).collect()
}

#[test]
fn plumes_have_their_closed_forms_whatever_the_waypoints() {
    for (name, crossing) in CROSSINGS {
        let dataset = crossing.field(|_| 1.0);
        let level = (10_000.0, 10_000.0);
        let spacings = [1.0, 13.0, 60.0, 300.0];
        let flights: Vec<Vec<Waypoint>> = spacings.iter().map(|&s| crossing.flight(s, level)).collect();
        for (spacing, row) in spacings.iter().zip(rows(&dataset, Integration::Path, &flights)) {
            let context = format!("{name}, every {spacing} s");
            assert!((row.sampled_fraction - 1.0).abs() < 1e-12, "{context}: {}", row.sampled_fraction);
            let seconds_a_sigma = SIGMA_DEG / DEG_PER_S;
            let dosage = PEAK * 1e3 * seconds_a_sigma * std::f64::consts::TAU.sqrt() * WITHIN_REACH;
            assert_close(row.dosage_g_s_m3.expect("a dosage"), dosage, 1e-3, &context);
            let peak = row.peak.expect("a peak");
            assert_close(peak.mg_m3, PEAK * 1e6, 1e-3, &context);
            assert!(
                distance_deg((peak.longitude_deg, peak.latitude_deg), crossing.middle) < 0.5,
                "{context}: {peak:?}"
            );
            // Above half of the peak: |s| < σ √(2 ln 2).
            let above = 2.0 * seconds_a_sigma * (2.0 * 2_f64.ln()).sqrt();
            assert_close(row.time_above_s[0].1.expect("a time"), above, 1e-3, &context);
            assert_eq!(row.exceedance[1].1, Some(1.0), "{context}: more than 20 g s m-3");
        }
    }
}

/// A plume two cells wide is not what the grid makes of it, but the path
/// through what the grid makes of it converges all the same.
#[test]
fn a_narrow_plume_has_the_same_dosage_whatever_the_waypoints() {
    for (name, crossing) in CROSSINGS {
        let dataset = crossing.field_of(1.5, |_| 1.0);
        let level = (10_000.0, 10_000.0);
        let fine = rows(&dataset, Integration::Waypoints, &[crossing.flight(1.0, level)]);
        let (dosage, peak) = (fine[0].dosage_g_s_m3.expect("a dosage"), fine[0].peak.expect("a peak").mg_m3);
        let flights: Vec<Vec<Waypoint>> = [10.0, 60.0, 300.0].iter().map(|&s| crossing.flight(s, level)).collect();
        for row in rows(&dataset, Integration::Path, &flights) {
            assert_close(row.dosage_g_s_m3.expect("a dosage"), dosage, 1e-3, name);
            // Between two samples a quarter of a cell apart.
            assert_close(row.peak.expect("a peak").mg_m3, peak, 1e-2, name);
        }
    }
}

#[test]
fn a_climb_through_a_plume_has_the_exact_dosage() {
    let factor: fn(f64) -> f64 = |pa| pa / 50_000.0;
    let (name, crossing) = CROSSINGS[1];
    let dataset = crossing.field(factor);
    let altitude_m = (500.0, 10_500.0);
    let fine = crossing.flight(0.5, altitude_m);
    let middle = crossing.middle;
    let at = |w: &Waypoint| {
        let d = distance_deg((w.longitude_deg, w.latitude_deg), middle) / SIGMA_DEG;
        PEAK * (-0.5 * d * d).exp() * factor(w.pressure.pascal())
    };
    let expected: f64 = fine.windows(2).map(|w| 0.5 * (w[1].time_s - w[0].time_s) * (at(&w[0]) + at(&w[1]))).sum();
    let flights: Vec<Vec<Waypoint>> = [1.0, 60.0, 300.0].iter().map(|&s| crossing.flight(s, altitude_m)).collect();
    for row in rows(&dataset, Integration::Path, &flights) {
        assert_close(row.dosage_g_s_m3.expect("a dosage"), expected * 1e3, 1e-3, name);
    }
}

#[test]
fn waypoints_far_apart_miss_what_the_path_finds() {
    let (_, crossing) = CROSSINGS[0];
    let dataset = crossing.field(|_| 1.0);
    let ends = crossing.flight(1e9, (10_000.0, 10_000.0));
    assert_eq!(ends.len(), 2);
    let flights = [ends];
    let given = rows(&dataset, Integration::Waypoints, &flights)[0].peak.expect("a peak").mg_m3;
    let found = rows(&dataset, Integration::Path, &flights)[0].peak.expect("a peak").mg_m3;
    // exp(−2.5²/2) of the peak is all that the two ends see; there the grid
    // adds (2.5² − 1) (h/σ)²/8.
    assert_close(given, PEAK * 1e6 * (-0.5 * REACH * REACH).exp(), 3e-3, "the ends");
    assert_close(found, PEAK * 1e6, 1e-3, "the path");
}
