//! Grids: axes and the order of points.

use super::{open, read, refusal, writer::*};

/// Any grid, its points numbered in the order in which they are stored.
fn stored(grid: &Grid) -> Vec<u8> {
    let n = u16::try_from(grid.columns * grid.rows).unwrap();
    on_grid(grid, &Product::temperature(), &(0..n).map(Some).collect::<Vec<_>>())
}

fn axes(grid: &Grid) -> (Vec<f64>, Vec<f64>) {
    let source = open(stored(grid));
    (source.variables()[0].latitudes_deg.clone(), source.variables()[0].longitudes_deg.clone())
}

#[test]
fn every_scanning_mode_puts_points_where_they_belong() {
    for mode in 0..16u8 {
        let scanning = mode << 4;
        let (westward, northward) = (scanning & 0x80 != 0, scanning & 0x40 != 0);
        let (by_columns, alternating) = (scanning & 0x20 != 0, scanning & 0x10 != 0);
        let (south, north, west, east) = (30_000_000, 50_000_000, 0, 30_000_000);
        let (first, last) = (if northward { south } else { north }, if northward { north } else { south });
        let (begin, end) = if westward { (east, west) } else { (west, east) };
        let grid = Grid { first: (first, begin), last: (last, end), scanning, ..Grid::SMALL };
        let source = open(stored(&grid));
        let values = read(&source, "t", 0);
        let variable = &source.variables()[0];
        // Walk as the mode says, in degrees, and look up what was read there.
        let (mut row, mut column) = (0usize, 0usize);
        for point in 0..12u16 {
            let latitude = f64::from(first) / 1e6 + row as f64 * if northward { 10.0 } else { -10.0 };
            let longitude = f64::from(begin) / 1e6 + column as f64 * if westward { -10.0 } else { 10.0 };
            let at = |axis: &[f64], value: f64| axis.iter().position(|&v| (v - value).abs() < 1e-9).unwrap();
            let place = at(&variable.latitudes_deg, latitude) * 4 + at(&variable.longitudes_deg, longitude);
            assert_eq!(values[place], f32::from(point), "mode {scanning:#x} at {latitude} {longitude}");
            let (along, across, len) = if by_columns { (&mut row, &mut column, 3) } else { (&mut column, &mut row, 4) };
            let back = alternating && *across % 2 == 1;
            if *along + 1 == len && !back || *along == 0 && back {
                *across += 1;
                *along = if alternating { *along } else { 0 };
            } else if back {
                *along -= 1;
            } else {
                *along += 1;
            }
        }
    }
}

#[test]
fn longitudes_run_on_through_greenwich_and_around_the_globe() {
    let crossing = Grid { first: (50_000_000, 340_000_000), last: (30_000_000, 10_000_000), ..Grid::SMALL };
    assert_eq!(axes(&crossing).1, [340.0, 350.0, 360.0, 370.0]);
    let negative = Grid { first: (50_000_000, -20_000_000), last: (30_000_000, 10_000_000), ..Grid::SMALL };
    assert_eq!(axes(&negative).1, [-20.0, -10.0, 0.0, 10.0]);
    let closed = Grid { columns: 5, last: (30_000_000, 360_000_000), steps: (90_000_000, 10_000_000), ..Grid::SMALL };
    assert_eq!(axes(&closed).1, [0.0, 90.0, 180.0, 270.0, 360.0]);
    let once = Grid { last: (30_000_000, 0), columns: 5, steps: (90_000_000, 10_000_000), ..Grid::SMALL };
    assert_eq!(axes(&once).1, [0.0, 90.0, 180.0, 270.0, 360.0]);
}

#[test]
fn rounded_and_missing_increments_do_not_add_up() {
    // 0.4 degrees around the globe, as the CAMS forecast has it.
    let cams =
        Grid { columns: 900, rows: 2, last: (49_600_000, 359_600_000), steps: (400_000, 400_000), ..Grid::SMALL };
    let longitudes = axes(&cams).1;
    for (i, longitude) in longitudes.iter().enumerate() {
        assert!((longitude - 0.4 * i as f64).abs() < 1e-12, "{longitude}");
    }
    assert_eq!(longitudes[899], 359.6);
    // 0.28125 as millidegrees (from GRIB 1), a third of a degree, and none.
    let millidegrees =
        Grid { columns: 1280, last: (30_000_000, 359_718_750), steps: (281_000, 10_000_000), ..Grid::SMALL };
    assert!((axes(&millidegrees).1[640] - 180.0).abs() < 1e-6);
    let thirds = Grid { last: (30_000_000, 1_000_000), steps: (333_333, 10_000_000), ..Grid::SMALL };
    assert!((axes(&thirds).1[2] - 2.0 / 3.0).abs() < 1e-12);
    let none = Grid { steps: (u32::MAX, u32::MAX), flags: 0, ..thirds };
    assert!((axes(&none).1[2] - 2.0 / 3.0).abs() < 1e-12);
}

