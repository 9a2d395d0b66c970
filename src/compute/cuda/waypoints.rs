//! Waypoints as they travel: 12 bytes each, 16 where their times are not
//! evenly spaced, and 48 for every 32 of a flight.
//!
//! A position of seven decimals of a degree comes out on the device to the
//! bit. Others are counted from a place near their 32 in steps that 32 bits
//! can count: on an hour's way of less than a tenth of a millimetre. Times are
//! in a power of two of a second. A flight that does not fit is left to the
//! CPU.

use super::layout::{ANCHORED, Anchor, Flight, UNITS_PER_DEGREE};
use crate::{
    compute::cpu::path::part,
    trajectory::{Trajectory, phase::Phase},
};

/// The finest unit of time: what `f64` seconds since 1970 resolve today.
const FINEST_S: f64 = 1.0 / 4_194_304.0;
/// The finest step of a position: degrees and pascals are exact in `f64`.
const FINEST_STEP: f64 = 1.0 / (1_u64 << 35) as f64;
/// Steps that 32 waypoints may lie apart.
const MOST_STEPS: f64 = 4_294_967_290.0;

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
    /// if they have a column, at `time` there, and whose anchors at `anchor`.
    #[expect(clippy::cast_possible_truncation, reason = "a power of two is a float; lengths are checked by the caller")]
    pub(super) fn flight(&self, len: usize, first_waypoint: u32, time: u32, anchor: u32) -> Flight {
        Flight {
            base_s: self.base_s,
            unit_s: self.unit_s as f32,
            first_waypoint,
            len: len as u32,
            step: self.step,
            time: if self.step == 0 { time } else { self.first },
            history: 0,
            anchor,
            spare: 0,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; the range was checked")]
fn units(seconds: f64, unit_s: f64) -> u32 {
    (seconds / unit_s).round() as u32
}

/// The columns of one flight, to be filled.
pub(super) struct Columns<'a> {
    /// One for every 32 waypoints.
    pub anchors: &'a mut [Anchor],
    pub longitude: &'a mut [u32],
    pub latitude: &'a mut [u32],
    pub pressure: &'a mut [u32],
    /// Empty where the times are evenly spaced.
    pub time: &'a mut [u32],
}

impl Columns<'_> {
    /// Fills the columns with a flight.
    #[expect(clippy::cast_possible_truncation, reason = "powers of two are floats")]
    pub(super) fn fill(&mut self, flight: &Trajectory<'_>, phases: &[Phase], clock: &Clock) {
        for (i, anchor) in self.anchors.iter_mut().enumerate() {
            let range = i * ANCHORED..((i + 1) * ANCHORED).min(flight.len());
            let longitude = place(&flight.longitude_deg[range.clone()], true, &mut self.longitude[range.clone()]);
            let latitude = place(&flight.latitude_deg[range.clone()], false, &mut self.latitude[range.clone()]);
            let pressure = steps(&flight.pressure_pa[range.clone()], false, &mut self.pressure[range.clone()]);
            *anchor = Anchor {
                longitude_deg: longitude.0,
                latitude_deg: latitude.0,
                pressure_pa: pressure.0,
                longitude_unit: longitude.1 as f32,
                latitude_unit: latitude.1 as f32,
                pressure_unit: pressure.1 as f32,
                spare: 0,
                phases: phases[range].iter().rev().fold(0, |all, &phase| all << 2 | u64::from(part(phase))),
            };
        }
        for (unit, time_s) in self.time.iter_mut().zip(flight.time_s) {
            *unit = units(time_s - clock.base_s, clock.unit_s);
        }
    }
}

/// Degrees as whole multiples of 1e-7, where they are such: unit 0; or else as
/// [`steps`] does.
#[expect(clippy::cast_possible_truncation, reason = "degrees in range")]
fn place(degrees: &[f64], is_turn: bool, column: &mut [u32]) -> (f64, f64) {
    for (unit, &value) in column.iter_mut().zip(degrees) {
        let n = (value * UNITS_PER_DEGREE).round();
        if (n / UNITS_PER_DEGREE).to_bits() != value.to_bits() {
            return steps(degrees, is_turn, column);
        }
        *unit = (n as i32).cast_unsigned();
    }
    (0.0, 0.0)
}

