//! The key of a result: what makes two results the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Job, Terms};
use crate::exposure::flow::EngineFlow;

/// Of the engine; raised whenever a figure of some flight changes.
pub const ALGORITHM: u32 = 1;

/// BLAKE3 of the canonical job, the data set's version, the algorithm's
/// version and the numerical mode: never of the attempt or the worker. Written
/// as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key([u8; 32]);

/// What a result depends on besides its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions<'a> {
    /// Of the data set, as the catalogue has it.
    pub dataset: &'a str,
    /// [`ALGORITHM`].
    pub algorithm: u32,
    /// How numbers are computed: backends of one mode agree within the
    /// stated tolerance.
    pub mode: &'a str,
}

/// Text that is no [`Key`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no key, expected 64 hexadecimal digits")]
pub struct KeyError(String);

impl Key {
    /// The key of a job's result.
    #[must_use]
    pub fn of(job: &Job, versions: &Versions<'_>) -> Self {
        let mut canon = Canon(blake3::Hasher::new());
        canon.text("skydose job 1");
        canon.text(versions.dataset);
        canon.number(u64::from(versions.algorithm));
        canon.text(versions.mode);
        canon.text(job.terms.submission.as_str());
        canon.text(job.terms.id.as_str());
        canon.asked(&job.terms);
        canon.flights(job);
        Self(*canon.0.finalize().as_bytes())
    }
}

impl Terms {
    /// A digest of what is asked: jobs with equal ones may be computed together.
    #[must_use]
    pub fn program(&self) -> [u8; 32] {
        let mut canon = Canon(blake3::Hasher::new());
        canon.asked(self);
        *canon.0.finalize().as_bytes()
    }
}

/// A hash of values that cannot run into each other: texts and lists begin
/// with their length.
struct Canon(blake3::Hasher);

impl Canon {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text.as_bytes());
    }

    /// The bits: 0 and −0 are two numbers, as they are in the figures.
    fn float(&mut self, value: f64) {
        self.number(value.to_bits());
    }

    fn floats(&mut self, values: &[f64]) {
        self.length(values.len());
        for value in values {
            self.float(*value);
        }
    }

    fn asked(&mut self, terms: &Terms) {
        self.text(terms.dataset.as_str());
        let request = &terms.request;
        self.length(request.contaminants.len());
        request.contaminants.iter().for_each(|name| self.text(name));
        self.length(request.thresholds.len());
        for (name, limits) in &request.thresholds {
            self.text(name);
            self.length(limits.len());
            for limit in limits {
                self.float(limit.value);
                self.text(&limit.unit_text);
            }
        }
        self.text(request.integration.name());
        self.text(terms.vertical.name());
        self.number(u64::from(request.engine_flow.is_some()));
        if let Some(flow) = &request.engine_flow {
            self.flow(flow);
        }
    }

    fn flow(&mut self, flow: &EngineFlow) {
        for (pressure_pa, kg_s) in flow.curves() {
            self.floats(pressure_pa);
            self.floats(kg_s);
        }
    }

    fn flights(&mut self, job: &Job) {
        let fleet = &job.flights.fleet;
        self.length(fleet.len());
        for flight in fleet.iter() {
            self.text(flight.id);
            self.floats(flight.time_s);
            self.floats(flight.longitude_deg);
            self.floats(flight.latitude_deg);
            self.floats(flight.pressure_pa);
            let on_ground: Vec<u8> = flight.on_ground.iter().map(|&g| u8::from(g)).collect();
            self.0.update(&on_ground);
        }
        self.length(job.flights.rejects.len());
        for reject in &job.flights.rejects {
            self.text(&reject.flight_id);
            self.text(&reject.reason);
            self.length(reject.waypoints);
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        blake3::Hash::from_hex(&text).map(|hash| Self(*hash.as_bytes())).map_err(|_| KeyError(text))
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

impl schemars::JsonSchema for Key {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "BLAKE3 of the job, the data set's version, the algorithm's version and the numerical mode.",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::testing::{fleet, id, job},
        trajectory::{Loaded, Reject},
    };

    const VERSIONS: Versions<'_> = Versions { dataset: "1", algorithm: ALGORITHM, mode: "f64" };

    fn key(change: impl Fn(&mut Job)) -> Key {
        let mut job = job(2);
        change(&mut job);
        Key::of(&job, &VERSIONS)
    }

    #[test]
    fn the_same_job_has_the_same_key_in_every_version_of_this_program() {
        // A change here answers every job anew: raise ALGORITHM instead.
        assert_eq!(key(|_| ()).to_string(), "87d7845c3b672ed9a3646be859975dc8b723a028e79448a07c7315f05fcc75a6");
    }

    #[test]
    fn whatever_changes_a_figure_changes_the_key() {
        let limits = |text: &str| vec![crate::exposure::request::Limit::parse(text).unwrap()];
        let changes: [&dyn Fn(&mut Job); 13] = [
            &|_| (),
            &|j| j.terms.id = id("other"),
            &|j| j.terms.submission = id("other"),
            &|j| j.terms.dataset = id("other"),
            &|j| j.terms.request.contaminants = vec!["ash".to_owned()],
            &|j| j.terms.request.contaminants = vec!["as".to_owned(), "h".to_owned()],
            &|j| drop(j.terms.request.thresholds.insert("ash".to_owned(), limits("2 mg m-3"))),
            &|j| drop(j.terms.request.thresholds.insert("ash".to_owned(), limits("2 ug m-3"))),
            &|j| j.terms.request.integration = crate::exposure::program::Integration::Waypoints,
            &|j| j.terms.vertical = crate::grid::VerticalRule::LogP,
            &|j| j.flights.fleet.shift_time(1e-6),
            &|j| j.flights = Loaded { fleet: fleet(3), ..Loaded::default() },
            &|j| {
                j.flights.rejects.push(Reject {
                    flight_id: "x".into(),
                    reason: "y".into(),
                    waypoints: 1,
                    path: "z".into(),
                });
            },
        ];
        let keys: std::collections::BTreeSet<Key> = changes.iter().map(key).collect();
        assert_eq!(keys.len(), changes.len());
        let other = |versions: Versions<'_>| Key::of(&job(2), &versions);
        assert_ne!(other(Versions { dataset: "2", ..VERSIONS }), key(|_| ()));
        assert_ne!(other(Versions { algorithm: ALGORITHM + 1, ..VERSIONS }), key(|_| ()));
        assert_ne!(other(Versions { mode: "f32", ..VERSIONS }), key(|_| ()));
    }

    #[test]
    fn deadlines_do_not_change_the_answer_or_the_key() {
        assert_eq!(key(|j| j.terms.deadline = Some(jiff::Timestamp::UNIX_EPOCH)), key(|_| ()));
    }

    #[test]
    fn keys_are_read_back() {
        let text = key(|_| ()).to_string();
        assert_eq!(Key::try_from(text.clone()).unwrap(), key(|_| ()));
        assert!(Key::try_from(text[1..].to_owned()).is_err());
    }
}
