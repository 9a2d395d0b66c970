use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{
    super::{Chunk, FieldError, FieldSource, Levels, Variable, Window, cf::testing::*},
    testing::classic,
    *,
};

/// A file of the folder of shared data; none where the folder is not there.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fields").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn find<'a>(source: &'a dyn FieldSource, name: &str) -> (usize, &'a Variable) {
    let names: Vec<&str> = source.variables().iter().map(|v| v.name.as_str()).collect();
    let index = names.iter().position(|n| *n == name).unwrap_or_else(|| panic!("{name} is not in {names:?}"));
    (index, &source.variables()[index])
}

/// The value at a time, level, latitude and longitude.
fn at(source: &dyn FieldSource, name: &str, [t, k, j, i]: [usize; 4]) -> f32 {
    let window = Window { member: 0, times: t..t + 1, levels: k..k + 1, latitudes: j..j + 1, longitudes: i..i + 1 };
    let mut out = [0.0];
    source.read(find(source, name).0, &window, &mut out).unwrap();
    out[0]
}

fn whole(source: &dyn FieldSource, name: &str) -> Vec<f32> {
    let (index, variable) = find(source, name);
    let window = variable.whole(0);
    let mut out = vec![0.0; window.len()];
    source.read(index, &window, &mut out).unwrap();
    out
}

/// File, variable, place, value: netCDF4 1.7's, rounded to float32.
const FACTS: &[(&str, &str, [usize; 4], f32)] = &[
    ("climaccf_era5_pl_201806_2deg.nc", "t", [0, 0, 0, 0], 231.690_22),
    ("climaccf_era5_pl_201806_2deg.nc", "t", [29, 2, 20, 36], 245.382_13),
    ("climaccf_era5_pl_201806_2deg.nc", "t", [11, 1, 7, 19], 221.281_86),
    ("climaccf_era5_pl_201806_2deg.nc", "q", [0, 0, 0, 0], 3.337_150_2e-6),
    ("climaccf_era5_pl_201806_2deg.nc", "q", [29, 2, 20, 36], 6.661_294e-5),
    ("climaccf_era5_pl_201806_2deg.nc", "q", [11, 1, 7, 19], 4.007_864_5e-5),
    ("pycontrails_met-accf-pl.nc", "u", [0, 0, 0, 0], 5.481_626_5),
    ("pycontrails_met-accf-pl.nc", "u", [2, 8, 44, 132], 24.722_57),
    ("pycontrails_met-accf-pl.nc", "u", [1, 4, 20, 77], 8.446_981),
    ("cams_global_fc_pm10_202301.nc", "pm10", [0, 0, 0, 0], 3.707_773_6e-8),
    ("cams_global_fc_pm10_202301.nc", "pm10", [2, 0, 75, 75], 4.729_669_7e-7),
    ("cams_global_fc_pm10_202301.nc", "pm10", [1, 0, 30, 40], 1.446_444_6e-8),
    // Packed zero comes out slightly below zero, and stays so.
    ("pycontrails_met-ecmwf-pl.nc", "ciwc", [0, 0, 0, 0], -1.084_202_2e-19),
    ("pycontrails_met-ecmwf-pl.nc", "t", [0, 0, 0, 0], 219.956_8),
    ("pycontrails_met-ecmwf-pl.nc", "t", [1, 2, 7, 14], 205.909_74),
    ("pycontrails_met-ecmwf-pl.nc", "t", [1, 1, 3, 8], 231.471_73),
    ("pycontrails_met-ecmwf-ml.nc", "t", [0, 0, 0, 0], 226.394_06),
    ("pycontrails_met-ecmwf-ml.nc", "t", [0, 10, 7, 14], 209.558_17),
    ("pycontrails_met-ecmwf-ml.nc", "t", [0, 5, 3, 8], 231.220_26),
    ("pycontrails_met-ecmwf-lnsp.nc", "lnsp", [0, 0, 0, 0], 11.548_943),
    ("pycontrails_met-ecmwf-lnsp.nc", "lnsp", [0, 0, 7, 14], 11.190_59),
    ("pycontrails_met-ecmwf-lnsp.nc", "lnsp", [0, 0, 3, 8], 11.525_719),
];

