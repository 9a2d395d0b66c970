//! Traces: spans of jobs, sent to a collector by OTLP over HTTP where an
//! endpoint is set, joined to the submitter's trace by the header
//! `traceparent` of the message (W3C Trace Context).

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::TelemetryError;

/// What spans of traces have as their target.
pub(super) const TARGET: &str = "skydose_trace";

/// How long a collector may take, and how long the end of the process waits
/// for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address of a collector that takes OTLP over HTTP, such as
    /// `http://collector:4318/v1/traces`; empty for none.
    pub endpoint: String,
    /// Part of the traces that are sent, 0 to 1, where the submitter has not
    /// decided.
    pub sampled: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { endpoint: String::new(), sampled: 1.0 }
    }
}

impl Settings {
    /// Whether traces can be sent there.
    ///
    /// # Errors
    /// What is wrong with the endpoint or the part.
    pub fn check(&self) -> Result<(), TelemetryError> {
        let fault = |expected| {
            let shown = if self.endpoint.contains('@') { "an address with credentials" } else { &self.endpoint };
            Err(TelemetryError::Traces { endpoint: shown.to_owned(), sampled: self.sampled, expected })
        };
        let is_address = ["http://", "https://"].iter().any(|scheme| {
            self.endpoint.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.contains('@'))
        });
        if !self.endpoint.is_empty() && !is_address {
            return fault("an endpoint that begins with http:// or https://, without credentials");
        }
        if !(0.0..=1.0).contains(&self.sampled) {
            return fault("a part from 0 to 1");
        }
        Ok(())
    }
}

/// Sends traces off; dropped, it sends what is left.
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// `None` where no endpoint is set. Needs a runtime, which sends.
    ///
    /// # Errors
    /// An endpoint that is none.
    pub(super) fn start(settings: &Settings, service: &str) -> Result<Option<Self>, TelemetryError> {
        settings.check()?;
        if settings.endpoint.is_empty() {
            return Ok(None);
        }
        let fault = |what: &dyn std::fmt::Display| TelemetryError::Exporter(what.to_string());
        let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(|e| fault(&e))?;
        let runtime = Handle::try_current().map_err(|e| fault(&e))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { client, runtime })
            .with_endpoint(&settings.endpoint)
            .with_timeout(PATIENCE)
            .build()
            .map_err(|e| fault(&e))?;
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", "skydose"),
                KeyValue::new("service.instance.id", service.to_owned()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sampled))))
            .with_resource(resource)
            .build();
        Ok(Some(Self { provider }))
    }

    /// What hands the spans over.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let only_spans = Targets::new().with_target(TARGET, tracing::Level::TRACE);
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer("skydose")).with_filter(only_spans)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // What cannot be sent within the time is lost, and nobody is left to
        // be told.
        let _ = self.provider.shutdown_with_timeout(PATIENCE);
    }
}

/// The span of one job, a child of what its message names. Nothing where no
/// traces are sent.
#[must_use]
pub fn job(headers: &BTreeMap<String, String>, job: &str, submission: &str) -> Span {
    let span = tracing::info_span!(target: TARGET, "job", job, submission, otel.kind = "consumer");
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        // It has no other parent: it was made a line ago.
        let _ = span.set_parent(parent);
    }
    span
}

/// The span of a step of a job.
#[must_use]
pub fn step(parent: &Span, name: &'static str) -> Span {
    tracing::info_span!(target: TARGET, parent: parent, "step", otel.name = name)
}

/// Marks `headers` as caused by `span`. Where no traces are sent they stay as
/// they are: the submitter's mark travels on.
pub fn mark(span: &Span, headers: &mut BTreeMap<String, String>) {
    if span.is_disabled() {
        return;
    }
    let context: Context = span.context();
    if context.span().span_context().is_valid() {
        TraceContextPropagator::new().inject_context(&context, &mut HeadersMut(headers));
    }
}

struct Headers<'a>(&'a BTreeMap<String, String>);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut BTreeMap<String, String>);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.0.insert(key.to_owned(), value);
        }
    }
}

/// Sends on the program's runtime what the exporter's own thread hands over.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let reply = client.execute(request.try_into()?).await?;
            let status = reply.status();
            let body = reply.bytes().await?;
            Ok::<_, HttpError>(Response::builder().status(status).body(body)?)
        });
        sent.await?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Router, body::Bytes as Body, routing::post};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn headers() -> BTreeMap<String, String> {
        [("traceparent".to_owned(), format!("00-{TRACE}-00f067aa0ba902b7-01"))].into()
    }

    /// A collector that keeps what it is sent, and its address.
    async fn collector() -> (Arc<Mutex<Vec<u8>>>, String) {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = kept.clone();
        let router = Router::new()
            .route("/v1/traces", post(async move |body: Body| keep.lock().unwrap().extend_from_slice(&body)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (kept, format!("http://{address}/v1/traces"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_job_joins_its_submitters_trace_and_hands_it_on() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (kept, endpoint) = collector().await;
        let exporter = Exporter::start(&Settings { endpoint, sampled: 1.0 }, "w1").unwrap().unwrap();
        let subscriber = tracing_subscriber::registry().with(exporter.layer());
        let marked = tracing::subscriber::with_default(subscriber, || {
            let span = job(&headers(), "j1", "s1");
            let mut marked = headers();
            mark(&span, &mut marked);
            drop(step(&span, "publish"));
            marked
        });
        let parent = &marked["traceparent"];
        assert!(parent.starts_with(&format!("00-{TRACE}-")) && *parent != headers()["traceparent"], "{parent}");
        tokio::task::spawn_blocking(move || drop(exporter)).await.unwrap();
        let sent = kept.lock().unwrap().clone();
        let id: Vec<u8> = (0..16).map(|i| u8::from_str_radix(&TRACE[2 * i..2 * i + 2], 16).unwrap()).collect();
        let holds = |part: &[u8]| sent.windows(part.len()).any(|w| w == part);
        assert!(holds(&id) && holds(b"j1") && holds(b"s1") && holds(b"publish"), "{} bytes", sent.len());
    }

    #[test]
    fn without_an_exporter_the_mark_travels_on() {
        let mut marked = headers();
        mark(&job(&headers(), "j1", "s1"), &mut marked);
        assert_eq!(marked, headers());
    }

    #[test]
    fn endpoints_that_are_none_or_hold_credentials_are_refused() {
        for endpoint in ["collector:4318", "ftp://x", "http://", "http://ann:canary@collector"] {
            let settings = Settings { endpoint: endpoint.into(), ..Settings::default() };
            let fault = settings.check().unwrap_err().to_string();
            assert!(fault.contains("without credentials") && !fault.contains("canary"), "{fault}");
        }
        assert!(Settings { sampled: 1.5, ..Settings::default() }.check().is_err());
    }
}
