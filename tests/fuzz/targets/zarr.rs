//! Any bytes as the documents and the one chunk of a Zarr store.
//!
//! The input is cut at NUL bytes: group, coordinates, variable, chunk.
#![no_main]

mod shared;

use std::fs;

/// Where each piece is put, in the order of the pieces.
const PLACES: [&[&str]; 4] = [
    &[".zgroup", "zarr.json"],
    &["latitude/.zarray", "longitude/.zarray", "level/.zarray", "latitude/zarr.json", "longitude/zarr.json"],
    &["t/.zarray", "t/.zattrs", "t/zarr.json"],
    &["t/0.0.0", "t/0", "t/c/0/0/0", "latitude/0", "longitude/0", "level/0"],
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (piece, places) in data.splitn(PLACES.len(), |byte| *byte == 0).zip(PLACES) {
        for place in places {
            let path = folder.path().join(place);
            let parent = path.parent().expect("the place is in the folder");
            fs::create_dir_all(parent).and_then(|()| fs::write(&path, piece)).expect("room for the input");
        }
    }
    shared::read_all(skydose::field::zarr::open(folder.path()));
});
