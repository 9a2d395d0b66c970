//! The data sets that jobs may name.
//!
//! A job says a name, never an address: what a name stands for is in a file
//! of the worker's own. Files of stores are fetched to the local disk first;
//! each data set is opened once, however many ask for it.
//!
//! ```toml
//! [datasets.cams-eac4]
//! version = "2024-06-01"
//! files = ["cams.zarr", "az://fields/cams/2024-06.nc"]
//! from = "2024-06-01T00:00:00Z"
//! to = "2024-06-30T21:00:00Z"
//! options = { hybrid_levels = "L60" }
//! ```

mod fetch;
mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use file::{CatalogueFile, Described};

use self::fetch::Fetched;
use super::{FieldError, dataset::Dataset};
use crate::{
    store::{StoreError, Uri},
    time::UnixTime,
};

/// Where the catalogue is, and where what it names is fetched to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The catalogue's file.
    pub file: PathBuf,
    /// The folder for files of stores: this process's alone.
    pub cache: PathBuf,
    /// Bytes that the folder may hold.
    pub cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { file: "catalogue.toml".into(), cache: "fields".into(), cache_bytes: 50_000_000_000 }
    }
}

/// The data sets that jobs may name.
#[derive(Debug)]
pub struct Catalogue {
    path: Option<PathBuf>,
    known: Mutex<Known>,
    fetched: Fetched,
    /// Bytes that archives may unpack into memory, all together.
    most_unpacked: u64,
    /// Bytes that they have unpacked.
    unpacked: AtomicU64,
    /// Held while one does, so that each knows what the others leave.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    file: CatalogueFile,
    /// By name, once it was asked for.
    places: BTreeMap<String, Arc<Place>>,
}

impl Known {
    /// In alphabetical order, each once.
    fn names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.file.datasets.keys().chain(self.places.keys()).collect();
        names.into_iter().cloned().collect()
    }
}

/// Where an opened data set is put; held while it is being opened.
#[derive(Debug, Default)]
struct Place(tokio::sync::Mutex<Option<Arc<Entry>>>);

/// A data set of the catalogue, opened.
pub struct Entry {
    /// The name that jobs give.
    pub name: String,
    /// Part of the key of every result.
    pub version: String,
    /// The opened files.
    pub dataset: Dataset,
}

/// Why a data set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The catalogue's file.
    #[error("{}: {what}", path.display())]
    File {
        /// Of the catalogue.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No such name.
    #[error("no data set {name:?} in the catalogue, which has {}", if known.is_empty() { "none" } else { known })]
    Unknown {
        /// As asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The store that a file is in.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What came from a store is not what it should be.
    #[error("{uri}: {what}")]
    Fetched {
        /// The address.
        uri: Uri,
        /// What is wrong.
        what: String,
    },
    /// The folder for files of stores.
    #[error("{}: {source}", folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder for files of stores is too small.
    #[error(
        "{}: {needed} bytes more do not fit beside the {used} that are open, of {most} (catalogue.cache_bytes)",
        folder.display()
    )]
    Full {
        /// The folder.
        folder: PathBuf,
        /// Bytes to be fetched.
        needed: u64,
        /// Bytes that cannot make room.
        used: u64,
        /// What it may hold.
        most: u64,
    },
    /// The files are no data set.
    #[error("data set {name}: {source}")]
    Field {
        /// Of the data set.
        name: String,
        /// What is wrong.
        source: FieldError,
    },
    /// The files do not have the times that the catalogue says.
    #[error("data set {name}: its files have {found}, expected {expected} as the catalogue says")]
    Times {
        /// Of the data set.
        name: String,
        /// First and last time.
        found: String,
        /// What the catalogue says.
        expected: String,
    },
}

impl Catalogue {
    /// Reads the catalogue; nothing of it is opened yet.
    ///
    /// # Errors
    /// [`CatalogueError::File`]
    pub fn read(settings: &Settings) -> Result<Self, CatalogueError> {
        let file = CatalogueFile::read(&settings.file)?;
        Ok(Self { path: Some(settings.file.clone()), ..Self::of(file, settings) })
    }

    /// A catalogue that is at hand.
    #[must_use]
    pub fn of(file: CatalogueFile, settings: &Settings) -> Self {
        Self::with(Known { file, places: BTreeMap::new() }, Fetched::new(settings.cache.clone(), settings.cache_bytes))
    }

