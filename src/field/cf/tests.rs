//! What files get up to, one store in memory each.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::{
    testing::{MemoryStore, number, text},
    *,
};
use crate::field::{HybridLevels, Levels};

const NOON_S: f64 = 1_577_880_000.0; // 2020-01-01T12:00:00Z
const HOURS: &str = "hours since 2020-01-01 12:00:00";

/// Values 0, 1, 2, …
fn counted(count: usize) -> Values {
    Values::F32((0..count).map(|i| i as f32).collect())
}

/// A store with `x(dims…)`, two latitudes and three longitudes.
fn with(store: MemoryStore, dims: &[(&str, usize)]) -> MemoryStore {
    let mut dims = dims.to_vec();
    dims.extend([("latitude", 2), ("longitude", 3)]);
    let count = dims.iter().map(|(_, n)| n).product();
    store.horizontal(2, 3).array("x", &dims, counted(count), &[("units", text("kg kg**-1"))])
}

fn only(store: &MemoryStore) -> Variable {
    let found = interpret(store).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.variables.len(), 1, "{:?}", found.remarks);
    found.variables[0].clone()
}

fn refusal(store: &MemoryStore) -> String {
    interpret(store).map(|found| found.variables.len()).expect_err("must be refused").to_string()
}

fn whole(store: &MemoryStore, number: usize) -> Vec<f32> {
    let found = interpret(store).unwrap();
    let variable = &found.variables[number];
    let mut out = Vec::new();
    for member in 0..variable.members.len().max(1) {
        let window = variable.whole(member);
        let mut part = vec![0.0; window.len()];
        read(store, &found.layouts[number], &window, &mut part).unwrap();
        out.extend(part);
    }
    out
}

fn levels_of(name: &str, values: &[f64], units: &str) -> Levels {
    let store = MemoryStore::default().axis("time", &[0.0], HOURS).axis(name, values, units);
    only(&with(store, &[("time", 1), (name, values.len())])).levels
}

