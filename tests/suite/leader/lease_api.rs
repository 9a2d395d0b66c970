//! An API server over HTTP that knows one kind of object, the Lease, and
//! enforces its `resourceVersion`.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Request, State},
    http::{Method, StatusCode, header},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/jobs/leases";

/// The server; ends when it is dropped.
pub struct LeaseApi {
    pub url: String,
    state: Arc<Mutex<Leases>>,
    task: JoinHandle<()>,
}

/// What is behind it.
#[derive(Default)]
pub struct Leases {
    /// The Lease, once it was created.
    pub lease: Option<Value>,
    /// Who is not answered, by token.
    pub cut: BTreeSet<String>,
    /// Holders in the order in which they wrote, without repetition.
    pub holders: Vec<String>,
    versions: u64,
}

impl LeaseApi {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let state = Arc::new(Mutex::new(Leases::default()));
        let app = Router::new().fallback(handle).with_state(Arc::clone(&state));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("the simulator serves") });
        Self { url, state, task }
    }

    pub fn leases(&self) -> MutexGuard<'_, Leases> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LeaseApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(State(state): State<Arc<Mutex<Leases>>>, request: Request) -> (StatusCode, Json<Value>) {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 16).await.expect("a small body");
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = token.trim_start_matches("Bearer ").to_owned();
    if state.lock().unwrap_or_else(PoisonError::into_inner).cut.contains(&token) {
        std::future::pending::<()>().await;
    }
    let (status, body) =
        state.lock().unwrap_or_else(PoisonError::into_inner).answer(&parts.method, parts.uri.path(), body);
    (StatusCode::from_u16(status).expect("a status"), Json(body))
}

impl Leases {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        let named = path.strip_prefix(LEASES).and_then(|rest| rest.strip_prefix('/'));
        match (method, named, &self.lease) {
            (&Method::GET, Some("skydose"), Some(lease)) => (200, lease.clone()),
            (&Method::PUT, Some("skydose"), Some(lease)) => {
                let version = &body["metadata"]["resourceVersion"];
                if version.is_null() {
                    return status(422, "Invalid", "metadata.resourceVersion: must be specified for an update");
                }
                if *version != lease["metadata"]["resourceVersion"] {
                    return status(409, "Conflict", "the object has been modified");
                }
                self.store(body)
            }
            (&Method::POST, None, None) if path == LEASES => self.store(body),
            (&Method::POST, None, Some(_)) => {
                status(409, "AlreadyExists", "leases.coordination.k8s.io \"skydose\" already exists")
            }
            _ => status(404, "NotFound", "leases.coordination.k8s.io \"skydose\" not found"),
        }
    }

    fn store(&mut self, mut lease: Value) -> (u16, Value) {
        self.versions += 1;
        lease["metadata"]["resourceVersion"] = json!(self.versions.to_string());
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if self.holders.last().is_none_or(|last| last != holder) {
            self.holders.push(holder.to_owned());
        }
        self.lease = Some(lease.clone());
        (200, lease)
    }
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": message}),
    )
}
