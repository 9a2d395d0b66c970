//! Phases of flight, labelled as `OpenAP`'s `FlightPhase` does: fuzzy logic on
//! altitude, speed and rate of climb.
//!
//! Sun, Ellerbroek and Hoekstra 2017, Flight Extraction and Phase
//! Identification for Large Automatic Dependent Surveillance–Broadcast
//! Datasets, J. Aerospace Information Systems 14(10), doi
//! 10.2514/1.I010520; numbers as in `OpenAP` 2.6.

use serde::{Deserialize, Serialize};

use super::{Trajectory, geodesy::EARTH_RADIUS_M};
use crate::{
    atmosphere::isa_altitude,
    units::{METRES_PER_FOOT, Pressure},
};

/// A phase of flight, or the whole flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Everything from the first waypoint to the last.
    Flight,
    /// On the ground, where altitude or the source says so.
    Ground,
    /// Climbing.
    Climb,
    /// Level, at cruise altitude or at a lower one.
    Cruise,
    /// Descending.
    Descent,
}

impl Phase {
    /// The parts that add up to [`Phase::Flight`].
    pub const PARTS: [Self; 4] = [Self::Ground, Self::Climb, Self::Cruise, Self::Descent];

    /// As results write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flight => "flight",
            Self::Ground => "ground",
            Self::Climb => "climb",
            Self::Cruise => "cruise",
            Self::Descent => "descent",
        }
    }
}

/// Length of the windows over which altitude, speed and rate of climb are
/// averaged, and which get one label each \[s\].
const WINDOW_S: f64 = 60.0;

/// The phase of every waypoint of a flight: one of [`Phase::PARTS`].
///
/// The segment from waypoint `i` to the next is in the phase of waypoint `i`;
/// its mean speed over the ground and rate of climb are what the label judges,
/// and those of the last segment count again for the last waypoint.
///
/// Waypoints are taken together in windows of 60 s from the first one on. The
/// last window, which may be cut short and which `OpenAP` leaves without a label,
/// has the label of the one before; alone, it is judged like any other. Where
/// the source says that the aircraft is on the ground, it is.
#[must_use]
pub fn label(flight: &Trajectory) -> Vec<Phase> {
    let n = flight.len();
    let mut labels = Vec::with_capacity(n);
    let last_window = window_of(flight, n - 1);
    let mut motion = Motions::new(flight);
    let mut carried = None;
    while labels.len() < n {
        let window = window_of(flight, labels.len());
        let (mut sum, mut end) = (Motion::default(), labels.len());
        while end < n && window_of(flight, end) <= window {
            sum.add(motion.next(end));
            end += 1;
        }
        let phase = match carried {
            Some(before) if window >= last_window => before,
            _ => judge(sum.over((end - labels.len()) as f64)),
        };
        labels.resize(end, phase);
        carried = Some(phase);
    }
    for (label, &on_ground) in labels.iter_mut().zip(flight.on_ground) {
        if on_ground {
            *label = Phase::Ground;
        }
    }
    labels
}

/// Number of the window that a waypoint is in, from 0.
fn window_of(flight: &Trajectory, waypoint: usize) -> f64 {
    ((flight.time_s[waypoint] - flight.time_s[0]) / WINDOW_S).floor()
}

/// How an aircraft moves, in the units of the rules.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Motion {
    altitude_ft: f64,
    speed_kt: f64,
    climb_ft_min: f64,
}

impl Motion {
    fn add(&mut self, other: Self) {
        self.altitude_ft += other.altitude_ft;
        self.speed_kt += other.speed_kt;
        self.climb_ft_min += other.climb_ft_min;
    }

    fn over(self, count: f64) -> Self {
        Self {
            altitude_ft: self.altitude_ft / count,
            speed_kt: self.speed_kt / count,
            climb_ft_min: self.climb_ft_min / count,
        }
    }
}

/// Motion at one waypoint after the other.
struct Motions<'a> {
    flight: Trajectory<'a>,
    altitude_ft: f64,
    /// Cosine of the latitude.
    cosine: f64,
    last: Motion,
}

impl<'a> Motions<'a> {
    fn new(flight: &Trajectory<'a>) -> Self {
        Self {
            flight: *flight,
            altitude_ft: altitude_ft(flight.pressure_pa[0]),
            cosine: flight.latitude_deg[0].to_radians().cos(),
            last: Motion::default(),
        }
    }

