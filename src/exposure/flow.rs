//! Air through the engines' cores, for the ingested dose ∫ χ ṁ dt.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    atmosphere::isa_pressure,
    trajectory::phase::Phase,
    units::{Altitude, Pressure},
};

/// Core mass flow of all engines together, by phase and pressure altitude.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineFlow {
    /// As given.
    table: FlowTable,
    /// In the order of [`Phase::PARTS`].
    phases: [Curve; 4],
}

/// Mass flow over pressure, linear between the points, constant beyond.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    pressure_pa: Vec<f64>,
    kg_s: Vec<f64>,
}

/// Why a file is no engine flow.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct FlowError {
    path: String,
    what: String,
}

/// An engine flow as people write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowTable {
    /// How many engines, 1 to 16.
    pub engines: f64,
    /// Through the core of one engine.
    pub core_mass_flow: FlowPhases,
}

/// The flow through one core in each phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowPhases {
    /// On the ground.
    pub ground: Flow,
    /// Climbing.
    pub climb: Flow,
    /// Level.
    pub cruise: Flow,
    /// Descending.
    pub descent: Flow,
}

/// A flow \[kg s⁻¹\].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "a number in kg/s, or { altitude_ft = [...], kg_s = [...] }")]
pub enum Flow {
    /// The same at all altitudes.
    Constant(f64),
    /// Over pressure altitude, linear in pressure between the points.
    Curve {
        /// Feet.
        altitude_ft: Vec<f64>,
        /// As many flows.
        kg_s: Vec<f64>,
    },
}

impl EngineFlow {
    /// Reads a TOML file: `engines`, and under `[core_mass_flow]` for each of
    /// `ground`, `climb`, `cruise`, `descent` the flow through one core: a
    /// number in kg s⁻¹ or `{ altitude_ft = [...], kg_s = [...] }`.
    ///
    /// # Errors
    /// Names the file, the field and what was expected.
    pub fn read(path: &Path) -> Result<Self, FlowError> {
        let fault = |what: String| FlowError { path: path.display().to_string(), what };
        let text = std::fs::read_to_string(path).map_err(|e| fault(e.to_string()))?;
        Self::parse(&text).map_err(fault)
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::of(toml::from_str(text).map_err(|e| e.to_string())?)
    }

    /// From a table.
    ///
    /// # Errors
    /// Names the field, its value and what was expected.
    pub fn of(table: FlowTable) -> Result<Self, String> {
        if !(table.engines >= 1.0 && table.engines <= 16.0) {
            return Err(format!("engines is {}, expected a number from 1 to 16", table.engines));
        }
        let FlowPhases { ground, climb, cruise, descent } = &table.core_mass_flow;
        let curve = |name, flow: &Flow| Curve::new(name, flow.clone(), table.engines);
        Ok(Self {
            phases: [
                curve("ground", ground)?,
                curve("climb", climb)?,
                curve("cruise", cruise)?,
                curve("descent", descent)?,
            ],
            table,
        })
    }

    /// As it was given.
    #[must_use]
    pub fn table(&self) -> &FlowTable {
        &self.table
    }

    /// Of each phase in the order of [`Phase::PARTS`]: pressures \[Pa\],
    /// ascending, and the flow of all engines \[kg s⁻¹\] there.
    pub fn curves(&self) -> impl Iterator<Item = (&[f64], &[f64])> {
        self.phases.iter().map(|curve| (curve.pressure_pa.as_slice(), curve.kg_s.as_slice()))
    }

    /// ṁ of all engines \[kg s⁻¹\]; `phase` is one of [`Phase::PARTS`], and a
    /// whole flight counts as cruise.
    #[must_use]
    pub fn at(&self, phase: Phase, pressure: Pressure) -> f64 {
        let index = Phase::PARTS.iter().position(|&p| p == phase).unwrap_or(2);
        self.phases[index].at(pressure.pascal())
    }
}

