//! Jobs to messages and back, by form: how many flights a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skydose::{
    exposure::request::Request,
    grid::VerticalRule,
    job::{
        RawFlights, Terms,
        wire::{self, Encoding, Limits},
    },
    trajectory::{Fleet, synthetic},
};

fn terms() -> Terms {
    let id = |text: &str| text.parse().expect("a name");
    Terms {
        id: id("bench-000001"),
        submission: id("bench"),
        dataset: id("cams"),
        request: Request::default(),
        vertical: VerticalRule::default(),
        deadline: None,
    }
}

fn fleet(flights: usize) -> Fleet {
    synthetic::fleet(flights, 60.0, 1, 1_717_200_000.0, 72_000.0)
}

fn forms(c: &mut Criterion) {
    let (terms, limits) = (terms(), Limits::default());
    for (name, flights, json, compress) in [
        ("json, 1 flight", 1, true, false),
        ("json, 1 flight, zstd", 1, true, true),
        ("arrow, 200 flights", 200, false, false),
        ("arrow, 200 flights, zstd", 200, false, true),
    ] {
        let fleet = fleet(flights);
        let encoding =
            Encoding { json_flights: if json { flights } else { 0 }, compress, inline_bytes: limits.message_bytes };
        let encode = || encoding.encode(&terms, &fleet, &limits).expect("a message").message;
        let message = encode();
        let mut group = c.benchmark_group(format!("{name} ({} bytes)", message.body.len()));
        group.throughput(Throughput::Elements(flights as u64));
        group.bench_function("encode", |b| b.iter(encode));
        group.bench_function("decode", |b| {
            b.iter(|| match wire::decode(&message, &limits).expect("a job").flights {
                RawFlights::Inline(loaded) => assert_eq!(loaded.fleet.len(), flights),
                RawFlights::Stored(_) => panic!("stored"),
            });
        });
        group.finish();
    }
}

criterion_group!(benches, forms);
criterion_main!(benches);
