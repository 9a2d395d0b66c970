//! What is computed along a path, as data that every backend runs.
//!
//! A field in memory has interleaved channels. The first ones are *lanes*:
//! each lane turns its channel's value `v` into a quantity `v (a + b ρ + c / ρ)`
//! and reduces it along the path. Channels behind the lanes are temperature
//! and humidity, which make ρ.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::flow::EngineFlow;
use crate::units::Dimension;

/// Where samples lie on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integration {
    /// As many samples between waypoints as the grid needs.
    #[default]
    Path,
    /// The given waypoints alone, with the trapezoidal rule.
    Waypoints,
}

impl Integration {
    /// As options and results write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Waypoints => "waypoints",
        }
    }
}

/// What a lane reduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Mass concentration C \[kg m⁻³\].
    Concentration,
    /// Mass mixing ratio χ \[kg kg⁻¹\].
    MixingRatio,
}

/// A threshold on a lane's quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As results name it: `2 mg m-3`.
    pub label: Arc<str>,
    /// In the lane's unit.
    pub value: f64,
}

/// A threshold on the dosage, reported as reached or not.
#[derive(Debug, Clone, PartialEq)]
pub struct DosageLimit {
    /// As results name it: `0.72 g s m-3`.
    pub label: Arc<str>,
    /// \[kg s m⁻³\]
    pub value: f64,
}

/// One quantity of one contaminant.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// Name in the catalogue or the data-set file.
    pub contaminant: Arc<str>,
    /// What the channel holds: [`Dimension::MassMixingRatio`] or
    /// [`Dimension::MassConcentration`], in canonical units.
    pub stored: Dimension,
    /// What is reduced. A lane of mixing ratio serves thresholds in ppmv and
    /// stands beside a lane of concentration of the same contaminant.
    pub quantity: Quantity,
    /// Whether the channel holds natural logarithms.
    pub log: bool,
    /// For time above, in the lane's unit.
    pub thresholds: Vec<Threshold>,
    /// On the dosage.
    pub dosage_limits: Vec<DosageLimit>,
    /// Window of the rolling mean \[s\].
    pub rolling_window_s: Option<f64>,
}

/// What a backend runs over a field's channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The first channels, in order.
    pub lanes: Vec<Lane>,
    /// Channel of the temperature \[K\].
    pub temperature: Option<usize>,
    /// Channel of the specific humidity \[kg kg⁻¹\].
    pub humidity: Option<usize>,
    /// Where the samples are.
    pub integration: Integration,
    /// Air through the engines, where a dose is asked for.
    pub engine_flow: Option<EngineFlow>,
}

impl Program {
    /// Number of channels that a field must have.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.lanes.len() + usize::from(self.temperature.is_some()) + usize::from(self.humidity.is_some())
    }

    /// Whether ρ plays a part in any lane or dose.
    #[must_use]
    pub fn needs_density(&self) -> bool {
        self.lanes.iter().any(|lane| {
            lane.needs_density() || (self.engine_flow.is_some() && lane.stored == Dimension::MassConcentration)
        })
    }
}

impl Lane {
    /// Whether ρ plays a part in the lane's quantity.
    #[must_use]
    pub fn needs_density(&self) -> bool {
        self.stored != self.dimension()
    }

    fn dimension(&self) -> Dimension {
        match self.quantity {
            Quantity::Concentration => Dimension::MassConcentration,
            Quantity::MixingRatio => Dimension::MassMixingRatio,
        }
    }

    /// `(a, b, c)` of `v (a + b ρ + c / ρ)` that turn the stored value into
    /// the lane's quantity.
    #[must_use]
    pub fn factors(&self) -> (f64, f64, f64) {
        match (self.stored, self.quantity) {
            (Dimension::MassMixingRatio, Quantity::Concentration) => (0.0, 1.0, 0.0),
            (Dimension::MassConcentration, Quantity::MixingRatio) => (0.0, 0.0, 1.0),
            _ => (1.0, 0.0, 0.0),
        }
    }
}
