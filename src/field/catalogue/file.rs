//! The catalogue's file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Deserialize;

use super::CatalogueError;
use crate::{
    field::dataset::DatasetFile,
    store::{self, Uri},
};

/// A catalogue, as written in TOML.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueFile {
    /// By the name that jobs give.
    #[serde(default)]
    pub datasets: BTreeMap<String, Described>,
    /// How stores are spoken to, by `s3://BUCKET` or `az://CONTAINER`: what is
    /// not here comes from the environment.
    #[serde(default)]
    pub stores: BTreeMap<String, store::Settings>,
}

/// A data set as the catalogue describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Part of the key of every result: changed whenever a file changes.
    pub version: String,
    /// Files and folders, together one data set: paths (relative ones from the
    /// catalogue's folder), `az://CONTAINER/…` or `s3://BUCKET/…`. An object
    /// whose name ends in `/` or `.zarr` is a folder.
    pub files: Vec<Uri>,
    /// BLAKE3 of files that are fetched, by their place in `files` as written.
    #[serde(default)]
    pub blake3: BTreeMap<Uri, String>,
    /// What times there are, at least.
    pub from: Option<Timestamp>,
    /// What times there are, at least.
    pub to: Option<Timestamp>,
    /// What the files do not say themselves, as a data-set file.
    #[serde(default)]
    pub options: DatasetFile,
}

impl CatalogueFile {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// Names the file, the field, its value and what was expected.
    pub fn read(path: &Path) -> Result<Self, CatalogueError> {
        let fault = |what: String| CatalogueError::File { path: path.to_owned(), what };
        let text = std::fs::read_to_string(path).map_err(|e| fault(e.to_string()))?;
        let mut file: Self = toml::from_str(&text).map_err(|e| fault(e.to_string()))?;
        file.check().map_err(fault)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for described in file.datasets.values_mut() {
            described.files.iter_mut().for_each(|uri| make_absolute(uri, folder));
        }
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        for (name, described) in &self.datasets {
            let fault = |field: &str, found: String, expected: &str| {
                Err(format!("datasets.{name}.{field} is {found}, expected {expected}"))
            };
            if described.version.trim().is_empty() {
                return fault("version", "empty".to_owned(), "a text that changes whenever a file does");
            }
            if described.files.is_empty() {
                return fault("files", "empty".to_owned(), "at least one path or address");
            }
            if let (Some(from), Some(to)) = (described.from, described.to)
                && from > to
            {
                return fault("to", to.to_string(), "a time that is not before `from`");
            }
            for (uri, digest) in &described.blake3 {
                if !described.files.contains(uri) {
                    return fault("blake3", format!("of {uri}"), "addresses that are in `files`");
                }
                if blake3::Hash::from_hex(digest).is_err() {
                    return fault("blake3", format!("{digest:?}"), "64 hexadecimal digits");
                }
            }
            described.options.check().map_err(|what| format!("datasets.{name}.options.{what}"))?;
        }
        for address in self.stores.keys() {
            let uri: Uri = address.parse().map_err(|e| format!("stores: {e}"))?;
            if uri.local().is_some() || !uri.path.is_empty() {
                return Err(format!("stores.{address:?} is no store, expected az://CONTAINER or s3://BUCKET"));
            }
        }
        Ok(())
    }
}

fn make_absolute(uri: &mut Uri, folder: &Path) {
    if let Some(path) = uri.local()
        && path.is_relative()
    {
        let absolute: PathBuf = folder.join(path);
        uri.path = absolute.to_string_lossy().into_owned();
    }
}
