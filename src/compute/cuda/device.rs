//! A device and what lives on it: memory, pinned buffers, streams, events,
//! modules. Everything frees itself; what a dead or hung device owns is left
//! behind, for the calls that free it would fail or never come back.

use std::{
    ffi::{CString, c_void},
    ptr::NonNull,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytemuck::Pod;
use cudarc::driver::sys::{self, CUresult};

use super::{
    driver::{DeviceInfo, DriverError, Kind, check, handle},
    layout::{Address, BLOCK_THREADS, Evaluation},
};

/// How long what is dropped may still be in use.
const LAST_WAIT: Duration = Duration::from_secs(10);
/// Between two looks at an event.
const SHORTEST_NAP: Duration = Duration::from_micros(20);
const LONGEST_NAP: Duration = Duration::from_millis(5);

/// A device with its context.
pub(super) struct Device {
    pub info: DeviceInfo,
    device: sys::CUdevice,
    context: sys::CUcontext,
    /// Why it is not used any more.
    lost: OnceLock<String>,
}

// SAFETY: a context may be used from any thread that makes it current, which
// `bind` does before each call.
unsafe impl Send for Device {}
// SAFETY: as above; the driver is safe to call from many threads.
unsafe impl Sync for Device {}

impl Device {
    /// Opens a device: its primary context.
    pub(super) fn open(info: DeviceInfo) -> Result<Arc<Self>, DriverError> {
        let device = handle(info.ordinal)?;
        let mut context = std::ptr::null_mut();
        // SAFETY: `device` is a handle that the driver gave.
        check("cuDevicePrimaryCtxRetain", unsafe { sys::cuDevicePrimaryCtxRetain(&raw mut context, device) })?;
        Ok(Arc::new(Self { info, device, context, lost: OnceLock::new() }))
    }

    /// Why the device is not used any more.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Never to be used again.
    pub(super) fn lose(&self, why: String) {
        let _ = self.lost.set(why);
    }

    /// Free and all memory \[bytes\].
    pub(super) fn memory(&self) -> Result<(usize, usize), DriverError> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: the context is current.
        self.call("cuMemGetInfo", || unsafe { sys::cuMemGetInfo_v2(&raw mut free, &raw mut total) })?;
        Ok((free, total))
    }

    /// Makes the context current in this thread.
    fn bind(&self) -> Result<(), DriverError> {
        if let Some(why) = self.lost() {
            return Err(DriverError { call: "the device is lost", what: why.to_owned(), kind: Kind::Other });
        }
        // SAFETY: the context is retained until `self` is dropped.
        check("cuCtxSetCurrent", unsafe { sys::cuCtxSetCurrent(self.context) })
    }

    /// A call with the context current. An error that leaves the context dead
    /// loses the device.
    fn call(&self, name: &'static str, call: impl FnOnce() -> CUresult) -> Result<(), DriverError> {
        self.bind()?;
        check(name, call()).inspect_err(|fault| {
            if fault.kind == Kind::Sticky {
                self.lose(fault.to_string());
            }
        })
    }

    /// Runs a call that frees, where the device still answers; its outcome
    /// changes nothing.
    fn release(&self, call: impl FnOnce() -> CUresult) {
        if self.bind().is_ok() {
            let _ = call();
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: nothing that lives in the context outlives it: all of it
        // holds the device.
        self.release(|| unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) });
    }
}

/// Device memory, of what was there before.
pub(super) struct Memory {
    device: Arc<Device>,
    address: Address,
    bytes: usize,
}

impl Memory {
    /// `bytes` > 0.
    pub(super) fn new(device: &Arc<Device>, bytes: usize) -> Result<Self, DriverError> {
        let mut address = 0;
        // SAFETY: the context is current.
        device.call("cuMemAlloc", || unsafe { sys::cuMemAlloc_v2(&raw mut address, bytes) })?;
        Ok(Self { device: device.clone(), address, bytes })
    }

