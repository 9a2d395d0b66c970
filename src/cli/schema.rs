//! `skydose schema`: what every message looks like, as JSON Schema.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::say;
use crate::{
    control,
    job::{answer::Manifest, event, wire},
    submitter,
    telemetry::message::{self, Said},
};

/// What is said of the whole.
const ABOUT: &str = "What programs say to each other through RabbitMQ and the store: a definition a kind, \
     named as the property `type` names it; `skydose.properties` is what travels beside each body. \
     docs/messages.md tells what it means.";

/// Prints it.
pub(super) fn print() -> anyhow::Result<()> {
    say(&text()?)
}

/// As it stands in `docs/messages.schema.json`.
fn text() -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&messages())? + "\n")
}

/// The schema of all messages: any of the bodies, each also on its own below
/// `$defs`.
fn messages() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let own = [
        (wire::KIND, wire::schema::Job::json_schema(&mut generator)),
        (event::KIND, event::ResultEvent::json_schema(&mut generator)),
        (message::Heartbeat::KIND, said::<message::Heartbeat>(&mut generator)),
        (message::Command::KIND, said::<message::Command>(&mut generator)),
        (control::Report::KIND, said::<control::Report>(&mut generator)),
        (control::Order::KIND, said::<control::Order>(&mut generator)),
        ("skydose.submission", submitter::Record::json_schema(&mut generator)),
        ("skydose.manifest", Manifest::json_schema(&mut generator)),
    ];
    let bodies: Vec<Value> =
        own.iter().map(|(kind, _)| json!({ "title": kind, "$ref": format!("#/$defs/{kind}") })).collect();
    let beside = wire::schema::Properties::json_schema(&mut generator);
    let mut definitions = generator.take_definitions(true);
    definitions.insert("skydose.properties".to_owned(), beside.to_value());
    definitions.extend(own.into_iter().map(|(kind, schema)| (kind.to_owned(), schema.to_value())));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of skydose",
        "description": ABOUT,
        "anyOf": bodies,
        "$defs": definitions,
    })
}

/// A body of telemetry, with the version that it carries itself.
fn said<T: Said>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    let version = json!({ "description": "Of this format.", "const": message::VERSION });
    let object = schema.ensure_object();
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.insert("version".to_owned(), version);
    }
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.insert(0, "version".into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::queue::{Message, Properties};

    /// Set, it writes the file anew.
    const RENEW: &str = "SKYDOSE_RENEW_SCHEMAS";

    #[test]
    fn the_schema_in_the_documents_is_this_one() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/messages.schema.json");
        let text = text().unwrap();
        if std::env::var_os(RENEW).is_some() {
            fs::write(&file, &text).unwrap();
        }
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert!(written == text, "{} is another one; {RENEW}=1 writes it anew", file.display());
    }

    /// The examples of the documents, with the headings that they stand below.
    fn examples() -> Vec<(&'static str, &'static str)> {
        let sections = include_str!("../../docs/messages.md").split("\n## ").skip(1);
        let blocks = sections.flat_map(|section| {
            let (heading, text) = section.split_once('\n').unwrap_or_default();
            text.split("```json\n").skip(1).map(move |rest| (heading, rest.split("```").next().unwrap_or_default()))
        });
        blocks.collect()
    }

    #[test]
    fn the_examples_in_the_documents_are_messages_of_their_kinds() {
        let examples = examples();
        for &(heading, text) in &examples {
            let body = text.as_bytes();
            let message = |kind: &str| Message {
                properties: Properties {
                    message_id: "demo-000001".into(),
                    kind: kind.into(),
                    version: 1,
                    submission: Some("demo".into()),
                    content_type: Some(wire::JSON.into()),
                    ..Properties::default()
                },
                body: bytes::Bytes::from_static(body),
            };
            let fault = match heading {
                "A job" => wire::decode(&message(wire::KIND), &wire::Limits::default()).err().map(|e| e.to_string()),
                "A result" => event::ResultEvent::read(&message(event::KIND)).err().map(|e| e.to_string()),
                "A heartbeat" => message::Heartbeat::decode(body).err().map(|e| e.to_string()),
                "A command" => message::Command::decode(body).err().map(|e| e.to_string()),
                "A report of the scaling" => control::Report::decode(body).err().map(|e| e.to_string()),
                "An order to the scaling" => control::Order::decode(body).err().map(|e| e.to_string()),
                other => Some(format!("of no kind: {other}")),
            };
            assert_eq!(fault, None, "{heading}: {text}");
        }
        assert_eq!(examples.len(), 6);
    }

    #[test]
    fn every_kind_has_a_definition_and_every_reference_an_end() {
        let schema = messages();
        let definitions = schema["$defs"].as_object().unwrap();
        for kind in ["job", "result", "heartbeat", "command", "scaling", "scaling-order", "submission", "manifest"] {
            let definition = &definitions[&format!("skydose.{kind}")];
            assert!(definition["description"].as_str().is_some_and(|d| !d.is_empty()), "{kind}");
        }
        for kind in ["heartbeat", "command", "scaling", "scaling-order"] {
            let definition = &definitions[&format!("skydose.{kind}")];
            assert_eq!(definition["required"][0], "version", "{kind}");
            assert_eq!(definition["properties"]["version"]["const"], message::VERSION, "{kind}");
        }
        let text = schema.to_string();
        for target in text.split("\"#/$defs/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(definitions.contains_key(target), "{target} is not defined");
        }
    }
}