#[test]
fn vertical_axes_by_units_and_names() {
    assert_eq!(levels_of("level", &[1000.0, 850.0], "millibars"), Levels::Pressure(vec![100_000.0, 85_000.0]));
    assert_eq!(levels_of("isobaricInhPa", &[1000.0, 1.0], ""), Levels::Pressure(vec![100_000.0, 100.0]));
    assert_eq!(levels_of("plev", &[100_000.0, 500.0], "Pa"), Levels::Pressure(vec![100_000.0, 500.0]));
    assert_eq!(levels_of("pressure_level", &[1000.0, 10.0], ""), Levels::Pressure(vec![100_000.0, 1_000.0]));
    assert_eq!(levels_of("lev", &[100_000.0, 1_000.0], ""), Levels::Pressure(vec![100_000.0, 1_000.0]));
    assert_eq!(levels_of("altitude", &[1.0, 2.5], "km"), Levels::Altitude(vec![1_000.0, 2_500.0]));
    assert_eq!(levels_of("height", &[100.0, 200.0], "m"), Levels::Altitude(vec![100.0, 200.0]));
    assert_eq!(levels_of("flight_level", &[50.0, 100.0], ""), Levels::FlightLevel(vec![50.0, 100.0]));
    assert_eq!(levels_of("level", &[50.0, 100.0], "FL"), Levels::FlightLevel(vec![50.0, 100.0]));
    let numbered = |numbers: Vec<u32>| Levels::Hybrid(HybridLevels { numbers, half_levels: None });
    assert_eq!(levels_of("level", &[1.0, 2.0, 3.0], ""), numbered(vec![1, 2, 3]));
    assert_eq!(levels_of("model_level", &[137.0, 136.0], "1"), numbered(vec![137, 136]));
    assert_eq!(levels_of("hybrid", &[60.0, 30.0], ""), numbered(vec![60, 30]));
    match levels_of("flight_level", &[18_000.0, 36_000.0], "ft") {
        Levels::FlightLevel(fl) => assert!((fl[0] - 180.0).abs() < 1e-9 && (fl[1] - 360.0).abs() < 1e-9),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_level_that_could_be_anything_is_refused() {
    for values in [&[100.0][..], &[-1.0, 5.0]] {
        let store = MemoryStore::default().axis("time", &[0.0], HOURS).axis("level", values, "");
        let message = refusal(&with(store, &[("time", 1), ("level", values.len())]));
        assert!(message.contains("`level` has no units") && message.contains("ncatted"), "{message}");
    }
}

#[test]
fn surface_pressure_on_model_level_one_and_two_metres_above_ground_are_surface_fields() {
    let base = || MemoryStore::default().axis("time", &[0.0], HOURS).horizontal(2, 3);
    let lnsp = base().axis("model_level", &[1.0], "1").array(
        "lnsp",
        &[("time", 1), ("model_level", 1), ("latitude", 2), ("longitude", 3)],
        counted(6),
        &[],
    );
    assert_eq!(only(&lnsp).levels, Levels::Surface);
    assert_eq!(whole(&lnsp, 0).len(), 6);
    let t2m = base()
        .array("height", &[], Values::F64(vec![2.0]), &[("units", text("m")), ("standard_name", text("height"))])
        .array(
            "t2m",
            &[("time", 1), ("latitude", 2), ("longitude", 3)],
            counted(6),
            &[("coordinates", text("height"))],
        );
    assert_eq!(only(&t2m).levels, Levels::Surface);
}

#[test]
fn scalar_coordinates_place_a_field() {
    let store = MemoryStore::default()
        .horizontal(2, 3)
        .array("time", &[], Values::I64(vec![1_577_880_000]), &[("units", text("seconds since 1970-01-01"))])
        .array("isobaricInhPa", &[], Values::F64(vec![500.0]), &[("units", text("hPa"))])
        .array(
            "t",
            &[("latitude", 2), ("longitude", 3)],
            counted(6),
            &[("coordinates", text("time isobaricInhPa")), ("standard_name", text("unknown"))],
        );
    let variable = only(&store);
    assert_eq!(variable.times_s, [NOON_S]);
    assert_eq!(variable.levels, Levels::Pressure(vec![50_000.0]));
    assert_eq!(variable.standard_name, None);
    assert_eq!(whole(&store, 0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn a_field_without_time_is_refused_and_beside_others_skipped() {
    let orography = [("latitude", 2), ("longitude", 3)];
    let alone = MemoryStore::default().horizontal(2, 3).array("z", &orography, counted(6), &[]);
    let message = refusal(&alone);
    assert!(message.contains("memory.nc: z: it has no time") && message.contains("cdo setdate"), "{message}");
    let store = MemoryStore::default().axis("time", &[0.0], HOURS);
    let store = with(store, &[("time", 1)]).array("z", &orography, counted(6), &[]);
    let found = interpret(&store).unwrap();
    assert_eq!(found.variables.len(), 1);
    assert!(found.remarks[0].starts_with("z: skipped: it has no time"), "{:?}", found.remarks);
}

/// Two forecasts, 12 h apart, of three steps of 6 h; `valid_time` has its
/// dimensions in the other order than the variable.
fn forecasts() -> MemoryStore {
    let valid: Vec<f64> = [0.0, 6.0, 12.0].iter().flat_map(|p| [0.0, 12.0].map(|r| r + p)).collect();
    let store = MemoryStore::default()
        .axis("forecast_reference_time", &[0.0, 12.0], HOURS)
        .axis("forecast_period", &[0.0, 6.0, 12.0], "hours")
        .array(
            "valid_time",
            &[("forecast_period", 3), ("forecast_reference_time", 2)],
            Values::F64(valid),
            &[("units", text(HOURS)), ("standard_name", text("time"))],
        );
    with(store, &[("forecast_reference_time", 2), ("forecast_period", 3)])
}

#[test]
fn two_dimensional_valid_time_is_flattened_and_the_latest_forecast_wins() {
    let store = forecasts();
    let hours: Vec<f64> = only(&store).times_s.iter().map(|t| (t - NOON_S) / 3600.0).collect();
    assert_eq!(hours, [0.0, 6.0, 12.0, 18.0, 24.0]);
    // First values of the 2 × 3 slabs: 12 h comes from the second forecast's
    // start (slab 3), not from the first one's end (slab 2).
    let slabs: Vec<f32> = whole(&store, 0).chunks(6).map(|slab| slab[0] / 6.0).collect();
    assert_eq!(slabs, [0.0, 1.0, 3.0, 4.0, 5.0]);
    assert!(interpret(&store).unwrap().remarks.iter().any(|r| r.contains("shortest lead")));
    // Without the array, reference time and period add up to the same.
    let mut without = forecasts();
    let at = without.arrays.iter().position(|a| a.name == "valid_time").unwrap();
    without.arrays.remove(at);
    without.values.remove(at);
    assert_eq!(only(&without).times_s, only(&store).times_s);
    assert_eq!(whole(&without, 0), whole(&store, 0));
}

#[test]
fn times_that_follow_each_other_are_read_together() {
    let reads_of = |store: &MemoryStore| {
        let found = interpret(store).unwrap();
        let window = found.variables[0].whole(0);
        let before = store.reads.load(Ordering::Relaxed);
        read(store, &found.layouts[0], &window, &mut vec![0.0; window.len()]).unwrap();
        store.reads.load(Ordering::Relaxed) - before
    };
    let store = MemoryStore::default().axis("time", &[0.0, 1.0, 2.0, 3.0], HOURS);
    assert_eq!(reads_of(&with(store, &[("time", 4)])), 1);
    // Two steps of the first forecast, all three of the second.
    assert_eq!(reads_of(&forecasts()), 2);
}

#[test]
fn the_valid_time_of_steps_is_not_the_start_of_the_forecast() {
    let store = MemoryStore::default()
        .array(
            "time",
            &[],
            Values::F64(vec![0.0]),
            &[("units", text(HOURS)), ("standard_name", text("forecast_reference_time"))],
        )
        .axis("step", &[3.0, 6.0], "hours");
    let variable = only(&with(store, &[("step", 2)]));
    assert_eq!(variable.times_s, [NOON_S + 3.0 * 3600.0, NOON_S + 6.0 * 3600.0]);
}

#[test]
fn uneven_times_and_odd_seconds_stay() {
    let store = MemoryStore::default().axis("time", &[0.0, 3_601.0, 7_199.0], "seconds since 2020-01-01 12:00");
    assert_eq!(only(&with(store, &[("time", 3)])).times_s, [NOON_S, NOON_S + 3_601.0, NOON_S + 7_199.0]);
}

#[test]
fn broken_axes_are_named_with_the_value() {
    let time = |values: &[f64]| with(MemoryStore::default().axis("time", values, HOURS), &[("time", values.len())]);
    assert!(refusal(&time(&[0.0, 3.0, 3.0])).contains("time: the axis repeats at number 2: 2020-01-01T15:00:00Z"));
    assert!(refusal(&time(&[0.0, 3.0, 1.0])).contains("time: the axis turns back at number 2"));
    assert!(refusal(&time(&[0.0, f64::NAN])).contains("time: value 1 is missing"));
    let grid = |latitudes: &[f64], longitudes: &[f64]| {
        MemoryStore::default()
            .axis("time", &[0.0], HOURS)
            .axis("lat", latitudes, "degrees_north")
            .axis("lon", longitudes, "degrees_east")
            .array(
                "x",
                &[("time", 1), ("lat", latitudes.len()), ("lon", longitudes.len())],
                counted(latitudes.len() * longitudes.len()),
                &[],
            )
    };
    assert!(refusal(&grid(&[0.0, 1.0, 0.5], &[0.0])).contains("lat: the axis turns back at number 2: 1, 0.5"));
    assert!(refusal(&grid(&[0.0, 91.0], &[0.0])).contains("lat: a latitude of 91"));
    assert!(refusal(&grid(&[0.0], &[0.0, 180.0, 400.0])).contains("lon: longitudes that span 400"));
    assert!(refusal(&grid(&[0.0], &[0.0, f64::INFINITY])).contains("lon: value 1"));
    // Past the seam they go on; 0 to 360 inclusive is a full circle.
    assert_eq!(only(&grid(&[0.0], &[358.0, 359.0, 0.0, 1.0])).longitudes_deg, [358.0, 359.0, 360.0, 361.0]);
    assert_eq!(only(&grid(&[0.0], &[0.0, 120.0, 240.0, 360.0])).longitudes_deg.len(), 4);
}

#[test]
fn other_grids_are_refused_with_the_remedy() {
    let time = || MemoryStore::default().axis("time", &[0.0], HOURS);
    let flat = |name: &str, units: &str, dims: &[(&str, usize)], store: MemoryStore| {
        store.array(name, dims, counted(dims.iter().map(|d| d.1).product()), &[("units", text(units))])
    };
    let yx = [("y", 2), ("x", 3)];
    let field = [("time", 1), ("y", 2), ("x", 3)];
    let curvilinear = flat("lon", "degrees_east", &yx, flat("lat", "degrees_north", &yx, time()));
    let message = refusal(&curvilinear.array("c", &field, counted(6), &[("coordinates", text("lat lon"))]));
    assert!(message.contains("c: on a curvilinear grid: `lat`") && message.contains("cdo remapbil"), "{message}");
    let cells = flat("lon", "degrees_east", &[("cell", 4)], flat("lat", "degrees_north", &[("cell", 4)], time()));
    let message = refusal(&cells.array("c", &[("time", 1), ("cell", 4)], counted(4), &[]));
    assert!(message.contains("reduced or unstructured grid of points along `cell`"), "{message}");
    let rotated = time().axis("rlat", &[0.0, 1.0], "degrees").axis("rlon", &[0.0, 1.0, 2.0], "degrees");
    let message = refusal(&rotated.array("c", &[("time", 1), ("rlat", 2), ("rlon", 3)], counted(6), &[]));
    assert!(message.contains("projected grid along `rlat`"), "{message}");
    let lambert = with(time(), &[("time", 1)]).array(
        "crs",
        &[],
        Values::I32(vec![0]),
        &[("grid_mapping_name", text("lambert_conformal_conic"))],
    );
    let mut mapped = lambert;
    mapped.arrays.iter_mut().find(|a| a.name == "x").unwrap().attributes.insert("grid_mapping".into(), text("crs"));
    assert!(refusal(&mapped).contains("projected grid `lambert_conformal_conic`"));
    let noleap = time();
    let mut noleap = with(noleap, &[("time", 1)]);
    noleap.arrays[0].attributes.insert("calendar".into(), text("noleap"));
    assert!(refusal(&noleap).contains("calendar `noleap`"));
}

#[test]
fn what_is_not_gridded_is_left_out_quietly_or_with_a_remark() {
    let store = MemoryStore::default()
        .axis("time", &[0.0], HOURS)
        .array("time_bnds", &[("time", 1), ("nv", 2)], counted(2), &[])
        .array("expver", &[], Values::I32(vec![1]), &[])
        .array("profile", &[("time", 1), ("station", 3), ("depth_cm", 4)], counted(12), &[]);
    let mut store = with(store, &[("time", 1)]);
    store.arrays.iter_mut().find(|a| a.name == "expver").unwrap().numeric = false;
    let found = interpret(&store).unwrap();
    assert_eq!(found.variables.len(), 1);
    assert_eq!(found.remarks.len(), 1, "{:?}", found.remarks);
    assert!(found.remarks[0].starts_with("profile: skipped"));
    let nothing = refusal(&MemoryStore::default().axis("time", &[0.0], HOURS));
    assert!(nothing.contains("no variable with time, latitude and longitude"), "{nothing}");
}

#[test]
fn members_are_read_one_by_one() {
    let store = MemoryStore::default().axis("time", &[0.0], HOURS).axis("number", &[0.0, 7.0], "1");
    let store = with(store, &[("time", 1), ("number", 2)]);
    assert_eq!(only(&store).members, ["0", "7"]);
    assert_eq!(whole(&store, 0), (0..12).map(|i| i as f32).collect::<Vec<_>>());
    // A single member is no ensemble.
    let store = MemoryStore::default().axis("time", &[0.0], HOURS).axis("number", &[3.0], "1");
    assert!(only(&with(store, &[("time", 1), ("number", 1)])).members.is_empty());
}

#[test]
fn half_levels_come_from_the_file() {
    let expected = vec![(0.0, 0.0), (5_000.0, 0.1), (2_000.0, 0.5), (0.0, 1.0)];
    let table = |levels: Levels| match levels {
        Levels::Hybrid(h) => (h.numbers, h.half_levels),
        other => panic!("{other:?}"),
    };
    let base = |attributes: &[(&str, Attribute)], values: &[f64]| {
        let store = MemoryStore::default().axis("time", &[0.0], HOURS).array(
            "lev",
            &[("lev", values.len())],
            Values::F64(values.to_vec()),
            attributes,
        );
        with(store, &[("time", 1), ("lev", values.len())])
    };
    let hybrid = || ("standard_name", text("atmosphere_hybrid_sigma_pressure_coordinate"));
    let line = |store: MemoryStore, name: &str, values: &[f64], units: &str| store.axis(name, values, units);
    // ECHAM and CDO: hyai in Pa, hybi.
    let store = line(base(&[hybrid()], &[1.0, 2.0, 3.0]), "hyai", &[0.0, 5_000.0, 2_000.0, 0.0], "Pa");
    let store = line(store, "hybi", &[0.0, 0.1, 0.5, 1.0], "1");
    assert_eq!(table(only(&store).levels), (vec![1, 2, 3], Some(expected.clone())));
    // CESM: fractions of P0, nominal levels in hPa, from the ground up.
    let store = base(&[hybrid(), ("formula_terms", text("a: hyam b: hybm p0: P0 ps: PS"))], &[900.0, 400.5, 50.0])
        .array("P0", &[], Values::F64(vec![1000.0]), &[("units", text("hPa"))]);
    let store = line(store, "hyai", &[0.0, 0.02, 0.05, 0.0], "");
    let store = line(store, "hybi", &[1.0, 0.5, 0.1, 0.0], "");
    assert_eq!(table(only(&store).levels), (vec![3, 2, 1], Some(expected.clone())));
    // CMIP: pairs, found through the bounds of the coordinate.
    let store = base(&[hybrid(), ("bounds", text("lev_bnds"))], &[1.0, 2.0, 3.0])
        .array(
            "lev_bnds",
            &[("lev", 3), ("bnds", 2)],
            counted(6),
            &[("formula_terms", text("ap: edges_a b: edges_b ps: ps"))],
        )
        .array(
            "edges_a",
            &[("lev", 3), ("bnds", 2)],
            Values::F64(vec![0.0, 5_000.0, 5_000.0, 2_000.0, 2_000.0, 0.0]),
            &[("units", text("Pa"))],
        )
        .array("edges_b", &[("lev", 3), ("bnds", 2)], Values::F64(vec![0.0, 0.1, 0.1, 0.5, 0.5, 1.0]), &[]);
    assert_eq!(table(only(&store).levels), (vec![1, 2, 3], Some(expected.clone())));
    // A subset whose table is of the subset only is counted anew.
    let store = line(base(&[hybrid()], &[74.0, 75.0, 76.0]), "a_half", &[0.0, 5_000.0, 2_000.0, 0.0], "Pa");
    let store = line(store, "b_half", &[0.0, 0.1, 0.5, 1.0], "1");
    assert_eq!(table(only(&store).levels), (vec![1, 2, 3], Some(expected)));
    // A table that fits nothing is not used.
    let store = line(base(&[hybrid()], &[74.0, 75.0]), "hyai", &[0.0, 5_000.0, 2_000.0, 0.0], "Pa");
    let store = line(store, "hybi", &[0.0, 0.1, 0.5, 1.0], "1");
    assert_eq!(table(only(&store).levels), (vec![74, 75], None));
}

#[test]
fn a_box_that_does_not_fit_is_an_error() {
    let store = with(MemoryStore::default().axis("time", &[0.0, 1.0], HOURS), &[("time", 2)]);
    let found = interpret(&store).unwrap();
    let good = found.variables[0].whole(0);
    let fails = |window: Window, length: usize| {
        read(&store, &found.layouts[0], &window, &mut vec![0.0; length]).unwrap_err().to_string()
    };
    assert!(fails(good.clone(), 11).contains("does not fit"));
    assert!(fails(Window { times: 1..3, ..good.clone() }, 12).contains("does not fit"));
    assert!(fails(Window { member: 1, ..good.clone() }, 12).contains("does not fit"));
    #[expect(clippy::reversed_empty_ranges, reason = "what a caller may get wrong")]
    let reversed = 2..1;
    assert!(fails(Window { times: reversed, ..good.clone() }, 0).contains("does not fit"));
    read(&store, &found.layouts[0], &Window { levels: 0..0, ..good }, &mut []).unwrap();
}

/// Physical value of a cell, exact in packed and unpacked form.
fn cell(place: [usize; 5]) -> i16 {
    let [member, time, level, latitude, longitude] = place;
    i16::try_from(member * 7_001 + time * 1_009 + level * 211 + latitude * 31 + longitude).unwrap()
}

/// The five axes in some order, each in either direction.
fn permuted(order: &[usize], reversed: [bool; 5], counts: [usize; 5]) -> MemoryStore {
    let names = ["number", "time", "level", "latitude", "longitude"];
    let units = ["1", HOURS, "hPa", "degrees_north", "degrees_east"];
    let origin = [(0.0, 1.0), (0.0, 3.0), (100.0, 50.0), (-20.0, 5.0), (-170.0, 30.0)];
    let mut store = MemoryStore::default();
    for axis in 0..5 {
        let mut values: Vec<f64> = (0..counts[axis]).map(|i| origin[axis].0 + origin[axis].1 * i as f64).collect();
        if reversed[axis] {
            values.reverse();
        }
        store = store.axis(names[axis], &values, units[axis]);
    }
    let dims: Vec<(&str, usize)> = order.iter().map(|&axis| (names[axis], counts[axis])).collect();
    let total: usize = counts.iter().product();
    let values = (0..total).map(|flat| {
        let (mut rest, mut place) = (flat, [0; 5]);
        for &axis in order.iter().rev() {
            let at = rest % counts[axis];
            place[axis] = if reversed[axis] { counts[axis] - 1 - at } else { at };
            rest /= counts[axis];
        }
        cell(place)
    });
    let packing = [("scale_factor", number(0.25)), ("add_offset", number(-3.0))];
    store.array("x", &dims, Values::I16(values.collect()), &packing)
}

proptest! {
    #[test]
    fn any_order_of_dimensions_and_any_box_read_the_same(
        order in Just([0usize, 1, 2, 3, 4]).prop_shuffle(),
        reversed in any::<[bool; 5]>(),
        counts in [2usize..4, 1usize..4, 2usize..4, 1usize..4, 1usize..5],
        corner in any::<[prop::sample::Index; 4]>(),
        extent in any::<[prop::sample::Index; 4]>(),
        member in any::<prop::sample::Index>(),
    ) {
        let store = permuted(&order, reversed, counts);
        let found = interpret(&store).unwrap();
        let range = |axis: usize| {
            let start = corner[axis - 1].index(counts[axis]);
            start..start + 1 + extent[axis - 1].index(counts[axis] - start)
        };
        let window = Window {
            member: member.index(counts[0]),
            times: range(1),
            levels: range(2),
            latitudes: range(3),
            longitudes: range(4),
        };
        let mut out = vec![f32::NAN; window.len()];
        read(&store, &found.layouts[0], &window, &mut out).unwrap();
        let mut values = out.iter();
        let there = |axis: usize, i: usize| if reversed[axis] { counts[axis] - 1 - i } else { i };
        for t in window.times.clone() {
            for k in window.levels.clone() {
                for j in window.latitudes.clone() {
                    for i in window.longitudes.clone() {
                        let place =
                            [there(0, window.member), there(1, t), there(2, k), there(3, j), there(4, i)];
                        let expected = f32::from(cell(place)) * 0.25 - 3.0;
                        prop_assert_eq!(values.next().unwrap().to_bits(), expected.to_bits());
                    }
                }
            }
        }
    }
}