    pub(super) fn address(&self) -> Address {
        self.address
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: from `cuMemAlloc`, freed once. The driver waits for work
        // that uses it.
        self.device.release(|| unsafe { sys::cuMemFree_v2(self.address) });
    }
}

/// Host memory that the device reads and writes by itself.
pub(super) struct Pinned {
    device: Arc<Device>,
    pointer: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it is plain memory with one owner.
unsafe impl Send for Pinned {}
// SAFETY: shared references only read it.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// `bytes` > 0, of zeros.
    pub(super) fn new(device: &Arc<Device>, bytes: usize) -> Result<Self, DriverError> {
        let mut pointer = std::ptr::null_mut::<c_void>();
        // SAFETY: the context is current. Without flags, since write-combined
        // memory is slow to read back.
        device.call("cuMemHostAlloc", || unsafe { sys::cuMemHostAlloc(&raw mut pointer, bytes, 0) })?;
        let pointer = NonNull::new(pointer.cast::<u8>()).ok_or_else(|| DriverError {
            call: "cuMemHostAlloc",
            what: "no memory and no error".to_owned(),
            kind: Kind::Other,
        })?;
        // SAFETY: just allocated, of that length.
        unsafe { pointer.write_bytes(0, bytes) };
        Ok(Self { device: device.clone(), pointer, bytes })
    }

    /// The first `len` items; the driver aligns to pages.
    pub(super) fn items<T: Pod>(&self, len: usize) -> &[T] {
        assert!(len * size_of::<T>() <= self.bytes, "within the buffer");
        // SAFETY: initialised memory of that length, aligned to a page, of a
        // type for which all bits are valid; the device does not write it
        // while this is borrowed, for copies take the buffer away.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr().cast(), len) }
    }

    /// As [`Pinned::items`], to be written.
    pub(super) fn items_mut<T: Pod>(&mut self, len: usize) -> &mut [T] {
        assert!(len * size_of::<T>() <= self.bytes, "within the buffer");
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().cast(), len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: from `cuMemHostAlloc`, freed once; no copy is in flight,
        // for a copy owns the buffer.
        self.device.release(|| unsafe { sys::cuMemFreeHost(self.pointer.as_ptr().cast()) });
    }
}

/// A pinned buffer that the device reads or writes until the event.
pub(super) struct InFlight {
    /// There until it is taken.
    buffer: Option<Pinned>,
    done: Event,
}

