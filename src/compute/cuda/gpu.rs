//! One device and what its sessions share: memory that was used before, pinned
//! buffers, compiled kernels, fields.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytemuck::Pod;
use rayon::prelude::*;

use super::{
    cubins::Cubins,
    device::{Device, InFlight, Kernel, Memory, Module, Part, Pinned, Stream},
    driver::{DriverError, Kind},
    half,
    layout::{Address, MOST_CHANNELS, entry},
    nvrtc::Compiler,
    program::{Precision, Specialisation},
    resident::{Band, Resident},
    sources,
};
use crate::field::slab::Slab;

/// Bytes of a pinned buffer: long enough for the bus to run at full speed,
/// short enough that filling one hides behind sending another.
pub(super) const CHUNK: usize = 16 << 20;
/// Pinned buffers that a device keeps.
const CHUNKS: usize = 6;
/// Memory is taken in multiples of this, so that it is of use again.
const GRAIN: usize = 64 << 10;

/// Why a device gave up.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Driver(#[from] DriverError),
    #[error("{0}")]
    Compile(String),
    #[error("{0}")]
    Other(String),
}

impl Fault {
    /// What does not fit into device memory.
    pub(super) fn too_much(what: &str) -> Self {
        DriverError { call: "device memory", what: what.to_owned(), kind: Kind::OutOfMemory }.into()
    }

    pub(super) fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Driver(DriverError { kind: Kind::OutOfMemory, .. }))
    }
}

/// The kernels of one specialisation.
pub(super) struct Kernels {
    pub count: Kernel,
    pub evaluate: Kernel,
    pub roll: Kernel,
}

/// What a device did: for benches and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trace {
    /// Time in kernels \[s\], by the device's clock.
    pub kernels_s: f64,
    /// Time from the first to the last byte of each upload of fields \[s\].
    pub uploads_s: f64,
    /// Bytes of fields sent to the device.
    pub field_bytes: u64,
    /// Bytes of waypoints and tables sent to the device.
    pub waypoint_bytes: u64,
    /// Bytes of figures brought back.
    pub result_bytes: u64,
    /// Flights that the CPU computed too, to check.
    pub checked: u64,
    /// Largest relative difference of a dosage among them.
    pub largest_difference: f64,
}

impl Trace {
    /// Both.
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            kernels_s: self.kernels_s + other.kernels_s,
            uploads_s: self.uploads_s + other.uploads_s,
            field_bytes: self.field_bytes + other.field_bytes,
            waypoint_bytes: self.waypoint_bytes + other.waypoint_bytes,
            result_bytes: self.result_bytes + other.result_bytes,
            checked: self.checked + other.checked,
            largest_difference: self.largest_difference.max(other.largest_difference),
        }
    }
}

/// A device with what its sessions share.
pub(super) struct Gpu {
    pub device: Arc<Device>,
    compiler: Compiler,
    cubins: Cubins,
    kernels: Mutex<HashMap<Specialisation, Arc<Kernels>>>,
    /// Memory that was used before.
    free: Arc<Mutex<Vec<Memory>>>,
    staging: Mutex<Staging>,
    resident: Mutex<Resident>,
    trace: Mutex<Trace>,
    /// No wait is longer.
    pub watchdog: Duration,
    /// For fields \[bytes\].
    pub budget: usize,
}

/// Device memory that goes back to its device's free list.
pub(super) struct Lease {
    free: Arc<Mutex<Vec<Memory>>>,
    /// There until it is given back.
    memory: Option<Memory>,
}

/// Pinned buffers.
#[derive(Default)]
struct Staging {
    free: Vec<Pinned>,
    busy: VecDeque<InFlight>,
    made: usize,
}

