//! Real files against sums and counts made with pandas: duplicates dropped by
//! time, pressure by the ISA, times as integers.

use super::{
    super::{AltitudeUnit, Fault, Fleet, FleetReader, Loaded, ReadOptions, read, read_points},
    shared,
};

/// Every flight is usable as it is: what a reader must not "repair".
fn load(name: &str) -> Option<Loaded> {
    let loaded = read(&[shared(name)?], &ReadOptions::default()).expect("reads");
    assert_eq!(loaded.rejects, []);
    assert_eq!(loaded.flight_repairs.len(), loaded.fleet.len());
    Some(loaded)
}

fn sum(fleet: &Fleet, of: fn(&super::super::Trajectory<'_>) -> f64) -> f64 {
    fleet.iter().map(|f| of(&f)).sum()
}

fn close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= expected.abs() * 1e-11, "{actual} is not {expected}");
}

fn check_sums(fleet: &Fleet, pressure_pa: f64, latitude_deg: f64) {
    close(sum(fleet, |f| f.pressure_pa.iter().sum()), pressure_pa);
    close(sum(fleet, |f| f.latitude_deg.iter().sum()), latitude_deg);
}

#[test]
fn noisy_spire_track() {
    let Some(loaded) = load("pycontrails_flight-noisy.csv") else { return };
    assert_eq!((loaded.fleet.len(), loaded.fleet.waypoints()), (1, 2787));
    assert_eq!(loaded.repairs.iter().collect::<Vec<_>>(), [(Fault::Duplicate, 14), (Fault::OnGround, 2)]);
    assert_eq!(loaded.repairs, loaded.files[0].repairs);
    assert_eq!(loaded.repairs, loaded.flight_repairs[0]);
    check_sums(&loaded.fleet, 87_326_568.901_319_2, 120_063.470_732);
    let flight = loaded.fleet.get(0).expect("a flight");
    assert_eq!(flight.id, "40095D_BAW507_20220201T1301");
    let ground = [&[true; 2][..], &[false; 2785]].concat();
    assert_eq!(flight.on_ground, ground);
    let file = &loaded.files[0];
    assert_eq!((file.format.as_str(), file.dialect, file.rows), ("CSV", "Spire", 2801));
    assert!(file.columns.contains(&("vertical", "altitude_ft [feet]".to_owned())));
    assert_eq!(file.altitude_unit, None);
}

#[test]
fn track_over_the_antimeridian_without_a_name() {
    let Some(loaded) = load("pycontrails_flight-meridian.csv") else { return };
    assert_eq!((loaded.fleet.len(), loaded.fleet.waypoints()), (1, 599));
    assert_eq!(loaded.repairs.iter().count(), 0);
    check_sums(&loaded.fleet, 12_983_595.874_801_427, 27_414.605_366);
    let flight = loaded.fleet.get(0).expect("a flight");
    assert_eq!(flight.id, "pycontrails_flight-meridian");
    // 2022-01-18 13:49:50 and 17:41:10.
    assert_eq!((flight.start_s(), flight.end_s()), (1_642_513_790.0, 1_642_527_670.0));
    assert_eq!(loaded.files[0].altitude_unit.as_ref().map(|u| u.0), Some(AltitudeUnit::Metres));
}

#[test]
fn iagos_flight_keeps_its_measured_pressure() {
    let Some(loaded) = load("pycontrails_iagos-flight-sentinel.csv") else { return };
    assert_eq!((loaded.fleet.len(), loaded.fleet.waypoints()), (1, 7273));
    assert_eq!(loaded.repairs.iter().count(), 0);
    check_sums(&loaded.fleet, 194_050_946.864, 383_431.852_5);
    let flight = loaded.fleet.get(0).expect("a flight");
    assert_eq!((flight.id, flight.pressure_pa[0].to_bits()), ("20191226_10143507", 90_440_f64.to_bits()));
}

#[test]
fn european_hour_of_flights() {
    let Some(loaded) = load("pycontrails_flt-wypts-20190101-eu.parquet") else { return };
    assert_eq!((loaded.fleet.len(), loaded.fleet.waypoints()), (910, 36_506));
    assert_eq!(loaded.repairs.iter().count(), 0);
    check_sums(&loaded.fleet, 1_591_876_196.138_349_5, 1_749_279.550_274_410_8);
    close(sum(&loaded.fleet, |f| f.longitude_deg.iter().sum()), 214_949.514_631_350_67);
    let lengths: Vec<usize> = loaded.fleet.iter().map(|f| f.len()).collect();
    assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&1), Some(&85)));
    assert_eq!(loaded.fleet.get(0).map(|f| (f.id.to_owned(), f.len())), Some(("190101-10015-RYR1605".to_owned(), 23)));
}

#[test]
fn swiss_collection_of_traffic() {
    let Some(loaded) = load("traffic_switzerland.json.gz") else { return };
    // 1,243 pairs of aircraft and callsign, one of them with a pause of over half an hour.
    assert_eq!((loaded.fleet.len(), loaded.fleet.waypoints()), (1244, 139_098));
    assert_eq!(loaded.repairs.iter().count(), 0);
    check_sums(&loaded.fleet, 3_073_438_757.973_868_4, 6_524_976.581_670_991);
    let flight = loaded.fleet.iter().find(|f| f.id == "3003ae_DLH8JW_20180801T0527").expect("DLH8JW");
    assert_eq!((flight.len(), flight.start_s()), (96, 1_533_101_250.0));
    close(flight.pressure_pa[0], 23_870.653_056_376_374);
    let file = &loaded.files[0];
    assert_eq!((file.format.as_str(), file.dialect), ("JSON, gzipped", "traffic"));
    assert_eq!(file.altitude_unit.as_ref().map(|u| u.0), Some(AltitudeUnit::Feet));
    let halves: Vec<&str> = loaded.fleet.iter().map(|f| f.id).filter(|id| id.starts_with("500142_T7STK_")).collect();
    assert_eq!(halves.len(), 2, "{halves:?}");
}

#[test]
fn batches_of_a_file_are_the_file() {
    let Some(path) = shared("pycontrails_flt-wypts-20190101-eu.parquet") else { return };
    let whole = read(std::slice::from_ref(&path), &ReadOptions::default()).expect("reads");
    let mut reader = FleetReader::open(&[path], &ReadOptions::default()).expect("opens");
    let mut flights = Vec::new();
    while let Some(batch) = reader.next_batch(5000).expect("reads") {
        assert!(batch.fleet.waypoints() <= 5000);
        flights.extend(batch.fleet.iter().map(|f| (f.id.to_owned(), f.time_s.to_vec(), f.pressure_pa.to_vec())));
    }
    let expected: Vec<_> =
        whole.fleet.iter().map(|f| (f.id.to_owned(), f.time_s.to_vec(), f.pressure_pa.to_vec())).collect();
    assert_eq!(flights, expected);
}

#[test]
fn points_keep_all_columns_and_rows() {
    for (name, rows, columns, pressure_pa) in [
        ("pycontrails_flt-wypts-20190101-eu.parquet", 36_506, 16, 1_591_876_196.138_349_5),
        ("pycontrails_iagos-flight-sentinel.csv", 7273, 12, 194_050_946.864),
    ] {
        let Some(path) = shared(name) else { continue };
        let points = read_points(&path, &ReadOptions::default()).expect("reads");
        assert_eq!((points.batch.num_rows(), points.batch.num_columns()), (rows, columns), "{name}");
        assert_eq!(points.time_s.len(), rows);
        close(points.pressure_pa.iter().sum(), pressure_pa);
    }
}
