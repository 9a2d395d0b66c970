//! The configuration: a file in TOML, variables of the environment, flags.
//!
//! ```text
//! file < environment (SKYDOSE_WORKER__SLOTS=8) < flags (--set worker.slots=8)
//! ```
//!
//! Each module owns its settings, with their defaults; this one collects
//! them, and finds every fault at once. Nothing below the composition root
//! imports it.
//!
//! | what | file |
//! |---|---|
//! | as written: all sections | `raw.rs` |
//! | layers over each other, and where each value stands | `layers.rs` |

mod layers;
mod raw;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use self::{
    layers::{Env, Fault, Faults, Origin, ProcessEnv},
    raw::Raw,
};

/// A configuration whose values can be what they are.
pub type Config = Raw;

/// Reads the configuration.
///
/// # Errors
/// Every fault of it, each with where it stands, the field, its value and
/// what was expected.
pub fn load(file: Option<&Path>, env: &impl Env, flags: &[String]) -> Result<Config, Faults> {
    let mut layers = layers::Layers::default();
    if let Some(file) = file {
        layers.file(file);
    }
    layers.environment(env);
    layers.flags(flags);
    let (raw, mut faults) = layers.read::<Raw>();
    faults.extend(faults_of(&raw).into_iter().map(|(field, value, expected)| Fault {
        origin: layers.origin(&field),
        field,
        value,
        expected,
    }));
    if faults.is_empty() { Ok(raw) } else { Err(Faults(faults)) }
}

/// Values that can be read but cannot be.
fn faults_of(raw: &Raw) -> Vec<(String, String, String)> {
    let mut faults: Vec<(String, String, String)> = Vec::new();
    let mut add = |field: &str, value: String, expected: &str| faults.push((field.into(), value, expected.into()));
    if raw.log.check().is_err() {
        add(
            "log.filter",
            format!("{:?}", raw.log.filter),
            "levels by module, such as \"info\" or \"skydose::worker=debug,warn\"",
        );
    }
    if let Err(fault) = raw.traces.check() {
        add("traces", fault.to_string(), "as said");
    }
    if let Err(fault) = raw.store.uri.parse::<crate::store::Uri>() {
        add("store.uri", fault.to_string(), "file:FOLDER, az://CONTAINER/FOLDER or s3://BUCKET/FOLDER");
    }
    for (field, value, expected) in raw.worker.faults() {
        add(&format!("worker.{field}"), value, expected);
    }
    if let Err(fault) = raw.leader.check() {
        add("leader", fault.what, &fault.expected);
    }
    if let Some(nodes) = &raw.nodes {
        let known = nodes.pools().keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        for pool in raw.scaling.pools.iter().filter(|pool| !nodes.pools().contains_key(&pool.name)) {
            add("scaling.pools", pool.name.clone(), &format!("a pool of nodes: {known}"));
        }
        for fault in raw.scaling.faults() {
            add(&format!("scaling.{}", fault.field), fault.value, &fault.expected);
        }
    }
    faults
}
