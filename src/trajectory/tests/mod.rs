//! Tests of reading flights: real files, each format and kind of file,
//! properties, and garbage.

mod faults;
mod formats;
mod garbage;
mod real;

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Fleet, FlightsError, Loaded, ReadOptions, read, synthetic};

/// A real file of the shared data, or `None`, said aloud, where it is absent.
fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/flights").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
    }
    path.exists().then_some(path)
}

/// Reads the contents as a file of that name.
fn read_as(name: &str, contents: impl AsRef<[u8]>) -> Result<Loaded, FlightsError> {
    read_with(name, contents, &ReadOptions::default())
}

fn read_with(name: &str, contents: impl AsRef<[u8]>, options: &ReadOptions) -> Result<Loaded, FlightsError> {
    let dir = TempDir::new().expect("a temporary folder");
    let path = dir.path().join(name);
    std::fs::write(&path, contents).expect("a temporary file");
    read(&[path], options)
}

#[test]
fn selected_flights_are_those_asked_for() {
    let fleet = synthetic::fleet(5, 600.0, 1, 0.0, 86_400.0);
    let some = fleet.select(&[3, 0, 9]);
    assert_eq!(some.len(), 2);
    for (there, here) in [(3, 0), (0, 1)] {
        assert_eq!(format!("{:?}", some.get(here)), format!("{:?}", fleet.get(there)));
    }
    assert_eq!(fleet.select(&[0, 1, 2, 3, 4]), fleet);
    assert_eq!(fleet.select(&[]), Fleet::new());
}
