//! What a Rancher server says of itself and of the token.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::{Health, NodesError};
use crate::http::{Client, HttpError};

/// `v2.11.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The first whose controllers of `/v3` node pools are gone.
    pub const WITHOUT_NODE_POOLS: Self = Self { major: 2, minor: 12, patch: 0 };
    /// The first with machine pools in `/v1`.
    pub const WITH_MACHINE_POOLS: Self = Self { major: 2, minor: 6, patch: 0 };

    /// `None` for builds from a branch, which carry no number.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().strip_prefix('v')?.split(['.', '-', '+']);
        let mut number = || numbers.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()?, patch: number().unwrap_or(0) })
    }

    /// Asks the server; `None` where it does not say.
    pub async fn of(client: &Client) -> Result<Option<Self>, HttpError> {
        Ok(version_text(client).await?.as_deref().and_then(Self::parse))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// `None` where the token may not see it.
async fn version_text(client: &Client) -> Result<Option<String>, HttpError> {
    match client.get("/v3/settings/server-version").await {
        Ok(setting) => Ok(setting["value"].as_str().map(str::to_owned)),
        Err(error) if matches!(error.status(), Some(403 | 404)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The server's version and when the token in use ends.
pub(super) async fn health(client: &Client) -> Health {
    let version = version_text(client).await;
    let expiry = expiry(client).await;
    let fault = [version.as_ref().err().map(ToString::to_string), expiry.as_ref().err().map(ToString::to_string)];
    Health {
        token_expires: expiry.unwrap_or_default(),
        version: version.unwrap_or_default(),
        fault: fault.into_iter().flatten().next(),
    }
}

/// The list of the user's tokens marks the one that the call came with.
async fn expiry(client: &Client) -> Result<Option<Timestamp>, NodesError> {
    let answer = match client.get("/v3/tokens").await {
        Ok(answer) => answer,
        Err(error) if matches!(error.status(), Some(403 | 404)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let tokens = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let current = tokens.iter().find(|token| token["current"] == Value::Bool(true));
    let text = current.and_then(|token| token["expiresAt"].as_str()).unwrap_or_default();
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| NodesError::Answer {
            from: format!("{}/v3/tokens", client.host()),
            what: format!("expiresAt is {text:?}"),
            expected: "a time as RFC 3339".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let at = |text| Version::parse(text).unwrap();
        assert!(at("v2.11.3") < Version::WITHOUT_NODE_POOLS);
        assert!(at("v2.12.0-rc1") >= Version::WITHOUT_NODE_POOLS);
        assert!(at("v2.5.17") < Version::WITH_MACHINE_POOLS);
        assert_eq!(at("v2.9").to_string(), "v2.9.0");
        for text in ["", "dev", "head", "v", "vX.1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
