//! Names that travel in messages and stand in paths.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest name.
const MOST_BYTES: usize = 80;

/// The name of a job, a submission or a data set: 1 to 80 of `a-z A-Z 0-9 .
/// _ -`, a letter or digit first. Safe in a path, a routing key and a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

/// Text that is no [`Id`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name, expected 1 to 80 of a-z A-Z 0-9 . _ -, a letter or digit first")]
pub struct IdError(String);

impl Id {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of what has none yet.
    pub(super) fn unnamed() -> Self {
        Self(String::new())
    }

    /// The name of job `number` of a submission: `<submission>-000042`.
    ///
    /// # Errors
    /// Where the submission's name leaves no room.
    pub fn job(submission: &Self, number: usize) -> Result<Self, IdError> {
        format!("{submission}-{number:06}").parse()
    }

    /// A name for a new submission: a UUID of version 7, in the order of time.
    #[must_use]
    pub fn new_submission() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Id {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let bytes = text.as_bytes();
        if bytes.len() <= MOST_BYTES
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(is_plain)
        {
            return Ok(Self(text));
        }
        Err(IdError(text.chars().take(MOST_BYTES).collect()))
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Id {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl schemars::JsonSchema for Id {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A name: safe in a path, a routing key and a table.",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths() {
        for good in ["a", "2024-06-01.x_y", &"k".repeat(80), "019299f4-7e0e-7d3b-9c3f-4b1c3f0e2a11-000042"] {
            assert_eq!(good.parse::<Id>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "-x", "a/b", "a b", "ü", "a\0", &"k".repeat(81)] {
            assert!(bad.parse::<Id>().unwrap_err().to_string().contains("expected 1 to 80"), "{bad}");
        }
    }

    #[test]
    fn jobs_are_numbered() {
        let submission = Id::new_submission();
        assert_eq!(Id::job(&submission, 42).unwrap().as_str(), format!("{submission}-000042"));
        assert!(Id::job(&"k".repeat(80).parse().unwrap(), 1).is_err());
    }
}
