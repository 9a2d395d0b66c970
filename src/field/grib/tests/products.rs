//! Products: names, levels, times, members.

use super::{find, names, open, read, refusal, writer::*};
use crate::field::Levels;

fn joined(messages: &[Vec<u8>]) -> super::Source {
    open(messages.concat())
}

#[test]
fn levels_are_sorted_and_what_the_file_lacks_is_missing() {
    let at = |level, hours, number| field(&Product { level, forecast: (1, hours), ..Product::temperature() }, number);
    // 300 hPa as 3 10^4, 50 Pa as 5000 10^-2; no 50 Pa at the second time.
    let source = joined(&[
        at((100, 0, 50_000), 3, 1),
        at((100, 0x84, 3), 3, 2),
        at((100, 2, 5000), 3, 3),
        at((100, 0x84, 3), 9, 4),
        at((100, 0, 50_000), 9, 5),
    ]);
    let (_, t) = find(&source, "t");
    assert_eq!(t.levels, Levels::Pressure(vec![50.0, 30_000.0, 50_000.0]));
    assert_eq!(t.times_s, [REFERENCE_S + 3.0 * 3600.0, REFERENCE_S + 9.0 * 3600.0]);
    let first: Vec<String> = read(&source, "t", 0).iter().step_by(12).map(f32::to_string).collect();
    assert_eq!(first, ["3", "2", "1", "NaN", "4", "5"]);
    assert_eq!(
        source.remarks(),
        ["t: 1 of 6 combinations of time, level and member are not in the file and read as missing"]
    );
}

#[test]
fn hybrid_levels_come_with_their_coefficients() {
    let coefficients = vec![0.0, 20.0, 30.5, 0.0, 0.0, 0.25, 0.5, 1.0];
    let at = |number| {
        field(
            &Product { level: (105, 0, number), coefficients: coefficients.clone(), ..Product::constituent(8) },
            u16::try_from(number).unwrap(),
        )
    };
    let source = joined(&[at(3), at(1)]);
    let (_, so2) = find(&source, "so2");
    let Levels::Hybrid(hybrid) = &so2.levels else { panic!("{:?}", so2.levels) };
    assert_eq!(hybrid.numbers, [1, 3]);
    assert_eq!(hybrid.half_levels, Some(vec![(0.0, 0.0), (20.0, 0.25), (30.5, 0.5), (0.0, 1.0)]));
    assert_eq!(read(&source, "so2", 0)[..13].iter().sum::<f32>(), 15.0);
    // Too short a section for its coefficients is an error.
    let mut broken = at(3);
    let section4 = broken.windows(5).position(|w| w[4] == 4 && w[..3] == [0, 0, 0]).unwrap();
    broken[section4 + 6] = 200;
    assert!(refusal(broken).contains("cannot hold 200 coordinate values"));
}

