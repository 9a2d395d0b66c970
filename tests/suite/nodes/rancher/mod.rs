//! A Rancher over HTTP: as much of `/v1` and `/v3` as pools and machines need,
//! with the faults that were seen in the wild.

mod v1;
mod v3;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Method, Request, Response, StatusCode, header},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::cloud::{Behaviour, Cloud, Happening, Order};

/// A token that never expires.
pub const TOKEN: &str = "token-abcde:secret";
/// The RKE1 cluster's id, and the RKE2 cluster's name.
pub const CLUSTER: &str = "c-abcde";

/// The simulator; ends when it is dropped.
pub struct Rancher {
    pub url: String,
    state: Arc<Mutex<Server>>,
    tasks: [JoinHandle<()>; 2],
}

/// What is behind the API, and how it misbehaves.
pub struct Server {
    pub cloud: Cloud,
    /// The object of the RKE2 cluster; quantities are the cloud's.
    pub cluster: Value,
    pub version: Option<String>,
    /// By token, when it expires; absent where never.
    pub tokens: BTreeMap<String, Option<Timestamp>>,
    pub outage: Outage,
    /// So many of the next writes are refused with 409.
    pub conflicts: u32,
    /// So many of the next writes of a number in /v3 are taken back by a
    /// reconcile that was running.
    pub lost_updates: u32,
    /// So many of the next writes are carried out and their answer is lost.
    pub lost_answers: u32,
    /// Entries a page, at most.
    pub page: usize,
    /// Filters of lists are passed over in silence.
    pub ignores_filters: bool,
    pub writes: Vec<Write>,
    reverts: Vec<(Instant, String, u32)>,
    url: String,
}

/// A write that was carried out.
#[derive(Debug, Clone)]
pub struct Write {
    pub at: Instant,
    pub token: String,
    pub body: Value,
}

/// What is wrong with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    None,
    Answers(u16),
    Hangs,
}

/// A reply: status and body.
pub type Reply = (u16, Value);

impl Rancher {
    /// A server with one pool, `gpu`, of three running machines, and a pool
    /// of other machines beside it.
    pub async fn start(order: Order) -> Self {
        Self::with(order, Behaviour::default(), 3).await
    }

    pub async fn with(order: Order, behaviour: Behaviour, quantity: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let prefix = if order == Order::HighestHostname { "" } else { "worker-cluster-" };
        let mut cloud = Cloud::new(order, prefix, behaviour);
        let now = now();
        cloud.add_pool("ctrl", 1, now);
        cloud.add_pool("gpu", quantity, now);
        let state = Arc::new(Mutex::new(Server {
            cloud,
            cluster: v1::cluster(),
            version: Some("v2.11.3".to_owned()),
            tokens: [(TOKEN.to_owned(), None)].into(),
            outage: Outage::None,
            conflicts: 0,
            lost_updates: 0,
            lost_answers: 0,
            page: 2,
            ignores_filters: false,
            writes: Vec::new(),
            reverts: Vec::new(),
            url: url.clone(),
        }));
        let app = Router::new().fallback(handle).with_state(Arc::clone(&state));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("the simulator serves") });
        let ticking = tokio::spawn(tick(Arc::clone(&state)));
        Self { url, state, tasks: [serving, ticking] }
    }

    /// What is behind the API, to be looked at and turned.
    pub fn server(&self) -> MutexGuard<'_, Server> {
        lock(&self.state)
    }

    /// What happened to machines since it was asked last.
    pub fn happenings(&self) -> Vec<Happening> {
        std::mem::take(&mut self.server().cloud.happenings)
    }
}

