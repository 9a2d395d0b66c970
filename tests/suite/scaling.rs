//! `skydose decide` and `skydose simulate`, as people run them.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const CONFIG: &str = r#"
[worker]
anything = "of another section"

[scaling.backlog]
jobs_per_node = 10

[[scaling.pools]]
name = "gpu"
minimum = 1
maximum = 8
jobs_per_s = 0.1
"#;

const SAMPLE: &str = r#"{
    "at": "2026-10-01T12:00:00Z",
    "queues": {"at": "2026-10-01T11:59:58Z", "seen": [{"priority": "normal", "ready": 3000, "unacked": 4}]},
    "pools": {"at": "2026-10-01T12:00:00Z", "seen": [
        {"name": "gpu", "wanted": 1, "nodes": [{"name": "gpu-1", "state": "running", "age_s": 3600}]}]},
    "workers": {"at": "2026-10-01T12:00:00Z", "seen": [
        {"node": "gpu-1", "state": "consuming", "held": 4, "jobs_per_s": 0.12, "leader": true}]}
}"#;

fn skydose(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skydose"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program can be run")
}

/// Standard output of a call that must go well.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = skydose(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// Standard error of a call that must fail as the caller's fault.
fn blamed(folder: &Path, arguments: &[&str]) -> String {
    let output = skydose(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("skydose.toml"), CONFIG).expect("a file");
    fs::write(folder.path().join("sample.json"), SAMPLE).expect("a file");
    folder
}

#[test]
fn a_decision_is_explained() {
    let folder = folder();
    let text = said(folder.path(), &["decide", "sample.json", "--config", "skydose.toml"]);
    for expected in ["2026-10-01T12:00:00Z  drain-time", "3004 jobs", "from 1 to 8 nodes", "maximum:", "gpu "] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    let json = said(folder.path(), &["decide", "sample.json", "--config", "skydose.toml", "--json"]);
    let decision: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&decision["outcome"], &decision["pools"][0]["target"]), (&"grow".into(), &8.into()));
}

#[test]
fn faults_of_a_decision_name_the_file_the_field_and_what_was_expected() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("half.json"), r#"{"at": "2026-10-01T12:00:00Z", "queues": {"seen": [{"ready": 1}]}}"#).unwrap();
    fs::write(at.join("bad.toml"), CONFIG.replace("minimum = 1", "minimum = 9")).unwrap();
    fs::write(at.join("none.toml"), "[worker]\nslots = 4\n").unwrap();
    for (arguments, expected) in [
        (&["decide", "half.json", "--config", "skydose.toml"][..], &["half.json", "priority"][..]),
        (&["decide", "sample.json", "--config", "bad.toml"], &["bad.toml", "pools[0].maximum is 8", "no less than"]),
        (&["decide", "sample.json", "--config", "none.toml"], &["none.toml", "[scaling]"]),
        (&["decide", "sample.json", "--config", "gone.toml"], &["gone.toml"]),
        (&["decide", "sample.json"], &["--config"]),
        (&["decide", "sample.json", "--config", "skydose.toml", "--policy", "x"], &["\"x\"", "drain-time, backlog"]),
    ] {
        let text = blamed(at, arguments);
        for word in expected {
            assert!(text.contains(word), "{arguments:?}: {word:?} is not in:\n{text}");
        }
    }
}

#[test]
fn a_trace_is_simulated_into_a_table_and_a_picture() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("october.csv"), "time,jobs\n0,0\n600,40\n660,0\n3600,0\n").unwrap();
    let arguments = [
        "simulate",
        "--trace",
        "october.csv",
        "--config",
        "skydose.toml",
        "--policy",
        "drain-time,backlog",
        "--out",
        "o",
    ];
    let text = said(at, &arguments);
    assert!(text.contains("| drain-time |") && text.contains("| backlog |") && text.contains("40 jobs"), "{text}");
    assert!(fs::read_to_string(at.join("o/october.md")).unwrap().contains(text.trim()));
    assert_eq!(fs::read_to_string(at.join("o/october.csv")).unwrap().lines().count(), 3);
    assert!(fs::read_to_string(at.join("o/october.svg")).unwrap().starts_with("<svg"));
    // The same call, the same bytes.
    assert_eq!(said(at, &arguments), text);
}

#[test]
fn faults_of_a_simulation_say_what_there_is() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("short.csv"), "time,jobs\n0,1\n").unwrap();
    fs::write(at.join("october.csv"), "time,jobs\n0,1\n60,1\n120,1\n").unwrap();
    for (arguments, expected) in [
        (&["simulate", "--scenario", "quake", "--out", "o"][..], "spike, sawtooth"),
        (&["simulate", "--scenario", "spike", "--policy", "hope", "--out", "o"], "drain-time, backlog"),
        (&["simulate", "--trace", "short.csv", "--config", "skydose.toml", "--out", "o"], "short.csv, line 1"),
        (&["simulate", "--trace", "october.csv", "--out", "o"], "--config"),
        (&["simulate", "--out", "o"], "--scenario"),
    ] {
        let text = blamed(at, arguments);
        assert!(text.contains(expected), "{arguments:?}: {expected:?} is not in:\n{text}");
    }
}
