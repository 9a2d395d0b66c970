//! Any bytes as a GRIB2 file.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    shared::read_all(skydose::field::grib::from_bytes("fuzz".as_ref(), data.to_vec()));
});
