//! The flights of a session that one device computes.
//!
//! Waypoints go up once; windows come one after another, each a launch over
//! the flights that have samples in it; figures come down at the end. While a
//! window is computed the next one's fields are sent.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytemuck::Zeroable as _;
use rayon::prelude::*;

use super::{
    bands::{self, Reach},
    columns::{DeviceColumns, place_order},
    device::{Event, InFlight, Stream},
    gpu::{CHUNK, Fault, Gpu, Kernels, Lease},
    layout::{self, Evaluation, PHASES, State, WARPS_PER_BLOCK},
    program::{Precision, Specialisation, Tables, steps},
    resident::Band,
    results::flight_state,
    waypoints::Clock,
};
use crate::{
    compute::{Window, run::Flights, state::FlightState},
    exposure::program::Program,
    field::slab::{Slab, padded},
};

/// Flights on one device.
pub(super) struct Share<'a> {
    pub gpu: Arc<Gpu>,
    program: &'a Program,
    flights: Flights<'a>,
    precision: Precision,
    /// Places in the fleet, in the order of the device's columns.
    pub chosen: Vec<usize>,
    /// In the order in which warps take them.
    order: Vec<u32>,
    /// Pressures that the flights touch.
    reach_pa: (f64, f64),
    compute: Stream,
    copy: Stream,
    columns: DeviceColumns,
    output: DeviceOutput,
    prepared: Option<Prepared>,
    /// Up to which instant samples are taken.
    done_s: f64,
    /// Whether a slab so far had a value missing.
    has_missing: bool,
    launched: VecDeque<Launch>,
    /// Fields that this share sent.
    sent: Vec<Arc<Band>>,
    /// Of the last window.
    kernels: Option<Arc<Kernels>>,
}

/// Figures in device memory.
struct DeviceOutput {
    states: Lease,
    previous: Lease,
    figures: Lease,
}

/// What follows from the first window.
struct Prepared {
    tables: Lease,
    grid: layout::Grid,
    steps: layout::Steps,
    program: layout::Program,
    times: (u32, u32),
    history: Option<History>,
}

/// All samples of the lanes that have a rolling window.
struct History {
    counts: Lease,
    time: Lease,
    value: Lease,
    integral: Lease,
    len: u64,
    rolling: Lease,
}

/// A kernel on its way, and what it reads.
struct Launch {
    started: Event,
    done: Event,
    _bands: Vec<Arc<Band>>,
    _tables: [Lease; 2],
}

/// Blocks of a launch with a warp an item.
fn blocks(items: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "fewer than 2^32 flights")]
    let items = items as u32;
    items.div_ceil(WARPS_PER_BLOCK)
}

impl<'a> Share<'a> {
    /// Sends the waypoints of the flights `chosen`, of which each has a clock.
    pub(super) fn begin(
        gpu: &Arc<Gpu>,
        program: &'a Program,
        flights: Flights<'a>,
        chosen: &[(usize, Clock)],
        precision: Precision,
    ) -> Result<Self, Fault> {
        let count = chosen.len();
        let stride = Tables::default().program(program).stride as usize;
        let width = padded(program.channels()).unwrap_or(layout::MOST_CHANNELS);
        let output = DeviceOutput {
            states: gpu.memory(count * size_of::<State>())?,
            previous: gpu.memory(count * 2 * width * 4)?,
            figures: gpu.memory(count * PHASES * stride * 8)?,
        };
        let mut share = Self {
            gpu: gpu.clone(),
            program,
            flights,
            precision,
            order: place_order(flights, chosen),
            chosen: chosen.iter().map(|(index, _)| *index).collect(),
            reach_pa: (f64::INFINITY, f64::NEG_INFINITY),
            compute: Stream::new(&gpu.device)?,
            copy: Stream::new(&gpu.device)?,
            columns: DeviceColumns::new(gpu, flights, chosen)?,
            output,
            prepared: None,
            done_s: f64::NEG_INFINITY,
            has_missing: false,
            launched: VecDeque::new(),
            sent: Vec::new(),
            kernels: None,
        };
        // From here on there is work on its way, which `drop` waits for.
        share.compute.zero(share.output.states.memory())?;
        share.reach_pa = share.columns.send(gpu, &share.copy, flights, chosen)?;
        share.compute.wait_for(&share.copy.record()?)?;
        Ok(share)
    }