#[test]
fn a_last_point_whole_steps_off_is_remarked_and_the_increment_used() {
    let cut = Grid { last: (20_000_000, 40_000_000), ..Grid::SMALL };
    let source = open(stored(&cut));
    assert_eq!(source.variables()[0].longitudes_deg, [0.0, 10.0, 20.0, 30.0]);
    assert_eq!(source.variables()[0].latitudes_deg, [50.0, 40.0, 30.0]);
    assert_eq!(source.remarks().len(), 2);
    assert!(source.remarks()[1].contains("4 longitudes from 0 to 40 are not 10 degrees apart"));
    let nonsense = Grid { last: (30_000_000, 37_000_000), ..Grid::SMALL };
    assert!(refusal(stored(&nonsense)).contains("the increment is 10"));
}

#[test]
fn basic_angles_are_other_units_than_millionths() {
    let grid = Grid { first: (100, 0), last: (60, 60), steps: (20, 20), basic: (1, 2), ..Grid::SMALL };
    assert_eq!(axes(&grid), (vec![50.0, 40.0, 30.0], vec![0.0, 10.0, 20.0, 30.0]));
}

#[test]
fn gaussian_rows_are_found_from_the_first_and_last_latitude() {
    let n80 = Grid { template: 40, steps: (10_000_000, 80), ..Grid::SMALL };
    // Rows 2, 3 and 4 of N80 (NumPy, leggauss(160)), as ecCodes rounds them.
    let rows = [86.910_770_814_123_96, 85.790_628_883_636_5, 84.669_924_084_446_58];
    let south = Grid { first: (86_910_771, 0), last: (84_669_924, 30_000_000), ..n80.clone() };
    let north = Grid { first: (84_669_924, 0), last: (86_910_771, 30_000_000), scanning: 0x40, ..n80.clone() };
    for (grid, order) in [(south, [0, 1, 2]), (north, [2, 1, 0])] {
        for (latitude, row) in axes(&grid).0.iter().zip(order) {
            assert!((latitude - rows[row]).abs() < 1e-10, "{latitude}");
        }
    }
    let whole = Grid { first: (35_264_390, 0), last: (-35_264_390, 30_000_000), rows: 2, ..n80.clone() };
    let whole = Grid { steps: (10_000_000, 1), ..whole };
    assert!((axes(&whole).0[1] + 35.264_389_682_754_65).abs() < 1e-11);
    let other = Grid { first: (86_400_000, 0), last: (84_150_000, 30_000_000), ..n80 };
    assert!(refusal(stored(&other)).contains("not rows of the Gaussian grid N80"));
}

#[test]
fn other_grids_are_refused_by_name_with_a_remedy() {
    for (template, name) in [
        (1, "rotated latitude-longitude grid (template 3.1)"),
        (10, "Mercator grid"),
        (20, "polar stereographic grid"),
        (30, "Lambert conformal grid"),
        (50, "spherical harmonics (spectral) grid"),
        (101, "unstructured grid"),
        (999, "grid template 3.999"),
    ] {
        let said = refusal(stored(&Grid { template, ..Grid::SMALL }));
        assert!(said.contains(name) && said.contains("cdo "), "{said}");
    }
    let mut reduced = stored(&Grid { template: 40, ..Grid::SMALL });
    // Section 3 begins at byte 37: octet 11 says that a list of rows follows.
    reduced[37 + 10] = 2;
    assert!(refusal(reduced).contains("reduced Gaussian grid; make it regular (`cdo -setgridtype,regular"));
    assert!(refusal(stored(&Grid { scanning: 0x08, ..Grid::SMALL })).contains("staggered"));
}

#[test]
fn a_grid_beside_one_that_is_read_is_only_remarked() {
    let spectral = stored(&Grid { template: 50, ..Grid::SMALL });
    let source = open([stored(&Grid::SMALL), spectral.clone(), spectral].concat());
    assert_eq!(source.variables().len(), 1);
    assert!(source.remarks()[0].starts_with("2 fields were skipped: spherical harmonics"), "{:?}", source.remarks());
}

#[test]
fn headers_that_contradict_themselves_are_errors() {
    let backwards = Grid { scanning: 0x40, ..Grid::SMALL };
    assert!(refusal(stored(&backwards)).contains("50 to 30 with a scanning mode that goes north"));
    let polar = Grid { first: (95_000_000, 0), ..Grid::SMALL };
    assert!(refusal(stored(&polar)).contains("expected -90 to 90"));
    let mut huge = stored(&Grid::SMALL);
    huge[37 + 30] = 0x7f;
    assert!(refusal(huge).contains("says that it has 12"));
}
