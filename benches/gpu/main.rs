//! The GPU beside the bound of its memory and beside the host's processors.
//!
//! Run by `benches/gpu/run`, which says what the options mean. Needs neither
//! network nor files: fields and flights are made here.

mod case;
mod measure;
mod traffic;

use std::{fmt::Write as _, path::PathBuf};

use measure::Row;
use skydose::compute::cuda::{Compiler, Cuda, DeviceInfo, Driver, Precision, Settings, Version};

type Failure = Box<dyn std::error::Error>;

/// What is measured.
struct Options {
    flights: Vec<usize>,
    species: Vec<usize>,
    steps_deg: Vec<f64>,
    precisions: Vec<Precision>,
    levels: usize,
    times: usize,
    repeat: usize,
    out: PathBuf,
    files: PathBuf,
    commit: String,
}

/// The machine that is measured on.
struct Machine {
    driver: Version,
    compiler: Compiler,
    gpu: DeviceInfo,
    /// Read and written \[bytes/s\].
    copy: f64,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.is_empty() {
        // `cargo bench` runs every bench without arguments.
        println!("nothing to measure alone: see benches/gpu/run");
        return Ok(());
    }
    let options = Options::parse(&arguments)?;
    let machine = Machine::look()?;
    let mut text = machine.describe(&options.commit);
    print!("{text}");
    let mut rows = Vec::new();
    for &step_deg in &options.steps_deg {
        for &species in &options.species {
            for &flights in &options.flights {
                let case = case::Case::new(step_deg, species, flights, options.levels, options.times)?;
                eprintln!("{}: on the processors", case.name());
                let cpu = measure::cpu(&case, &options.files)?;
                for &precision in &options.precisions {
                    eprintln!("{}: {}", case.name(), precision.name());
                    let row = measure::gpu(&case, precision, &machine, &options, &cpu)?;
                    println!("{}", row.line());
                    rows.push(row);
                }
            }
        }
    }
    text += &table(&rows);
    println!("\n{text}");
    std::fs::write(&options.out, &text)?;
    eprintln!("written to {}", options.out.display());
    Ok(())
}

/// Values separated by commas.
fn list<T: std::str::FromStr>(value: &str) -> Result<Vec<T>, Failure>
where
    T::Err: std::error::Error + 'static,
{
    value.split(',').map(|v| v.parse::<T>().map_err(Failure::from)).collect()
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            flights: vec![20_000, 300_000],
            species: vec![4, 8],
            steps_deg: vec![0.75, 0.4],
            precisions: vec![Precision::Float32, Precision::Float16],
            levels: 25,
            times: 9,
            repeat: 5,
            out: PathBuf::from("gpu.md"),
            files: std::env::temp_dir(),
            commit: "not told".to_owned(),
        };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} has no value", pair[0]).into()) };
            match name.as_str() {
                "--flights" => options.flights = list(value)?,
                "--species" => options.species = list(value)?,
                "--steps" => options.steps_deg = list(value)?,
                "--precisions" => {
                    let precision = |v| match v {
                        "f32" => Ok(Precision::Float32),
                        "f16" => Ok(Precision::Float16),
                        other => Err(format!("{other:?} is neither f32 nor f16")),
                    };
                    options.precisions = value.split(',').map(precision).collect::<Result<_, _>>()?;
                }
                "--levels" => options.levels = value.parse()?,
                "--times" => options.times = value.parse()?,
                "--repeat" => options.repeat = value.parse()?,
                "--out" => options.out = value.into(),
                "--files" => options.files = value.into(),
                "--commit" => options.commit.clone_from(value),
                other => return Err(format!("{other:?} is no option, see benches/gpu/run").into()),
            }
        }
        Ok(options)
    }
}

impl Machine {
    fn look() -> Result<Self, Failure> {
        let driver = Driver::load()?;
        let devices = driver.devices()?;
        let gpu = devices.first().ok_or("the driver finds no GPU")?.clone();
        let compiler = Compiler::load()?;
        let cuda = Cuda::open(std::slice::from_ref(&gpu), &compiler, Settings::default())?;
        Ok(Self { driver: driver.version, copy: cuda.copy_bandwidth()?, compiler, gpu })
    }

    fn describe(&self, commit: &str) -> String {
        let (major, minor) = self.gpu.capability;
        let peak = measure::Peak::of(&self.gpu);
        format!(
            "# One GPU\n\n\
             | | |\n|---|---|\n\
             | GPU | {}, compute capability {major}.{minor}, {:.0} GB |\n\
             | driver, NVRTC | CUDA {}, {} |\n\
             | processors | {}, {} threads |\n\
             | commit | {commit} |\n\
             | copy on the device, read and written | {:.0} GB/s |\n\
             | arithmetic, by clock and units | {:.1} Tflop/s single, {:.2} Tflop/s double precision |\n\n",
            self.gpu.name,
            self.gpu.memory as f64 / 1e9,
            self.driver,
            self.compiler.version,
            processor(),
            rayon::current_num_threads(),
            self.copy / 1e9,
            peak.single / 1e12,
            peak.double / 1e12,
        )
    }
}

/// As the system names it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        text.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1.trim().to_owned()));
    name.unwrap_or_else(|| "unknown".to_owned())
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "Waypoints every 60 s, their samples alone: dosage, peak and time above one threshold a species. The kernel is \
         timed by the device's clock with fields and waypoints resident; `all` is from flights in host memory to \
         figures in host memory, fields resident; overlap is the part of the shorter of sending fields and computing \
         that hides behind the other, when fields are sent window by window; end to end is from prepared files to \
         results in a Parquet file. Bytes are counted: the 32-byte sectors that each run of 32 waypoints touches, and \
         the waypoints. The bound is the larger of bytes over copy bandwidth and arithmetic over its peak.\n\n",
    );
    text += Row::HEAD;
    for row in rows {
        let _ = writeln!(text, "{}", row.line());
    }
    text
}
