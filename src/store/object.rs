//! Stores by `object_store`: a folder, Azure Blob, S3, memory.

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{BackoffConfig, ClientOptions};
use object_store::{
    Error, GetOptions, GetResult, ObjectStore, PutMode, PutOptions, PutPayload, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    local::LocalFileSystem,
    memory::InMemory,
    path::Path,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;

use super::{Put, Scheme, Store, StoreError, Uri};

/// Where a store is and how it is spoken to. What is not said here comes from
/// the variables of the environment that Azure's and AWS's own tools read.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `file:FOLDER`, `az://CONTAINER/FOLDER`, `s3://BUCKET/FOLDER` or `memory:`.
    pub uri: String,
    /// Address of the service, where it is not the cloud's own.
    pub endpoint: Option<String>,
    /// Of S3.
    pub region: Option<String>,
    /// Azure's storage account, or the access key's id of S3.
    pub account: Option<String>,
    /// Azure's account key, or the secret access key of S3.
    #[serde(skip_serializing)]
    pub key: Option<SecretString>,
    /// Whether files are on the disk, not in its cache, before a put returns.
    pub durable: bool,
    /// For one request, its repetitions included.
    #[serde(with = "crate::time::duration")]
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: "file:store".to_owned(),
            endpoint: None,
            region: None,
            account: None,
            key: None,
            durable: true,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A store of `object_store`, below a prefix.
#[derive(Debug, Clone)]
pub struct Objects {
    name: Arc<str>,
    prefix: Path,
    inner: Arc<dyn ObjectStore>,
    timeout: Duration,
}

impl Objects {
    /// A store in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            name: "memory:".into(),
            prefix: Path::default(),
            inner: Arc::new(InMemory::new()),
            timeout: Duration::from_secs(30),
        }
    }

    /// Opens a store. A folder is made where there is none; nothing else is
    /// asked of the network.
    ///
    /// # Errors
    /// [`StoreError::Address`] where settings are missing or wrong.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        let uri: Uri = settings.uri.parse()?;
        let fault = |what: String| StoreError::Address {
            uri: settings.uri.clone(),
            what,
            expected: "a store that can be opened with these settings",
        };
        let inner: Arc<dyn ObjectStore> = match uri.scheme {
            Scheme::Memory => return Ok(Self { timeout: settings.timeout, ..Self::in_memory() }),
            Scheme::File => Arc::new(folder(&uri.path, settings.durable).map_err(fault)?),
            Scheme::Azure => Arc::new(azure(&uri, settings).map_err(|e| fault(e.to_string()))?),
            Scheme::S3 => Arc::new(s3(&uri, settings).map_err(|e| fault(e.to_string()))?),
        };
        let prefix = if uri.scheme == Scheme::File { Path::default() } else { Path::from(uri.path.as_str()) };
        Ok(Self { name: uri.to_string().into(), prefix, inner, timeout: settings.timeout })
    }

    /// Copies an object into a file, up to `most` bytes; answers its size.
    ///
    /// # Errors
    /// As [`Store::get`], and where the file cannot be written.
    pub async fn fetch(&self, object: &str, to: &FilePath, most: u64) -> Result<u64, StoreError> {
        let doing = "fetching";
        let got = self.open_object(object, most, doing).await?;
        let size = got.meta.size;
        let disk = |e: std::io::Error| self.unavailable(doing, object, format!("{}: {e}", to.display()));
        let mut file = tokio::fs::File::create(to).await.map_err(disk)?;
        let mut stream = got.into_stream();
        loop {
            let next = self.within(doing, object, stream.try_next()).await?;
            let Some(chunk) = next.map_err(|e| self.fault(doing, object, e))? else { break };
            file.write_all(&chunk).await.map_err(disk)?;
        }
        file.sync_all().await.map_err(disk)?;
        Ok(size)
    }

    async fn open_object(&self, object: &str, most: u64, doing: &'static str) -> Result<GetResult, StoreError> {
        let path = self.path(object)?;
        let got = self.within(doing, object, self.inner.get_opts(&path, GetOptions::default())).await?;
        let got = got.map_err(|e| self.fault(doing, object, e))?;
        if got.meta.size > most {
            return Err(StoreError::TooLarge {
                store: self.name.to_string(),
                object: object.to_owned(),
                bytes: got.meta.size,
                most,
            });
        }
        Ok(got)
    }

    fn path(&self, object: &str) -> Result<Path, StoreError> {
        let below = Path::parse(object.trim_end_matches('/')).map_err(|e| StoreError::Refused {
            store: self.name.to_string(),
            doing: "naming",
            object: object.to_owned(),
            what: e.to_string(),
        })?;
        Ok(self.prefix.parts().chain(below.parts()).collect())
    }

    async fn within<T>(
        &self,
        doing: &'static str,
        object: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let late = |_| self.unavailable(doing, object, format!("no answer within {:?}", self.timeout));
        tokio::time::timeout(self.timeout, work).await.map_err(late)
    }

    fn unavailable(&self, doing: &'static str, object: &str, what: String) -> StoreError {
        StoreError::Unavailable { store: self.name.to_string(), doing, object: object.to_owned(), what }
    }

    fn fault(&self, doing: &'static str, object: &str, error: Error) -> StoreError {
        let (store, object) = (self.name.to_string(), object.to_owned());
        match error {
            Error::NotFound { .. } => StoreError::NotFound { store, object },
            Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::UnknownConfigurationKey { .. } => {
                StoreError::Refused { store, doing, object, what: in_full(&error) }
            }
            other => StoreError::Unavailable { store, doing, object, what: in_full(&other) },
        }
    }

    /// Compares what is there with what was to be put.
    async fn compare(&self, object: &str, bytes: &Bytes) -> Result<Put, StoreError> {
        match self.get(object, bytes.len() as u64).await {
            Ok(there) if there == *bytes => Ok(Put::Same),
            Ok(_) | Err(StoreError::TooLarge { .. }) => Ok(Put::Differs),
            Err(other) => Err(other),
        }
    }
}

