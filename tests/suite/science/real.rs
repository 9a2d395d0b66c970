//! Real fields, judged by values that other programs found in them.
//!
//! The data lie beside the repository; where they are not, the tests say so
//! and pass.

use std::{path::PathBuf, sync::Arc};

use arrow_array::{Array as _, Float64Array};
use skydose::{
    compute::{
        cpu::{Places, sample},
        run::whole_window,
    },
    exposure::program::Integration,
    field::{
        dataset::{ChannelRequest, Dataset, DatasetFile, FieldBox, HybridTable},
        slab::Slab,
    },
    grid::VerticalRule,
    trajectory::{PointTable, ReadOptions, read_points},
};

use super::{assert_close, exposures, fleet, request, waypoint, whole};

fn data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let there = path.exists();
    if !there {
        eprintln!("skipped: {} is not there", path.display());
    }
    there.then_some(path)
}

/// Values of variables at all points: a column a variable.
fn sampled(dataset: &Dataset, names: &[&str], rule: VerticalRule, points: &PointTable) -> Vec<Vec<f64>> {
    let requests: Vec<ChannelRequest> =
        names.iter().map(|&n| ChannelRequest { parts: vec![(n.to_owned(), 1.0)], log: false }).collect();
    let within = FieldBox::around(&points.longitude_deg, &points.latitude_deg, &points.pressure_pa);
    let field = dataset.field(&requests, rule, within.as_ref()).expect("a field");
    let slabs: Vec<Arc<Slab>> =
        (0..field.times_s.len()).map(|time| Arc::new(field.load(time, 0).expect("a slab"))).collect();
    let places = Places {
        time_s: &points.time_s,
        longitude_deg: &points.longitude_deg,
        latitude_deg: &points.latitude_deg,
        pressure_pa: &points.pressure_pa,
    };
    let all: Vec<usize> = (0..points.time_s.len()).collect();
    let values = sample(&whole_window(&field, &slabs), names.len(), &places, &all);
    (0..names.len()).map(|k| values.iter().skip(k).step_by(names.len()).copied().collect()).collect()
}

fn column(points: &PointTable, name: &str) -> Vec<f64> {
    let column = points.batch.column_by_name(name).expect("the column");
    let column = column.as_any().downcast_ref::<Float64Array>().expect("numbers");
    (0..column.len()).map(|i| if column.is_null(i) { f64::NAN } else { column.value(i) }).collect()
}

/// Largest difference from a column of the reference.
fn largest(actual: &[f64], expected: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    assert_eq!(actual.len(), expected.len());
    actual.iter().zip(expected).map(|(&a, &e)| of(a, e)).inspect(|d| assert!(!d.is_nan())).fold(0.0, f64::max)
}

/// `SciPy` and xarray, in double precision; pycontrails' `intersect_met` within
/// 1.5e-13 K of them.
#[test]
fn era5_along_910_flights_is_what_scipy_and_xarray_give() {
    let (Some(field), Some(reference)) = (
        data("fields/climaccf_era5_pl_201806_2deg.nc"),
        data("reference/era5_201806_interp_along_910_flights.parquet"),
    ) else {
        return;
    };
    let dataset = Dataset::open(&[field], DatasetFile::default()).expect("a data set");
    let points = read_points(&reference, &ReadOptions::default()).expect("points");
    assert_eq!(points.time_s.len(), 14_994);
    for (rule, [t, q, z]) in
        [(VerticalRule::LinearP, ["t_lin", "q_lin", "z_lin"]), (VerticalRule::LogP, ["t_logp", "", "z_logp"])]
    {
        let values = sampled(&dataset, &["t", "q", "z"], rule, &points);
        let difference = |a: f64, b: f64| (a - b).abs();
        let kelvin = largest(&values[0], &column(&points, t), difference);
        assert!(kelvin < 5e-5, "{rule:?}: {kelvin} K");
        // Single precision at 1.2e5 m² s⁻² has steps of 0.0078.
        let geopotential = largest(&values[2], &column(&points, z), difference);
        assert!(geopotential < 0.04, "{rule:?}: {geopotential} m² s⁻²");
        if !q.is_empty() {
            let humidity = largest(&values[1], &column(&points, q), |a, b| ((a - b) / b).abs());
            assert!(humidity < 2e-6, "{rule:?}: {humidity}");
        }
    }
}

/// Time as the hours since 1970 of the file, longitude, latitude, pressure
/// \[Pa\]; ρ \[kg m⁻³\], O₃ \[µg m⁻³\], O₃ \[ppbv\].
type Eac4 = (f64, f64, f64, f64, f64, f64, f64);

/// `NumPy`, in double precision, on the values of netCDF4 as `float32`: surface
/// pressure bilinear and linear in time, full levels the mean of their half
/// levels, linear in pressure; ρ = p / (287.06 T (1 + 0.609 q)).
#[rustfmt::skip]
const EAC4: &[Eac4] = &[
    (438_288.0, 22.75, 27.75, 20_000.0, 0.316_009_430_5, 36.636_282_1, 69.961_932_08),
    (438_289.25, 22.1, 28.2, 20_078.3, 0.316_183_856_5, 47.673_281_62, 90.988_351_98),
    (438_300.5, 23.33, 27.05, 52_149.7, 0.704_586_680_2, 58.341_641_98, 49.968_310_13),
    (438_310.9, 22.5, 27.5, 95_000.0, 1.180_114_783, 74.359_729_46, 38.024_542_16),
    (438_320.0, 23.49, 28.49, 35_000.0, 0.510_878_588_7, 93.332_242_11, 110.246_406_1),
    (438_332.5, 22.0, 27.0, 7000.0, 0.119_266_751_9, 243.912_218_6, 1_234.140_51),
    (438_330.1, 22.75, 27.2, 1200.0, 0.018_372_774_85, 210.993_352_3, 6_930.179_168),
];

#[test]
fn eac4_on_hybrid_levels_is_what_numpy_gives() {
    let Some(zip) = data("fields/cams_eac4_ml60_o3_q_t_sp_20200101-02.zip") else { return };
    let file = DatasetFile { hybrid_levels: Some(HybridTable::L60), ..DatasetFile::default() };
    let dataset = Dataset::open(&[zip], file).expect("a data set");
    for &(hours, longitude, latitude, pressure_pa, density, ug_m3, ppbv) in EAC4 {
        let point = vec![waypoint(hours * 3_600.0, longitude, latitude, pressure_pa)];
        let just_below = format!("{} ppbv", ppbv * (1.0 - 2e-6));
        let just_above = format!("{} ppbv", ppbv * (1.0 + 2e-6));
        let limits = [("ozone", just_below.as_str()), ("ozone", just_above.as_str())];
        let asked = request(Integration::Waypoints, &["ozone"], &limits);
        let rows = exposures(&dataset, &asked, VerticalRule::LinearP, &fleet([&point]));
        let row = whole(&rows[0], "ozone");
        let concentration = row.peak.expect("a peak").mg_m3 * 1e3;
        assert_close(concentration, ug_m3, 1e-6, "ozone");
        assert_close(concentration * 1e-9 / density, ppbv * 1e-9 * 47.997 / 28.964_4, 1e-6, "density");
        // The mixing ratio lies between the two thresholds.
        assert_eq!((row.exceedance[0].1, row.exceedance[1].1), (Some(1.0), Some(0.0)), "{ppbv} ppbv");
    }
    assert!(!EAC4.is_empty());
}
