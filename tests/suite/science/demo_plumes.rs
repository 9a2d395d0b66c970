//! The demo's own two plumes, ash and dust, crossed along several tracks:
//! the path's figures are those of the closed form of the field, whatever the
//! spacing of the waypoints.

use skydose::{
    exposure::program::Integration,
    field::{
        dataset::{Dataset, DatasetFile},
        synthetic::{Point, Synthetic},
    },
    grid::VerticalRule,
    trajectory::Waypoint,
    units::Pressure,
};

use super::{
    analytic::{place, tropospheric_pressure, vector},
    assert_close, exposures, fleet,
    memory::upto,
    request, waypoint, whole,
};

const START_S: f64 = 1_717_200_000.0;

/// Seconds between waypoints.
const SPACINGS_S: [f64; 5] = [1.0, 13.0, 60.0, 180.0, 300.0];

/// Steps of the quadrature of the closed form \[s\]: its own error is far
/// below what is judged, for the kinks of the plumes are hours apart.
const QUADRATURE_S: f64 = 1.0;

/// Relative error of the peak, which is the largest sample: of a ridge that is
/// crossed between two samples the very top is missed.
const PEAK_WITHIN: f64 = 1e-2;

/// A great circle at constant speed, pressure altitude linear in time.
struct Track {
    name: &'static str,
    /// Longitude and latitude \[degrees\].
    from: (f64, f64),
    to: (f64, f64),
    altitude_m: (f64, f64),
    /// After the field's first time \[s\].
    depart_s: f64,
    duration_s: f64,
    /// Which of the plumes it crosses, and the threshold \[mg m⁻³\] that it
    /// passes there.
    plumes: &'static [(&'static str, f64)],
}

const TRACKS: [Track; 6] = [
    Track {
        name: "over the Atlantic, level",
        from: (-52.0, 47.0),
        to: (8.5, 50.0),
        altitude_m: (10_400.0, 10_400.0),
        depart_s: 9_000.0,
        duration_s: 18_700.0,
        plumes: &[("ash", 2.0)],
    },
    Track {
        name: "from the Canaries to Tromsø, level",
        from: (-15.4, 28.0),
        to: (18.9, 69.0),
        altitude_m: (9_150.0, 9_150.0),
        depart_s: 40_000.0,
        duration_s: 19_000.0,
        plumes: &[("ash", 1.0), ("dust", 0.01)],
    },
    Track {
        name: "down to Keflavik through the ash",
        from: (12.0, 52.0),
        to: (-20.0, 62.0),
        altitude_m: (10_900.0, 2_000.0),
        depart_s: 30_000.0,
        duration_s: 9_600.0,
        plumes: &[("ash", 1.0)],
    },
    Track {
        name: "westwards over the north of the plume while it grows",
        from: (25.0, 64.0),
        to: (-40.0, 61.0),
        altitude_m: (9_800.0, 10_700.0),
        depart_s: 3_600.0,
        duration_s: 14_000.0,
        plumes: &[("ash", 0.5)],
    },
    Track {
        name: "up from Dakar over the Sahara",
        from: (-17.0, 14.7),
        to: (12.0, 32.0),
        altitude_m: (400.0, 10_000.0),
        depart_s: 28_000.0,
        duration_s: 15_000.0,
        plumes: &[("dust", 0.2)],
    },
    Track {
        name: "low over the Sahara, across midday",
        from: (33.0, 15.5),
        to: (-8.0, 31.6),
        altitude_m: (4_300.0, 4_300.0),
        depart_s: 36_500.0,
        duration_s: 33_000.0,
        plumes: &[("dust", 0.3)],
    },
];

impl Track {
    /// The point that is reached `after_s` seconds after departure.
    fn at(&self, after_s: f64) -> Waypoint {
        let (a, b) = (vector(self.from), vector(self.to));
        let angle = a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>().acos();
        let part = after_s / self.duration_s;
        let (wa, wb) = (((1.0 - part) * angle).sin() / angle.sin(), (part * angle).sin() / angle.sin());
        let (longitude, latitude) = place(std::array::from_fn(|i| wa * a[i] + wb * b[i]));
        let altitude = self.altitude_m.0 + part * (self.altitude_m.1 - self.altitude_m.0);
        let pressure = tropospheric_pressure(altitude);
        waypoint(START_S + self.depart_s + after_s, longitude, latitude, pressure)
    }

    fn flight(&self, spacing_s: f64) -> Vec<Waypoint> {
        upto(self.duration_s, spacing_s).into_iter().map(|s| self.at(s)).collect()
    }

    /// Exact concentrations \[mg m⁻³\] along the track, `QUADRATURE_S` apart.
    fn concentrations(&self, field: &Synthetic, contaminant: &str) -> Vec<f64> {
        let at = |w: Waypoint| {
            let point = Point {
                time_s: w.time_s,
                pressure: Pressure::from_pascal(w.pressure.pascal()),
                latitude_deg: w.latitude_deg,
                longitude_deg: w.longitude_deg,
            };
            field.concentration(contaminant, &point).expect("within the field") * 1e6
        };
        upto(self.duration_s, QUADRATURE_S).into_iter().map(|s| at(self.at(s))).collect()
    }
}

/// Seconds at or above `threshold` of equidistant values, linear between them.
fn seconds_above(values: &[f64], threshold: f64) -> f64 {
    let part = |a: f64, b: f64| {
        let (low, high) = (a.min(b), a.max(b));
        if low >= threshold { 1.0 } else { ((high - threshold) / (high - low)).max(0.0) }
    };
    values.windows(2).map(|w| QUADRATURE_S * part(w[0], w[1])).sum()
}

fn demo() -> Dataset {
    Dataset::of(vec![Box::new(Synthetic::new(START_S))], DatasetFile::default()).expect("a data set")
}

#[test]
fn plumes_of_the_demo_have_their_closed_forms_along_any_track() {
    let (field, dataset) = (Synthetic::new(START_S), demo());
    for track in &TRACKS {
        let flights: Vec<Vec<Waypoint>> = SPACINGS_S.iter().map(|&spacing| track.flight(spacing)).collect();
        for &(contaminant, threshold) in track.plumes {
            let limit = format!("{threshold} mg m-3");
            let asked = request(Integration::Path, &[contaminant], &[(contaminant, &limit)]);
            let exact = track.concentrations(&field, contaminant);
            let dosage = exact.windows(2).map(|w| 0.5 * QUADRATURE_S * (w[0] + w[1])).sum::<f64>() / 1e3;
            let peak = exact.iter().copied().fold(0.0, f64::max);
            let above = seconds_above(&exact, threshold);
            assert!(above > 600.0 && above < track.duration_s - 600.0, "{}: {above} s above {limit}", track.name);
            let rows = exposures(&dataset, &asked, VerticalRule::LinearP, &fleet(&flights));
            for (spacing, rows) in SPACINGS_S.iter().zip(&rows) {
                let context = format!("{contaminant} {}, every {spacing} s", track.name);
                let row = whole(rows, contaminant);
                assert!((row.sampled_fraction - 1.0).abs() < 1e-12, "{context}: {}", row.sampled_fraction);
                assert_close(row.dosage_g_s_m3.expect("a dosage"), dosage, 1e-3, &format!("dosage of {context}"));
                assert_close(row.peak.expect("a peak").mg_m3, peak, PEAK_WITHIN, &format!("peak of {context}"));
                let time = row.time_above_s[0].1.expect("a time");
                assert_close(time, above, 1e-3, &format!("time above of {context}"));
            }
        }
    }
}