impl EngineFlow {
    /// Pressures \[Pa\], ascending, and ṁ of all engines at them \[kg s⁻¹\];
    /// linear between, constant beyond.
    pub fn curve(&self, phase: Phase) -> impl Iterator<Item = (f64, f64)> {
        let index = Phase::PARTS.iter().position(|&p| p == phase).unwrap_or(2);
        let curve = &self.phases[index];
        curve.pressure_pa.iter().copied().zip(curve.kg_s.iter().copied())
    }
}

impl Curve {
    fn new(name: &str, flow: Flow, engines: f64) -> Result<Self, String> {
        let (altitude_ft, kg_s) = match flow {
            Flow::Constant(kg_s) => (vec![0.0], vec![kg_s]),
            Flow::Curve { altitude_ft, kg_s } => (altitude_ft, kg_s),
        };
        if altitude_ft.len() != kg_s.len() || kg_s.is_empty() {
            return Err(format!(
                "core_mass_flow.{name} has {} altitudes and {} flows, expected as many of each, at least one",
                altitude_ft.len(),
                kg_s.len()
            ));
        }
        if let Some(bad) = kg_s.iter().find(|v| !(**v >= 0.0 && v.is_finite())) {
            return Err(format!("core_mass_flow.{name} has the flow {bad}, expected kg/s, not negative"));
        }
        let mut points: Vec<(f64, f64)> = altitude_ft
            .iter()
            .zip(&kg_s)
            .map(|(&ft, &flow)| (isa_pressure(Altitude::from_feet(ft)).pascal(), flow * engines))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if points.iter().any(|p| !p.0.is_finite()) || points.windows(2).any(|w| w[0].0 >= w[1].0) {
            return Err(format!("core_mass_flow.{name} has altitudes that are equal or not numbers"));
        }
        let (pressure_pa, kg_s) = points.into_iter().unzip();
        Ok(Self { pressure_pa, kg_s })
    }

    fn at(&self, pressure_pa: f64) -> f64 {
        let above = self.pressure_pa.partition_point(|&p| p <= pressure_pa);
        match above {
            0 => self.kg_s[0],
            n if n == self.kg_s.len() => self.kg_s[n - 1],
            n => {
                let (p0, p1) = (self.pressure_pa[n - 1], self.pressure_pa[n]);
                let w = (pressure_pa - p0) / (p1 - p0);
                self.kg_s[n - 1] + w * (self.kg_s[n] - self.kg_s[n - 1])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r"
        engines = 2
        [core_mass_flow]
        ground = 10
        climb = { altitude_ft = [0, 30000], kg_s = [60, 30] }
        cruise = 25.5
        descent = 12
    ";

    #[test]
    fn flows_are_of_all_engines_and_linear_in_pressure() {
        let flow = EngineFlow::parse(FILE).unwrap();
        let p = |ft| isa_pressure(Altitude::from_feet(ft));
        assert!((flow.at(Phase::Cruise, p(35_000.0)) - 51.0).abs() < 1e-12);
        assert!((flow.at(Phase::Climb, p(0.0)) - 120.0).abs() < 1e-9);
        assert!((flow.at(Phase::Climb, p(40_000.0)) - 60.0).abs() < 1e-9);
        let half = Pressure::from_pascal(0.5 * (p(0.0).pascal() + p(30_000.0).pascal()));
        assert!((flow.at(Phase::Climb, half) - 90.0).abs() < 1e-9);
    }

    #[test]
    fn faults_name_the_field() {
        let fault = |text: &str| EngineFlow::parse(text).unwrap_err();
        assert!(fault("engines = 2").contains("core_mass_flow"));
        assert!(fault(&FILE.replace("= 2\n", "= 0\n")).contains("engines is 0"));
        assert!(fault(&FILE.replace("[60, 30]", "[60]")).contains("climb has 2 altitudes and 1 flows"));
        assert!(fault(&FILE.replace("25.5", "-1")).contains("cruise has the flow -1"));
        assert!(fault(&FILE.replace("descent", "decent")).contains("decent"));
    }
}
