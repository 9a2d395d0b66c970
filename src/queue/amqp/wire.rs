//! Properties as AMQP carries them.
//!
//! | property | AMQP |
//! |---|---|
//! | `message_id`, `content_type`, `content_encoding`, `reply_to`, `correlation_id` | the properties of these names |
//! | `kind` | `type` |
//! | `version`, `attempt`, `crashes` | headers `skydose-version`, …: integers |
//! | `submission` | header `skydose-submission`: text |
//! | `deadline`, `submitted_at` | headers `skydose-deadline`, `skydose-submitted-at`: RFC 3339 |
//! | `priority` | the routing key, and header `skydose-priority` where it is `high` |
//! | other headers | text alone; what the broker adds is not handed on |

use std::collections::BTreeMap;

use jiff::Timestamp;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::queue::{Message, Priority, Properties, QueueError, REASON};

const VERSION: &str = "skydose-version";
const ATTEMPT: &str = "skydose-attempt";
const CRASHES: &str = "skydose-crashes";
const SUBMISSION: &str = "skydose-submission";
const DEADLINE: &str = "skydose-deadline";
const SUBMITTED: &str = "skydose-submitted-at";
const PRIORITY: &str = "skydose-priority";

/// Counts, in a quorum queue, how often a message came back.
const DELIVERIES: &str = "x-delivery-count";

/// Kept on disk.
const PERSISTENT: u8 = 2;

/// The longest text of a short string.
const SHORT: usize = 255;

/// A message as AMQP carries it.
pub(super) fn encode(properties: &Properties, persistent: bool) -> Result<BasicProperties, QueueError> {
    let mut headers = FieldTable::default();
    for (name, value) in &properties.headers {
        headers.insert(short(properties, "header", name)?, AMQPValue::LongString(value.as_str().into()));
    }
    let mut count = |name: &str, value: u32| {
        if value > 0 {
            headers.insert(name.into(), AMQPValue::LongLongInt(value.into()));
        }
    };
    count(VERSION, properties.version);
    count(ATTEMPT, properties.attempt);
    count(CRASHES, properties.crashes);
    let priority = (properties.priority != Priority::default()).then(|| properties.priority.name().to_owned());
    for (name, text) in [
        (SUBMISSION, properties.submission.clone()),
        (DEADLINE, properties.deadline.map(|at| at.to_string())),
        (SUBMITTED, properties.submitted_at.map(|at| at.to_string())),
        (PRIORITY, priority),
    ] {
        if let Some(text) = text {
            headers.insert(name.into(), AMQPValue::LongString(text.into()));
        }
    }
    let mut out = BasicProperties::default()
        .with_message_id(short(properties, "message_id", &properties.message_id)?)
        .with_type(short(properties, "type", &properties.kind)?)
        .with_headers(headers);
    if persistent {
        out = out.with_delivery_mode(PERSISTENT);
    }
    if let Some(text) = &properties.content_type {
        out = out.with_content_type(short(properties, "content_type", text)?);
    }
    if let Some(text) = &properties.content_encoding {
        out = out.with_content_encoding(short(properties, "content_encoding", text)?);
    }
    if let Some(text) = &properties.reply_to {
        out = out.with_reply_to(short(properties, "reply_to", text)?);
    }
    if let Some(text) = &properties.correlation_id {
        out = out.with_correlation_id(short(properties, "correlation_id", text)?);
    }
    Ok(out)
}

fn short(properties: &Properties, field: &str, text: &str) -> Result<ShortString, QueueError> {
    if text.len() > SHORT {
        return Err(QueueError::Message {
            message_id: properties.message_id.chars().take(SHORT).collect(),
            field: field.to_owned(),
            value: format!("{} bytes long", text.len()),
            expected: format!("at most {SHORT}"),
        });
    }
    Ok(text.into())
}

/// What was delivered. Whoever sent it, it can be read: what a header should
/// not hold is handed on as text for whoever judges the message.
pub(super) fn decode(amqp: &BasicProperties, routing_key: &str, body: Vec<u8>) -> Message {
    let text = |value: &Option<ShortString>| value.as_ref().map(|v| v.as_str().to_owned());
    let mut headers = BTreeMap::new();
    let mut broker_reason = None;
    for (name, value) in amqp.headers().iter().flat_map(FieldTable::inner) {
        match name.as_str() {
            "x-death" => broker_reason = limit_reached(value),
            name if name.starts_with("x-") && !name.starts_with("x-skydose") => {}
            name => {
                if let Some(text) = as_text(value) {
                    headers.insert(name.to_owned(), text);
                }
            }
        }
    }
    if let Some(reason) = broker_reason {
        headers.entry(REASON.to_owned()).or_insert(reason);
    }
    let mut properties = Properties {
        message_id: text(amqp.message_id()).unwrap_or_default(),
        kind: text(amqp.kind()).unwrap_or_default(),
        content_type: text(amqp.content_type()),
        content_encoding: text(amqp.content_encoding()),
        reply_to: text(amqp.reply_to()),
        correlation_id: text(amqp.correlation_id()),
        version: take(&mut headers, VERSION).unwrap_or(0),
        attempt: take(&mut headers, ATTEMPT).unwrap_or(0),
        crashes: take(&mut headers, CRASHES).unwrap_or(0),
        submission: headers.remove(SUBMISSION),
        deadline: take::<Timestamp>(&mut headers, DEADLINE),
        submitted_at: take::<Timestamp>(&mut headers, SUBMITTED),
        priority: Priority::default(),
        headers,
    };
    let named = properties.headers.remove(PRIORITY);
    properties.priority = Priority::ALL
        .into_iter()
        .find(|p| p.name() == routing_key || named.as_deref() == Some(p.name()))
        .unwrap_or_default();
    Message { properties, body: body.into() }
}