    fn with(known: Known, fetched: Fetched) -> Self {
        Self {
            path: None,
            known: Mutex::new(known),
            fetched,
            most_unpacked: u64::MAX,
            unpacked: AtomicU64::new(0),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// The same, where archives may unpack at most `bytes` into memory, all
    /// together.
    #[must_use]
    pub fn within(self, bytes: u64) -> Self {
        Self { most_unpacked: bytes, ..self }
    }

    /// Bytes in memory that archives were unpacked to.
    #[must_use]
    pub fn unpacked_bytes(&self) -> u64 {
        self.unpacked.load(Ordering::Relaxed)
    }

    /// A catalogue of data sets that are open.
    #[must_use]
    pub fn of_open(entries: Vec<Entry>) -> Self {
        let place =
            |entry: Entry| (entry.name.clone(), Arc::new(Place(tokio::sync::Mutex::new(Some(Arc::new(entry))))));
        let known = Known { file: CatalogueFile::default(), places: entries.into_iter().map(place).collect() };
        Self::with(known, Fetched::new(PathBuf::new(), 0))
    }

    /// The names, in alphabetical order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).names()
    }

    /// The data set `name`, fetched and opened where that was not done yet.
    /// Where the name is new, the catalogue's file is read again; a name that
    /// was opened keeps its version for as long as this catalogue lives.
    ///
    /// # Errors
    /// [`CatalogueError`]; the next call tries again.
    pub async fn open(&self, name: impl AsRef<str>) -> Result<Arc<Entry>, CatalogueError> {
        let name = name.as_ref();
        let place = self.place(name)?;
        let mut opened = place.0.lock().await;
        if let Some(entry) = &*opened {
            return Ok(entry.clone());
        }
        let entry = Arc::new(self.open_files(name).await?);
        *opened = Some(entry.clone());
        Ok(entry)
    }

    fn place(&self, name: &str) -> Result<Arc<Place>, CatalogueError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = known.places.get(name) {
            return Ok(place.clone());
        }
        if !known.file.datasets.contains_key(name)
            && let Some(path) = &self.path
        {
            known.file = CatalogueFile::read(path)?;
        }
        if !known.file.datasets.contains_key(name) {
            return Err(CatalogueError::Unknown { name: name.to_owned(), known: known.names().join(", ") });
        }
        Ok(known.places.entry(name.to_owned()).or_default().clone())
    }

    async fn open_files(&self, name: &str) -> Result<Entry, CatalogueError> {
        let (described, stores) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            (known.file.datasets[name].clone(), known.file.stores.clone())
        };
        let mut paths = Vec::with_capacity(described.files.len());
        for uri in &described.files {
            paths.push(self.fetched.path(uri, &described, &stores).await?);
        }
        let field = |source| CatalogueError::Field { name: name.to_owned(), source };
        let options = described.options.clone();
        let _opening = self.opening.lock().await;
        let left = self.most_unpacked.saturating_sub(self.unpacked_bytes());
        let opening = tokio::task::spawn_blocking(move || Dataset::open_within(&paths, options, left));
        let dataset = opening.await.map_err(|e| field(FieldError::Dataset(format!("opening it: {e}"))))?;
        let entry =
            Entry { name: name.to_owned(), version: described.version.clone(), dataset: dataset.map_err(field)? };
        entry.check_times(&described)?;
        self.unpacked.fetch_add(entry.dataset.held_bytes(), Ordering::Relaxed);
        Ok(entry)
    }
}

impl Entry {
    /// First and last time of all variables \[s since 1970\]; `None` where
    /// there is none.
    #[must_use]
    pub fn times_s(&self) -> Option<(f64, f64)> {
        let offset = self.dataset.file().time_offset_s;
        let times = self.dataset.sources().iter().flat_map(|s| s.variables()).flat_map(|v| v.times_s.iter());
        times.map(|t| (t + offset, t + offset)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    fn check_times(&self, described: &Described) -> Result<(), CatalogueError> {
        let as_expected = |found: (f64, f64)| {
            let is_before = |t: Option<Timestamp>| t.is_none_or(|t| found.0 <= UnixTime::from(t).0);
            let is_after = |t: Option<Timestamp>| t.is_none_or(|t| found.1 >= UnixTime::from(t).0);
            is_before(described.from) && is_after(described.to)
        };
        let found = self.times_s();
        if found.is_some_and(as_expected) || (described.from.is_none() && described.to.is_none()) {
            return Ok(());
        }
        let text = |t: Option<Timestamp>| t.map_or_else(|| "any time".to_owned(), |t| t.to_string());
        Err(CatalogueError::Times {
            name: self.name.clone(),
            found: found.map_or_else(
                || "no times".to_owned(),
                |(first, last)| format!("{} to {}", UnixTime(first), UnixTime(last)),
            ),
            expected: format!("{} to {}", text(described.from), text(described.to)),
        })
    }
}

impl CatalogueError {
    /// Whether another try may do better: a store that is down, a disk that
    /// does not answer, a catalogue that is being written.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::File { .. } | Self::Fetched { .. } | Self::Cache { .. } | Self::Full { .. } => true,
            Self::Store(e) => e.is_retryable(),
            Self::Field { source, .. } => matches!(source, FieldError::Io { .. }),
            Self::Unknown { .. } | Self::Times { .. } => false,
        }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("version", &self.version).finish_non_exhaustive()
    }
}
