//! Reading flights: waypoints a second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skydose::trajectory::{self, ReadOptions, phase, synthetic};

fn trajectories(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = synthetic::fleet(2_000, 60.0, 1, 1_717_200_000.0, 86_400.0);
    let parquet = folder.path().join("flights.parquet");
    let csv = folder.path().join("flights.csv");
    trajectory::write_parquet(&parquet, &fleet).expect("written");
    trajectory::write_csv(&csv, &fleet).expect("written");
    let mut group = c.benchmark_group("trajectories");
    group.sample_size(10);
    group.throughput(Throughput::Elements(fleet.waypoints() as u64));
    for path in [parquet, csv] {
        let name = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        group.bench_function(format!("read {name}"), |b| {
            b.iter(|| black_box(trajectory::read(std::slice::from_ref(&path), &ReadOptions::default()).expect("read")));
        });
    }
    group.bench_function("label phases", |b| {
        b.iter(|| {
            for flight in fleet.iter() {
                black_box(phase::label(&flight));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, trajectories);
criterion_main!(benches);
