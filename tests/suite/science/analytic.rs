//! Fields that interpolation reproduces exactly, with exact integrals.

use skydose::{exposure::program::Integration, field::Levels, grid::VerticalRule, trajectory::Waypoint};

use super::{
    assert_close, exposures, fleet,
    memory::{Axes, Memory, Node, steps, upto},
    request, waypoint, whole,
};

const START_S: f64 = 1.6e9;

/// Pressure \[Pa\] of the standard atmosphere's troposphere at an altitude \[m\].
pub fn tropospheric_pressure(altitude_m: f64) -> f64 {
    101_325.0 * (1.0 - 0.006_5 * altitude_m / 288.15).powf(9.806_65 / (287.052_87 * 0.006_5))
}

/// Coarse: ten degrees, three hours, levels unevenly.
fn axes() -> Axes {
    let levels = Levels::Pressure([200.0, 300.0, 450.0, 700.0, 850.0, 1_020.0].map(|hpa| hpa * 100.0).to_vec());
    Axes::new(steps(START_S, 10_800.0, 5), levels, steps(-90.0, 10.0, 19), steps(-180.0, 10.0, 36))
}

/// A factor in each coordinate, all of the same size.
fn product(node: Node) -> f64 {
    1e-9 * (1.0 + (node.time_s - START_S) / 40_000.0)
        * (0.2 + node.level / 1e5)
        * (2.0 + node.latitude_deg / 90.0)
        * (2.0 + node.longitude_deg / 180.0)
}

/// A flight, what is on its way, its mean and how well that is met.
type Case = (Leg, fn(Node) -> f64, f64, f64);

/// A point of the unit sphere and back.
pub fn vector((longitude, latitude): (f64, f64)) -> [f64; 3] {
    let ((sx, cx), (sy, cy)) = (longitude.to_radians().sin_cos(), latitude.to_radians().sin_cos());
    [cy * cx, cy * sx, sy]
}

pub fn place([x, y, z]: [f64; 3]) -> (f64, f64) {
    (y.atan2(x).to_degrees(), z.atan2(x.hypot(y)).to_degrees())
}

/// A flight at constant speed and rate of climb along a great circle.
struct Leg {
    from: (f64, f64),
    to: (f64, f64),
    altitude_m: (f64, f64),
    duration_s: f64,
}

impl Leg {
    fn at(&self, seconds: f64) -> Waypoint {
        let f = seconds / self.duration_s;
        let (a, b) = (vector(self.from), vector(self.to));
        let angle = a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>().acos();
        let (wa, wb) = (((1.0 - f) * angle).sin() / angle.sin(), (f * angle).sin() / angle.sin());
        let (longitude, latitude) = place(std::array::from_fn(|i| wa * a[i] + wb * b[i]));
        let altitude = self.altitude_m.0 + f * (self.altitude_m.1 - self.altitude_m.0);
        waypoint(START_S + 3_000.0 + seconds, longitude, latitude, tropospheric_pressure(altitude))
    }

    /// Waypoints `spacing` apart, and the last.
    fn waypoints(&self, spacing: f64) -> Vec<Waypoint> {
        upto(self.duration_s, spacing).into_iter().map(|s| self.at(s)).collect()
    }

    /// ∫ by Simpson's rule, far beyond the tolerance.
    fn integral(&self, of: &dyn Fn(Node) -> f64) -> f64 {
        let n = 4_000;
        let h = self.duration_s / f64::from(n);
        (0..=n)
            .map(|i| {
                let weight = if i == 0 || i == n {
                    1.0
                } else if i % 2 == 1 {
                    4.0
                } else {
                    2.0
                };
                weight * of(node(&self.at(f64::from(i) * h)))
            })
            .sum::<f64>()
            * h
            / 3.0
    }
}

fn node(w: &Waypoint) -> Node {
    Node {
        member: 0,
        time_s: w.time_s,
        level: w.pressure.pascal(),
        latitude_deg: w.latitude_deg,
        longitude_deg: w.longitude_deg,
    }
}

fn dosages(of: fn(Node) -> f64, integration: Integration, flights: &[Vec<Waypoint>]) -> Vec<f64> {
    let dataset = Memory::default().with("ash", "kg m-3", &axes(), of).dataset();
    let rows = exposures(&dataset, &request(integration, &["ash"], &[]), VerticalRule::LinearP, &fleet(flights));
    rows.iter()
        .map(|rows| {
            let row = whole(rows, "ash");
            assert!((row.sampled_fraction - 1.0).abs() < 1e-12, "{}", row.sampled_fraction);
            row.dosage_g_s_m3.expect("a dosage") * 1e-3
        })
        .collect()
}

