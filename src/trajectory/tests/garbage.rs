//! Files that are damaged, empty, of another kind, or nothing at all.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    super::{FleetReader, FlightsError, ReadOptions, read, read_points},
    formats::{gzip, parquet_bytes},
    read_as,
};

const CSV: &str = "flight_id,time,longitude,latitude,altitude\nA,0,8,47,10000\nA,60,8.1,47,10000\nB,60,9,47,10000\n";
const JSON: &str = r#"[{"flight_id":"A","time":0,"longitude":8,"latitude":47,"altitude":10000},{"flight_id":"A","time":60,"longitude":8.1,"latitude":47,"altitude":9000}]"#;

fn parquet() -> Vec<u8> {
    let numbers = |v: Vec<f64>| Arc::new(Float64Array::from(v)) as ArrayRef;
    parquet_bytes(vec![
        ("flight_id", Arc::new(StringArray::from(vec!["A", "A", "B"]))),
        ("time", numbers(vec![0.0, 60.0, 60.0])),
        ("longitude", numbers(vec![8.0, 8.1, 9.0])),
        ("latitude", numbers(vec![47.0; 3])),
        ("altitude", numbers(vec![1e4; 3])),
    ])
}

/// Every way to read a file; none may panic, and the errors name it.
fn read_all_ways(bytes: &[u8]) {
    let dir = TempDir::new().expect("a temporary folder");
    let path = dir.path().join("odd-file");
    std::fs::write(&path, bytes).expect("written");
    let named = |e: FlightsError| assert!(e.to_string().contains("odd-file"), "{e}");
    let options = ReadOptions::default();
    let _ = read(std::slice::from_ref(&path), &options).map_err(named);
    let _ = read_points(&path, &options).map_err(named);
    let mut reader = match FleetReader::open(&[path], &options) {
        Ok(reader) => reader,
        Err(e) => return named(e),
    };
    while let Ok(Some(_)) = reader.next_batch(2).map_err(named) {}
}

#[test]
fn files_cut_anywhere() {
    for bytes in [CSV.as_bytes().to_vec(), JSON.as_bytes().to_vec(), parquet(), gzip(CSV.as_bytes()), gzip(&parquet())]
    {
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 150) {
            read_all_ways(&bytes[..end]);
        }
    }
    // Cut within the JSON, the gzip stream, the footer, or a line of CSV it is an error.
    for bytes in [
        JSON.as_bytes()[..JSON.len() - 2].to_vec(),
        gzip(CSV.as_bytes())[..60].to_vec(),
        parquet()[..parquet().len() - 9].to_vec(),
        CSV.as_bytes()[..CSV.len() - 9].to_vec(),
    ] {
        assert!(matches!(read_as("cut", bytes), Err(FlightsError::Corrupt { .. })));
    }
}

#[test]
fn files_with_a_byte_changed() {
    for bytes in [CSV.as_bytes().to_vec(), JSON.as_bytes().to_vec(), parquet(), gzip(&parquet())] {
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 150) {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                read_all_ways(&bytes);
            }
        }
    }
}

#[test]
fn files_of_another_kind_are_named() {
    for (bytes, what) in [
        (&b""[..], "it is empty"),
        (b"\x89HDF\r\n\x1a\n\0\0\0", "NetCDF-4 or HDF5"),
        (b"CDF\x02\0\0\0\0", "NetCDF classic"),
        (b"GRIB\0\0\0\x02", "GRIB"),
        (b"PK\x03\x04\0\0", "a zip archive"),
        (b"\xff\xfet\0i\0m\0e\0", "UTF-16"),
        (b"\0\x01\x02\x03", "no known format"),
    ] {
        let error = read_as("x.csv", bytes).expect_err(what);
        assert!(matches!(error, FlightsError::Unknown { .. }), "{error:?}");
        assert!(error.to_string().contains(what) && error.to_string().contains("x.csv"), "{error}");
    }
    assert!(read_as("x.csv.gz", gzip(b"")).expect_err("empty").to_string().contains("it is empty"));
    let folder = TempDir::new().expect("a temporary folder");
    let error = read(&[folder.path().to_owned()], &ReadOptions::default()).expect_err("a folder");
    assert!(error.to_string().contains("it is a folder"), "{error}");
    let absent = folder.path().join("absent.csv");
    assert!(matches!(read(&[absent], &ReadOptions::default()), Err(FlightsError::Io { .. })));
}

#[test]
fn a_gzip_bomb_is_not_swallowed() {
    // 24 MiB in members of one.
    let bomb = gzip(&vec![b' '; 1 << 20]).repeat(24);
    let error = read_as("bomb.json.gz", [gzip(b"[{"), bomb.clone()].concat()).expect_err("a bomb").to_string();
    assert!(error.contains("200-fold"), "{error}");
    let bytes = [gzip(b"time,lon,lat,level\n0,0,0,"), bomb].concat();
    let error = read_as("bomb.csv.gz", bytes).expect_err("a bomb").to_string();
    assert!(error.contains("200-fold"), "{error}");
}

#[test]
fn a_quote_that_is_not_closed_is_told() {
    let text = format!("{CSV}\"A,0,8,47,10000\n{}", "A,60,8,47,10000\n".repeat(2_000_000));
    let error = read_as("f.csv", text).expect_err("one long record").to_string();
    assert!(error.contains("line 5"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_bytes(head in 0_usize..8, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let heads: [&[u8]; 8] =
            [b"", b"PAR1", b"[{\"", b"{\"time\":", b"\x1f\x8b\x08\0", b"time,lon,lat,level\n", b"\xef\xbb\xbf", b"{\"time\":["];
        read_all_ways(&[heads[head], &bytes].concat());
        read_all_ways(&[heads[head], &bytes, b"PAR1"].concat());
    }

    #[test]
    fn random_text(head in 0_usize..4, text in "[0-9a-z,;\"\\[\\]{}:\n. -]{0,400}") {
        let heads = ["", "flight_id,time,lon,lat,altitude\n", "[{\"time\":", "{\"time\":"];
        read_all_ways(format!("{}{text}", heads[head]).as_bytes());
    }
}
