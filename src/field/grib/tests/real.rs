//! Real files against ecCodes 2.50: axes, names, and all values.
//!
//! Values are compared by two sums in f64 over their f32 roundings, plain and
//! weighted by 1 to 97 in turn, so that neither a value nor its place can be
//! wrong; and a few one by one.

use std::path::PathBuf;

use super::{Source, find, names, read};
use crate::field::{FieldError, Levels};

/// A file of the shared data, `None` (and said so) where they are absent.
fn path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/grib").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn opened(name: &str) -> Option<Source> {
    let path = path(name)?;
    let mut sources = super::super::open(&path).unwrap_or_else(|e| panic!("{e}"));
    // The same bytes in memory hold the same.
    let bytes = super::open(std::fs::read(&path).unwrap());
    assert_eq!(bytes.variables(), sources[0].variables());
    Some(sources.remove(0))
}

fn assert_sums(values: impl IntoIterator<Item = f32>, plain: f64, weighted: f64) {
    let mut sums = (0.0, 0.0);
    for (k, value) in values.into_iter().enumerate() {
        sums.0 += f64::from(value);
        sums.1 += f64::from(value) * (k % 97 + 1) as f64;
    }
    let close = |sum: f64, expected: f64| (sum - expected).abs() < 1e-10 * expected.abs();
    assert!(close(sums.0, plain) && close(sums.1, weighted), "{sums:?}, expected {plain} {weighted}");
}

fn hybrid(levels: &Levels) -> (&[u32], &[(f64, f64)]) {
    let Levels::Hybrid(hybrid) = levels else { panic!("{levels:?}") };
    (&hybrid.numbers, hybrid.half_levels.as_deref().unwrap())
}

#[test]
fn model_levels_across_greenwich_with_surface_pressure() {
    let Some(source) = opened("earthkit_ml_data.grib") else { return };
    assert_eq!(names(&source), ["lnsp", "t"]);
    assert!(source.remarks().is_empty(), "{:?}", source.remarks());
    let (_, t) = find(&source, "t");
    let (numbers, half_levels) = hybrid(&t.levels);
    assert_eq!(numbers, (1..=137).step_by(4).collect::<Vec<u32>>());
    // The L137 table, as the file has it in f32.
    assert_eq!(half_levels.len(), 138);
    assert_eq!(half_levels[1], (2.000_365_018_844_604_5, 0.0));
    assert_eq!(half_levels[60], (10_065.978_515_625, 0.000_340_379_687_258_973_7));
    assert_eq!(half_levels[136], (0.0, 0.997_630_119_323_730_5));
    assert_eq!(half_levels[137], (0.0, 1.0));
    assert_eq!(t.longitudes_deg, [340.0, 350.0, 360.0, 370.0, 380.0]);
    assert_eq!(t.latitudes_deg, [30.0, 20.0, 10.0, 0.0, -10.0, -20.0, -30.0]);
    assert_eq!((t.times_s.as_slice(), t.units.as_deref()), ([1_515_715_200.0].as_slice(), Some("K")));
    assert_sums(read(&source, "t", 0), 300_064.522_277_832_03, 14_439_334.242_797_852);
    let (_, lnsp) = find(&source, "lnsp");
    assert_eq!(lnsp.levels, Levels::Surface);
    assert_sums(read(&source, "lnsp", 0), 402.556_910_514_831_54, 7_245.696_264_266_968);
}

#[test]
fn a_regular_gaussian_grid() {
    let Some(source) = opened("cfgrib_regular_gg_ml_g2.grib") else { return };
    let (_, t) = find(&source, "t");
    assert_eq!(hybrid(&t.levels).0, [1, 51, 101]);
    // NumPy, leggauss(160); the file has 89.141519.
    assert!((t.latitudes_deg[0] - 89.141_519_426_461_12).abs() < 1e-11);
    assert!((t.latitudes_deg[79] - 0.560_744_942_544_222_7).abs() < 1e-11);
    assert_eq!((t.latitudes_deg.len(), t.longitudes_deg.len()), (160, 320));
    assert_eq!(t.longitudes_deg[319], 358.875);
    let values = read(&source, "t", 0);
    assert_eq!(values[51_200 + 17_066], 203.442_89);
    assert_sums(values, 34_885_534.697_463_99, 1_709_131_441.039_459_2);
}

