//! Faults of tracks, how flights are told apart, and what must not matter.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use proptest::prelude::*;

use super::{
    super::{Fault, Fleet, Loaded, ReadOptions, read},
    formats::parquet_bytes,
    read_as, read_with,
};

const HEADER: &str = "flight_id,time,longitude,latitude,altitude_ft,on_ground\n";

/// Level flight along the equator at FL350 and 240 m/s, a row each 10 s; `edit` breaks it.
fn track(rows: usize, edit: impl Fn(usize, &mut [String; 5])) -> Loaded {
    let mut text = HEADER.to_owned();
    for i in 0..rows {
        let mut cells = [
            (10 * i).to_string(),
            (0.0216 * i as f64).to_string(),
            "0".to_owned(),
            "35000".to_owned(),
            "false".to_owned(),
        ];
        edit(i, &mut cells);
        text.extend(["A,", &cells.join(","), "\n"]);
    }
    read_as("f.csv", text).expect("reads")
}

fn counts(loaded: &Loaded) -> Vec<(Fault, u64)> {
    loaded.repairs.iter().collect()
}

fn altitudes_ft(fleet: &Fleet) -> Vec<f64> {
    let flight = fleet.get(0).expect("a flight");
    flight
        .pressure_pa
        .iter()
        .map(|&p| crate::atmosphere::isa_altitude(crate::units::Pressure::from_pascal(p)).feet().round())
        .collect()
}

#[test]
fn rows_without_time_or_place_are_dropped() {
    let loaded = track(10, |i, cells| match i {
        1 => cells[0].clear(),
        2 => cells[1] = "NaN".to_owned(),
        3 => cells[2] = "null".to_owned(),
        4 => cells[2] = "91".to_owned(),
        5 => cells[1] = "1e9".to_owned(),
        _ => {}
    });
    assert_eq!(loaded.fleet.waypoints(), 5);
    assert_eq!(counts(&loaded), [(Fault::NoTime, 1), (Fault::NoPosition, 2), (Fault::WrongPosition, 2)]);
}

#[test]
fn position_spikes_are_dropped_wherever_they_are() {
    for spikes in [vec![4], vec![0], vec![9], vec![3, 4, 5], vec![2, 6], vec![0, 5, 9]] {
        let loaded = track(10, |i, cells| {
            if spikes.contains(&i) {
                cells[1] = "-60".to_owned();
            }
        });
        assert_eq!(loaded.rejects, []);
        assert_eq!(counts(&loaded), [(Fault::PositionSpike, spikes.len() as u64)], "{spikes:?}");
        let flight = loaded.fleet.get(0).expect("a flight");
        let kept: Vec<f64> = (0..10).filter(|i| !spikes.contains(i)).map(|i| 10.0 * i as f64).collect();
        assert_eq!(flight.time_s, kept);
        assert!(flight.longitude_deg.iter().all(|&l| l >= 0.0));
    }
}

#[test]
fn a_rejected_flight_names_its_own_file() {
    let dir = tempfile::TempDir::new().expect("a temporary folder");
    let row = |id: &str, second: u32, altitude: &str| format!("{id},{second},0,0,{altitude},false\n");
    let file = |name: &str, rows: &[String]| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("{HEADER}{}", rows.concat())).expect("a temporary file");
        path
    };
    let good = file("good.csv", &[row("A", 0, "35000"), row("A", 60, "35000")]);
    let bad = file("bad.csv", &[row("B", 0, ""), row("B", 60, "")]);
    let loaded = read(&[good, bad.clone()], &ReadOptions::default()).expect("reads");
    let rejects: Vec<_> = loaded.rejects.iter().map(|r| (r.flight_id.as_str(), &r.path)).collect();
    assert_eq!(rejects, [("B", &bad)]);
}