/// Numbers as steps from one below them all: that one, and the step, as fine
/// as fits. On a circle of degrees they may lie across its seam.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "fewer than 2^32 steps")]
fn steps(values: &[f64], is_turn: bool, column: &mut [u32]) -> (f64, f64) {
    let first = values[0];
    let beside = |value: f64| match value - first {
        d if is_turn && d >= 180.0 => value - 360.0,
        d if is_turn && d < -180.0 => value + 360.0,
        _ => value,
    };
    let range = values.iter().map(|&v| beside(v)).fold((first, first), |(a, b), v| (a.min(v), b.max(v)));
    if range.1 <= range.0 {
        column.fill(0);
        return (first, 1.0);
    }
    let mut step = FINEST_STEP;
    while range.1 - range.0 > step * MOST_STEPS {
        step *= 2.0;
    }
    let from = (range.0 / step).floor() * step;
    for (unit, &value) in column.iter_mut().zip(values) {
        *unit = ((beside(value) - from) / step).round() as u32;
    }
    (from, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(clock: &Clock, n: usize, column: &[u32]) -> Vec<f64> {
        let flight = clock.flight(n, 0, 0, 0);
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

    /// What the device makes of the columns: longitude, latitude, pressure.
    fn packed_positions(flight: &Trajectory<'_>, phases: &[Phase]) -> (Vec<[f64; 3]>, Vec<u64>) {
        let n = flight.len();
        let mut anchors = vec![bytemuck::Zeroable::zeroed(); n.div_ceil(ANCHORED)];
        let (mut longitude, mut latitude, mut pressure) = (vec![0; n], vec![0; n], vec![0; n]);
        let mut columns = Columns {
            anchors: &mut anchors,
            longitude: &mut longitude,
            latitude: &mut latitude,
            pressure: &mut pressure,
            time: &mut [],
        };
        columns.fill(flight, phases, &Clock::of(flight.time_s).unwrap());
        let at = |from: f64, unit: f32, n: u32| match unit {
            0.0 => f64::from(n.cast_signed()) / UNITS_PER_DEGREE,
            unit => from + f64::from(unit) * f64::from(n),
        };
        let positions = (0..n).map(|i| {
            let a: &Anchor = &anchors[i / ANCHORED];
            [
                crate::trajectory::wrap_longitude(at(a.longitude_deg, a.longitude_unit, longitude[i])),
                at(a.latitude_deg, a.latitude_unit, latitude[i]),
                at(a.pressure_pa, a.pressure_unit, pressure[i]),
            ]
        });
        (positions.collect(), anchors.iter().map(|a| a.phases).collect())
    }

    fn flight<'a>(columns: &'a [Vec<f64>; 4], on_ground: &'a [bool]) -> Trajectory<'a> {
        let [time_s, longitude_deg, latitude_deg, pressure_pa] = columns;
        Trajectory { id: "one", time_s, longitude_deg, latitude_deg, pressure_pa, on_ground }
    }

    #[test]
    fn seven_decimals_and_level_flight_come_back_to_the_bit() {
        let numbers = |of: &dyn Fn(f64) -> f64| (0..100).map(|i| of(f64::from(i))).collect::<Vec<f64>>();
        let columns = [
            numbers(&|i| 60.0 * i),
            numbers(&|i| (-179.999_999_9 + 0.123_456_7 * i).mul_add(1e7, 0.0).round() / 1e7),
            numbers(&|i| (-33.333_333_3 - 0.5 * i).mul_add(1e7, 0.0).round() / 1e7),
            numbers(&|_| 23_842.271_837_1),
        ];
        let on_ground = [false; 100];
        let (positions, phases) = packed_positions(&flight(&columns, &on_ground), &[Phase::Climb; 100]);
        for (i, [longitude, latitude, pressure]) in positions.iter().enumerate() {
            assert_eq!(longitude.to_bits(), columns[1][i].to_bits());
            assert_eq!(latitude.to_bits(), columns[2][i].to_bits());
            assert_eq!(pressure.to_bits(), columns[3][i].to_bits());
        }
        let climb = u64::from(part(Phase::Climb));
        assert_eq!(
            phases,
            [climb * 0x5555_5555_5555_5555, climb * 0x5555_5555_5555_5555, climb * 0x5555_5555_5555_5555, climb * 0x55]
        );
    }

    #[test]
    fn other_positions_come_back_within_a_tenth_of_a_millimetre_across_the_seam_too() {
        let numbers = |of: &dyn Fn(f64) -> f64| (0..100).map(|i| of(f64::from(i))).collect::<Vec<f64>>();
        let columns = [
            numbers(&|i| 60.0 * i),
            numbers(&|i| crate::trajectory::wrap_longitude(176.0 + i.sqrt())),
            numbers(&|i| 60.0 - i.sqrt()),
            numbers(&|i| 100_000.0 / (1.0 + i.sqrt())),
        ];
        let on_ground = [false; 100];
        let (positions, _) = packed_positions(&flight(&columns, &on_ground), &[Phase::Cruise; 100]);
        for (i, [longitude, latitude, pressure]) in positions.iter().enumerate() {
            let turn = (longitude - columns[1][i]).abs();
            assert!(turn.min(360.0 - turn) < 1e-9, "{longitude} {}", columns[1][i]);
            assert!((latitude - columns[2][i]).abs() < 1e-9, "{latitude} {}", columns[2][i]);
            assert!((pressure - columns[3][i]).abs() <= 1.0 / 65_536.0, "{pressure} {}", columns[3][i]);
        }
        // A multiple of the step stays what it is: the edge of a region.
        assert_eq!(positions[0][1].to_bits(), 60.0_f64.to_bits());
    }
}
