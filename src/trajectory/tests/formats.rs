//! Each format and each kind of file, in small.

use std::{io::Write, sync::Arc};

use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, types::Int32Type,
};
use arrow_schema::DataType;
use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::{
    super::{
        AltitudeUnit, Fleet, FleetReader, FlightsError, Loaded, ReadOptions, Waypoint, read, read_points, write_csv,
        write_parquet,
    },
    read_as, read_with,
};
use crate::units::Pressure;

/// 2018-08-01T05:00:00Z
const T0: f64 = 1_533_099_600.0;
/// ICAO standard atmosphere at 10,000 m and at 35,000 ft \[Pa\].
const P_10KM: f64 = 26_436.27;
const P_FL350: f64 = 23_842.27;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}

pub(super) fn parquet_bytes(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).expect("a table");
    let mut bytes = Vec::new();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("to memory");
    writer.close().expect("to memory");
    bytes
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

/// Two points of flight A, half a minute apart, at a pressure.
fn expect_a(loaded: &Loaded, pressure_pa: f64) {
    assert_eq!(loaded.rejects, []);
    assert_eq!(loaded.fleet.len(), 1);
    let flight = loaded.fleet.get(0).expect("a flight");
    assert_eq!(flight.time_s, [T0, T0 + 30.0]);
    assert_eq!(flight.longitude_deg, [8.0, 8.05]);
    assert_eq!(flight.latitude_deg, [47.0, 47.05]);
    for p in flight.pressure_pa {
        assert!((p - pressure_pa).abs() < 0.05, "{p} is not {pressure_pa}");
    }
}

#[test]
fn csv_of_every_separator_with_mark_and_index() {
    let table = "\u{feff},flight_id,time,longitude,latitude,altitude\r\n\
        0,A,2018-08-01 05:00:00,8.0,47.0,10000\r\n1,A,2018-08-01T05:00:30Z,8.05,47.05,10000.0\r\n";
    for separator in [",", ";", "\t", "|"] {
        let loaded = read_as("f.csv", table.replace(',', separator)).expect("reads");
        expect_a(&loaded, P_10KM);
        assert_eq!(loaded.files[0].present[0], "Unnamed: 0");
    }
    expect_a(&read_as("wrongly-named.parquet", gzip(table.as_bytes())).expect("reads"), P_10KM);
    // No line break at the end, quotes, other spellings.
    let table = "\"Flight-ID\",\"Timestamp\",\"Lon\",\"LAT\",\"Altitude FT\"\n\
        \"A\",1533099600,\"8.0\",47.0,35000\nA,1533099630000,8.05,47.05,35000";
    expect_a(&read_as("f.txt", table).expect("reads"), P_FL350);
}

#[test]
fn json_in_every_form() {
    for text in [
        r#"[{"flight_id":"A","time":1533099600000,"longitude":8.0,"latitude":47,"altitude":10000},
            {"flight_id":"A","time":1533099630000,"latitude":47.05,"longitude":8.05,"altitude":10000.0,"more":{"x":[1]}}]"#,
        "{\"flight_id\":\"A\",\"time\":\"2018-08-01T05:00:00Z\",\"longitude\":8.0,\"latitude\":47.0,\"altitude\":10000}\n\
         {\"flight_id\":\"A\",\"time\":\"2018-08-01 05:00:30\",\"longitude\":8.05,\"latitude\":47.05,\"altitude\":10000}\n",
        r#"{"flight_id":{"0":"A","5":"A"},"time":{"0":1533099600000,"5":1533099630000},"longitude":{"0":8.0,"5":8.05},
            "latitude":{"0":47,"5":47.05},"altitude":{"0":10000,"5":10000}}"#,
        r#" {"flight_id":["A","A"],"time":[1533099600,1533099630],"longitude":["8.0","8.05"],"latitude":[47,47.05],"altitude":[1e4,1e4]}"#,
    ] {
        expect_a(&read_as("f.json", text).expect("reads"), P_10KM);
        expect_a(&read_as("f.json.gz", gzip(text.as_bytes())).expect("reads"), P_10KM);
        expect_a(&read_as("f.csv", format!("\u{feff}{text}")).expect("reads"), P_10KM);
    }
}

