//! What is asked of flights: the options that `compute` and `submit` share.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::args::VerticalArg;
use crate::exposure::{
    flow::EngineFlow,
    program::Integration,
    request::{Limit, Request},
};

/// What is asked of flights.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// Contaminants [default: all that the data set has].
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    contaminant: Vec<String>,
    /// Where samples lie: along the path as densely as the grid asks for, or
    /// at the given waypoints alone.
    #[arg(long, value_enum, default_value_t)]
    integration: IntegrationArg,
    /// How a value between two levels is found.
    #[arg(long, value_enum, default_value_t)]
    pub vertical: VerticalArg,
    /// A threshold, such as "ash=2 mg m-3"; repeatable, replaces the
    /// catalogue's for that contaminant.
    #[arg(long, value_name = "NAME=VALUE UNIT", value_parser = threshold)]
    threshold: Vec<(String, Limit)>,
    /// Air through the engines' cores, for the ingested dose.
    #[arg(long, value_name = "FILE.toml")]
    engine_flow: Option<PathBuf>,
}

/// Where samples lie.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum IntegrationArg {
    /// As many samples between waypoints as the grid needs.
    #[default]
    Path,
    /// The given waypoints, with the trapezoidal rule.
    Waypoints,
}

impl From<IntegrationArg> for Integration {
    fn from(arg: IntegrationArg) -> Self {
        match arg {
            IntegrationArg::Path => Self::Path,
            IntegrationArg::Waypoints => Self::Waypoints,
        }
    }
}

impl Asked {
    /// As the engine takes it, but for the vertical rule, which is the field's.
    pub(super) fn request(&self) -> anyhow::Result<Request> {
        let mut request = Request {
            contaminants: self.contaminant.clone(),
            integration: self.integration.into(),
            engine_flow: self.engine_flow.as_deref().map(EngineFlow::read).transpose().context("--engine-flow")?,
            ..Request::default()
        };
        for (name, limit) in &self.threshold {
            request.thresholds.entry(name.clone()).or_default().push(limit.clone());
        }
        Ok(request)
    }
}

/// Reads `NAME=VALUE UNIT`.
fn threshold(text: &str) -> Result<(String, Limit), String> {
    let (name, limit) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no threshold, expected NAME=VALUE UNIT, such as \"ash=2 mg m-3\""))?;
    Ok((name.trim().to_owned(), Limit::parse(limit)?))
}
