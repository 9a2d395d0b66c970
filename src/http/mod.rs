//! One HTTP client for the APIs of clusters: Rancher and Kubernetes.
//!
//! The bearer token is read from its file for every call, so that a rotated
//! token is used at once; a certificate authority is pinned and its file read
//! again when it changes. Every call ends in bounded time, is repeated by a
//! stated [`Retry`], and its error says method, address, attempts and time.
//! A redirect is not followed: the token goes to the host that was named.

mod error;
mod retry;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

pub use error::{HttpError, HttpFault, innermost};
pub use reqwest::Method;
use reqwest::{StatusCode, Url, header};
pub use retry::Retry;
use serde_json::Value;
use tokio::time::Instant;

/// More than the largest answer that makes sense: 10,000 machines of Rancher.
const LARGEST_ANSWER: usize = 256 << 20;

/// Without it a metadata service does not answer.
const METADATA: header::HeaderName = header::HeaderName::from_static("metadata");

/// Where an API is and how it is reached.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `https://host[:port][/path]`; paths of calls are put after it.
    pub url: String,
    /// Holds the bearer token alone; read for every call.
    pub token_file: Option<PathBuf>,
    /// Certificate authorities in PEM, and no others; without it, the
    /// system's.
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate. Whoever is between can then read the token.
    pub insecure_tls: bool,
    /// A cloud's metadata service: its header, and never through a proxy.
    pub metadata_service: bool,
    /// For one attempt, from connecting to the answer's last byte.
    pub timeout: Duration,
    /// How often and when a call is repeated.
    pub retry: Retry,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// GET, PUT, …
    pub method: Method,
    /// From `/`, with its query.
    pub path: &'a str,
    /// The body and its media type.
    pub body: Option<(&'a str, &'a Value)>,
    /// Whether it may be sent again when its answer was lost or was a
    /// server's fault.
    pub repeatable: bool,
}

/// A client of one API.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    base: Url,
    connected: Mutex<Connected>,
}

/// The client and when its certificate authorities were written.
#[derive(Debug)]
struct Connected {
    client: reqwest::Client,
    ca_written: Option<SystemTime>,
}

impl<'a> Call<'a> {
    /// A read: repeatable.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, repeatable: true }
    }

    /// A write with a JSON body, sent once.
    #[must_use]
    pub fn write(method: Method, path: &'a str, media: &'a str, body: &'a Value) -> Self {
        Self { method, path, body: Some((media, body)), repeatable: false }
    }

    /// The same, repeatable: a second arrival changes nothing more.
    #[must_use]
    pub fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// An address that is none or carries credentials, or unusable
    /// certificate authorities.
    pub fn new(endpoint: Endpoint) -> Result<Self, HttpError> {
        let base = base(&endpoint.url)?;
        let connected = Mutex::new(connect(&endpoint)?);
        Ok(Self { endpoint, base, connected })
    }

    /// Scheme, host and port, for messages.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The answer's JSON to a read.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn get(&self, path: &str) -> Result<Value, HttpError> {
        self.send(&Call::get(path), &|| true).await
    }

    /// Sends a call, again where it may be, and gives the answer's JSON
    /// (null where the answer has no body). `permit` is asked immediately
    /// before every attempt.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn send(&self, call: &Call<'_>, permit: &(dyn Fn() -> bool + Send + Sync)) -> Result<Value, HttpError> {
        let started = Instant::now();
        let mut attempts = 0;
        loop {
            // The token's file is read first: nothing waits between the
            // permit and the call.
            let request = self.request(call).await;
            attempts += 1;
            let result = match request {
                Ok(_) if !permit() => Err(HttpFault::Withdrawn),
                Ok(request) => exchange(request).await,
                Err(fault) => Err(fault),
            };
            let fault = match result {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let again = call.repeatable && fault.is_passing() && attempts < self.endpoint.retry.attempts;
            if !again {
                let call = format!("{} {}{}", call.method, self.host(), call.path);
                return Err(HttpError { call, attempts, elapsed: started.elapsed(), fault });
            }
            tokio::time::sleep(self.endpoint.retry.pause(attempts, fastrand::f64())).await;
        }
    }

    /// The call with its token and body, through a client that trusts what
    /// the file of certificate authorities says now.
    async fn request(&self, call: &Call<'_>) -> Result<reqwest::RequestBuilder, HttpFault> {
        let url = format!("{}{}", self.host(), call.path);
        let mut request = self.client()?.request(call.method.clone(), url).header(header::ACCEPT, "application/json");
        if let Some((media, body)) = call.body {
            request = request.header(header::CONTENT_TYPE, media).body(body.to_string());
        }
        if let Some(file) = &self.endpoint.token_file {
            let token = tokio::fs::read_to_string(file)
                .await
                .map_err(|error| setup(format!("token file {}: {error}", file.display())))?;
            let mut value = header::HeaderValue::try_from(format!("Bearer {}", token.trim()))
                .map_err(|_| setup(format!("token file {}: not a token, expected one line of text", file.display())))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        Ok(request)
    }

    fn client(&self) -> Result<reqwest::Client, HttpFault> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.endpoint.ca_file
            && written(file) != connected.ca_written
        {
            *connected = connect(&self.endpoint).map_err(|error| error.fault)?;
        }
        Ok(connected.client.clone())
    }
}