#[test]
fn json_tables_that_are_none() {
    for (text, message) in [
        (r#"{"time":{"0":1,"1":2},"lon":{"0":1}}"#, "has 1 rows"),
        (r#"{"time":{"0":1,"1":2},"lon":{"1":1,"0":2}}"#, "label their rows differently"),
        (r#"[{"time":1,"time":2}]"#, "twice"),
        (r#"[{"time":1},[2]]"#, "record"),
        (r#"{"time":[1,2],"time":[1,2]}"#, "twice"),
    ] {
        let error = read_as("f.json", text).expect_err(text).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn json_records_without_common_keys_do_not_fill_the_memory() {
    let dir = TempDir::new().expect("a temporary folder");
    let path = dir.path().join("f.json");
    let records: Vec<String> = (0..100_000).map(|i| format!("{{\"k{i}\":1}}")).collect();
    std::fs::write(&path, format!("[{}]", records.join(","))).expect("written");
    let error = read_points(&path, &ReadOptions::default()).expect_err("no table").to_string();
    assert!(error.contains("not the rows of one table"), "{error}");
}

#[test]
fn parquet_of_every_type() {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["A", "A"]));
    let category: ArrayRef = Arc::new(vec!["A", "A"].into_iter().collect::<DictionaryArray<Int32Type>>());
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, 7]));
    let seconds = [1_533_099_600_i64, 1_533_099_630];
    let scaled = |by: i64| seconds.map(|s| s * by).to_vec();
    let times: Vec<ArrayRef> = vec![
        Arc::new(TimestampSecondArray::from(scaled(1))),
        Arc::new(TimestampMillisecondArray::from(scaled(1000)).with_timezone("UTC")),
        Arc::new(TimestampNanosecondArray::from(scaled(1_000_000_000))),
        Arc::new(Int64Array::from(scaled(1))),
        Arc::new(Int64Array::from(scaled(1000))),
        Arc::new(Int64Array::from(scaled(1_000_000))),
        Arc::new(Int64Array::from(scaled(1_000_000_000))),
        Arc::new(Int32Array::from(vec![1_533_099_600, 1_533_099_630])),
        floats(&[T0, T0 + 30.0]),
        Arc::new(StringArray::from(vec!["2018-08-01T05:00:00", "2018-08-01T07:00:30+02:00"])),
    ];
    for id in [ids, category, numbers] {
        for time in &times {
            let bytes = parquet_bytes(vec![
                ("flight_id", id.clone()),
                ("time", time.clone()),
                ("longitude", floats(&[8.0, 8.05])),
                ("latitude", floats(&[47.0, 47.05])),
                ("altitude", Arc::new(Float32Array::from(vec![10_000.0, 10_000.0]))),
                ("on_ground", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ]);
            for (name, bytes) in [("f.pq", bytes.clone()), ("f.gz", gzip(&bytes))] {
                let loaded = read_as(name, bytes).expect("reads");
                expect_a(&loaded, P_10KM);
                let flight = loaded.fleet.get(0).expect("a flight");
                assert_eq!(flight.on_ground, [true, false]);
                assert_eq!(flight.id, if id.data_type() == &DataType::Int64 { "7" } else { "A" });
            }
        }
    }
}

#[test]
fn unit_of_a_bare_altitude_is_that_of_the_kind_of_file_or_of_the_options() {
    let feet = |header: &str| format!("{header}\nA,1533099600,8.0,47.0,35000\nA,1533099630,8.05,47.05,35000\n");
    let unit = |loaded: &Loaded| loaded.files[0].altitude_unit.clone().expect("a bare altitude");
    for (header, dialect) in [
        ("callsign,timestamp,longitude,latitude,altitude", "traffic"),
        ("icao24,timestamp,longitude,latitude,altitude", "traffic"),
        ("icao_address,timestamp,longitude,latitude,altitude", "Spire"),
    ] {
        let loaded = read_as("f.csv", feet(header)).expect("reads");
        expect_a(&loaded, P_FL350);
        assert_eq!(loaded.files[0].dialect, dialect);
        assert_eq!(unit(&loaded).0, AltitudeUnit::Feet);
        assert!(unit(&loaded).1.contains(dialect), "{}", unit(&loaded).1);
        assert_eq!(loaded.fleet.get(0).map(|f| f.id), Some("A_20180801T0500"));
    }
    let pycontrails = feet("flight_id,time,longitude,latitude,altitude");
    let options = ReadOptions { altitude_unit: Some(AltitudeUnit::Feet), ..ReadOptions::default() };
    let loaded = read_with("f.csv", &pycontrails, &options).expect("reads");
    expect_a(&loaded, P_FL350);
    assert_eq!(unit(&loaded).1, "as the options say");
    // Without the option 35,000 m are no altitude of an aircraft, and it is said.
    let loaded = read_as("f.csv", &pycontrails).expect("reads");
    assert!(loaded.fleet.is_empty());
    assert!(loaded.rejects[0].reason.contains("is the unit of the altitude right?"), "{:?}", loaded.rejects);
}

#[test]
fn each_row_takes_its_height_from_the_first_column_that_has_one() {
    let table = "flight_id,time,lng,lat,altitude,altitude_ft,pressure,level,FL\n\
        A,0,0,0,1,2,3,250,4\nA,60,0,0,1,2,24000,,4\nA,120,0,0,1,35000,,nan,4\nA,180,0,0,1,,,,350\nA,240,0,0,10000,,,,\n";
    let loaded = read_as("f.csv", table).expect("reads");
    let flight = loaded.fleet.get(0).expect("a flight");
    for (p, expected) in flight.pressure_pa.iter().zip([25_000.0, 24_000.0, P_FL350, P_FL350, P_10KM]) {
        assert!((p - expected).abs() < 0.05, "{p} is not {expected}");
    }
    assert_eq!(flight.len(), 5);
    assert!(loaded.files[0].remarks[0].contains("level, pressure, altitude_ft, FL, altitude"));
}

#[test]
fn opensky_state_vectors_are_in_metres() {
    let table = "time,icao24,lat,lon,velocity,callsign,onground,baroaltitude,geoaltitude\n\
        1533099600,4b1805,47.0,8.0,200,SWR1 ,False,10000,10100\n1533099630,4b1805,47.05,8.05,200,SWR1,True,10000,10100\n";
    let loaded = read_as("f.csv", table).expect("reads");
    expect_a(&loaded, P_10KM);
    assert_eq!(loaded.files[0].dialect, "OpenSky state vectors");
    let flight = loaded.fleet.get(0).expect("a flight");
    assert_eq!((flight.id, flight.on_ground), ("4b1805_SWR1_20180801T0500", &[false, true][..]));
}

#[test]
fn hexadecimal_addresses_are_no_numbers() {
    let table = "timestamp,icao24,callsign,longitude,latitude,altitude\n\
        1533099600,4e5012,001,8,47,35000\n1533099600,400123,002,9,47,35000\n";
    let loaded = read_as("f.csv", table).expect("reads");
    let ids: Vec<&str> = loaded.fleet.iter().map(|f| f.id).collect();
    assert_eq!(ids, ["4e5012_001_20180801T0500", "400123_002_20180801T0500"]);
}

#[test]
fn a_missing_column_is_named_with_what_is_there() {
    for (header, quantity, expected) in [
        ("flight_id,longitude,latitude,altitude", "time", "timestamp"),
        ("flight_id,time,latitude,altitude", "longitude", "lng"),
        ("flight_id,time,lon,altitude", "latitude", "lat"),
        ("flight_id,time,lon,lat", "pressure or pressure altitude", "altitude_ft"),
    ] {
        let error = read_as("f.csv", format!("{header}\n")).expect_err(header);
        assert!(matches!(error, FlightsError::MissingColumn { .. }), "{error:?}");
        let text = error.to_string();
        for part in ["f.csv", quantity, expected, &header.replace(',', ", ")] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    }
}

#[test]
fn values_that_cannot_be_read_are_missing_and_told_or_fatal_where_all_are() {
    let table =
        "flight_id,time,lon,lat,altitude\nA,0,8,47,10000\nA,soon,8,47,10000\nA,60,8,47,high\nA,120,8,47,10000\n";
    let loaded = read_as("f.csv", table).expect("reads");
    assert_eq!(loaded.fleet.waypoints(), 3);
    let remarks = loaded.files[0].remarks.join("; ");
    assert!(remarks.contains("\"soon\" in row 2"), "{remarks}");
    assert!(remarks.contains("\"high\" in row 3"), "{remarks}");
    let error = read_as("f.csv", "flight_id,time,lon,lat,altitude\nA,0,8E,47,1\nA,1,9E,47,1\n").expect_err("no place");
    assert!(error.to_string().contains("row 1, column \"lon\": \"8E\" is no number of degrees"), "{error}");
    let bytes = parquet_bytes(vec![
        ("time", Arc::new(BooleanArray::from(vec![true])) as ArrayRef),
        ("lon", floats(&[1.0])),
        ("lat", floats(&[1.0])),
        ("altitude", floats(&[1.0])),
    ]);
    let error = read_as("f.parquet", bytes).expect_err("no time").to_string();
    assert!(error.contains("column \"time\": \"a value of type Boolean\" is no time"), "{error}");
}

#[test]
fn a_table_without_rows_is_no_fault() {
    let loaded = read_as("f.csv", "flight_id,time,lon,lat,altitude\n").expect("reads");
    assert!(loaded.fleet.is_empty() && loaded.rejects.is_empty());
    let none = || floats(&[]);
    let bytes = parquet_bytes(vec![("time", none()), ("lon", none()), ("lat", none()), ("level", none())]);
    assert!(read_as("f.parquet", bytes).expect("reads").fleet.is_empty());
}

#[test]
fn points_keep_types_order_and_missing_values() {
    let dir = TempDir::new().expect("a temporary folder");
    let path = dir.path().join("f.csv");
    let table =
        "time,lon,lat,altitude,id,n,ok,name\n60,190,47,10000,007,1,true,x\n0,,47,10000,008,,false,\n,8,47,,009,3,,1\n";
    std::fs::write(&path, table).expect("written");
    let points = read_points(&path, &ReadOptions::default()).expect("reads");
    let types: Vec<DataType> = points.batch.schema().fields().iter().map(|f| f.data_type().clone()).collect();
    let (int, text) = (DataType::Int64, DataType::Utf8);
    assert_eq!(types, [int.clone(), int.clone(), int.clone(), int.clone(), text.clone(), int, DataType::Boolean, text]);
    let same =
        |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()));
    assert!(same(&points.time_s, &[60.0, 0.0, f64::NAN]));
    assert!(same(&points.longitude_deg, &[-170.0, f64::NAN, 8.0]));
    assert!(points.pressure_pa[2].is_nan() && (points.pressure_pa[1] - P_10KM).abs() < 0.05);
}

fn fleet_of(flights: usize, waypoints: usize) -> Fleet {
    let mut fleet = Fleet::new();
    for f in 0..flights {
        let waypoint = |i: usize| Waypoint {
            time_s: T0 + 0.25 * f as f64 + 30.0 * i as f64,
            longitude_deg: -179.9 + 0.01 * i as f64,
            latitude_deg: f as f64 * 0.01,
            pressure: Pressure::from_hectopascal(250.0 + f as f64 * 1e-3),
            on_ground: i == 0,
        };
        fleet.push(format!("flight, \"{f}\""), &(0..waypoints).map(waypoint).collect::<Vec<_>>()).expect("valid");
    }
    fleet
}

fn expect_same(actual: &Fleet, expected: &Fleet) {
    assert_eq!(actual.len(), expected.len());
    for (a, b) in actual.iter().zip(expected.iter()) {
        assert_eq!((a.id, a.time_s, a.longitude_deg), (b.id, b.time_s, b.longitude_deg));
        assert_eq!((a.latitude_deg, a.on_ground), (b.latitude_deg, b.on_ground));
        assert!(a.pressure_pa.iter().zip(b.pressure_pa).all(|(a, b)| (a - b).abs() < 1e-9 * b));
    }
}

#[test]
fn what_is_written_is_read_back() {
    let dir = TempDir::new().expect("a temporary folder");
    let (parquet, csv) = (dir.path().join("f.parquet"), dir.path().join("f.csv"));
    let fleet = fleet_of(30, 50);
    write_parquet(&parquet, &fleet).expect("writes");
    write_csv(&csv, &fleet).expect("writes");
    for path in [parquet, csv] {
        let loaded = read(std::slice::from_ref(&path), &ReadOptions::default()).expect("reads");
        expect_same(&loaded.fleet, &fleet);
        assert_eq!(loaded.files[0].dialect, "pycontrails");
        let mut both = read(&[path.clone(), path], &ReadOptions::default()).expect("reads");
        expect_same(&both.fleet, &fleet);
        assert_eq!(both.repairs.count(super::super::Fault::Duplicate), 1500);
        both.fleet.shift_time(0.0);
    }
    write_parquet(&dir.path().join("empty"), &Fleet::new()).expect("writes");
    assert!(read(&[dir.path().join("empty")], &ReadOptions::default()).expect("reads").fleet.is_empty());
}

/// Small row groups that cut flights, as other writers make them.
#[test]
fn batches_never_cut_a_flight() {
    let dir = TempDir::new().expect("a temporary folder");
    let written = dir.path().join("f.parquet");
    write_parquet(&written, &fleet_of(40, 25)).expect("writes");
    let points = read_points(&written, &ReadOptions::default()).expect("reads");
    let cut = dir.path().join("cut.parquet");
    let file = std::fs::File::create(&cut).expect("created");
    let properties =
        ::parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(60)).build();
    let mut writer =
        ::parquet::arrow::ArrowWriter::try_new(file, points.batch.schema(), Some(properties)).expect("opens");
    writer.write(&points.batch).expect("writes");
    writer.close().expect("writes");
    for limit in [1, 100, 170, 100_000] {
        let mut reader = FleetReader::open(&[cut.clone(), written.clone()], &ReadOptions::default()).expect("opens");
        let mut all = Fleet::new();
        let (mut rows, mut duplicates) = (0, 0);
        let mut files = Vec::new();
        while let Some(batch) = reader.next_batch(limit).expect("reads") {
            assert!(batch.fleet.waypoints() <= limit.max(25), "{} > {limit}", batch.fleet.waypoints());
            for flight in batch.fleet.iter() {
                let waypoints: Vec<Waypoint> = (0..flight.len())
                    .map(|i| Waypoint {
                        time_s: flight.time_s[i],
                        longitude_deg: flight.longitude_deg[i],
                        latitude_deg: flight.latitude_deg[i],
                        pressure: Pressure::from_pascal(flight.pressure_pa[i]),
                        on_ground: flight.on_ground[i],
                    })
                    .collect();
                all.push(flight.id, &waypoints).expect("valid");
            }
            rows += batch.repairs.rows();
            duplicates += batch.repairs.count(super::super::Fault::Duplicate);
            files = batch.files;
        }
        expect_same(&all, &fleet_of(40, 25));
        assert_eq!((rows, duplicates), (2000, 1000));
        assert_eq!((files.len(), files[0].rows, files[1].rows), (2, 1000, 1000));
        assert_eq!(files[0].repairs.rows(), 1000);
    }
    // Alone, each flight can be handed on when its own row groups are read.
    let mut reader = FleetReader::open(&[cut], &ReadOptions::default()).expect("opens");
    let first = reader.next_batch(1).expect("reads").expect("a batch");
    assert_eq!((first.fleet.len(), reader.files().next().map(|f| f.rows)), (1, Some(60)));
}
