//! `skydose decide`: one decision, explained.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{Ending, say};
use crate::scaling::{self, Decision, Record, Settings};

/// Arguments of `decide`.
#[derive(Debug, Args)]
pub struct Decide {
    /// A sample, or a record of a decision, as JSON [default: standard input].
    #[arg(value_name = "FILE")]
    sample: Option<PathBuf>,
    /// The configuration; only its section `scaling` is read.
    #[arg(long, value_name = "FILE.toml", required_unless_present = "schema")]
    config: Option<PathBuf>,
    /// Another policy than the configured one.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The decision as JSON.
    #[arg(long)]
    json: bool,
    /// Nothing but the JSON Schema of a record: sample, memory, decision.
    #[arg(long)]
    schema: bool,
}

impl Decide {
    /// Decides and explains.
    ///
    /// # Errors
    /// What cannot be read, or settings that cannot stand.
    pub fn run(self) -> anyhow::Result<Ending> {
        let Some(config) = self.config.filter(|_| !self.schema) else {
            say(&(serde_json::to_string_pretty(&scaling::schema())? + "\n"))?;
            return Ok(Ending::Whole);
        };
        let mut settings = read_settings(&config)?;
        if let Some(policy) = self.policy {
            settings.policy = policy;
        }
        check(&settings, &config)?;
        let name = self.sample.as_ref().map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        let text = match &self.sample {
            Some(path) => std::fs::read_to_string(path),
            None => std::io::read_to_string(std::io::stdin()),
        };
        let text = text.with_context(|| name.clone())?;
        let record = Record::read(&text).map_err(anyhow::Error::msg).context(name)?;
        let (decision, _) = scaling::decide(&settings, &record.sample, record.memory);
        let text = if self.json { serde_json::to_string_pretty(&decision)? + "\n" } else { explained(&decision) };
        say(&text)?;
        Ok(Ending::Whole)
    }
}

/// The section `scaling` of a configuration; the other sections are passed
/// over.
pub(super) fn read_settings(path: &Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let table: toml::Table = text.parse().with_context(|| path.display().to_string())?;
    let Some(section) = table.get("scaling") else {
        bail!("{}: no section [scaling], expected one with at least one pool", path.display());
    };
    section.clone().try_into().with_context(|| format!("{}: scaling", path.display()))
}

/// Says everything that is wrong with the settings.
pub(super) fn check(settings: &Settings, path: &Path) -> anyhow::Result<()> {
    let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
    if faults.is_empty() { Ok(()) } else { bail!("{}: {}", path.display(), faults.join("; ")) }
}

/// A decision in words and a table.
fn explained(decision: &Decision) -> String {
    let mut text = format!("{}  {}\n{}\n", decision.at, decision.policy, decision.reason);
    for held in &decision.held_back {
        let pool = held.pool.as_ref().map(|pool| format!(" of {pool}")).unwrap_or_default();
        let change = if held.from == held.to { held.to.to_string() } else { format!("{} → {}", held.from, held.to) };
        let _ = writeln!(text, "  {}{pool}: {change}, {}", held.guard, held.why);
    }
    let width = decision.pools.iter().map(|pool| pool.name.chars().count()).max().unwrap_or(0).max(4);
    let _ = writeln!(text, "\n{:width$}  wanted  target  goal", "pool");
    for pool in &decision.pools {
        let _ = writeln!(text, "{:width$}  {:>6}  {:>6}  {:>4}", pool.name, pool.wanted, pool.target, pool.goal);
    }
    for (what, names) in [
        ("drain", decision.pools.iter().flat_map(|pool| &pool.drain).collect::<Vec<_>>()),
        ("remove", decision.pools.iter().flat_map(|pool| &pool.remove).collect::<Vec<_>>()),
    ] {
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
            let _ = writeln!(text, "{what}: {}", names.join(", "));
        }
    }
    text
}
