//! The faults of real tracks, and what is done about each.
//!
//! | fault | rule |
//! |---|---|
//! | no time, no place on the globe | the row is dropped |
//! | altitude outside −1,000 … 25,000 m | the altitude is taken as missing |
//! | time before that of an earlier row | rows are sorted by time |
//! | several rows at one time | one is kept: a row with an altitude before one without, then the nearest to the row before, then the least in its values |
//! | 1 to 5 positions that cannot be reached from both sides below 600 m/s (and 1 km) | dropped |
//! | 1 to 5 altitudes that depart from both sides by more than 50 m/s (and 150 m) | interpolated in time; at either end of the flight, where the departure exceeds 2 km, the neighbour's altitude |
//! | no altitude on the ground | 0 m |
//! | no altitude in the air | interpolated in time within a gap of 10 minutes, else the row is dropped |
//!
//! A flight is rejected when nothing usable is left, when more than half of
//! its rows are wrong (not: missing), or when it moves faster than 600 m/s
//! after all repairs.

use super::{
    Waypoint,
    fault::{Fault, Repairs},
    rows::is_position,
};
use crate::{
    atmosphere::isa_pressure,
    time::UnixTime,
    units::{Altitude, Pressure},
};

/// Beyond the speed of sound and any jet stream \[m s⁻¹\].
const MAX_SPEED_M_S: f64 = 600.0;
/// Times are often whole seconds and positions late by one.
const POSITION_SLACK_M: f64 = 1_000.0;
/// About 9,800 ft/min, above emergency descents and the climb of any airliner.
const MAX_CLIMB_M_S: f64 = 50.0;
const ALTITUDE_SLACK_M: f64 = 150.0;
/// A first or last altitude has one neighbour only, and tracks in steps of
/// flight levels jump by 1,200 m.
const END_SLACK_M: f64 = 2_000.0;
/// Waypoints of a spike.
const MAX_SPIKE: usize = 5;
/// Over which altitudes are interpolated \[s\].
const MAX_FILL_S: f64 = 600.0;
const ALTITUDE_RANGE_M: std::ops::RangeInclusive<f64> = -1_000.0..=25_000.0;
const EARTH_RADIUS_M: f64 = 6_371_008.8;
const METRES_PER_DEGREE: f64 = EARTH_RADIUS_M * std::f64::consts::PI / 180.0;

/// A row on its way to a waypoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) time_s: f64,
    pub(super) longitude_deg: f64,
    pub(super) latitude_deg: f64,
    /// NaN where missing.
    pub(super) altitude_m: f64,
    /// NaN where it follows from the altitude.
    pub(super) pressure_pa: f64,
    pub(super) on_ground: bool,
    pub(super) file: u32,
    /// Its place among all rows.
    pub(super) row: u32,
    pub(super) callsign: u32,
}

/// Faults of one flight, each with the file that it is from.
pub(super) type Faults = Vec<(u32, Fault)>;

/// The waypoints of `rows` points without any fault, `None` where one has a
/// fault or the aircraft stands on the ground, which is counted.
pub(super) fn faultless(rows: usize, point: impl Fn(u32) -> Point) -> Option<Vec<Waypoint>> {
    let mut waypoints = Vec::with_capacity(rows);
    let mut pressure = (f64::NAN, f64::NAN);
    let mut before: Option<Point> = None;
    for i in 0..u32::try_from(rows).ok()? {
        let p = point(i);
        let is_usable = p.time_s.is_finite()
            && is_position(p.longitude_deg, p.latitude_deg)
            && ALTITUDE_RANGE_M.contains(&p.altitude_m)
            && !p.on_ground;
        // Agreeing with its neighbours, no point is a spike.
        let follows =
            before.is_none_or(|b| b.time_s < p.time_s && reachable(&b, &p) && climbable(&b, &p, ALTITUDE_SLACK_M));
        if !(is_usable && follows) {
            return None;
        }
        waypoints.push(waypoint(&p, &mut pressure));
        before = Some(p);
    }
    (!waypoints.is_empty()).then_some(waypoints)
}

fn waypoint(p: &Point, last: &mut (f64, f64)) -> Waypoint {
    Waypoint {
        time_s: p.time_s,
        longitude_deg: p.longitude_deg,
        latitude_deg: p.latitude_deg,
        pressure: pressure_of(p, last),
        on_ground: p.on_ground,
    }
}

/// Drops rows that are nowhere or never, and altitudes that cannot be.
pub(super) fn drop_unusable(points: &mut Vec<Point>, faults: &mut Faults) {
    points.retain_mut(|p| {
        let fault = if !p.time_s.is_finite() {
            Fault::NoTime
        } else if p.longitude_deg.is_nan() || p.latitude_deg.is_nan() {
            Fault::NoPosition
        } else if !is_position(p.longitude_deg, p.latitude_deg) {
            Fault::WrongPosition
        } else {
            if !p.altitude_m.is_nan() && !ALTITUDE_RANGE_M.contains(&p.altitude_m) {
                faults.push((p.file, Fault::WrongAltitude));
                p.altitude_m = f64::NAN;
                p.pressure_pa = f64::NAN;
            }
            return true;
        };
        faults.push((p.file, fault));
        false
    });
}

