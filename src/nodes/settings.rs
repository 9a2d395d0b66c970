//! What the configuration says of the provider.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::http::{Endpoint, Retry};

/// Which provider, and whether it only says what it would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Say what would be written, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Where machines come from.
    pub provider: Provider,
}

/// Where machines come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Node pools of `/v3`: RKE1, Rancher up to 2.11.
    RancherV3(RancherSettings),
    /// Machine pools of `/v1`: RKE2 and K3s.
    RancherV1(RancherSettings),
}

/// A Rancher server and the pools in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RancherSettings {
    /// `https://rancher.example.org`.
    pub url: String,
    /// Holds the API token, `token-xxxxx:secret`; read for every call.
    pub token_file: PathBuf,
    /// The certificate authorities of the server in PEM, and no others; read
    /// again when it changes. Without it, the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate. Whoever is between can then read the token.
    #[serde(default)]
    pub insecure_tls: bool,
    /// The cluster: `c-abcde` for `rancher-v3`, its name for `rancher-v1`.
    pub cluster: String,
    /// Of the cluster's object, for `rancher-v1`.
    #[serde(default = "fleet_default")]
    pub namespace: String,
    /// The pools by the names that `[scaling]` gives them: the node pool's id,
    /// `c-abcde:np-fghij`, for `rancher-v3`; the machine pool's name for
    /// `rancher-v1`.
    pub pools: BTreeMap<String, String>,
    /// For one attempt of a call.
    #[serde(default = "ten_seconds", with = "crate::time::duration")]
    pub timeout: Duration,
    /// How often a call is tried, and when.
    #[serde(default)]
    pub retry: Retry,
    /// How long to look whether the machine that was asked to leave is the one
    /// that leaves, before it is undone.
    #[serde(default = "thirty_seconds", with = "crate::time::duration")]
    pub verify_within: Duration,
}

fn fleet_default() -> String {
    "fleet-default".to_owned()
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

impl Settings {
    /// The pools by the names that `[scaling]` gives them.
    #[must_use]
    pub fn pools(&self) -> &BTreeMap<String, String> {
        match &self.provider {
            Provider::RancherV3(rancher) | Provider::RancherV1(rancher) => &rancher.pools,
        }
    }
}

impl RancherSettings {
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint {
            url: self.url.trim_end_matches('/').to_owned(),
            token_file: Some(self.token_file.clone()),
            ca_file: self.ca_file.clone(),
            insecure_tls: self.insecure_tls,
            metadata_service: false,
            timeout: self.timeout,
            retry: self.retry,
        }
    }
}
