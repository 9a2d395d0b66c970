//! Addresses of stores and of files in them.

use std::{fmt, path::PathBuf, str::FromStr};

use super::StoreError;

const EXPECTED: &str = "file:FOLDER, az://CONTAINER/FOLDER, s3://BUCKET/FOLDER or memory:";

/// Where a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// A folder of this machine, or one that it mounts.
    File,
    /// Azure Blob.
    Azure,
    /// S3 and what speaks it.
    S3,
    /// In memory, for one process.
    Memory,
}

/// An address: `file:results`, `az://container/folder`, `s3://bucket/folder`,
/// `memory:`; a bare path is a folder or file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uri {
    /// What kind.
    pub scheme: Scheme,
    /// The container or bucket; empty for files.
    pub bucket: String,
    /// The rest; `/` stands at its front for absolute paths of files alone,
    /// and never at its end.
    pub path: String,
    /// Whether it was written with a `/` at its end.
    pub folder: bool,
}

impl Uri {
    /// The path of an address on disk.
    #[must_use]
    pub fn local(&self) -> Option<PathBuf> {
        (self.scheme == Scheme::File).then(|| PathBuf::from(&self.path))
    }
}

impl FromStr for Uri {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let fault =
            |what: &str| StoreError::Address { uri: text.to_owned(), what: what.to_owned(), expected: EXPECTED };
        let Some((scheme, rest)) = text.split_once(':').filter(|(s, _)| !s.contains('/')) else {
            return file(text).ok_or_else(|| fault("is empty"));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "file" => return file(rest.strip_prefix("//").unwrap_or(rest)).ok_or_else(|| fault("names no folder")),
            "memory" => {
                return Ok(Self { scheme: Scheme::Memory, bucket: String::new(), path: String::new(), folder: true });
            }
            "az" => Scheme::Azure,
            "s3" => Scheme::S3,
            _ => return Err(fault("has an unknown scheme")),
        };
        let rest = rest.trim_start_matches('/');
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || !bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
            return Err(fault("names no container or bucket"));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(fault("has \"..\" in it"));
        }
        let folder = path.is_empty() || path.ends_with('/');
        Ok(Self { scheme, bucket: bucket.to_owned(), path: path.trim_matches('/').to_owned(), folder })
    }
}

fn file(path: &str) -> Option<Uri> {
    let trimmed = path.trim_end_matches('/');
    let trimmed = if trimmed.is_empty() && !path.is_empty() { "/" } else { trimmed };
    let folder = path.ends_with('/');
    (!path.is_empty()).then(|| Uri { scheme: Scheme::File, bucket: String::new(), path: trimmed.to_owned(), folder })
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::File => return write!(f, "file:{}", self.path),
            Scheme::Memory => return f.write_str("memory:"),
            Scheme::Azure => "az",
            Scheme::S3 => "s3",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

impl serde::Serialize for Uri {
    fn serialize<S: serde::Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Uri {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
