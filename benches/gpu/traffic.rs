//! Bytes that the gather must touch, counted on a part of the flights.

use std::collections::HashSet;

use skydose::{compute::cuda::Precision, field::slab::padded};

use crate::case::{Case, STEP_S};

/// What memory moves at a time \[bytes\].
const SECTOR: usize = 32;
/// Waypoints that one warp takes at a time.
const WARP: usize = 32;
/// Bytes of a waypoint with evenly spaced times, and its part of an anchor.
const WAYPOINT: f64 = 13.5;
/// Flights that are counted.
const FLIGHTS: usize = 500;

/// Bytes a waypoint: those of the waypoint itself, and the sectors that each
/// run of 32 waypoints of a flight touches.
pub fn bytes_a_waypoint(case: &Case, precision: Precision) -> f64 {
    let point_bytes = padded(case.species).unwrap_or(16) * precision.bytes();
    let (row, rows) = (case.grid.longitude.columns(), case.grid.latitude.len());
    let (mut sectors, mut waypoints) = (0, 0);
    let step = (case.fleet.len() / FLIGHTS).max(1);
    for flight in (0..case.fleet.len()).step_by(step).filter_map(|i| case.fleet.get(i)) {
        for from in (0..flight.len()).step_by(WARP) {
            let mut touched = HashSet::new();
            for i in from..(from + WARP).min(flight.len()) {
                waypoints += 1;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the field's times")]
                let time = (flight.time_s[i] / STEP_S).clamp(0.0, (case.times_s.len() - 2) as f64) as usize;
                let found = case
                    .grid
                    .levels
                    .locate_from(flight.pressure_pa[i], f64::NAN, &mut 0)
                    .zip(case.grid.latitude.locate(flight.latitude_deg[i]))
                    .zip(case.grid.longitude.column_from(flight.longitude_deg[i], &mut 0));
                let Some(((level, latitude), longitude)) = found else { continue };
                for corner in 0..8 {
                    let (t, k, y) = (corner & 1, corner >> 1 & 1, corner >> 2);
                    let point = ((level.index + k) * rows + latitude.index + y) * row + longitude.index;
                    // Two neighbouring longitudes are one run of memory.
                    let (first, last) = (point * point_bytes, (point + 2) * point_bytes - 1);
                    touched.extend((first / SECTOR..=last / SECTOR).map(|sector| (time + t, sector)));
                }
            }
            sectors += touched.len();
        }
    }
    WAYPOINT + (sectors * SECTOR) as f64 / f64::from(u32::try_from(waypoints).unwrap_or(u32::MAX).max(1))
}
