//! The prepared form, written and read back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::{Map, Value, json};

use super::{
    Direct, open,
    prepared::{Compression, PreparedLayout, PreparedVariable, band},
    store::ZarrStore,
    writer::{PreparedChunk, PreparedWriter, fingerprint},
};
use crate::field::{FieldSource, HybridLevels, Levels, Variable, Window, cf, dataset::ValueRule};

fn layout() -> PreparedLayout {
    let variable = |name: &str, vertical| PreparedVariable {
        name: name.to_owned(),
        standard_name: (name == "t").then(|| "air_temperature".to_owned()),
        long_name: None,
        units: Some("K".to_owned()),
        vertical,
        interpolation: if name == "dust" { ValueRule::Log } else { ValueRule::Linear },
    };
    PreparedLayout {
        variables: vec![variable("t", true), variable("sp", false), variable("dust", true)],
        times_s: vec![1_577_836_800.0, 1_577_847_600.0, 1_577_850_001.0],
        levels: Levels::Pressure(vec![100.0, 5_000.0, 20_000.0, 50_000.0, 100_000.0]),
        latitudes_deg: vec![-90.0, 0.0, 45.0],
        longitudes_deg: vec![0.0, 90.0, 180.0, 270.0],
        members: Vec::new(),
        attributes: Map::from_iter([("title".to_owned(), json!("a test"))]),
        band: 2,
        compression: Compression::None,
        fingerprint: "of the inputs".to_owned(),
    }
}

/// A value for every place; every seventh is missing.
fn value(variable: usize, member: usize, place: [usize; 4]) -> f32 {
    let [t, k, j, i] = place;
    let n = ((((variable * 10 + member) * 10 + t) * 10 + k) * 10 + j) * 10 + i;
    if n % 7 == 6 { f32::NAN } else { f32::from(u16::try_from(n % 60_000).unwrap()) + 0.25 }
}

fn values(writer: &PreparedWriter, chunk: PreparedChunk) -> Vec<f32> {
    let layout = writer.layout();
    let mut out = Vec::new();
    for k in writer.levels(chunk) {
        for j in 0..layout.latitudes_deg.len() {
            for i in 0..layout.longitudes_deg.len() {
                out.push(value(chunk.variable, chunk.member, [chunk.time, k, j, i]));
            }
        }
    }
    out
}

fn write_all(dir: &Path, layout: PreparedLayout) {
    let writer = PreparedWriter::create(dir, layout, false).unwrap();
    for chunk in writer.missing() {
        writer.write(chunk, &values(&writer, chunk)).unwrap();
    }
    writer.finish().unwrap();
}

fn check(source: &dyn FieldSource, layout: &PreparedLayout, name: &str, window: &Window) {
    let number = source.variables().iter().position(|v| v.name == name).unwrap();
    let written = layout.variables.iter().position(|v| v.name == name).unwrap();
    let mut out = vec![-1.0; window.len()];
    source.read(number, window, &mut out).unwrap();
    let mut out = out.iter();
    for t in window.times.clone() {
        for k in window.levels.clone() {
            for j in window.latitudes.clone() {
                for i in window.longitudes.clone() {
                    let found = *out.next().unwrap();
                    let wanted = value(written, window.member, [t, k, j, i]);
                    assert_eq!(found.to_bits(), wanted.to_bits(), "{name} at {t} {k} {j} {i}: {found}, not {wanted}");
                }
            }
        }
    }
}

fn windows(variable: &Variable, member: usize) -> Vec<Window> {
    let (levels, latitudes, longitudes) =
        (variable.levels.len(), variable.latitudes_deg.len(), variable.longitudes_deg.len());
    let mut found = vec![variable.whole(member)];
    for (k, j, i) in [(0, 0, 0), (0, 1, 2), (levels / 2, 0, 1), (levels - 1, latitudes - 1, 0)] {
        found.push(Window {
            member,
            times: 1..2,
            levels: k..levels,
            latitudes: j..latitudes,
            longitudes: i..longitudes - 1,
        });
    }
    found
}