impl InFlight {
    /// The buffer, once the copy is done.
    pub(super) fn wait(mut self, limit: Duration) -> Result<Pinned, DriverError> {
        self.done.wait(limit)?;
        self.buffer.take().ok_or_else(|| DriverError {
            call: "waiting for a copy",
            what: "waited twice".to_owned(),
            kind: Kind::Other,
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take()
            && self.done.wait(LAST_WAIT).is_err()
        {
            // Where the copy does not end, the buffer is left to the device.
            std::mem::forget(buffer);
        }
    }
}

/// A part of a buffer, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// Where it begins \[bytes\].
    pub from: usize,
    pub bytes: usize,
    pub to: &'a Memory,
    /// Where it goes \[bytes\].
    pub at: usize,
}

/// A queue of work on a device.
pub(super) struct Stream {
    device: Arc<Device>,
    stream: sys::CUstream,
}

// SAFETY: handles may be used from any thread with the context current.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    pub(super) fn new(device: &Arc<Device>) -> Result<Self, DriverError> {
        let mut stream = std::ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: the context is current.
        device.call("cuStreamCreate", || unsafe { sys::cuStreamCreate(&raw mut stream, flags) })?;
        Ok(Self { device: device.clone(), stream })
    }

    /// Parts of `from` to where they belong.
    pub(super) fn upload(&self, from: Pinned, parts: &[Part<'_>]) -> Result<InFlight, DriverError> {
        for part in parts.iter().filter(|part| part.bytes > 0) {
            assert!(
                part.from + part.bytes <= from.bytes && part.at + part.bytes <= part.to.bytes,
                "within both buffers"
            );
            // SAFETY: both are long enough; `from` is owned by the copy until
            // its event, and the driver waits for the copy before it frees
            // `part.to`.
            let copied = self.device.call("cuMemcpyHtoDAsync", || unsafe {
                let source = from.pointer.as_ptr().add(part.from).cast();
                sys::cuMemcpyHtoDAsync_v2(part.to.address + part.at as u64, source, part.bytes, self.stream)
            });
            if let Err(fault) = copied {
                // The parts before may be in flight.
                return self.in_flight(from).and(Err(fault));
            }
        }
        self.in_flight(from)
    }

    /// `bytes` from `at` in `from`, into the beginning of `into`.
    pub(super) fn download(
        &self,
        from: &Memory,
        at: usize,
        bytes: usize,
        into: Pinned,
    ) -> Result<InFlight, DriverError> {
        assert!(at + bytes <= from.bytes && bytes <= into.bytes, "within both buffers");
        // SAFETY: as for `upload`, the other way.
        self.device.call("cuMemcpyDtoHAsync", || unsafe {
            let target = into.pointer.as_ptr().cast();
            sys::cuMemcpyDtoHAsync_v2(target, from.address + at as u64, bytes, self.stream)
        })?;
        self.in_flight(into)
    }

    fn in_flight(&self, buffer: Pinned) -> Result<InFlight, DriverError> {
        match self.record() {
            Ok(done) => Ok(InFlight { buffer: Some(buffer), done }),
            Err(fault) => {
                // A copy that cannot be waited for keeps its buffer.
                std::mem::forget(buffer);
                Err(fault)
            }
        }
    }

    /// The first `bytes` of one buffer into another on the same device.
    pub(super) fn copy(&self, from: &Memory, to: &Memory, bytes: usize) -> Result<(), DriverError> {
        assert!(bytes <= from.bytes && bytes <= to.bytes, "within both buffers");
        // SAFETY: both are long enough, and the driver frees neither before
        // the copy is done.
        self.device.call("cuMemcpyDtoDAsync", || unsafe {
            sys::cuMemcpyDtoDAsync_v2(to.address, from.address, bytes, self.stream)
        })
    }

    /// Sets all of `memory` to zero.
    pub(super) fn zero(&self, memory: &Memory) -> Result<(), DriverError> {
        // SAFETY: as long as it is.
        self.device
            .call("cuMemsetD8Async", || unsafe { sys::cuMemsetD8Async(memory.address, 0, memory.bytes, self.stream) })
    }

    /// What follows in this stream waits for the event.
    pub(super) fn wait_for(&self, event: &Event) -> Result<(), DriverError> {
        // SAFETY: both live.
        self.device.call("cuStreamWaitEvent", || unsafe { sys::cuStreamWaitEvent(self.stream, event.event, 0) })
    }

    /// An event after all that is in the stream now.
    pub(super) fn record(&self) -> Result<Event, DriverError> {
        let event = Event::new(&self.device)?;
        // SAFETY: both live, of one context.
        self.device.call("cuEventRecord", || unsafe { sys::cuEventRecord(event.event, self.stream) })?;
        Ok(event)
    }

    /// `blocks` > 0 blocks of a kernel.
    pub(super) fn launch(&self, kernel: &Kernel, blocks: u32, argument: &Evaluation) -> Result<(), DriverError> {
        let mut parameters = [std::ptr::from_ref(argument).cast_mut().cast::<c_void>()];
        // SAFETY: the kernel takes one `Evaluation`, which the driver copies
        // before it returns; that the addresses in it are of live memory long
        // enough is the caller's part, `session.rs`.
        self.device.call("cuLaunchKernel", || unsafe {
            sys::cuLaunchKernel(
                kernel.function,
                blocks,
                1,
                1,
                BLOCK_THREADS,
                1,
                1,
                0,
                self.stream,
                parameters.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once; its work goes on to its end.
        self.device.release(|| unsafe { sys::cuStreamDestroy_v2(self.stream) });
    }
}

/// A point in a stream.
pub(super) struct Event {
    device: Arc<Device>,
    event: sys::CUevent,
}

// SAFETY: as for streams.
unsafe impl Send for Event {}
// SAFETY: as for streams.
unsafe impl Sync for Event {}

impl Event {
    fn new(device: &Arc<Device>) -> Result<Self, DriverError> {
        let mut event = std::ptr::null_mut();
        // SAFETY: the context is current.
        device.call("cuEventCreate", || unsafe { sys::cuEventCreate(&raw mut event, 0) })?;
        Ok(Self { device: device.clone(), event })
    }

    /// Whether the device has come to it.
    fn is_done(&self) -> Result<bool, DriverError> {
        let mut ready = true;
        // SAFETY: it lives.
        self.device.call("cuEventQuery", || match unsafe { sys::cuEventQuery(self.event) } {
            CUresult::CUDA_ERROR_NOT_READY => {
                ready = false;
                CUresult::CUDA_SUCCESS
            }
            code => code,
        })?;
        Ok(ready)
    }

    /// Waits, but no longer than `limit`: the driver itself would wait for a
    /// hung kernel without end. A device that did not answer is lost.
    #[expect(clippy::disallowed_methods, reason = "a watchdog needs a clock; no figure depends on it")]
    pub(super) fn wait(&self, limit: Duration) -> Result<(), DriverError> {
        let started = Instant::now();
        let mut turns = 0_u32;
        while !self.is_done()? {
            let waited = started.elapsed();
            if waited > limit {
                let what = format!("no answer for {:.1} s", waited.as_secs_f64());
                let fault = DriverError { call: "waiting for the device", what, kind: Kind::Hung };
                self.device.lose(fault.to_string());
                return Err(fault);
            }
            turns += 1;
            if turns < 64 {
                std::hint::spin_loop();
            } else {
                std::thread::sleep((waited / 50).clamp(SHORTEST_NAP, LONGEST_NAP));
            }
        }
        Ok(())
    }

    /// From this event to a later one \[s\].
    pub(super) fn seconds_to(&self, later: &Self) -> Result<f64, DriverError> {
        let mut milliseconds = 0.0_f32;
        // SAFETY: both live and were recorded.
        self.device.call("cuEventElapsedTime", || unsafe {
            sys::cuEventElapsedTime(&raw mut milliseconds, self.event, later.event)
        })?;
        Ok(f64::from(milliseconds) * 1e-3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        self.device.release(|| unsafe { sys::cuEventDestroy_v2(self.event) });
    }
}

/// Code on a device.
pub(super) struct Module {
    device: Arc<Device>,
    module: sys::CUmodule,
}

// SAFETY: as for streams.
unsafe impl Send for Module {}
// SAFETY: as for streams.
unsafe impl Sync for Module {}

/// An entry point of a module.
pub(super) struct Kernel {
    function: sys::CUfunction,
    /// It lives as long as its module.
    _module: Arc<Module>,
}

// SAFETY: as for streams.
unsafe impl Send for Kernel {}
// SAFETY: as for streams.
unsafe impl Sync for Kernel {}

impl Module {
    /// From a cubin, or from PTX that ends with a zero.
    pub(super) fn load(device: &Arc<Device>, image: &[u8]) -> Result<Arc<Self>, DriverError> {
        let mut module = std::ptr::null_mut();
        // SAFETY: a cubin says how long it is, and PTX ends with a zero.
        device.call("cuModuleLoadData", || unsafe { sys::cuModuleLoadData(&raw mut module, image.as_ptr().cast()) })?;
        Ok(Arc::new(Self { device: device.clone(), module }))
    }

    pub(super) fn kernel(self: &Arc<Self>, name: &str) -> Result<Kernel, DriverError> {
        let mut function = std::ptr::null_mut();
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: the module lives.
        self.device.call("cuModuleGetFunction", || unsafe {
            sys::cuModuleGetFunction(&raw mut function, self.module, name.as_ptr())
        })?;
        Ok(Kernel { function, _module: self.clone() })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded once, unloaded once; no kernel outlives it.
        self.device.release(|| unsafe { sys::cuModuleUnload(self.module) });
    }
}
