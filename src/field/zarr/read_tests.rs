//! Stores that xarray wrote with zarr-python 2 and 3 (`tests/data/make_zarr.py`),
//! whole and damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{metadata, open, recognises};
use crate::field::{FieldError, FieldSource, Levels, Window};

const SHAPE: [usize; 4] = [2, 3, 4, 5];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/zarr").join(name)
}

fn open_one(path: &Path) -> Result<Box<dyn FieldSource>, FieldError> {
    open(path).map(|mut sources| sources.remove(0))
}

fn number(source: &dyn FieldSource, name: &str) -> usize {
    source.variables().iter().position(|v| v.name == name).unwrap_or_else(|| panic!("no variable {name}"))
}

/// As `value()` of the script.
fn value(t: usize, k: usize, j: usize, i: usize) -> f64 {
    if [t, k, j, i] == SHAPE.map(|n| n - 1) {
        f64::NAN
    } else {
        1000.0 * t as f64 + 100.0 * k as f64 + 10.0 * j as f64 + i as f64 + 1.0
    }
}

/// What the variable holds there.
fn expected(name: &str, version: u8, [t, k, j, i]: [usize; 4]) -> f64 {
    match name {
        "t" => value(t, k, j, i) / 4.0 + 200.0,
        "sp" => value(t, 0, j, i),
        // Written at the first time alone, in version 3 at the first level alone.
        "odd" if t > 0 || (version == 3 && k > 0) => f64::NAN,
        _ => value(t, k, j, i),
    }
}

fn check(source: &dyn FieldSource, version: u8, name: &str, window: &Window) {
    let mut out = vec![-1.0; window.len()];
    source.read(number(source, name), window, &mut out).unwrap();
    let mut at = 0;
    for t in window.times.clone() {
        for k in window.levels.clone() {
            for j in window.latitudes.clone() {
                for i in window.longitudes.clone() {
                    let wanted = expected(name, version, [t, k, j, i]);
                    let found = f64::from(out[at]);
                    assert!(
                        found == wanted || found.is_nan() && wanted.is_nan(),
                        "v{version} {name} at {t} {k} {j} {i}: {found}, expected {wanted}"
                    );
                    at += 1;
                }
            }
        }
    }
}

#[test]
fn stores_of_both_versions_are_read_as_written() {
    for version in [2, 3] {
        let path = data(&format!("v{version}.zarr"));
        assert!(recognises(&path, &[]));
        let source = open_one(&path).unwrap();
        assert_eq!(source.format(), format!("Zarr v{version}"));
        let names: Vec<&str> = source.variables().iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["o3", "odd", "plain", "q", "sp", "t", "z"]);
        for variable in source.variables() {
            assert_eq!(variable.times_s, [1_577_836_800.0, 1_577_847_600.0], "{}", variable.name);
            assert_eq!(variable.latitudes_deg, [45.0, 30.0, 15.0, 0.0]);
            assert_eq!(variable.longitudes_deg, [0.0, 15.0, 30.0, 45.0, 60.0]);
            let surface = variable.name == "sp";
            let levels = if surface { Levels::Surface } else { Levels::Pressure(vec![20_000.0, 25_000.0, 30_000.0]) };
            assert_eq!(variable.levels, levels, "{}", variable.name);
            check(source.as_ref(), version, &variable.name, &variable.whole(0));
            for (t, j, i) in [(0, 0, 0), (1, 1, 2), (1, 3, 4), (0, 2, 1)] {
                for levels in [0..1, 1..3, 2..3] {
                    let levels = if surface { 0..1 } else { levels };
                    let window =
                        Window { member: 0, times: t..2, levels, latitudes: j..4, longitudes: i..(i + 3).min(5) };
                    check(source.as_ref(), version, &variable.name, &window);
                }
            }
        }
        let q = &source.variables()[number(source.as_ref(), "q")];
        assert_eq!(q.units.as_deref(), Some("kg kg**-1"));
        assert_eq!(q.long_name.as_deref(), Some("specific humidity"));
    }
}

#[test]
fn chunks_that_were_never_written_are_told_of() {
    for (version, count) in [(2, "odd: 8 of 16 chunks were not written"), (3, "odd: 12 of 16 chunks were not written")]
    {
        let source = open_one(&data(&format!("v{version}.zarr"))).unwrap();
        let told: Vec<&String> = source.remarks().iter().filter(|r| r.contains("chunks were not written")).collect();
        assert_eq!(told.len(), 1, "{:?}", source.remarks());
        assert!(told[0].starts_with(count), "{}", told[0]);
    }
}

