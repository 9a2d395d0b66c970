//! A decision and all that it stood on, as control publishes it and `skydose
//! decide` reads it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Decision, Memory, Sample};

/// Of the format.
pub const VERSION: u32 = 1;

/// A decision with what led to it: enough to decide again and come to the
/// same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Of the format, now 1.
    pub version: u32,
    /// What was seen.
    pub sample: Sample,
    /// What was remembered from the decisions before.
    #[serde(default)]
    pub memory: Memory,
    /// What came out; absent where it is only asked for.
    #[serde(default)]
    pub decision: Option<Decision>,
}

impl Record {
    /// Of a decision just made on `sample` with `memory`, as it was before.
    #[must_use]
    pub fn new(sample: Sample, memory: Memory, decision: Decision) -> Self {
        Self { version: VERSION, sample, memory, decision: Some(decision) }
    }

    /// Reads a record, or a sample alone, from JSON.
    ///
    /// # Errors
    /// Names the field and what was expected.
    pub fn read(json: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if value.get("sample").is_none() {
            let sample = serde_json::from_value(value).map_err(|error| format!("as a sample: {error}"))?;
            return Ok(Self { version: VERSION, sample, memory: Memory::default(), decision: None });
        }
        let record: Self = serde_json::from_value(value).map_err(|error| format!("as a record: {error}"))?;
        if record.version == VERSION {
            Ok(record)
        } else {
            Err(format!("version is {}, expected {VERSION}", record.version))
        }
    }
}

/// The JSON Schema of a record.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Record).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::{decide, tests::build};

    #[test]
    fn a_record_decides_the_same_again() {
        let (_, memory) = build::Cluster::new(-60).after_an_hour(&build::settings());
        let cluster = build::Cluster::new(0).ready(500).workers("gpu", 3, crate::scaling::WorkerState::Consuming, 4);
        let (decision, _) = decide(&build::settings(), &cluster.0, memory.clone());
        let text = serde_json::to_string(&Record::new(cluster.0, memory, decision)).unwrap();
        let record = Record::read(&text).unwrap();
        let again = decide(&build::settings(), &record.sample, record.memory).0;
        assert_eq!(Some(again), record.decision);
    }

    #[test]
    fn a_sample_alone_will_do_and_faults_are_named() {
        let sample = serde_json::to_string(&build::Cluster::new(0).0).unwrap();
        assert_eq!(Record::read(&sample).unwrap().sample, build::Cluster::new(0).0);
        for (text, expected) in [
            ("{", "EOF"),
            (r#"{"at": 5}"#, "as a sample"),
            (r#"{"version": 2, "sample": SAMPLE}"#, "version is 2, expected 1"),
        ] {
            let fault = Record::read(&text.replace("SAMPLE", &sample)).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn the_schema_in_the_documents_is_this_one() {
        let written: serde_json::Value = serde_json::from_str(include_str!("../../docs/decision.schema.json")).unwrap();
        assert_eq!(written, schema(), "renew it: skydose decide --schema > docs/decision.schema.json");
        let text = written.to_string();
        for name in ["oldest_age_s", "preempted", "held_back", "scale-out-rule", "passed_over_until"] {
            assert!(text.contains(name), "{name} is not in the schema");
        }
    }
}
