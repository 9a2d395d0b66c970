//! What was written in a file, in the environment and on the command line,
//! laid over each other: values one by one, each with its origin, so that
//! every fault names where it stands.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

/// What names of variables of the environment begin with.
const PREFIX: &str = "SKYDOSE_";

/// Between the parts of a field's name in a variable's name. One underscore
/// alone belongs to a name, and to variables that clusters set for services.
const SEPARATOR: &str = "__";

/// The variables of the environment.
pub trait Env {
    /// Names and values.
    fn variables(&self) -> Vec<(String, String)>;
}

/// Those of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn variables(&self) -> Vec<(String, String)> {
        // A name or value that is not Unicode is none of ours.
        std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect()
    }
}

impl<const N: usize> Env for [(&str, &str); N] {
    fn variables(&self) -> Vec<(String, String)> {
        self.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
    /// On the command line, by `--set`.
    Flag,
    /// Nowhere: it is what holds without being written.
    Default,
}

/// One fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where the value was written.
    pub origin: Origin,
    /// The field: `worker.slots`.
    pub field: String,
    /// As written; secrets are never shown.
    pub value: String,
    /// What was expected.
    pub expected: String,
}

/// All faults of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

/// A value where it was written.
#[derive(Debug, Clone)]
struct Leaf {
    path: Vec<String>,
    /// What the text may mean, the likeliest first: `8` is a number, or text
    /// where text is expected.
    meanings: Vec<Value>,
    origin: Origin,
}

/// Values laid over each other, those added later above.
#[derive(Debug, Default)]
pub struct Layers {
    leaves: Vec<Leaf>,
    faults: Vec<Fault>,
}

impl Layers {
    /// Adds a file.
    pub fn file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        let mut fault = |value: String, expected: &str| {
            self.faults.push(Fault {
                origin: origin.clone(),
                field: String::new(),
                value,
                expected: expected.to_owned(),
            });
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) => return fault(e.to_string(), "a file that can be read"),
        };
        match text.parse::<Table>() {
            Ok(table) => {
                let mut leaves = Vec::new();
                flatten(&table, &mut Vec::new(), &mut |path, value| {
                    leaves.push(Leaf { path, meanings: vec![value.clone()], origin: origin.clone() });
                });
                self.leaves.append(&mut leaves);
            }
            Err(e) => fault(e.to_string().trim().replace('\n', " "), "TOML"),
        }
    }

    /// Adds the variables of the environment that are meant for us:
    /// `SKYDOSE_WORKER__SLOTS` is `worker.slots`.
    pub fn environment(&mut self, env: &impl Env) {
        let mut variables = env.variables();
        variables.sort();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| rest.contains(SEPARATOR)) else { continue };
            let path = rest.split(SEPARATOR).map(str::to_lowercase).collect();
            self.leaves.push(Leaf { path, meanings: meanings(&value), origin: Origin::Variable(name) });
        }
    }

    /// Adds what was given by `--set KEY=VALUE`.
    pub fn flags(&mut self, flags: &[String]) {
        for flag in flags {
            match flag.split_once('=') {
                Some((key, value)) if !key.is_empty() => self.leaves.push(Leaf {
                    path: key.split('.').map(str::to_owned).collect(),
                    meanings: meanings(value),
                    origin: Origin::Flag,
                }),
                _ => self.faults.push(Fault {
                    origin: Origin::Flag,
                    field: String::new(),
                    value: flag.clone(),
                    expected: "KEY=VALUE, such as worker.slots=8".into(),
                }),
            }
        }
    }

    /// Where a field was written last.
    #[must_use]
    pub fn origin(&self, field: &str) -> Origin {
        let found = self.leaves.iter().rev().find(|leaf| leaf.path.join(".") == field);
        found.map_or(Origin::Default, |leaf| leaf.origin.clone())
    }

    /// What all layers come to, and every fault of a single value. Where
    /// there are faults, the rest is still read, so that it can be looked at.
    #[must_use]
    pub fn read<T: DeserializeOwned + Default + Serialize>(&self) -> (T, Vec<Fault>) {
        let mut faults = self.faults.clone();
        let mut whole = Table::new();
        for leaf in &self.leaves {
            match leaf.read::<T>() {
                Ok(value) => insert(&mut whole, &leaf.path, value.clone()),
                Err(fault) => faults.push(fault),
            }
        }
        match T::deserialize(Value::Table(whole)) {
            Ok(read) => (read, faults),
            Err(e) => {
                let (value, expected) = split(&e.to_string());
                faults.push(Fault { origin: Origin::Default, field: "the whole".into(), value, expected });
                (T::default(), faults)
            }
        }
    }
}

impl Leaf {
    /// The meaning that fits the field.
    fn read<T: DeserializeOwned>(&self) -> Result<&Value, Fault> {
        let mut first: Option<String> = None;
        for value in &self.meanings {
            let mut alone = Table::new();
            insert(&mut alone, &self.path, value.clone());
            match T::deserialize(Value::Table(alone)) {
                Ok(_) => return Ok(value),
                // Some other field is missing beside it, which the whole may have.
                Err(e) if e.to_string().starts_with("missing field") => return Ok(value),
                Err(e) => _ = first.get_or_insert(e.to_string()),
            }
        }
        let message = first.unwrap_or_default();
        let (found, expected) = split(&message);
        let value = if message.starts_with("unknown field") { found } else { self.shown() };
        Err(Fault { origin: self.origin.clone(), field: self.path.join("."), value, expected })
    }

    /// The value for people: not where the field's name says that it is
    /// secret, or the text holds credentials.
    fn shown(&self) -> String {
        let text = self.meanings.last().map(Value::to_string).unwrap_or_default();
        let last = self.path.last().map_or("", String::as_str);
        let is_secret =
            ["password", "secret", "token", "key"].iter().any(|word| last.contains(word)) || text.contains('@');
        if is_secret { "(not shown)".to_owned() } else { text }
    }
}

/// Splits a message of serde into what was found and what was expected.
fn split(message: &str) -> (String, String) {
    // What follows the first line repeats the field.
    let message = message.trim().lines().next().unwrap_or_default().to_owned();
    match message.split_once(", expected ") {
        Some((found, expected)) => (found.to_owned(), expected.to_owned()),
        None => (message, "something else".to_owned()),
    }
}

/// As a value of TOML, then as plain text.
fn meanings(text: &str) -> Vec<Value> {
    let plain = Value::String(text.to_owned());
    let parsed = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    parsed.into_iter().filter(|value| *value != plain).chain([plain.clone()]).collect()
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        insert(inner, rest, value);
    }
}

/// Calls `each` with every value that is not a table.
pub(super) fn flatten(table: &Table, path: &mut Vec<String>, each: &mut impl FnMut(Vec<String>, &Value)) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(inner) => flatten(inner, path, each),
            other => each(path.clone(), other),
        }
        path.pop();
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the environment's {name}"),
            Self::Flag => f.write_str("--set"),
            Self::Default => f.write_str("the configuration"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, field, value, expected } = self;
        match field.as_str() {
            "" => write!(f, "{origin}: {value}; expected {expected}"),
            _ if value.starts_with("unknown field") => {
                write!(f, "{origin}: {field} is not a field; expected {expected}")
            }
            _ => write!(f, "{origin}: {field} is {value}, expected {expected}"),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the configuration:", if self.0.len() == 1 { "a fault" } else { "faults" })?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}
