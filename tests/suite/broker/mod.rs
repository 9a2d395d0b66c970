//! Real RabbitMQ: private nodes on loopback, and the queue's promises kept on
//! them while they are killed, frozen, cut off and short of memory.
//!
//! | helper | file |
//! |---|---|
//! | a broker, one for all tests or one to be mistreated | `server.rs` |
//! | its management API | `http.rs` |
//! | a proxy that delays, cuts and swallows | `proxy.rs` |
//!
//! `SKYDOSE_TEST_RABBITMQ_ROOT` names the root of another system, such as
//! debootstrap makes, whose RabbitMQ is to be used: it needs root.

mod alarms;
mod cluster;
mod contract;
mod deaths;
mod http;
mod losses;
mod proxy;
mod publishing;
mod server;
mod tls;
mod topology;

use std::{
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

pub use http::Api;
pub use proxy::{Mode, Proxy};
pub use server::{Broker, Cluster, free_port};
use skydose::queue::{
    Destination, JobQueue, Message, Priority, Properties, QueueError,
    amqp::{Amqp, Names, Settings, topology::Topology},
    management::{self, Management},
};
use tracing_subscriber::{
    Layer as _, filter::dynamic_filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// A virtual host with the topology declared, and how it is reached.
#[derive(Clone)]
pub struct Place {
    /// The broker's address, as its administrator.
    pub uri: String,
    /// Its management API, as its administrator.
    pub management_uri: String,
    /// The virtual host.
    pub vhost: String,
    /// `HOST:PORT` of the broker.
    pub address: String,
}

impl Place {
    /// Settings as tests want them: patience is short.
    pub fn settings(&self) -> Settings {
        Settings {
            uri: Some(self.uri.clone().into()),
            heartbeat: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(4),
            publish_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(2),
            longest_pause: Duration::from_secs(2),
            ..Settings::default()
        }
    }

    /// The same place through another address.
    pub fn through(&self, address: &str) -> Self {
        Self { uri: self.uri.replace(&self.address, address), address: address.to_owned(), ..self.clone() }
    }

    /// As another user, whose password is its name.
    pub fn as_user(&self, user: &str) -> Self {
        let (_, rest) = self.uri.split_once('@').expect("a user in the URI");
        Self { uri: format!("amqp://{user}:{user}@{rest}"), ..self.clone() }
    }

    /// A queue of jobs there.
    pub fn queue(&self) -> Arc<Amqp> {
        Arc::new(Amqp::new(self.settings()).expect("settings that can be used"))
    }

    /// The management API there.
    pub fn management(&self) -> Management {
        let settings = management::Settings {
            uri: Some(self.management_uri.clone().into()),
            vhost: self.vhost.clone(),
            ..management::Settings::default()
        };
        Management::new(settings).expect("settings that can be used")
    }

    /// Declares the topology, with users whose passwords are their names.
    pub async fn apply(&self) {
        let topology = Topology::new(&Names::new("skydose"));
        let passwords = topology.users.iter().map(|user| (user.role.to_owned(), user.name.clone().into()));
        self.management().apply(&topology, &passwords.collect()).await.expect("a topology");
    }
}

/// A message of a job.
pub fn job(id: &str) -> Message {
    let properties = Properties {
        message_id: id.to_owned(),
        kind: "skydose.job".into(),
        version: 1,
        priority: Priority::Normal,
        ..Properties::default()
    };
    Message { properties, body: "{}".into() }
}

/// Publishes until it is confirmed, however often the broker goes.
pub async fn publish_until_safe(queue: &dyn JobQueue, to: &Destination, message: &Message) -> u32 {
    for attempt in 0.. {
        match queue.publish(to, message).await {
            Ok(()) => return attempt,
            // Refused, too: a queue without a majority for a moment takes nothing.
            Err(QueueError::Connection { .. } | QueueError::Timeout { .. } | QueueError::Refused { .. }) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("attempts go on")
}

/// Shows the logs that `RUST_LOG` asks for; watches all of them, at every
/// level, where a test wants to know what is in them.
pub fn logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = tracing_subscriber::fmt::layer()
            .with_test_writer()
            .with_filter(tracing_subscriber::EnvFilter::from_default_env());
        let watching = dynamic_filter_fn(|_, _| WATCHING.load(Ordering::Relaxed));
        let all = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| Watched).with_filter(watching);
        let _ = tracing_subscriber::registry().with(all).with(shown).try_init();
    });
}

/// Takes every line of the logs, and keeps those with a canary.
struct Watched;

static WATCHING: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicUsize = AtomicUsize::new(0);
static CANARIES: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl std::io::Write for Watched {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        SEEN.fetch_add(1, Ordering::Relaxed);
        if line.windows(7).any(|window| window == b"canary-") {
            let line = String::from_utf8_lossy(line).chars().take(500).collect();
            CANARIES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Watches the logs from now on.
pub fn watch_logs() {
    WATCHING.store(true, Ordering::Relaxed);
}

/// Watches no more; how many lines the logs had, and those that hold
/// `secret`.
pub fn watched_logs(secret: &str) -> (usize, Vec<String>) {
    WATCHING.store(false, Ordering::Relaxed);
    let lines = CANARIES.lock().unwrap_or_else(PoisonError::into_inner);
    (SEEN.load(Ordering::Relaxed), lines.iter().filter(|line| line.contains(secret)).cloned().collect())
}
