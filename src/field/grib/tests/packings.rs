//! Every packing against the formula that its file was made of
//! (`tests/data/grib/make.py`), and some that ecCodes does not write.

use super::{open, read, refusal, writer};
use crate::field::Levels;

/// File, its bytes, the largest error of packing as ecCodes decodes it in f64.
const FILES: &[(&str, &[u8], f64)] = &[
    ("simple", include_bytes!("../../../../tests/data/grib/simple.grib2"), 4.9e-4),
    ("simple_11_bits", include_bytes!("../../../../tests/data/grib/simple_11_bits.grib2"), 1.57e-2),
    ("complex", include_bytes!("../../../../tests/data/grib/complex.grib2"), 1.96e-3),
    ("differences", include_bytes!("../../../../tests/data/grib/differences.grib2"), 9.8e-4),
    ("differences_1", include_bytes!("../../../../tests/data/grib/differences_1.grib2"), 9.8e-4),
    ("ccsds", include_bytes!("../../../../tests/data/grib/ccsds.grib2"), 4.9e-4),
    ("ccsds_20_bits", include_bytes!("../../../../tests/data/grib/ccsds_20_bits.grib2"), 3.2e-5),
    ("jpeg2000", include_bytes!("../../../../tests/data/grib/jpeg2000.grib2"), 4.9e-4),
    ("png_12_bits", include_bytes!("../../../../tests/data/grib/png_12_bits.grib2"), 7.9e-3),
    ("png_17_bits", include_bytes!("../../../../tests/data/grib/png_17_bits.grib2"), 2.6e-4),
    ("ieee", include_bytes!("../../../../tests/data/grib/ieee.grib2"), 0.0),
];

/// Half the distance of two f32 around 300.
const ROUNDING: f64 = 1.6e-5;

const COLUMNS: usize = 24;
const ROWS: usize = 17;

fn formula(i: usize, j: usize) -> f64 {
    let (i, j) = (i as f64, j as f64);
    250.0 + 20.0 * (0.35 * i).sin() * (0.2 * j).cos() + 0.5 * j - 0.05 * i * j
}

#[test]
fn every_packing_gives_back_the_formula_the_holes_and_the_constant() {
    for (name, bytes, error) in FILES {
        let source = open(bytes.to_vec());
        let variable = &source.variables()[0];
        assert_eq!((variable.name.as_str(), source.variables().len()), ("t", 1), "{name}");
        assert_eq!(variable.levels, Levels::Pressure(vec![20_000.0, 30_000.0, 50_000.0]), "{name}");
        assert_eq!(variable.times_s, [1_709_305_200.0], "{name}");
        assert_eq!(variable.latitudes_deg, (0..17).map(|j| 72.0 - 5.0 * f64::from(j)).collect::<Vec<_>>());
        assert_eq!(variable.longitudes_deg, (0..24).map(|i| 350.0 + 5.0 * f64::from(i)).collect::<Vec<_>>());
        assert!(source.remarks().is_empty(), "{name} {:?}", source.remarks());
        let values = read(&source, "t", 0);
        for (point, value) in values.iter().enumerate() {
            let (level, i, j) = (point / (COLUMNS * ROWS), point % COLUMNS, point / COLUMNS % ROWS);
            let expected = match level {
                0 => 281.25,
                1 if (i + 2 * j) % 5 == 0 => f64::NAN,
                1 => formula(i, j) + 7.0,
                _ => formula(i, j),
            };
            let value = f64::from(*value);
            let right = (value - expected).abs() <= *error + ROUNDING || (value.is_nan() && expected.is_nan());
            assert!(right, "{name} level {level} column {i} row {j}: {value}, expected {expected}");
        }
    }
}

#[test]
fn a_window_is_the_same_box_of_the_whole() {
    for (name, bytes, _) in FILES {
        let source = open(bytes.to_vec());
        let whole = read(&source, "t", 0);
        let mut window = source.variables()[0].whole(0);
        (window.levels, window.latitudes, window.longitudes) = (1..3, 4..9, 20..23);
        let mut out = vec![0.0; window.len()];
        source.read(0, &window, &mut out).unwrap();
        let mut expected = Vec::new();
        for level in 1..3 {
            for row in 4..9 {
                let start = (level * ROWS + row) * COLUMNS;
                expected.extend_from_slice(&whole[start + 20..start + 23]);
            }
        }
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out), bits(&expected), "{name}");
        // Windows outside, and slices of another length, are errors.
        assert!(source.read(0, &window, &mut out[1..]).is_err());
        assert!(source.read(1, &window, &mut out).is_err());
        window.longitudes = 22..25;
        assert!(source.read(0, &window, &mut out).is_err());
        window.longitudes = 3..3;
        assert!(source.read(0, &window, &mut []).is_ok());
    }
}

