//! Any bytes as the message of a job in each of its forms, as a result, as
//! telemetry and as what lies in the store. The first byte says which.
#![no_main]

use bytes::Bytes;
use skydose::{
    control,
    job::{
        RawFlights,
        answer::Manifest,
        event::{self, ResultEvent},
        wire::{self, Limits},
    },
    queue::{Message, Properties},
    telemetry::message::{Command, Heartbeat, Said},
};

fn message(kind: &str, content_type: &str, encoding: Option<&str>, body: &[u8]) -> Message {
    Message {
        properties: Properties {
            message_id: "s-000001".to_owned(),
            kind: kind.to_owned(),
            version: 1,
            submission: Some("s".to_owned()),
            content_type: Some(content_type.to_owned()),
            content_encoding: encoding.map(str::to_owned),
            ..Properties::default()
        },
        body: Bytes::copy_from_slice(body),
    }
}

/// A refusal is a good answer; a panic is not, nor more than the limits let
/// through.
fn job(content_type: &str, encoding: Option<&str>, body: &[u8]) {
    let limits = Limits { flights: 50, waypoints: 5_000, unpacked_bytes: 1 << 20, ..Limits::default() };
    let Ok(job) = wire::decode(&message(wire::KIND, content_type, encoding, body), &limits) else { return };
    if let RawFlights::Inline(loaded) = job.flights {
        assert!(loaded.fleet.len() + loaded.rejects.len() <= limits.flights);
        assert!(loaded.fleet.waypoints() <= limits.waypoints);
        assert!(loaded.fleet.iter().all(|flight| !flight.is_empty()));
    }
}

/// What is read is written and read again as the same.
fn said<T: Said + PartialEq + std::fmt::Debug>(body: &[u8]) {
    if let Ok(found) = T::decode(body) {
        assert_eq!(T::decode(&found.encode()).as_ref(), Ok(&found));
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    match form % 10 {
        0 | 1 => job(wire::JSON, None, body),
        2 => job(wire::JSON, Some("zstd"), body),
        3 | 4 => job(wire::ARROW, None, body),
        5 => job(wire::ARROW, Some("zstd"), body),
        6 => {
            if let Ok(found) = ResultEvent::read(&message(event::KIND, wire::JSON, None, body)) {
                assert_eq!(ResultEvent::read(&found.message()).as_ref(), Ok(&found));
            }
        }
        7 => drop(Manifest::parse("fuzz", body)),
        8 => {
            said::<Heartbeat>(body);
            said::<Command>(body);
        }
        _ => {
            said::<control::Report>(body);
            said::<control::Order>(body);
        }
    }
});