#[test]
fn constituents_have_the_names_of_the_catalogue() {
    let dust = |discipline, centre| {
        let product = Product { parameter: (210, 4), ..Product::temperature() };
        let mut sections = vec![Grid::SMALL.section(), product.section()];
        sections.extend(numbers(&[Some(7); 12]));
        message(discipline, centre, &sections)
    };
    let aerosol = |size: [u8; 11], constituent: u16| {
        let chemistry = [constituent.to_be_bytes().as_slice(), &size].concat();
        field(&Product { template: 50, parameter: (20, 2), chemistry, ..Product::temperature() }, 9)
    };
    let whole = [0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let range = [2, 8, 0, 0, 0, 55, 7, 0, 0, 0, 9];
    let volume = Product { parameter: (20, 52), ..Product::constituent(0) };
    let cloud = Product { parameter: (1, 84), ..Product::temperature() };
    let source = joined(&[
        dust(192, 98),
        dust(192, 7),
        aerosol(whole, 65_534),
        aerosol(range, 62_001),
        field(&volume, 3),
        field(&cloud, 3),
    ]);
    assert_eq!(
        names(&source),
        [
            "aermr04",
            // Another centre's local code is not ECMWF's dust.
            "grib_d192_c210_n4",
            "aermr16",
            // A size range of dust is not all of it.
            "dust_size_0.55to0.9um",
            "grib_d0_c20_n52_k0",
            "ciwc",
        ]
    );
    let of = |name| find(&source, name).1;
    assert_eq!(of("aermr04").units.as_deref(), Some("kg kg-1"));
    assert_eq!(of("grib_d192_c210_n4").units, None);
    assert_eq!(of("grib_d0_c20_n52_k0").units.as_deref(), Some("mol mol-1"));
    assert_eq!(of("grib_d0_c20_n52_k0").standard_name.as_deref(), Some("mole_fraction_of_ozone_in_air"));
    assert_eq!(of("dust_size_0.55to0.9um").standard_name, None);
    assert_eq!(of("dust_size_0.55to0.9um").long_name.as_deref(), Some("mineral dust, particles 0.55 to 0.9 µm"));
}

#[test]
fn every_template_is_read_at_its_own_octets() {
    // Constituent, source or sink, size and wavelength before the process;
    // member or interval behind the surfaces. Octets: ecCodes 2.50's offsets.
    let size = [255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let member = [1, 5, 20];
    let so2 = 8u16.to_be_bytes();
    let cases: &[(u16, Vec<u8>, Vec<u8>)] = &[
        (0, vec![], vec![]),
        (1, vec![], member.to_vec()),
        (8, vec![], interval(9, 0)),
        (11, vec![], [member.to_vec(), interval(9, 0)].concat()),
        (40, so2.to_vec(), vec![]),
        (41, so2.to_vec(), member.to_vec()),
        (42, so2.to_vec(), interval(9, 0)),
        (43, so2.to_vec(), [member.to_vec(), interval(9, 0)].concat()),
        (44, [so2.as_slice(), &size].concat(), vec![]),
        (45, [so2.as_slice(), &size].concat(), member.to_vec()),
        (46, [so2.as_slice(), &size].concat(), interval(9, 0)),
        (47, [so2.as_slice(), &size].concat(), [member.to_vec(), interval(9, 0)].concat()),
        (48, [so2.as_slice(), &size, &size].concat(), vec![]),
        (49, [so2.as_slice(), &size, &size].concat(), member.to_vec()),
        (50, [so2.as_slice(), &size].concat(), vec![]),
        (76, [so2.as_slice(), &[255]].concat(), vec![]),
        (77, [so2.as_slice(), &[255]].concat(), member.to_vec()),
        (79, [so2.as_slice(), &[255]].concat(), [member.to_vec(), interval(9, 0)].concat()),
        (81, [so2.as_slice(), &[255], &size, &size].concat(), member.to_vec()),
        (82, [so2.as_slice(), &[255], &size].concat(), interval(9, 0)),
        (85, [so2.as_slice(), &size].concat(), [member.to_vec(), interval(9, 0)].concat()),
    ];
    for (template, chemistry, tail) in cases {
        let parameter = if chemistry.is_empty() { (0, 0) } else { (20, 2) };
        let product = Product {
            template: *template,
            parameter,
            chemistry: chemistry.clone(),
            tail: tail.clone(),
            ..Product::temperature()
        };
        let source = open(field(&product, 6));
        let name = if chemistry.is_empty() { "t" } else { "so2" };
        let (_, variable) = find(&source, name);
        assert_eq!(variable.levels, Levels::Pressure(vec![50_000.0]), "4.{template}");
        assert_eq!(variable.times_s, [REFERENCE_S + 3.0 * 3600.0], "4.{template}");
        let is_ensemble = tail.first() == Some(&1);
        assert_eq!(variable.members, if is_ensemble { vec!["5"] } else { vec![] }, "4.{template}");
        let has_interval = tail.len() > 3;
        assert_eq!(source.remarks().len(), usize::from(has_interval), "4.{template} {:?}", source.remarks());
        assert_eq!(read(&source, name, 0), [6.0; 12], "4.{template}");
    }
    let other = Product { template: 31, ..Product::temperature() };
    assert!(refusal(field(&other, 6)).contains("product definition template 4.31"));
}

#[test]
fn members_are_an_axis_and_a_mean_is_not_one_of_them() {
    let member = |number| Product { template: 1, tail: vec![3, number, 50], ..Product::temperature() };
    let mean = Product { template: 2, tail: vec![0, 50], ..Product::temperature() };
    let source = joined(&[
        field(&member(10), 10),
        field(&member(2), 2),
        field(&member(0), 100),
        field(&mean, 77),
        field(&Product::temperature(), 5),
    ]);
    assert_eq!(names(&source), ["t", "t_ensemble_mean", "t_single"]);
    assert_eq!(find(&source, "t").1.members, ["0", "2", "10"]);
    assert_eq!([0, 1, 2].map(|m| read(&source, "t", m)[0]), [100.0, 2.0, 10.0]);
    assert_eq!(read(&source, "t_ensemble_mean", 0)[0], 77.0);
    assert_eq!(read(&source, "t_single", 0)[0], 5.0);
    let (i, t) = find(&source, "t");
    assert!(source.read(i, &t.whole(3), &mut [0.0; 12]).is_err());
}

#[test]
fn times_are_reference_plus_forecast_in_every_unit() {
    for (unit, steps, seconds) in [
        (0, 90, 5400.0),
        (1, 27, 97_200.0),
        (2, 2, 172_800.0),
        (10, 3, 32_400.0),
        (11, 3, 64_800.0),
        (12, 1, 43_200.0),
        (13, 45, 45.0),
        (1, -3, -10_800.0),
    ] {
        let source = open(field(&Product { forecast: (unit, steps), ..Product::temperature() }, 1));
        assert_eq!(source.variables()[0].times_s, [REFERENCE_S + seconds], "unit {unit}");
    }
    let months = Product { forecast: (3, 1), ..Product::temperature() };
    assert!(refusal(field(&months, 1)).contains("unit 3 of code table 4.4"));
}

#[test]
fn an_interval_counts_at_its_end_and_is_remarked() {
    let product = Product { template: 8, forecast: (1, 0), tail: interval(9, 1), ..Product::temperature() };
    let source = open(field(&product, 1));
    assert_eq!(source.variables()[0].times_s, [REFERENCE_S + 3.0 * 3600.0]);
    assert_eq!(source.remarks(), ["t: values over an interval (accumulation); their time is the interval's end"]);
    // The instantaneous field keeps the name.
    let source = joined(&[field(&product, 1), field(&Product::temperature(), 2)]);
    assert_eq!(names(&source), ["t_accumulation", "t"]);
}

#[test]
fn of_two_forecasts_for_one_time_the_shorter_is_used() {
    let mut earlier = field(&Product { forecast: (1, 9), ..Product::temperature() }, 9);
    // The day before at 24 h: section 1 begins at byte 16, its hour is octet 17.
    earlier[16 + 16] = 0;
    let later = field(&Product::temperature(), 3);
    for messages in [[earlier.clone(), later.clone()], [later, earlier]] {
        let source = joined(&messages);
        assert_eq!(source.variables()[0].times_s.len(), 1);
        assert_eq!(read(&source, "t", 0)[0], 3.0);
        assert!(source.remarks()[0].contains("the shortest lead time is used"), "{:?}", source.remarks());
    }
}

#[test]
fn kinds_of_levels_are_never_mixed() {
    let at = |level, number| field(&Product { level, ..Product::temperature() }, number);
    let missing = u32::MAX;
    let source = joined(&[
        at((1, 0, 0), 1),
        at((105, 0, 7), 2),
        at((100, 0, 50_000), 3),
        at((103, 0, 2), 4),
        at((103, 1, 1005), 5),
        at((7, 0xff, missing), 6),
        at((102, 0, 1500), 7),
        at((118, 0, 3), 8),
    ]);
    let expected = [
        ("t_surface", Levels::Surface, 1.0),
        ("t", Levels::Pressure(vec![50_000.0]), 3.0),
        ("t_height_2", Levels::Surface, 4.0),
        ("t_height_100.5", Levels::Surface, 5.0),
        ("t_tropopause", Levels::Surface, 6.0),
        ("t_altitude", Levels::Altitude(vec![1500.0]), 7.0),
        ("t_hybrid_height_3", Levels::Surface, 8.0),
    ];
    for (name, levels, value) in expected {
        assert_eq!(find(&source, name).1.levels, levels);
        assert_eq!(read(&source, name, 0)[0], value, "{name}");
    }
    assert!(matches!(find(&source, "t_hybrid").1.levels, Levels::Hybrid(_)));
    assert_eq!(source.remarks().len(), 3, "{:?}", source.remarks());
}

#[test]
fn surface_pressure_is_that_of_the_ground_only() {
    let pressure = |level, parameter| field(&Product { level, parameter, ..Product::temperature() }, 1);
    let source = joined(&[
        pressure((1, 0, 0), (3, 0)),
        pressure((105, 0, 4), (3, 0)),
        pressure((105, 0, 1), (3, 25)),
        pressure((101, 0, 0), (3, 1)),
    ]);
    assert_eq!(names(&source), ["sp", "pres", "lnsp", "prmsl"]);
    assert_eq!(find(&source, "lnsp").1.levels, Levels::Surface);
    assert_eq!(find(&source, "sp").1.units.as_deref(), Some("Pa"));
}

#[test]
fn a_message_can_hold_many_fields() {
    // Sections 4 to 7 again, then 3 to 7 with another grid.
    let other = Grid { first: (40_000_000, 0), last: (20_000_000, 30_000_000), ..Grid::SMALL };
    let mut sections = vec![section(2, b"local"), Grid::SMALL.section(), Product::temperature().section()];
    sections.extend(numbers(&[Some(1); 12]));
    sections.push(Product { parameter: (1, 0), ..Product::temperature() }.section());
    sections.extend(numbers(&[Some(2); 12]));
    sections.extend([other.section(), Product::temperature().section()]);
    sections.extend(numbers(&[Some(3); 12]));
    let source = open(message(0, 98, &sections));
    assert_eq!(names(&source), ["t", "q", "t_grid2"]);
    assert_eq!(["t", "q", "t_grid2"].map(|name| read(&source, name, 0)[5]), [1.0, 2.0, 3.0]);
    assert_eq!(find(&source, "t_grid2").1.latitudes_deg, [40.0, 30.0, 20.0]);
}
