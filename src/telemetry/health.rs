//! A process asked for its health from beside it: what a container's health
//! check and an exec probe run.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::admin::Settings;
use crate::http::innermost;

/// Below the time-outs that probes have.
const WITHIN: Duration = Duration::from_secs(4);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether every part of the process moves.
    Live,
    /// Whether it does its work.
    Ready,
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
        }
    }
}

/// Asks the admin server that these settings make.
///
/// # Errors
/// What the process says that it lacks, or that nobody answers, and where.
pub async fn ask(settings: &Settings, question: Question) -> Result<(), String> {
    let address = from_beside(settings.listen)?;
    let url = format!("http://{address}{}", question.path());
    let fault = |error: reqwest::Error| format!("{url}: {}", innermost(&error));
    // The process is on this machine: no proxy is on the way.
    let client = reqwest::Client::builder().no_proxy().timeout(WITHIN).build().map_err(fault)?;
    let reply = client.get(&url).send().await.map_err(fault)?;
    let status = reply.status();
    let said = reply.text().await.map_err(fault)?;
    if status.is_success() {
        return Ok(());
    }
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(if said.is_empty() { format!("{url}: {status}") } else { said.join("; ") })
}

/// Where a server that listens there is reached from the same machine.
fn from_beside(listen: SocketAddr) -> Result<SocketAddr, String> {
    if listen.port() == 0 {
        return Err(format!("admin.listen is {listen}, a free port that nobody else knows; expected a port by number"));
    }
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::telemetry::{
        admin::{Admin, Subject},
        metrics::Exposition,
    };

    /// Moves, but does not work.
    struct Waiting;

    impl Subject for Waiting {
        fn live(&self) -> Result<(), String> {
            Ok(())
        }

        fn ready(&self) -> Result<(), String> {
            Err("no broker".to_owned())
        }

        fn status(&self) -> Value {
            Value::Null
        }
    }

    fn at(listen: &str) -> Settings {
        Settings { listen: listen.parse().unwrap() }
    }

    #[tokio::test]
    async fn both_questions_are_answered_by_the_server_that_the_settings_make() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // As in a container: on all addresses, asked from beside.
        let admin = Admin::bind(&at("0.0.0.0:0"), Exposition::start()).await.unwrap();
        let settings = Settings { listen: admin.address().unwrap() };
        let stop = CancellationToken::new();
        let served = tokio::spawn(admin.about("worker", Arc::new(Waiting)).serve(stop.clone()));
        assert_eq!(ask(&settings, Question::Live).await, Ok(()));
        assert_eq!(ask(&settings, Question::Ready).await, Err("worker: no broker".to_owned()));
        stop.cancel();
        served.await.unwrap().unwrap();
        let gone = ask(&settings, Question::Live).await.unwrap_err();
        let url = format!("http://127.0.0.1:{}/livez: ", settings.listen.port());
        assert!(gone.starts_with(&url) && gone.contains("refused"), "{gone}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_does_not_answer_is_not_waited_for() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings { listen: listener.local_addr().unwrap() };
        let why = ask(&settings, Question::Live).await.unwrap_err();
        assert!(why.contains("timed out"), "{why}");
    }

    #[test]
    fn where_a_process_is_reached_follows_from_where_it_listens() {
        let reached = |listen: &str| from_beside(listen.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(reached("0.0.0.0:9464").unwrap(), "127.0.0.1:9464");
        assert_eq!(reached("[::]:9464").unwrap(), "[::1]:9464");
        assert_eq!(reached("10.1.2.3:80").unwrap(), "10.1.2.3:80");
        let why = reached("127.0.0.1:0").unwrap_err();
        assert!(why.starts_with("admin.listen is 127.0.0.1:0"), "{why}");
    }
}
