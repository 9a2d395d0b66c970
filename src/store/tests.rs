//! The contract of a store, on a folder and in memory.

use std::sync::Arc;

use super::*;

fn stores() -> Vec<(Objects, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { uri: format!("file:{}", folder.path().display()), durable: false, ..Settings::default() };
    vec![(Objects::in_memory(), None), (Objects::open(&settings).unwrap(), Some(folder))]
}

#[tokio::test]
async fn an_object_is_put_once() {
    for (store, _folder) in stores() {
        let put = async |bytes: &'static str| store.put_new("a/b.json", Bytes::from(bytes)).await.unwrap();
        assert_eq!(store.size("a/b.json").await.unwrap(), None);
        assert_eq!(put("one").await, Put::Created);
        assert_eq!(put("one").await, Put::Same);
        for other in ["two", "o", "ones"] {
            assert_eq!(put(other).await, Put::Differs, "{other}");
        }
        assert_eq!(&store.get("a/b.json", 3).await.unwrap()[..], b"one");
        assert_eq!(store.size("a/b.json").await.unwrap(), Some(3));
    }
}

#[tokio::test]
async fn what_is_not_there_or_too_large_is_said() {
    for (store, _folder) in stores() {
        assert!(matches!(store.get("none", 9).await, Err(StoreError::NotFound { object, .. }) if object == "none"));
        store.put_new("big", Bytes::from_static(b"1234")).await.unwrap();
        let error = store.get("big", 3).await.unwrap_err();
        assert!(error.to_string().contains("big has 4 bytes, expected at most 3"), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn folders_are_listed_in_order() {
    for (store, _folder) in stores() {
        assert_eq!(store.list("x/").await.unwrap(), [""; 0]);
        for name in ["x/b", "x/a", "x/y/c", "xx/d"] {
            store.put_new(name, Bytes::new()).await.unwrap();
        }
        assert_eq!(store.list("x/").await.unwrap(), ["x/a", "x/b", "x/y/c"]);
    }
}

#[tokio::test]
async fn names_that_leave_the_store_are_refused() {
    for (store, _folder) in stores() {
        for name in ["../x", "a/../../x", "a//b"] {
            assert!(matches!(store.get(name, 9).await, Err(StoreError::Refused { .. })), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_puts() {
    for (store, _folder) in stores() {
        let store = Arc::new(store);
        for round in 0..20 {
            let tasks: Vec<_> = (0..16_u8)
                .map(|i| {
                    let store = Arc::clone(&store);
                    // Two of each content.
                    tokio::spawn(async move { store.put_new(&format!("race/{round}"), vec![i / 2; 4096].into()).await })
                })
                .collect();
            let mut puts = Vec::new();
            for task in tasks {
                puts.push(task.await.unwrap().unwrap());
            }
            let count = |put| puts.iter().filter(|p| **p == put).count();
            assert_eq!((count(Put::Created), count(Put::Same), count(Put::Differs)), (1, 1, 14));
            let there = store.get(&format!("race/{round}"), 4096).await.unwrap();
            assert!(there.len() == 4096 && there.iter().all(|b| *b == there[0]));
        }
    }
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

#[tokio::test]
async fn objects_are_fetched_into_files() {
    for (store, _folder) in stores() {
        store.put_new("field.nc", Bytes::from_static(b"CDF")).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("x");
        assert_eq!(store.fetch("field.nc", &to, 3).await.unwrap(), 3);
        assert_eq!(std::fs::read(&to).unwrap(), b"CDF");
        assert!(matches!(store.fetch("field.nc", &to, 2).await, Err(StoreError::TooLarge { .. })));
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
