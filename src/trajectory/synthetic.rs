//! Flights that never were, between airports that are: what the demo and the
//! benches fly.

use std::ops::Range;

use rayon::prelude::*;

use super::{Fleet, Waypoint, airports::AIRPORTS, geodesy::GreatCircle};
use crate::{atmosphere::isa_pressure, units::Altitude};

/// A timetable: the same numbers give the same flights, bit for bit, whoever
/// makes them in whatever order.
///
/// A flight goes along the great circle, climbs from 500 ft at its own rate to
/// its own level between FL300 and FL410, speeds up while it climbs, and
/// mirrors this on the way down. Flights last from 180 to 640 minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timetable {
    /// Two timetables of one seed are one.
    pub seed: u64,
    /// No flight departs earlier \[s since 1970\].
    pub start_s: f64,
    /// Departures are spread so that flights arrive within this time of
    /// `start_s` \[s\]; one that is longer departs at `start_s`.
    pub duration_s: f64,
    /// From waypoint to waypoint \[s\], 1 or more; the last may come sooner.
    pub spacing_s: f64,
}

/// The first `flights` flights of a [`Timetable`], named `SD0001_LHR_JFK`.
#[must_use]
pub fn fleet(flights: usize, spacing_s: f64, seed: u64, start_s: f64, duration_s: f64) -> Fleet {
    Timetable { seed, start_s, duration_s, spacing_s }.fleet(0..flights)
}

/// Flights that are held as waypoints before they go into columns.
const FLIGHTS_AT_A_TIME: usize = 2048;

impl Timetable {
    /// The flights of these numbers, which count from 0; made on all threads.
    ///
    /// Without a finite `start_s` and `duration_s` there are none.
    #[must_use]
    pub fn fleet(&self, numbers: Range<usize>) -> Fleet {
        let mut fleet = Fleet::new();
        if !(self.start_s.is_finite() && self.duration_s.is_finite()) {
            return fleet;
        }
        for begin in numbers.clone().step_by(FLIGHTS_AT_A_TIME) {
            let end = numbers.end.min(begin.saturating_add(FLIGHTS_AT_A_TIME));
            let flights: Vec<_> = (begin..end).into_par_iter().map(|number| self.flight(number)).collect();
            for (id, waypoints) in flights {
                let pushed = fleet.push(id, &waypoints);
                debug_assert!(pushed.is_ok(), "{pushed:?}");
            }
        }
        fleet
    }

    /// Name and waypoints of flight `number`.
    #[must_use]
    pub fn flight(&self, number: usize) -> (String, Vec<Waypoint>) {
        let mut random = Random::of(self.seed, number);
        let flight = Flight::draw(&mut random);
        let slack_s = (self.duration_s - flight.profile.total_s()).max(0.0);
        let departure_s = self.start_s + (random.uniform() * slack_s).floor();
        let id = format!("SD{:04}_{}_{}", number + 1, flight.from.0, flight.to.0);
        (id, flight.waypoints(departure_s, self.spacing_s.max(1.0)))
    }
}

type Airport = &'static (&'static str, f64, f64);

struct Flight {
    from: Airport,
    to: Airport,
    way: GreatCircle,
    profile: Profile,
}

/// Shortest and longest flight \[s\].
const DURATION_S: Range<f64> = 180.0 * 60.0..640.0 * 60.0;

impl Flight {
    /// Two airports and an aircraft that flies from one to the other in the
    /// time that flights take.
    fn draw(random: &mut Random) -> Self {
        loop {
            let from = &AIRPORTS[random.below(AIRPORTS.len())];
            let to = &AIRPORTS[random.below(AIRPORTS.len())];
            let way = GreatCircle::new(from.2, from.1, to.2, to.1);
            let profile = Profile::draw(random, way.length_m());
            let total_s = profile.total_s();
            // Short flights are passed over now and then: 460 minutes on average.
            let liked = random.uniform() * 1.4 < 0.4 + total_s / DURATION_S.end;
            if liked && DURATION_S.contains(&total_s) && profile.cruise_s > 0.0 {
                return Self { from, to, way, profile };
            }
        }
    }

    fn waypoints(&self, departure_s: f64, spacing_s: f64) -> Vec<Waypoint> {
        let total_s = self.profile.total_s();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 640 minutes")]
        let steps = (total_s / spacing_s) as u32;
        let mut waypoints = Vec::with_capacity(steps as usize + 2);
        // Not where the arrival follows so soon that the two times are one.
        for step in 0..=steps {
            let elapsed_s = f64::from(step) * spacing_s;
            if total_s - elapsed_s > 1e-3 {
                waypoints.push(self.waypoint(departure_s, elapsed_s));
            }
        }
        waypoints.push(self.waypoint(departure_s, total_s));
        waypoints
    }

