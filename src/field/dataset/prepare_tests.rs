//! Data sets written in the prepared form and read back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{ChannelRequest, Dataset, DatasetFile, Field, Preparation, chosen::all};
use crate::{
    field::{
        self, Chunk, FieldError, FieldSource, HybridLevels, Levels, Variable, Window,
        analytic::{AnalyticField, Node},
        zarr::{prepared::Compression, writer::PreparedWriter},
    },
    grid::VerticalRule,
};

const PLENTY: usize = 1 << 30;

fn variable(name: &str, levels: Levels) -> Variable {
    Variable {
        name: name.to_owned(),
        standard_name: None,
        long_name: Some(format!("{name} in words")),
        units: Some("kg kg-1".to_owned()),
        times_s: (0..7).map(|i| 1_577_836_800.0 + 10_800.0 * f64::from(i)).collect(),
        members: Vec::new(),
        levels,
        // North to south, and 0 to 360.
        latitudes_deg: (0..5).map(|j| 60.0 - 15.0 * f64::from(j)).collect(),
        longitudes_deg: (0..8).map(|i| 45.0 * f64::from(i)).collect(),
        chunk: Chunk { times: 3, levels: 2 },
    }
}

/// Tells every node from every other; some are missing.
fn value(node: &Node) -> f32 {
    let n = (node.time_s / 10_800.0).rem_euclid(64.0) * 7.0
        + node.level * 0.013
        + node.latitude_deg * 1.7
        + node.longitude_deg * 0.11
        + node.variable as f64 * 1000.0
        + node.member as f64 * 5000.0;
    #[expect(clippy::cast_possible_truncation, reason = "fields are single precision")]
    if (n * 10.0).round() as i64 % 11 == 3 { f32::NAN } else { n as f32 * 1e-9 }
}

fn pressure() -> Levels {
    // Upwards, as some files have them.
    Levels::Pressure(vec![100_000.0, 70_000.0, 50_000.0, 30_000.0, 20_000.0])
}

fn analytic(variables: Vec<Variable>) -> Box<dyn FieldSource> {
    Box::new(AnalyticField::new(variables, value))
}

fn dataset(sources: Vec<Box<dyn FieldSource>>, file: &str) -> Dataset {
    Dataset::of(sources, toml::from_str(file).unwrap()).unwrap()
}

/// Prepares `dataset` in `dir` and opens what was written.
fn prepare(dataset: &Dataset, dir: &Path, memory: usize) -> Dataset {
    let preparation = Preparation::of(dataset, &[]).unwrap();
    let layout = preparation.layout(Compression::None, "a test".to_owned());
    let writer = PreparedWriter::create(dir, layout, false).unwrap();
    let written = preparation.write(&writer, memory, &|_| true).unwrap();
    assert!(written.is_whole);
    assert_eq!(written.chunks, writer.chunks().count());
    writer.finish().unwrap();
    Dataset::open(&[dir.to_owned()], DatasetFile::default()).unwrap()
}

fn field_of(dataset: &Dataset, rule: VerticalRule) -> Field<'_> {
    let requests: Vec<ChannelRequest> =
        all(dataset).into_iter().map(|name| ChannelRequest { parts: vec![(name, 1.0)], log: false }).collect();
    dataset.field(&requests, rule, None).unwrap()
}