const LEGS: &[Leg] = &[
    Leg { from: (-60.0, 10.0), to: (40.0, 55.0), altitude_m: (9_000.0, 11_000.0), duration_s: 30_000.0 },
    Leg { from: (5.0, 48.0), to: (12.0, 52.0), altitude_m: (100.0, 10_500.0), duration_s: 3_000.0 },
    Leg { from: (100.0, 70.0), to: (-130.0, 62.0), altitude_m: (10_000.0, 10_000.0), duration_s: 20_000.0 },
    Leg { from: (33.0, -72.0), to: (35.0, -20.0), altitude_m: (10_000.0, 300.0), duration_s: 22_000.0 },
];

#[test]
fn a_path_through_products_of_linear_fields_has_the_exact_integral_whatever_its_waypoints() {
    for (number, leg) in LEGS.iter().enumerate() {
        // A product that breaks at the antimeridian is no field; without its
        // factor in longitude it is.
        let of: fn(Node) -> f64 = if number == 2 { |n| product(Node { longitude_deg: 0.0, ..n }) } else { product };
        let spacings = [1.0, 7.0, 60.0, 300.0, 1_500.0];
        let flights: Vec<Vec<Waypoint>> = spacings.iter().map(|&s| leg.waypoints(s)).collect();
        let expected = leg.integral(&of);
        for (spacing, dosage) in spacings.iter().zip(dosages(of, Integration::Path, &flights)) {
            assert_close(dosage, expected, 1e-3, &format!("leg {number}, every {spacing} s"));
        }
    }
}

#[test]
fn waypoints_are_the_trapezoid_of_the_given_points() {
    for (number, leg) in LEGS.iter().enumerate().filter(|(number, _)| *number != 2) {
        let flights: Vec<Vec<Waypoint>> = [60.0, 300.0, 1_500.0].iter().map(|&s| leg.waypoints(s)).collect();
        for (flight, dosage) in flights.iter().zip(dosages(product, Integration::Waypoints, &flights)) {
            let trapezoid: f64 = flight
                .windows(2)
                .map(|w| 0.5 * (w[1].time_s - w[0].time_s) * (product(node(&w[0])) + product(node(&w[1]))))
                .sum();
            assert_close(dosage, trapezoid, 1e-6, &format!("leg {number}"));
        }
    }
}

/// Time, latitude along a meridian and longitude along the equator rise
/// linearly with time; the pressure of a steady climb is a power of it.
#[test]
fn a_field_linear_in_one_coordinate_has_its_closed_form() {
    let flight = |from, to, altitude_m| Leg { from, to, altitude_m, duration_s: 7_200.0 };
    let high = (10_000.0, 10_000.0);
    let mean_of_climb = {
        // ∫ p dh over the troposphere: p₀ T₀ / (L (n + 1)) (1 − L h / T₀)^(n + 1).
        let n = 9.806_65 / (287.052_87 * 0.006_5);
        let antiderivative =
            |h: f64| -101_325.0 * 288.15 / (0.006_5 * (n + 1.0)) * (1.0 - 0.006_5 * h / 288.15).powf(n + 1.0);
        (antiderivative(10_500.0) - antiderivative(500.0)) / 10_000.0
    };
    let cases: [Case; 4] = [
        (flight((0.0, 40.0), (20.0, 50.0), high), |n| 1e-13 * (n.time_s - START_S), 1e-13 * 6_600.0, 1e-6),
        (flight((7.0, -35.0), (7.0, 65.0), high), |n| 1e-9 * (n.latitude_deg + 90.0), 1e-9 * 105.0, 1e-6),
        (flight((-50.0, 0.0), (30.0, 0.0), high), |n| 1e-9 * (n.longitude_deg + 180.0), 1e-9 * 170.0, 1e-6),
        (flight((0.0, 40.0), (20.0, 50.0), (500.0, 10_500.0)), |n| 1e-13 * n.level, 1e-13 * mean_of_climb, 1e-3),
    ];
    for (number, (leg, of, mean, tolerance)) in cases.iter().enumerate() {
        for dosage in dosages(*of, Integration::Path, &[leg.waypoints(1.0), leg.waypoints(60.0), leg.waypoints(300.0)])
        {
            assert_close(dosage, mean * leg.duration_s, *tolerance, &format!("case {number}"));
        }
    }
}

/// The largest error on a path of many samples: single-precision roundings
/// average out.
#[test]
fn a_dosage_of_many_samples_is_nearly_that_of_double_precision() {
    let leg = &LEGS[0];
    let flight = leg.waypoints(20.0);
    // A field whose values are single precision as they are: no rounding but
    // the engine's own.
    let flat: fn(Node) -> f64 = |n| {
        let hours = (n.time_s - START_S) / 10_800.0;
        (4.0 + hours + n.latitude_deg / 10.0 / 4.0 + n.longitude_deg / 10.0 / 8.0 + 8.0) * 2_f64.powi(-30)
    };
    let trapezoid: f64 =
        flight.windows(2).map(|w| 0.5 * (w[1].time_s - w[0].time_s) * (flat(node(&w[0])) + flat(node(&w[1])))).sum();
    let dosage = dosages(flat, Integration::Waypoints, std::slice::from_ref(&flight))[0];
    assert_close(dosage, trapezoid, 5e-8, "dosage");
}
