//! Jobs as messages.

use bytes::Bytes;

use super::{
    ARROW, Claim, Head, JSON, KIND, Limits, Rejection, VERSION, arrow,
    json::{Document, Flight},
};
use crate::{
    job::{Terms, place},
    queue::{Message, Properties},
    trajectory::Fleet,
};

/// How jobs become messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// Flights up to which a job is JSON.
    pub json_flights: usize,
    /// Whether bodies are compressed.
    pub compress: bool,
    /// Bytes of a body beyond which flights go into the store.
    pub inline_bytes: usize,
}

/// A message, and what has to be in the store before it is sent.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// To be published.
    pub message: Message,
    /// Name and content of the object that the message claims.
    pub object: Option<(String, Bytes)>,
}

impl Default for Encoding {
    fn default() -> Self {
        Self { json_flights: 1, compress: false, inline_bytes: 4 << 20 }
    }
}

impl Encoding {
    /// The message of a job. Flights are sent as they stand, to the last bit.
    ///
    /// # Errors
    /// [`Rejection`] for a job that no worker with these `limits` would take.
    pub fn encode(&self, terms: &Terms, fleet: &Fleet, limits: &Limits) -> Result<Encoded, Rejection> {
        let head = Head::of(terms);
        for (field, value, most) in
            [("flights", fleet.len(), limits.flights), ("waypoints", fleet.waypoints(), limits.waypoints)]
        {
            if value > most {
                return Err(Rejection::new(field, value, format!("at most {most} a job")));
            }
        }
        let (content_type, body) = if fleet.len() <= self.json_flights {
            let flights = fleet.iter().map(|f| Flight::of(&f)).collect();
            (JSON, json(&Document { head: &head, flights: Some(flights) })?)
        } else {
            let text = String::from_utf8_lossy(&json(&head)?).into_owned();
            (ARROW, arrow::encode(fleet, Some(&text)).map_err(|e| fault(&e))?)
        };
        let packed = self.pack(&body)?;
        if packed.as_ref().map_or(body.len(), Vec::len) <= self.inline_bytes && body.len() <= limits.unpacked_bytes {
            return Ok(Encoded { message: message(terms, content_type, body, packed), object: None });
        }
        let content = Bytes::from(arrow::encode(fleet, None).map_err(|e| fault(&e))?);
        if content.len() as u64 > limits.object_bytes {
            let expected = format!("at most {} of flights a job", limits.object_bytes);
            return Err(Rejection::new("flights", format_args!("{} bytes", content.len()), expected));
        }
        let name = place::flights(&terms.submission, &terms.id);
        let head = Head { flights_in_store: Some(Claim::new(name.clone(), &content)), ..head };
        let body = json(&Document { head: &head, flights: None })?;
        Ok(Encoded { message: message(terms, JSON, body, None), object: Some((name, content)) })
    }

    fn pack(&self, body: &[u8]) -> Result<Option<Vec<u8>>, Rejection> {
        if !self.compress {
            return Ok(None);
        }
        let packed = zstd::encode_all(body, 1).map_err(|e| fault(&e))?;
        Ok((packed.len() < body.len()).then_some(packed))
    }
}

fn message(terms: &Terms, content_type: &str, body: Vec<u8>, packed: Option<Vec<u8>>) -> Message {
    Message {
        properties: Properties {
            message_id: terms.id.to_string(),
            kind: KIND.to_owned(),
            version: VERSION,
            submission: Some(terms.submission.to_string()),
            deadline: terms.deadline,
            content_type: Some(content_type.to_owned()),
            content_encoding: packed.is_some().then(|| "zstd".to_owned()),
            ..Properties::default()
        },
        body: packed.unwrap_or(body).into(),
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Rejection> {
    serde_json::to_vec(value).map_err(|e| fault(&e))
}

fn fault(error: &dyn std::fmt::Display) -> Rejection {
    Rejection::new("job", error, "a job that can be written")
}