#[test]
fn values_of_real_files_are_those_of_the_c_library() {
    for &(file, variable, place, expected) in FACTS {
        let Some(path) = shared(file) else { return };
        let source = &open(&path).unwrap()[0];
        assert_eq!(at(source.as_ref(), variable, place).to_bits(), expected.to_bits(), "{file} {variable} {place:?}");
    }
}

#[test]
fn sums_over_whole_variables_are_those_of_the_c_library() {
    for (file, variable, expected) in [
        ("climaccf_era5_pl_201806_2deg.nc", "pv", 0.234_514_358_422_466_06),
        ("pycontrails_met-accf-pl.nc", "z", 18_652_171_364.976_562),
        ("cams_global_fc_pm10_202301.nc", "pm10", 0.000_852_354_804_450_727_9),
        ("pycontrails_met-ecmwf-ml.nc", "t", 292_738.186_401_367_2),
        ("pycontrails_met-ecmwf-pl.nc", "t", 160_314.476_257_324_22),
        ("pycontrails_met-ecmwf-lnsp.nc", "lnsp", 1_376.755_935_668_945_3),
    ] {
        let Some(path) = shared(file) else { return };
        let values = whole(open(&path).unwrap()[0].as_ref(), variable);
        let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
        assert!((sum - expected).abs() <= 1e-10 * expected, "{file}: {sum} is not {expected}");
    }
}

#[test]
fn axes_of_real_files() {
    let Some(path) = shared("climaccf_era5_pl_201806_2deg.nc") else { return };
    let source = &open(&path).unwrap()[0];
    assert_eq!(source.format(), "NetCDF classic (CDF-2)");
    assert_eq!(source.variables().len(), 7);
    assert!(source.remarks().is_empty(), "{:?}", source.remarks());
    let (_, t) = find(source.as_ref(), "t");
    assert_eq!((t.times_s[0], t.times_s[29], t.times_s.len()), (1_527_832_800.0, 1_530_338_400.0, 30));
    assert_eq!(t.levels, Levels::Pressure(vec![20_000.0, 25_000.0, 30_000.0]));
    assert_eq!((t.latitudes_deg[0], t.latitudes_deg[20]), (73.0, 33.0));
    assert_eq!((t.longitudes_deg[0], t.longitudes_deg[36]), (-27.0, 45.0));
    assert_eq!(t.units.as_deref(), Some("K"));
    assert_eq!(t.standard_name.as_deref(), Some("air_temperature"));

    let Some(path) = shared("pycontrails_met-ecmwf-ml.nc") else { return };
    let source = &open(&path).unwrap()[0];
    assert_eq!(source.format(), "NetCDF-4");
    let (_, t) = find(source.as_ref(), "t");
    assert_eq!(t.times_s, [1_559_278_800.0]);
    match &t.levels {
        Levels::Hybrid(hybrid) => assert_eq!(hybrid.numbers, (74..=84).collect::<Vec<u32>>()),
        other => panic!("{other:?}"),
    }
    assert_eq!(t.latitudes_deg, [90.0, 65.0, 40.0, 15.0, -10.0, -35.0, -60.0, -85.0]);
    assert_eq!(t.chunk, Chunk { times: 1, levels: 11 });
    let Some(path) = shared("pycontrails_met-ecmwf-lnsp.nc") else { return };
    assert_eq!(open(&path).unwrap()[0].variables()[0].levels, Levels::Surface);
}

/// What `tests/data/make.py` writes.
fn made([t, k, j, i]: [usize; 4]) -> f32 {
    t as f32 * 1000.0 + k as f32 * 100.0 + j as f32 * 4.0 + i as f32 * 0.25
}

const MADE: [usize; 4] = [5, 4, 7, 6];

fn check_made(source: &dyn FieldSource, name: &str, missing: [usize; 4], window: &Window) {
    let (index, _) = find(source, name);
    let mut out = vec![0.0; window.len()];
    source.read(index, window, &mut out).unwrap();
    let mut values = out.iter();
    for t in window.times.clone() {
        for k in window.levels.clone() {
            for j in window.latitudes.clone() {
                for i in window.longitudes.clone() {
                    let value = values.next().unwrap();
                    if [t, k, j, i] == missing {
                        assert!(value.is_nan());
                    } else {
                        assert_eq!(value.to_bits(), made([t, k, j, i]).to_bits(), "{name} {t} {k} {j} {i}");
                    }
                }
            }
        }
    }
}