    /// Takes the samples of a window.
    pub(super) fn advance(&mut self, window: &Window<'_>) -> Result<(), Fault> {
        if self.prepared.is_none() {
            self.prepare(window)?;
        }
        let count = window.slabs.len();
        if count < 3 || self.fits(window, count) {
            return self.advance_part(window);
        }
        // A field larger than the memory for it: two times at a time.
        for first in 0..count - 1 {
            let part = Window { first: window.first + first, slabs: &window.slabs[first..first + 2], ..*window };
            self.advance_part(&part)?;
        }
        Ok(())
    }

    /// Tables, and the history where there are rolling peaks.
    fn prepare(&mut self, window: &Window<'_>) -> Result<(), Fault> {
        let mut tables = Tables::default();
        let (grid, program) = (tables.grid(window), tables.program(self.program));
        let times = tables.times(window.times_s);
        let tables = self.gpu.upload(&self.copy, &tables.0)?;
        self.compute.wait_for(&self.copy.record()?)?;
        self.prepared =
            Some(Prepared { tables, grid, steps: steps(self.program, window), program, times, history: None });
        if program.rolling > 0 {
            let history = self.history(window, program.rolling as usize)?;
            if let Some(prepared) = &mut self.prepared {
                prepared.history = Some(history);
            }
        }
        Ok(())
    }

    /// Counts the samples of each flight and makes room for them.
    fn history(&mut self, window: &Window<'_>, lanes: usize) -> Result<History, Fault> {
        let flights = self.chosen.len();
        let counts = self.gpu.memory(flights * 4)?;
        let mut argument = self.argument();
        argument.output.counts = counts.address();
        self.compute.launch(&self.kernels(window)?.count, blocks(flights), &argument)?;
        self.compute.record()?.wait(self.gpu.watchdog)?;
        let mut len = 0_u32;
        for (flight, count) in
            self.columns.packed.iter_mut().zip(self.gpu.download::<u32>(&self.compute, &counts, flights)?)
        {
            flight.history = len;
            len = len.checked_add(count).ok_or_else(|| Fault::too_much("more than 2^32 samples for rolling peaks"))?;
        }
        self.columns.send_flights(&self.gpu, &self.copy)?;
        self.compute.wait_for(&self.copy.record()?)?;
        let samples = len as usize;
        Ok(History {
            counts,
            time: self.gpu.memory(samples * 8)?,
            value: self.gpu.memory(samples * lanes * 4)?,
            integral: self.gpu.memory(samples * lanes * 8)?,
            len: u64::from(len),
            rolling: self.gpu.memory(flights * lanes * 8)?,
        })
    }

    fn kernels(&self, window: &Window<'_>) -> Result<Arc<Kernels>, Fault> {
        let levels = &window.grid.levels;
        self.gpu.kernels(Specialisation::new(self.program, levels, self.precision, self.has_missing))
    }

    /// Bytes of a level of a slab.
    fn plane_bytes(&self, window: &Window<'_>) -> usize {
        let points = window.grid.latitude.len() * window.grid.longitude.columns();
        window.slabs.first().map_or(0, |slab| points * slab.channels() * self.precision.bytes())
    }

    /// The levels that the flights touch.
    fn levels(&self, window: &Window<'_>) -> Range<usize> {
        let reach =
            Reach { low_pa: self.reach_pa.0, high_pa: self.reach_pa.1, surface_pa: surface_range(window.slabs) };
        bands::levels(&window.grid.levels, &reach)
    }

    /// Whether `count` slabs may be in memory at a time.
    fn fits(&self, window: &Window<'_>, count: usize) -> bool {
        count * self.levels(window).len() * self.plane_bytes(window) <= self.gpu.budget
    }

    fn advance_part(&mut self, window: &Window<'_>) -> Result<(), Fault> {
        self.has_missing |= window.slabs.iter().any(|slab| slab.has_missing());
        let end_s = window.end_s();
        let due = self.due(end_s);
        self.done_s = end_s;
        if due.is_empty() {
            return Ok(());
        }
        if self.fits(window, window.slabs.len()) {
            return self.launch(window, &self.levels(window), &due);
        }
        let most = self.gpu.budget / (window.slabs.len() * self.plane_bytes(window)).max(1);
        let surface_pa = surface_range(window.slabs);
        let start_s = window.times_s[window.first];
        let needs: Vec<(u32, Range<usize>)> =
            due.iter().map(|&flight| (flight, self.levels_of(window, flight, (start_s, end_s), surface_pa))).collect();
        let groups = bands::group(&needs, most).ok_or_else(|| {
            Fault::too_much("the levels that one flight needs of two times of the field do not fit into device memory")
        })?;
        for (levels, flights) in groups {
            self.launch(window, &levels, &flights)?;
        }
        Ok(())
    }