/// Both load the same, to the last bit.
fn assert_same(source: &Dataset, prepared: &Dataset) {
    assert_eq!(source.members(), prepared.members());
    for rule in [VerticalRule::LinearP, VerticalRule::LogP, VerticalRule::LayerMean] {
        let (a, b) = (field_of(source, rule), field_of(prepared, rule));
        assert_eq!(a.grid, b.grid);
        assert_eq!(a.times_s, b.times_s);
    }
    let (a, b) = (field_of(source, VerticalRule::LinearP), field_of(prepared, VerticalRule::LinearP));
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for member in 0..source.members().len().max(1) {
        for time in 0..a.times_s.len() {
            let (x, y) = (a.load(time, member).unwrap(), b.load(time, member).unwrap());
            assert!(bits(x.values()) == bits(y.values()), "time {time} of member {member} differs");
            assert_eq!(bits(x.surface_pa()), bits(y.surface_pa()), "surface pressure at time {time}");
            assert_eq!(x.has_missing(), y.has_missing());
        }
    }
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path).into_iter().map(|(p, b)| (Path::new(path.file_name().unwrap()).join(p), b)));
        } else {
            found.insert(PathBuf::from(path.file_name().unwrap()), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn every_value_stands_where_it_belongs() {
    let source = dataset(vec![analytic(vec![variable("aermr04", pressure()), variable("t", pressure())])], "");
    let dir = tempfile::tempdir().unwrap();
    let prepared = prepare(&source, dir.path(), PLENTY);
    // Read without a data set: the order is the store's own.
    let stores = field::open(dir.path()).unwrap();
    for (number, name) in ["aermr04", "t"].into_iter().enumerate() {
        let at = stores[0].variables().iter().position(|v| v.name == name).unwrap();
        let header = &stores[0].variables()[at];
        assert_eq!(header.levels, Levels::Pressure(vec![20_000.0, 30_000.0, 50_000.0, 70_000.0, 100_000.0]));
        assert_eq!(header.latitudes_deg, [0.0, 15.0, 30.0, 45.0, 60.0]);
        assert_eq!(header.longitudes_deg, [-180.0, -135.0, -90.0, -45.0, 0.0, 45.0, 90.0, 135.0]);
        assert_eq!(header.units.as_deref(), Some("kg kg-1"));
        assert_eq!(header.long_name.as_deref(), Some(format!("{name} in words").as_str()));
        let window = header.whole(0);
        let mut out = vec![0.0; window.len()];
        stores[0].read(at, &window, &mut out).unwrap();
        let mut found = out.iter();
        let Levels::Pressure(levels) = &header.levels else { panic!("{:?}", header.levels) };
        for &time_s in &header.times_s {
            for &level in levels {
                for &latitude_deg in &header.latitudes_deg {
                    for longitude_deg in &header.longitudes_deg {
                        let longitude_deg = longitude_deg.rem_euclid(360.0);
                        let node = Node { variable: number, member: 0, time_s, level, latitude_deg, longitude_deg };
                        assert_eq!(found.next().unwrap().to_bits(), value(&node).to_bits(), "{name} at {node:?}");
                    }
                }
            }
        }
    }
    assert_same(&source, &prepared);
}

#[test]
fn every_kind_of_levels_and_members_load_the_same() {
    let members = ["0", "3", "7"].map(str::to_owned).to_vec();
    for levels in [
        Levels::FlightLevel(vec![100.0, 200.0, 250.0, 390.0]),
        Levels::Altitude(vec![12_000.0, 9_000.0, 1_500.5]),
        Levels::Pressure(vec![12_345.678_9, 25_000.0]),
    ] {
        let ensemble = Variable { members: members.clone(), ..variable("so2", levels.clone()) };
        let source = dataset(vec![analytic(vec![ensemble, variable("t", levels)])], "");
        let dir = tempfile::tempdir().unwrap();
        assert_same(&source, &prepare(&source, dir.path(), PLENTY));
    }
}

#[test]
fn hybrid_levels_take_their_table_and_the_surface_along() {
    let levels = Levels::Hybrid(HybridLevels { numbers: vec![40, 41, 42, 43], half_levels: None });
    for surface in ["sp", "lnsp"] {
        let surface = Variable { units: None, ..variable(surface, Levels::Surface) };
        let level_one = Levels::Hybrid(HybridLevels { numbers: vec![1], half_levels: None });
        let on_a_level = Variable { levels: level_one, ..surface.clone() };
        for surface in [surface, on_a_level] {
            let sources = vec![analytic(vec![variable("go3", levels.clone())]), analytic(vec![surface.clone()])];
            // 40 … 43 may be of either table: without the file this is no field.
            let source = dataset(sources, "hybrid_levels = \"L60\"");
            let dir = tempfile::tempdir().unwrap();
            let prepared = prepare(&source, dir.path(), PLENTY);
            assert_same(&source, &prepared);
            let stores = field::open(dir.path()).unwrap();
            let names: Vec<&str> = stores[0].variables().iter().map(|v| v.name.as_str()).collect();
            assert_eq!(names, ["go3", surface.name.as_str()]);
        }
    }
}

#[test]
fn pieces_in_several_files_become_one() {
    let whole = variable("aermr05", pressure());
    let Levels::Pressure(all) = &whole.levels else { panic!() };
    let part = |levels: &[f64], times: std::ops::Range<usize>| Variable {
        levels: Levels::Pressure(levels.to_vec()),
        times_s: whole.times_s[times].to_vec(),
        ..whole.clone()
    };
    let sources = [part(&all[..2], 0..7), part(&all[2..], 0..4), part(&all[2..], 4..7)];
    let source = dataset(sources.into_iter().map(|v| analytic(vec![v])).collect(), "");
    let at_once = dataset(vec![analytic(vec![whole.clone()])], "");
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_same(&at_once, &prepare(&source, dir.path(), PLENTY));
    prepare(&at_once, other.path(), PLENTY);
    let chunks = |dir: &Path| contents(&dir.join("aermr05"));
    assert_eq!(chunks(dir.path()), chunks(other.path()));
}

#[test]
fn what_the_data_set_file_says_is_applied() {
    let mut ash = variable("conc", Levels::FlightLevel(vec![50.0, 100.0, 150.0]));
    ash.units = None;
    let tracer = Variable { units: Some("ppbv".to_owned()), name: "tracer".to_owned(), ..ash.clone() };
    let file = "time_offset_s = -1800\n[levels]\nat = \"layer-top\"\n\
        [variables.conc]\ncontaminant = \"ash\"\nunit = \"gr/m3\"\n\
        [variables.tracer]\ncontaminant = \"smell\"\nmolar_mass_g_mol = 28.9644\ninterpolation = \"log\"";
    let source = dataset(vec![analytic(vec![ash, tracer])], file);
    let dir = tempfile::tempdir().unwrap();
    let prepared = prepare(&source, dir.path(), PLENTY);
    for name in ["ash", "smell"] {
        let (a, b) = (source.contaminant(name).unwrap().unwrap(), prepared.contaminant(name).unwrap().unwrap());
        assert_eq!(a.stored, b.stored, "{name}");
        assert_eq!((a.log, b.log), (name == "smell", name == "smell"), "{name}");
        let load = |dataset: &Dataset, available| {
            let field = dataset.field(&[Dataset::request(&available)], VerticalRule::LinearP, None).unwrap();
            assert!(field.grid.levels.is_layered());
            assert!((field.times_s[0] - (1_577_836_800.0 - 1800.0)).abs() < 1e-6);
            let slab = field.load(2, 0).unwrap();
            (field.grid.clone(), slab.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        };
        assert!(load(&source, a) == load(&prepared, b), "{name}");
    }
    assert_eq!(prepared.unit_in_file("ash"), Some("gr/m3"));
    assert_eq!(prepared.unit_in_file("smell"), Some("kg kg-1"));
    for (rule, log) in [("contaminant = \"smell\"", true), ("interpolation = \"linear\"", false)] {
        let again = dataset(field::open(dir.path()).unwrap(), &format!("[variables.smell]\n{rule}"));
        assert_eq!(again.contaminant("smell").unwrap().unwrap().log, log, "{rule}");
    }
}

#[test]
fn a_run_that_is_stopped_goes_on_to_the_same_bytes() {
    let source = dataset(vec![analytic(vec![variable("aermr04", pressure()), variable("t", pressure())])], "");
    for compression in [Compression::None, Compression::Zstd] {
        let whole = tempfile::tempdir().unwrap();
        let preparation = Preparation::of(&source, &[]).unwrap();
        let layout = || super::super::zarr::prepared::PreparedLayout {
            band: 2,
            ..preparation.layout(compression, "a test".to_owned())
        };
        let writer = PreparedWriter::create(whole.path(), layout(), false).unwrap();
        let all = preparation.write(&writer, PLENTY, &|_| true).unwrap().chunks;
        writer.finish().unwrap();
        assert_eq!(all, 2 * 7 * 3);
        for stop in [1, 5, all - 1] {
            let resumed = tempfile::tempdir().unwrap();
            let writer = PreparedWriter::create(resumed.path(), layout(), false).unwrap();
            let count = AtomicUsize::new(0);
            let first =
                preparation.write(&writer, PLENTY, &|_| count.fetch_add(1, Ordering::Relaxed) + 1 < stop).unwrap();
            assert!(!first.is_whole && first.chunks >= stop, "{first:?}");
            let there = all - writer.missing().count();
            assert_eq!(there, first.chunks);
            // A chunk that was being written.
            fs::write(resumed.path().join("t/.c.0.0.0.0.7-7.partial"), b"half").unwrap();
            drop(writer);
            assert!(field::open(resumed.path()).is_err(), "half a field is no field");

            let writer = PreparedWriter::create(resumed.path(), layout(), false).unwrap();
            let second = preparation.write(&writer, PLENTY, &|_| true).unwrap();
            assert_eq!(first.chunks + second.chunks, all);
            writer.finish().unwrap();
            assert_eq!(contents(whole.path()), contents(resumed.path()));
        }
        let writer = PreparedWriter::create(whole.path(), layout(), false).unwrap();
        assert!(writer.is_finished());
        assert_eq!(preparation.write(&writer, PLENTY, &|_| true).unwrap().chunks, 0);
    }
}

/// How often each chunk of a file is touched, by variable, member, time and level.
type Touched = Mutex<BTreeMap<(usize, usize, usize, usize), usize>>;

struct Counting {
    inner: Box<dyn FieldSource>,
    touched: &'static Touched,
    largest: &'static AtomicUsize,
}

impl FieldSource for Counting {
    fn format(&self) -> String {
        self.inner.format()
    }

    fn variables(&self) -> &[Variable] {
        self.inner.variables()
    }

    fn remarks(&self) -> &[String] {
        &[]
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        let chunk = self.variables()[variable].chunk;
        let chunks = |range: &std::ops::Range<usize>, n: usize| range.start / n..range.end.div_ceil(n);
        let mut touched = self.touched.lock().unwrap();
        for time in chunks(&window.times, chunk.times) {
            for level in chunks(&window.levels, chunk.levels) {
                *touched.entry((variable, window.member, time, level)).or_default() += 1;
            }
        }
        drop(touched);
        self.largest.fetch_max(out.len() * 4, Ordering::Relaxed);
        self.inner.read(variable, window, out)
    }
}

#[test]
fn no_chunk_is_decoded_twice_where_memory_allows_and_memory_is_kept_to() {
    for chunk in [Chunk { times: 3, levels: 2 }, Chunk { times: 1, levels: 5 }, Chunk { times: 7, levels: 1 }] {
        let touched: &'static Touched = Box::leak(Box::default());
        let largest: &'static AtomicUsize = Box::leak(Box::default());
        let header = Variable { chunk, ..variable("go3", pressure()) };
        let inner = analytic(vec![header, Variable { chunk, ..variable("t", pressure()) }]);
        let source = dataset(vec![Box::new(Counting { inner, touched, largest })], "");
        let dir = tempfile::tempdir().unwrap();
        prepare(&source, dir.path(), PLENTY);
        assert!(touched.lock().unwrap().values().all(|n| *n == 1), "{chunk:?}: {touched:?}");
        assert_eq!(touched.lock().unwrap().len(), 2 * 7usize.div_ceil(chunk.times) * 5usize.div_ceil(chunk.levels));

        // Room for two planes a thread: a band of levels at least is read.
        let plane = 5 * 8 * 4;
        largest.store(0, Ordering::Relaxed);
        let tight = tempfile::tempdir().unwrap();
        prepare(&source, tight.path(), 5 * 3 * plane * rayon::current_num_threads());
        assert_eq!(contents(dir.path()), contents(tight.path()));
        assert!(largest.load(Ordering::Relaxed) <= 5 * plane, "{largest:?}");
    }
}

#[test]
fn variables_can_be_chosen_and_are_checked() {
    let names = ["aermr04", "aermr05", "aermr06", "t"];
    let mut variables: Vec<Variable> = names.iter().map(|n| variable(n, pressure())).collect();
    variables[3].times_s.truncate(4);
    let source = dataset(vec![analytic(variables)], "");
    let chosen = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        Preparation::of(&source, &names).map(|p| {
            let layout = p.layout(Compression::None, String::new());
            let variables: Vec<String> = layout.variables.into_iter().map(|v| v.name).collect();
            (variables.join(" "), layout.times_s.len(), p.remarks().join("\n"))
        })
    };
    // A group stands for its parts, and nothing is written twice.
    assert_eq!(chosen(&["dust", "aermr05"]).unwrap(), ("aermr04 aermr05 aermr06".to_owned(), 7, String::new()));
    let (all, times, remarks) = chosen(&[]).unwrap();
    assert_eq!((all.as_str(), times), ("aermr04 aermr05 aermr06 t", 4));
    assert!(remarks.contains("4 of 7 times"), "{remarks}");
    let error = chosen(&["ozone"]).unwrap_err().to_string();
    assert!(error.contains("no variable ozone"), "{error}");

    let mixed = vec![variable("t", pressure()), variable("so2", Levels::Altitude(vec![1000.0, 2000.0]))];
    let refusal = |dataset: &Dataset| Preparation::of(dataset, &[]).map(drop).unwrap_err().to_string();
    let error = refusal(&dataset(vec![analytic(mixed)], ""));
    assert!(error.contains("different kinds") && error.contains("--variable"), "{error}");
    let error = refusal(&dataset(vec![analytic(vec![variable("pm10", Levels::Surface)])], ""));
    assert!(error.contains("no variable with levels"), "{error}");
}

fn real(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fields").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn real_fields_load_the_same_when_prepared() {
    for names in [
        &["climaccf_era5_pl_201806_2deg.nc"][..],
        &["pycontrails_met-accf-pl.nc"],
        &["cams_eac4_ml60_o3_q_t_sp_20200101-02.zip"],
        &["pycontrails_met-ecmwf-ml.nc", "pycontrails_met-ecmwf-lnsp.nc"],
    ] {
        let Some(paths) = names.iter().map(|name| real(name)).collect::<Option<Vec<PathBuf>>>() else { continue };
        let source = Dataset::open(&paths, DatasetFile::default()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        assert_same(&source, &prepare(&source, dir.path(), PLENTY));
    }
}
