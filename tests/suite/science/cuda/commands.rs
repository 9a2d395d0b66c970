//! The commands, with the fake driver and without any.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use skydose::compute::cuda::Driver;

use super::{fake, is_real, root, with_fake};

fn skydose(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skydose"));
    command.args(arguments);
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An array of Zarr v2 in one chunk.
fn array(folder: &Path, name: &str, axes: &[(&str, usize)], units: &str, values: &[f32]) {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let shape: Vec<usize> = axes.iter().map(|(_, n)| *n).collect();
    let names: Vec<&str> = axes.iter().map(|(name, _)| *name).collect();
    let header = serde_json::json!({
        "zarr_format": 2, "shape": shape, "chunks": shape, "dtype": "<f4", "compressor": null,
        "fill_value": "NaN", "order": "C", "filters": null,
    });
    std::fs::write(folder.join(".zarray"), header.to_string()).expect("a header");
    let attributes = serde_json::json!({ "_ARRAY_DIMENSIONS": names, "units": units });
    std::fs::write(folder.join(".zattrs"), attributes.to_string()).expect("attributes");
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let chunk = vec!["0"; shape.len()].join(".");
    std::fs::write(folder.join(chunk), bytes).expect("a chunk");
}

/// A field and flights through it as files.
fn write_inputs(folder: &Path) {
    let field = folder.join("field.zarr");
    std::fs::create_dir_all(&field).expect("a folder");
    std::fs::write(field.join(".zgroup"), r#"{"zarr_format": 2}"#).expect("a group");
    let axes = [("time", 3), ("level", 4), ("latitude", 7), ("longitude", 12)];
    let evenly = |n: usize, first: f32, step: f32| -> Vec<f32> { (0..n).map(|i| first + step * i as f32).collect() };
    array(&field, "time", &axes[..1], "hours since 2024-06-01", &evenly(3, 0.0, 3.0));
    array(&field, "level", &axes[1..2], "hPa", &[200.0, 300.0, 500.0, 1_000.0]);
    array(&field, "latitude", &axes[2..3], "degrees_north", &evenly(7, 90.0, -30.0));
    array(&field, "longitude", &axes[3..], "degrees_east", &evenly(12, 0.0, 30.0));
    let values: Vec<f32> = (0..3 * 4 * 7 * 12).map(|i| 1e-8 * (2.0 + (0.7 * i as f32).sin())).collect();
    array(&field, "ash", &axes, "kg m-3", &values);
    array(&field, "so2", &axes, "kg m-3", &values);
    let mut rows = String::from("flight_id,time,longitude,latitude,altitude_ft\n");
    for flight in 0..20 {
        for i in 0..60 {
            let (f, t) = (f64::from(flight), f64::from(i));
            let (minute, hour) = (i, flight % 5);
            let place = (-170.0 + 17.0 * f + 0.1 * t, -60.0 + 6.0 * f + 0.05 * t, 3_000.0 + 400.0 * t);
            let _ =
                writeln!(rows, "F{flight:02},2024-06-01T{hour:02}:{minute:02}:00Z,{},{},{}", place.0, place.1, place.2);
        }
    }
    std::fs::write(folder.join("flights.csv"), rows).expect("flights");
}

/// Computes in `folder`; flight, phase and dosage of each row, and the
/// metadata.
fn compute(folder: &Path, options: &[&str], log: &Path) -> (Vec<(String, f64)>, serde_json::Value) {
    compute_with(folder, options, log, &[])
}

/// The same with these variables.
fn compute_with(
    folder: &Path,
    options: &[&str],
    log: &Path,
    variables: &[(&str, &str)],
) -> (Vec<(String, f64)>, serde_json::Value) {
    let out = folder.join("out.csv");
    let mut command = skydose(&["compute", "--threads", "2"]);
    command.args(options).args(["--field".as_ref(), folder.join("field.zarr").as_os_str()]);
    command.args(["--flights".as_ref(), folder.join("flights.csv").as_os_str(), "--out".as_ref(), out.as_os_str()]);
    with_fake(&mut command, &folder.join("cache")).env("SKYDOSE_FAKE_NVRTC_LOG", log);
    let output = command.envs(variables.iter().copied()).output().expect("skydose");
    assert!(output.status.success(), "{options:?}: {}", text(&output));
    let table = std::fs::read_to_string(&out).expect("results");
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let place = |name: &str| header.iter().position(|h| *h == name).expect("a column");
    let (id, phase, dosage) = (place("flight_id"), place("phase"), place("dosage_g_s_m3"));
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        (format!("{} {}", cells[id], cells[phase]), cells[dosage].parse().expect("a dosage"))
    });
    let metadata = std::fs::read_to_string(folder.join("out.csv.meta.json")).expect("metadata");
    (rows.collect(), serde_json::from_str(&metadata).expect("JSON"))
}

