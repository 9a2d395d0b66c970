//! A Lease of `coordination.k8s.io/v1`, by GET, POST and PUT.
//!
//! A PUT carries the `resourceVersion` that was read, and all that others
//! keep in the object; the API server refuses it where the object has changed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Found, LeaderError, LeaseStore, Record, StoreError};
use crate::http::{Call, Client, Endpoint, HttpError, Method, Retry};

/// Where a pod finds its token, certificate authorities and namespace.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Which Lease, and how the API server is reached. Within a pod the defaults
/// are right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesSettings {
    /// The Lease's name.
    pub lease: String,
    /// Its namespace; the pod's own where it is absent.
    pub namespace: Option<String>,
    /// `https://host:port`; from `KUBERNETES_SERVICE_HOST` and
    /// `KUBERNETES_SERVICE_PORT` where it is absent.
    pub api: Option<String>,
    /// Holds the token; read for every call.
    pub token_file: PathBuf,
    /// Certificate authorities in PEM; read again when it changes. Without
    /// `api` and without it, the pod's.
    pub ca_file: Option<PathBuf>,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            lease: "skydose".to_owned(),
            namespace: None,
            api: None,
            token_file: Path::new(SERVICE_ACCOUNT).join("token"),
            ca_file: None,
        }
    }
}

/// A Lease and the client that reads and writes it.
#[derive(Debug)]
pub struct KubernetesLease {
    client: Client,
    namespace: String,
    name: String,
}

