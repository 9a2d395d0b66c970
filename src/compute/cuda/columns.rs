//! The waypoints of flights in device memory, and their way there.

use rayon::prelude::*;

use super::{
    device::{Part, Stream},
    gpu::{CHUNK, Fault, Gpu, Lease},
    layout::{ANCHORED, Anchor, Flight},
    waypoints::{Clock, Columns},
};
use crate::compute::run::Flights;

/// Waypoints that a flight has at most: they are sent at once.
pub(super) const MOST_WAYPOINTS: usize = CHUNK / 18;

/// Numbers of four bytes in an [`Anchor`].
const ANCHOR: usize = size_of::<Anchor>() / 4;

/// Bytes that the waypoints of a flight take at most.
fn bytes(flight: &Flight) -> usize {
    let len = flight.len as usize;
    16 * len + size_of::<Anchor>() * len.div_ceil(ANCHORED)
}

/// The range of no pressures.
const NOWHERE: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

/// Waypoints in device memory.
pub(super) struct DeviceColumns {
    /// As the device has them.
    pub packed: Vec<Flight>,
    pub flights: Lease,
    pub anchors: Lease,
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
        let (mut packed, mut waypoints, mut times, mut anchors) =
            (Vec::with_capacity(chosen.len()), 0_u32, 0_u32, 0_u32);
        for (index, clock) in chosen {
            let len = flights.fleet.get(*index).map_or(0, |f| f.len());
            packed.push(clock.flight(len, waypoints, times, anchors));
            let more = |sum: u32, n: usize| u32::try_from(n).ok().and_then(|n| sum.checked_add(n));
            let sums = more(waypoints, len).zip(more(times, clock.column_len(len)));
            (waypoints, times) = sums.ok_or_else(|| Fault::too_much("more than 2^32 waypoints"))?;
            // No more than waypoints.
            anchors += u32::try_from(len.div_ceil(ANCHORED)).unwrap_or(0);
        }
        let column = |len: u32| gpu.memory(len as usize * 4);
        Ok(Self {
            flights: gpu.memory(packed.len() * size_of::<Flight>())?,
            anchors: gpu.memory(anchors as usize * size_of::<Anchor>())?,
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
            let (mut to, mut size) = (from, 0);
            while to < chosen.len() && (to == from || size + bytes(&self.packed[to]) <= CHUNK) {
                size += bytes(&self.packed[to]);
                to += 1;
            }
            reach = wider(reach, self.send_some(gpu, copy, flights, &chosen[from..to], from)?);
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
        from: usize,
    ) -> Result<(f64, f64), Fault> {
        let lens: Vec<(usize, usize)> = chosen
            .iter()
            .zip(&self.packed[from..])
            .map(|((_, clock), flight)| (flight.len as usize, clock.column_len(flight.len as usize)))
            .collect();
        let sum = |of: &dyn Fn(&(usize, usize)) -> usize| lens.iter().map(of).sum::<usize>();
        let (waypoints, times) = (sum(&|(len, _)| *len), sum(&|(_, times)| *times));
        // In front, where they are aligned.
        let anchors = ANCHOR * sum(&|(len, _)| len.div_ceil(ANCHORED));
        let mut chunk = gpu.chunk()?;
        let numbers = chunk.items_mut::<u32>(anchors + 3 * waypoints + times);
        let (anchor, rest) = numbers.split_at_mut(anchors);
        let (longitude, rest) = rest.split_at_mut(waypoints);
        let (latitude, rest) = rest.split_at_mut(waypoints);
        let (pressure, time) = rest.split_at_mut(waypoints);
        let mut columns = [longitude, latitude, pressure, time, anchor];
        let mut pieces = Vec::with_capacity(chosen.len());
        for ((index, clock), (len, times)) in chosen.iter().zip(&lens) {
            let mut cut = |column: usize, len: usize| {
                let (piece, rest) = std::mem::take(&mut columns[column]).split_at_mut(len);
                columns[column] = rest;
                piece
            };
            let piece = Columns {
                anchors: bytemuck::cast_slice_mut(cut(4, ANCHOR * len.div_ceil(ANCHORED))),
                longitude: cut(0, *len),
                latitude: cut(1, *len),
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
        let at_anchor = self.packed[from].anchor as usize * size_of::<Anchor>();
        let part = |from: usize, to, at| Part { from: (anchors + from) * 4, bytes: waypoints * 4, to, at };
        let parts = [
            Part { from: 0, bytes: anchors * 4, to: self.anchors.memory(), at: at_anchor },
            part(0, self.longitude.memory(), at),
            part(waypoints, self.latitude.memory(), at),
            part(2 * waypoints, self.pressure.memory(), at),
            Part { bytes: times * 4, ..part(3 * waypoints, self.time.memory(), at_time) },
        ];
        gpu.add(|trace| trace.waypoint_bytes += (anchors + 3 * waypoints + times) as u64 * 4);
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