/// Sorts by time, where that is needed.
pub(super) fn sort_by_time(points: &mut [Point]) {
    if !points.is_sorted_by(|a, b| a.time_s <= b.time_s) {
        points.sort_by(|a, b| a.time_s.total_cmp(&b.time_s));
    }
}

/// Counts the rows that came after one of a later time.
fn count_out_of_order(points: &[Point], faults: &mut Faults) {
    let mut first_row = u32::MAX;
    #[expect(clippy::float_cmp, reason = "the same time is exactly the same")]
    for same_time in points.chunk_by(|a, b| a.time_s == b.time_s).rev() {
        let late = same_time.iter().filter(|p| p.row > first_row);
        faults.extend(late.map(|p| (p.file, Fault::OutOfOrder)));
        first_row = same_time.iter().map(|p| p.row).fold(first_row, u32::min);
    }
}

/// Repairs one flight, whose points are usable and sorted by time.
///
/// # Errors
/// The reason for which the flight is rejected.
pub(super) fn repair(mut points: Vec<Point>, faults: &mut Faults) -> Result<Vec<Waypoint>, String> {
    let rows = points.len() + faults.iter().filter(|(_, f)| *f == Fault::WrongPosition).count();
    count_out_of_order(&points, faults);
    drop_duplicates(&mut points, faults);
    drop_position_spikes(&mut points, faults);
    mend_altitude_spikes(&mut points, faults);
    fill_altitudes(&mut points, faults);
    if points.is_empty() {
        return Err(why_nothing_is_left(faults));
    }
    let wrong = faults.iter().filter(|(_, f)| f.is_wrong()).count();
    if wrong * 2 > rows {
        return Err(format!("{wrong} of {rows} rows are wrong: {}", summary(faults, Fault::is_wrong)));
    }
    check_speed(&points)?;
    faults.extend(points.iter().filter(|p| p.on_ground).map(|p| (p.file, Fault::OnGround)));
    let mut last = (f64::NAN, f64::NAN);
    Ok(points.iter().map(|p| waypoint(p, &mut last)).collect())
}

/// The file's own pressure, else that of the standard atmosphere. `last`
/// remembers altitude and pressure, which level flight repeats.
fn pressure_of(p: &Point, last: &mut (f64, f64)) -> Pressure {
    if !p.pressure_pa.is_nan() {
        return Pressure::from_pascal(p.pressure_pa);
    }
    #[expect(clippy::float_cmp, reason = "a repetition is exact")]
    if last.0 != p.altitude_m {
        *last = (p.altitude_m, isa_pressure(Altitude::from_metres(p.altitude_m)).pascal());
    }
    Pressure::from_pascal(last.1)
}

fn drop_duplicates(points: &mut Vec<Point>, faults: &mut Faults) {
    #[expect(clippy::float_cmp, reason = "the same time is exactly the same")]
    let same = |a: &Point, b: &Point| a.time_s == b.time_s;
    if !points.windows(2).any(|w| same(&w[0], &w[1])) {
        return;
    }
    let mut kept: Vec<Point> = Vec::with_capacity(points.len());
    let mut start = 0;
    while start < points.len() {
        let mut end = start + 1;
        while end < points.len() && same(&points[end], &points[start]) {
            end += 1;
        }
        let near = kept.last().copied();
        let order = |p: &&Point| {
            let away = near.map_or(0.0, |n| distance_m(&n, p));
            (p.altitude_m.is_nan(), [away, p.latitude_deg, p.longitude_deg, p.altitude_m, p.pressure_pa], p.on_ground)
        };
        let before = |a: &&Point, b: &&Point| {
            let (a, b) = (order(a), order(b));
            a.0.cmp(&b.0)
                .then_with(|| {
                    a.1.iter()
                        .zip(&b.1)
                        .map(|(x, y)| x.total_cmp(y))
                        .find(|o| o.is_ne())
                        .unwrap_or(std::cmp::Ordering::Equal)
                })
                .then(a.2.cmp(&b.2))
        };
        let same_time = &points[start..end];
        kept.extend(same_time.iter().min_by(before).copied());
        faults.extend(same_time[1..].iter().map(|p| (p.file, Fault::Duplicate)));
        start = end;
    }
    *points = kept;
}