#[test]
fn two_flights_under_one_name_are_rejected() {
    let loaded = track(20, |i, cells| {
        if i >= 10 {
            cells[1] = "90".to_owned();
        }
    });
    assert!(loaded.fleet.is_empty());
    assert_eq!(loaded.rejects.len(), 1);
    let reject = &loaded.rejects[0];
    assert_eq!((reject.flight_id.as_str(), reject.waypoints), ("A", 20));
    // From 0.1944 to 90 degrees along the equator, at t = 90 s.
    assert!(reject.reason.starts_with("moves 9986 km in 10 s at 1970-01-01T00:01:30Z"), "{}", reject.reason);
}

#[test]
fn altitude_spikes_are_interpolated_and_steps_are_not() {
    for spikes in [vec![4], vec![3, 4, 5], vec![0], vec![9], vec![2, 7]] {
        for wrong in ["0", "60000"] {
            let loaded = track(10, |i, cells| {
                if spikes.contains(&i) {
                    cells[3] = wrong.to_owned();
                }
            });
            assert_eq!(counts(&loaded), [(Fault::AltitudeSpike, spikes.len() as u64)], "{spikes:?} at {wrong}");
            assert_eq!(altitudes_ft(&loaded.fleet), [35_000.0; 10]);
        }
    }
    // FL370 within ten seconds, and no way back: a step of coarse data.
    let loaded = track(10, |i, cells| {
        if i >= 5 {
            cells[3] = "37000".to_owned();
        }
    });
    assert_eq!(counts(&loaded), []);
    // Between the neighbours in time, not just their mean.
    let loaded = track(4, |i, cells| {
        cells[3] = ["35000", "0", "35000", "36000"][i].to_owned();
        cells[0] = ["0", "10", "40", "100"][i].to_owned();
    });
    assert_eq!(altitudes_ft(&loaded.fleet), [35_000.0, 35_000.0, 35_000.0, 36_000.0]);
}

#[test]
fn missing_altitudes_are_interpolated_within_ten_minutes() {
    let blank = |from: usize, to: usize, rows: usize| {
        track(rows, |i, cells| {
            cells[3] = (10_000 + 100 * i).to_string();
            if (from..to).contains(&i) {
                cells[3].clear();
            }
        })
    };
    let loaded = blank(2, 5, 10);
    assert_eq!(counts(&loaded), [(Fault::AltitudeFilled, 3)]);
    assert_eq!(altitudes_ft(&loaded.fleet), (0..10).map(|i| 10_000.0 + 100.0 * f64::from(i)).collect::<Vec<_>>());
    // 59 missing rows lie within 600 s, 60 do not; nor do those at an end.
    assert_eq!(counts(&blank(1, 60, 70)), [(Fault::AltitudeFilled, 59)]);
    assert_eq!(counts(&blank(1, 61, 70)), [(Fault::NoAltitude, 60)]);
    assert_eq!(counts(&blank(0, 2, 10)), [(Fault::NoAltitude, 2)]);
    assert_eq!(counts(&blank(8, 10, 10)), [(Fault::NoAltitude, 2)]);
    let none = blank(0, 10, 10);
    assert!(none.fleet.is_empty());
    assert_eq!(none.rejects[0].reason, "no usable waypoint: 10 rows without an altitude dropped");
}

#[test]
fn an_aircraft_on_the_ground_is_marked_and_at_the_ground() {
    let loaded = track(6, |i, cells| {
        cells[3] = ["", "0", "400", "800", "", ""][i].to_owned();
        cells[4] = ["True", "1", "false", "0", "", "true"][i].to_owned();
    });
    assert_eq!(counts(&loaded), [(Fault::AltitudeFilled, 3), (Fault::OnGround, 3)]);
    let flight = loaded.fleet.get(0).expect("a flight");
    assert_eq!(flight.on_ground, [true, true, false, false, false, true]);
    assert!((flight.pressure_pa[0] - 101_325.0).abs() < 1e-6);
    assert_eq!(altitudes_ft(&loaded.fleet), [0.0, 0.0, 400.0, 800.0, 400.0, 0.0]);
}

