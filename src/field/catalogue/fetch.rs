//! Files of stores on the local disk, bounded in bytes.
//!
//! What is fetched lies in a folder of its own, named by address and version;
//! it appears there whole or not at all. The folder unused for longest makes
//! room, unless this process has it open. One process has the folder for
//! itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use super::{CatalogueError, Described};
use crate::store::{self, Objects, Store as _, Uri};

/// Files of stores on the local disk.
#[derive(Debug)]
pub(super) struct Fetched {
    folder: PathBuf,
    most_bytes: u64,
    /// Folders that this process has open.
    open: Mutex<BTreeSet<PathBuf>>,
    /// One at a time: room is made for one, and the line is full anyway.
    turn: tokio::sync::Mutex<()>,
}

/// A folder in the cache.
struct Kept {
    folder: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Fetched {
    pub(super) fn new(folder: PathBuf, most_bytes: u64) -> Self {
        Self { folder, most_bytes, open: Mutex::default(), turn: tokio::sync::Mutex::new(()) }
    }

    /// The local path of an address, fetched where it is not there yet.
    pub(super) async fn path(
        &self,
        uri: &Uri,
        described: &Described,
        stores: &BTreeMap<String, store::Settings>,
    ) -> Result<PathBuf, CatalogueError> {
        if let Some(path) = uri.local() {
            return Ok(path);
        }
        self.have(&open_store(uri, stores)?, uri, described).await
    }

    /// The same, from a store that is open.
    pub(super) async fn have(
        &self,
        store: &Objects,
        uri: &Uri,
        described: &Described,
    ) -> Result<PathBuf, CatalogueError> {
        let name = Path::new(&uri.path).file_name().map_or_else(|| "field".into(), ToOwned::to_owned);
        let digest = blake3::hash(format!("{uri}\n{}", described.version).as_bytes()).to_hex();
        let folder = self.folder.join(&digest[..32]);
        let _turn = self.turn.lock().await;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.clone());
        if !folder.exists() {
            self.fetch(store, uri, described, &folder, Path::new(&name)).await?;
        }
        // Marks the use; a clock that stands still only makes the order worse.
        let _ = fs::File::create(folder.join(USED));
        Ok(folder.join(name))
    }

    async fn fetch(
        &self,
        store: &Objects,
        uri: &Uri,
        described: &Described,
        folder: &Path,
        name: &Path,
    ) -> Result<(), CatalogueError> {
        let objects = objects(store, uri).await?;
        let total = objects.iter().map(|(_, bytes)| bytes).sum();
        self.make_room(total)?;
        let io = |source| CatalogueError::Cache { folder: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(io)?;
        let part = tempfile::Builder::new().prefix(PART).tempdir_in(&self.folder).map_err(io)?;
        for (object, bytes) in &objects {
            // Names come from a listing below the address.
            let below = object.strip_prefix(uri.path.as_str()).unwrap_or(object).trim_start_matches('/');
            let to = if below.is_empty() { part.path().join(name) } else { part.path().join(name).join(below) };
            fs::create_dir_all(to.parent().unwrap_or(part.path())).map_err(io)?;
            let fetched = store.fetch(object, &to, *bytes).await?;
            if fetched != *bytes || fs::metadata(&to).map_err(io)?.len() != *bytes {
                let what = format!("{fetched} bytes came, expected {bytes}");
                return Err(CatalogueError::Fetched { uri: uri.clone(), what });
            }
        }
        if let Some(expected) = described.blake3.get(uri) {
            check_digest(uri, part.path().join(name), expected).await?;
        }
        fs::rename(part.path(), folder).map_err(io)
    }

    /// Removes what was not used for longest until `bytes` more fit.
    fn make_room(&self, bytes: u64) -> Result<(), CatalogueError> {
        let io = |source| CatalogueError::Cache { folder: self.folder.clone(), source };
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut kept = self.kept().map_err(io)?;
        kept.sort_by_key(|k| k.used);
        let mut there: u64 = kept.iter().map(|k| k.bytes).sum();
        for Kept { folder, bytes: gone, .. } in kept {
            if there.saturating_add(bytes) <= self.most_bytes {
                return Ok(());
            }
            if !open.contains(&folder) {
                fs::remove_dir_all(&folder).map_err(io)?;
                there -= gone;
            }
        }
        if there.saturating_add(bytes) <= self.most_bytes {
            return Ok(());
        }
        Err(CatalogueError::Full { folder: self.folder.clone(), needed: bytes, used: there, most: self.most_bytes })
    }

    fn kept(&self) -> io::Result<Vec<Kept>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut kept = Vec::new();
        for entry in entries {
            let folder = entry?.path();
            let used = fs::metadata(folder.join(USED)).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            kept.push(Kept { bytes: size(&folder)?, folder, used });
        }
        Ok(kept)
    }
}

/// The file whose time says when a folder was used.
const USED: &str = ".used";
/// What folders that are being filled begin with.
const PART: &str = ".part-";

fn size(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

fn open_store(uri: &Uri, stores: &BTreeMap<String, store::Settings>) -> Result<Objects, CatalogueError> {
    let root = Uri { path: String::new(), folder: true, ..uri.clone() };
    let is_this = |address: &&String| address.parse::<Uri>().is_ok_and(|known| Uri { folder: true, ..known } == root);
    let given = stores.keys().find(is_this).and_then(|address| stores.get(address));
    let settings = store::Settings { uri: root.to_string(), ..given.cloned().unwrap_or_default() };
    Ok(Objects::open(&settings)?)
}

/// The objects of an address, with their sizes.
async fn objects(store: &Objects, uri: &Uri) -> Result<Vec<(String, u64)>, CatalogueError> {
    let is_folder = uri.folder || Path::new(&uri.path).extension().is_some_and(|e| e == "zarr");
    let names = if is_folder { store.list(&format!("{}/", uri.path)).await? } else { vec![uri.path.clone()] };
    let mut objects = Vec::with_capacity(names.len());
    for name in names {
        if let Some(bytes) = store.size(&name).await? {
            objects.push((name, bytes));
        }
    }
    if objects.is_empty() {
        return Err(CatalogueError::Fetched { uri: uri.clone(), what: "there is no such object".to_owned() });
    }
    Ok(objects)
}

async fn check_digest(uri: &Uri, path: PathBuf, expected: &str) -> Result<(), CatalogueError> {
    let fault = |what: String| CatalogueError::Fetched { uri: uri.clone(), what };
    let hash = tokio::task::spawn_blocking(move || {
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut fs::File::open(path)?, &mut hasher)?;
        Ok::<_, io::Error>(hasher.finalize().to_hex().to_string())
    });
    let found = hash.await.map_err(|e| fault(e.to_string()))?.map_err(|e| fault(e.to_string()))?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(fault(format!("its BLAKE3 is {found}, expected {expected} as the catalogue says")))
}