/// Whether an aircraft can get from one point to the other in time.
fn reachable(a: &Point, b: &Point) -> bool {
    let limit_m = MAX_SPEED_M_S * (b.time_s - a.time_s).abs() + POSITION_SLACK_M;
    // Along a meridian and then the equator is never shorter.
    let dlon = (a.longitude_deg - b.longitude_deg).abs();
    let bound_m = METRES_PER_DEGREE * ((a.latitude_deg - b.latitude_deg).abs() + dlon);
    bound_m <= limit_m || distance_m(a, b) <= limit_m
}

/// On the sphere, by the haversine.
fn distance_m(a: &Point, b: &Point) -> f64 {
    let (lat_a, lat_b) = (a.latitude_deg.to_radians(), b.latitude_deg.to_radians());
    let half_lat = 0.5 * (lat_b - lat_a);
    let half_lon = 0.5 * (b.longitude_deg - a.longitude_deg).to_radians();
    let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    2.0 * EARTH_RADIUS_M * h.min(1.0).sqrt().asin()
}

fn drop_position_spikes(points: &mut Vec<Point>, faults: &mut Faults) {
    let spikes = spikes(points, reachable, reachable);
    if spikes.is_empty() {
        return;
    }
    faults.extend(spikes.iter().map(|&i| (points[i].file, Fault::PositionSpike)));
    let mut next = spikes.iter().copied().peekable();
    let mut i = 0;
    points.retain(|_| {
        i += 1;
        next.next_if_eq(&(i - 1)).is_none()
    });
}

fn climbable(a: &Point, b: &Point, slack_m: f64) -> bool {
    (a.altitude_m - b.altitude_m).abs() <= MAX_CLIMB_M_S * (b.time_s - a.time_s).abs() + slack_m
}

fn mend_altitude_spikes(points: &mut [Point], faults: &mut Faults) {
    let known: Vec<usize> = (0..points.len()).filter(|&i| !points[i].altitude_m.is_nan()).collect();
    let with_altitude: Vec<Point> = known.iter().map(|&i| points[i]).collect();
    let inner = |a: &Point, b: &Point| climbable(a, b, ALTITUDE_SLACK_M);
    let end = |a: &Point, b: &Point| climbable(a, b, END_SLACK_M);
    let spikes = spikes(&with_altitude, inner, end);
    for &spike in &spikes {
        faults.push((with_altitude[spike].file, Fault::AltitudeSpike));
        let good = |i: &usize| spikes.binary_search(i).is_err();
        let before = (0..spike).rev().find(good).map(|i| with_altitude[i]);
        let after = (spike + 1..with_altitude.len()).find(good).map(|i| with_altitude[i]);
        let point = &mut points[known[spike]];
        point.pressure_pa = f64::NAN;
        point.altitude_m = match (before, after) {
            (Some(a), Some(b)) => interpolate(&a, &b, point.time_s),
            (Some(one), None) | (None, Some(one)) => one.altitude_m,
            (None, None) => f64::NAN,
        };
    }
}

/// Indexes of up to [`MAX_SPIKE`] points in a row that agree neither with the
/// point before them nor with the one after, while these two agree. What does
/// not return is a step, and stays.
///
/// `end` says whether the first or the last point agrees with its neighbour;
/// it is a spike if not, while the two points next to it agree.
fn spikes(
    points: &[Point],
    agree: impl Fn(&Point, &Point) -> bool,
    end: impl Fn(&Point, &Point) -> bool,
) -> Vec<usize> {
    let mut found = Vec::new();
    let n = points.len();
    let mut last = 0;
    if n >= 3 && !end(&points[0], &points[1]) && !end(&points[0], &points[2]) && agree(&points[1], &points[2]) {
        found.push(0);
        last = 1;
    }
    let mut i = last + 1;
    while i < n {
        if !agree(&points[last], &points[i]) {
            let returns = |&j: &usize| agree(&points[last], &points[j]) && !agree(&points[j - 1], &points[j]);
            let back = (i + 1..n.min(i + 1 + MAX_SPIKE)).find(returns);
            if let Some(back) = back {
                found.extend(i..back);
                i = back;
            } else if i + 1 == n && i >= 2 && !end(&points[last], &points[i]) {
                found.push(i);
                break;
            }
        }
        last = i;
        i += 1;
    }
    found
}