#[test]
fn what_was_written_is_read() {
    for compression in [Compression::None, Compression::Zstd, Compression::Blosc] {
        let dir = tempfile::tempdir().unwrap();
        let layout = PreparedLayout { compression, ..layout() };
        write_all(dir.path(), layout.clone());
        let source = open(dir.path()).unwrap().remove(0);
        assert_eq!(source.format(), "Zarr v3, prepared");
        assert!(source.remarks().is_empty(), "{:?}", source.remarks());
        assert_eq!(source.variables().len(), 3);
        for (variable, sorted) in source.variables().iter().zip(["dust", "sp", "t"]) {
            assert_eq!(variable.name, sorted);
            assert_eq!(variable.times_s, layout.times_s);
            assert_eq!(variable.latitudes_deg, layout.latitudes_deg);
            assert_eq!(variable.longitudes_deg, layout.longitudes_deg);
            assert_eq!(variable.units.as_deref(), Some("K"));
            assert_eq!(variable.levels, if sorted == "sp" { Levels::Surface } else { layout.levels.clone() });
            assert_eq!((variable.chunk.times, variable.chunk.levels), (1, if sorted == "sp" { 1 } else { 2 }));
            for window in windows(variable, 0) {
                check(source.as_ref(), &layout, &variable.name, &window);
            }
        }
        assert_eq!(source.variables()[2].standard_name.as_deref(), Some("air_temperature"));
        let outside = Window { levels: 4..6, ..source.variables()[0].whole(0) };
        assert!(source.read(0, &outside, &mut vec![0.0; outside.len()]).is_err());
        let surface = Window { levels: 1..2, ..source.variables()[1].whole(0) };
        assert!(source.read(1, &surface, &mut vec![0.0; surface.len()]).is_err());
    }
}

#[test]
fn every_kind_of_level_and_members_come_back() {
    let half = vec![(0.0, 0.0), (2_000.0, 0.01), (5_000.0, 0.2), (3_000.0, 0.6), (10.0, 0.9), (0.0, 1.0)];
    for levels in [
        Levels::Altitude(vec![500.0, 1_000.0, 4_000.5]),
        Levels::FlightLevel(vec![400.0, 250.0, 50.0]),
        Levels::Hybrid(HybridLevels { numbers: vec![1, 2, 3, 4, 5], half_levels: Some(half) }),
        Levels::Hybrid(HybridLevels { numbers: vec![60, 61], half_levels: None }),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let layout = PreparedLayout {
            levels: levels.clone(),
            members: vec!["3".to_owned(), "11".to_owned()],
            times_s: vec![0.5, 10.0],
            ..layout()
        };
        write_all(dir.path(), layout.clone());
        let source = open(dir.path()).unwrap().remove(0);
        for variable in source.variables() {
            assert_eq!(variable.members, layout.members);
            assert_eq!(variable.times_s, layout.times_s);
            assert_eq!(variable.levels, if variable.name == "sp" { Levels::Surface } else { levels.clone() });
            for window in [windows(variable, 0), windows(variable, 1)].concat() {
                check(source.as_ref(), &layout, &variable.name, &window);
            }
        }
    }
}

#[test]
fn both_ways_of_reading_agree() {
    let dir = tempfile::tempdir().unwrap();
    // Rows and planes both long and short beside the lengths at which reads are joined.
    let layout = PreparedLayout {
        latitudes_deg: (0..61).map(f64::from).collect(),
        longitudes_deg: (0..300).map(f64::from).collect(),
        variables: layout().variables[..1].to_vec(),
        ..layout()
    };
    write_all(dir.path(), layout.clone());
    let (store, _) = ZarrStore::open(dir.path()).unwrap();
    let interpreted = cf::interpret(&store).unwrap();
    assert!(Direct::find(&store, &interpreted.variables[0]).is_some());
    let source = open(dir.path()).unwrap().remove(0);
    for (levels, latitudes, longitudes) in
        [(0..5, 0..61, 0..300), (1..4, 3..60, 0..300), (0..5, 0..61, 7..9), (2..3, 0..1, 0..300), (1..5, 5..50, 1..299)]
    {
        let window = Window { member: 0, times: 0..3, levels, latitudes, longitudes };
        let (mut direct, mut general) = (vec![0.0; window.len()], vec![0.0; window.len()]);
        source.read(0, &window, &mut direct).unwrap();
        cf::read(&store, &interpreted.layouts[0], &window, &mut general).unwrap();
        assert!(direct.iter().zip(&general).all(|(a, b)| a.to_bits() == b.to_bits()), "{window:?}");
        assert!(direct.iter().any(|v| v.is_nan()) && direct.iter().any(|v| *v > 0.0));
        check(source.as_ref(), &layout, "t", &window);
    }
}

