//! Any bytes as a zip file of fields.
#![no_main]

mod shared;

use std::io::Write;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("room for the input");
    shared::read_all(skydose::field::archive::open(file.path()));
});
