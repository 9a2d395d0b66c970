//! What happens in a simulation: arrivals, nodes, what goes wrong.

use std::time::Duration;

use serde::Deserialize;

use super::{Arrival, SimulationError};
use crate::{
    scaling::{self, Settings},
    time::duration,
};

/// The scenarios that come with the program: name and text.
pub const SCENARIOS: &[(&str, &str)] = &[
    ("spike", include_str!("../../tests/scenarios/spike.toml")),
    ("sawtooth", include_str!("../../tests/scenarios/sawtooth.toml")),
    ("noise", include_str!("../../tests/scenarios/noise.toml")),
    ("quota", include_str!("../../tests/scenarios/quota.toml")),
    ("slow-boots", include_str!("../../tests/scenarios/slow-boots.toml")),
];

/// A scenario, as its file writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// In one line.
    pub about: String,
    /// Of everything random.
    #[serde(default = "one")]
    pub seed: u64,
    /// How long it lasts.
    #[serde(with = "duration")]
    pub lasts: Duration,
    /// Jobs that arrive. A trace takes their place.
    #[serde(default)]
    pub arrivals: Vec<Arrivals>,
    /// What jobs are like.
    #[serde(default)]
    pub jobs: Jobs,
    /// What nodes really do, by the name of their pool.
    #[serde(default)]
    pub nodes: Vec<Nodes>,
    /// When a pool cannot have as many as asked for.
    #[serde(default)]
    pub quotas: Vec<Quota>,
    /// How scaling is set up, unless a configuration says.
    #[serde(default)]
    pub scaling: Option<Settings>,
}

/// Jobs that arrive over a while, at random.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrivals {
    /// From when.
    #[serde(with = "duration")]
    pub from: Duration,
    /// For how long.
    #[serde(with = "duration")]
    pub lasts: Duration,
    /// Per second, at its start.
    pub jobs_per_s: f64,
    /// Per second, at its end; absent: as at its start.
    #[serde(default)]
    pub to_jobs_per_s: Option<f64>,
    /// The rate of each minute is off by up to this part of it.
    #[serde(default)]
    pub noise: f64,
}

/// What jobs are like.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// Flights a job, for the table.
    pub flights: u32,
    /// Standard deviation of a job's size over its mean; sizes are lognormal.
    pub spread: f64,
}

/// What the nodes of a pool really do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    /// Which pool.
    pub pool: String,
    /// Jobs that a node runs at a time.
    #[serde(default = "four")]
    pub slots: u32,
    /// Jobs per second of a busy node; absent: as the settings have it.
    #[serde(default)]
    pub jobs_per_s: Option<f64>,
    /// The quickest boot.
    #[serde(with = "duration")]
    pub boot_least: Duration,
    /// The slowest boot.
    #[serde(with = "duration")]
    pub boot_most: Duration,
    /// The part of the nodes whose GPU is ready late.
    #[serde(default)]
    pub late_part: f64,
    /// How late at most.
    #[serde(default, with = "duration")]
    pub late_most: Duration,
}

/// A limit on the nodes of a pool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Of which pool.
    pub pool: String,
    /// From when.
    #[serde(with = "duration")]
    pub from: Duration,
    /// Until when.
    #[serde(with = "duration")]
    pub until: Duration,
    /// Most nodes meanwhile; those that are there stay.
    pub most: u32,
}

const fn one() -> u64 {
    1
}

const fn four() -> u32 {
    4
}

impl Default for Jobs {
    fn default() -> Self {
        Self { flights: 100, spread: 0.3 }
    }
}

impl Scenario {
    /// Reads a scenario's text.
    ///
    /// # Errors
    /// Names the entry and what was expected.
    pub fn parse(name: &str, text: &str) -> Result<Self, SimulationError> {
        let fault = |what: String| SimulationError::Scenario { name: name.to_owned(), what };
        let scenario: Self = toml::from_str(text).map_err(|error| fault(error.to_string()))?;
        if let Some(arrivals) = scenario.arrivals.iter().find(|a| !(0.0..=1e6).contains(&a.jobs_per_s)) {
            return Err(fault(format!("jobs_per_s is {}, expected 0 to a million", arrivals.jobs_per_s)));
        }
        let hours = scenario.lasts.as_secs() / 3600;
        if hours > 24 * 62 {
            return Err(fault(format!("lasts {hours} h, expected at most two months")));
        }
        Ok(scenario)
    }

