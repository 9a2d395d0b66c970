//! Why a call did not bring what was asked.

use std::{error::Error as _, time::Duration};

use serde_json::Value;

/// A call that failed: which, how often it was tried, for how long, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{call}: {fault}{}", tries(*attempts, *elapsed))]
pub struct HttpError {
    /// Method and address; it carries no credentials.
    pub call: String,
    /// How often it was tried.
    pub attempts: u32,
    /// From the first attempt's start.
    pub elapsed: Duration,
    /// Of the last attempt.
    pub fault: HttpFault,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HttpFault {
    /// A file or an address on this side is at fault.
    #[error("{0}")]
    Setup(String),
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The server answered with an error.
    #[error("{status}{}{}", spaced(code), quoted(message))]
    Status {
        /// Of HTTP.
        status: u16,
        /// As the API names it; may be empty.
        code: String,
        /// As the API says it; may be empty.
        message: String,
        /// The server asks to come again later.
        later: bool,
    },
    /// The answer is not what such a call brings.
    #[error("the answer is {0}")]
    Answer(String),
    /// The permission to write was gone before the call was sent.
    #[error("not sent: this process leads no longer")]
    Withdrawn,
}

impl HttpError {
    /// Before anything was sent.
    pub(super) fn before(url: &str, fault: HttpFault) -> Self {
        Self { call: url.to_owned(), attempts: 0, elapsed: Duration::ZERO, fault }
    }

    /// The HTTP status, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.fault {
            HttpFault::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the call may have been carried out all the same.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        match self.fault {
            HttpFault::Unreachable(_) | HttpFault::Timeout | HttpFault::Answer(_) => true,
            HttpFault::Status { status, .. } => status >= 500,
            HttpFault::Setup(_) | HttpFault::Withdrawn => false,
        }
    }
}

impl HttpFault {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Status { status, later, .. } => *later || *status >= 500,
            Self::Setup(_) | Self::Answer(_) | Self::Withdrawn => false,
        }
    }

    /// From an error's body. Rancher's 401 has a string for its status and no
    /// code, Kubernetes calls its code `reason`; a proxy's page has neither.
    pub(super) fn refusal(status: u16, later: bool, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| body.get(name).and_then(Value::as_str));
            found.unwrap_or_default().to_owned()
        };
        let (code, mut message) = (text(["code", "reason"]), text(["message", "detail"]));
        if let Some(field) = body.get("fieldName").and_then(Value::as_str).filter(|field| !field.is_empty()) {
            message = format!("{field}: {message}");
        }
        Self::Status { status, code, message, later }
    }
}

impl From<&reqwest::Error> for HttpFault {
    fn from(error: &reqwest::Error) -> Self {
        if error.is_timeout() { Self::Timeout } else { Self::Unreachable(innermost(error)) }
    }
}

/// The cause below all the wrapping: "connection refused", not "error sending
/// request".
#[must_use]
pub fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    if error.source().is_none() { error.to_string() } else { cause.to_string() }
}

fn tries(attempts: u32, elapsed: Duration) -> String {
    match attempts {
        0 | 1 => String::new(),
        n => format!(" ({n} attempts in {:.1} s)", elapsed.as_secs_f64()),
    }
}

fn spaced(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" {code}") }
}

fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