#[test]
fn a_deleted_chunk_is_missing_not_zero() {
    let copy = copy_of("v2.zarr");
    // Of int16 data, which have no NaN of their own.
    fs::remove_file(copy.path().join("t/1.0.0.0")).unwrap();
    let source = open_one(copy.path()).unwrap();
    let t = number(source.as_ref(), "t");
    let window = source.variables()[t].whole(0);
    let mut out = vec![0.0; window.len()];
    source.read(t, &window, &mut out).unwrap();
    let missing = |t: usize, k: usize, j: usize| t == 1 && k < 2 && j < 3;
    for (n, &found) in out.iter().enumerate() {
        let (i, j, k, t) = (n % 5, n / 5 % 4, n / 20 % 3, n / 60);
        let wanted = expected("t", 2, [t, k, j, i]);
        assert_eq!(found.is_nan(), missing(t, k, j) || wanted.is_nan(), "at {t} {k} {j} {i}");
        assert!(found.is_nan() || f64::from(found) == wanted);
    }
}

#[test]
fn consolidated_metadata_may_be_all_there_is_or_absent() {
    let copy = copy_of("v2.zarr");
    for name in ["q", "latitude"] {
        fs::remove_file(copy.path().join(name).join(".zarray")).unwrap();
        fs::remove_file(copy.path().join(name).join(".zattrs")).unwrap();
    }
    let source = open_one(copy.path()).unwrap();
    check(source.as_ref(), 2, "q", &source.variables()[number(source.as_ref(), "q")].whole(0));

    let copy = copy_of("v2.zarr");
    fs::remove_file(copy.path().join(".zmetadata")).unwrap();
    let source = open_one(copy.path()).unwrap();
    check(source.as_ref(), 2, "q", &source.variables()[number(source.as_ref(), "q")].whole(0));
}

#[test]
fn bare_nan_in_attributes_is_what_python_writes() {
    let copy = copy_of("v2.zarr");
    let path = copy.path().join("z/.zattrs");
    fs::write(
        &path,
        r#"{"_ARRAY_DIMENSIONS": ["time", "level", "latitude", "longitude"],
        "missing_value": NaN, "note": "NaN \" Infinity"}"#,
    )
    .unwrap();
    let document = metadata::read_json(&path).unwrap().unwrap();
    assert_eq!(document["missing_value"], "NaN");
    assert_eq!(document["note"], "NaN \" Infinity");
    let source = open_one(copy.path()).unwrap();
    check(source.as_ref(), 2, "z", &source.variables()[number(source.as_ref(), "z")].whole(0));
}

#[test]
fn fill_values_in_text_are_numbers() {
    // base64.b64encode(struct.pack("<d", x))
    assert_eq!(metadata::float_from_text("AAAAAAA6j8A="), Some(-999.25));
    assert_eq!(metadata::float_from_text("AAAAAAAA8D8="), Some(1.0));
    assert!(metadata::float_from_text("AAAAAAAA+H8=").unwrap().is_nan());
    for text in ["", "0", "AAAAAAAA+H8", "AAAA!AAA+H8=", "AAAAAAAAAAAA+H8="] {
        assert_eq!(metadata::float_from_text(text), None, "{text}");
    }
}

#[test]
fn errors_name_the_file_and_the_fault() {
    let message = |copy: &Path| match open_one(copy) {
        Err(error) => error.to_string(),
        Ok(source) => {
            let read = |v| {
                source.read(v, &source.variables()[v].whole(0), &mut vec![0.0; source.variables()[v].whole(0).len()])
            };
            (0..source.variables().len()).find_map(|v| read(v).err()).map(|e| e.to_string()).unwrap_or_default()
        }
    };
    let told = |store: &str, file: &str, edit: &dyn Fn(Vec<u8>) -> Vec<u8>, words: &[&str]| {
        let copy = copy_of(store);
        let path = copy.path().join(file);
        fs::write(&path, edit(fs::read(&path).unwrap_or_default())).unwrap();
        let found = message(copy.path());
        assert!(words.iter().all(|word| found.contains(word)), "{file}: {found}");
    };
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    told("v3.zarr", "q/zarr.json", &cut, &["q/zarr.json", "broken JSON"]);
    told("v3.zarr", "zarr.json", &|_| b"[]".to_vec(), &["zarr.json", "zarr_format"]);
    told("v3.zarr", "plain/c/0/0/0/0", &cut, &["plain/c/0/0/0/0", "80 bytes, expected 160"]);
    told("v3.zarr", "q/c/1/0/0/0", &cut, &["q/c/1/0/0/0"]);
    told("v3.zarr", "o3/c/0/0/0/0", &cut, &["o3/c/0/0/0/0"]);
    told("v2.zarr", "t/0.0.0.0", &cut, &["t/0.0.0.0", "blosc"]);
    told("v2.zarr", "z/0.0.0.0", &cut, &["z/0.0.0.0"]);
    told("v2.zarr", "z/.zarray", &|_| b"{}".to_vec(), &["z/.zarray", "zarr_format"]);
    told("v2.zarr", ".zarray", &|_| b"{}".to_vec(), &["a single Zarr array"]);
    told("v2.zarr", "z/0.0.0.0", &|mut b| [std::mem::take(&mut b), vec![0; 1 << 20]].concat(), &["z/0.0.0.0", "1048"]);
}

