//! `skydose simulate`: policies in virtual time, side by side.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{
    Ending,
    decide::{check, read_settings},
    say,
};
use crate::{
    scaling::Settings,
    simulate::{self, Arrival, CONTENDERS, Run, SCENARIOS, Scenario},
};

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The configuration; only its section `scaling` is read [default: the
    /// scenario's own].
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Jobs that arrived in the past: CSV with the columns time and jobs.
    #[arg(long, value_name = "FILE.csv")]
    trace: Option<PathBuf>,
    /// What happens: spike, sawtooth, noise, quota, slow-boots, or a file.
    /// With a trace, of the scenario only what its nodes do.
    #[arg(long, value_name = "NAME|FILE.toml", required_unless_present = "trace")]
    scenario: Option<String>,
    /// Who decides, side by side: drain-time, backlog, ratio, ratio-quantity,
    /// keda-hpa [default: all].
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    policy: Vec<String>,
    /// The folder for the table and the picture.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Simulate {
    /// Simulates, prints the table, and writes it with the picture.
    ///
    /// # Errors
    /// What cannot be read, simulated or written.
    pub fn run(self) -> anyhow::Result<Ending> {
        let (name, mut scenario, arrivals) = self.arrivals()?;
        let settings = self.settings(&name, &mut scenario)?;
        let names: Vec<&str> = if self.policy.is_empty() {
            CONTENDERS.iter().map(|(name, _)| *name).collect()
        } else {
            self.policy.iter().map(String::as_str).collect()
        };
        let runs = names
            .iter()
            .map(|contender| simulate::run(&scenario, &settings, &arrivals, contender))
            .collect::<Result<Vec<Run>, _>>()?;
        let table = simulate::markdown(&name, &scenario, arrivals.len(), &runs) + &simulate::aims(&runs);
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        write(&self.out.join(format!("{name}.md")), &table)?;
        write(&self.out.join(format!("{name}.csv")), &simulate::csv(&runs))?;
        write(&self.out.join(format!("{name}.svg")), &simulate::picture(&name, &runs)?)?;
        say(&table)?;
        Ok(Ending::Whole)
    }

    /// What the run is called, what happens, and which jobs arrive.
    fn arrivals(&self) -> anyhow::Result<(String, Scenario, Vec<Arrival>)> {
        let (mut name, mut scenario) = match &self.scenario {
            Some(name) if SCENARIOS.iter().any(|(known, _)| known == name) => (name.clone(), Scenario::named(name)?),
            Some(name) if !Path::new(name).exists() => (String::new(), Scenario::named(name)?),
            Some(path) => {
                let text = fs::read_to_string(path).with_context(|| path.clone())?;
                (stem(Path::new(path)), Scenario::parse(path, &text)?)
            }
            None => (String::new(), Scenario::quiet()),
        };
        let Some(path) = &self.trace else {
            let arrivals = scenario.jobs();
            return Ok((name, scenario, arrivals));
        };
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let (arrivals, lasts_s) = simulate::read_trace(&path.display().to_string(), &text, &scenario)?;
        // An hour after the last jobs shows how the nodes go.
        scenario.lasts = Duration::from_secs_f64(lasts_s) + Duration::from_hours(1);
        scenario.about = format!("The jobs of {}.", path.file_name().unwrap_or_default().display());
        name = stem(path);
        Ok((name, scenario, arrivals))
    }

    fn settings(&self, name: &str, scenario: &mut Scenario) -> anyhow::Result<Settings> {
        let (settings, from) = match (&self.config, scenario.scaling.take()) {
            (Some(path), _) => (read_settings(path)?, path.clone()),
            (None, Some(settings)) => (settings, PathBuf::from(name)),
            (None, None) => bail!("{name}: the scenario has no section [scaling], expected --config"),
        };
        check(&settings, &from)?;
        Ok(settings)
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
