use std::{fs, path::PathBuf, time::Duration};

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.path().join("skydose.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

const NOTHING: [(&str, &str); 0] = [];

#[test]
fn later_layers_lie_above() {
    let folder = Folder::new();
    let file = folder.file("[worker]\nslots = 2\npool = \"file\"\nheartbeat = \"9s\"\n");
    let env = [("SKYDOSE_WORKER__SLOTS", "3"), ("SKYDOSE_WORKER__POOL", "7"), ("SKYDOSE_PORT", "tcp://10.0.0.1:80")];
    let config = load(Some(&file), &env, &["worker.slots=4".into(), "log.format=json".into()]).unwrap();
    assert_eq!((config.worker.slots, config.worker.pool.as_str()), (4, "7"), "a text may look like a number");
    assert_eq!(config.worker.heartbeat, Duration::from_secs(9));
    assert_eq!(config.log.format, crate::telemetry::log::Format::Json);
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let folder = Folder::new();
    let file = folder
        .file("[worker]\nslots = \"many\"\nslotz = 1\ngrace = \"soon\"\nfield_share = 2.0\n[log]\nfilter = \"a=b\"\n");
    let env = [("SKYDOSE_ADMIN__LISTEN", "everywhere"), ("SKYDOSE_STORE__KEY", "canary")];
    let faults = load(Some(&file), &env, &["worker.tries.most_tries=0".into(), "nonsense".into()]).unwrap_err();
    let text = faults.to_string();
    let path = file.display();
    for expected in [
        format!("{path}: worker.slots is \"many\", expected u16\n"),
        format!("{path}: worker.slotz is not a field; expected one of"),
        format!("{path}: worker.grace is \"soon\", expected one such as"),
        format!("{path}: worker.field_share is 2, expected a part between 0 and 1"),
        format!("{path}: log.filter is \"a=b\", expected levels by module"),
        "the environment's SKYDOSE_ADMIN__LISTEN: admin.listen is \"everywhere\", expected".to_owned(),
        "--set: worker.tries.most_tries is 0, expected 1 or more".to_owned(),
        "--set: nonsense; expected KEY=VALUE".to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected}\nin\n{text}");
    }
    assert_eq!(faults.0.len(), 8, "{text}");
    assert!(!text.contains("canary"));
}

#[test]
fn a_secret_is_not_shown_where_it_is_at_fault() {
    for (name, value) in [("SKYDOSE_STORE__KEY", "[1]"), ("SKYDOSE_WORKER__SLOTS", "amqp://ann:canary@host")] {
        let text = load(None, &[(name, value)], &[]).map_or_else(|faults| faults.to_string(), |_| String::new());
        assert!(!text.contains("canary") && !text.contains("[1]"), "{text}");
    }
}

#[test]
fn a_file_that_is_none_is_a_fault() {
    let folder = Folder::new();
    let missing = folder.0.path().join("nowhere.toml");
    let fault = load(Some(&missing), &NOTHING, &[]).unwrap_err().to_string();
    assert!(fault.contains("nowhere.toml: ") && fault.contains("expected a file that can be read"), "{fault}");
    let fault = load(Some(&folder.file("worker = [")), &NOTHING, &[]).unwrap_err().to_string();
    assert!(fault.contains("expected TOML"), "{fault}");
}

#[test]
fn what_holds_without_being_written_can_be() {
    load(None, &NOTHING, &[]).unwrap();
}

/// Field by field, as text.
fn leaves(table: &toml::Table) -> std::collections::BTreeMap<String, String> {
    let mut leaves = std::collections::BTreeMap::new();
    layers::flatten(table, &mut Vec::new(), &mut |path, value| {
        leaves.insert(path.join("."), value.to_string());
    });
    leaves
}

#[test]
fn the_documented_file_says_what_holds_without_it() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/config.toml");
    let text = fs::read_to_string(path).unwrap();
    let defaults = leaves(&toml::Table::try_from(Raw::default()).unwrap());
    assert_eq!(leaves(&text.parse().unwrap()), defaults);
    // What has no default stands there as a comment that can be uncommented.
    let optional = |line: &str| line.strip_prefix("# ").filter(|l| l.contains(" = ")).map(str::to_owned);
    let section = |line: &str| line.starts_with('[');
    let all: Vec<String> =
        text.lines().filter_map(|l| if section(l) { Some(l.to_owned()) } else { optional(l) }).collect();
    toml::from_str::<Raw>(&all.join("\n")).unwrap();
}
