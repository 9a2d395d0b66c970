//! The admin server.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while every part of the process moves; a broker or store that is down is no reason to end it |
//! | `/readyz` | 200 while it does its work: consuming, self-test passed |
//! | `/metrics` | for Prometheus |
//! | `/status` | JSON, a field a subject |
//!
//! A process has one or two subjects: its worker, its control. They may add
//! paths of their own that answer with JSON.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::Query,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{TelemetryError, metrics::Exposition};

/// Where the admin server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port; port 0 takes a free one. It has no authentication:
    /// let only the cluster reach it.
    pub listen: SocketAddr,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

/// What is asked about: the worker, the control.
pub trait Subject: Send + Sync {
    /// Whether it moves.
    ///
    /// # Errors
    /// Says what does not.
    fn live(&self) -> Result<(), String>;

    /// Whether it does its work.
    ///
    /// # Errors
    /// Says why not.
    fn ready(&self) -> Result<(), String>;

    /// All there is to tell.
    fn status(&self) -> Value;
}

/// The query of a request.
pub type Params = BTreeMap<String, String>;

/// What answers a path with JSON.
///
/// # Errors
/// Says, for people, why there is no answer now.
pub type Answer = dyn Fn(&Params) -> Result<Value, String> + Send + Sync;

/// The server before it serves.
pub struct Admin {
    listener: TcpListener,
    exposition: Exposition,
    subjects: Vec<(&'static str, Arc<dyn Subject>)>,
    answers: Vec<(&'static str, Arc<Answer>)>,
}

impl Admin {
    /// Takes the port.
    ///
    /// # Errors
    /// [`TelemetryError::Listen`] where it cannot be had.
    pub async fn bind(settings: &Settings, exposition: Exposition) -> Result<Self, TelemetryError> {
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|source| TelemetryError::Listen { listen: settings.listen, source })?;
        Ok(Self { listener, exposition, subjects: Vec::new(), answers: Vec::new() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Adds who is asked, under a name of its own.
    #[must_use]
    pub fn about(mut self, name: &'static str, subject: Arc<dyn Subject>) -> Self {
        self.subjects.push((name, subject));
        self
    }

    /// Adds a path that answers with JSON.
    #[must_use]
    pub fn answering(mut self, path: &'static str, answer: Arc<Answer>) -> Self {
        self.answers.push((path, answer));
        self
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// What the system says.
    pub async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        let Self { listener, exposition, subjects, answers } = self;
        let subjects = Arc::new(subjects);
        let (live, ready, status) = (subjects.clone(), subjects.clone(), subjects);
        let mut router = Router::new()
            .route("/livez", get(async move || verdict(&live, |s| s.live())))
            .route("/readyz", get(async move || verdict(&ready, |s| s.ready())))
            .route("/status", get(async move || Json(statuses(&status))))
            .route("/metrics", get(async move || metrics(&exposition)));
        for (path, answer) in answers {
            let reply = async move |Query(params): Query<Params>| match answer(&params) {
                Ok(value) => Json(value).into_response(),
                Err(why) => {
                    (StatusCode::SERVICE_UNAVAILABLE, Json(serde_json::json!({ "error": why }))).into_response()
                }
            };
            router = router.route(path, get(reply));
        }
        axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

type Subjects = [(&'static str, Arc<dyn Subject>)];

/// 200, or 503 with a line for each that is not.
fn verdict(subjects: &Subjects, of: impl Fn(&dyn Subject) -> Result<(), String>) -> Response {
    let faults: Vec<String> =
        subjects.iter().filter_map(|(name, s)| of(s.as_ref()).err().map(|why| format!("{name}: {why}\n"))).collect();
    if faults.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, faults.concat()).into_response()
}

fn statuses(subjects: &Subjects) -> Value {
    Value::Object(subjects.iter().map(|(name, s)| ((*name).to_owned(), s.status())).collect::<Map<_, _>>())
}

fn metrics(exposition: &Exposition) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exposition.render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Patient {
        stuck: AtomicBool,
        cut_off: AtomicBool,
    }

    impl Subject for Patient {
        fn live(&self) -> Result<(), String> {
            if self.stuck.load(Ordering::Relaxed) { Err("stuck".into()) } else { Ok(()) }
        }

        fn ready(&self) -> Result<(), String> {
            if self.cut_off.load(Ordering::Relaxed) { Err("no broker".into()) } else { Ok(()) }
        }

        fn status(&self) -> Value {
            serde_json::json!({ "state": "idle" })
        }
    }

    async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
        let reply = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    #[tokio::test]
    async fn each_path_answers_for_all_subjects() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let patient = Arc::new(Patient::default());
        let admin = Admin::bind(&settings, Exposition::start()).await.unwrap();
        let address = admin.address().unwrap();
        let taken = Admin::bind(&Settings { listen: address }, Exposition::start()).await.err().unwrap();
        assert!(taken.to_string().starts_with(&format!("admin.listen is {address}: ")), "{taken}");
        let stop = CancellationToken::new();
        let echo: Arc<Answer> =
            Arc::new(|params| params.get("say").map(|s| Value::from(s.as_str())).ok_or_else(|| "say what?".to_owned()));
        let served =
            tokio::spawn(admin.about("worker", patient.clone()).answering("/v1/echo", echo).serve(stop.clone()));
        for path in ["/livez", "/readyz"] {
            assert_eq!(ask(address, path).await, (200, "ok\n".into()));
        }
        patient.cut_off.store(true, Ordering::Relaxed);
        assert_eq!(ask(address, "/readyz").await, (503, "worker: no broker\n".into()));
        assert_eq!(ask(address, "/livez").await.0, 200, "an outage is no reason to end the process");
        patient.stuck.store(true, Ordering::Relaxed);
        assert_eq!(ask(address, "/livez").await, (503, "worker: stuck\n".into()));
        assert_eq!(ask(address, "/status").await.1, r#"{"worker":{"state":"idle"}}"#);
        assert_eq!(ask(address, "/v1/echo?say=x").await, (200, "\"x\"".into()));
        assert_eq!(ask(address, "/v1/echo").await, (503, r#"{"error":"say what?"}"#.into()));
        assert!(ask(address, "/metrics").await.1.contains("process_resident_memory_bytes"));
        assert_eq!(ask(address, "/nothing").await.0, 404);
        stop.cancel();
        served.await.unwrap().unwrap();
    }
}