#[test]
fn altitudes_out_of_range_are_missing() {
    let loaded = track(10, |i, cells| {
        if i == 3 {
            cells[3] = "-9999".to_owned();
        }
        if i == 7 {
            cells[3] = "126000".to_owned();
        }
    });
    assert_eq!(counts(&loaded), [(Fault::WrongAltitude, 2), (Fault::AltitudeFilled, 2)]);
    assert_eq!(altitudes_ft(&loaded.fleet), [35_000.0; 10]);
    let wrong = track(10, |i, cells| {
        if i % 3 > 0 {
            cells[3] = "126000".to_owned();
        }
    });
    assert!(
        wrong.rejects[0].reason.starts_with("6 of 10 rows are wrong: 6 altitudes out of range"),
        "{:?}",
        wrong.rejects
    );
}

#[test]
fn of_rows_at_one_time_the_one_near_the_track_is_kept() {
    let rows = ["10,0.02,0,35000,", "20,5,0,35000,", "20,0.04,0,35000,", "20,0.04,0,,", "30,0.06,0,35000,"];
    for turn in 0..rows.len() {
        let mut rows = rows;
        rows.rotate_left(turn);
        let text = rows.iter().fold(HEADER.to_owned(), |text, row| format!("{text}A,{row}\n"));
        let loaded = read_as("f.csv", text).expect("reads");
        let flight = loaded.fleet.get(0).expect("a flight");
        assert_eq!(flight.longitude_deg, [0.02, 0.04, 0.06], "{turn}");
        assert_eq!(loaded.repairs.count(Fault::Duplicate), 2);
    }
}

