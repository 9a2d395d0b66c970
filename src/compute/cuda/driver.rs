//! The driver's library: whether it is there, what went wrong in a call, and
//! which devices there are.

use std::{
    ffi::{CStr, c_int},
    fmt,
};

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};

/// What a fault of a call means for what is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The device has not that much memory; it is none the worse for it.
    OutOfMemory,
    /// The context is dead, and every call after this one fails: only another
    /// process gets a new one.
    Sticky,
    /// The device did not answer in time.
    Hung,
    /// A call that should have worked.
    Other,
}

/// A call of the driver that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {what}")]
pub(super) struct DriverError {
    pub call: &'static str,
    pub what: String,
    pub kind: Kind,
}

/// A device as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// As the driver counts them, from 0.
    pub ordinal: i32,
    /// As its maker calls it.
    pub name: String,
    /// Compute capability: major, minor.
    pub capability: (i32, i32),
    /// Device memory \[bytes\].
    pub memory: usize,
    /// Streaming multiprocessors.
    pub multiprocessors: i32,
    /// Clock of the multiprocessors \[kHz\].
    pub clock_khz: i32,
    /// Clock of the memory \[kHz\], and the width of its bus \[bits\].
    pub memory_clock_khz: i32,
    /// \[bits\]
    pub memory_bus_bits: i32,
}

/// A version as CUDA numbers them: 12090 is 12.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Before the point.
    pub major: i32,
    /// After it.
    pub minor: i32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        write!(f, "GPU {}: {}, compute capability {major}.{minor}", self.ordinal, self.name)
    }
}

/// Names the call in the error.
pub(super) fn check(call: &'static str, code: CUresult) -> Result<(), DriverError> {
    if code == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    Err(DriverError { call, what: format!("{code:?}"), kind: kind(code) })
}

/// Which errors leave a context usable: the driver's documentation says of
/// each of the sticky ones that the process must be terminated and relaunched.
fn kind(code: CUresult) -> Kind {
    match code {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => Kind::OutOfMemory,
        CUresult::CUDA_ERROR_ECC_UNCORRECTABLE
        | CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE
        | CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
        | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
        | CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | CUresult::CUDA_ERROR_ASSERT
        | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
        | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
        | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | CUresult::CUDA_ERROR_INVALID_PC
        | CUresult::CUDA_ERROR_LAUNCH_FAILED
        | CUresult::CUDA_ERROR_DEINITIALIZED
        | CUresult::CUDA_ERROR_EXTERNAL_DEVICE
        | CUresult::CUDA_ERROR_UNKNOWN => Kind::Sticky,
        _ => Kind::Other,
    }
}

/// The driver, initialised.
#[derive(Debug, Clone, Copy)]
pub struct Driver {
    /// The newest CUDA that it serves.
    pub version: Version,
}

impl Driver {
    /// Loads and initialises the driver.
    ///
    /// # Errors
    /// Says what is missing, in one line.
    pub fn load() -> Result<Self, String> {
        // SAFETY: loading a library runs its initialisers; this one is the
        // system's driver, found by its name.
        if !unsafe { sys::is_culib_present() } {
            return Err("no NVIDIA driver: libcuda.so.1 is not there".to_owned());
        }
        // SAFETY: the library is there; both calls may come first.
        let version = unsafe {
            check("cuInit", sys::cuInit(0)).map_err(|e| format!("the NVIDIA driver does not start: {e}"))?;
            let mut version: c_int = 0;
            check("cuDriverGetVersion", sys::cuDriverGetVersion(&raw mut version)).map_err(|e| e.to_string())?;
            version
        };
        Ok(Self { version: Version { major: version / 1000, minor: version % 1000 / 10 } })
    }

    /// The devices that there are.
    ///
    /// # Errors
    /// A driver that does not say.
    pub fn devices(self) -> Result<Vec<DeviceInfo>, String> {
        let mut count: c_int = 0;
        // SAFETY: the driver is initialised; `count` outlives the call.
        check("cuDeviceGetCount", unsafe { sys::cuDeviceGetCount(&raw mut count) }).map_err(|e| e.to_string())?;
        (0..count).map(|ordinal| describe(ordinal).map_err(|e| format!("GPU {ordinal}: {e}"))).collect()
    }
}

/// The driver's handle of a device.
pub(super) fn handle(ordinal: i32) -> Result<sys::CUdevice, DriverError> {
    let mut device = 0;
    // SAFETY: the driver is initialised; `device` outlives the call.
    check("cuDeviceGet", unsafe { sys::cuDeviceGet(&raw mut device, ordinal) })?;
    Ok(device)
}

fn describe(ordinal: i32) -> Result<DeviceInfo, DriverError> {
    let device = handle(ordinal)?;
    let mut name = [0; 256];
    let mut memory = 0;
    let attribute = |which| {
        let mut value: c_int = 0;
        // SAFETY: `device` is a handle that the driver gave.
        check("cuDeviceGetAttribute", unsafe { sys::cuDeviceGetAttribute(&raw mut value, which, device) })?;
        Ok(value)
    };
    // SAFETY: as above; the name is at most as long as its buffer and ends
    // with a zero.
    let name = unsafe {
        check("cuDeviceGetName", sys::cuDeviceGetName(name.as_mut_ptr(), 255, device))?;
        check("cuDeviceTotalMem", sys::cuDeviceTotalMem_v2(&raw mut memory, device))?;
        CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned()
    };
    Ok(DeviceInfo {
        ordinal,
        name,
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        memory,
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        clock_khz: attribute(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?,
        memory_clock_khz: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?,
        memory_bus_bits: attribute(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_what_is_done_next() {
        assert_eq!(kind(CUresult::CUDA_ERROR_OUT_OF_MEMORY), Kind::OutOfMemory);
        assert_eq!(kind(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS), Kind::Sticky);
        assert_eq!(kind(CUresult::CUDA_ERROR_INVALID_VALUE), Kind::Other);
        let fault = check("cuMemAlloc", CUresult::CUDA_ERROR_OUT_OF_MEMORY).unwrap_err();
        assert_eq!(fault.to_string(), "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY");
    }

    #[test]
    fn versions_are_written_as_people_know_them() {
        assert_eq!(Version { major: 12, minor: 9 }.to_string(), "12.9");
    }
}