#[async_trait]
impl Store for Objects {
    fn name(&self) -> &str {
        &self.name
    }

    async fn put_new(&self, object: &str, bytes: Bytes) -> Result<Put, StoreError> {
        let doing = "putting";
        let path = self.path(object)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.put_opts(&path, PutPayload::from_bytes(bytes.clone()), options);
        match self.within(doing, object, put).await? {
            Ok(_) => Ok(Put::Created),
            // Also where an earlier try of the same request arrived after all.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => self.compare(object, &bytes).await,
            // The bucket.
            Err(error @ Error::NotFound { .. }) => Err(StoreError::Refused {
                store: self.name.to_string(),
                doing,
                object: object.to_owned(),
                what: in_full(&error),
            }),
            Err(other) => Err(self.fault(doing, object, other)),
        }
    }

    async fn get(&self, object: &str, most: u64) -> Result<Bytes, StoreError> {
        let doing = "reading";
        let got = self.open_object(object, most, doing).await?;
        self.within(doing, object, got.bytes()).await?.map_err(|e| self.fault(doing, object, e))
    }

    async fn size(&self, object: &str) -> Result<Option<u64>, StoreError> {
        let doing = "looking for";
        let path = self.path(object)?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.within(doing, object, self.inner.get_opts(&path, options)).await? {
            Ok(found) => Ok(Some(found.meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(other) => Err(self.fault(doing, object, other)),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let doing = "listing";
        let path = self.path(folder)?;
        let skip = self.prefix.parts().count();
        let mut names = Vec::new();
        let mut found = self.inner.list(Some(&path));
        loop {
            match self.within(doing, folder, found.try_next()).await? {
                Ok(Some(meta)) => names.push(meta.location.parts().skip(skip).collect::<Path>().to_string()),
                // Also a folder that nobody has put anything into.
                Ok(None) | Err(Error::NotFound { .. }) => break,
                Err(other) => return Err(self.fault(doing, folder, other)),
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// An error with its causes: `object_store` prints the outermost alone.
fn in_full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

fn folder(path: &str, durable: bool) -> Result<LocalFileSystem, String> {
    std::fs::create_dir_all(path).map_err(|e| e.to_string())?;
    LocalFileSystem::new_with_prefix(path).map(|store| store.with_fsync(durable)).map_err(|e| e.to_string())
}

fn client(settings: &Settings) -> (ClientOptions, RetryConfig) {
    let is_plain = settings.endpoint.as_deref().is_some_and(|e| e.starts_with("http://"));
    let client = ClientOptions::new()
        .with_allow_http(is_plain)
        .with_timeout(settings.timeout)
        .with_connect_timeout(settings.timeout.min(Duration::from_secs(5)));
    // The queue tries again for longer than it makes sense to here.
    let retry = RetryConfig { max_retries: 3, retry_timeout: settings.timeout, backoff: BackoffConfig::default() };
    (client, retry)
}

fn azure(uri: &Uri, settings: &Settings) -> Result<impl ObjectStore, Error> {
    let (client, retry) = client(settings);
    let mut builder = MicrosoftAzureBuilder::from_env().with_client_options(client).with_retry(retry);
    builder = builder.with_container_name(&uri.bucket);
    let given = [
        (AzureConfigKey::Endpoint, settings.endpoint.as_deref()),
        (AzureConfigKey::AccountName, settings.account.as_deref()),
        (AzureConfigKey::AccessKey, settings.key.as_ref().map(ExposeSecret::expose_secret)),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            builder = builder.with_config(name, value);
        }
    }
    builder.build()
}

fn s3(uri: &Uri, settings: &Settings) -> Result<impl ObjectStore, Error> {
    let (client, retry) = client(settings);
    let mut builder = AmazonS3Builder::from_env().with_client_options(client).with_retry(retry);
    builder = builder.with_bucket_name(&uri.bucket);
    let given = [
        (AmazonS3ConfigKey::Endpoint, settings.endpoint.as_deref()),
        (AmazonS3ConfigKey::Region, settings.region.as_deref()),
        (AmazonS3ConfigKey::AccessKeyId, settings.account.as_deref()),
        (AmazonS3ConfigKey::SecretAccessKey, settings.key.as_ref().map(ExposeSecret::expose_secret)),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            builder = builder.with_config(name, value);
        }
    }
    builder.build()
}