#[test]
fn one_waypoint_is_a_flight_and_order_is_counted() {
    let loaded =
        read_as("f.csv", format!("{HEADER}A,0,0,0,35000,\nB,60,0,0,35000,\nB,30,0,0,35000,\nB,90,0,0,35000,\n"));
    let loaded = loaded.expect("reads");
    assert_eq!(loaded.fleet.iter().map(|f| f.len()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(counts(&loaded), [(Fault::OutOfOrder, 1)]);
    assert_eq!(loaded.flight_repairs[0].iter().count(), 0);
    assert_eq!(loaded.flight_repairs[1].count(Fault::OutOfOrder), 1);
}

#[test]
fn a_million_waypoints_make_a_flight() {
    let backwards = (0..1_000_000).rev();
    let column = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let bytes = parquet_bytes(vec![
        ("time", column(backwards.clone().map(f64::from).collect())),
        ("lon", column(backwards.map(|i| f64::from(i) * 1e-3).map(|l| l % 360.0).collect())),
        ("lat", column(vec![0.0; 1_000_000])),
        ("level", column(vec![250.0; 1_000_000])),
    ]);
    let loaded = read_as("long.parquet", bytes).expect("reads");
    assert_eq!((loaded.fleet.len(), loaded.fleet.waypoints()), (1, 1_000_000));
    assert_eq!(counts(&loaded), [(Fault::OutOfOrder, 999_999)]);
}

#[test]
fn flights_of_an_aircraft_end_with_callsign_and_silence() {
    let table = "timestamp,icao24,callsign,lon,lat,altitude\n\
        0,aa,,0,0,30000\n600,aa,ONE,0,0,30000\n1200,aa,,0,0,30000\n\
        3001,aa,ONE,0,0,30000\n3100,aa,TWO,0,0,30000\n3200,aa,,0,0,30000\n\
        600,bb,ONE,9,0,30000\n700,,SOLO,3,0,30000\n800,,,4,0,30000\n";
    let loaded = read_as("f.csv", table).expect("reads");
    let flights: Vec<_> = loaded.fleet.iter().map(|f| (f.id, f.len())).collect();
    assert_eq!(
        flights,
        [
            ("aa_ONE_19700101T0000", 3),
            ("aa_ONE_19700101T0050", 1),
            ("aa_TWO_19700101T0051", 2),
            ("bb_ONE_19700101T0010", 1),
            ("SOLO_19700101T0011", 1),
        ]
    );
    assert_eq!(counts(&loaded), [(Fault::NoFlight, 1)]);
    let options = ReadOptions { gap_s: 3600.0, ..ReadOptions::default() };
    let loaded = read_with("f.csv", table, &options).expect("reads");
    assert_eq!(loaded.fleet.iter().map(|f| f.len()).collect::<Vec<_>>(), [4, 2, 1, 1]);
}

#[test]
fn flights_of_one_minute_have_different_names() {
    let table = "timestamp,icao24,lon,lat,altitude\n0,aa,0,0,30000\n20,aa,0,0,30000\n40,aa,0,0,30000\n";
    let options = ReadOptions { gap_s: 10.0, ..ReadOptions::default() };
    let loaded = read_with("f.csv", table, &options).expect("reads");
    let ids: Vec<&str> = loaded.fleet.iter().map(|f| f.id).collect();
    assert_eq!(ids, ["aa_19700101T0000", "aa_19700101T0000_2", "aa_19700101T0000_3"]);
}

/// Flights by name, with all that is in them.
fn sorted(loaded: &Loaded) -> Vec<String> {
    let mut flights: Vec<String> = loaded.fleet.iter().map(|f| format!("{f:?}")).collect();
    let rejects = loaded.rejects.iter().map(|r| format!("{} {} {}", r.flight_id, r.waypoints, r.reason));
    flights.extend(rejects);
    flights.sort_unstable();
    flights
}

prop_compose! {
    /// A row that is mostly right, of one of few aircraft and times.
    fn row()(
        aircraft in 0_u8..3, callsign in 0_u8..3, time in 0_u16..400, lon in 0_u8..40, lat in 0_u8..3,
        altitude in prop_oneof![8 => 34_000_i32..36_000, 1 => Just(0), 1 => Just(200_000)], blank in 0_u8..12,
    ) -> String {
        let call = ["", "ONE", "TWO"][usize::from(callsign)];
        let altitude = if blank == 0 { String::new() } else { altitude.to_string() };
        let lon = if blank == 1 { "120".to_owned() } else { (f64::from(lon) * 0.01).to_string() };
        format!("{},a{aircraft},{call},{lon},{},{altitude}", u32::from(time) * 15, f64::from(lat) * 0.01)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn neither_order_nor_files_matter(
        (rows, shuffled) in prop::collection::vec(row(), 1..80).prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        split in 0.0..1.0_f64,
        named in any::<bool>(),
    ) {
        let name = if named { "flight_id" } else { "icao24" };
        let header = format!("timestamp,{name},callsign,lon,lat,altitude_ft\n");
        let text = |rows: &[String]| format!("{header}{}\n", rows.join("\n"));
        let expected = read_as("f.csv", text(&rows)).expect("reads");
        prop_assert_eq!(expected.repairs.rows(), rows.len() as u64);
        let other = read_as("f.csv", text(&shuffled)).expect("reads");
        prop_assert_eq!(sorted(&other), sorted(&expected));

        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a length")]
        let at = (split * rows.len() as f64) as usize;
        let dir = tempfile::TempDir::new().expect("a temporary folder");
        let paths = [dir.path().join("a.csv"), dir.path().join("b.csv")];
        std::fs::write(&paths[0], text(&rows[..at])).expect("written");
        std::fs::write(&paths[1], text(&rows[at..])).expect("written");
        if let Ok(parts) = read(&paths, &ReadOptions::default()) {
            prop_assert_eq!(sorted(&parts), sorted(&expected));
            prop_assert_eq!(parts.repairs, expected.repairs);
            let mut files = super::super::Repairs::default();
            parts.files.iter().for_each(|f| files.add(&f.repairs));
            prop_assert_eq!(files, parts.repairs);
        }
    }
}
