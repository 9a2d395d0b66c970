//! What a message asks for, flights apart.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};

use super::{Claim, Rejection};
use crate::{
    contaminant::Entry,
    exposure::{
        flow::{EngineFlow, FlowTable},
        program::Integration,
        request::{Limit, Request},
    },
    grid::VerticalRule,
    job::{Id, Terms},
    trajectory::AltitudeUnit,
};

/// Longest lists of a head: contaminants, thresholds of one.
const MOST_NAMES: usize = 256;

/// What is asked of a job's flights.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The name of a data set in the worker's catalogue.
    pub dataset: Id,
    /// Names of contaminants; all that the data set has when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contaminants: Vec<String>,
    /// Thresholds by contaminant, as in `"2 mg m-3"`; they replace the
    /// catalogue's for that contaminant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, Vec<String>>,
    /// Where samples lie: along the path as densely as the grid asks for, or
    /// at the waypoints alone.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["path", "waypoints"]))]
    pub integration: Integration,
    /// How a value between two levels is found.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["linear-p", "log-p", "layer-mean"]))]
    pub vertical: VerticalRule,
    /// Air through the engines' cores, for the ingested dose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::schema::EngineFlow>")]
    pub engine_flow: Option<FlowTable>,
    /// Whether faults of flights are repaired as those of files are. If not,
    /// flights are taken as they stand, and those with a fault are rejected.
    #[serde(default = "yes")]
    pub repair: bool,
    /// Unit of a column called just `altitude`; metres where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("enum" = ["metres", "feet", null]))]
    pub altitude_unit: Option<AltitudeUnit>,
    /// Where the flights are, if not in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flights_in_store: Option<Claim>,
}

fn yes() -> bool {
    true
}

impl Head {
    /// Of nothing but a data set.
    #[must_use]
    pub fn new(dataset: Id) -> Self {
        Self {
            dataset,
            contaminants: Vec::new(),
            thresholds: BTreeMap::new(),
            integration: Integration::default(),
            vertical: VerticalRule::default(),
            engine_flow: None,
            repair: true,
            altitude_unit: None,
            flights_in_store: None,
        }
    }

    /// What says the same as `terms`, of flights that are to be taken as they
    /// stand.
    #[must_use]
    pub fn of(terms: &Terms) -> Self {
        let request = &terms.request;
        let texts = |limits: &[Limit]| limits.iter().map(|l| format!("{} {}", l.value, l.unit_text)).collect();
        Self {
            contaminants: request.contaminants.clone(),
            thresholds: request.thresholds.iter().map(|(name, limits)| (name.clone(), texts(limits))).collect(),
            integration: request.integration,
            vertical: terms.vertical,
            engine_flow: request.engine_flow.as_ref().map(|flow| flow.table().clone()),
            repair: false,
            ..Self::new(terms.dataset.clone())
        }
    }

    /// The request, with the catalogue's names for contaminants, each once.
    pub(super) fn request(&self) -> Result<Request, Rejection> {
        let canonical = |name: &String| Entry::find(name).map_or_else(|| name.clone(), |e| e.name.to_owned());
        let mut contaminants: Vec<String> = Vec::new();
        for name in &self.contaminants {
            let name = canonical(name);
            if !contaminants.contains(&name) {
                contaminants.push(name);
            }
        }
        let mut thresholds: BTreeMap<String, Vec<Limit>> = BTreeMap::new();
        for (name, texts) in &self.thresholds {
            let limits = texts.iter().map(|text| {
                let expected = "a number and a unit, such as \"2 mg m-3\", \"0.25 ppmv\" or \"14.4 g s m-3\"";
                Limit::parse(text)
                    .map_err(|_| Rejection::new(format!("thresholds.{name}"), format_args!("{text:?}"), expected))
            });
            let limits = limits.collect::<Result<_, _>>()?;
            if thresholds.insert(canonical(name), limits).is_some() {
                return Err(Rejection::new(
                    format!("thresholds.{name}"),
                    "a second name of one contaminant",
                    "each contaminant once",
                ));
            }
        }
        let engine_flow = match &self.engine_flow {
            Some(table) => Some(
                EngineFlow::of(table.clone())
                    .map_err(|what| Rejection::new("engine_flow", what, "an engine flow as docs/messages.md has it"))?,
            ),
            None => None,
        };
        Ok(Request { contaminants, thresholds, integration: self.integration, engine_flow })
    }
}

