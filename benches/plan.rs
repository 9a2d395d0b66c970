//! Grouping jobs into batches.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use skydose::{
    plan::{Candidate, Limits, group},
    queue::Priority,
};

/// Jobs of three data sets and two programs, over a day, in no order.
fn jobs(number: usize) -> Vec<Candidate> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..number)
        .map(|_| {
            let start_s = random.f64() * 86_400.0;
            Candidate {
                dataset: ["cams", "icon", "silam"][random.usize(..3)].parse().expect("a name"),
                program: [random.u8(..2); 32],
                time_s: (start_s, start_s + 7_200.0),
                waypoints: 120,
                priority: Priority::ALL[random.usize(..2)],
                alone: random.u8(..100) == 0,
            }
        })
        .collect()
}

fn grouping(c: &mut Criterion) {
    let mut benches = c.benchmark_group("group");
    for number in [64, 1_000, 10_000] {
        benches.throughput(Throughput::Elements(number as u64));
        benches.bench_function(format!("{number} jobs"), |b| {
            b.iter_batched(|| jobs(number), |jobs| group(&jobs, &Limits::default()), BatchSize::LargeInput);
        });
    }
    benches.finish();
}

criterion_group!(benches, grouping);
criterion_main!(benches);