    /// Flights that may have samples before `end_s` that were not taken.
    fn due(&self, end_s: f64) -> Vec<u32> {
        let fleet = self.flights.fleet;
        let is_due = |flight: &u32| {
            let flight = fleet.get(self.chosen[*flight as usize]);
            flight.is_some_and(|f| f.start_s() < end_s && f.end_s() >= self.done_s)
        };
        self.order.iter().copied().filter(is_due).collect()
    }

    /// The levels that one flight needs in an interval of time.
    fn levels_of(
        &self,
        window: &Window<'_>,
        flight: u32,
        (start_s, end_s): (f64, f64),
        surface_pa: (f64, f64),
    ) -> Range<usize> {
        let Some(flight) = self.flights.fleet.get(self.chosen[flight as usize]) else { return 0..1 };
        let from = flight.time_s.partition_point(|&t| t <= start_s).saturating_sub(2);
        let to = (flight.time_s.partition_point(|&t| t < end_s) + 1).min(flight.len());
        let (low_pa, high_pa) = flight.pressure_pa[from..to]
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &p| (low.min(p), high.max(p)));
        bands::levels(&window.grid.levels, &Reach { low_pa, high_pa, surface_pa })
    }

    fn launch(&mut self, window: &Window<'_>, levels: &Range<usize>, flights: &[u32]) -> Result<(), Fault> {
        let bands = self.bands(window, levels)?;
        let kernels = self.kernels(window)?;
        let slabs: Vec<layout::Slab> = bands.iter().map(|band| band.layout()).collect();
        let slabs = self.gpu.upload(&self.copy, &slabs)?;
        let order = self.gpu.upload(&self.copy, flights)?;
        self.compute.wait_for(&self.copy.record()?)?;
        for band in &bands {
            // Another session may have sent it.
            self.compute.wait_for(&band.ready)?;
        }
        let mut argument = self.argument();
        argument.fleet.order = order.address();
        argument.fleet.count = u32::try_from(flights.len()).unwrap_or(u32::MAX);
        argument.field.slabs = slabs.address();
        #[expect(clippy::cast_possible_truncation, reason = "fields have few times")]
        {
            argument.field.first = window.first as u32;
            argument.field.slabs_len = window.slabs.len() as u32;
        }
        let started = self.compute.record()?;
        self.compute.launch(&kernels.evaluate, blocks(flights.len()), &argument)?;
        let done = self.compute.record()?;
        self.launched.push_back(Launch { started, done, _bands: bands, _tables: [slabs, order] });
        self.kernels = Some(kernels);
        // A launch that is done needs its fields no more.
        while self.launched.len() > 2 {
            self.retire()?;
        }
        Ok(())
    }

    /// The fields of a window; where they do not fit beside those of launches
    /// on their way, these are waited for.
    fn bands(&mut self, window: &Window<'_>, levels: &Range<usize>) -> Result<Vec<Arc<Band>>, Fault> {
        let plane_points = window.grid.latitude.len() * window.grid.longitude.columns();
        loop {
            let gpu = &self.gpu;
            let all: Result<Vec<_>, _> = window
                .slabs
                .iter()
                .map(|slab| gpu.band(&self.copy, slab, (levels, plane_points), self.precision))
                .collect();
            match all {
                Ok(bands) => {
                    self.sent.extend(bands.iter().filter(|(_, fresh)| *fresh).map(|(band, _)| band.clone()));
                    return Ok(bands.into_iter().map(|(band, _)| band).collect());
                }
                Err(fault) => {
                    let fault = Fault::from(fault);
                    self.settle_uploads()?;
                    if !fault.is_out_of_memory() || !self.retire()? {
                        return Err(fault);
                    }
                }
            }
        }
    }

    /// Waits for the oldest launch; false where there is none.
    fn retire(&mut self) -> Result<bool, Fault> {
        let Some(launch) = self.launched.pop_front() else { return Ok(false) };
        launch.done.wait(self.gpu.watchdog)?;
        let seconds = launch.started.seconds_to(&launch.done)?;
        self.gpu.add(|trace| trace.kernels_s += seconds);
        Ok(true)
    }

    /// Waits for all uploads, and lets go of their fields.
    fn settle_uploads(&mut self) -> Result<(), Fault> {
        for band in std::mem::take(&mut self.sent) {
            band.ready.wait(self.gpu.watchdog)?;
            let seconds = band.started.seconds_to(&band.ready)?;
            self.gpu.add(|trace| trace.uploads_s += seconds);
        }
        Ok(())
    }

    /// What all kernels take, all flights in order.
    fn argument(&self) -> Evaluation {
        let mut argument = Evaluation::zeroed();
        argument.fleet.flights = self.columns.flights.address();
        argument.fleet.anchors = self.columns.anchors.address();
        argument.fleet.longitude = self.columns.longitude.address();
        argument.fleet.latitude = self.columns.latitude.address();
        argument.fleet.pressure = self.columns.pressure.address();
        argument.fleet.time = self.columns.time.address();
        argument.fleet.count = u32::try_from(self.chosen.len()).unwrap_or(u32::MAX);
        argument.output.states = self.output.states.address();
        argument.output.previous = self.output.previous.address();
        argument.output.figures = self.output.figures.address();
        if let Some(prepared) = &self.prepared {
            argument.tables = prepared.tables.address();
            (argument.grid, argument.steps, argument.program) = (prepared.grid, prepared.steps, prepared.program);
            (argument.field.times, argument.field.times_len) = prepared.times;
            if let Some(history) = &prepared.history {
                argument.output.counts = history.counts.address();
                argument.output.history_time = history.time.address();
                argument.output.history_value = history.value.address();
                argument.output.history_integral = history.integral.address();
                argument.output.history_len = history.len;
                argument.output.rolling = history.rolling.address();
            }
        }
        argument
    }

    /// The state of each flight after the last window, in the order of
    /// `chosen`.
    pub(super) fn finish(&mut self) -> Result<Vec<FlightState>, Fault> {
        let count = self.chosen.len();
        let (Some(program), Some(kernels)) = (self.prepared.as_ref().map(|p| p.program), self.kernels.clone()) else {
            return Ok((0..count).map(|_| FlightState::new(self.program)).collect());
        };
        let lanes = program.rolling as usize;
        if lanes > 0 {
            self.compute.launch(&kernels.roll, blocks(count * lanes), &self.argument())?;
        }
        while self.retire()? {}
        self.settle_uploads()?;
        let rolling = match self.prepared.as_ref().and_then(|p| p.history.as_ref()) {
            Some(history) => self.gpu.download::<f64>(&self.compute, &history.rolling, count * lanes)?,
            None => Vec::new(),
        };
        let states = self.gpu.download::<State>(&self.compute, &self.output.states, count)?;
        let set = PHASES * program.stride as usize;
        let at_a_time = (CHUNK / 8 / set).max(1);
        let mut all = Vec::with_capacity(count);
        let mut next = Some(self.figures(0, at_a_time.min(count), set)?);
        while let Some(copy) = next {
            let from = all.len();
            let some = at_a_time.min(count - from);
            let left = count - from - some;
            next = if left > 0 { Some(self.figures(from + some, at_a_time.min(left), set)?) } else { None };
            let chunk = copy.wait(self.gpu.watchdog)?;
            let figures = chunk.items::<f64>(some * set);
            let made =
                figures.par_chunks(set).zip(states[from..].par_iter()).enumerate().map(|(i, (figures, state))| {
                    let rolling = rolling.get((from + i) * lanes..(from + i + 1) * lanes).unwrap_or_default();
                    flight_state(self.program, state, figures, rolling)
                });
            all.par_extend(made);
            self.gpu.give_back(chunk);
        }
        self.gpu.add(|trace| trace.result_bytes += (count * (size_of::<State>() + 8 * (set + lanes))) as u64);
        Ok(all)
    }

    /// Figures of a run of flights on their way back.
    fn figures(&self, from: usize, count: usize, set: usize) -> Result<InFlight, Fault> {
        let chunk = self.gpu.chunk()?;
        Ok(self.compute.download(self.output.figures.memory(), from * set * 8, count * set * 8, chunk)?)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        // Memory goes back to where others take it from: nothing may be on its
        // way any more. A device that does not answer is lost, and its memory
        // with it.
        for stream in [&self.copy, &self.compute] {
            if let Ok(last) = stream.record() {
                let _ = last.wait(self.gpu.watchdog);
            }
        }
    }
}

/// Lowest and highest surface pressure of slabs \[Pa\].
fn surface_range(slabs: &[Arc<Slab>]) -> (f64, f64) {
    let values = slabs.iter().flat_map(|slab| slab.surface_pa());
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &p| (low.min(p), high.max(p)));
    (f64::from(low), f64::from(high))
}
