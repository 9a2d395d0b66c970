//! A row of results in JSON.

use std::{collections::BTreeSet, fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
};

use crate::{
    exposure::{Exposure, Peak},
    time::UnixTime,
    trajectory::phase::Phase,
};

/// One row: what one flight met of one contaminant in one phase. Columns and
/// units are those of result files; a figure that does not exist is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The flight's name.
    pub flight_id: String,
    /// The contaminant.
    pub contaminant: String,
    /// Which part of the flight.
    #[schemars(with = "String", extend("enum" = ["flight", "ground", "climb", "cruise", "descent"]))]
    pub phase: Phase,
    /// Member of the ensemble or statistic over its members.
    pub member: Option<String>,
    /// First instant of the phase, RFC 3339.
    pub start: Stamp,
    /// Last instant of the phase, RFC 3339.
    pub end: Stamp,
    /// Time spent in the phase \[s\].
    pub duration_s: Option<f64>,
    /// Part of it for which the field gave a value, 0 to 1.
    pub sampled_fraction: Option<f64>,
    /// ∫ C dt over the time sampled \[g s m⁻³\].
    pub dosage_g_s_m3: Option<f64>,
    /// Dosage over the time sampled \[mg m⁻³\].
    pub mean_mg_m3: Option<f64>,
    /// The largest concentration \[mg m⁻³\].
    pub peak_mg_m3: Option<f64>,
    /// When it was met, RFC 3339.
    pub peak_time: Option<Stamp>,
    /// Where \[degrees east\].
    pub peak_longitude: Option<f64>,
    /// Where \[degrees north\].
    pub peak_latitude: Option<f64>,
    /// Where \[hPa\].
    pub peak_pressure_hpa: Option<f64>,
    /// Largest mean over a window that was sampled throughout \[mg m⁻³\].
    pub rolling_peak_mg_m3: Option<f64>,
    /// Length of that window \[s\].
    pub rolling_window_s: Option<f64>,
    /// Mass through the engines' cores \[g\].
    pub dose_g: Option<f64>,
    /// Seconds at or above each threshold.
    pub time_above_s: Pairs,
    /// Probability of reaching each threshold.
    pub exceedance_probability: Pairs,
}

/// An instant as RFC 3339 in UTC, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp(pub f64);

/// Figures by threshold, in the order of the thresholds: a JSON object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs(pub Vec<(String, Option<f64>)>);

impl From<&Exposure> for Row {
    fn from(e: &Exposure) -> Self {
        let finite = |value: f64| Some(value).filter(|v| v.is_finite());
        let peak = |of: fn(&Peak) -> f64| e.peak.as_ref().map(of).and_then(finite);
        Self {
            flight_id: e.flight_id.as_ref().to_owned(),
            contaminant: e.contaminant.as_ref().to_owned(),
            phase: e.phase,
            member: e.member.as_deref().map(str::to_owned),
            start: Stamp(e.start_s),
            end: Stamp(e.end_s),
            duration_s: finite(e.duration_s),
            sampled_fraction: finite(e.sampled_fraction),
            dosage_g_s_m3: e.dosage_g_s_m3.and_then(finite),
            mean_mg_m3: e.mean_mg_m3.and_then(finite),
            peak_mg_m3: peak(|p| p.mg_m3),
            peak_time: peak(|p| p.time_s).map(Stamp),
            peak_longitude: peak(|p| p.longitude_deg),
            peak_latitude: peak(|p| p.latitude_deg),
            peak_pressure_hpa: peak(|p| p.pressure_hpa),
            rolling_peak_mg_m3: e.rolling_peak_mg_m3.and_then(finite),
            rolling_window_s: e.rolling_window_s.and_then(finite),
            dose_g: e.dose_g.and_then(finite),
            time_above_s: Pairs::of(&e.time_above_s),
            exceedance_probability: Pairs::of(&e.exceedance),
        }
    }
}

impl From<Row> for Exposure {
    fn from(row: Row) -> Self {
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Self {
            flight_id: row.flight_id.into(),
            contaminant: row.contaminant.into(),
            phase: row.phase,
            member: row.member.map(Arc::from),
            start_s: row.start.0,
            end_s: row.end.0,
            duration_s: number(row.duration_s),
            sampled_fraction: number(row.sampled_fraction),
            dosage_g_s_m3: row.dosage_g_s_m3,
            mean_mg_m3: row.mean_mg_m3,
            peak: row.peak_mg_m3.map(|mg_m3| Peak {
                mg_m3,
                time_s: number(row.peak_time.map(|t| t.0)),
                longitude_deg: number(row.peak_longitude),
                latitude_deg: number(row.peak_latitude),
                pressure_hpa: number(row.peak_pressure_hpa),
            }),
            rolling_peak_mg_m3: row.rolling_peak_mg_m3,
            rolling_window_s: row.rolling_window_s,
            dose_g: row.dose_g,
            time_above_s: row.time_above_s.into(),
            exceedance: row.exceedance_probability.into(),
        }
    }
}

impl Pairs {
    fn of(figures: &[(Arc<str>, Option<f64>)]) -> Self {
        Self(figures.iter().map(|(name, value)| (name.as_ref().to_owned(), *value)).collect())
    }
}

impl From<Pairs> for Vec<(Arc<str>, Option<f64>)> {
    fn from(pairs: Pairs) -> Self {
        pairs.0.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(&UnixTime(self.0))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        UnixTime::parse(&text)
            .map(|t| Self(t.0))
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no time, expected RFC 3339")))
    }
}

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.collect_map(self.0.iter().map(|(name, value)| (name, value.filter(|v| v.is_finite()))))
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("figures by threshold")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                let mut seen = BTreeSet::new();
                while let Some((name, value)) = map.next_entry::<String, Option<f64>>()? {
                    if !seen.insert(name.clone()) {
                        return Err(A::Error::custom(format!("{name:?} is there twice")));
                    }
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(InOrder)
    }
}

impl JsonSchema for Stamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Stamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl JsonSchema for Pairs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pairs".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": { "type": ["number", "null"] } })
    }
}
