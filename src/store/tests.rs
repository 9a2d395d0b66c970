//! The contract on a folder and in memory; addresses; stores that are down.

use std::sync::Arc;

use super::*;

fn stores() -> Vec<(Objects, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { uri: format!("file:{}", folder.path().display()), durable: false, ..Settings::default() };
    vec![(Objects::in_memory(), None), (Objects::open(&settings).unwrap(), Some(folder))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_and_memory_keep_the_promises_of_a_store() {
    for (store, _folder) in stores() {
        super::contract::holds(&Arc::new(store)).await;
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { uri: folder.path().display().to_string(), ..Settings::default() };
    let store = Objects::open(&settings).unwrap();
    // Half of an object, under the name that it has until it is whole.
    std::fs::create_dir(folder.path().join("results")).unwrap();
    std::fs::write(folder.path().join("results/a.json#1"), b"{\"ha").unwrap();
    assert_eq!(store.list("results/").await.unwrap(), [""; 0]);
    assert_eq!(store.put_new("results/a.json", Bytes::from_static(b"{}")).await.unwrap(), Put::Created);
    assert_eq!(&store.get("results/a.json", 9).await.unwrap()[..], b"{}");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_may_do_better_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = Objects::open(&Settings { uri: folder.path().display().to_string(), ..Settings::default() }).unwrap();
    // A file stands where a folder is needed.
    std::fs::write(folder.path().join("results"), b"").unwrap();
    let error = store.put_new("results/a.json", Bytes::new()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("putting results/a.json"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_down_is_said_in_time() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Nobody listens on the port: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for uri in ["s3://bucket/x", "az://container/x"] {
        let settings = Settings {
            uri: uri.to_owned(),
            endpoint: Some(format!("http://127.0.0.1:{port}")),
            region: Some("eu".to_owned()),
            account: Some("account".to_owned()),
            key: Some("c2VjcmV0".to_owned().into()),
            timeout: std::time::Duration::from_millis(900),
            ..Settings::default()
        };
        let store = Objects::open(&settings).unwrap();
        let error = store.put_new("a", Bytes::new()).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().starts_with(uri), "{error}");
        assert!(!format!("{error:?} {store:?} {settings:?}").contains("c2VjcmV0"));
    }
}

#[test]
fn addresses_are_read() {
    for (text, expected) in [
        ("results", "file:results"),
        ("/data/results", "file:/data/results"),
        ("file:///data", "file:/data"),
        ("file:data", "file:data"),
        ("az://box/a/b/", "az://box/a/b"),
        ("s3:bucket", "s3://bucket"),
        ("memory:", "memory:"),
    ] {
        assert_eq!(text.parse::<Uri>().unwrap().to_string(), expected);
    }
    for bad in ["", "file:", "az://", "s3://", "ftp://x/y", "s3://b/../x", "az://a b/c"] {
        let error = bad.parse::<Uri>().unwrap_err().to_string();
        assert!(error.contains("expected file:FOLDER"), "{error}");
    }
}
