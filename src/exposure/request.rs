//! From what a call asks for to programs that a backend runs.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    flow::EngineFlow,
    program::{DosageLimit, Integration, Lane, Program, Quantity, Threshold},
};
use crate::{
    atmosphere::DRY_AIR_MOLAR_MASS,
    contaminant::Entry,
    field::{
        FieldError,
        dataset::{Available, ChannelRequest, Dataset},
    },
    units::{Dimension, Unit},
};

/// Channels that one pass takes at most: the widest kernel.
const MOST_CHANNELS: usize = 16;

/// What a call asks of flights in a data set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// Names of contaminants; all that the data set has when empty.
    pub contaminants: Vec<String>,
    /// Thresholds by contaminant; the catalogue's where none is given.
    pub thresholds: BTreeMap<String, Vec<Limit>>,
    /// Where samples lie.
    pub integration: Integration,
    /// Air through the engines.
    pub engine_flow: Option<EngineFlow>,
}

/// A threshold as a call gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// In `unit`.
    pub value: f64,
    /// As written.
    pub unit_text: String,
    /// As parsed.
    pub unit: Unit,
}

/// One pass over a field: a program and the channels that it runs on.
#[derive(Debug, Clone)]
pub struct Pass {
    /// What is computed.
    pub program: Program,
    /// What is read: a channel a lane, then temperature and humidity.
    pub channels: Vec<ChannelRequest>,
    /// What is worth telling: which density is used.
    pub density: &'static str,
}

impl Limit {
    /// Reads `0.2 mg m-3`.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault = || {
            format!(
                "{text:?} is no threshold, expected a number and a unit, such as \"2 mg m-3\", \"0.25 ppmv\" or \"14.4 g s m-3\""
            )
        };
        let text = text.trim();
        let end = text
            .char_indices()
            .find(|&(i, c)| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-') || (matches!(c, 'e' | 'E') && i > 0)))
            .map_or(text.len(), |(i, _)| i);
        let value: f64 = text[..end].parse().map_err(|_| fault())?;
        let unit_text = text[end..].trim();
        let unit = Unit::parse(unit_text).ok_or_else(fault)?;
        let measures = matches!(
            unit.dimension,
            Dimension::MassConcentration
                | Dimension::MassMixingRatio
                | Dimension::VolumeMixingRatio
                | Dimension::Dosage
        );
        if !(measures && value > 0.0 && value.is_finite()) {
            return Err(fault());
        }
        Ok(Self { value, unit_text: unit_text.to_owned(), unit })
    }

    fn label(&self) -> Arc<str> {
        format!("{} {}", self.value, self.unit_text).into()
    }
}

impl Request {
    /// The passes that answer this request.
    ///
    /// # Errors
    /// Contaminants that the data set lacks, units that are not known,
    /// thresholds that do not fit.
    pub fn passes(&self, dataset: &Dataset) -> Result<Vec<Pass>, FieldError> {
        let chosen = self.chosen(dataset)?;
        let has = |name: &str| dataset.places(name).is_some() && dataset.variables().any(|v| v == name);
        let mut lanes: Vec<(Lane, ChannelRequest)> = Vec::new();
        for available in &chosen {
            for lane in self.lanes(available)? {
                lanes.push((lane, Dataset::request(available)));
            }
        }
        let needs_density = |lanes: &[(Lane, ChannelRequest)]| {
            lanes.iter().any(|(lane, _)| {
                lane.needs_density() || (self.engine_flow.is_some() && lane.stored == Dimension::MassConcentration)
            })
        };
        let (temperature, humidity) = (has("temperature"), has("specific_humidity"));
        let extra = if needs_density(&lanes) { usize::from(temperature) + usize::from(humidity) } else { 0 };
        let passes = chunks(&lanes, MOST_CHANNELS - extra).into_iter().map(|chunk| {
            let mut channels: Vec<ChannelRequest> = chunk.iter().map(|(_, c)| c.clone()).collect();
            let dense = needs_density(chunk);
            let mut add = |name: &str, there: bool| {
                (dense && there).then(|| {
                    channels.push(ChannelRequest { parts: vec![(name.to_owned(), 1.0)], log: false });
                    channels.len() - 1
                })
            };
            let (t, q) = (add("temperature", temperature), add("specific_humidity", humidity));
            Pass {
                program: Program {
                    lanes: chunk.iter().map(|(lane, _)| lane.clone()).collect(),
                    temperature: t,
                    humidity: q,
                    integration: self.integration,
                    engine_flow: self.engine_flow.clone(),
                },
                channels,
                density: match (dense, t.is_some(), q.is_some()) {
                    (false, ..) => "not needed",
                    (true, true, true) => "temperature and humidity of the field",
                    (true, true, false) => "temperature of the field, dry air",
                    (true, false, true) => "standard atmosphere, humidity of the field",
                    (true, false, false) => "standard atmosphere, dry air",
                },
            }
        });
        Ok(passes.collect())
    }

