//! `skydose devices`: the GPUs, the driver, the compiler of kernels, and
//! whether each GPU computes what the CPU does.

use std::fmt::Write as _;

use clap::Args;

use super::{Ending, args, say};
use crate::compute::cuda::{self, DeviceInfo, Report};

/// Arguments of `devices`.
#[derive(Debug, Args)]
pub struct Devices {
    /// How field values lie in a GPU's memory during the test.
    #[arg(long, value_enum, default_value_t)]
    precision: args::PrecisionArg,
}

impl Devices {
    /// Looks, tests and prints.
    ///
    /// # Errors
    /// Standard output that cannot be written.
    pub fn run(&self) -> anyhow::Result<Ending> {
        say(&text(&cuda::report(&args::settings(self.precision))))?;
        Ok(Ending::Whole)
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let driver = report.driver.as_ref().map(|driver| format!("serves CUDA up to {}", driver.version));
    let compiler = report.compiler.as_ref().map(|compiler| {
        let name = |a: &i32| format!("{}.{}", a / 10, a % 10);
        let (first, last) = (compiler.architectures.first().map(name), compiler.architectures.last().map(name));
        format!(
            "{}, compute capability {} to {}",
            compiler.version,
            first.unwrap_or_default(),
            last.unwrap_or_default()
        )
    });
    for (what, found) in [("driver", driver), ("NVRTC", compiler)] {
        let _ = writeln!(text, "{what:<8} {}", found.unwrap_or_else(Clone::clone));
    }
    for (info, test) in &report.devices {
        text += &device(info, test);
    }
    let sound = report.devices.iter().filter(|(_, test)| test.is_ok()).count();
    let _ = match sound {
        0 => writeln!(text, "No GPU can be used; skydose computes on the CPU."),
        1 => writeln!(text, "1 GPU can be used."),
        n => writeln!(text, "{n} GPUs can be used."),
    };
    text
}

fn device(info: &DeviceInfo, test: &Result<f64, String>) -> String {
    let (major, minor) = info.capability;
    let mut text = format!(
        "GPU {:<4} {}, {:.1} GB, compute capability {major}.{minor}, {} multiprocessors\n",
        info.ordinal,
        info.name,
        info.memory as f64 / 1e9,
        info.multiprocessors
    );
    let _ = match test {
        Ok(difference) => {
            writeln!(text, "         self-test passed; dosages differ from the CPU's by {difference:.1e} at most")
        }
        Err(why) => writeln!(text, "         cannot be used: {why}"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::cuda::{Compiler, Version};

    #[test]
    fn what_is_missing_is_said() {
        let missing = Report {
            driver: Err("no NVIDIA driver: libcuda.so.1 is not there".to_owned()),
            compiler: Err("no NVRTC: libnvrtc.so.12 (or libnvrtc.so) is not there".to_owned()),
            devices: Vec::new(),
        };
        let text = text(&missing);
        assert!(text.contains("libcuda.so.1") && text.contains("libnvrtc.so.12"), "{text}");
        assert!(text.ends_with("No GPU can be used; skydose computes on the CPU.\n"), "{text}");
    }

    #[test]
    fn each_gpu_has_its_verdict() {
        let info = |ordinal| DeviceInfo {
            ordinal,
            name: "A100".to_owned(),
            capability: (8, 0),
            memory: 80_000_000_000,
            multiprocessors: 108,
            clock_khz: 0,
            memory_clock_khz: 0,
            memory_bus_bits: 0,
        };
        let report = Report {
            driver: Err(String::new()),
            compiler: Ok(Compiler { version: Version { major: 12, minor: 9 }, architectures: vec![70, 120] }),
            devices: vec![(info(0), Ok(3e-8)), (info(1), Err("it is wrong".to_owned()))],
        };
        let text = text(&report);
        for expected in [
            "12.9, compute capability 7.0 to 12.0",
            "GPU 0    A100, 80.0 GB",
            "3.0e-8",
            "it is wrong",
            "1 GPU can be used.",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
