//! Checks on one source file at a time.

use super::{
    BESIDE, Finding, LAYERS, PURE, STRANGERS, UNSAFE_HOMES, VENDORS,
    references::Reference,
    source::{Source, Token},
};

/// Hard limit on lines in a file.
const MAX_LINES: usize = 500;
/// Hard limit on lines in `main.rs`.
const MAX_MAIN_LINES: usize = 60;

/// Calls and crates that a pure module does without; the words of a token run.
const EFFECTS: &[&[&str]] = &[
    &["Instant", "::", "now"],
    &["SystemTime", "::", "now"],
    &["Timestamp", "::", "now"],
    &["Zoned", "::", "now"],
    &["tracing", "::"],
    &["log", "::"],
    &[".", "await"],
    &["async"],
    &["print", "!"],
    &["println", "!"],
    &["eprint", "!"],
    &["eprintln", "!"],
];

fn finding(source: &Source, line: usize, what: impl Into<String>) -> Finding {
    Finding { path: source.path.clone(), line, what: what.into() }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Whether `path` is `home` or below it; neither has to name the ending.
fn is_in(path: &str, home: &str) -> bool {
    path.trim_end_matches(".rs").strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Imports go down, or beside where the table says so.
pub fn layers(source: &Source) -> Vec<Finding> {
    let Some(from) = source.module() else { return Vec::new() };
    let Some(own) = layer(&from) else {
        return vec![finding(source, 1, format!("the module `{from}` is in no layer"))];
    };
    let outward = |r: &&Reference| r.own && r.segments.first().is_some_and(|to| *to != from);
    let breach = |r: &Reference| {
        let to = r.segments[0].as_str();
        let other = layer(to)?;
        let pair = (from.as_str(), to);
        let strangers = STRANGERS.iter().any(|&(a, b)| pair == (a, b) || pair == (b, a));
        if strangers {
            Some(finding(source, r.line, format!("`{from}` imports `{to}`: the two never meet")))
        } else if other > own || other == own && !BESIDE.contains(&pair) {
            let which = if other > own { "above it" } else { "beside it" };
            Some(finding(source, r.line, format!("`{from}` imports `{to}`, which is {which}")))
        } else {
            None
        }
    };
    source.references.iter().filter(outward).filter_map(breach).collect()
}

/// A vendor crate is named in its homes only. Tests may use what they like.
pub fn vendors(source: &Source) -> Vec<Finding> {
    let breach = |r: &Reference| {
        let (name, homes) = VENDORS.iter().find(|(name, _)| r.segments[0] == *name)?;
        let at_home = homes.is_empty() || homes.iter().any(|home| is_in(&source.path, home));
        (!at_home).then(|| finding(source, r.line, format!("`{name}` lives in {}", homes.join(", "))))
    };
    source.references.iter().filter(|r| !r.own && !r.test).filter_map(breach).collect()
}

/// The table of vendors and the manifest name the same dependencies.
pub fn vendor_rows(manifest: &str) -> Vec<Finding> {
    let at = |what| Finding { path: "Cargo.toml".to_owned(), line: 1, what };
    let table: toml::Table = match manifest.parse() {
        Ok(table) => table,
        Err(e) => return vec![at(e.to_string())],
    };
    let dependencies: Vec<String> = table
        .get("dependencies")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(|t| t.keys().map(|name| name.replace('-', "_")))
        .collect();
    let homeless = dependencies
        .iter()
        .filter(|name| !VENDORS.iter().any(|(vendor, _)| vendor == name))
        .map(|name| at(format!("`{name}` has no row in the table of vendors")));
    let gone = VENDORS
        .iter()
        .filter(|(vendor, _)| !dependencies.iter().any(|name| name == vendor))
        .map(|(vendor, _)| at(format!("`{vendor}` has a row in the table of vendors, but is no dependency")));
    homeless.chain(gone).collect()
}

/// `unsafe`, and leave to write it, stay in their homes.
pub fn unsafe_code(source: &Source) -> Vec<Finding> {
    if UNSAFE_HOMES.iter().any(|home| is_in(&source.path, home)) {
        return Vec::new();
    }
    let is_unsafe = |t: &&Token| matches!(t.text.as_str(), "unsafe" | "unsafe_code");
    let breach = |t: &Token| finding(source, t.line, format!("`{}` outside its home", t.text));
    source.tokens.iter().filter(is_unsafe).map(breach).collect()
}

/// A pure module has no effects. Its tests may.
pub fn purity(source: &Source) -> Vec<Finding> {
    if !source.module().is_some_and(|module| PURE.contains(&module.as_str())) {
        return Vec::new();
    }
    let starts = |at: usize, words: &[&str]| {
        let run = &source.tokens[at..];
        run.len() >= words.len() && words.iter().zip(run).all(|(word, token)| token.text == *word)
    };
    (0..source.tokens.len())
        .filter(|&at| !source.tokens[at].test)
        .filter_map(|at| {
            let words = EFFECTS.iter().find(|words| starts(at, words))?;
            Some(finding(source, source.tokens[at].line, format!("`{}` in a pure module", words.concat())))
        })
        .collect()
}

/// A file opens with what it is for, and is short.
pub fn shape(source: &Source) -> Vec<Finding> {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let limit = if source.path == "main.rs" { MAX_MAIN_LINES } else { MAX_LINES };
    let lines = source.text.lines().count();
    let mut findings = Vec::new();
    if name != "tests.rs" && !source.text.starts_with("//!") {
        findings.push(finding(source, 1, "does not open with `//!` and its purpose"));
    }
    if lines > limit {
        findings.push(finding(source, limit, format!("{lines} lines, at most {limit}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No line; a bare `[]` has a type no longer once `serde_json` compares
    /// its values with numbers.
    const NONE: [usize; 0] = [];

    fn lines(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&Source::parse(path, text)).iter().map(|f| f.line).collect()
    }

    #[test]
    fn upward_and_sideways_imports_are_found() {
        assert_eq!(lines(layers, "units.rs", "\nuse crate::field::Variable;"), [2]);
        assert_eq!(lines(layers, "field/grib.rs", "use super::super::plan::group;"), [1]);
        assert_eq!(lines(layers, "queue/mod.rs", "fn f() { crate::nodes::count() }"), [1]);
        assert_eq!(lines(layers, "grid/axis.rs", "use {std::fmt, crate::{units, job::Job}};"), [1]);
        assert_eq!(lines(layers, "grid/axis.rs", "#[cfg(test)] mod tests { use crate::job::Job; }"), [1]);
    }

    #[test]
    fn downward_and_listed_imports_are_let_through() {
        assert_eq!(
            lines(layers, "field/grib.rs", "use crate::{units::Unit, contaminant, field::x}; use super::y;"),
            NONE
        );
        assert_eq!(lines(layers, "trajectory/csv.rs", "use crate::atmosphere::pressure;"), NONE);
        assert_eq!(lines(layers, "atmosphere.rs", "use crate::trajectory::Fleet;"), [1]);
        assert_eq!(lines(layers, "main.rs", "use skydose::app; fn main() { skydose::cli::run() }"), NONE);
        assert_eq!(lines(layers, "lib.rs", "pub mod app; pub use crate::app::run;"), NONE);
    }

    #[test]
    fn worker_and_control_never_meet() {
        assert_eq!(lines(layers, "worker/mod.rs", "use crate::control::roster;"), [1]);
        assert_eq!(lines(layers, "control/mod.rs", "use crate::worker::batcher;"), [1]);
    }

    #[test]
    fn a_module_without_a_layer_is_found() {
        assert_eq!(lines(layers, "helpers.rs", ""), [1]);
    }

    #[test]
    fn vendor_crates_away_from_home_are_found() {
        assert_eq!(lines(vendors, "field/zarr.rs", "use zarrs::array::Array;\nuse grib::Grib2;"), [2]);
        assert_eq!(lines(vendors, "field/mod.rs", "fn f() -> netcdf_reader::File { todo() }"), [1]);
        assert_eq!(lines(vendors, "fielder.rs", "use ::zip as z;"), [1]);
        assert_eq!(lines(vendors, "exposure/mod.rs", "#[derive(clap::Args)] struct X;"), [1]);
    }

    #[test]
    fn vendor_crates_at_home_in_tests_or_as_methods_are_let_through() {
        assert_eq!(lines(vendors, "field/grib/packing.rs", "use grib::Grib2;"), NONE);
        assert_eq!(lines(vendors, "field/mod.rs", "mod grib; fn f() { grib::open(); a.zip(b); }"), NONE);
        assert_eq!(lines(vendors, "plan/mod.rs", "#[cfg(test)] mod tests { use csv::Reader; }"), NONE);
        assert_eq!(lines(vendors, "plan/mod.rs", "use serde::Serialize;"), NONE);
    }

    #[test]
    fn dependencies_and_rows_are_held_together() {
        let rows: Vec<String> = VENDORS.iter().map(|(name, _)| format!("{name} = \"1\"\n")).collect();
        let rows = rows.concat();
        assert_eq!(vendor_rows(&format!("[dependencies]\n{rows}")), []);
        let extra = vendor_rows(&format!("[dependencies]\n{rows}left-pad = \"1\"\n"));
        assert!(extra.len() == 1 && extra[0].what.contains("left_pad"), "{extra:?}");
        let missing = vendor_rows(&format!("[dependencies]\n{}", rows.replacen("zip = \"1\"", "", 1)));
        assert!(missing.len() == 1 && missing[0].what.contains("`zip`"), "{missing:?}");
    }

    #[test]
    fn unsafe_outside_its_home_is_found() {
        assert_eq!(lines(unsafe_code, "field/mod.rs", "fn f() {\n unsafe { g() } }"), [2]);
        assert_eq!(lines(unsafe_code, "job/mod.rs", "#![allow(unsafe_code)]"), [1]);
        assert_eq!(lines(unsafe_code, "compute/cuda/device.rs", "unsafe fn f() {}"), NONE);
        assert_eq!(lines(unsafe_code, "compute/cpu.rs", "unsafe fn f() {}"), [1]);
        assert_eq!(lines(unsafe_code, "job/mod.rs", "// unsafe\nconst A: &str = \"unsafe\";"), NONE);
    }

    #[test]
    fn effects_in_pure_modules_are_found() {
        for text in [
            "fn f() { std::time::Instant::now(); }",
            "fn f() { SystemTime::now(); }",
            "fn f() { tracing::info!(x); }",
            "use tracing::info;",
            "fn f() { g().await; }",
            "fn f() { println!(x); }",
        ] {
            assert_eq!(lines(purity, "grid/axis.rs", text), [1], "{text}");
            assert_eq!(lines(purity, "field/mod.rs", text), NONE, "{text}");
        }
        assert_eq!(lines(purity, "time.rs", "/// Not Instant::now().\nfn f(now: Timestamp) {}"), NONE);
        assert_eq!(lines(purity, "units.rs", "#[cfg(test)] mod tests { fn f() { eprintln!(x); } }"), NONE);
    }

    #[test]
    fn long_files_and_files_without_a_purpose_are_found() {
        let opened = |n: usize| format!("//! What.\n{}", "\n".repeat(n - 1));
        assert_eq!(lines(shape, "job/mod.rs", "use std::fmt;"), [1]);
        assert_eq!(lines(shape, "job/tests.rs", "use std::fmt;"), NONE);
        assert_eq!(lines(shape, "job/mod.rs", &opened(500)), NONE);
        assert_eq!(lines(shape, "job/mod.rs", &opened(501)), [500]);
        assert_eq!(lines(shape, "main.rs", &opened(60)), NONE);
        assert_eq!(lines(shape, "main.rs", &opened(61)), [60]);
    }
}