#[test]
fn compressed_chunks_with_ragged_edges() {
    let source = &open(&own("deflated.nc")).unwrap()[0];
    let (_, dust) = find(source.as_ref(), "aermr04");
    assert_eq!((dust.times_s[0], dust.times_s[4]), (1_593_561_600.0, 1_593_608_400.0));
    assert_eq!(dust.levels, Levels::Pressure(vec![100_000.0, 50_000.0, 25_000.0, 20_000.0]));
    assert_eq!(dust.chunk, Chunk { times: 3, levels: 3 });
    assert_eq!(source.remarks(), ["groups are not read: details"]);
    check_made(source.as_ref(), "aermr04", [1, 2, 3, 4], &dust.whole(0));
    let bytes = std::fs::read(own("zstd.nc")).unwrap();
    let source = &from_bytes(Path::new("memory"), bytes).unwrap()[0];
    let (_, ozone) = find(source.as_ref(), "go3");
    check_made(source.as_ref(), "go3", [4, 3, 6, 5], &ozone.whole(0));
}

#[test]
fn many_threads_read_the_same_as_one() {
    use rayon::prelude::*;
    let source = &open(&own("deflated.nc")).unwrap()[0];
    let whole = find(source.as_ref(), "aermr04").1.whole(0);
    (0..200usize).into_par_iter().for_each(|n| {
        let window = Window { times: n % 5..n % 5 + 1, levels: n % 4..4, ..whole.clone() };
        check_made(source.as_ref(), "aermr04", [1, 2, 3, 4], &window);
    });
}

/// `MADE` as a store for the classic writer, packed, with an unlimited time.
fn store() -> MemoryStore {
    let [times, levels, latitudes, longitudes] = MADE;
    let dims = [("time", times), ("level", levels), ("latitude", latitudes), ("longitude", longitudes)];
    let places = (0..times * levels * latitudes * longitudes).map(|n| {
        let (rest, i) = (n / longitudes, n % longitudes);
        let (rest, j) = (rest / latitudes, rest % latitudes);
        made([rest / levels, rest % levels, j, i])
    });
    let stored: Vec<f32> = places.collect();
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 32,767")]
    let packed = stored.iter().map(|v| ((v - 2000.0) * 4.0) as i16).collect();
    let times: Vec<f64> = (0..times).map(|t| 3.0 * t as f64).collect();
    MemoryStore::default()
        .axis("time", &times, "hours since 1900-01-01 00:00:00.0")
        .axis("level", &[1000.0, 500.0, 250.0, 200.0], "millibars")
        .horizontal(latitudes, longitudes)
        .array("plain", &dims, cf::Values::F32(stored), &[("units", text("kg kg**-1"))])
        .array(
            "packed",
            &dims,
            cf::Values::I16(packed),
            &[("scale_factor", number(0.25)), ("add_offset", number(2000.0)), ("_FillValue", number(-32767.0))],
        )
}

const NOWHERE: [usize; 4] = [usize::MAX; 4];

proptest! {
    #[test]
    fn boxes_of_classic_files_of_every_version(
        version in prop::sample::select(vec![1u8, 2, 5]),
        unlimited in any::<bool>(),
        corner in any::<[prop::sample::Index; 4]>(),
        extent in any::<[prop::sample::Index; 4]>(),
    ) {
        let bytes = classic(version, &store(), unlimited.then_some("time"));
        let source = &from_bytes(Path::new("classic.nc"), bytes).unwrap()[0];
        let format = format!("NetCDF classic (CDF-{version})");
        prop_assert_eq!(source.format(), format);
        let range = |d: usize| {
            let start = corner[d].index(MADE[d]);
            start..start + 1 + extent[d].index(MADE[d] - start)
        };
        let window = Window { member: 0, times: range(0), levels: range(1), latitudes: range(2), longitudes: range(3) };
        check_made(source.as_ref(), "plain", NOWHERE, &window);
        check_made(source.as_ref(), "packed", NOWHERE, &window);
    }
}