#[test]
fn a_resumed_run_leaves_the_same_bytes() {
    for compression in [Compression::None, Compression::Zstd, Compression::Blosc] {
        let layout = PreparedLayout { compression, ..layout() };
        let whole = tempfile::tempdir().unwrap();
        write_all(whole.path(), layout.clone());

        let resumed = tempfile::tempdir().unwrap();
        let writer = PreparedWriter::create(resumed.path(), layout.clone(), false).unwrap();
        let chunks: Vec<PreparedChunk> = writer.chunks().collect();
        for &chunk in chunks.iter().step_by(3) {
            writer.write(chunk, &values(&writer, chunk)).unwrap();
        }
        assert_eq!(writer.missing().count(), chunks.len() - chunks.len().div_ceil(3));
        // What a run that was killed while writing leaves behind.
        fs::write(resumed.path().join("t/.c.0.0.0.0.1-1.partial"), b"half").unwrap();
        fs::write(resumed.path().join(".zarr.json.1-2.partial"), b"half").unwrap();
        drop(writer);
        assert_ne!(contents(whole.path()), contents(resumed.path()));
        write_all(resumed.path(), layout.clone());
        assert_eq!(contents(whole.path()), contents(resumed.path()));

        let before = changes(whole.path());
        let writer = PreparedWriter::create(whole.path(), layout.clone(), false).unwrap();
        assert!(writer.is_finished());
        assert_eq!(writer.missing().count(), 0);
        writer.finish().unwrap();
        assert_eq!(changes(whole.path()), before, "a second run wrote something");
    }
}

#[test]
fn a_chunk_of_the_wrong_length_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path(), layout());
    let path = dir.path().join("dust/c.1.2.0.0");
    let whole = fs::read(&path).unwrap();
    // Two levels of 12 values, of which the last band has one: the rest is missing.
    assert_eq!(whole.len(), 2 * 12 * 4);
    assert!(whole[12 * 4..].as_chunks().0.iter().all(|b| f32::from_le_bytes(*b).is_nan()));
    fs::write(&path, &whole[1..]).unwrap();
    let writer = PreparedWriter::create(dir.path(), layout(), false).unwrap();
    let missing: Vec<PreparedChunk> = writer.missing().collect();
    assert_eq!(missing, [PreparedChunk { member: 0, time: 1, variable: 2, band: 2 }]);
    assert!(writer.write(missing[0], &[0.0; 5]).is_err());
    assert!(writer.write(PreparedChunk { time: 3, ..missing[0] }, &[0.0; 12]).is_err());
    writer.write(missing[0], &values(&writer, missing[0])).unwrap();
    writer.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn an_unfinished_store_is_not_a_field() {
    let dir = tempfile::tempdir().unwrap();
    let writer = PreparedWriter::create(dir.path(), layout(), false).unwrap();
    let busy = PreparedWriter::create(dir.path(), layout(), false).unwrap_err().to_string();
    assert!(busy.contains("another run is preparing this folder"), "{busy}");
    let error = open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("not finished") && error.contains("skydose prepare"), "{error}");
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.contains("21 chunks were not written"), "{error}");
}