#[test]
fn constituents_that_only_their_type_tells_apart() {
    let Some(source) = opened("earthkit_chem-cams.grib") else { return };
    // Carbon monoxide, formaldehyde (not in the catalogue), ozone.
    assert_eq!(names(&source), ["co", "grib_d0_c20_n2_k7", "o3"]);
    for (name, plain, weighted) in [
        ("co", 0.000_150_682_937_373_858_3, 0.006_812_275_909_055_643),
        ("grib_d0_c20_n2_k7", 4.256_904_416_986_84e-8, 1.712_931_996_098_42e-6),
        ("o3", 8.002_875_165_669_11e-6, 0.000_331_072_458_545_911_3),
    ] {
        let (_, variable) = find(&source, name);
        assert_eq!(variable.units.as_deref(), Some("kg kg-1"));
        assert_eq!(variable.times_s, [1_317_254_400.0]);
        assert_eq!(hybrid(&variable.levels).0, [1]);
        assert_sums(read(&source, name, 0), plain, weighted);
    }
    assert_eq!(find(&source, "o3").1.standard_name.as_deref(), Some("mass_fraction_of_ozone_in_air"));
}

#[test]
fn pascal_and_hectopascal_are_one_axis_and_missing_is_nan() {
    let Some(source) = opened("cfgrib_hpa_and_pa.grib") else { return };
    let (_, t) = find(&source, "t");
    assert_eq!(t.levels, Levels::Pressure(vec![1.0, 10.0, 100.0]));
    let values = read(&source, "t", 0);
    assert!(values[..2664].iter().all(|v| v.is_nan()));
    assert_sums(values[2664..].iter().copied(), 1_315_685.421_203_613_3, 64_398_978.516_448_975);
}

#[test]
fn aerosols_by_size_and_wavelength_stay_apart() {
    let Some(source) = opened("grib2io_gefs.chem.t00z.a2d_0p25.f000_subset.grib2") else { return };
    assert_eq!(source.variables().len(), 31);
    let all = (0..31).flat_map(|i| read(&source, &source.variables()[i].name, 0));
    assert_sums(all, 7_174_267.828_630_374, 352_127_581.463_420_75);
    for (name, plain, weighted) in [
        ("grib_d0_c20_n102_k62001_size_lt20um_wavelength_545to565nm", 4_684.342_775_698_472, 229_301.624_605_651_04),
        ("grib_d0_c20_n112_k62009_size_lt0.7um_wavelength_545to565nm", 176.874_032_815_008_83, 8_667.139_373_816_23),
        ("grib_d0_c13_n193_k62001_size_lt2.5um", 479_198.885_610_712_4, 23_556_630.647_810_664),
        ("grib_d0_c20_n1_k62009_size_lt0.0236um", 0.070_036_676_911_851, 3.431_475_117_255_196_5),
    ] {
        assert_sums(read(&source, name, 0), plain, weighted);
    }
    let dust = find(&source, "grib_d0_c20_n1_k62001_size_lt2.5um").1;
    assert_eq!((dust.units.as_deref(), &dust.levels), (Some("kg m-2"), &Levels::Surface));
    assert_eq!(dust.standard_name, None);
    // The header's last point lies one step off; the original grid has 0.25°.
    assert_eq!((dust.latitudes_deg[319], dust.longitudes_deg[219]), (-39.75, 54.75));
    assert_eq!(source.remarks().len(), 2);
}

#[test]
fn edition_1_is_refused_with_the_remedy() {
    for name in ["cfgrib_reduced_gg.grib", "cfgrib_scanning_mode_64.grib"] {
        let Some(path) = path(name) else { return };
        let Err(error) = super::super::open(&path) else { panic!("{name} opened") };
        assert!(matches!(error, FieldError::Unsupported { .. }));
        let said = error.to_string();
        assert!(said.contains("GRIB edition 1") && said.contains("grib_set -s edition=2"), "{said}");
    }
}