/// Takes a header out where it can be read; leaves it where it cannot.
fn take<T: std::str::FromStr>(headers: &mut BTreeMap<String, String>, name: &str) -> Option<T> {
    let value = headers.get(name)?.parse().ok()?;
    headers.remove(name);
    Some(value)
}

/// Text, numbers and truth as text.
fn as_text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.as_str().to_owned(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::Float(value) => value.to_string(),
        AMQPValue::Double(value) => value.to_string(),
        other => integer(other)?.to_string(),
    })
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::ShortShortInt(v) => Some(v.into()),
        AMQPValue::ShortShortUInt(v) => Some(v.into()),
        AMQPValue::ShortInt(v) => Some(v.into()),
        AMQPValue::ShortUInt(v) => Some(v.into()),
        AMQPValue::LongInt(v) => Some(v.into()),
        AMQPValue::LongUInt(v) => Some(v.into()),
        AMQPValue::LongLongInt(v) => Some(v),
        _ => None,
    }
}

/// The broker's own reason for a dead letter. A delay that ran out is in the
/// same list, and is no reason.
fn limit_reached(deaths: &AMQPValue) -> Option<String> {
    let AMQPValue::FieldArray(deaths) = deaths else { return None };
    deaths.as_slice().iter().find_map(|death| {
        let AMQPValue::FieldTable(death) = death else { return None };
        let reason = death.inner().get("reason").and_then(as_text)?;
        (reason != "expired").then_some(reason)
    })
}

/// How often a delivery came before and came back.
pub(super) fn redeliveries(amqp: &BasicProperties, redelivered: bool) -> u32 {
    let counted = amqp.headers().as_ref().and_then(|h| h.inner().get(DELIVERIES)).and_then(integer);
    counted.map_or(u32::from(redelivered), |n| u32::try_from(n).unwrap_or(u32::MAX))
}

/// Where a message stands in a stream.
pub(super) fn stream_offset(amqp: &BasicProperties) -> Option<i64> {
    amqp.headers().as_ref().and_then(|h| h.inner().get("x-stream-offset")).and_then(integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Properties {
        Properties {
            message_id: "j1".into(),
            kind: "skydose.job".into(),
            version: 1,
            submission: Some("s1".into()),
            attempt: 2,
            crashes: 1,
            deadline: Some("2024-06-01T12:00:00.25Z".parse().unwrap()),
            submitted_at: Some("2024-06-01T11:00:00Z".parse().unwrap()),
            priority: Priority::High,
            content_type: Some("application/json".into()),
            content_encoding: Some("zstd".into()),
            reply_to: Some("mine".into()),
            correlation_id: Some("c".into()),
            headers: [("traceparent".to_owned(), "00-1".to_owned())].into(),
        }
    }

    #[test]
    fn what_is_sent_arrives() {
        for properties in [whole(), Properties { priority: Priority::Normal, ..whole() }, Properties::default()] {
            let amqp = encode(&properties, true).unwrap();
            assert_eq!(amqp.delivery_mode(), &Some(2));
            let message = decode(&amqp, "", b"body".to_vec());
            assert_eq!(message, Message { properties, body: "body".into() });
        }
    }

    #[test]
    fn what_others_send_can_be_read() {
        let mut headers = FieldTable::default();
        headers.insert(ATTEMPT.into(), AMQPValue::ShortShortUInt(3));
        headers.insert(VERSION.into(), AMQPValue::LongString("1".into()));
        headers.insert(DEADLINE.into(), AMQPValue::LongString("tomorrow".into()));
        headers.insert(DELIVERIES.into(), AMQPValue::LongLongInt(7));
        let amqp = BasicProperties::default().with_headers(headers);
        let properties = decode(&amqp, "high", Vec::new()).properties;
        assert_eq!((properties.attempt, properties.version, properties.priority), (3, 1, Priority::High));
        assert_eq!(properties.deadline, None);
        assert_eq!(properties.headers.get(DEADLINE).map(String::as_str), Some("tomorrow"));
        assert_eq!((redeliveries(&amqp, false), redeliveries(&BasicProperties::default(), true)), (7, 1));
    }

    #[test]
    fn a_long_id_is_refused_by_name() {
        let properties = Properties { message_id: "x".repeat(256), ..Properties::default() };
        let error = encode(&properties, true).unwrap_err().to_string();
        assert!(error.contains("message_id is 256 bytes long, expected at most 255"), "{error}");
    }

    #[test]
    fn the_broker_says_why_it_gave_up() {
        let death = |reason: &str| {
            let mut table = FieldTable::default();
            table.insert("reason".into(), AMQPValue::LongString(reason.into()));
            AMQPValue::FieldTable(table)
        };
        let decoded = |reasons: &[&str]| {
            let mut headers = FieldTable::default();
            let deaths: Vec<AMQPValue> = reasons.iter().map(|r| death(r)).collect();
            headers.insert("x-death".into(), AMQPValue::FieldArray(deaths.into()));
            headers.insert("x-first-death-queue".into(), AMQPValue::LongString("q".into()));
            decode(&BasicProperties::default().with_headers(headers), "", Vec::new()).properties.headers
        };
        assert_eq!(decoded(&["expired"]), BTreeMap::new());
        assert_eq!(decoded(&["delivery_limit", "expired"]), [(REASON.to_owned(), "delivery_limit".to_owned())].into());
    }
}
