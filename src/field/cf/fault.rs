//! Why an array is not a variable.

use crate::field::FieldError;

/// What stops an array from becoming a variable.
#[derive(Debug)]
pub(super) enum Fault {
    /// It cannot be used, but others of the file can.
    Refuse {
        /// What it is.
        what: String,
        /// The way out.
        remedy: &'static str,
    },
    /// The file is broken.
    Broken(FieldError),
}

impl Fault {
    pub fn refuse(what: impl Into<String>, remedy: &'static str) -> Self {
        Self::Refuse { what: what.into(), remedy }
    }
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        Self::Broken(error)
    }
}