    fn waypoint(&self, departure_s: f64, elapsed_s: f64) -> Waypoint {
        let (longitude_deg, latitude_deg) = self.way.at(self.profile.distance_m(elapsed_s) / self.way.length_m());
        Waypoint {
            time_s: departure_s + elapsed_s,
            longitude_deg,
            latitude_deg,
            pressure: isa_pressure(Altitude::from_feet(self.profile.altitude_ft(elapsed_s))),
            on_ground: false,
        }
    }
}

/// Altitude and speed over the time of a flight.
#[derive(Debug, Clone, Copy)]
struct Profile {
    cruise_ft: f64,
    cruise_m_s: f64,
    climb_s: f64,
    cruise_s: f64,
    descent_s: f64,
}

/// Where a flight begins and ends: airborne, and within the lowest pressure
/// level of CAMS.
const FIELD_FT: f64 = 500.0;
/// Speed there, 150 knots \[m s⁻¹\].
const FIELD_M_S: f64 = 150.0 * 1852.0 / 3600.0;

impl Profile {
    fn draw(random: &mut Random, length_m: f64) -> Self {
        let cruise_ft = 30_000.0 + 1_000.0 * random.below(12) as f64;
        let cruise_m_s = random.between(220.0, 250.0);
        let climb_s = 60.0 * (cruise_ft - FIELD_FT) / random.between(1_600.0, 2_400.0);
        let descent_s = 60.0 * (cruise_ft - FIELD_FT) / random.between(1_400.0, 2_000.0);
        let ramps_m = 0.5 * (FIELD_M_S + cruise_m_s) * (climb_s + descent_s);
        Self { cruise_ft, cruise_m_s, climb_s, cruise_s: (length_m - ramps_m) / cruise_m_s, descent_s }
    }

    fn total_s(&self) -> f64 {
        self.climb_s + self.cruise_s + self.descent_s
    }

    fn altitude_ft(&self, elapsed_s: f64) -> f64 {
        let left_s = self.total_s() - elapsed_s;
        let height = (elapsed_s / self.climb_s).min(left_s / self.descent_s).clamp(0.0, 1.0);
        FIELD_FT + (self.cruise_ft - FIELD_FT) * height
    }

    /// Way flown; speed rises evenly over the climb and falls so over the descent.
    fn distance_m(&self, elapsed_s: f64) -> f64 {
        let ramp_m = |time_s: f64, ramp_s: f64| {
            FIELD_M_S * time_s + 0.5 * (self.cruise_m_s - FIELD_M_S) * time_s * time_s / ramp_s
        };
        let up_m = ramp_m(elapsed_s.min(self.climb_s), self.climb_s);
        let level_m = self.cruise_m_s * (elapsed_s - self.climb_s).clamp(0.0, self.cruise_s);
        let left_s = (self.total_s() - elapsed_s).clamp(0.0, self.descent_s);
        let down_m = ramp_m(self.descent_s, self.descent_s) - ramp_m(left_s, self.descent_s);
        up_m + level_m + down_m
    }
}

/// `SplitMix64` (Steele, Lea and Flood 2014, Fast Splittable Pseudorandom
/// Number Generators, OOPSLA, doi 10.1145/2660193.2660195).
struct Random(u64);