impl KubernetesLease {
    /// The Lease of the settings; nothing is sent yet. `variable` looks up the
    /// environment. A call takes `timeout` at most.
    ///
    /// # Errors
    /// Not in a pod, and the settings do not say where the API server is.
    pub fn new(
        settings: &KubernetesSettings,
        timeout: Duration,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, LeaderError> {
        let namespace = match &settings.namespace {
            Some(namespace) => namespace.clone(),
            None => own_namespace()?,
        };
        let (url, ca_file) = if let Some(api) = &settings.api {
            (api.trim_end_matches('/').to_owned(), settings.ca_file.clone())
        } else {
            let of_the_pod = || Path::new(SERVICE_ACCOUNT).join("ca.crt");
            (api_of_the_pod(variable)?, Some(settings.ca_file.clone().unwrap_or_else(of_the_pod)))
        };
        let client = Client::new(Endpoint {
            url,
            token_file: Some(settings.token_file.clone()),
            ca_file,
            insecure_tls: false,
            metadata_service: false,
            timeout,
            // The lease's own pace is the repetition.
            retry: Retry { attempts: 1, ..Retry::default() },
        });
        let fault = |error: HttpError| LeaderError {
            what: error.to_string(),
            expected: "the API server's address and certificate authorities".to_owned(),
        };
        Ok(Self { client: client.map_err(fault)?, namespace, name: settings.lease.clone() })
    }

    fn collection(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    async fn write(&self, method: Method, path: &str, body: &Value) -> Result<(), StoreError> {
        match self.client.send(&Call::write(method, path, "application/json", body), &|| true).await {
            Ok(_) => Ok(()),
            // 404: deleted since it was read.
            Err(error) if matches!(error.status(), Some(404 | 409)) => Err(StoreError::Conflict),
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl LeaseStore for KubernetesLease {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    async fn read(&self) -> Result<Option<Found>, StoreError> {
        match self.client.get(&self.path()).await {
            Ok(object) => Ok(Some(Found { record: decode(&object)?, object })),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn create(&self, record: &Record) -> Result<(), StoreError> {
        let mut object = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {},
        });
        encode(record, &mut object);
        self.write(Method::POST, &self.collection(), &object).await
    }

    async fn update(&self, record: &Record, over: &Found) -> Result<(), StoreError> {
        let mut object = over.object.clone();
        encode(record, &mut object);
        self.write(Method::PUT, &self.path(), &object).await
    }
}

/// 403 names the remedy: the right is easily forgotten.
fn failed(error: &HttpError) -> StoreError {
    StoreError::Failed(match error.status() {
        Some(403) => format!("{error}; give the service account the verbs get, create and update on leases"),
        _ => error.to_string(),
    })
}

fn decode(object: &Value) -> Result<Record, StoreError> {
    let spec = &object["spec"];
    let time = |field: &str| match &spec[field] {
        Value::Null => Ok(Timestamp::UNIX_EPOCH),
        Value::String(text) => text
            .parse()
            .map_err(|_| StoreError::Failed(format!("lease: {field} is {text:?}, expected a time as RFC 3339"))),
        other => Err(StoreError::Failed(format!("lease: {field} is {other}, expected a time as RFC 3339"))),
    };
    Ok(Record {
        holder: spec["holderIdentity"].as_str().unwrap_or_default().to_owned(),
        lease: Duration::from_secs(spec["leaseDurationSeconds"].as_u64().unwrap_or_default()),
        acquired: time("acquireTime")?,
        renewed: time("renewTime")?,
        transitions: spec["leaseTransitions"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
    })
}

/// Sets the fields of a record; the others stay.
fn encode(record: &Record, object: &mut Value) {
    let time = |at: Timestamp| format!("{at:.6}");
    let spec = &mut object["spec"];
    spec["holderIdentity"] = json!(record.holder);
    // Whole seconds, at least one.
    let seconds = record.lease.as_secs() + u64::from(record.lease.subsec_nanos() > 0);
    spec["leaseDurationSeconds"] = json!(seconds.max(1));
    spec["acquireTime"] = json!(time(record.acquired));
    spec["renewTime"] = json!(time(record.renewed));
    spec["leaseTransitions"] = json!(record.transitions);
}

fn own_namespace() -> Result<String, LeaderError> {
    let file = Path::new(SERVICE_ACCOUNT).join("namespace");
    let text = std::fs::read_to_string(&file).map_err(|error| LeaderError {
        what: format!("{}: {error}", file.display()),
        expected: "a pod with a service account, or a namespace in the settings of the election".to_owned(),
    })?;
    Ok(text.trim().to_owned())
}

fn api_of_the_pod(variable: &dyn Fn(&str) -> Option<String>) -> Result<String, LeaderError> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty());
    match (named("KUBERNETES_SERVICE_HOST"), named("KUBERNETES_SERVICE_PORT")) {
        (Some(host), Some(port)) if host.contains(':') => Ok(format!("https://[{host}]:{port}")),
        (Some(host), Some(port)) => Ok(format!("https://{host}:{port}")),
        _ => Err(LeaderError {
            what: "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set".to_owned(),
            expected: "a pod, or api in the settings of the election".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_as_client_go_writes_them() {
        let mut object =
            json!({"metadata": {"resourceVersion": "123", "labels": {"team": "air"}}, "spec": {"strategy": "kept"}});
        let record = Record {
            holder: "worker-pod-abc_6f1c".into(),
            lease: Duration::from_secs(15),
            acquired: "2026-02-19T19:12:57Z".parse().unwrap(),
            renewed: "2026-02-19T19:13:07.25Z".parse().unwrap(),
            transitions: 4,
        };
        encode(&record, &mut object);
        assert_eq!(object["spec"]["acquireTime"], "2026-02-19T19:12:57.000000Z");
        assert_eq!(object["spec"]["renewTime"], "2026-02-19T19:13:07.250000Z");
        assert_eq!(object["spec"]["leaseDurationSeconds"].as_u64(), Some(15));
        assert_eq!(object["spec"]["strategy"], "kept");
        assert_eq!(decode(&object), Ok(record));
    }

    #[test]
    fn a_lease_that_others_made_may_lack_fields() {
        let empty = decode(&json!({"metadata": {}, "spec": {}})).unwrap();
        assert_eq!((empty.holder.as_str(), empty.transitions), ("", 0));
        let strange = decode(&json!({"spec": {"renewTime": "yesterday"}})).unwrap_err().to_string();
        assert!(strange.contains("renewTime") && strange.contains("yesterday"), "{strange}");
    }

    #[test]
    fn the_api_server_is_found_from_a_pod() {
        let api = |host: &'static str| {
            api_of_the_pod(&move |name| Some(if name.ends_with("HOST") { host.to_owned() } else { "443".to_owned() }))
        };
        assert_eq!(api("10.0.0.1").unwrap(), "https://10.0.0.1:443");
        assert_eq!(api("fd00::1").unwrap(), "https://[fd00::1]:443");
        assert!(api_of_the_pod(&|_| None).unwrap_err().to_string().contains("expected a pod"));
    }
}
