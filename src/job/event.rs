//! What is told of a job's end, on the exchange of results and to whoever is
//! named in `reply_to`.
//!
//! A job may be told of more than once: a consumer keeps the first event of a
//! job that is answered, and forgets what comes after (`docs/messages.md`).

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Id, answer::Manifest, settle::ReasonKind, wire::Rejection};
use crate::queue::{Message, Properties};

/// What messages of this kind are called.
pub const KIND: &str = "skydose.result";
/// Version of this format.
pub const VERSION: u32 = 1;

/// The end of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultEvent {
    /// The job.
    pub job: Id,
    /// What it is a part of.
    pub submission: Id,
    /// How it ended.
    pub ending: Ending,
    /// Who tells.
    pub worker: String,
    /// Which try this was, the first is 1.
    pub attempt: u32,
    /// When the job ended, RFC 3339.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ending {
    /// It is answered: this stands in the store too, and is the same whoever
    /// tells of it.
    Answered(Box<Manifest>),
    /// It lies among the dead letters, from where an operator may send it again.
    Buried {
        /// In one word.
        kind: ReasonKind,
        /// The error.
        reason: String,
    },
    /// Its submission was cancelled.
    Cancelled,
}

impl ResultEvent {
    /// The message of this event. Its id is the key of the result, or the
    /// name of a job that has none.
    ///
    /// # Panics
    /// Never: the event is made of text and numbers.
    #[must_use]
    pub fn message(&self) -> Message {
        let message_id = match &self.ending {
            Ending::Answered(manifest) => manifest.key.to_string(),
            Ending::Buried { .. } | Ending::Cancelled => self.job.to_string(),
        };
        let body = serde_json::to_vec(self).unwrap_or_else(|e| unreachable!("an event is JSON: {e}"));
        Message {
            properties: Properties {
                message_id,
                kind: KIND.to_owned(),
                version: VERSION,
                submission: Some(self.submission.to_string()),
                content_type: Some(super::wire::JSON.to_owned()),
                ..Properties::default()
            },
            body: body.into(),
        }
    }

    /// Reads a message of results.
    ///
    /// # Errors
    /// [`Rejection`] for another kind or version, and for a body that is none.
    pub fn read(message: &Message) -> Result<Self, Rejection> {
        super::wire::check_kind(&message.properties, KIND, VERSION)?;
        serde_json::from_slice(&message.body).map_err(|e| {
            Rejection::new("body", format_args!("not a result: {e}"), "a result as docs/messages.md has it")
        })
    }
}