#[test]
fn a_store_of_other_inputs_is_replaced_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path(), layout());
    let before = contents(dir.path());
    let other = PreparedLayout { fingerprint: "of others".to_owned(), ..layout() };
    let fewer = PreparedLayout { variables: layout().variables[..2].to_vec(), ..layout() };
    for changed in [&other, &fewer] {
        let error = PreparedWriter::create(dir.path(), changed.clone(), false).unwrap_err().to_string();
        assert!(error.contains("prepared from other files or with other options"), "{error}");
        assert_eq!(contents(dir.path()), before);
    }
    fs::write(dir.path().join("notes.txt"), b"mine").unwrap();
    let writer = PreparedWriter::create(dir.path(), fewer, true).unwrap();
    assert!(!writer.is_finished() && writer.missing().count() == writer.chunks().count());
    assert!(!dir.path().join("dust").exists());
    assert_eq!(fs::read(dir.path().join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    for (name, content) in [("letter.txt", "dear"), ("zarr.json", r#"{"zarr_format":3,"node_type":"group"}"#)] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), content).unwrap();
        for overwrite in [false, true] {
            let error = PreparedWriter::create(dir.path(), layout(), overwrite).unwrap_err().to_string();
            assert!(error.contains("holds no prepared field"), "{error}");
        }
        assert_eq!(contents(dir.path()).len(), 1);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    assert!(PreparedWriter::create(&file, layout(), true).is_err());
}

#[test]
fn layouts_that_cannot_be_written_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refuse = |layout: PreparedLayout, words: &str| {
        let error = PreparedWriter::create(&dir.path().join("x"), layout, false).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!dir.path().join("x").exists());
    };
    refuse(PreparedLayout { times_s: vec![3.0, 2.0], ..layout() }, "axis time");
    refuse(PreparedLayout { latitudes_deg: vec![f64::NAN], ..layout() }, "axis latitude");
    refuse(PreparedLayout { longitudes_deg: vec![], ..layout() }, "axis longitude");
    refuse(PreparedLayout { levels: Levels::Pressure(vec![1.0, 3.0, 2.0]), ..layout() }, "axis level");
    refuse(PreparedLayout { levels: Levels::Surface, ..layout() }, "variable t has levels");
    refuse(PreparedLayout { band: 0, ..layout() }, "bands of 0");
    for name in ["time", "../t", "", "sp", ".t", "a/b"] {
        let mut layout = layout();
        layout.variables[0].name = name.to_owned();
        refuse(layout, "variable");
    }
}

#[test]
fn bands_are_even_and_some_megabytes() {
    // 0.75 degrees: 463 kB a plane; 25 levels in 3 bands of 9.
    assert_eq!(band(25, 241 * 480), 9);
    // 0.4 degrees: 1.6 MB a plane.
    assert_eq!(band(137, 451 * 900), 2);
    assert_eq!(band(60, 9), 60);
    assert_eq!(band(10, 1 << 30), 1);
    assert_eq!(band(0, 0), 1);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a file needs a time of change")]
fn fingerprints_follow_the_files_and_the_options() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.nc"), dir.path().join("b.nc"));
    fs::write(&a, b"one").unwrap();
    fs::write(&b, b"one").unwrap();
    let of = |paths: &[&PathBuf], options: &str| {
        fingerprint(&paths.iter().map(|p| (*p).clone()).collect::<Vec<_>>(), options).unwrap()
    };
    let first = of(&[&a], "t,q");
    assert_eq!(first.len(), 32);
    assert_eq!(first, of(&[&a], "t,q"));
    assert_ne!(first, of(&[&b], "t,q"));
    assert_ne!(first, of(&[&a], "t"));
    assert_ne!(first, of(&[&a, &b], "t,q"));
    let folder = of(&[&dir.path().to_owned()], "");
    fs::write(&a, b"three").unwrap();
    assert_ne!(first, of(&[&a], "t,q"));
    assert_ne!(folder, of(&[&dir.path().to_owned()], ""));
    fs::File::open(&b).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let touched = of(&[&b], "");
    fs::File::open(&b).unwrap().set_modified(SystemTime::now()).unwrap();
    assert_ne!(touched, of(&[&b], ""));
    assert!(fingerprint(&[dir.path().join("none")], "").is_err());
}

#[test]
fn metadata_are_what_the_specification_says() {
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path(), layout());
    let of = |name: &str| -> Value { serde_json::from_slice(&fs::read(dir.path().join(name)).unwrap()).unwrap() };
    let t = of("t/zarr.json");
    assert_eq!(t["shape"], json!([3, 5, 3, 4]));
    assert_eq!(t["chunk_grid"]["configuration"]["chunk_shape"], json!([1, 2, 3, 4]));
    assert_eq!(t["dimension_names"], json!(["time", "level", "latitude", "longitude"]));
    assert_eq!(t["codecs"], json!([{ "name": "bytes", "configuration": { "endian": "little" } }]));
    let group = of("zarr.json");
    assert_eq!(group["attributes"]["skydose_prepared"], "finished");
    assert_eq!(group["attributes"]["title"], "a test");
    assert_eq!(group["consolidated_metadata"]["metadata"]["t"], t);
    assert_eq!(of("time/zarr.json")["data_type"], "int64");
    assert_eq!(fs::read(dir.path().join("time/c.0")).unwrap()[..8], 1_577_836_800_i64.to_le_bytes());
    assert_eq!(of("level/zarr.json")["attributes"]["units"], "Pa");
    assert_eq!(t["attributes"].get("skydose_interpolation"), None);
    assert_eq!(of("dust/zarr.json")["attributes"]["skydose_interpolation"], "log");
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    walk(dir).into_iter().map(|p| (p.strip_prefix(dir).unwrap().to_owned(), fs::read(&p).unwrap())).collect()
}

/// When each file and folder was last changed.
fn changes(dir: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found: BTreeMap<PathBuf, SystemTime> =
        walk(dir).into_iter().map(|p| (p.clone(), fs::metadata(&p).unwrap().modified().unwrap())).collect();
    found.insert(dir.to_owned(), fs::metadata(dir).unwrap().modified().unwrap());
    found
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path) } else { vec![path] }
        })
        .collect()
}
