//! What any store promises, to be run on each: in unit tests on a folder and
//! in memory, in the integration tests on what speaks Azure Blob and S3.

use std::sync::Arc;

use bytes::Bytes;

use super::{Objects, Put, Store as _, StoreError};

/// Runs every promise on a store that is empty.
///
/// # Panics
/// Where one is broken.
pub async fn holds(store: &Arc<Objects>) {
    an_object_is_put_once(store).await;
    what_is_not_there_or_too_large_is_said(store).await;
    folders_are_listed_in_order(store).await;
    names_that_leave_the_store_are_refused(store).await;
    of_many_at_once_one_puts(store).await;
    objects_are_fetched_into_files(store).await;
}

async fn an_object_is_put_once(store: &Objects) {
    let put = async |bytes: &'static str| store.put_new("once/b.json", Bytes::from(bytes)).await.unwrap();
    assert_eq!(store.size("once/b.json").await.unwrap(), None);
    assert_eq!(put("one").await, Put::Created);
    assert_eq!(put("one").await, Put::Same);
    for other in ["two", "o", "ones", ""] {
        assert_eq!(put(other).await, Put::Differs, "{other:?}");
    }
    assert_eq!(&store.get("once/b.json", 3).await.unwrap()[..], b"one");
    assert_eq!(store.size("once/b.json").await.unwrap(), Some(3));
}

async fn what_is_not_there_or_too_large_is_said(store: &Objects) {
    assert!(matches!(store.get("none", 9).await, Err(StoreError::NotFound { object, .. }) if object == "none"));
    store.put_new("big", Bytes::from_static(b"1234")).await.unwrap();
    let error = store.get("big", 3).await.unwrap_err();
    assert!(error.to_string().contains("big has 4 bytes, expected at most 3"), "{error}");
    assert!(!error.is_retryable());
}

async fn folders_are_listed_in_order(store: &Objects) {
    assert_eq!(store.list("x/").await.unwrap(), [""; 0]);
    for name in ["x/b", "x/a", "x/y/c", "xx/d"] {
        store.put_new(name, Bytes::from_static(b"1")).await.unwrap();
    }
    assert_eq!(store.list("x/").await.unwrap(), ["x/a", "x/b", "x/y/c"]);
}

async fn names_that_leave_the_store_are_refused(store: &Objects) {
    for name in ["../x", "a/../../x", "a//b"] {
        assert!(matches!(store.get(name, 9).await, Err(StoreError::Refused { .. })), "{name}");
    }
}

async fn of_many_at_once_one_puts(store: &Arc<Objects>) {
    for round in 0..5 {
        let tasks: Vec<_> = (0..16_u8)
            .map(|i| {
                let store = Arc::clone(store);
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

async fn objects_are_fetched_into_files(store: &Objects) {
    store.put_new("field.nc", Bytes::from_static(b"CDF")).await.unwrap();
    let to = std::env::temp_dir().join(format!("skydose-{}", std::process::id()));
    assert_eq!(store.fetch("field.nc", &to, 3).await.unwrap(), 3);
    assert_eq!(std::fs::read(&to).unwrap(), b"CDF");
    assert!(matches!(store.fetch("field.nc", &to, 2).await, Err(StoreError::TooLarge { .. })));
    std::fs::remove_file(&to).unwrap();
}