/// A message on the small grid with these sections 5 to 7.
fn packed(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut all = vec![writer::Grid::SMALL.section(), writer::Product::temperature().section()];
    all.extend_from_slice(sections);
    writer::message(0, 98, &all)
}

#[test]
fn simple_packing_scales_by_both_factors() {
    // (1.5 + X 2^-1) 10^-2, X of 3 bits: 0 to 7 and again 0 to 3.
    let data = writer::bits((0..12u8).flat_map(|x| [x & 4 != 0, x & 2 != 0, x & 1 != 0]));
    let sections = [writer::simple(12, 1.5, 0x8001, 2, 3), writer::section(6, &[255]), writer::section(7, &data)];
    let values = read(&open(packed(&sections)), "t", 0);
    for (x, value) in values.iter().enumerate() {
        let expected = (1.5 + 0.5 * (x % 8) as f32) / 100.0;
        assert!((value - expected).abs() < 1e-8, "{x}: {value}, expected {expected}");
    }
    // A constant is scaled too: 150 10^-2, and 10^2 with the sign bit.
    for (decimal, expected) in [(2, 1.5), (0x8002, 15_000.0)] {
        let sections = [writer::simple(12, 150.0, 0, decimal, 0), writer::section(6, &[255]), writer::section(7, &[])];
        assert_eq!(read(&open(packed(&sections)), "t", 0), [expected; 12]);
    }
}

#[test]
fn complex_packing_knows_two_kinds_of_missing_values() {
    // Two groups of 6 values: reference 10 and 3 bits each, of which 7 is
    // missing and 6 is missing of the second kind; then reference 20, width 0.
    let mut body = 12u32.to_be_bytes().to_vec();
    body.extend([0, 2]);
    body.extend(0f32.to_be_bytes());
    body.extend([0, 0, 0, 0, 6, 0, 1, 2]);
    body.extend([0; 8]);
    body.extend(2u32.to_be_bytes());
    body.extend([0, 2]);
    body.extend(6u32.to_be_bytes());
    body.push(1);
    body.extend(6u32.to_be_bytes());
    body.push(1);
    let number = |value: u8, width: u8| (0..width).rev().map(move |bit| value >> bit & 1 == 1);
    let data = [
        writer::bits(number(10, 6).chain(number(20, 6))),
        writer::bits(number(3, 2).chain(number(0, 2))),
        writer::bits([false, false]),
        writer::bits([0, 1, 7, 5, 6, 2].into_iter().flat_map(|x| number(x, 3))),
    ]
    .concat();
    let sections = [writer::section(5, &body), writer::section(6, &[255]), writer::section(7, &data)];
    let values = read(&open(packed(&sections)), "t", 0);
    let shown: Vec<_> = values.iter().map(f32::to_string).collect();
    assert_eq!(shown, ["10", "11", "NaN", "15", "NaN", "12", "20", "20", "20", "20", "20", "20"]);
}

#[test]
fn a_bit_map_can_be_that_of_the_field_before() {
    let holes: Vec<Option<u16>> = (0..12).map(|i| (i % 3 != 1).then_some(i)).collect();
    let mut sections = vec![writer::Grid::SMALL.section(), writer::Product::temperature().section()];
    sections.extend(writer::numbers(&holes));
    let mut second = writer::numbers(&[Some(40); 8]);
    second[1] = writer::section(6, &[254]);
    sections.push(writer::Product { level: (100, 0, 30_000), ..writer::Product::temperature() }.section());
    sections.extend(second);
    let values = read(&open(writer::message(0, 98, &sections)), "t", 0);
    for i in 0..12 {
        if i % 3 == 1 {
            assert!(values[i].is_nan() && values[12 + i].is_nan(), "{i}");
        } else {
            assert_eq!((values[i].to_string(), values[12 + i]), ("40".into(), i as f32));
        }
    }
}

#[test]
fn unknown_packings_and_bit_maps_are_refused_by_name() {
    let section5 = |template: u8| {
        let mut section = writer::simple(12, 0.0, 0, 0, 16);
        section[10] = template;
        section
    };
    let data = writer::section(7, &[0; 24]);
    let said = refusal(packed(&[section5(61), writer::section(6, &[255]), data.clone()]));
    assert!(said.contains("logarithmic") && said.contains("packingType=grid_ccsds"), "{said}");
    let said = refusal(packed(&[section5(200), writer::section(6, &[255]), data.clone()]));
    assert!(said.contains("run-length"), "{said}");
    let said = refusal(packed(&[section5(0), writer::section(6, &[3]), data]));
    assert!(said.contains("bit map 3"), "{said}");
}
