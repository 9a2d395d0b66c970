//! Where the broker is and how long it may take.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use lapin::{
    tcp::{OwnedIdentity, OwnedTLSConfig},
    uri::{AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::queue::QueueError;

/// What a URI looks like, for messages.
const URI: &str = "amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://";

/// Where the broker is and how long it may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `amqp://USER:PASSWORD@HOST:PORT/VHOST`, or `amqps://` for TLS. Several,
    /// separated by commas or blanks, are nodes of one cluster, tried in turn.
    #[serde(skip_serializing)]
    pub uri: Option<SecretString>,
    /// A file that holds `uri` instead; read again before each connection.
    pub uri_file: Option<PathBuf>,
    /// What the names of exchanges and queues begin with.
    pub prefix: String,
    /// PEM file of the authorities that may have signed the broker's
    /// certificate, besides those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate. With `auth_mechanism=external` in
    /// the URI it stands for user and password.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's key.
    pub key_file: Option<PathBuf>,
    /// Silence of twice this long is a lost connection; whole seconds.
    #[serde(with = "crate::time::duration")]
    pub heartbeat: Duration,
    /// For connecting, TLS and login together.
    #[serde(with = "crate::time::duration")]
    pub connect_timeout: Duration,
    /// For a publish, from the call to the broker's confirm; the time in which
    /// the broker is away or blocked counts.
    #[serde(with = "crate::time::duration")]
    pub publish_timeout: Duration,
    /// For any other request: consume, acknowledge, cancel, get.
    #[serde(with = "crate::time::duration")]
    pub request_timeout: Duration,
    /// For closing a connection; then it is cut.
    #[serde(with = "crate::time::duration")]
    pub close_timeout: Duration,
    /// The longest pause between two attempts to connect. The first pause is
    /// a fifth of a second; each is up to twice the one before, by chance.
    #[serde(with = "crate::time::duration")]
    pub longest_pause: Duration,
    /// Messages on their way to a confirm at a time, each on a channel of its
    /// own.
    pub publish_channels: usize,
    /// Bodies above this are not sent \[bytes\]. A broker closes the channel
    /// on messages over its own limit: 16 MiB in version 4, 128 MiB before.
    pub largest_message: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: None,
            uri_file: None,
            prefix: "skydose".to_owned(),
            ca_file: None,
            certificate_file: None,
            key_file: None,
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            longest_pause: Duration::from_secs(8),
            publish_channels: 64,
            largest_message: 16 << 20,
        }
    }
}

/// One node of the broker, and how to log in there. Its `Debug` holds no
/// secret, and neither does the URI within.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Without user and password.
    pub uri: AMQPUri,
    /// `HOST:PORT/VHOST`, for messages.
    pub name: String,
    /// Kept apart from the URI, which the client library logs.
    pub login: Login,
}

/// User and password, or the client's certificate.
#[derive(Debug, Clone)]
pub(super) enum Login {
    /// PLAIN.
    Password(SecretString, SecretString),
    /// EXTERNAL.
    Certificate,
}

