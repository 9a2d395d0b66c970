//! The CUDA backend: the CPU's answers at the speed of a GPU's memory.
//!
//! The kernels are in `kernels/` and are compiled for the device at hand when
//! they are first needed. Driver and compiler are loaded at run time, so that
//! one program runs with any of them and with none.
//!
//! | what | file |
//! |---|---|
//! | the choice between this backend and the CPU, and the test it stands on | `select.rs`, `trial.rs` |
//! | flights on all devices, those that the CPU computes beside them | `session.rs` |
//! | the flights on one device: windows, waypoints, figures | `share.rs`, `columns.rs`, `results.rs` |
//! | what the sessions of one device share | `gpu.rs` |
//! | fields in device memory | `resident.rs`, `bands.rs`, `half.rs` |
//! | what host and kernels agree on, and how it is made | `layout.rs`, `program.rs`, `waypoints.rs` |
//! | the compiler, its sources, and the cache of its work | `nvrtc.rs`, `sources.rs`, `cubins.rs` |
//! | the driver | `driver.rs`, `device.rs` |
//!
//! # When something fails
//!
//! Too little device memory gives the flights back, to come again in halves.
//! An error that leaves the device unusable, a kernel that does not end within
//! the watchdog's time, and figures that differ from the CPU's quarantine the
//! device: it gets no more work from this process, the flights are computed on
//! the CPU, and [`Backend::health`] tells.

#![expect(unsafe_code, reason = "calls of the driver and of the compiler, in driver.rs, device.rs and nvrtc.rs")]

mod bands;
mod columns;
mod cubins;
mod device;
mod driver;
mod gpu;
mod half;
pub mod layout;
mod nvrtc;
mod program;
mod resident;
mod results;
mod select;
mod session;
mod share;
mod sources;
mod trial;
mod waypoints;

use std::{path::PathBuf, sync::Arc, time::Duration};

pub use driver::{DeviceInfo, Driver, Version};
pub use gpu::Trace;
pub use nvrtc::Compiler;
pub use program::Precision;
pub use select::{Choice, Report, Wish, choose, report, sound};

use self::{cubins::Cubins, device::Device, gpu::Gpu, session::CudaSession};
use super::{Backend, BackendFault, Description, Health, Session, run::Flights};
use crate::exposure::program::Program;

/// How the devices are used.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How fields lie in device memory.
    pub precision: Precision,
    /// Part of the flights that the CPU computes too, 0 to 1.
    pub check_fraction: f64,
    /// A device that does not answer for so long is given up.
    pub watchdog: Duration,
    /// Part of the device memory that is free at the start, for fields.
    pub field_share: f64,
    /// Where compiled kernels are kept; nowhere when none.
    pub cache: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            precision: Precision::Float32,
            check_fraction: 0.005,
            watchdog: Duration::from_mins(2),
            field_share: 0.75,
            cache: cubins::default_folder(),
        }
    }
}

/// The GPUs of this machine.
pub struct Cuda {
    gpus: Vec<Arc<Gpu>>,
    settings: Settings,
}

impl Cuda {
    /// Opens the devices `chosen`.
    ///
    /// # Errors
    /// Says in one line which does not open, and why.
    pub fn open(chosen: &[DeviceInfo], compiler: &Compiler, settings: Settings) -> Result<Self, String> {
        let open = |info: &DeviceInfo| {
            let fault = |e: &dyn std::fmt::Display| format!("{info}: {e}");
            let device = Device::open(info.clone()).map_err(|e| fault(&e))?;
            compiler.target(info.capability).map_err(|e| fault(&e))?;
            let cubins = Cubins::new(settings.cache.clone());
            Gpu::new(device, compiler.clone(), cubins, settings.watchdog, settings.field_share).map_err(|e| fault(&e))
        };
        let gpus = chosen.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        if gpus.is_empty() {
            return Err("no GPU".to_owned());
        }
        Ok(Self { gpus, settings })
    }

    /// What the devices did since the last call, added up.
    pub fn take_trace(&self) -> Trace {
        self.gpus.iter().map(|gpu| gpu.take_trace()).fold(Trace::default(), Trace::plus)
    }

    /// Gives up all fields in device memory that no session uses.
    pub fn forget_fields(&self) {
        self.gpus.iter().for_each(|gpu| gpu.forget_fields());
    }

    /// Bytes read and written a second by copies within the memory of the
    /// first device.
    ///
    /// # Errors
    /// What the device says.
    pub fn copy_bandwidth(&self) -> Result<f64, BackendFault> {
        let gpu = &self.gpus[0];
        gpu.copy_bandwidth().map_err(|fault| session::told(gpu, &fault))
    }

    /// The devices that are not lost.
    fn usable(&self) -> Result<Vec<&Arc<Gpu>>, BackendFault> {
        let usable: Vec<_> = self.gpus.iter().filter(|gpu| gpu.device.lost().is_none()).collect();
        if usable.is_empty() {
            let what = "all devices are quarantined".to_owned();
            return Err(BackendFault { device: self.devices(), what, is_out_of_memory: false });
        }
        Ok(usable)
    }

    fn devices(&self) -> String {
        let names: Vec<&str> = self.gpus.iter().map(|gpu| gpu.device.info.name.as_str()).collect();
        match names.as_slice() {
            [one] => (*one).to_owned(),
            [first, ..] if names.iter().all(|name| name == first) => format!("{} × {first}", names.len()),
            _ => names.join(", "),
        }
    }
}

impl Backend for Cuda {
    fn description(&self) -> Description {
        Description { backend: "cuda", device: self.devices(), precision: self.settings.precision.name() }
    }

    fn begin<'a>(&'a self, program: &'a Program, flights: Flights<'a>) -> Result<Box<dyn Session + 'a>, BackendFault> {
        Ok(Box::new(CudaSession::begin(self, program, flights)?))
    }

    fn health(&self) -> Health {
        let lost = self.gpus.iter().find_map(|gpu| Some(format!("{}: {}", gpu.device.info, gpu.device.lost()?)));
        lost.map_or(Health::Well, Health::Quarantined)
    }
}