/// The fields of a [`Head`] as they are read, and what comes beside them.
pub(super) struct Parts {
    head: Head,
    seen: Vec<&'static str>,
}

/// The fields of a head, in the order in which errors list them.
const FIELDS: &[&str] = &[
    "dataset",
    "contaminants",
    "thresholds",
    "integration",
    "vertical",
    "engine_flow",
    "repair",
    "altitude_unit",
    "flights_in_store",
];

impl Parts {
    pub(super) fn new() -> Self {
        // The name is checked to have been given.
        let nameless = Id::unnamed();
        Self { head: Head::new(nameless), seen: Vec::new() }
    }

    /// Reads the value of `name`; false where the head has no such field.
    pub(super) fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let Some(&field) = FIELDS.iter().find(|f| **f == name) else { return Ok(false) };
        if self.seen.contains(&field) {
            return Err(A::Error::custom(format!("{field} is there twice, expected once")));
        }
        self.seen.push(field);
        let head = &mut self.head;
        match field {
            "dataset" => head.dataset = value(field, map)?,
            "contaminants" => head.contaminants = value(field, map)?,
            "thresholds" => head.thresholds = value(field, map)?,
            "integration" => head.integration = value(field, map)?,
            "vertical" => head.vertical = value(field, map)?,
            "engine_flow" => head.engine_flow = value(field, map)?,
            "repair" => head.repair = value(field, map)?,
            "altitude_unit" => head.altitude_unit = value(field, map)?,
            _ => head.flights_in_store = value(field, map)?,
        }
        Ok(true)
    }

    /// The head, where the name of a data set was given.
    pub(super) fn finish(self) -> Result<Head, Rejection> {
        let head = self.head;
        if !self.seen.contains(&"dataset") {
            return Err(Rejection::new("dataset", "absent", "the name of a data set in the worker's catalogue"));
        }
        let lists = [("contaminants", head.contaminants.len()), ("thresholds", head.thresholds.len())];
        let most = head.thresholds.values().map(Vec::len).max().unwrap_or(0);
        for (field, length) in lists.into_iter().chain([("thresholds", most)]) {
            if length > MOST_NAMES {
                return Err(Rejection::new(field, format_args!("{length} long"), format!("at most {MOST_NAMES}")));
            }
        }
        Ok(head)
    }
}

/// A value, whose error names its field.
pub(super) fn value<'de, T: DeserializeOwned, A: MapAccess<'de>>(field: &str, map: &mut A) -> Result<T, A::Error> {
    map.next_value::<T>().map_err(|e| A::Error::custom(format!("{field}: {e}")))
}

/// A head that stands alone: the metadata of an Arrow schema.
struct Alone(Parts);

impl<'de> Deserialize<'de> for Alone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Alone;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a job: an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Alone, A::Error> {
                let mut parts = Parts::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !parts.read(&name, &mut map)? {
                        return Err(unknown(&name, &[]));
                    }
                }
                Ok(Alone(parts))
            }
        }
        from.deserialize_map(Fields)
    }
}

/// Says which fields there are.
pub(super) fn unknown<E: serde::de::Error>(name: &str, more: &[&str]) -> E {
    let known: Vec<&str> = FIELDS.iter().chain(more).copied().collect();
    let name: String = name.chars().take(60).collect();
    E::custom(format!("unknown field {name:?}, expected one of {}", known.join(", ")))
}

/// Reads a head that stands alone.
pub(super) fn alone(json: &str, field: &str) -> Result<Head, Rejection> {
    super::body::check_depth(json.as_bytes())?;
    let alone: Alone = serde_json::from_str(json).map_err(|e| refuse(field, &e))?;
    alone.0.finish()
}

/// A fault of JSON as a rejection.
pub(super) fn refuse(field: &str, error: &serde_json::Error) -> Rejection {
    Rejection::new(field, format_args!("not a job: {error}"), "a job as docs/messages.md has it")
}
