//! Names, files, and a disk that is not filled.

use std::{fs, path::Path};

use bytes::Bytes;

use super::*;
use crate::{
    field::{archive::tests::zipped, synthetic::Synthetic, zarr},
    store::{Objects, Store as _},
};

fn catalogue(folder: &Path, text: &str) -> Result<Catalogue, CatalogueError> {
    let file = folder.join("catalogue.toml");
    fs::write(&file, text).unwrap();
    Catalogue::read(&Settings { file, cache: folder.join("cache"), cache_bytes: 1_000 })
}

fn described(uri: &str) -> Described {
    toml::from_str(&format!("version = \"1\"\nfiles = [{uri:?}]")).unwrap()
}

/// A field of 3 by 3 columns, as a file of NetCDF.
fn write_field(path: &Path) {
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/deflated.nc"), path).unwrap();
}

#[test]
fn faults_name_the_field() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [
        ("[datasets.a]\nfiles = [\"x\"]", "missing field `version`"),
        ("[datasets.a]\nversion = \"1\"\nfiles = []", "datasets.a.files is empty, expected at least one"),
        ("[datasets.a]\nversion = \" \"\nfiles = [\"x\"]", "datasets.a.version is empty"),
        ("[datasets.a]\nversion = \"1\"\nfiles = [\"ftp://x/y\"]", "expected file:FOLDER"),
        ("[datasets.a]\nversion = \"1\"\nfiles = [\"x\"]\ncolour = 1", "unknown field `colour`"),
        (
            "[datasets.a]\nversion = \"1\"\nfiles = [\"x\"]\nfrom = \"2024-02-01T00:00:00Z\"\nto = \"2024-01-01T00:00:00Z\"",
            "datasets.a.to is 2024-01-01T00:00:00Z, expected a time that is not before",
        ),
        (
            "[datasets.a]\nversion = \"1\"\nfiles = [\"x\"]\noptions = { variables = { o = { unit = \"furlong\" } } }",
            "datasets.a.options.variables.o.unit is \"furlong\"",
        ),
        (
            "[datasets.a]\nversion = \"1\"\nfiles = [\"x\"]\nblake3 = { \"y\" = \"00\" }",
            "datasets.a.blake3 is of file:y",
        ),
        ("[stores.\"s3://b/x\"]\n", "\"s3://b/x\" is no store"),
    ] {
        let error = catalogue(folder.path(), text).unwrap_err();
        assert!(error.to_string().contains(expected) && error.is_retryable(), "{error}");
    }
}

#[tokio::test]
async fn a_name_is_opened_once_and_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write_field(&folder.path().join("field.nc"));
    let text = "[datasets.real]\nversion = \"7\"\nfiles = [\"field.nc\"]";
    let catalogue = Arc::new(catalogue(folder.path(), text).unwrap());
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let catalogue = catalogue.clone();
            tokio::spawn(async move { catalogue.open("real").await.unwrap() })
        })
        .collect();
    let mut opened = Vec::new();
    for task in tasks {
        opened.push(task.await.unwrap());
    }
    assert!(opened.windows(2).all(|w| Arc::ptr_eq(&w[0], &w[1])));
    assert_eq!((opened[0].name.as_str(), opened[0].version.as_str()), ("real", "7"));
    assert!(opened[0].times_s().is_some());
}

#[tokio::test]
async fn archives_share_the_room_to_unpack() {
    let folder = tempfile::tempdir().unwrap();
    let text = ["a", "b"].map(|name| format!("[datasets.{name}]\nversion = \"1\"\nfiles = [\"{name}.zip\"]\n"));
    let plain = folder.path().join("field.nc");
    write_field(&plain);
    let field = fs::read(&plain).unwrap();
    for name in ["a.zip", "b.zip"] {
        fs::copy(zipped(&[("field.nc", &field)]).path(), folder.path().join(name)).unwrap();
    }
    let catalogue = catalogue(folder.path(), &text.concat()).unwrap().within(field.len() as u64 * 3 / 2);
    catalogue.open("a").await.unwrap();
    assert_eq!(catalogue.unpacked_bytes(), field.len() as u64);
    let error = catalogue.open("b").await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("b.zip:field.nc") && !error.is_retryable(), "{error}");
    assert_eq!(catalogue.unpacked_bytes(), field.len() as u64);
}

#[tokio::test]
async fn an_unknown_name_is_looked_for_in_the_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path(), "").unwrap();
    let error = catalogue.open("real").await.unwrap_err();
    assert_eq!(error.to_string(), "no data set \"real\" in the catalogue, which has none");
    assert!(!error.is_retryable());
    write_field(&folder.path().join("field.nc"));
    fs::write(folder.path().join("catalogue.toml"), "[datasets.real]\nversion = \"1\"\nfiles = [\"field.nc\"]")
        .unwrap();
    assert!(catalogue.open("real").await.is_ok());
    assert_eq!(catalogue.names(), ["real"]);
    let error = catalogue.open("other").await.unwrap_err();
    assert_eq!(error.to_string(), "no data set \"other\" in the catalogue, which has real");
}

