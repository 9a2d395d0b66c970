//! Any bytes as a NetCDF file.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    shared::read_all(skydose::field::netcdf::from_bytes("fuzz".as_ref(), data.to_vec()));
});
