//! Broken, foreign and hostile bytes: an error that says where, never a panic.

use std::path::Path;

use super::{super::recognises, open, read, refusal, try_open, writer::*};
use crate::field::FieldError;

fn good() -> Vec<u8> {
    field(&Product::temperature(), 4)
}

const FILES: &[&[u8]] = &[
    include_bytes!("../../../../tests/data/grib/simple.grib2"),
    include_bytes!("../../../../tests/data/grib/complex.grib2"),
    include_bytes!("../../../../tests/data/grib/differences.grib2"),
    include_bytes!("../../../../tests/data/grib/ccsds.grib2"),
    include_bytes!("../../../../tests/data/grib/jpeg2000.grib2"),
    include_bytes!("../../../../tests/data/grib/png_17_bits.grib2"),
    include_bytes!("../../../../tests/data/grib/ieee.grib2"),
];

#[test]
fn edition_1_is_refused_also_behind_edition_2() {
    let mut old = b"GRIB\0\0\x1c\x01".to_vec();
    old.extend([0; 20]);
    let said = refusal([good(), old].concat());
    assert!(said.contains(&format!("the message at byte {} is GRIB edition 1", good().len())), "{said}");
    assert!(said.contains("grib_set -s edition=2"), "{said}");
}

#[test]
fn magic_and_edition_are_recognised_and_names_in_other_files_are_not() {
    let recognised = |head: &[u8]| recognises(Path::new("x"), head);
    assert!(recognised(&good()[..16]));
    assert!(recognised(b"\r\r\n123 HTXX85 KWBC\r\r\nGRIB\0\0\x1c\x01"));
    assert!(!recognised(b"CDF\x02 GRIB_edition GRIB_paramId"));
    assert!(!recognised(b"GRIB"));
    assert!(!recognised(b""));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    assert!(refusal(Vec::new()).ends_with("the file is empty"));
    assert!(refusal(vec![0; 100]).contains("no GRIB message in the 100 bytes from byte 0"));
    assert!(refusal(vec![7; 200_000]).contains("no GRIB message in the 65536 bytes from byte 0"));
    let twice = [good(), good()].concat();
    let start = good().len();
    assert!(refusal(twice[..twice.len() - 1].to_vec()).contains(&format!("truncated: the message at byte {start}")));
    assert!(refusal(twice[..start + 9].to_vec()).contains(&format!("truncated: the message at byte {start}")));
    for (byte, value, expected) in [
        (8, 0x40, "truncated"),
        (7, 9, "GRIB edition 9"),
        (16, 0x7f, "section 1 at byte 16"),
        (20, 9, "section 9 at byte 16"),
        (20, 2, "lacks section 1"),
        (good().len() - 1, 0, "does not end with 7777"),
    ] {
        let mut bytes = good();
        bytes[byte] = value;
        assert!(refusal(bytes.clone()).contains(expected), "{}", refusal(bytes));
    }
    let mut no_date = good();
    no_date[16 + 14] = 13;
    assert!(refusal(no_date).contains("no such date: 2024-13-1"));
    let error = try_open(Vec::new()).err();
    assert!(matches!(error, Some(FieldError::Corrupt { .. })));
}

#[test]
fn junk_between_messages_is_skipped_and_remarked_but_padding_is_not() {
    let heading = b"\r\r\n123 HTXX85 KWBC 010600\r\r\n".to_vec();
    let second = field(&Product { level: (100, 0, 30_000), ..Product::temperature() }, 8);
    let source = open([heading.clone(), good(), vec![0; 600], second.clone(), vec![0; 9]].concat());
    assert_eq!(source.remarks(), ["28 bytes that are not GRIB were skipped, the first at byte 0"]);
    assert_eq!(read(&source, "t", 0)[0], 8.0);
    let far = [good(), vec![1; 70_000], second].concat();
    assert!(refusal(far).contains("the file goes on but has no GRIB message"));
}

#[test]
fn sizes_that_cannot_be_are_refused_before_memory_is_taken() {
    // A constant over 2^32 - 1 points, in rows that the grid agrees with.
    let huge = Grid { columns: 65_537, rows: 65_535, ..Grid::SMALL };
    let sections = [huge.section(), Product::temperature().section(), simple(1, 0.0, 0, 0, 0), section(6, &[255])];
    let said = refusal(message(0, 98, &[sections.concat(), section(7, &[])]));
    assert!(said.contains("65537 x 65535 points"), "{said}");
    // 10^8 values of 16 bits in four bytes, and the same as CCSDS and as groups.
    let wide = Grid { columns: 10_000, rows: 10_000, steps: (u32::MAX, u32::MAX), flags: 0, ..Grid::SMALL };
    let mut ccsds = simple(100_000_000, 0.0, 0, 0, 16);
    ccsds.extend([14, 32, 0, 128]);
    (ccsds[3], ccsds[10]) = (25, 42);
    let mut groups = simple(100_000_000, 0.0, 0, 0, 0);
    groups.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x05, 0xf5, 0xe1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1, 0]);
    (groups[3], groups[10]) = (47, 2);
    for representation in [simple(100_000_000, 0.0, 0, 0, 16), ccsds, groups] {
        let sections =
            [wide.section(), Product::temperature().section(), representation, section(6, &[255]), section(7, &[0; 4])];
        let source = open(message(0, 98, &sections));
        let mut window = source.variables()[0].whole(0);
        (window.latitudes, window.longitudes) = (0..1, 0..1);
        let error = source.read(0, &window, &mut [0.0]).unwrap_err().to_string();
        assert!(error.contains("hold") || error.contains("bytes of data"), "{error}");
    }
}

/// Reads all that opens; whatever comes of it, it comes back.
fn try_all(bytes: Vec<u8>) {
    let Ok(source) = try_open(bytes) else { return };
    for (i, variable) in source.variables().iter().enumerate() {
        let mut window = variable.whole(0);
        window.latitudes = 0..variable.latitudes_deg.len().min(40);
        window.longitudes = 0..variable.longitudes_deg.len().min(40);
        window.times = 0..variable.times_s.len().min(4);
        let mut out = vec![0.0; window.len()];
        let _ = source.read(i, &window, &mut out);
    }
}

#[test]
fn every_truncation_comes_back() {
    for file in FILES {
        for len in (0..file.len()).step_by(7) {
            try_all(file[..len].to_vec());
        }
    }
}

#[test]
fn flipped_and_random_bytes_come_back() {
    // A fixed sequence (Knuth's MMIX generator), so that a failure repeats.
    let mut state = 20_240_301u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for file in FILES {
        for round in 0..400 {
            let mut bytes = file.to_vec();
            // Headers are hit as often as data, though they are smaller.
            let reach = if round % 2 == 0 { 250 } else { bytes.len() };
            for _ in 0..=random(3) {
                let at = random(reach);
                bytes[at] = [0, 0xff, 0x80, bytes[at] ^ (1 << random(8))][random(4)];
            }
            try_all(bytes);
        }
    }
    for _ in 0..50 {
        let mut bytes = good()[..16].to_vec();
        bytes.extend((0..900).map(|_| random(256) as u8));
        let len = bytes.len() as u64;
        bytes[8..16].copy_from_slice(&len.to_be_bytes());
        try_all(bytes);
    }
}