    /// Motion at waypoint `i`; called for 0, 1, 2, … in turn.
    fn next(&mut self, i: usize) -> Motion {
        let flight = &self.flight;
        let altitude = self.altitude_ft;
        if i + 1 < flight.len() {
            // Cruise is flown along an isobar: most waypoints need no logarithm.
            #[expect(clippy::float_cmp, reason = "the same bits have the same altitude")]
            let level = flight.pressure_pa[i + 1] == flight.pressure_pa[i];
            if !level {
                self.altitude_ft = altitude_ft(flight.pressure_pa[i + 1]);
            }
            let seconds = flight.time_s[i + 1] - flight.time_s[i];
            let cosine = flight.latitude_deg[i + 1].to_radians().cos();
            let metres = distance_m(
                flight.longitude_deg[i + 1] - flight.longitude_deg[i],
                flight.latitude_deg[i + 1] - flight.latitude_deg[i],
                self.cosine * cosine,
            );
            self.cosine = cosine;
            self.last.speed_kt = metres / seconds / METRES_PER_SECOND_A_KNOT;
            self.last.climb_ft_min = (self.altitude_ft - altitude) / seconds * 60.0;
        }
        Motion { altitude_ft: altitude, ..self.last }
    }
}

/// Great-circle distance \[m\] by the haversine formula, from the differences
/// in longitude and latitude \[degrees\] and the product of the latitudes'
/// cosines.
fn distance_m(longitude: f64, latitude: f64, cosines: f64) -> f64 {
    let half_latitude = sine(0.5 * latitude.to_radians());
    let half_longitude = sine(0.5 * longitude.to_radians());
    let haversine = half_latitude * half_latitude + cosines * half_longitude * half_longitude;
    2.0 * EARTH_RADIUS_M * arcsine(haversine.clamp(0.0, 1.0).sqrt())
}

/// Below this, four terms of a series are as exact as the library: waypoints
/// lie close together.
const SMALL: f64 = 0.02;

fn sine(x: f64) -> f64 {
    if x.abs() > SMALL {
        return x.sin();
    }
    let square = x * x;
    x * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)))
}

fn arcsine(x: f64) -> f64 {
    if x > SMALL {
        return x.asin();
    }
    let square = x * x;
    x * (1.0 + square * (1.0 / 6.0 + square * (3.0 / 40.0 + square * (15.0 / 336.0))))
}

/// One international nautical mile an hour \[m s⁻¹\].
const METRES_PER_SECOND_A_KNOT: f64 = 1852.0 / 3600.0;

fn altitude_ft(pressure_pa: f64) -> f64 {
    isa_altitude(Pressure::from_pascal(pressure_pa)).metres() / METRES_PER_FOOT
}

/// The label of a window: the phase whose rule holds most.
///
/// A rule holds as much as the least of its memberships. Phases stand in the
/// order ground, climb, descent, cruise, level, and of two that hold as much
/// the later wins: this is what defuzzifying by the largest of the maximum
/// comes to when the phases' own memberships are narrow. Minimum and maximum
/// are the same for logarithms, which spares the exponentials.
fn judge(motion: Motion) -> Phase {
    // OpenAP's tables end here.
    let altitude = motion.altitude_ft.clamp(0.0, 39_999.0);
    let speed = motion.speed_kt.clamp(0.0, 599.0);
    let climb = motion.climb_ft_min.clamp(-4_000.0, 3_999.9);

    let on_the_ground = ln(falling(altitude, 0.0, 200.0));
    let low = ln_bell(altitude, 10_000.0, 10_000.0);
    let high = ln_bell(altitude, 35_000.0, 20_000.0);
    let level = ln_bell(climb, 0.0, 100.0);
    let up = ln(falling(-climb, -1_000.0, -10.0));
    let down = ln(falling(climb, -1_000.0, -10.0));
    let fast = ln_bell(speed, 600.0, 100.0);
    let medium = ln_bell(speed, 300.0, 100.0);
    let slow = ln_bell(speed, 0.0, 50.0);

    let rules = [
        (Phase::Ground, on_the_ground.min(level).min(slow)),
        (Phase::Climb, low.min(up).min(medium)),
        (Phase::Descent, low.min(down).min(medium)),
        (Phase::Cruise, high.min(level).min(fast)),
        // "Level" of OpenAP: the same phase to us.
        (Phase::Cruise, low.min(level).min(medium)),
    ];
    let first = rules[0];
    rules.into_iter().fold(first, |best, rule| if rule.1 >= best.1 { rule } else { best }).0
}

