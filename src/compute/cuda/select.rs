//! Which backend computes: a GPU where driver, compiler and the self-test
//! pass, else the CPU, with the reason.

use super::{
    Cuda, Settings,
    driver::{DeviceInfo, Driver},
    nvrtc::Compiler,
    trial,
};
use crate::compute::{Backend, cpu::Cpu};

/// What a call asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// The GPU if it is sound.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU, or an error.
    Cuda,
}

/// Who computes.
pub struct Choice {
    /// The backend.
    pub backend: Box<dyn Backend>,
    /// Why not the GPU, in one line, where it was wished for or left open.
    pub why_cpu: Option<String>,
}

/// All there is to tell of this machine's devices.
#[derive(Debug, Clone)]
pub struct Report {
    /// The driver, or what is missing.
    pub driver: Result<Driver, String>,
    /// The compiler, or what is missing.
    pub compiler: Result<Compiler, String>,
    /// Each device, and the largest relative difference of its self-test, or
    /// why it cannot be used.
    pub devices: Vec<(DeviceInfo, Result<f64, String>)>,
}

/// Chooses.
///
/// # Errors
/// A GPU is wished for and cannot be used: what is missing.
pub fn choose(wish: Wish, settings: Settings) -> Result<Choice, String> {
    let cpu = |why_cpu| Choice { backend: Box::new(Cpu::new()), why_cpu };
    match wish {
        Wish::Cpu => Ok(cpu(None)),
        Wish::Auto => {
            Ok(sound(settings)
                .map_or_else(|why| cpu(Some(why)), |cuda| Choice { backend: Box::new(cuda), why_cpu: None }))
        }
        Wish::Cuda => sound(settings).map(|cuda| Choice { backend: Box::new(cuda), why_cpu: None }),
    }
}

/// All devices that pass the self-test.
///
/// # Errors
/// Where none does: what is missing.
pub fn sound(settings: Settings) -> Result<Cuda, String> {
    let driver = Driver::load()?;
    let devices = driver.devices()?;
    if devices.is_empty() {
        return Err("the driver finds no GPU".to_owned());
    }
    let compiler = Compiler::load()?;
    let mut why = Vec::new();
    let mut passed = Vec::new();
    for info in devices {
        match tried(&info, &compiler, &settings) {
            Ok(_) => passed.push(info),
            Err(fault) => why.push(fault),
        }
    }
    if passed.is_empty() {
        return Err(why.join("; "));
    }
    for why in why {
        tracing::warn!(why, "a GPU is left out");
    }
    Cuda::open(&passed, &compiler, settings)
}

/// Opens one device and tests it; the largest relative difference.
fn tried(info: &DeviceInfo, compiler: &Compiler, settings: &Settings) -> Result<f64, String> {
    let settings = Settings { check_fraction: 0.0, ..settings.clone() };
    let cuda = Cuda::open(std::slice::from_ref(info), compiler, settings)?;
    trial::run(&cuda).map_err(|what| if what.contains(&info.name) { what } else { format!("{info}: {what}") })
}

/// Looks at everything, and tests each device.
#[must_use]
pub fn report(settings: &Settings) -> Report {
    let driver = Driver::load();
    let compiler = Compiler::load();
    let found = driver.as_ref().map_or_else(|_| Ok(Vec::new()), |driver| driver.devices());
    let driver = match &found {
        Err(fault) => Err(fault.clone()),
        Ok(_) => driver,
    };
    let test = |info: DeviceInfo| {
        let tested = compiler.as_ref().map_err(Clone::clone).and_then(|c| tried(&info, c, settings));
        (info, tested)
    };
    Report { devices: found.unwrap_or_default().into_iter().map(test).collect(), driver, compiler }
}
