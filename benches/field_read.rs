//! Reading fields: bytes of values a second, from the system's page cache, on
//! one thread.

use std::{hint::black_box, path::Path};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Map;
use skydose::field::{
    Levels, Window,
    dataset::ValueRule,
    zarr::{
        self,
        prepared::{Compression, PreparedLayout, PreparedVariable, band},
        writer::PreparedWriter,
    },
};

/// EAC4: 0.75 degrees, 25 pressure levels.
const LATITUDES: u16 = 241;
const LONGITUDES: u16 = 480;
const LEVELS: u16 = 25;
const TIMES: usize = 4;

/// A smooth field with some noise in its last digits, as models have.
fn prepare(dir: &Path, compression: Compression) -> Result<(), skydose::field::FieldError> {
    let plane = usize::from(LATITUDES) * usize::from(LONGITUDES);
    let layout = PreparedLayout {
        variables: vec![PreparedVariable {
            name: "go3".to_owned(),
            standard_name: None,
            long_name: None,
            units: Some("kg kg**-1".to_owned()),
            vertical: true,
            interpolation: ValueRule::Linear,
        }],
        times_s: (0..TIMES).map(|t| 1_577_836_800.0 + 10_800.0 * t as f64).collect(),
        levels: Levels::Pressure((1..=LEVELS).map(|k| 4_000.0 * f64::from(k)).collect()),
        latitudes_deg: (0..LATITUDES).map(|j| -90.0 + 0.75 * f64::from(j)).collect(),
        longitudes_deg: (0..LONGITUDES).map(|i| 0.75 * f64::from(i)).collect(),
        members: Vec::new(),
        attributes: Map::new(),
        band: band(usize::from(LEVELS), plane),
        compression,
        fingerprint: String::new(),
    };
    let writer = PreparedWriter::create(dir, layout, false)?;
    let mut noise = 1_u32;
    for chunk in writer.chunks() {
        let values: Vec<f32> = (0..writer.levels(chunk).len() * plane)
            .map(|n| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (smooth, rough) = ((n as f32 * 1e-3).sin() + 1.5, (noise >> 20) as f32);
                1e-7 * smooth * (1.0 + 1e-5 * rough)
            })
            .collect();
        writer.write(chunk, &values)?;
    }
    writer.finish()
}

fn zarr(c: &mut Criterion) {
    let mut group = c.benchmark_group("zarr");
    let whole = (0..usize::from(LATITUDES), 0..usize::from(LONGITUDES));
    let boxes =
        [("all levels", 0..25, whole.clone()), ("cruise levels", 3..11, whole), ("Europe", 3..11, (160..220, 0..60))];
    for compression in [Compression::None, Compression::Blosc, Compression::Zstd] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        prepare(dir.path(), compression).expect("a prepared field");
        let source = zarr::open(dir.path()).expect("a field").remove(0);
        for (name, levels, (latitudes, longitudes)) in boxes.clone() {
            let window = Window { member: 0, times: 0..1, levels, latitudes, longitudes };
            let mut out = vec![0.0_f32; window.len()];
            group.throughput(Throughput::Bytes(4 * window.len() as u64));
            let id = BenchmarkId::new(format!("{compression:?}"), name);
            let mut time = 0;
            group.bench_function(id, |b| {
                b.iter(|| {
                    time = (time + 1) % TIMES;
                    let window = Window { times: time..time + 1, ..window.clone() };
                    source.read(0, &window, black_box(&mut out)).expect("values");
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, zarr);
criterion_main!(benches);