    /// The scenario of that name among those that come with the program.
    ///
    /// # Errors
    /// Names those that there are.
    pub fn named(name: &str) -> Result<Self, SimulationError> {
        let (_, text) = SCENARIOS.iter().find(|(known, _)| *known == name).ok_or_else(|| {
            let known: Vec<&str> = SCENARIOS.iter().map(|(known, _)| *known).collect();
            SimulationError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })?;
        Self::parse(name, text)
    }

    /// Nothing happens: what a trace is laid over.
    #[must_use]
    pub fn quiet() -> Self {
        Self {
            about: String::new(),
            seed: one(),
            lasts: Duration::ZERO,
            arrivals: Vec::new(),
            jobs: Jobs::default(),
            nodes: Vec::new(),
            quotas: Vec::new(),
            scaling: None,
        }
    }

    /// Every job that arrives, in order.
    #[must_use]
    pub fn jobs(&self) -> Vec<Arrival> {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut jobs: Vec<Arrival> = Vec::new();
        for arrivals in &self.arrivals {
            arrivals.draw(&mut rng, |at_s| jobs.push(Arrival { at_s, size: 1.0 }));
        }
        jobs.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        for job in &mut jobs {
            job.size = self.jobs.size(&mut rng);
        }
        jobs
    }

    /// What the nodes of `pool` do: as the scenario has it, or as usual.
    #[must_use]
    pub fn nodes_of(&self, pool: &scaling::settings::Pool) -> Nodes {
        self.nodes.iter().find(|nodes| nodes.pool == pool.name).cloned().unwrap_or_else(|| Nodes {
            pool: pool.name.clone(),
            slots: four(),
            jobs_per_s: None,
            boot_least: pool.boot,
            boot_most: pool.boot,
            late_part: 0.0,
            late_most: Duration::ZERO,
        })
    }

    /// Most nodes that `pool` can have at `at_s` seconds.
    #[must_use]
    pub fn quota(&self, pool: &str, at_s: f64) -> u32 {
        let in_force = |quota: &&Quota| {
            quota.pool == pool && (quota.from.as_secs_f64()..quota.until.as_secs_f64()).contains(&at_s)
        };
        self.quotas.iter().filter(in_force).map(|quota| quota.most).min().unwrap_or(u32::MAX)
    }
}

impl Arrivals {
    /// Calls `arrive` with the instants of a Poisson process, by thinning one
    /// at the highest rate.
    fn draw(&self, rng: &mut fastrand::Rng, mut arrive: impl FnMut(f64)) {
        let (from, lasts) = (self.from.as_secs_f64(), self.lasts.as_secs_f64());
        let end_rate = self.to_jobs_per_s.unwrap_or(self.jobs_per_s);
        let highest = self.jobs_per_s.max(end_rate) * (1.0 + self.noise);
        if highest <= 0.0 {
            return;
        }
        let (mut at, mut minute, mut factor) = (0.0, f64::NEG_INFINITY, 1.0);
        loop {
            at -= (1.0 - rng.f64()).ln() / highest;
            if at >= lasts {
                return;
            }
            if at - minute >= 60.0 {
                minute = (at / 60.0).floor() * 60.0;
                factor = 1.0 + self.noise * (2.0 * rng.f64() - 1.0);
            }
            let rate = (self.jobs_per_s + (end_rate - self.jobs_per_s) * at / lasts) * factor;
            if rng.f64() * highest < rate {
                arrive(from + at);
            }
        }
    }
}

impl Jobs {
    /// A job's size: lognormal with mean 1.
    pub(super) fn size(&self, rng: &mut fastrand::Rng) -> f64 {
        let variance = self.spread.powi(2).ln_1p();
        let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * rng.f64()).cos();
        (variance.sqrt() * normal - variance / 2.0).exp()
    }
}

impl Nodes {
    /// Seconds that the next node takes from being asked for to its first job.
    pub(super) fn boot_s(&self, rng: &mut fastrand::Rng) -> f64 {
        let (least, most) = (self.boot_least.as_secs_f64(), self.boot_most.as_secs_f64());
        let late = if rng.f64() < self.late_part { rng.f64() * self.late_most.as_secs_f64() } else { 0.0 };
        least + rng.f64() * (most - least).max(0.0) + late
    }
}
