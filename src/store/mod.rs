//! Where results and large flights lie: objects under names, put once.
//!
//! | store | file |
//! |---|---|
//! | a folder, Azure Blob, S3 | `object.rs` |
//! | in memory | `object.rs` |
//!
//! An object is put only where there is none: of two workers with the same
//! job the first one's object stays, and the other learns whether it had the
//! same bytes. Nothing is ever replaced, so what is read twice is the same.

pub mod contract;
mod error;
mod object;
#[cfg(test)]
mod tests;
mod uri;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::StoreError;
pub use object::{Objects, Settings};
pub use uri::{Scheme, Uri};

/// What was found where an object was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Nothing: it is there now.
    Created,
    /// The same bytes.
    Same,
    /// Other bytes, which stay.
    Differs,
}

/// Objects under names, put once.
#[async_trait]
pub trait Store: Send + Sync {
    /// What messages call it, without credentials.
    fn name(&self) -> &str;

    /// Puts an object where there is none; it appears whole or not at all.
    ///
    /// # Errors
    /// [`StoreError`]: the object may be there all the same.
    async fn put_new(&self, object: &str, bytes: Bytes) -> Result<Put, StoreError>;

    /// An object, up to `most` bytes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::TooLarge`], or that the store
    /// does not say.
    async fn get(&self, object: &str, most: u64) -> Result<Bytes, StoreError>;

    /// The size of an object, `None` where there is none.
    ///
    /// # Errors
    /// That the store does not say.
    async fn size(&self, object: &str) -> Result<Option<u64>, StoreError>;

    /// Names of the objects of a folder (a name that ends in `/`) and those
    /// below, in alphabetical order.
    ///
    /// # Errors
    /// That the store does not say.
    async fn list(&self, folder: &str) -> Result<Vec<String>, StoreError>;
}