/// The lock, whatever became of another thread that held it: what these guard
/// is whole between statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    pub(super) fn new(
        device: Arc<Device>,
        compiler: Compiler,
        cubins: Cubins,
        watchdog: Duration,
        share: f64,
    ) -> Result<Arc<Self>, DriverError> {
        let (free, _) = device.memory()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of what is free")]
        let budget = (free as f64 * share) as usize;
        Ok(Arc::new(Self {
            device,
            compiler,
            cubins,
            kernels: Mutex::default(),
            free: Arc::default(),
            staging: Mutex::default(),
            resident: Mutex::default(),
            trace: Mutex::default(),
            watchdog,
            budget,
        }))
    }

    /// The kernels of a specialisation, compiled on first use.
    pub(super) fn kernels(&self, specialisation: Specialisation) -> Result<Arc<Kernels>, Fault> {
        let mut kernels = lock(&self.kernels);
        if let Some(found) = kernels.get(&specialisation) {
            return Ok(found.clone());
        }
        let target = self.compiler.target(self.device.info.capability).map_err(Fault::Compile)?;
        let mut options: Vec<String> = sources::OPTIONS.iter().map(|&o| o.to_owned()).collect();
        options.extend(specialisation.options());
        let code = self
            .cubins
            .code(&self.compiler, sources::EXPOSURE, &options, target)
            .map_err(|fault| Fault::Compile(fault.to_string()))?;
        let module = Module::load(&self.device, &code)?;
        let loaded = Arc::new(Kernels {
            count: module.kernel(entry::COUNT)?,
            evaluate: module.kernel(entry::EVALUATE)?,
            roll: module.kernel(entry::ROLL)?,
        });
        kernels.insert(specialisation, loaded.clone());
        Ok(loaded)
    }

    /// Device memory: what is free already, else new, else what fields give
    /// up.
    pub(super) fn memory(&self, bytes: usize) -> Result<Lease, DriverError> {
        let bytes = bytes.max(1).next_multiple_of(GRAIN);
        loop {
            if let Some(memory) = self.reuse(bytes) {
                return Ok(self.lease(memory));
            }
            match Memory::new(&self.device, bytes) {
                Ok(memory) => return Ok(self.lease(memory)),
                Err(fault) if fault.kind == Kind::OutOfMemory && self.make_room() => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    fn lease(&self, memory: Memory) -> Lease {
        Lease { free: self.free.clone(), memory: Some(memory) }
    }

    /// The smallest free memory that is long enough and not much too long.
    fn reuse(&self, bytes: usize) -> Option<Memory> {
        let mut free = lock(&self.free);
        let fits = free.iter().enumerate().filter(|(_, m)| m.bytes() >= bytes && m.bytes() <= bytes + bytes / 8);
        let (index, _) = fits.min_by_key(|(_, m)| m.bytes())?;
        Some(free.swap_remove(index))
    }

    /// Frees what is not in use; false where there is nothing.
    fn make_room(&self) -> bool {
        let freed = std::mem::take(&mut *lock(&self.free));
        if !freed.is_empty() {
            return true;
        }
        // Its memory goes to the free list, and from there to the driver.
        let given_up = lock(&self.resident).give_up_one();
        given_up.is_some()
    }

    /// A pinned buffer of [`CHUNK`] bytes.
    pub(super) fn chunk(&self) -> Result<Pinned, DriverError> {
        let oldest = {
            let mut staging = lock(&self.staging);
            if let Some(free) = staging.free.pop() {
                return Ok(free);
            }
            if staging.made >= CHUNKS { staging.busy.pop_front() } else { None }
        };
        if let Some(copy) = oldest {
            return copy.wait(self.watchdog);
        }
        lock(&self.staging).made += 1;
        Pinned::new(&self.device, CHUNK)
    }

    /// Takes a buffer back, to be used again once its copy is done.
    pub(super) fn in_flight(&self, copy: InFlight) {
        lock(&self.staging).busy.push_back(copy);
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&self, chunk: Pinned) {
        lock(&self.staging).free.push(chunk);
    }

    /// Items to new device memory.
    pub(super) fn upload<T: Pod>(&self, stream: &Stream, items: &[T]) -> Result<Lease, DriverError> {
        let lease = self.memory(size_of_val(items))?;
        self.upload_to(stream, items, &lease)?;
        Ok(lease)
    }

    /// Items to the beginning of device memory.
    pub(super) fn upload_to<T: Pod>(&self, stream: &Stream, items: &[T], to: &Lease) -> Result<(), DriverError> {
        for (i, piece) in items.chunks((CHUNK / size_of::<T>()).max(1)).enumerate() {
            let mut chunk = self.chunk()?;
            chunk.items_mut(piece.len()).copy_from_slice(piece);
            let part = Part { from: 0, bytes: size_of_val(piece), to: to.memory(), at: i * CHUNK };
            self.in_flight(stream.upload(chunk, &[part])?);
        }
        Ok(())
    }

    /// The first `len` items of device memory.
    pub(super) fn download<T: Pod>(&self, stream: &Stream, from: &Lease, len: usize) -> Result<Vec<T>, DriverError> {
        let mut items = Vec::with_capacity(len);
        let most = CHUNK / size_of::<T>();
        while items.len() < len {
            let count = most.min(len - items.len());
            let at = items.len() * size_of::<T>();
            let copy = stream.download(from.memory(), at, count * size_of::<T>(), self.chunk()?)?;
            let chunk = copy.wait(self.watchdog)?;
            items.extend_from_slice(chunk.items(count));
            self.give_back(chunk);
        }
        Ok(items)
    }

    /// Levels of a slab in device memory, sent there where they are not; and
    /// whether they were.
    pub(super) fn band(
        self: &Arc<Self>,
        stream: &Stream,
        slab: &Arc<Slab>,
        (levels, plane_points): (&Range<usize>, usize),
        precision: Precision,
    ) -> Result<(Arc<Band>, bool), DriverError> {
        if let Some(found) = lock(&self.resident).find(slab, precision, levels) {
            return Ok((found, false));
        }
        let plane = plane_points * slab.channels();
        let values = &slab.values()[levels.start * plane..levels.end * plane];
        let bytes = values.len() * precision.bytes();
        while lock(&self.resident).bytes() + bytes > self.budget {
            let given_up = lock(&self.resident).give_up_one();
            if given_up.is_none() {
                let what = format!("fields are held to {} MB", self.budget / 1_000_000);
                return Err(DriverError { call: "a field", what, kind: Kind::OutOfMemory });
            }
        }
        let memory = self.memory(bytes)?;
        let surface = slab.surface_pa();
        let surface = if surface.is_empty() { None } else { Some(self.upload(stream, surface)?) };
        let started = stream.record()?;
        let scale = self.send(stream, values, slab.channels(), precision, &memory)?;
        let ready = stream.record()?;
        self.add(|trace| trace.field_bytes += bytes as u64);
        let band = Arc::new(Band {
            slab: Arc::downgrade(slab),
            precision,
            levels: levels.clone(),
            plane_bytes: plane * precision.bytes(),
            values: memory,
            surface,
            scale,
            started,
            ready,
        });
        lock(&self.resident).insert(band.clone());
        Ok((band, true))
    }

    /// Values to device memory, chunk by chunk: while one is sent, the next is
    /// filled.
    fn send(
        &self,
        stream: &Stream,
        values: &[f32],
        channels: usize,
        precision: Precision,
        to: &Lease,
    ) -> Result<[f32; MOST_CHANNELS], DriverError> {
        let scales = match precision {
            Precision::Float32 => [1.0; MOST_CHANNELS],
            Precision::Float16 => half::scales(values, channels),
        };
        // Whole points, of which each has its channels.
        let most = CHUNK / precision.bytes() / channels * channels;
        for (i, piece) in values.chunks(most).enumerate() {
            let mut chunk = self.chunk()?;
            match precision {
                Precision::Float32 => {
                    let out = chunk.items_mut::<f32>(piece.len());
                    out.par_chunks_mut(1 << 18).zip(piece.par_chunks(1 << 18)).for_each(|(o, p)| o.copy_from_slice(p));
                }
                Precision::Float16 => half::pack(piece, &scales, channels, chunk.items_mut::<u16>(piece.len())),
            }
            let bytes = piece.len() * precision.bytes();
            let part = Part { from: 0, bytes, to: to.memory(), at: i * most * precision.bytes() };
            self.in_flight(stream.upload(chunk, &[part])?);
        }
        Ok(scales)
    }

    /// Gives up all fields that no session uses; their memory is used again.
    pub(super) fn forget_fields(&self) {
        while let Some(band) = lock(&self.resident).give_up_one() {
            drop(band);
        }
    }

    /// Bytes read and written a second by copies within the device's memory.
    pub(super) fn copy_bandwidth(&self) -> Result<f64, Fault> {
        const COPIES: u32 = 20;
        let bytes = (self.budget / 4).clamp(GRAIN, 1 << 30);
        let (from, to) = (self.memory(bytes)?, self.memory(bytes)?);
        let stream = Stream::new(&self.device)?;
        stream.zero(from.memory())?;
        stream.copy(from.memory(), to.memory(), bytes)?;
        let started = stream.record()?;
        for _ in 0..COPIES {
            stream.copy(from.memory(), to.memory(), bytes)?;
        }
        let done = stream.record()?;
        done.wait(self.watchdog)?;
        Ok(2.0 * f64::from(COPIES) * bytes as f64 / started.seconds_to(&done)?)
    }

    /// Counts what was done.
    pub(super) fn add(&self, what: impl FnOnce(&mut Trace)) {
        what(&mut lock(&self.trace));
    }

    /// What was done since the last call.
    pub(super) fn take_trace(&self) -> Trace {
        std::mem::take(&mut *lock(&self.trace))
    }
}

impl Lease {
    pub(super) fn address(&self) -> Address {
        self.memory().address()
    }

    pub(super) fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            lock(&self.free).push(memory);
        }
    }
}