#[test]
fn compute_on_a_gpu_says_so_and_gives_the_figures_of_the_cpu() {
    if is_real() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, log) = (folder.path(), folder.path().join("compilations"));
    write_inputs(folder);
    let (right, metadata) = compute(folder, &["--backend", "cpu"], &log);
    assert_eq!((&metadata["backend"], &metadata["precision"]), (&"cpu".into(), &"float32".into()), "{metadata}");
    assert!(right.len() > 20 && right.iter().any(|(_, dosage)| *dosage > 0.0), "{right:?}");
    for (options, tolerance, precision) in [
        (vec!["--backend", "cuda"], 1e-5, "float32"),
        (vec![], 1e-5, "float32"),
        (vec!["--backend", "cuda", "--precision", "f16"], 1e-3, "float16, figures within 1e-3"),
    ] {
        let (rows, metadata) = compute(folder, &options, &log);
        assert_eq!(metadata["backend"], "cuda", "{options:?}: {metadata}");
        assert!(metadata["device"].as_str().expect("a device").contains("No GPU"), "{metadata}");
        assert_eq!(metadata["precision"], precision);
        assert_eq!(rows.len(), right.len());
        for ((row, dosage), (right_row, right)) in rows.iter().zip(&right) {
            assert_eq!(row, right_row);
            assert!((dosage - right).abs() <= tolerance * right.abs(), "{options:?} {row}: {dosage} {right}");
        }
    }
}

/// Who began is not who computed: the metadata say so.
#[test]
fn results_that_the_cpu_computed_after_a_gpu_failed_say_so() {
    if is_real() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, log) = (folder.path(), folder.path().join("compilations"));
    write_inputs(folder);
    let (right, _) = compute(folder, &["--backend", "cpu"], &log);
    // The self-test has three launches; the last one of these flights fails.
    let (rows, metadata) = compute_with(folder, &["--backend", "cuda"], &log, &[("SKYDOSE_FAKE_FAULT", "sticky:4")]);
    let by = metadata["backend"].as_str().expect("a backend");
    assert!(by.starts_with("cpu after GPU 0") && by.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{metadata}");
    assert_eq!(rows, right);
}

#[test]
fn the_demo_computes_on_the_backend_that_is_named() {
    if Driver::load().is_ok() {
        eprintln!("skipped: this machine has an NVIDIA driver");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("demo");
    let output = skydose(&["demo", "--backend", "cuda", "--out"]).arg(&out).output().expect("skydose");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("--backend cuda: no NVIDIA driver"), "{}", text(&output));
}

