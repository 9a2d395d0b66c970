//! The message of a job.
//!
//! | form | content type | file |
//! |---|---|---|
//! | a few flights inline | `application/json` | `json.rs` |
//! | many flights inline | `application/vnd.apache.arrow.stream` | `arrow.rs` |
//! | flights in the store | `application/json` | `claim.rs` |
//!
//! All of them say what is asked in the same [`Head`]: the JSON document
//! itself, or the metadata `skydose.job` of the Arrow schema. Bodies may be
//! compressed (`zstd`). What a message does not say has a default; what it
//! says that is not known is refused by name, never ignored.
//!
//! A message is not trusted: sizes that it declares, its depth and what it
//! unpacks to are checked before memory is taken.

mod arrow;
mod body;
mod claim;
mod encode;
mod head;
mod json;
pub mod schema;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use serde::{Deserialize, Serialize};

pub use claim::{Claim, LoadError};
pub use encode::{Encoded, Encoding};
pub use head::Head;

use super::{Id, RawFlights, RawJob, Terms};
use crate::queue::{Message, Properties};

/// What messages of this kind are called.
pub const KIND: &str = "skydose.job";
/// Version of this format.
pub const VERSION: u32 = 1;
/// Content type of JSON.
pub const JSON: &str = "application/json";
/// Content type of a stream of Arrow IPC.
pub const ARROW: &str = "application/vnd.apache.arrow.stream";

/// What a message may be at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a body as it travels.
    pub message_bytes: usize,
    /// Bytes of a body unpacked.
    pub unpacked_bytes: usize,
    /// How many times larger a body may become when it is unpacked.
    pub ratio: usize,
    /// Bytes of an object in the store that holds flights.
    pub object_bytes: u64,
    /// Flights of a job.
    pub flights: usize,
    /// Waypoints of a job.
    pub waypoints: usize,
}

/// Why a message is refused: which field, what it is, what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, expected {expected}")]
pub struct Rejection {
    /// Property, header, field of the document or column.
    pub field: String,
    /// As found, shortened.
    pub value: String,
    /// What would have done.
    pub expected: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 15 << 20,
            unpacked_bytes: 64 << 20,
            ratio: 200,
            object_bytes: 256 << 20,
            flights: 100_000,
            waypoints: 4_000_000,
        }
    }
}

impl Rejection {
    /// Of `field`.
    pub fn new(field: impl Into<String>, value: impl Display, expected: impl Into<String>) -> Self {
        const SHOWN: usize = 300;
        let value = value.to_string();
        let value = if value.chars().count() > SHOWN {
            format!("{} …", value.chars().take(SHOWN).collect::<String>())
        } else {
            value
        };
        Self { field: field.into(), value, expected: expected.into() }
    }
}

/// Reads the message of a job.
///
/// # Errors
/// [`Rejection`] names the first thing that is wrong; another try would end
/// the same way.
pub fn decode(message: &Message, limits: &Limits) -> Result<RawJob, Rejection> {
    let properties = &message.properties;
    check_kind(properties, KIND, VERSION)?;
    let id = name("message_id", &properties.message_id)?;
    let submission = properties.submission.as_deref().ok_or_else(|| {
        Rejection::new("submission", "absent", "the name of the submission that the job is a part of")
    })?;
    let submission = name("submission", submission)?;
    let bytes = body::unpack(message, limits)?;
    let (head, flights) = match properties.content_type.as_deref() {
        Some(JSON) => json::decode(&bytes, limits)?,
        Some(ARROW) => arrow::decode(&bytes, limits)?,
        other => {
            let expected = format!("{JSON} or {ARROW}");
            return Err(Rejection::new("content_type", other.unwrap_or("absent"), expected));
        }
    };
    let flights = match (flights, head.flights_in_store.clone()) {
        (Some(loaded), None) => RawFlights::Inline(loaded),
        (None, Some(claim)) => RawFlights::Stored(claim.check(&submission, &head, limits)?),
        (Some(_), Some(_)) => {
            return Err(Rejection::new("flights_in_store", "given beside flights", "one of the two"));
        }
        (None, None) => return Err(Rejection::new("flights", "absent", "flights, or flights_in_store")),
    };
    let (request, vertical, dataset) = (head.request()?, head.vertical, head.dataset);
    let terms = Terms { id, submission, dataset, request, vertical, deadline: properties.deadline };
    Ok(RawJob { terms, flights })
}

/// Refuses messages of another kind or version.
pub(super) fn check_kind(properties: &Properties, kind: &str, version: u32) -> Result<(), Rejection> {
    if properties.kind != kind {
        return Err(Rejection::new("type", format_args!("{:?}", properties.kind), kind));
    }
    if properties.version != version {
        return Err(Rejection::new(
            "version",
            properties.version,
            format!("{version}, the one that this program reads"),
        ));
    }
    Ok(())
}

fn name(field: &str, text: &str) -> Result<Id, Rejection> {
    text.parse().map_err(|_| {
        Rejection::new(field, format_args!("{text:?}"), "1 to 80 of a-z A-Z 0-9 . _ -, a letter or digit first")
    })
}
