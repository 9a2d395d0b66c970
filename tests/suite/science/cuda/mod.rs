//! The CUDA backend, judged by the CPU.
//!
//! Without a GPU the kernels run on the CPU: `tests/cuda/driver` plays the
//! driver and the compiler, `tests/cuda/shim` runs the kernels, and everything
//! above them is what runs on a GPU. Both are found through `LD_LIBRARY_PATH`,
//! so each test runs its part, in a module `inside`, in a process of its own
//! that has them; a fault is that process's environment. With `SKYDOSE_GPU=1`
//! the contract runs on the machine's own driver, as `tests/run --gpu` does.
//!
//! | what | file |
//! |---|---|
//! | every metric, rule and awkward grid on both backends | `contract.rs`, `cases.rs` |
//! | what goes wrong with a device, and the same figures all the same | `faults.rs` |
//! | the commands | `commands.rs` |

mod cases;
mod commands;
mod contract;
mod faults;

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// Where the fake libraries are.
struct Fake {
    /// `libcuda.so.1` and `libnvrtc.so.12`.
    libraries: PathBuf,
    /// Kernels built for the CPU.
    kernels: PathBuf,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the libraries, once for all tests; kernels are kept for the next
/// run, under a name that their sources give.
fn fake() -> &'static Fake {
    static FAKE: OnceLock<Fake> = OnceLock::new();
    FAKE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cuda");
        let libraries = folder.join(format!("driver-{:016x}", hash(&["kernels", "tests/cuda/driver"])));
        let kernels = folder.join(format!("kernels-{:016x}", hash(&["kernels", "tests/cuda/shim"])));
        std::fs::create_dir_all(&kernels).expect("a folder for kernels");
        if !libraries.join("libnvrtc.so.12").exists() {
            let script = root().join("tests/cuda/driver/build");
            let built = Command::new(script).arg(&libraries).output().expect("the script runs");
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        }
        Fake { libraries, kernels }
    })
}

/// Of all files in folders of the project.
fn hash(folders: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for folder in folders {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder of the project");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            std::fs::read(file).expect("a file of the project").hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// What makes a process find the fake driver and compiler, and gives it a
/// cache.
pub fn fake_environment(cache: &Path) -> Vec<(&'static str, String)> {
    let Fake { libraries, kernels } = fake();
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    vec![
        ("LD_LIBRARY_PATH", text(libraries)),
        ("SKYDOSE_FAKE_SHIM", text(&root().join("tests/cuda/shim/build"))),
        ("SKYDOSE_FAKE_CACHE", text(kernels)),
        ("SKYDOSE_CACHE", text(cache)),
    ]
}

fn with_fake<'a>(command: &'a mut Command, cache: &Path) -> &'a mut Command {
    command.envs(fake_environment(cache))
}

/// Runs the ignored test `name` of this file's folder in a process with the
/// fake driver and these variables.
#[track_caller]
fn inside(name: &str, variables: &[(&str, &str)]) -> Output {
    let cache = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "--ignored", "--nocapture", &format!("science::cuda::{name}")]);
    if std::env::var_os("SKYDOSE_GPU").is_none() {
        with_fake(&mut command, cache.path());
    }
    let output = command.envs(variables.iter().copied()).output().expect("this program runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{variables:?}\n{text}");
    assert!(text.contains("1 passed"), "no such test: {name}\n{text}");
    assert!(!text.contains("fake driver:"), "{text}");
    output
}

/// Whether the machine's own GPU is asked for, where the faults of the fake
/// driver cannot be had.
fn is_real() -> bool {
    let is_real = std::env::var_os("SKYDOSE_GPU").is_some();
    if is_real {
        eprintln!("skipped: faults are played by the fake driver, and this run is on a GPU");
    }
    is_real
}