impl Drop for Rancher {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn lock(state: &Mutex<Server>) -> MutexGuard<'_, Server> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn tick(state: Arc<Mutex<Server>>) {
    loop {
        {
            let (mut server, now) = (lock(&state), now());
            let due: Vec<_> = server.reverts.extract_if(.., |(at, ..)| *at <= now).collect();
            for (_, pool, quantity) in due {
                server.cloud.set_quantity(&pool, quantity, now);
            }
            server.cloud.tick(now);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn handle(State(state): State<Arc<Mutex<Server>>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a small body");
    let call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: query(parts.uri.query().unwrap_or_default()),
        media: text(&parts.headers, header::CONTENT_TYPE),
        token: text(&parts.headers, header::AUTHORIZATION).trim_start_matches("Bearer ").to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    if lock(&state).outage == Outage::Hangs {
        std::future::pending::<()>().await;
    }
    let (reply, lost) = lock(&state).answer(&call);
    if lost {
        std::future::pending::<()>().await;
    }
    let (status, body) = reply;
    let response = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    response.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).expect("a response")
}

/// A call as it arrived.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub media: String,
    pub token: String,
    pub body: Value,
}

impl Server {
    /// The reply, and whether it gets lost on the way back.
    fn answer(&mut self, call: &Call) -> (Reply, bool) {
        self.cloud.tick(now());
        if let Outage::Answers(status) = self.outage {
            return (
                (status, json!({"type": "error", "status": status, "code": "ServerError", "message": "down"})),
                false,
            );
        }
        #[expect(clippy::disallowed_methods, reason = "tokens expire by the calendar")]
        let wall = Timestamp::now();
        match self.tokens.get(&call.token) {
            Some(expires) if expires.is_none_or(|at| at > wall) => {}
            // As Rancher's filter writes it: a string, and no code.
            _ => {
                return (
                    (401, json!({"type": "error", "status": "401", "message": "Unauthorized 401: must authenticate"})),
                    false,
                );
            }
        }
        let is_write = call.method != Method::GET;
        if is_write && self.conflicts > 0 {
            self.conflicts -= 1;
            let message = "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again";
            return (error(409, "Conflict", message), false);
        }
        let reply = self.route(call);
        let done = is_write && reply.0 < 300;
        if done {
            self.writes.push(Write { at: now(), token: call.token.clone(), body: call.body.clone() });
        }
        let lost = done && self.lost_answers > 0;
        self.lost_answers -= u32::from(lost);
        (reply, lost)
    }

    fn route(&mut self, call: &Call) -> Reply {
        let path: Vec<&str> = call.path.trim_matches('/').split('/').collect();
        match (&call.method, path.as_slice()) {
            (&Method::GET, ["v3", "settings", "server-version"]) => match &self.version {
                Some(version) => (200, json!({"id": "server-version", "value": version})),
                None => error(403, "Forbidden", "may not see settings"),
            },
            (&Method::GET, ["v3", "tokens"]) => (200, self.token_list(&call.token)),
            (_, ["v3", rest @ ..]) => self.v3(call, rest),
            (_, ["v1", rest @ ..]) => self.v1(call, rest),
            _ => error(404, "NotFound", "no such page"),
        }
    }

    fn token_list(&self, current: &str) -> Value {
        let tokens = self.tokens.iter().map(|(token, expires)| {
            let name = token.split(':').next().unwrap_or_default();
            let expires = expires.map(|at| at.to_string()).unwrap_or_default();
            json!({"id": name, "current": token == current, "expiresAt": expires})
        });
        json!({"type": "collection", "data": tokens.collect::<Vec<_>>()})
    }

    /// Lets a reconcile that is running write the old number over a new one.
    fn maybe_lose(&mut self, pool: &str, old: u32) {
        if self.lost_updates > 0 {
            self.lost_updates -= 1;
            self.reverts.push((now() + Duration::from_millis(100), pool.to_owned(), old));
        }
    }
}

pub fn error(status: u16, code: &str, message: &str) -> Reply {
    (status, json!({"type": "error", "status": status, "code": code, "message": message}))
}

#[expect(clippy::disallowed_methods, reason = "the simulator keeps its own time")]
pub fn now() -> Instant {
    Instant::now()
}

/// When something was made, as an API writes it.
#[expect(clippy::disallowed_methods, reason = "the simulator keeps its own time")]
fn created(made: Instant) -> String {
    let at = Timestamp::now() - now().saturating_duration_since(made);
    format!("{at:.0}")
}

fn text(headers: &header::HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let hex =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default();
        out.push(match byte {
            b'%' => hex(bytes.next().unwrap_or_default()) * 16 + hex(bytes.next().unwrap_or_default()),
            other => other,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}
