//! The waypoints of flights in device memory, and their way there.

use rayon::prelude::*;

use super::{
    device::{Part, Stream},
    gpu::{CHUNK, Fault, Gpu, Lease},
    layout::Flight,
    waypoints::{Clock, Columns},
};
use crate::compute::run::Flights;

/// Waypoints that are sent at a time, of 16 bytes at most.
pub(super) const WAYPOINTS_AT_A_TIME: usize = CHUNK / 16;

/// The range of no pressures.
const NOWHERE: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

/// Waypoints in device memory.
pub(super) struct DeviceColumns {
    /// As the device has them.
    pub packed: Vec<Flight>,
    pub flights: Lease,
    pub longitude: Lease,
    pub latitude: Lease,
    pub pressure: Lease,
    pub time: Lease,
}

fn wider(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0.min(b.0), a.1.max(b.1))
}

impl DeviceColumns {
    /// Room for the flights `chosen`.
    pub(super) fn new(gpu: &Gpu, flights: Flights<'_>, chosen: &[(usize, Clock)]) -> Result<Self, Fault> {
        let (mut packed, mut waypoints, mut times) = (Vec::with_capacity(chosen.len()), 0_u32, 0_u32);
        for (index, clock) in chosen {
            let len = flights.fleet.get(*index).map_or(0, |f| f.len());
            packed.push(clock.flight(len, waypoints, times));
            let more = |sum: u32, n: usize| u32::try_from(n).ok().and_then(|n| sum.checked_add(n));
            let sums = more(waypoints, len).zip(more(times, clock.column_len(len)));
            (waypoints, times) = sums.ok_or_else(|| Fault::too_much("more than 2^32 waypoints"))?;
        }
        let column = |len: u32| gpu.memory(len as usize * 4);
        Ok(Self {
            flights: gpu.memory(packed.len() * size_of::<Flight>())?,
            packed,
            longitude: column(waypoints)?,
            latitude: column(waypoints)?,
            pressure: column(waypoints)?,
            time: column(times)?,
        })
    }

    /// Sends the flights without their waypoints.
    pub(super) fn send_flights(&self, gpu: &Gpu, copy: &Stream) -> Result<(), Fault> {
        Ok(gpu.upload_to(copy, &self.packed, &self.flights)?)
    }

    /// Sends the flights and their waypoints; the range of their pressures.
    pub(super) fn send(
        &self,
        gpu: &Gpu,
        copy: &Stream,
        flights: Flights<'_>,
        chosen: &[(usize, Clock)],
    ) -> Result<(f64, f64), Fault> {
        self.send_flights(gpu, copy)?;
        let (mut reach, mut from) = (NOWHERE, 0);
        while from < chosen.len() {
            let mut to = from + 1;
            let mut waypoints = self.packed[from].len as usize;
            while to < chosen.len() && waypoints + self.packed[to].len as usize <= WAYPOINTS_AT_A_TIME {
                waypoints += self.packed[to].len as usize;
                to += 1;
            }
            reach = wider(reach, self.send_some(gpu, copy, flights, &chosen[from..to], (from, waypoints))?);
            from = to;
        }
        Ok(reach)
    }

    /// The waypoints of a run of flights, the first of which is flight `from`
    /// on the device, through one pinned buffer.
    fn send_some(
        &self,
        gpu: &Gpu,
        copy: &Stream,
        flights: Flights<'_>,
        chosen: &[(usize, Clock)],
        (from, waypoints): (usize, usize),
    ) -> Result<(f64, f64), Fault> {
        let lens: Vec<(usize, usize)> = chosen
            .iter()
            .zip(&self.packed[from..])
            .map(|((_, clock), flight)| (flight.len as usize, clock.column_len(flight.len as usize)))
            .collect();
        let times: usize = lens.iter().map(|(_, times)| times).sum();
        let mut chunk = gpu.chunk()?;
        let numbers = chunk.items_mut::<u32>(3 * waypoints + times);
        let (longitude, rest) = numbers.split_at_mut(waypoints);
        let (latitude, rest) = rest.split_at_mut(waypoints);
        let (pressure, time) = rest.split_at_mut(waypoints);
        let mut columns = [longitude, latitude, pressure, time];
        let mut pieces = Vec::with_capacity(chosen.len());
        for ((index, clock), (len, times)) in chosen.iter().zip(&lens) {
            let mut cut = |column: usize, len: usize| {
                let (piece, rest) = std::mem::take(&mut columns[column]).split_at_mut(len);
                columns[column] = rest;
                piece
            };
            let piece = Columns {
                longitude: bytemuck::cast_slice_mut(cut(0, *len)),
                latitude: bytemuck::cast_slice_mut(cut(1, *len)),
                pressure: cut(2, *len),
                time: cut(3, *times),
            };
            pieces.push((piece, *index, *clock));
        }
        let reach = pieces
            .into_par_iter()
            .with_min_len(8)
            .map(|(mut piece, index, clock)| {
                let Some(flight) = flights.fleet.get(index) else { return NOWHERE };
                piece.fill(&flight, &flights.phases[index], &clock);
                flight.pressure_pa.iter().fold(NOWHERE, |reach, &p| wider(reach, (p, p)))
            })
            .reduce(|| NOWHERE, wider);
        let at = self.packed[from].first_waypoint as usize * 4;
        let timed = chosen.iter().zip(&self.packed[from..]).find(|((_, clock), _)| clock.column_len(1) > 0);
        let at_time = timed.map_or(0, |(_, flight)| flight.time as usize * 4);
        let part = |from: usize, to, at| Part { from: from * 4, bytes: waypoints * 4, to, at };
        let parts = [
            part(0, self.longitude.memory(), at),
            part(waypoints, self.latitude.memory(), at),
            part(2 * waypoints, self.pressure.memory(), at),
            Part { bytes: times * 4, ..part(3 * waypoints, self.time.memory(), at_time) },
        ];
        gpu.add(|trace| trace.waypoint_bytes += (3 * waypoints + times) as u64 * 4);
        gpu.in_flight(copy.upload(chunk, &parts)?);
        Ok(reach)
    }
}

/// Flights near each other one after another: their warps find the corners of
/// their neighbours in the cache.
pub(super) fn place_order(flights: Flights<'_>, chosen: &[(usize, Clock)]) -> Vec<u32> {
    /// Degrees of latitude and longitude that count as near.
    const TILE_DEG: f64 = 10.0;
    let key = |index: usize| {
        let flight = flights.fleet.get(index)?;
        let tile = |degrees: f64| (degrees / TILE_DEG).floor();
        #[expect(clippy::cast_possible_truncation, reason = "few tiles")]
        let place = (tile(flight.latitude_deg[0]) as i32, tile(flight.longitude_deg[0]) as i32);
        Some((place, flight.start_s().to_bits()))
    };
    #[expect(clippy::cast_possible_truncation, reason = "fewer than 2^32 flights")]
    let mut order: Vec<(_, u32)> =
        chosen.par_iter().enumerate().map(|(i, (index, _))| (key(*index), i as u32)).collect();
    order.par_sort_unstable();
    order.into_iter().map(|(_, i)| i).collect()
}
