//! Rows to the last bit, and one manifest a job.

use std::sync::Arc;

use super::*;
use crate::{
    exposure::Peak,
    job::{
        event::{Ending, ResultEvent},
        key::{ALGORITHM, Versions},
        settle::ReasonKind,
        testing::job,
    },
    store::Objects,
    trajectory::phase::Phase,
};

fn exposure(flight: &str, dosage: f64) -> Exposure {
    Exposure {
        flight_id: flight.into(),
        contaminant: "ash".into(),
        phase: Phase::Cruise,
        member: Some("p50".into()),
        start_s: 1_717_200_000.123_456,
        end_s: 1_717_203_600.0,
        duration_s: 3_599.876_544,
        sampled_fraction: 1.0 / 3.0,
        dosage_g_s_m3: Some(dosage),
        mean_mg_m3: Some(0.1 + 0.2),
        peak: Some(Peak {
            mg_m3: 4.0,
            time_s: 1_717_201_800.5,
            longitude_deg: -179.999,
            latitude_deg: 47.1,
            pressure_hpa: 238.42,
        }),
        rolling_peak_mg_m3: None,
        rolling_window_s: None,
        dose_g: Some(f64::MIN_POSITIVE),
        time_above_s: vec![(Arc::from("2 mg m-3"), Some(60.0)), (Arc::from("0.2 mg m-3"), None)],
        exceedance: vec![(Arc::from("2 mg m-3"), Some(1.0))],
    }
}

fn manifest() -> Manifest {
    let job = job(2);
    Manifest {
        job: job.terms.id.clone(),
        submission: job.terms.submission.clone(),
        key: Key::of(&job, &Versions { dataset: "1", algorithm: ALGORITHM, mode: "f64" }),
        dataset: job.terms.dataset,
        dataset_version: "1".to_owned(),
        algorithm: ALGORITHM,
        mode: "f64".to_owned(),
        backend: "cpu".into(),
        rules: BTreeMap::from([("integration".to_owned(), "path".to_owned())]),
        flights: 2,
        rejected: Vec::new(),
        repaired: BTreeMap::new(),
        rows: Rows::Inline(Vec::new()),
    }
}

#[test]
fn rows_come_back_from_json_as_they_were() {
    let there = exposure("A", std::f64::consts::PI);
    let json = serde_json::to_string(&Row::from(&there)).unwrap();
    let back = Exposure::from(serde_json::from_str::<Row>(&json).unwrap());
    assert_eq!(back, there, "{json}");
    let none = Exposure { peak: None, mean_mg_m3: None, member: None, ..there };
    let json = serde_json::to_string(&Row::from(&none)).unwrap();
    assert!(json.contains("\"mean_mg_m3\":null") && json.contains("\"peak_time\":null"), "{json}");
    assert_eq!(Exposure::from(serde_json::from_str::<Row>(&json).unwrap()), none);
}

#[test]
fn what_does_not_exist_is_null_never_nan() {
    let mut odd = exposure("A", f64::NAN);
    odd.time_above_s[0].1 = Some(f64::INFINITY);
    let json = serde_json::to_string(&Row::from(&odd)).unwrap();
    assert!(json.contains("\"dosage_g_s_m3\":null") && json.contains("\"2 mg m-3\":null"), "{json}");
}

#[test]
fn rows_have_the_columns_of_result_files() {
    let row = serde_json::to_value(Row::from(&exposure("A", 1.0))).unwrap();
    let mut names: Vec<String> = row.as_object().unwrap().keys().cloned().collect();
    let mut expected = outcome::column_names();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn the_first_manifest_of_a_job_stays() {
    let store = Objects::in_memory();
    let terms = job(2).terms;
    assert_eq!(Manifest::find(&store, &terms).await.unwrap(), None);
    let rows = [exposure("A", 1.0), exposure("B", 2.0)];
    let first = Answer::new(manifest(), &rows, 10).unwrap().commit(&store).await.unwrap();
    assert_eq!(first.put, Put::Created);
    let again = Answer::new(manifest(), &rows, 10).unwrap().commit(&store).await.unwrap();
    assert_eq!((again.put, &again.manifest), (Put::Same, &first.manifest));
    let other = Answer::new(manifest(), &rows[..1], 10).unwrap().commit(&store).await.unwrap();
    assert_eq!((other.put, &other.manifest), (Put::Differs, &first.manifest));
    assert_eq!(Manifest::find(&store, &terms).await.unwrap(), Some(first.manifest));
}

#[tokio::test]
async fn many_rows_lie_beside_the_manifest_and_are_there_before_it() {
    let store = Objects::in_memory();
    let rows: Vec<Exposure> = (0..50).map(|i| exposure("A", f64::from(i))).collect();
    let Committed { manifest, put } = Answer::new(manifest(), &rows, 10).unwrap().commit(&store).await.unwrap();
    let Rows::Stored(stored) = &manifest.rows else { panic!("inline") };
    let bytes = store.get(&stored.object, stored.bytes).await.unwrap();
    assert_eq!((put, stored.count, blake3::hash(&bytes).to_hex().as_str()), (Put::Created, 50, stored.blake3.as_str()));
    // Other rows lie apart, and the first manifest counts.
    let other = Answer::new(super::tests::manifest(), &rows[1..], 10).unwrap().commit(&store).await.unwrap();
    assert_eq!((other.put, other.manifest), (Put::Differs, manifest));
    assert_eq!(store.list("submissions/").await.unwrap().len(), 3);
}

#[test]
fn events_are_read_back() {
    let endings = [
        Ending::Answered(Box::new(Answer::new(manifest(), &[exposure("A", 1.0)], 10).unwrap().manifest)),
        Ending::Buried { kind: ReasonKind::Invalid, reason: "no contaminant \"soup\"".to_owned() },
        Ending::Cancelled,
    ];
    for ending in endings {
        let event = ResultEvent {
            job: manifest().job,
            submission: manifest().submission,
            ending,
            worker: "w".to_owned(),
            attempt: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        let message = event.message();
        assert_eq!(ResultEvent::read(&message).unwrap(), event);
        let is_key = matches!(event.ending, Ending::Answered(_));
        assert_eq!(message.properties.message_id.len() == 64, is_key);
    }
}