/// Logarithm of the bell exp(−(x − mean)² / 2σ²).
fn ln_bell(x: f64, mean: f64, sigma: f64) -> f64 {
    let deviation = (x - mean) / sigma;
    -0.5 * deviation * deviation
}

/// Logarithm of a membership; most hold wholly or not at all.
fn ln(membership: f64) -> f64 {
    if membership <= 0.0 {
        f64::NEG_INFINITY
    } else if membership >= 1.0 {
        0.0
    } else {
        membership.ln()
    }
}

/// The Z-shaped membership: 1 up to `top`, 0 from `foot` on, two parabolas
/// between. Mirrored in x it is the S-shaped one.
fn falling(x: f64, top: f64, foot: f64) -> f64 {
    let part = ((x - top) / (foot - top)).clamp(0.0, 1.0);
    if part < 0.5 { 1.0 - 2.0 * part * part } else { 2.0 * (1.0 - part) * (1.0 - part) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        atmosphere::isa_pressure,
        trajectory::{Fleet, Waypoint, geodesy::EARTH_RADIUS_M},
        units::Altitude,
    };

    #[test]
    fn short_distances_are_those_of_the_library() {
        for (from, to) in
            [((10.0, 50.0), (10.2, 50.1)), ((179.9, -80.0), (-179.95, -80.01)), ((0.0, 0.0), (40.0, 30.0))]
        {
            let (from, to): ((f64, f64), (f64, f64)) = (from, to);
            let cosines = from.1.to_radians().cos() * to.1.to_radians().cos();
            let expected = crate::trajectory::geodesy::distance_m(from.0, from.1, to.0, to.1);
            assert!((distance_m(to.0 - from.0, to.1 - from.1, cosines) / expected - 1.0).abs() < 1e-13);
        }
    }

    /// `OpenAP` 2.6.2: `FlightPhase.phaselabel()` of a window with this
    /// altitude \[ft\], speed \[kt\] and rate of climb \[ft/min\].
    const OPENAP: &[(f64, f64, f64, &str)] = &[
        (0.0, 0.0, 0.0, "GND"),
        (0.0, 15.0, 0.0, "GND"),
        (50.0, 60.0, -20.0, "GND"),
        (120.0, 40.0, 5.0, "GND"),
        (150.0, 80.0, 100.0, "GND"),
        (199.0, 10.0, 0.0, "LVL"),
        (250.0, 10.0, 0.0, "LVL"),
        (-300.0, 12.0, 0.0, "GND"),
        (600.0, 140.0, 1_800.0, "CL"),
        (1_500.0, 160.0, -700.0, "DE"),
        (3_000.0, 230.0, 150.0, "LVL"),
        (3_000.0, 230.0, 300.0, "CL"),
        (3_000.0, 230.0, -230.0, "DE"),
        (8_000.0, 280.0, 190.0, "LVL"),
        (8_000.0, 280.0, 220.0, "CL"),
        (8_000.0, 280.0, -205.0, "LVL"),
        (10_000.0, 300.0, 50.0, "LVL"),
        (15_000.0, 350.0, 0.0, "LVL"),
        (20_000.0, 420.0, 900.0, "CL"),
        (24_000.0, 430.0, 180.0, "LVL"),
        (28_000.0, 440.0, 260.0, "CL"),
        (33_000.0, 460.0, 320.0, "CL"),
        (36_000.0, 470.0, 0.0, "CR"),
        (36_000.0, 470.0, 220.0, "CR"),
        (36_000.0, 480.0, -240.0, "CR"),
        (36_000.0, 480.0, -300.0, "DE"),
        (38_000.0, 490.0, -450.0, "DE"),
        (39_000.0, 500.0, 600.0, "CL"),
        (45_000.0, 620.0, 0.0, "CR"),
        (45_000.0, 620.0, 150.0, "CR"),
        (41_000.0, 450.0, -5_000.0, "DE"),
        (35_000.0, 250.0, 0.0, "LVL"),
        (12_000.0, 600.0, 30.0, "CR"),
        (500.0, 600.0, 150.0, "CR"),
        (2_000.0, 0.0, 150.0, "LVL"),
        (2_000.0, 0.0, -4_100.0, "DE"),
        (30_000.0, 300.0, 270.0, "CL"),
        (30_000.0, 300.0, 230.0, "CL"),
        (10_988.0, 185.0, -165.0, "LVL"),
        (3_860.0, 372.0, 458.0, "CL"),
        (7_892.0, 34.0, 112.0, "LVL"),
        (27_612.0, 349.0, -124.0, "LVL"),
        (18_170.0, 415.0, 182.0, "LVL"),
        (26_594.0, 600.0, -243.0, "CR"),
        (16_448.0, 116.0, 337.0, "CL"),
        (21_465.0, 553.0, 164.0, "CR"),
        (13_362.0, 573.0, 823.0, "CL"),
        (29_138.0, 66.0, -602.0, "DE"),
        (8_480.0, 548.0, 431.0, "CL"),
        (35_668.0, 400.0, 114.0, "CR"),
        (21_696.0, 368.0, -452.0, "DE"),
        (18_404.0, 553.0, 721.0, "CL"),
        (34_833.0, 309.0, -225.0, "LVL"),
        (14_239.0, 324.0, 530.0, "CL"),
        (4_230.0, 24.0, 414.0, "CL"),
        (19_170.0, 557.0, 486.0, "CL"),
        (16_174.0, 604.0, 950.0, "CL"),
        (32_167.0, 252.0, -308.0, "DE"),
        (7_215.0, 112.0, -71.0, "LVL"),
        (836.0, 516.0, -427.0, "DE"),
        (18_925.0, 303.0, 479.0, "CL"),
        (21_169.0, 581.0, -4.0, "CR"),
        (24_128.0, 383.0, -31.0, "LVL"),
        (40_520.0, 141.0, 707.0, "CL"),
        (23_314.0, 26.0, -111.0, "LVL"),
        (38_941.0, 486.0, -42.0, "CR"),
        (12_458.0, 6.0, -362.0, "DE"),
        (4_635.0, 36.0, 452.0, "CL"),
        (18_727.0, 197.0, -267.0, "DE"),
        (16_363.0, 227.0, -89.0, "LVL"),
        (285.0, 92.0, -281.0, "DE"),
        (18_501.0, 187.0, -628.0, "DE"),
        (11_988.0, 564.0, 363.0, "CL"),
        (2_496.0, 130.0, 127.0, "LVL"),
        (32_368.0, 40.0, -419.0, "DE"),
        (19_182.0, 415.0, 142.0, "LVL"),
        (36_413.0, 492.0, -63.0, "CR"),
        (41_019.0, 381.0, 306.0, "CL"),
    ];

    #[test]
    fn judges_as_openap_does() {
        for &(altitude_ft, speed_kt, climb_ft_min, expected) in OPENAP {
            let phase = judge(Motion { altitude_ft, speed_kt, climb_ft_min });
            let expected = match expected {
                "GND" => Phase::Ground,
                "CL" => Phase::Climb,
                "DE" => Phase::Descent,
                _ => Phase::Cruise,
            };
            assert_eq!(phase, expected, "{altitude_ft} ft, {speed_kt} kt, {climb_ft_min} ft/min");
        }
    }

    /// North along a meridian: (time \[s\], altitude \[ft\], speed to the next \[kt\]).
    fn flight(points: &[(f64, f64, f64)]) -> Fleet {
        let mut latitude_deg = 10.0;
        let mut waypoints = Vec::new();
        for (i, &(time_s, altitude_ft, speed_kt)) in points.iter().enumerate() {
            waypoints.push(Waypoint {
                time_s: 1.5e9 + time_s,
                longitude_deg: 5.0,
                latitude_deg,
                pressure: isa_pressure(Altitude::from_feet(altitude_ft)),
                on_ground: false,
            });
            let seconds = points.get(i + 1).map_or(0.0, |next| next.0 - time_s);
            latitude_deg += (speed_kt * METRES_PER_SECOND_A_KNOT * seconds / EARTH_RADIUS_M).to_degrees();
        }
        let mut fleet = Fleet::new();
        fleet.push("F1", &waypoints).unwrap();
        fleet
    }

    fn labels(points: &[(f64, f64, f64)]) -> Vec<Phase> {
        label(&flight(points).get(0).unwrap())
    }

    #[test]
    fn a_whole_flight_passes_through_the_phases() {
        use Phase::{Climb, Cruise, Descent, Ground};
        let points = [
            (0.0, 0.0, 10.0),
            (60.0, 0.0, 250.0),
            (120.0, 2_000.0, 300.0),
            (180.0, 4_000.0, 300.0),
            (240.0, 6_000.0, 300.0),
            (300.0, 6_000.0, 450.0),
            (600.0, 6_000.0, 450.0),
            (900.0, 4_000.0, 300.0),
            (960.0, 2_000.0, 250.0),
            (1020.0, 0.0, 15.0),
            (1080.0, 0.0, 15.0),
            (1140.0, 0.0, 15.0),
        ];
        let expected = [Ground, Climb, Climb, Climb, Cruise, Cruise, Descent, Descent, Descent, Ground, Ground, Ground];
        assert_eq!(labels(&points), expected);
    }

    #[test]
    fn motion_is_that_of_the_segment_ahead() {
        let fleet = flight(&[(0.0, 30_000.0, 400.0), (40.0, 31_000.0, 500.0), (100.0, 30_500.0, 0.0)]);
        let mut motions = Motions::new(&fleet.get(0).unwrap());
        let expected = [(30_000.0, 400.0, 1_500.0), (31_000.0, 500.0, -500.0), (30_500.0, 500.0, -500.0)];
        for (i, (altitude_ft, speed_kt, climb_ft_min)) in expected.into_iter().enumerate() {
            let motion = motions.next(i);
            assert!((motion.altitude_ft - altitude_ft).abs() < 1e-6, "{motion:?}");
            assert!((motion.speed_kt - speed_kt).abs() < 1e-6, "{motion:?}");
            assert!((motion.climb_ft_min - climb_ft_min).abs() < 1e-6, "{motion:?}");
        }
    }

    #[test]
    fn windows_smooth_what_is_shorter_than_a_minute() {
        // Ten seconds of level flight within a minute of climb are climb.
        let points = [(0.0, 9_000.0), (25.0, 10_000.0), (35.0, 10_000.0), (59.0, 11_000.0), (60.0, 11_000.0)];
        let mut points: Vec<_> = points.map(|(t, ft)| (t, ft, 300.0)).into();
        points.extend((62..=200).step_by(3).map(|t| (f64::from(t), 11_000.0, 300.0)));
        let labels = labels(&points);
        assert_eq!(labels[..4], [Phase::Climb; 4]);
        assert!(labels[4..].iter().all(|&phase| phase == Phase::Cruise));
    }

    #[test]
    fn the_last_window_has_the_label_before_it_and_a_short_flight_one_of_its_own() {
        // Level in its last 20 s; OpenAP has no label for that window.
        let points = [(0.0, 8_000.0, 300.0), (60.0, 10_000.0, 300.0), (80.0, 10_000.0, 300.0)];
        assert_eq!(labels(&points), [Phase::Climb; 3]);
        assert_eq!(labels(&[(0.0, 8_000.0, 300.0), (30.0, 9_000.0, 300.0)]), [Phase::Climb; 2]);
        // Without a second waypoint nothing moves.
        assert_eq!(labels(&[(0.0, 0.0, 0.0)]), [Phase::Ground]);
    }

    #[test]
    fn the_source_may_say_ground() {
        let points = [(0.0, 5_000.0, 20.0), (60.0, 5_000.0, 20.0), (120.0, 5_000.0, 20.0)];
        assert_eq!(labels(&points), [Phase::Cruise; 3]);
        let fleet = flight(&points);
        let airborne = fleet.get(0).unwrap();
        let taxiing = Trajectory { on_ground: &[true, false, true], ..airborne };
        assert_eq!(label(&taxiing), [Phase::Ground, Phase::Cruise, Phase::Ground]);
    }
}
