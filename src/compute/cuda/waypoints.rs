//! Waypoints as they travel: 12 bytes each, 16 where their times are not
//! evenly spaced.
//!
//! Positions are whole multiples of 1e-7 degrees (11 mm at the equator) and
//! of 1/8192 Pa, times of a power of two of seconds; a flight that does not
//! fit is left to the CPU.

use super::layout::{Flight, PHASE_BITS, UNITS_PER_DEGREE, UNITS_PER_PASCAL};
use crate::{
    compute::cpu::path::part,
    trajectory::{Trajectory, phase::Phase},
};

/// The finest unit of time: what `f64` seconds since 1970 resolve today.
const FINEST_S: f64 = 1.0 / 4_194_304.0;
/// Pressures below this fit into their bits.
const HIGHEST_PA: f64 = (1_u64 << (32 - PHASE_BITS)) as f64 / UNITS_PER_PASCAL;

/// How a flight's times travel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clock {
    base_s: f64,
    unit_s: f64,
    /// Units to the first waypoint, and from each to the next where evenly
    /// spaced; else 0.
    first: u32,
    step: u32,
}

impl Clock {
    /// `None` where the times do not fit.
    pub(super) fn of(time_s: &[f64]) -> Option<Self> {
        let (&start, &end) = time_s.first().zip(time_s.last())?;
        let base_s = start.floor();
        if end - base_s > f64::from(u32::MAX) {
            return None;
        }
        let exact = |unit_s: f64| time_s.iter().all(|t| ((t - base_s) / unit_s).fract() == 0.0);
        // As coarse as is exact, as fine as fits.
        let mut unit_s = 1.0;
        while unit_s > FINEST_S && !exact(unit_s) && (end - base_s) / (unit_s * 0.5) <= f64::from(u32::MAX) {
            unit_s *= 0.5;
        }
        let units = |t: f64| units(t - base_s, unit_s);
        let rises = time_s.windows(2).all(|w| units(w[0]) < units(w[1]));
        if !rises {
            return None;
        }
        let step = time_s.get(1).map_or(1, |&t| units(t) - units(start));
        let even = time_s.windows(2).all(|w| units(w[1]) - units(w[0]) == step);
        Some(Self { base_s, unit_s, first: units(start), step: if even { step } else { 0 } })
    }

    /// Numbers of the column of times that the flight takes.
    pub(super) fn column_len(&self, waypoints: usize) -> usize {
        if self.step == 0 { waypoints } else { 0 }
    }