#[tokio::test]
async fn what_cannot_be_opened_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path(), "[datasets.late]\nversion = \"1\"\nfiles = [\"late.nc\"]").unwrap();
    let error = catalogue.open("late").await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("data set late: ") && error.to_string().contains("late.nc")
    );
    write_field(&folder.path().join("late.nc"));
    assert!(catalogue.open("late").await.is_ok());
}

#[tokio::test]
async fn times_are_those_that_the_catalogue_says() {
    let folder = tempfile::tempdir().unwrap();
    write_field(&folder.path().join("field.nc"));
    let with = |range: &str| {
        catalogue(folder.path(), &format!("[datasets.a]\nversion = \"1\"\nfiles = [\"field.nc\"]\n{range}")).unwrap()
    };
    let (first, last) = with("").open("a").await.unwrap().times_s().unwrap();
    let fits = format!("from = \"{}\"\nto = \"{}\"", UnixTime(first), UnixTime(last));
    assert!(with(&fits).open("a").await.is_ok());
    let error = with("to = \"2100-01-01T00:00:00Z\"").open("a").await.unwrap_err();
    assert!(error.to_string().ends_with("expected any time to 2100-01-01T00:00:00Z as the catalogue says"), "{error}");
}

#[tokio::test]
async fn data_sets_that_are_open_have_their_names() {
    let dataset =
        Dataset::of(vec![Box::new(Synthetic::new(0.0))], super::super::dataset::DatasetFile::default()).unwrap();
    let catalogue = Catalogue::of_open(vec![Entry { name: "demo".into(), version: "1".into(), dataset }]);
    assert_eq!(catalogue.open("demo").await.unwrap().version, "1");
    assert!(catalogue.open("other").await.unwrap_err().to_string().contains("which has demo"));
}

#[tokio::test]
async fn files_of_stores_lie_on_the_disk_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Objects::in_memory();
    for name in ["a.nc", "b.nc", "c.nc"] {
        store.put_new(name, Bytes::from(vec![1; 400])).await.unwrap();
    }
    store.put_new("huge.nc", Bytes::from(vec![1; 2_000])).await.unwrap();
    let have = async |fetched: &Fetched, name: &str| {
        let address = format!("s3://bucket/{name}");
        fetched.have(&store, &address.parse().unwrap(), &described(&address)).await
    };
    let first = Fetched::new(folder.path().to_owned(), 1_000);
    let a = have(&first, "a.nc").await.unwrap();
    assert_eq!((a.file_name().unwrap().to_str(), fs::read(&a).unwrap().len()), (Some("a.nc"), 400));
    assert_eq!(have(&first, "a.nc").await.unwrap(), a);
    have(&first, "b.nc").await.unwrap();
    // Both are open: nothing can make room.
    let full = have(&first, "c.nc").await.unwrap_err();
    assert!(full.is_retryable() && full.to_string().contains("400 bytes more do not fit beside the 800"), "{full}");
    // Another process, later: the one unused for longest goes.
    let second = Fetched::new(folder.path().to_owned(), 1_000);
    let b = have(&second, "b.nc").await.unwrap();
    have(&second, "c.nc").await.unwrap();
    assert!(!a.exists() && b.exists());
    assert!(matches!(have(&second, "huge.nc").await.unwrap_err(), CatalogueError::Full { .. }));
    let none = have(&second, "none.nc").await.unwrap_err().to_string();
    assert!(none.contains("s3://bucket/none.nc: there is no such object"), "{none}");
}

#[tokio::test]
async fn a_new_version_is_fetched_anew_and_a_wrong_digest_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Objects::in_memory();
    store.put_new("a.nc", Bytes::from_static(b"field")).await.unwrap();
    let fetched = Fetched::new(folder.path().to_owned(), 1_000);
    let uri: Uri = "s3://bucket/a.nc".parse().unwrap();
    let one = described("s3://bucket/a.nc");
    let two = Described { version: "2".into(), ..one.clone() };
    let (old, new) = (fetched.have(&store, &uri, &one).await.unwrap(), fetched.have(&store, &uri, &two).await.unwrap());
    assert_ne!(old, new);
    let digest = |bytes: &[u8]| BTreeMap::from([(uri.clone(), blake3::hash(bytes).to_hex().to_string())]);
    let right = Described { version: "3".into(), blake3: digest(b"field"), ..one.clone() };
    assert!(fetched.have(&store, &uri, &right).await.is_ok());
    let wrong = Described { version: "4".into(), blake3: digest(b"other"), ..one };
    let error = fetched.have(&store, &uri, &wrong).await.unwrap_err().to_string();
    assert!(error.contains("s3://bucket/a.nc: its BLAKE3 is"), "{error}");
    // Nothing of it is left.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn folders_of_stores_are_fetched_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Objects::in_memory();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/zarr/v3.zarr");
    let mut open = vec![from.clone()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else {
            let name = format!("x/v3.zarr/{}", path.strip_prefix(&from).unwrap().display());
            store.put_new(&name, fs::read(&path).unwrap().into()).await.unwrap();
        }
    }
    let fetched = Fetched::new(folder.path().to_owned(), 1 << 20);
    let uri: Uri = "az://fields/x/v3.zarr".parse().unwrap();
    let path = fetched.have(&store, &uri, &described("az://fields/x/v3.zarr")).await.unwrap();
    assert_eq!(zarr::open(&path).unwrap().len(), zarr::open(&from).unwrap().len());
}
