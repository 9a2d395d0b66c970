//! Round trips, refusals by name, and garbage.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    job::{
        Job,
        testing::{any_fleet, any_terms, fleet, id, job, terms},
    },
    queue::Properties,
    store::{Objects, Put, Store},
    trajectory::Fleet,
};

fn limits() -> Limits {
    Limits::default()
}

fn encode(encoding: &Encoding, terms: &Terms, fleet: &Fleet) -> Encoded {
    encoding.encode(terms, fleet, &limits()).unwrap()
}

/// The way from the submitter's fleet to the worker's job.
async fn travel(encoding: &Encoding, terms: &Terms, fleet: &Fleet) -> Job {
    let store = Objects::in_memory();
    let Encoded { message, object } = encode(encoding, terms, fleet);
    if let Some((name, content)) = object {
        assert_eq!(store.put_new(&name, content).await.unwrap(), Put::Created);
    }
    decode(&message, &limits()).unwrap().load(&store, &limits()).await.unwrap()
}

fn properties() -> Properties {
    Properties {
        message_id: "s-1".to_owned(),
        kind: KIND.to_owned(),
        version: VERSION,
        submission: Some("s".to_owned()),
        content_type: Some(JSON.to_owned()),
        ..Properties::default()
    }
}

fn json(body: &str) -> Message {
    Message { properties: properties(), body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn refusal(message: &Message) -> String {
    decode(message, &limits()).unwrap_err().to_string()
}

const FLIGHT: &str = r#"{"flight_id": "A", "time": ["2024-06-01T00:00:00Z", 1717200060, 1717200120],
    "longitude": [8.5, 8.6, 8.7], "latitude": [47, 47.1, 47.2], "altitude_ft": [35000, null, 35000]}"#;

fn document(fields: &str) -> Message {
    json(&format!(r#"{{"dataset": "cams", {fields} "flights": [{FLIGHT}]}}"#))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn jobs_travel_to_the_last_bit(
        terms in any_terms(), fleet in any_fleet(0..6), json_flights in 0..6_usize, compress: bool, in_store: bool,
    ) {
        let inline_bytes = if in_store { 0 } else { 4 << 20 };
        let encoding = Encoding { json_flights, compress, inline_bytes };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let job = runtime.block_on(travel(&encoding, &terms, &fleet));
        prop_assert_eq!(&job.terms, &terms);
        prop_assert_eq!(bits(&job.flights.fleet), bits(&fleet));
        prop_assert!(job.flights.rejects.is_empty());
    }

    #[test]
    fn bytes_that_are_no_job_are_refused(body in prop::collection::vec(any::<u8>(), 0..300), arrow: bool, zstd: bool) {
        let mut message = Message { properties: properties(), body: body.into() };
        message.properties.content_type = Some(if arrow { ARROW } else { JSON }.to_owned());
        message.properties.content_encoding = zstd.then(|| "zstd".to_owned());
        prop_assert!(decode(&message, &limits()).is_err());
    }

    #[test]
    fn damaged_messages_end_in_a_verdict(
        form in 0..3_usize, compress: bool, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(), cuts: bool,
    ) {
        let encoding = Encoding { json_flights: [9, 0, 0][form], compress, inline_bytes: [4 << 20, 4 << 20, 0][form] };
        let mut message = encode(&encoding, &terms(), &fleet(3)).message;
        let mut body = message.body.to_vec();
        for (at, value) in damage {
            let at = at.index(body.len());
            body[at] = value;
        }
        if cuts {
            body.truncate(cut.index(body.len()));
        }
        message.body = body.into();
        // Neither a panic nor a hang; values may have changed unseen.
        let _ = decode(&message, &limits());
    }
}

fn bits(fleet: &Fleet) -> Vec<(String, Vec<[u64; 4]>, Vec<bool>)> {
    let flights = fleet.iter().map(|f| {
        let rows = (0..f.len())
            .map(|i| [f.time_s[i], f.longitude_deg[i], f.latitude_deg[i], f.pressure_pa[i]].map(f64::to_bits));
        (f.id.to_owned(), rows.collect(), f.on_ground.to_vec())
    });
    flights.collect()
}

#[test]
fn forms_follow_the_number_of_flights_and_the_size() {
    let form = |encoding: &Encoding, flights| {
        let Encoded { message, object } = encode(encoding, &terms(), &fleet(flights));
        let p = message.properties;
        (p.content_type.unwrap(), p.content_encoding, object.is_some())
    };
    let encoding = Encoding { json_flights: 2, compress: true, inline_bytes: 3_000 };
    assert_eq!(form(&encoding, 2), (JSON.to_owned(), Some("zstd".to_owned()), false));
    assert_eq!(form(&encoding, 5), (ARROW.to_owned(), Some("zstd".to_owned()), false));
    assert_eq!(form(&Encoding { compress: false, ..encoding.clone() }, 2), (JSON.to_owned(), None, false));
    assert_eq!(form(&Encoding { inline_bytes: 500, ..encoding }, 2_000), (JSON.to_owned(), None, true));
}

#[test]
fn flights_may_be_written_as_in_files() {
    let message = document("\"contaminants\": [\"O3\", \"go3\", \"ash\"],");
    let raw = decode(&message, &limits()).unwrap();
    assert_eq!(raw.terms.request.contaminants, ["ozone", "ash"]);
    let RawFlights::Inline(loaded) = raw.flights else { panic!("not inline") };
    let flight = loaded.fleet.get(0).unwrap();
    assert_eq!((flight.id, flight.time_s), ("A", &[1_717_200_000.0, 1_717_200_060.0, 1_717_200_120.0][..]));
    assert!(
        (flight.pressure_pa[0] - 23_842.0).abs() < 1.0
            && flight.pressure_pa[0].to_bits() == flight.pressure_pa[1].to_bits()
    );
    // As it stands, the second waypoint has no height.
    let RawFlights::Inline(loaded) = decode(&document("\"repair\": false,"), &limits()).unwrap().flights else {
        panic!()
    };
    assert!(loaded.fleet.is_empty());
    assert!(loaded.rejects[0].reason.contains("pressure is NaN"), "{:?}", loaded.rejects);
}

#[test]
fn faults_of_documents_name_field_value_and_what_was_expected() {
    for (fields, expected) in [
        ("\"colour\": 1,", "unknown field \"colour\", expected one of dataset, contaminants"),
        ("\"contaminants\": 5,", "contaminants: invalid type: integer `5`, expected a sequence"),
        (
            "\"thresholds\": {\"ash\": [\"2 furlong\"]},",
            "thresholds.ash is \"2 furlong\", expected a number and a unit",
        ),
        ("\"thresholds\": {\"O3\": [], \"go3\": []},", "a second name of one contaminant"),
        ("\"integration\": \"spline\",", "integration: unknown variant `spline`, expected `path` or `waypoints`"),
        ("\"vertical\": \"cubic\",", "vertical: unknown variant `cubic`, expected one of `linear-p`"),
        ("\"repair\": true, \"repair\": true,", "repair is there twice"),
        (
            "\"engine_flow\": {\"engines\": 99, \"core_mass_flow\": {\"ground\": 1, \"climb\": 1, \"cruise\": 1, \"descent\": 1}},",
            "engine_flow is engines is 99, expected a number from 1 to 16",
        ),
        (
            "\"flights_in_store\": {\"object\": \"x\", \"bytes\": 1, \"blake3\": \"00\"},",
            "flights_in_store is given beside flights",
        ),
    ] {
        let message = refusal(&document(fields));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn faults_of_flights_name_flight_and_column() {
    let with =
        |from: &str, to: &str| json(&format!(r#"{{"dataset": "cams", "flights": [{}]}}"#, FLIGHT.replace(from, to)));
    for (from, to, expected) in [
        ("altitude_ft", "altitude_fet", "flights[0].altitude_fet: unknown column, expected one of flight_id"),
        ("47, 47.1, 47.2", "47", "latitude has 1 values and time has 3, expected as many of each"),
        ("8.5", "\"east\"", "flights[0].longitude: invalid type: string \"east\""),
        ("2024-06-01T00:00:00Z", "noon", "flights[0].time: \"noon\" is no time"),
        ("\"flight_id\": \"A\", ", "", "flights[0].flight_id is absent"),
        ("\"latitude\"", "\"lon\"", "no column for the latitude"),
        ("]}", "]}, {\"flight_id\": \"A\", \"time\": [0]}", "flights[1]: flight_id is \"A\" again"),
        ("]}", "]}, {\"flight_id\": \"B\"}", "flights[1]: has no waypoints"),
    ] {
        let message = refusal(&with(from, to));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn faults_of_properties_are_named() {
    let with = |change: fn(&mut Properties)| {
        let mut message = document("");
        change(&mut message.properties);
        refusal(&message)
    };
    for (found, expected) in [
        (with(|p| p.version = 2), "version is 2, expected 1"),
        (with(|p| p.kind = "other".into()), "type is \"other\", expected skydose.job"),
        (with(|p| p.message_id = "../x".into()), "message_id is \"../x\""),
        (with(|p| p.submission = None), "submission is absent"),
        (
            with(|p| p.content_type = Some("text/plain".into())),
            "content_type is text/plain, expected application/json or",
        ),
        (with(|p| p.content_encoding = Some("gzip".into())), "content_encoding is \"gzip\", expected none or zstd"),
    ] {
        assert!(found.contains(expected), "{found}");
    }
    assert!(refusal(&json("{\"flights\": []}")).contains("dataset is absent"));
    assert!(refusal(&json("{\"dataset\": \"cams\"}")).contains("flights is absent"));
    assert!(refusal(&json("{\"dataset\": \"../secret\", \"flights\": []}")).contains("\"../secret\" is no name"));
}

#[test]
fn sizes_are_refused_before_memory_is_taken() {
    let deep = json(&format!("{{\"dataset\": {}", "[".repeat(1_000_000)));
    assert!(refusal(&deep).contains("nested deeper than 8"));
    let mut bomb = json("");
    bomb.body = zstd::encode_all(&vec![b' '; 32 << 20][..], 3).unwrap().into();
    bomb.properties.content_encoding = Some("zstd".to_owned());
    assert!(refusal(&bomb).contains("bytes unpacked"), "{}", refusal(&bomb));
    let small = Limits { message_bytes: 10, ..limits() };
    assert!(
        decode(&document(""), &small).unwrap_err().to_string().contains("expected at most 10 bytes; put the flights")
    );
    let few = Limits { waypoints: 2, ..limits() };
    assert!(decode(&document(""), &few).unwrap_err().to_string().contains("more waypoints than a job may have"));
    let arrow = encode(&Encoding { json_flights: 0, ..Encoding::default() }, &terms(), &fleet(3)).message;
    assert!(decode(&arrow, &Limits { waypoints: 14, ..limits() }).unwrap_err().to_string().contains("waypoints is 15"));
    assert!(decode(&arrow, &Limits { flights: 2, ..limits() }).unwrap_err().to_string().contains("flights is 3"));
}

#[test]
fn arrow_that_declares_more_than_it_brings_is_refused() {
    let whole = encode(&Encoding { json_flights: 0, ..Encoding::default() }, &terms(), &fleet(3)).message;
    for huge in [0x7fff_fff0_u32, 0x4000_0000] {
        let mut body = whole.body.to_vec();
        // The length of the schema's message, behind the mark of continuation.
        body[4..8].copy_from_slice(&huge.to_le_bytes());
        let message = Message { body: body.into(), ..whole.clone() };
        assert!(refusal(&message).contains("no stream of Arrow IPC"), "{}", refusal(&message));
    }
}

#[tokio::test]
async fn claims_are_checked() {
    let store = Objects::in_memory();
    let encoding = Encoding { inline_bytes: 0, ..Encoding::default() };
    let Encoded { message, object } = encode(&encoding, &terms(), &fleet(3));
    let (name, content) = object.unwrap();
    let load = async |message: &Message| {
        decode(message, &limits())?.load(&store, &limits()).await.map_err(|e| match e {
            LoadError::Rejected(rejection) => rejection,
            LoadError::Store(e) => panic!("{e}"),
        })
    };
    let absent = load(&message).await.unwrap_err().to_string();
    assert!(absent.contains("no object submissions/s/flights/s-000001.arrow"), "{absent}");
    store.put_new(&name, content).await.unwrap();
    assert_eq!(load(&message).await.unwrap().flights.fleet, fleet(3));
    let edited = |from: &str, to: &str| {
        let body = String::from_utf8(message.body.to_vec()).unwrap().replace(from, to);
        Message { body: body.into(), ..message.clone() }
    };
    for (from, to, expected) in [
        ("submissions/s/flights/", "submissions/other/flights/", "expected a name below submissions/s/flights/"),
        ("s-000001.arrow", "../../x", "expected a name below"),
        ("\"bytes\":", "\"bytes\":99999", "expected at most 268435456"),
        ("\"bytes\":", "\"bytes\":9", "expected that of the object"),
        ("\"bytes\":", "\"bytes\":0.", "invalid type: floating point"),
        ("\"blake3\":\"", "\"blake3\":\"0", "64 hexadecimal digits"),
    ] {
        let message = load(&edited(from, to)).await.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let other = blake3::hash(b"other").to_hex().to_string();
    let digest =
        String::from_utf8(message.body.to_vec()).unwrap().split("\"blake3\":\"").nth(1).unwrap()[..64].to_owned();
    let wrong = load(&edited(&digest, &other)).await.unwrap_err().to_string();
    assert!(wrong.contains("expected that of the object"), "{wrong}");
}

#[test]
fn a_job_over_the_limits_is_not_sent() {
    let encoding = Encoding::default();
    let error = encoding.encode(&terms(), &fleet(3), &Limits { flights: 2, ..limits() }).unwrap_err().to_string();
    assert_eq!(error, "flights is 3, expected at most 2 a job");
    let tiny = Limits { object_bytes: 10, unpacked_bytes: 10, ..limits() };
    assert!(
        encoding.encode(&terms(), &fleet(3), &tiny).unwrap_err().to_string().contains("at most 10 of flights a job")
    );
}

#[test]
fn deadlines_and_names_travel_in_properties() {
    let mut terms = Terms { id: id("s-000007"), ..job(1).terms };
    terms.deadline = Some("2030-01-01T00:00:00Z".parse().unwrap());
    let message = encode(&Encoding::default(), &terms, &fleet(1)).message;
    assert_eq!((message.properties.message_id.as_str(), message.properties.deadline), ("s-000007", terms.deadline));
    assert!(
        terms.is_late("2030-01-01T00:00:01Z".parse().unwrap())
            && !terms.is_late("2029-01-01T00:00:00Z".parse().unwrap())
    );
}