#[test]
fn what_is_not_supported_is_skipped_by_name() {
    let copy = copy_of("v2.zarr");
    edit(&copy.path().join("z/.zarray"), |m| m["filters"] = json!([{ "id": "delta", "dtype": "<f8" }]));
    edit(&copy.path().join("o3/.zarray"), |m| m["compressor"] = json!({ "id": "lzma", "preset": 1 }));
    let source = open_one(copy.path()).unwrap();
    let remarks = source.remarks().join("\n");
    assert!(remarks.contains("z: skipped, filters delta"), "{remarks}");
    assert!(remarks.contains("o3: skipped, codec lzma"), "{remarks}");
    assert!(source.variables().iter().all(|v| v.name != "z" && v.name != "o3"));
}

#[test]
fn declared_sizes_are_not_believed() {
    for (shape, chunk) in [
        (json!([1_u64 << 62, 3, 4, 5]), json!([1, 2, 4, 5])),
        (json!([u64::MAX, u64::MAX, 4, 5]), json!([1, 2, 4, 5])),
        (json!([2, 3, 4, 5]), json!([1, 2, 1_u64 << 40, 1_u64 << 40])),
        (json!([2, 3, 4, 5]), json!([1, 2, 0, 5])),
        (json!([2, 3, 4, 5]), json!([1, 2, 5])),
        (json!([-2, 3, 4, 5]), json!([1, 2, 4, 5])),
    ] {
        let copy = copy_of("v3.zarr");
        edit(&copy.path().join("plain/zarr.json"), |m| {
            m["shape"] = shape.clone();
            m["chunk_grid"]["configuration"]["chunk_shape"] = chunk.clone();
        });
        // An error, or the array is left out.
        if let Ok(source) = open_one(copy.path()) {
            assert!(source.variables().iter().all(|v| v.name != "plain"), "{shape} {chunk}");
        }
    }
    let copy = copy_of("v3.zarr");
    edit(&copy.path().join("latitude/zarr.json"), |m| m["shape"] = json!([1_u64 << 40]));
    let error = open_one(copy.path()).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("axis latitude of 1099511627776 values"), "{error}");
}

/// Every file of both stores cut, emptied, overwritten and with single bytes
/// changed: values or an error, nothing else.
#[test]
fn damage_never_panics() {
    let mut random = 12_345_u64;
    let mut next = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below.max(1)
    };
    for store in ["v2.zarr", "v3.zarr"] {
        let copy = copy_of(store);
        for path in files(copy.path()) {
            let whole = fs::read(&path).unwrap();
            for round in 0..9 {
                let mut bytes = whole.clone();
                match round {
                    0 => bytes.clear(),
                    1 => bytes.truncate(next(whole.len())),
                    2 => bytes.fill_with(|| u8::try_from(next(256)).unwrap()),
                    3 => bytes.fill(0xff),
                    _ => {
                        let at = next(bytes.len());
                        // Header bytes are where the lengths are.
                        let at = if round % 2 == 0 { at } else { at % 16 };
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = u8::try_from(next(256)).unwrap();
                        }
                    }
                }
                fs::write(&path, &bytes).unwrap();
                if let Ok(source) = open_one(copy.path()) {
                    for (v, variable) in source.variables().iter().enumerate() {
                        let window = variable.whole(0);
                        assert!(window.len() <= 1 << 20, "{}: {window:?}", path.display());
                        let _ = source.read(v, &window, &mut vec![0.0; window.len()]);
                    }
                }
            }
            fs::write(&path, &whole).unwrap();
        }
        assert!(open_one(copy.path()).is_ok());
    }
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut document);
    fs::write(path, document.to_string()).unwrap();
}

fn copy_of(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let source = data(name);
    for path in files(&source) {
        let target = dir.path().join(path.strip_prefix(&source).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, target).unwrap();
    }
    dir
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect();
    found.sort();
    found
}
