//! Real files; expected counts are pandas' (see each test).

use super::{super::*, shared};

fn load(name: &str) -> Option<Loaded> {
    let loaded = read(&[shared(name)?], &ReadOptions::default()).expect("reads");
    Some(loaded)
}

#[test]
fn dump() {
    for name in [
        "pycontrails_flight-noisy.csv",
        "pycontrails_flight-meridian.csv",
        "pycontrails_iagos-flight-sentinel.csv",
        "pycontrails_flt-wypts-20190101-eu.parquet",
        "traffic_switzerland.json.gz",
    ] {
        let Some(l) = load(name) else { continue };
        eprintln!("{name}: {} flights {} waypoints {} rejects", l.fleet.len(), l.fleet.waypoints(), l.rejects.len());
        for r in l.rejects.iter().take(10) {
            eprintln!("   {r:?}");
        }
        for (f, n) in l.repairs.iter() {
            eprintln!("   {n} {}", f.name());
        }
        eprintln!("{:?}", l.fleet.get(0).map(|f| (f.id.to_owned(), f.len())));
        for f in &l.files {
            eprintln!("{f:#?}");
        }
    }
}
