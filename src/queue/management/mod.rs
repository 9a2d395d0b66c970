//! RabbitMQ's management API: what the topology is set up and looked at with,
//! and where figures come from.

mod age;
mod apply;
mod gauge;

use std::{fmt::Display, fs, path::PathBuf, time::Duration};

use reqwest::{Certificate, Client, Method, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use apply::{Passwords, Report};
pub use gauge::RabbitGauge;

use super::QueueError;

/// What a URI looks like, for messages.
const URI: &str = "http://USER:PASSWORD@HOST:PORT, or https://";

/// Where the management API is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `http://USER:PASSWORD@HOST:PORT`, or `https://`.
    #[serde(skip_serializing)]
    pub uri: Option<SecretString>,
    /// A file that holds `uri` instead; read again for each call.
    pub uri_file: Option<PathBuf>,
    /// The virtual host of the queues.
    pub vhost: String,
    /// PEM file of the authority that signed the server's certificate, besides
    /// those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// For one call.
    #[serde(with = "crate::time::duration")]
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { uri: None, uri_file: None, vhost: "/".into(), ca_file: None, timeout: Duration::from_secs(10) }
    }
}

/// The management API.
#[derive(Debug, Clone)]
pub struct Management {
    settings: Settings,
    client: Client,
}

/// Where it is, and who asks.
struct Target {
    base: Url,
    user: String,
    password: SecretString,
    /// Without user and password, for messages.
    name: String,
}

impl Settings {
    /// Whether it was said where the API is.
    #[must_use]
    pub fn given(&self) -> bool {
        self.uri.is_some() || self.uri_file.is_some()
    }

    /// Every fault of the settings, without connecting.
    ///
    /// # Errors
    /// [`QueueError::Settings`] on the first fault found.
    pub fn check(&self) -> Result<(), QueueError> {
        if self.timeout.is_zero() {
            return Err(fault("timeout", "0 s", "a time above zero"));
        }
        self.target().map(drop)
    }

    fn target(&self) -> Result<Target, QueueError> {
        let (field, text) = match (&self.uri, &self.uri_file) {
            (Some(_), Some(_)) => return Err(fault("uri, uri_file", "both", "one of them")),
            (None, None) => return Err(fault("uri", "missing", URI)),
            (Some(uri), None) => ("uri", uri.clone()),
            (None, Some(path)) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| fault("uri_file", format!("{}: {error}", path.display()), "a readable file"))?;
                ("uri_file", text.trim().to_owned().into())
            }
        };
        // Neither the text nor what the parser says of it is repeated: it
        // holds the password.
        let wrong = || fault(field, "not an address of the management API", URI);
        let mut base: Url = text.expose_secret().parse().map_err(|_| wrong())?;
        if !["http", "https"].contains(&base.scheme()) || base.host_str().is_none() {
            return Err(wrong());
        }
        let decoded = |text: &str| percent_decoded(text).ok_or_else(wrong);
        let (user, password) = (decoded(base.username())?, decoded(base.password().unwrap_or_default())?);
        base.set_username("").and_then(|()| base.set_password(None)).map_err(|()| wrong())?;
        let name = base.as_str().trim_end_matches('/').to_owned();
        Ok(Target { base, user, password: password.into(), name })
    }
}

impl Management {
    /// A client; connects when it is asked something.
    ///
    /// # Errors
    /// [`QueueError::Settings`].
    pub fn new(settings: Settings) -> Result<Self, QueueError> {
        settings.check()?;
        // Whoever was first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().timeout(settings.timeout).redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &settings.ca_file {
            let wrong = |error: String| {
                fault("ca_file", format!("{}: {error}", path.display()), "a file of certificates in PEM")
            };
            let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
            for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder.build().map_err(|error| fault("ca_file", error, "certificates that can be used"))?;
        Ok(Self { settings, client })
    }

    /// The virtual host of the queues.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.settings.vhost
    }

    /// What lies at `path` below the API; `None` where nothing does.
    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Value>, QueueError> {
        let (status, body) = self.call(Method::GET, path, query, None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => serde_json::from_str(&body).map(Some).map_err(|error| {
                self.refused(path, format!("an answer that is no JSON: {error}"), "the management API of RabbitMQ")
            }),
            status => Err(self.rejected(path, status, &body)),
        }
    }

    async fn send(&self, method: Method, path: &[&str], body: &Value) -> Result<(), QueueError> {
        let (status, answer) = self.call(method, path, &[], Some(body)).await?;
        if status.is_success() { Ok(()) } else { Err(self.rejected(path, status, &answer)) }
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(StatusCode, String), QueueError> {
        let target = self.settings.target()?;
        let mut url = target.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // Each is escaped, so that the virtual host `/` is one segment.
            segments.pop_if_empty().push("api").extend(path);
        }
        let mut request = self
            .client
            .request(method, url)
            .query(query)
            .basic_auth(&target.user, Some(target.password.expose_secret()));
        if let Some(body) = body {
            request = request.json(body);
        }
        let failed = |error: reqwest::Error| {
            // With its causes; the address holds no secret.
            let mut what = format!("/api/{}: {error}", path.join("/"));
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                what = format!("{what}: {error}");
                cause = error.source();
            }
            if error.is_timeout() {
                return QueueError::Timeout { broker: target.name.clone(), what, after: self.settings.timeout };
            }
            QueueError::Connection { broker: target.name.clone(), what }
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let text = response.text().await.map_err(failed)?;
        Ok((status, text))
    }

    fn rejected(&self, path: &[&str], status: StatusCode, body: &str) -> QueueError {
        let expected = match status {
            // RabbitMQ answers so, too, to a user that may not see other users.
            StatusCode::UNAUTHORIZED if body.contains("administrator") => {
                "a user with the tag administrator: only one sets up and checks the topology"
            }
            StatusCode::UNAUTHORIZED => "a user with this password and the tag management",
            StatusCode::FORBIDDEN => "a user with the tag management, or administrator to set things up",
            _ => "what the broker's words ask for",
        };
        let body: String = body.chars().take(500).collect();
        self.refused(path, format!("{status} {body}"), expected)
    }

    #[expect(clippy::needless_pass_by_value, reason = "most callers have made it for this")]
    fn refused(&self, path: &[&str], what: String, expected: &str) -> QueueError {
        let broker = self.settings.target().map_or_else(|_| "management API".to_owned(), |target| target.name);
        QueueError::Refused { broker, what: format!("/api/{}: {what}", path.join("/")), expected: expected.to_owned() }
    }
}

fn fault(field: &str, value: impl Display, expected: &str) -> QueueError {
    QueueError::Settings { field: field.to_owned(), value: value.to_string(), expected: expected.to_owned() }
}

/// `%40` as `@`; `None` where it is no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_without_its_secret() {
        let with = |uri: &str| Settings { uri: Some(uri.to_owned().into()), ..Settings::default() };
        let target = with("https://me:can%40ry@host:15671").target().unwrap();
        assert_eq!((target.user.as_str(), target.password.expose_secret()), ("me", "can@ry"));
        assert_eq!(target.name, "https://host:15671");
        for wrong in ["canary", "amqp://u:canary@h", "http://u:%zzcanary@h"] {
            let error = with(wrong).check().unwrap_err().to_string();
            assert!(error.starts_with("uri is ") && !error.contains("canary"), "{error}");
        }
        assert!(!format!("{:?}", with("http://u:canary@h")).contains("canary"));
        assert!(!Settings::default().given());
    }
}
