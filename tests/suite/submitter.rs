//! `skydose submit`, `collect` and `cancel`, and the example in Python,
//! against a real RabbitMQ and the worker as a process: their results are
//! those of `skydose compute`.
//!
//! Flights are observed ones of `../shared/data` where that is there, made
//! ones otherwise.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use skydose::{
    field::{
        dataset::Preparation,
        zarr::{prepared::Compression, writer::PreparedWriter},
    },
    trajectory::{self, Fleet},
};

use crate::{
    broker::Broker,
    worker::harness::{DATASET, dataset, fleet, free_port, observed},
};

/// A folder with a field, flights and a configuration.
struct Home {
    folder: tempfile::TempDir,
}

/// A worker; killed when it is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Home {
    fn new(uri: &str, flights: &Fleet) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let data = dataset();
        let preparation = Preparation::of(&data, &[]).expect("a preparation");
        let layout = preparation.layout(Compression::None, "test".into());
        let writer = PreparedWriter::create(&path("field.zarr"), layout, true).expect("a writer");
        preparation.write(&writer, 1 << 26, &|_| true).expect("a field");
        writer.finish().expect("a field");
        trajectory::write_csv(&path("flights.csv"), flights).expect("flights");
        fs::write(path("catalogue.toml"), format!("[datasets.{DATASET}]\nversion = \"1\"\nfiles = [\"field.zarr\"]\n"))
            .expect("a catalogue");
        let text = format!(
            "[broker]\nuri = \"{uri}\"\n[store]\nuri = \"file:{0}/store\"\ndurable = false\n\
             [catalogue]\nfile = \"{0}/catalogue.toml\"\n[admin]\nlisten = \"127.0.0.1:{1}\"\n\
             [worker]\nmemory = 268435456\nthreads = 1\n[submitter]\npatience = \"2s\"\n",
            folder.path().display(),
            free_port()
        );
        fs::write(path("skydose.toml"), text).expect("a configuration");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn skydose(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skydose"));
        command.args(arguments).env("SKYDOSE_CONFIG", self.path("skydose.toml")).current_dir(self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.skydose(arguments).output().expect("skydose")
    }

    fn worker(&self) -> Worker {
        let log = fs::File::create(self.path("worker.log")).expect("a log");
        Worker(self.skydose(&["worker"]).stdout(Stdio::null()).stderr(log).spawn().expect("a worker"))
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_through_the_queue_are_those_of_compute() {
    let place = Broker::shared().place("submit").await;
    let home = Home::new(&place.uri, &observed(23));
    let _worker = home.worker();
    let computed = home.run(&["compute", "--field", "field.zarr", "--flights", "flights.csv", "--out", "here.csv"]);
    assert!(computed.status.success(), "{}", said(&computed));
    for (chunk, out) in [("5", "there.csv"), ("1", "single.csv"), ("1000", "whole.csv")] {
        let arguments = [
            "submit",
            "--flights",
            "flights.csv",
            "--dataset",
            DATASET,
            "--chunk",
            chunk,
            "--out",
            out,
            "--priority",
            "high",
        ];
        let sent = home.run(&arguments);
        assert!(sent.status.success(), "{}\n{}", said(&sent), home.text("worker.log"));
        assert!(home.text(out) == home.text("here.csv"), "{out} is not what compute writes");
        // Again, from the store alone, by the name that was printed.
        let id = String::from_utf8_lossy(&sent.stdout).trim().to_owned();
        let again = home.run(&["collect", &id, "--out", "again.csv"]);
        assert!(again.status.success() && home.text("again.csv") == home.text(out), "{}", said(&again));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said() {
    let place = Broker::shared().place("missing").await;
    let home = Home::new(&place.uri, &fleet(3, 0));
    let sent =
        home.run(&["submit", "--flights", "flights.csv", "--dataset", "no-such", "--chunk", "2", "--id", "lost"]);
    assert!(sent.status.success() && sent.stdout == b"lost\n", "{}", said(&sent));
    assert!(said(&sent).contains("3 flights in 2 jobs sent to no-such"), "{}", said(&sent));
    let none = home.run(&["collect", "lost", "--out", "lost.csv"]);
    assert_eq!(none.status.code(), Some(5), "{}", said(&none));
    assert!(said(&none).contains("2 jobs have no answer: lost-000001, lost-000002"), "{}", said(&none));
    let _worker = home.worker();
    // The same flights under the same name do no harm, and are waited for now.
    let again = home.run(&[
        "submit",
        "--flights",
        "flights.csv",
        "--dataset",
        "no-such",
        "--chunk",
        "2",
        "--id",
        "lost",
        "--wait",
    ]);
    assert_eq!(again.status.code(), Some(5), "{}", said(&again));
    let reason =
        "lost-000002 lies among the dead letters, invalid: no data set \"no-such\" in the catalogue, which has test";
    assert!(said(&again).contains(reason), "{}", said(&again));
    // Long after, from the store and the dead letters alone.
    let none = home.run(&["collect", "lost", "--out", "lost.csv"]);
    assert!(none.status.code() == Some(5) && said(&none).contains(reason), "{}", said(&none));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_submission_is_skipped() {
    let place = Broker::shared().place("cancel").await;
    let home = Home::new(&place.uri, &fleet(4, 0));
    let sent = home.run(&["submit", "--flights", "flights.csv", "--dataset", DATASET, "--chunk", "2", "--id", "gone"]);
    assert!(sent.status.success(), "{}", said(&sent));
    let cancelled = home.run(&["cancel", "gone"]);
    assert!(said(&cancelled).contains("gone is cancelled") && said(&cancelled).contains("0 of its 2 jobs"));
    let _worker = home.worker();
    let waited = home.run(&[
        "submit",
        "--flights",
        "flights.csv",
        "--dataset",
        DATASET,
        "--chunk",
        "2",
        "--id",
        "gone",
        "--wait",
    ]);
    assert_eq!(waited.status.code(), Some(5), "{}", said(&waited));
    assert!(said(&waited).contains("2 jobs cancelled"), "{}", said(&waited));
    assert!(said(&home.run(&["collect", "gone", "--out", "gone.csv"])).contains("the submission is cancelled"));
}

#[test]
fn faults_of_a_call_are_said() {
    let home = Home::new("amqp://127.0.0.1:9/", &fleet(1, 0));
    for (arguments, expected) in [
        (&["submit", "--flights", "none.csv", "--dataset", "x"][..], "none.csv"),
        (&["submit", "--flights", "flights.csv", "--dataset", "../x"], "is no name, expected 1 to 80 of"),
        (
            &["submit", "--flights", "flights.csv", "--dataset", "x", "--chunk", "0"],
            "--chunk is 0, expected at least 1",
        ),
        (&["submit", "--flights", "flights.csv", "--dataset", "x", "--out", "x.doc"], "expected parquet, csv or json"),
        (&["submit", "--flights", "flights.csv", "--dataset", "x", "--deadline", "soon"], "--deadline is \"soon\""),
        (&["submit", "--flights", "flights.csv", "--dataset", "x"], "127.0.0.1:9"),
        (&["collect", "nobody", "--out", "x.csv"], "no submission nobody in file:"),
    ] {
        let output = home.run(arguments);
        assert!(!output.status.success() && said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_python_submits_and_reads_results() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/tools/python/bin/python");
    if !python.exists() {
        eprintln!("skipped: no {}; tests/tools makes it", python.display());
        return;
    }
    let place = Broker::shared().place("python").await;
    let home = Home::new(&place.uri, &observed(23).cut(0..5));
    let _worker = home.worker();
    let computed = home.run(&["compute", "--field", "field.zarr", "--flights", "flights.csv", "--out", "here.csv"]);
    assert!(computed.status.success(), "{}", said(&computed));
    let output = Command::new(python)
        .arg(root.join("docs/examples/submit.py"))
        .args(["--broker", &place.uri, "--dataset", DATASET])
        .arg(home.path("flights.csv"))
        .output()
        .expect("python");
    assert!(output.status.success(), "{}\n{}", said(&output), home.text("worker.log"));
    let dosages = |text: &str, is_wanted: &dyn Fn(&csv::StringRecord, &csv::StringRecord) -> bool| {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().expect("headers").clone();
        let column = |name: &str| headers.iter().position(|h| h == name).expect("a column");
        let (flight, contaminant, dosage) = (column("flight_id"), column("contaminant"), column("dosage_g_s_m3"));
        let rows = reader.records().map(|row| row.expect("a row")).filter(|row| is_wanted(&headers, row));
        let mut found: Vec<(String, String, u64)> = rows
            .map(|row| {
                let dosage: f64 = row[dosage].parse().expect("a dosage");
                (row[flight].to_owned(), row[contaminant].to_owned(), dosage.to_bits())
            })
            .collect();
        found.sort();
        found
    };
    let theirs = dosages(&String::from_utf8_lossy(&output.stdout), &|_, _| true);
    let ours = dosages(&home.text("here.csv"), &|headers, row| {
        &row[headers.iter().position(|h| h == "phase").expect("phases")] == "flight"
    });
    assert_eq!((theirs.len(), theirs), (10, ours));
}