    /// The flight, whose waypoints begin at `first_waypoint` and whose times,
    /// if they have a column, at `time` there.
    #[expect(clippy::cast_possible_truncation, reason = "a power of two is a float; lengths are checked by the caller")]
    pub(super) fn flight(&self, len: usize, first_waypoint: u32, time: u32) -> Flight {
        Flight {
            base_s: self.base_s,
            unit_s: self.unit_s as f32,
            first_waypoint,
            len: len as u32,
            step: self.step,
            time: if self.step == 0 { time } else { self.first },
            history: 0,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; the range was checked")]
fn units(seconds: f64, unit_s: f64) -> u32 {
    (seconds / unit_s).round() as u32
}

/// Whether the flight's positions fit.
pub(super) fn fits(flight: &Trajectory<'_>) -> bool {
    flight.pressure_pa.iter().all(|&p| p < HIGHEST_PA - 1.0)
}

/// The columns of one flight, to be filled.
pub(super) struct Columns<'a> {
    pub longitude: &'a mut [i32],
    pub latitude: &'a mut [i32],
    pub pressure: &'a mut [u32],
    /// Empty where the times are evenly spaced.
    pub time: &'a mut [u32],
}

impl Columns<'_> {
    /// Fills the columns with a flight.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "degrees and pascals in range")]
    pub(super) fn fill(&mut self, flight: &Trajectory<'_>, phases: &[Phase], clock: &Clock) {
        for (unit, degrees) in self.longitude.iter_mut().zip(flight.longitude_deg) {
            *unit = (degrees * UNITS_PER_DEGREE).round() as i32;
        }
        for (unit, degrees) in self.latitude.iter_mut().zip(flight.latitude_deg) {
            *unit = (degrees * UNITS_PER_DEGREE).round() as i32;
        }
        for ((unit, pascal), &phase) in self.pressure.iter_mut().zip(flight.pressure_pa).zip(phases) {
            let pressure = (pascal * UNITS_PER_PASCAL).round() as u32;
            *unit = pressure << PHASE_BITS | u32::from(part(phase));
        }
        for (unit, time_s) in self.time.iter_mut().zip(flight.time_s) {
            *unit = units(time_s - clock.base_s, clock.unit_s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(clock: &Clock, n: usize, column: &[u32]) -> Vec<f64> {
        let flight = clock.flight(n, 0, 0);
        let at = |i: usize| {
            if flight.step == 0 {
                f64::from(column[i])
            } else {
                f64::from(flight.time) + i as f64 * f64::from(flight.step)
            }
        };
        (0..n).map(|i| flight.base_s + at(i) * f64::from(flight.unit_s)).collect()
    }

    fn packed(time_s: &[f64]) -> Vec<f64> {
        let clock = Clock::of(time_s).unwrap();
        let column: Vec<u32> = time_s.iter().map(|t| units(t - clock.base_s, clock.unit_s)).collect();
        times(&clock, time_s.len(), &column)
    }

    #[test]
    fn times_of_a_day_come_back_as_they_were() {
        let even: Vec<f64> = (0..600).map(|i| 1.7e9 + 60.0 * f64::from(i)).collect();
        assert_eq!(packed(&even), even);
        assert_eq!(Clock::of(&even).unwrap().column_len(600), 0);
        let uneven = [1.7e9 + 0.5, 1.7e9 + 3.25, 1.7e9 + 86_000.125];
        assert_eq!(packed(&uneven), uneven);
        assert_eq!(Clock::of(&uneven).unwrap().column_len(3), 3);
        assert_eq!(packed(&[12.0]), [12.0]);
        assert_eq!(packed(&[-0.75, 0.5]), [-0.75, 0.5]);
    }

    #[test]
    fn times_with_more_digits_than_fit_are_rounded_or_refused() {
        let ragged = [1.7e9 + 0.1, 1.7e9 + 7.3, 1.7e9 + 86_000.7];
        for (t, back) in ragged.iter().zip(packed(&ragged)) {
            assert!((t - back).abs() < 2e-5, "{t} {back}");
        }
        assert_eq!(Clock::of(&[1.7e9, 1.7e9 + 1e-6, 1.7e9 + 86_000.0]), None);
        assert_eq!(Clock::of(&[0.0, 5e9]), None);
    }

    #[test]
    fn positions_are_rounded_to_millimetres_and_carry_their_phase() {
        let flight = Trajectory {
            id: "one",
            time_s: &[0.0, 60.0],
            longitude_deg: &[-180.0, 12.345_678_94],
            latitude_deg: &[90.0, -33.333_333_33],
            pressure_pa: &[101_325.0, 20_000.000_1],
            on_ground: &[false; 2],
        };
        assert!(fits(&flight));
        let (mut longitude, mut latitude, mut pressure) = ([0; 2], [0; 2], [0; 2]);
        let mut columns =
            Columns { longitude: &mut longitude, latitude: &mut latitude, pressure: &mut pressure, time: &mut [] };
        columns.fill(&flight, &[Phase::Climb, Phase::Cruise], &Clock::of(flight.time_s).unwrap());
        assert_eq!(longitude, [-1_800_000_000, 123_456_789]);
        assert_eq!(latitude, [900_000_000, -333_333_333]);
        assert_eq!(pressure[0], (101_325 * 8192) << 2 | u32::from(part(Phase::Climb)));
        assert_eq!(pressure[1], (20_000 * 8192 + 1) << 2 | u32::from(part(Phase::Cruise)));
        let deep = Trajectory { pressure_pa: &[140_000.0, 101_325.0], ..flight };
        assert!(!fits(&deep));
    }
}
