//! Stores that speak Azure Blob and S3, served by Azurite and moto, and a
//! folder while its writers are killed.
//!
//! `tests/tools` installs both; without them these tests are skipped and say
//! so.

mod killed;
mod server;

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use server::Server;
use skydose::{
    field::catalogue::{self, Catalogue},
    store::{Objects, Settings, Store as _, contract},
};

async fn servers() -> Vec<Server> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut servers = Vec::new();
    for (name, started) in [("az:", Server::azurite().await), ("s3:", Server::moto().await)] {
        match started {
            Some(server) => servers.push(server),
            None => eprintln!("skipped: no server for {name}; tests/tools installs one"),
        }
    }
    servers
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_blob_and_s3_keep_the_promises_of_a_store() {
    for server in servers().await {
        let store = Arc::new(Objects::open(&server.settings("promises")).expect("a store"));
        contract::holds(&store).await;
        // The same objects through another client, as another worker has it.
        let other = Objects::open(&server.settings("promises")).expect("a store");
        assert_eq!(other.list("x/").await.expect("a list"), ["x/a", "x/b", "x/y/c"]);
        // Another prefix is another store.
        let apart = Objects::open(&server.settings("apart")).expect("a store");
        assert_eq!(apart.list("x/").await.expect("a list"), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_said_in_time_and_may_come_back() {
    for mut server in servers().await {
        let settings = Settings { timeout: Duration::from_secs(2), ..server.settings("down") };
        let store = Objects::open(&settings).expect("a store");
        store.put_new("before", Bytes::from_static(b"1")).await.expect("a put");
        server.kill();
        let error = store.put_new("after", Bytes::from_static(b"1")).await.expect_err("a server that is dead");
        assert!(error.is_retryable(), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_a_refusal() {
    for server in servers().await {
        let mut settings = server.settings("none");
        settings.uri = settings.uri.replace(server::BUCKET, "no-such-bucket");
        let store = Objects::open(&settings).expect("a store");
        let error = store.put_new("a", Bytes::new()).await.expect_err("no such bucket");
        assert!(error.to_string().contains("no-such-bucket"), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_catalogue_may_lie_in_stores() {
    let field = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/deflated.nc");
    let bytes = std::fs::read(field).expect("a field");
    for server in servers().await {
        let settings = server.settings("fields");
        let store = Objects::open(&settings).expect("a store");
        store.put_new("2024/field.nc", bytes.clone().into()).await.expect("a put");
        let folder = tempfile::tempdir().expect("a folder");
        let root = settings.uri.trim_end_matches("/fields");
        let text = format!(
            "[datasets.remote]\nversion = \"1\"\nfiles = [\"{root}/fields/2024/field.nc\"]\n\
             blake3 = {{ \"{root}/fields/2024/field.nc\" = \"{}\" }}\n\
             [stores.\"{root}\"]\nendpoint = {:?}\nregion = \"us-east-1\"\naccount = {:?}\nkey = {:?}\n",
            blake3::hash(&bytes).to_hex(),
            settings.endpoint.clone().expect("an endpoint"),
            settings.account.clone().expect("an account"),
            server.key(),
        );
        let file = folder.path().join("catalogue.toml");
        std::fs::write(&file, text).expect("a catalogue");
        let settings = catalogue::Settings { file, cache: folder.path().join("cache"), cache_bytes: 1 << 20 };
        let entry = Catalogue::read(&settings).expect("a catalogue").open("remote").await.expect("a data set");
        assert!(entry.times_s().is_some());
        // It lies on the disk now: another process needs no server.
        drop(server);
        assert!(Catalogue::read(&settings).expect("a catalogue").open("remote").await.is_ok());
    }
}
