//! Any bytes as a file of flights: Parquet, JSON or CSV, plain or gzipped.
#![no_main]

use std::io::Write;

use skydose::trajectory::{ReadOptions, read};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("room for the input");
    // An error is a good answer; a panic is not, nor a flight without waypoints.
    if let Ok(loaded) = read(&[file.path().to_owned()], &ReadOptions::default()) {
        assert!(loaded.fleet.iter().all(|flight| !flight.is_empty()));
    }
});
