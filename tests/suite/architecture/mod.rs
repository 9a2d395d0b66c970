//! The architecture's walls: which way imports go, where each vendor crate
//! lives, which modules stay pure, what the tree may hold.
//!
//! The tables here are the rules. To let something through, change a row and
//! say why beside it; [`rules`] and [`tree`] only read them. Each check is
//! shown to fail on made-up sources beside it.

mod references;
mod rules;
mod source;
mod tree;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use source::Source;

/// The layers, lowest first. A module imports from the layers below its own.
const LAYERS: &[&[&str]] = &[
    &["units", "time"],
    // One client for the APIs of clusters, below those that speak them.
    &["http"],
    &["contaminant", "atmosphere", "trajectory", "grid", "queue", "nodes", "leader", "scaling", "telemetry", "store"],
    &["field", "exposure", "control", "simulate"],
    &["compute", "job"],
    &["plan"],
    &["worker", "submitter"],
    &["config"],
    &["app", "cli"],
    &["main"],
];

/// Imports within a layer: who, whom. None goes both ways.
const BESIDE: &[(&str, &str)] = &[
    // Altitudes become pressures as flights are read.
    ("trajectory", "atmosphere"),
    // A request is compiled against what a data set has.
    ("exposure", "field"),
    // The broker is one of those that decide who leads.
    ("leader", "queue"),
    // A subcommand hands what was typed to the composition root.
    ("cli", "app"),
];

/// Never, though the layers would allow it: who, whom.
const STRANGERS: &[(&str, &str)] = &[("worker", "control"), ("worker", "submitter")];

/// Every dependency and its homes: a file or folder of `src` without its
/// ending. A crate without homes is vocabulary and may be used anywhere.
const VENDORS: &[(&str, &[&str])] = &[
    ("anyhow", &["main", "app", "cli"]),
    ("arrow_array", &["trajectory", "job"]),
    ("arrow_ipc", &["trajectory", "job"]),
    ("arrow_schema", &["trajectory", "job"]),
    ("arrow_select", &["trajectory", "job"]),
    ("async_trait", &[]),
    ("axum", &["telemetry"]),
    ("blake3", &["compute/cuda", "field", "job", "store", "submitter"]),
    ("bytemuck", &["compute", "field"]),
    ("bytes", &[]),
    ("clap", &["main", "app", "cli"]),
    ("croner", &["scaling"]),
    ("csv", &["trajectory", "job", "simulate/trace"]),
    ("cudarc", &["compute/cuda"]),
    ("fastrand", &[]),
    ("flate2", &["trajectory", "field"]),
    ("futures_util", &[]),
    ("grib", &["field/grib"]),
    ("hdf5_reader", &["field/netcdf"]),
    ("indicatif", &["app", "cli"]),
    ("jiff", &[]),
    ("lapin", &["queue/amqp"]),
    ("memmap2", &["field"]),
    ("metrics", &["telemetry"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("ndarray", &["field"]),
    ("netcdf_reader", &["field/netcdf"]),
    ("object_store", &["store"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_http", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("parquet", &["trajectory/parquet", "trajectory/write", "job"]),
    ("plotters", &["simulate"]),
    ("pulp", &["compute/cpu"]),
    ("rayon", &["trajectory", "field", "compute", "job", "worker", "app", "cli"]),
    ("reqwest", &["queue/management", "http", "telemetry", "app"]),
    ("rustls", &["main", "app", "queue/amqp", "queue/management", "http"]),
    ("schemars", &["job", "submitter", "telemetry", "scaling", "control", "cli/schema"]),
    ("secrecy", &[]),
    ("serde", &[]),
    ("serde_json", &[]),
    ("tempfile", &["compute/cuda", "trajectory", "field", "job", "cli"]),
    ("thiserror", &[]),
    // Beside the channels: files of stores are fetched while others compute.
    (
        "tokio",
        &[
            "field/catalogue",
            "http",
            "queue",
            "leader",
            "nodes",
            "store",
            "telemetry",
            "control",
            "worker",
            "submitter",
            "main",
            "app",
            "cli",
        ],
    ),
    ("tokio_util", &["queue", "leader", "nodes", "store", "telemetry", "control", "worker", "main", "app", "cli"]),
    ("toml", &["field", "exposure/flow", "config", "simulate", "cli"]),
    ("tracing", &[]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["telemetry", "main", "app", "cli"]),
    ("uuid", &["job", "app", "cli"]),
    ("zarrs", &["field/zarr"]),
    ("zip", &["field/archive"]),
    ("zstd", &["field/netcdf", "field/zarr", "job"]),
];

/// Modules that never read a clock, log, print or await: the same input, the
/// same output.
const PURE: &[&str] =
    &["units", "time", "contaminant", "atmosphere", "grid", "exposure", "scaling", "simulate", "plan"];

/// Where `unsafe` may stand.
const UNSAFE_HOMES: &[&str] = &["compute/cuda", "compute/prefetch"];

/// What the top level may hold besides dotfiles.
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "NOTICE",
    "README.md",
    "benches",
    "deploy",
    "docker",
    "docs",
    "kernels",
    "src",
    "tests",
];

/// A breach: where, and what is wrong.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// The project's root: where cargo says that the manifest is.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// Fails with one line a finding.
fn assert_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} breaches:\n{}", lines.len(), lines.join("\n"));
}

/// Every file of `src`, read once for all tests.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| source::read_all(&root().join("src")));

/// Runs `rule` on every file of `src`.
fn assert_everywhere(rule: impl Fn(&Source) -> Vec<Finding>) {
    assert!(SOURCES.iter().any(|s| s.path == "lib.rs"), "no sources were found below {}", root().display());
    assert_none(&SOURCES.iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn imports_go_down_only() {
    assert_everywhere(rules::layers);
}

#[test]
fn vendor_crates_stay_in_their_homes() {
    assert_everywhere(rules::vendors);
}

#[test]
fn every_dependency_has_its_row() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is readable");
    assert_none(&rules::vendor_rows(&manifest));
}

#[test]
fn unsafe_code_stays_in_its_home() {
    assert_everywhere(rules::unsafe_code);
}

#[test]
fn pure_modules_have_no_effects() {
    assert_everywhere(rules::purity);
}

#[test]
fn every_file_opens_with_its_purpose_and_is_short() {
    let beside = ["tests", "benches"].map(|folder| source::read_all(&root().join(folder)));
    assert_none(&SOURCES.iter().chain(beside.iter().flatten()).flat_map(rules::shape).collect::<Vec<_>>());
}

#[test]
fn the_tree_holds_what_it_should() {
    let root = root();
    let Some(files) = tree::files(&root) else {
        eprintln!("skipped: git does not list the files of {}", root.display());
        return;
    };
    assert!(files.iter().any(|f| f == "Cargo.toml"), "git lists no manifest");
    let mut findings = tree::top_level(&files);
    for file in &files {
        findings.extend(tree::traces_of_a_machine(file, &read_lossy(&root.join(file))));
    }
    assert_none(&findings);
}

/// A file's text; empty where it is gone, binary bytes replaced.
fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