impl Random {
    /// A stream of its own for each flight.
    fn of(seed: u64, number: usize) -> Self {
        let mut seeds = Self(seed);
        let first = seeds.next();
        Self(first ^ Self(number as u64).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 ≤ x < 1, on 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// One of `0..n`, `n` small beside 2⁵³.
    fn below(&mut self, n: usize) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ x < n")]
        let x = (self.uniform() * n as f64) as usize;
        x
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        atmosphere::isa_altitude,
        trajectory::{
            geodesy::distance_m,
            phase::{Phase, label},
        },
        units::Pressure,
    };

    const START_S: f64 = 1_700_000_000.0;

    fn day(flights: usize, spacing_s: f64) -> Fleet {
        fleet(flights, spacing_s, 7, START_S, 86_400.0)
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // Vigna, splitmix64.c, with x = 1234567.
        let mut random = Random(1_234_567);
        assert_eq!(
            [random.next(), random.next(), random.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn airports_are_on_the_globe_and_none_is_there_twice() {
        assert_eq!(AIRPORTS.len(), 300);
        let codes: HashSet<_> = AIRPORTS.iter().map(|a| a.0).collect();
        assert_eq!(codes.len(), AIRPORTS.len());
        for &(code, latitude, longitude) in AIRPORTS {
            assert!(code.len() == 3 && latitude.abs() < 72.0 && longitude.abs() <= 180.0, "{code}");
        }
    }

    #[test]
    fn flights_have_the_length_and_the_names_that_they_should() {
        let fleet = day(2_000, 60.0);
        assert_eq!(fleet.len(), 2_000);
        let mean = fleet.waypoints() as f64 / 2_000.0;
        assert!((450.0..470.0).contains(&mean), "{mean} waypoints a flight");
        let ids: HashSet<_> = fleet.iter().map(|f| f.id.to_owned()).collect();
        assert_eq!(ids.len(), 2_000);
        let places = |code: &str| AIRPORTS.iter().find(|a| a.0 == code).map(|a| (a.2, a.1)).unwrap();
        for flight in fleet.iter() {
            assert!((181..=641).contains(&flight.len()), "{}", flight.len());
            assert!(flight.start_s() >= START_S && flight.end_s() <= START_S + 86_400.0);
            let parts: Vec<_> = flight.id.split('_').collect();
            let ends = [(0, places(parts[1])), (flight.len() - 1, places(parts[2]))];
            for (i, (longitude, latitude)) in ends {
                assert!(distance_m(flight.longitude_deg[i], flight.latitude_deg[i], longitude, latitude) < 1e-3);
                let feet = isa_altitude(Pressure::from_pascal(flight.pressure_pa[i])).feet();
                assert!((feet - 500.0).abs() < 1e-3, "{feet}");
            }
        }
        let departures: Vec<_> = fleet.iter().map(|f| ((f.start_s() - START_S) / 14_400.0).floor()).collect();
        for part in 0..4 {
            let part = f64::from(part);
            assert!(departures.iter().filter(|&&d| (d - part).abs() < 0.5).count() > 200, "{part}");
        }
    }

    #[test]
    fn aircraft_fly_like_aircraft() {
        for flight in day(50, 60.0).iter() {
            let feet: Vec<_> =
                flight.pressure_pa.iter().map(|&p| isa_altitude(Pressure::from_pascal(p)).feet()).collect();
            let top = feet.iter().copied().fold(0.0, f64::max);
            assert!(
                (29_999.9..=41_000.1).contains(&top) && (top / 1_000.0 - (top / 1_000.0).round()).abs() < 1e-6,
                "{top}"
            );
            for i in 1..flight.len() {
                let seconds = flight.time_s[i] - flight.time_s[i - 1];
                let (lon, lat) = (flight.longitude_deg, flight.latitude_deg);
                let speed = distance_m(lon[i - 1], lat[i - 1], lon[i], lat[i]) / seconds;
                assert!((70.0..=250.1).contains(&speed), "{speed} m/s");
                assert!((feet[i] - feet[i - 1]).abs() / seconds <= 40.1);
            }
            let labels = label(&flight);
            assert_eq!(labels[5], Phase::Climb);
            assert_eq!(labels[labels.len() / 2], Phase::Cruise);
            assert_eq!(labels[labels.len() - 5], Phase::Descent);
        }
    }

    #[test]
    fn a_flight_is_the_same_alone_and_in_a_fleet_and_at_any_spacing() {
        let timetable = Timetable { seed: 7, start_s: START_S, duration_s: 86_400.0, spacing_s: 60.0 };
        let whole = day(2_100, 60.0);
        let part = timetable.fleet(2_050..2_060);
        for number in 2_050..2_060 {
            let (a, b) = (whole.get(number).unwrap(), part.get(number - 2_050).unwrap());
            assert_eq!((a.id, a.time_s, a.longitude_deg), (b.id, b.time_s, b.longitude_deg));
        }
        let coarse = Timetable { spacing_s: 300.0, ..timetable }.flight(3);
        let fine = timetable.flight(3);
        assert_eq!(coarse.0, fine.0);
        assert_eq!(coarse.1[..20], fine.1.iter().step_by(5).copied().take(20).collect::<Vec<_>>());
        assert_eq!(coarse.1.last(), fine.1.last());
        assert_ne!(Timetable { seed: 8, ..timetable }.flight(3), fine);
    }

    #[test]
    fn odd_requests_are_answered() {
        assert!(day(0, 60.0).is_empty());
        assert!(fleet(3, 60.0, 1, f64::NAN, 1.0).is_empty());
        assert!(fleet(3, 60.0, 1, 0.0, f64::INFINITY).is_empty());
        // A day too short for them: all leave at once.
        assert!(
            fleet(20, 1e9, 1, START_S, 60.0).iter().all(|f| f.len() == 2 && f.start_s().to_bits() == START_S.to_bits())
        );
        assert!(fleet(1, f64::NAN, 1, START_S, 60.0).waypoints() > 180 * 60);
    }
}