fn fill_altitudes(points: &mut Vec<Point>, faults: &mut Faults) {
    if !points.iter().any(|p| p.altitude_m.is_nan()) {
        return;
    }
    let mut before: Option<Point> = None;
    let mut i = 0;
    while i < points.len() {
        let point = points[i];
        if point.altitude_m.is_nan() && point.on_ground {
            points[i].altitude_m = 0.0;
            faults.push((point.file, Fault::AltitudeFilled));
        } else if point.altitude_m.is_nan() {
            let end = (i..points.len()).find(|&j| !points[j].altitude_m.is_nan() || points[j].on_ground);
            let after = end
                .map(|j| points[j])
                .map(|p| Point { altitude_m: if p.altitude_m.is_nan() { 0.0 } else { p.altitude_m }, ..p });
            let end = end.unwrap_or(points.len());
            if let (Some(a), Some(b)) = (before, after)
                && b.time_s - a.time_s <= MAX_FILL_S
            {
                for p in &mut points[i..end] {
                    p.altitude_m = interpolate(&a, &b, p.time_s);
                    faults.push((p.file, Fault::AltitudeFilled));
                }
            }
            i = end;
            continue;
        }
        before = Some(points[i]);
        i += 1;
    }
    points.retain(|p| {
        if p.altitude_m.is_nan() {
            faults.push((p.file, Fault::NoAltitude));
        }
        !p.altitude_m.is_nan()
    });
}

fn interpolate(a: &Point, b: &Point, time_s: f64) -> f64 {
    let w = (time_s - a.time_s) / (b.time_s - a.time_s);
    a.altitude_m + w * (b.altitude_m - a.altitude_m)
}

fn check_speed(points: &[Point]) -> Result<(), String> {
    for pair in points.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        if !reachable(a, b) {
            return Err(format!(
                "moves {:.0} km in {} s at {}, faster than {MAX_SPEED_M_S} m/s: several flights under one name?",
                distance_m(a, b) / 1000.0,
                b.time_s - a.time_s,
                UnixTime(a.time_s)
            ));
        }
    }
    Ok(())
}

fn why_nothing_is_left(faults: &Faults) -> String {
    let fatal = |f: Fault| f.is_wrong() || matches!(f, Fault::NoTime | Fault::NoPosition | Fault::NoAltitude);
    let hint = if faults.iter().any(|(_, f)| *f == Fault::WrongAltitude) {
        "; is the unit of the altitude right?"
    } else {
        ""
    };
    format!("no usable waypoint: {}{hint}", summary(faults, fatal))
}

/// Counts of some faults in words.
fn summary(faults: &Faults, of: impl Fn(Fault) -> bool) -> String {
    let mut counts = Repairs::default();
    for &(_, fault) in faults.iter().filter(|(_, f)| of(*f)) {
        counts.note(fault, 1);
    }
    let parts: Vec<String> = counts.iter().map(|(fault, n)| format!("{n} {}", fault.name())).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Level flight, a point each 10 s, with one thing changed.
    fn track(change: impl Fn(usize, &mut Point)) -> Vec<Point> {
        (0_u32..30)
            .map(|row| {
                let mut point = Point {
                    time_s: 10.0 * f64::from(row),
                    longitude_deg: 0.0216 * f64::from(row),
                    latitude_deg: 50.0,
                    altitude_m: 10_000.0 + 40.0 * f64::from(row % 7),
                    pressure_pa: f64::NAN,
                    on_ground: false,
                    file: 0,
                    row,
                    callsign: u32::MAX,
                };
                change(row as usize, &mut point);
                point
            })
            .collect()
    }

    fn at_a_look(points: &[Point]) -> Option<Vec<Waypoint>> {
        faultless(points.len(), |i| points[i as usize])
    }

    fn at_length(mut points: Vec<Point>) -> (Result<Vec<Waypoint>, String>, Faults) {
        let mut faults = Faults::new();
        drop_unusable(&mut points, &mut faults);
        sort_by_time(&mut points);
        (repair(points, &mut faults), faults)
    }

    #[test]
    fn a_faultless_flight_is_what_repairs_leave_of_it() {
        for change in [0.0, 25_000.0] {
            let points = track(|i, p| p.pressure_pa = if i % 2 == 0 { f64::NAN } else { change + 20_000.0 });
            let waypoints = at_a_look(&points).expect("no fault");
            let (repaired, faults) = at_length(points);
            assert_eq!((repaired, faults), (Ok(waypoints), Faults::new()));
        }
    }

    #[test]
    fn no_fault_passes_for_none() {
        type Change = fn(&mut Point);
        let changes: [Change; 10] = [
            |p| p.time_s = f64::NAN,
            |p| p.time_s -= 10.0,
            |p| p.time_s -= 25.0,
            |p| p.longitude_deg = f64::NAN,
            |p| p.longitude_deg = 400.0,
            |p| p.latitude_deg += 3.0,
            |p| p.altitude_m = f64::NAN,
            |p| p.altitude_m = 30_000.0,
            |p| p.altitude_m += 3_000.0,
            |p| p.on_ground = true,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            for place in [0, 13, 29] {
                let points = track(|i, p| {
                    if i == place {
                        change(p);
                    }
                });
                let waypoints = at_a_look(&points);
                let (repaired, faults) = at_length(points);
                if let Some(waypoints) = waypoints {
                    assert_eq!((repaired, faults), (Ok(waypoints), Faults::new()), "change {number} at {place}");
                }
            }
        }
    }
}