    fn chosen(&self, dataset: &Dataset) -> Result<Vec<Available>, FieldError> {
        let all = dataset.contaminants()?;
        if self.contaminants.is_empty() {
            if all.is_empty() {
                return Err(FieldError::Dataset(format!(
                    "no contaminant recognised among {}; name them in a data-set file (--dataset)",
                    dataset.variables().collect::<Vec<_>>().join(", ")
                )));
            }
            self.check_thresholds(&all)?;
            return Ok(all);
        }
        let mut chosen: Vec<Available> = Vec::new();
        for name in &self.contaminants {
            let found = dataset.contaminant(name)?.ok_or_else(|| {
                FieldError::Dataset(format!(
                    "no contaminant {name:?} in the fields, which have {}",
                    all.iter().map(|a| &*a.name).collect::<Vec<_>>().join(", ")
                ))
            })?;
            if !chosen.iter().any(|c| c.name == found.name) {
                chosen.push(found);
            }
        }
        self.check_thresholds(&chosen)?;
        Ok(chosen)
    }

    fn check_thresholds(&self, chosen: &[Available]) -> Result<(), FieldError> {
        for name in self.thresholds.keys() {
            let canonical = Entry::find(name).map_or(name.as_str(), |e| e.name);
            if !chosen.iter().any(|c| &*c.name == canonical) {
                return Err(FieldError::Dataset(format!(
                    "a threshold is given for {name:?}, which is not among the contaminants computed: {}",
                    chosen.iter().map(|c| &*c.name).collect::<Vec<_>>().join(", ")
                )));
            }
        }
        Ok(())
    }

    /// The lane of concentration, and one of mixing ratio where a threshold
    /// asks for it.
    fn lanes(&self, available: &Available) -> Result<Vec<Lane>, FieldError> {
        let limits = self.limits(available);
        let mut concentration = Lane {
            contaminant: available.name.clone(),
            stored: available.stored,
            quantity: Quantity::Concentration,
            log: available.log,
            thresholds: Vec::new(),
            dosage_limits: Vec::new(),
            rolling_window_s: available.entry.and_then(|e| e.rolling_window_s),
        };
        let mut ratio = Lane { quantity: Quantity::MixingRatio, rolling_window_s: None, ..concentration.clone() };
        for limit in limits {
            let label = limit.label();
            let value = limit.value * limit.unit.factor;
            match limit.unit.dimension {
                Dimension::Dosage => concentration.dosage_limits.push(DosageLimit { label, value }),
                Dimension::MassConcentration => concentration.thresholds.push(Threshold { label, value }),
                Dimension::MassMixingRatio => ratio.thresholds.push(Threshold { label, value }),
                _ => {
                    let molar_mass = available.entry.and_then(|e| e.molar_mass).ok_or_else(|| {
                        FieldError::Dataset(format!(
                            "the threshold {label} of {} needs a molar mass, and the catalogue has none",
                            available.name
                        ))
                    })?;
                    let value = value * molar_mass.grams_per_mole() / DRY_AIR_MOLAR_MASS.grams_per_mole();
                    ratio.thresholds.push(Threshold { label, value });
                }
            }
        }
        let mut lanes = vec![concentration];
        if !ratio.thresholds.is_empty() {
            lanes.push(ratio);
        }
        Ok(lanes)
    }

    fn limits(&self, available: &Available) -> Vec<Limit> {
        let given = self
            .thresholds
            .iter()
            .find(|(name, _)| Entry::find(name).map_or(name.as_str(), |e| e.name) == &*available.name);
        if let Some((_, limits)) = given {
            return limits.clone();
        }
        let catalogue = available.entry.map_or(&[][..], |e| e.limits);
        catalogue
            .iter()
            .map(|limit| Limit { value: limit.value, unit_text: limit.unit.to_owned(), unit: limit.parsed_unit() })
            .collect()
    }
}

/// Lanes in runs of at most `most`, those of one contaminant together: the
/// figures of its mixing ratio stand in the rows of its concentration.
fn chunks(lanes: &[(Lane, ChannelRequest)], most: usize) -> Vec<&[(Lane, ChannelRequest)]> {
    let mut chunks = Vec::new();
    let mut rest = lanes;
    while !rest.is_empty() {
        let mut end = most.min(rest.len());
        while end < rest.len() && end > 1 && rest[end].0.contaminant == rest[end - 1].0.contaminant {
            end -= 1;
        }
        let (chunk, others) = rest.split_at(end);
        chunks.push(chunk);
        rest = others;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_a_number_and_a_unit() {
        let limit = Limit::parse("0.2 mg m-3").unwrap();
        assert!((limit.value - 0.2).abs() < 1e-15 && (limit.unit.factor - 1e-6).abs() < 1e-20);
        assert_eq!(&*limit.label(), "0.2 mg m-3");
        assert_eq!(Limit::parse("1e-3kg m-3").unwrap().unit.dimension, Dimension::MassConcentration);
        assert_eq!(Limit::parse("14.4 g s m-3").unwrap().unit.dimension, Dimension::Dosage);
        for bad in ["", "mg m-3", "2", "2 K", "2 furlong", "-1 mg m-3", "nan mg m-3", "1..2 mg m-3"] {
            assert!(Limit::parse(bad).unwrap_err().contains("expected a number and a unit"), "{bad}");
        }
    }
}