#[test]
fn what_was_never_written_is_missing() {
    let fill = 9.969_21e36_f32;
    let dims = [("time", 1), ("latitude", 1), ("longitude", 2)];
    let store = MemoryStore::default().axis("time", &[0.0], "hours since 2000-01-01").horizontal(1, 2).array(
        "x",
        &dims,
        cf::Values::F32(vec![fill, 1.0]),
        &[],
    );
    let source = &from_bytes(Path::new("x"), classic(2, &store, None)).unwrap()[0];
    let values = whole(source.as_ref(), "x");
    assert!(values[0].is_nan() && values[1].to_bits() == 1f32.to_bits(), "{values:?}");
}

/// Opens and reads everything; an error is fine, a panic is not.
fn exercise(bytes: Vec<u8>) -> Result<(), FieldError> {
    for source in from_bytes(Path::new("damaged.nc"), bytes)? {
        for (index, variable) in source.variables().iter().enumerate() {
            let window = variable.whole(0);
            // Axes are read, so a box is as large as values that were there.
            assert!(window.len() < 1 << 24, "{variable:?}");
            source.read(index, &window, &mut vec![0.0; window.len()])?;
        }
    }
    Ok(())
}

fn samples() -> Vec<Vec<u8>> {
    let mut samples: Vec<_> = [1, 2, 5].map(|version| classic(version, &store(), Some("time"))).into();
    samples.extend(["deflated.nc", "zstd.nc"].map(|name| std::fs::read(own(name)).unwrap()));
    for sample in &samples {
        exercise(sample.clone()).unwrap();
    }
    samples
}

#[test]
fn truncated_files_are_errors() {
    for sample in samples() {
        // Nothing that is needed may be cut off; padding at the end may.
        for length in (0..sample.len() * 9 / 10).step_by(97).chain(0..64) {
            let error = exercise(sample[..length].to_vec()).unwrap_err().to_string();
            assert!(error.starts_with("damaged.nc: "), "{error}");
        }
    }
}

#[test]
fn flipped_bits_are_errors_or_other_values() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % n
    };
    for sample in samples() {
        for _ in 0..300 {
            let mut damaged = sample.clone();
            for _ in 0..=next(4) {
                // Half of the damage where the structure is.
                let reach = if next(2) == 0 { damaged.len().min(2_000) } else { damaged.len() };
                let at = 4 + next(reach - 4);
                damaged[at] ^= 1 << next(8);
            }
            let _ = exercise(damaged);
        }
    }
}

#[test]
fn huge_dimensions_in_a_tiny_file_are_refused_before_anything_is_allocated() {
    let bytes = classic(5, &store(), None);
    // The length of the first dimension, `time`: magic, records, tag, count,
    // length of the name, the name.
    let at = 4 + 8 + 4 + 8 + 8 + 4;
    assert_eq!(bytes[at..at + 8], 5u64.to_be_bytes());
    for huge in [1u64 << 20, 1 << 40, u64::MAX >> 1] {
        let mut damaged = bytes.clone();
        damaged[at..at + 8].copy_from_slice(&huge.to_be_bytes());
        let error = exercise(damaged).unwrap_err();
        assert!(matches!(error, FieldError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn hdf5_without_dimensions_and_unknown_bytes_are_refused() {
    assert!(recognises(Path::new("a"), b"CDF\x01...") && recognises(Path::new("a"), b"\x89HDF\r\n\x1a\n..."));
    assert!(!recognises(Path::new("a.nc"), b"CDF\x03") && !recognises(Path::new("a.nc"), b""));
    for bytes in [&b""[..], b"CDF", b"CDF\x02", b"\x89HDF\r\n\x1a\n", b"<html>"] {
        let error = exercise(bytes.to_vec()).unwrap_err().to_string();
        assert!(error.starts_with("damaged.nc: "), "{error}");
    }
}

#[test]
fn a_missing_file_is_an_io_error() {
    let path = Path::new("no such file.nc");
    assert!(matches!(open(path), Err(FieldError::Io { path: p, .. }) if p == path));
}
