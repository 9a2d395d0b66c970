//! Levels spelled in the names of variables: `C_FL050`, `C_FL100`, …

use super::file::{LevelKind, LevelPlace, LevelRule, ValueRule};
use crate::field::{FieldError, FieldSource, Levels, Variable, Window};

/// A source whose single-level variables stand as one variable with levels.
pub(super) struct Stacked {
    inner: Box<dyn FieldSource>,
    variables: Vec<Variable>,
    /// The inner variables of the last of `variables`, level by level.
    layers: Vec<usize>,
    /// The inner variable of each of the other `variables`.
    others: Vec<usize>,
}

/// The source with its levels stacked, or as it is where no name fits.
///
/// # Errors
/// When the variables that fit differ in their axes, or a level is no number.
pub(super) fn stack(inner: Box<dyn FieldSource>, rule: &LevelRule) -> Result<Box<dyn FieldSource>, FieldError> {
    let (Some(pattern), Some(kind), Some(name)) = (&rule.in_names, rule.kind, &rule.contaminant) else {
        return Ok(inner);
    };
    let (prefix, suffix) = pattern.split_once("{}").unwrap_or((pattern, ""));
    let mut layers: Vec<(f64, usize)> = Vec::new();
    let mut others = Vec::new();
    for (index, variable) in inner.variables().iter().enumerate() {
        let level = variable.name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
        match level.map(str::parse::<f64>) {
            Some(Ok(level)) if level.is_finite() => layers.push((level, index)),
            _ => others.push(index),
        }
    }
    if layers.is_empty() {
        return Ok(inner);
    }
    layers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let variables = inner.variables();
    let first = &variables[layers[0].1];
    for &(_, index) in &layers {
        let other = &variables[index];
        if other.times_s != first.times_s
            || other.latitudes_deg != first.latitudes_deg
            || other.longitudes_deg != first.longitudes_deg
            || other.levels != Levels::Surface
        {
            return Err(FieldError::Dataset(format!(
                "levels.in_names: variables {} and {} differ in their axes, expected one level each of the same field",
                first.name, other.name
            )));
        }
    }
    let values = layers.iter().map(|l| l.0);
    let levels = match kind {
        LevelKind::FlightLevel => Levels::FlightLevel(values.collect()),
        LevelKind::Altitude => Levels::Altitude(values.collect()),
        LevelKind::Pressure => Levels::Pressure(values.map(|hpa| hpa * 100.0).collect()),
    };
    let stacked = Variable { name: name.clone(), standard_name: None, long_name: None, levels, ..first.clone() };
    let mut all: Vec<Variable> = others.iter().map(|&i| variables[i].clone()).collect();
    all.push(stacked);
    Ok(Box::new(Stacked { variables: all, layers: layers.into_iter().map(|l| l.1).collect(), others, inner }))
}

impl FieldSource for Stacked {
    fn format(&self) -> String {
        self.inner.format()
    }

    fn path(&self) -> Option<&std::path::Path> {
        self.inner.path()
    }

    fn levels_at(&self) -> LevelPlace {
        self.inner.levels_at()
    }

    fn value_rule(&self, variable: usize) -> ValueRule {
        let inner = self.others.get(variable).or(self.layers.first());
        inner.map_or(ValueRule::Linear, |&inner| self.inner.value_rule(inner))
    }

    fn held_bytes(&self) -> u64 {
        self.inner.held_bytes()
    }

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn remarks(&self) -> &[String] {
        self.inner.remarks()
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        if let Some(&inner) = self.others.get(variable) {
            return self.inner.read(inner, window, out);
        }
        let plane = window.latitudes.len() * window.longitudes.len();
        for (t, time) in window.times.clone().enumerate() {
            for (k, level) in window.levels.clone().enumerate() {
                let at = (t * window.levels.len() + k) * plane;
                let one = Window { times: time..time + 1, levels: 0..1, ..window.clone() };
                self.inner.read(self.layers[level], &one, &mut out[at..at + plane])?;
            }
        }
        Ok(())
    }
}
