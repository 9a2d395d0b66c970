//! Tests of the whole: bytes in, variables and values out.

mod broken;
mod grids;
mod packings;
mod products;
mod real;
mod writer;

use std::path::Path;

use crate::field::{FieldError, FieldSource, Variable};

type Source = Box<dyn FieldSource>;

/// Opens bytes that must open.
fn open(bytes: Vec<u8>) -> Source {
    try_open(bytes).unwrap_or_else(|e| panic!("{e}"))
}

fn try_open(bytes: Vec<u8>) -> Result<Source, FieldError> {
    super::from_bytes(Path::new("test.grib2"), bytes).map(|mut sources| sources.remove(0))
}

/// The error of bytes that must not open.
fn refusal(bytes: Vec<u8>) -> String {
    try_open(bytes).map_or_else(|e| e.to_string(), |_| "it opened".to_owned())
}

fn find<'a>(source: &'a Source, name: &str) -> (usize, &'a Variable) {
    let found = source.variables().iter().enumerate().find(|(_, v)| v.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", names(source)))
}

fn names(source: &Source) -> Vec<&str> {
    source.variables().iter().map(|v| v.name.as_str()).collect()
}

/// Everything of one member of the variable `name`.
fn read(source: &Source, name: &str, member: usize) -> Vec<f32> {
    let (i, variable) = find(source, name);
    let window = variable.whole(member);
    let mut out = vec![f32::MIN; window.len()];
    source.read(i, &window, &mut out).unwrap_or_else(|e| panic!("{e}"));
    out
}