#[test]
fn kernels_are_compiled_once_and_again_where_the_cache_is_damaged() {
    if is_real() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, log) = (folder.path(), folder.path().join("compilations"));
    write_inputs(folder);
    let compilations = || {
        compute(folder, &["--backend", "cuda"], &log);
        std::fs::read_to_string(&log).expect("a log").lines().count()
    };
    let first = compilations();
    // That of the self-test and that of the program.
    assert_eq!(first, 2);
    assert_eq!(compilations(), first);
    let kept = std::fs::read_dir(folder.join("cache/kernels")).expect("a cache").next().expect("a file");
    let path = kept.expect("a file").path();
    let mut bytes = std::fs::read(&path).expect("a cubin");
    *bytes.last_mut().expect("a byte") ^= 1;
    std::fs::write(&path, bytes).expect("a cubin");
    assert_eq!(compilations(), first + 1);
    assert_eq!(compilations(), first + 1);
}

#[test]
fn devices_says_what_there_is() {
    if is_real() {
        return;
    }
    let cache = tempfile::tempdir().expect("a folder");
    let output = with_fake(&mut skydose(&["devices"]), cache.path()).output().expect("skydose");
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for expected in ["serves CUDA up to 12.9", "compute capability 9.0", "self-test passed", "1 GPU can be used."] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn without_a_driver_the_cpu_computes_and_a_gpu_is_an_error() {
    if Driver::load().is_ok() {
        eprintln!("skipped: this machine has an NVIDIA driver");
        return;
    }
    let output = skydose(&["devices"]).output().expect("skydose");
    let devices = text(&output);
    assert!(output.status.success() && devices.contains("libcuda.so.1 is not there"), "{devices}");
    assert!(devices.contains("No GPU can be used; skydose computes on the CPU."), "{devices}");
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write_inputs(folder);
    let run = |backend: &str| {
        let mut command = skydose(&["compute", "--backend", backend]);
        command.args(["--field".as_ref(), folder.join("field.zarr").as_os_str()]);
        command.args(["--flights".as_ref(), folder.join("flights.csv").as_os_str()]);
        command.args(["--out".as_ref(), folder.join("out.csv").as_os_str()]).output().expect("skydose")
    };
    let output = run("cuda");
    let fault = text(&output);
    assert_eq!(output.status.code(), Some(2), "{fault}");
    assert!(fault.contains("--backend cuda: no NVIDIA driver: libcuda.so.1 is not there"), "{fault}");
    assert!(!folder.join("out.csv").exists());
    let output = run("auto");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("no GPU computes: no NVIDIA driver"), "{}", text(&output));
}

/// The folder of a real `libnvrtc.so.12`: of `SKYDOSE_NVRTC`, else where
/// `tests/cuda/run` puts it.
fn real_compiler() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("SKYDOSE_NVRTC") {
        return Some(Path::new(&file).parent()?.to_owned());
    }
    let lib = root().join("target/cuda/venv/lib");
    let python = std::fs::read_dir(lib).ok()?.next()?.ok()?.path();
    let folder = python.join("site-packages/nvidia/cuda_nvrtc/lib");
    folder.join("libnvrtc.so.12").exists().then_some(folder)
}

#[test]
fn the_real_compiler_makes_code_for_old_and_new_devices() {
    if is_real() {
        return;
    }
    let Some(compiler) = real_compiler() else {
        eprintln!("skipped: no libnvrtc.so.12; tests/cuda/run compile installs one");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let driver = folder.path().join("libcuda.so.1");
    std::os::unix::fs::symlink(fake().libraries.join("libcuda.so.1"), driver).expect("a link");
    let path = std::env::join_paths([folder.path(), &compiler]).expect("a path");
    for capability in ["7.0", "9.0"] {
        let mut command = skydose(&["devices"]);
        with_fake(&mut command, &folder.path().join(capability)).env("SKYDOSE_FAKE_CAPABILITY", capability);
        let text = text(&command.env("LD_LIBRARY_PATH", &path).output().expect("skydose"));
        assert!(text.contains("self-test passed"), "{capability}: {text}");
        let made = std::fs::read_dir(folder.path().join(capability).join("kernels")).expect("a cache").count();
        assert_eq!(made, 1, "a cubin is kept");
    }
}
