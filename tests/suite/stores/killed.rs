//! Writers of a folder that are killed at any moment: what is there is whole.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use skydose::store::{Objects, Put, Settings, Store as _};

/// Makes this test a writer instead, into the folder that it names.
const FOLDER: &str = "SKYDOSE_TEST_WRITES_INTO";

const BYTES: usize = 300_000;

fn open(folder: &Path) -> Objects {
    let uri = format!("file:{}", folder.display());
    Objects::open(&Settings { uri, durable: false, ..Settings::default() }).expect("a folder")
}

fn content(number: usize) -> Bytes {
    vec![u8::try_from(number % 251).expect("small"); BYTES].into()
}

#[tokio::test]
async fn writers_that_are_killed_leave_whole_objects() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let store = open(Path::new(&folder));
        for number in 0.. {
            assert_ne!(
                store.put_new(&format!("objects/{number:06}"), content(number)).await.expect("a put"),
                Put::Differs
            );
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let seed: u64 =
        std::env::var("SKYDOSE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}: SKYDOSE_SEED={seed} repeats it");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..8 {
        // Two at once, so that they race for the same names.
        let mut writers: Vec<_> = (0..2)
            .map(|_| {
                Command::new(std::env::current_exe().expect("this program"))
                    .args(["--exact", "stores::killed::writers_that_are_killed_leave_whole_objects"])
                    .env(FOLDER, folder.path())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("a writer")
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.u64(60..400))).await;
        for writer in &mut writers {
            writer.kill().expect("a writer to kill");
            writer.wait().expect("its end");
        }
    }
    let store = open(folder.path());
    let names = store.list("objects/").await.expect("a list");
    assert!(names.len() > 8, "only {} objects in 8 rounds", names.len());
    for (number, name) in names.iter().enumerate() {
        // Without gaps: each writer goes on where the names are taken.
        assert_eq!(*name, format!("objects/{number:06}"));
        assert!(store.get(name, BYTES as u64).await.expect("an object") == content(number), "{name} is not whole");
    }
}