/// Sends and reads, within the client's timeout.
async fn exchange(request: reqwest::RequestBuilder) -> Result<Value, HttpFault> {
    let mut response = request.send().await.map_err(|error| HttpFault::from(&error))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| HttpFault::from(&error))? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(HttpFault::Answer(format!("more than {LARGEST_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return match body.as_slice() {
            [] => Ok(Value::Null),
            body => serde_json::from_slice(body).map_err(|error| HttpFault::Answer(format!("not JSON: {error}"))),
        };
    }
    Err(HttpFault::refusal(status.as_u16(), status == StatusCode::TOO_MANY_REQUESTS, &body))
}

fn connect(endpoint: &Endpoint) -> Result<Connected, HttpError> {
    // A second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let at = |what| HttpError::before(&endpoint.url, setup(what));
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("skydose/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(endpoint.timeout)
        .tls_danger_accept_invalid_certs(endpoint.insecure_tls);
    if endpoint.metadata_service {
        builder = builder
            .no_proxy()
            .default_headers([(METADATA, header::HeaderValue::from_static("true"))].into_iter().collect());
    }
    let ca_written = endpoint.ca_file.as_deref().and_then(written);
    if let Some(file) = &endpoint.ca_file {
        let fault = |what: &dyn std::fmt::Display| at(format!("certificate authorities {}: {what}", file.display()));
        let pem = std::fs::read(file).map_err(|error| fault(&error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fault(&error))?;
        if certificates.is_empty() {
            return Err(fault(&"no certificate in it, expected PEM"));
        }
        builder = builder.tls_certs_only(certificates);
    }
    let client = builder.build().map_err(|error| at(error::innermost(&error)))?;
    Ok(Connected { client, ca_written })
}

fn base(url: &str) -> Result<Url, HttpError> {
    let fault =
        |what: &str| HttpError::before(url, setup(format!("{what}, expected one such as https://rancher.example.org")));
    let base = Url::parse(url).map_err(|error| fault(&format!("no address: {error}")))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(fault("the scheme is not https or http"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        let shown = format!("{}://…@{}", base.scheme(), base.host_str().unwrap_or_default());
        return Err(HttpError::before(&shown, setup("credentials in an address; give the token's file".to_owned())));
    }
    Ok(base)
}

fn setup(what: String) -> HttpFault {
    HttpFault::Setup(what)
}

/// When the file was last written; `None` where it cannot be seen.
fn written(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|meta| meta.modified()).ok()
}

/// Path and query of a whole address that an answer gave, such as the next
/// page's. Its host is not followed: the token stays where it belongs.
#[must_use]
pub fn path_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())))
}

#[cfg(test)]
mod tests;