impl Settings {
    /// Every fault of the settings, without connecting.
    ///
    /// # Errors
    /// [`QueueError::Settings`] on the first fault found.
    pub fn check(&self) -> Result<(), QueueError> {
        let positive = [
            ("connect_timeout", self.connect_timeout),
            ("publish_timeout", self.publish_timeout),
            ("request_timeout", self.request_timeout),
            ("close_timeout", self.close_timeout),
            ("longest_pause", self.longest_pause),
        ];
        for (field, duration) in positive {
            if duration.is_zero() {
                return Err(fault(field, "0 s", "a time above zero"));
            }
        }
        if !(1..=600).contains(&self.heartbeat.as_secs()) {
            return Err(fault(
                "heartbeat",
                crate::time::duration::text(self.heartbeat),
                "1s to 600s; 5s to 20s is usual",
            ));
        }
        if self.prefix.is_empty() || !self.prefix.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            return Err(fault("prefix", &self.prefix, "letters, digits, - and _"));
        }
        if self.publish_channels == 0 || self.publish_channels > 2000 {
            return Err(fault("publish_channels", self.publish_channels, "1 to 2000"));
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return Err(fault("certificate_file, key_file", "only one of them", "both or none"));
        }
        self.nodes()?;
        self.tls()?;
        Ok(())
    }

    /// The nodes of the broker.
    pub(super) fn nodes(&self) -> Result<Vec<Node>, QueueError> {
        let (field, text) = match (&self.uri, &self.uri_file) {
            (Some(_), Some(_)) => return Err(fault("uri, uri_file", "both", "one of them")),
            (None, None) => return Err(fault("uri", "missing", URI)),
            (Some(uri), None) => ("uri", uri.expose_secret().to_owned()),
            (None, Some(path)) => ("uri_file", read("uri_file", path)?),
        };
        let words = text.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
        let nodes = words.map(|uri| self.node(field, uri)).collect::<Result<Vec<_>, _>>()?;
        if nodes.is_empty() {
            return Err(fault(field, "empty", URI));
        }
        Ok(nodes)
    }

    fn node(&self, field: &str, text: &str) -> Result<Node, QueueError> {
        // Neither the text nor what the parser says of it is repeated: it
        // holds the password.
        let wrong = || fault(field, "not a URI of a broker", URI);
        if !["amqp://", "amqps://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(wrong());
        }
        let mut uri: AMQPUri = text.parse().map_err(|_| wrong())?;
        let user = std::mem::replace(
            &mut uri.authority.userinfo,
            AMQPUserInfo { username: String::new(), password: String::new() },
        );
        let login = match uri.query.auth_mechanism.unwrap_or_default() {
            SASLMechanism::Plain => Login::Password(user.username.into(), user.password.into()),
            SASLMechanism::External if self.certificate_file.is_some() => Login::Certificate,
            SASLMechanism::External => {
                return Err(fault(
                    "certificate_file",
                    "missing",
                    "the certificate that auth_mechanism=external logs in with",
                ));
            }
            other => return Err(fault(field, format!("auth_mechanism={other}"), "plain or external")),
        };
        // `external` is done by our own provider of the login, like `plain`.
        uri.query.auth_mechanism = None;
        uri.query.heartbeat = Some(u16::try_from(self.heartbeat.as_secs()).unwrap_or(u16::MAX));
        let name = format!("{}:{}/{}", uri.authority.host, uri.authority.port, uri.vhost.trim_start_matches('/'));
        Ok(Node { uri, name, login })
    }

    /// Certificates, read anew.
    pub(super) fn tls(&self) -> Result<OwnedTLSConfig, QueueError> {
        let identity = match (&self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key)) => Some(OwnedIdentity::PKCS8 {
                pem: read("certificate_file", certificate)?.into_bytes(),
                key: read("key_file", key)?.into_bytes(),
            }),
            _ => None,
        };
        let cert_chain = self.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
        Ok(OwnedTLSConfig { identity, cert_chain })
    }
}

impl Node {
    /// Whether the connection is encrypted.
    pub(super) fn encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

fn read(field: &str, path: &Path) -> Result<String, QueueError> {
    fs::read_to_string(path).map_err(|error| fault(field, format!("{}: {error}", path.display()), "a readable file"))
}

fn fault(field: &str, value: impl Display, expected: &str) -> QueueError {
    QueueError::Settings { field: field.to_owned(), value: value.to_string(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(uri: &str) -> Settings {
        Settings { uri: Some(uri.to_owned().into()), ..Settings::default() }
    }

    #[test]
    fn nodes_are_read_without_their_secrets() {
        let nodes = with("amqp://me:canary@one:1234/v, amqps://me:canary@two/%2f").nodes().unwrap();
        assert_eq!(nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["one:1234/v", "two:5671/"]);
        assert_eq!(nodes.iter().map(Node::encrypted).collect::<Vec<_>>(), [false, true]);
        assert_eq!(nodes[0].uri.query.heartbeat, Some(10));
        let shown = format!(
            "{nodes:?} {:?} {}",
            with("amqp://me:canary@one"),
            toml::to_string(&with("amqp://me:canary@one")).unwrap()
        );
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn faults_name_the_field_and_keep_the_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "amqp:/canary").unwrap();
        let fine = || with("amqp://u:p@h");
        for (settings, field) in [
            (Settings::default(), "uri"),
            (with("canary"), "uri"),
            (with("http://u:canary@h"), "uri"),
            (with(" "), "uri"),
            (with("amqps://h?auth_mechanism=external"), "certificate_file"),
            (Settings { uri_file: Some("/nowhere/at/all".into()), ..Settings::default() }, "uri_file"),
            (Settings { uri_file: Some(file.path().into()), ..Settings::default() }, "uri_file"),
            (Settings { uri_file: Some("x".into()), ..fine() }, "uri, uri_file"),
            (Settings { heartbeat: Duration::ZERO, ..fine() }, "heartbeat"),
            (Settings { publish_timeout: Duration::ZERO, ..fine() }, "publish_timeout"),
            (Settings { prefix: "a.b".into(), ..fine() }, "prefix"),
            (Settings { publish_channels: 0, ..fine() }, "publish_channels"),
            (Settings { key_file: Some("k".into()), ..fine() }, "certificate_file, key_file"),
            (Settings { ca_file: Some("/nowhere".into()), ..fine() }, "ca_file"),
        ] {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{field} is ")), "{error}");
            assert!(error.contains("expected") && !error.contains("canary"), "{error}");
        }
        fine().check().unwrap();
    }
}
