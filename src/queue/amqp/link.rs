//! One connection: made in bounded time, watched, closed in bounded time.

use std::{
    net::{Shutdown, TcpStream},
    os::fd::AsFd as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties, ErrorKind, Event,
    auth::AuthProvider,
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{LongString, ShortString},
};
use secrecy::ExposeSecret as _;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::settings::{Login, Node, Settings};
use crate::queue::QueueError;

/// The first pause between two attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Before a channel is opened anew.
const CHANNEL_PAUSE: Duration = Duration::from_millis(10);

/// What is declared by `skydose topology apply`.
const DECLARED: &str = "the exchanges and queues of `skydose topology apply`, and a user that may use them";

/// How a connection fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Open.
    Open,
    /// Open; the broker reads nothing from publishers.
    Blocked,
    /// Gone.
    Lost,
}

/// An open connection. Dropped, it is closed behind the scenes.
pub(super) struct Link {
    connection: Connection,
    socket: Socket,
    /// For messages.
    pub broker: String,
    pulse: watch::Receiver<Pulse>,
    _watcher: DropGuard,
}

/// The socket below a connection: what ends it when the broker says nothing.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Option<TcpStream>>>);

/// Pauses between attempts to connect: longer each time, and by chance, so
/// that many clients do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Link {
    /// Connects to one of the nodes, a different one each `turn`.
    pub(super) async fn open(settings: &Settings, purpose: &str, turn: usize) -> Result<Self, QueueError> {
        let nodes = settings.nodes()?;
        let node = nodes[turn % nodes.len()].clone();
        let broker = node.name.clone();
        let socket = Socket::default();
        match timeout(settings.connect_timeout, connect(settings, node, purpose, socket.clone())).await {
            Ok(Ok(connection)) => Ok(Self::watched(connection, socket, broker)),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                socket.cut();
                Err(QueueError::Timeout { broker, what: "connecting".into(), after: settings.connect_timeout })
            }
        }
    }

    /// Connects to the first of the nodes that can be connected to.
    ///
    /// # Errors
    /// As the last node has it.
    pub(super) async fn open_any(settings: &Settings, purpose: &str) -> Result<Self, QueueError> {
        let last = settings.nodes()?.len() - 1;
        for turn in 0..last {
            if let Ok(link) = Self::open(settings, purpose, turn).await {
                return Ok(link);
            }
        }
        Self::open(settings, purpose, last).await
    }

    fn watched(connection: Connection, socket: Socket, broker: String) -> Self {
        let (sender, pulse) = watch::channel(Pulse::Open);
        let mut events = Box::pin(connection.events_listener());
        let stop = CancellationToken::new();
        let watcher = stop.clone().drop_guard();
        tokio::spawn(async move {
            let watching = async {
                while let Some(event) = events.next().await {
                    sender.send_replace(match event {
                        Event::ConnectionBlocked(_) => Pulse::Blocked,
                        Event::ConnectionUnblocked => Pulse::Open,
                        Event::Error(_) => break,
                        _ => continue,
                    });
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = watching => {}
            }
            sender.send_replace(Pulse::Lost);
        });
        Self { connection, socket, broker, pulse, _watcher: watcher }
    }

    /// How the connection fares, and its changes.
    pub(super) fn pulse(&self) -> watch::Receiver<Pulse> {
        self.pulse.clone()
    }

    /// Waits until the connection is gone.
    pub(super) async fn lost(&self) {
        let mut pulse = self.pulse();
        // An error says that nobody watches any more.
        let _ = pulse.wait_for(|pulse| *pulse == Pulse::Lost).await;
    }

    /// A new channel.
    pub(super) async fn channel(&self, within: Duration) -> Result<Channel, QueueError> {
        let opening = async {
            loop {
                match self.connection.create_channel().await {
                    // It was given the number of a channel that the broker has
                    // just closed, and whose end is not through yet.
                    Err(error) if matches!(error.kind(), ErrorKind::InvalidChannelState(..)) => {
                        sleep(CHANNEL_PAUSE).await;
                    }
                    opened => return opened,
                }
            }
        };
        self.within(within, "opening a channel", opening).await
    }

    /// The answer to a request, in bounded time.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, QueueError> {
        match timeout(limit, request).await {
            Ok(answer) => answer.map_err(|error| fault(&self.broker, what, &error)),
            Err(_) => Err(QueueError::Timeout { broker: self.broker.clone(), what: what.into(), after: limit }),
        }
    }

    /// Closes the connection; cuts it where the broker does not answer.
    pub(super) async fn close(&self, within: Duration) {
        let closing = self.connection.close(200, ShortString::from("closed"));
        if timeout(within, closing).await.is_err() {
            self.socket.cut();
        }
    }
}

impl Socket {
    fn keep(&self, socket: TcpStream) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    /// Ends the connection, whatever the other side does.
    fn cut(&self) {
        if let Some(socket) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Backoff {
    pub(super) fn new(longest: Duration) -> Self {
        Self { next: FIRST_PAUSE.min(longest), longest }
    }

    /// After success.
    pub(super) fn reset(&mut self) {
        self.next = FIRST_PAUSE.min(self.longest);
    }

    /// The next pause.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(0.5 + 0.5 * fastrand::f64());
        self.next = (self.next * 2).min(self.longest);
        pause
    }
}

async fn connect(settings: &Settings, node: Node, purpose: &str, socket: Socket) -> Result<Connection, QueueError> {
    let tls = settings.tls()?;
    let encrypted = node.encrypted();
    if encrypted {
        // Whoever was first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let broker = node.name.clone();
    let failed = |error: &lapin::Error| fault(&broker, "connecting", error);
    let runtime = lapin::runtime::default_runtime().map_err(|error| failed(&error))?;
    let properties = ConnectionProperties::default()
        .with_connection_name(LongString::from(format!("{} {purpose}", settings.prefix)))
        .with_auth_provider(node.login);
    let (host, port) = (node.uri.authority.host.clone(), node.uri.authority.port);
    let connecting = Connection::connector(
        node.uri,
        runtime,
        async move |_, runtime| {
            let mut addresses = tokio::net::lookup_host((host.as_str(), port)).await?;
            let address = addresses.next().ok_or_else(|| std::io::Error::other(format!("{host} has no address")))?;
            let stream = AsyncTcpStream::connect(&runtime, address).await?;
            if let AsyncTcpStream::Plain(plain) = &stream {
                plain.get_ref().set_nodelay(true)?;
                socket.keep(TcpStream::from(plain.get_ref().as_fd().try_clone_to_owned()?));
            }
            Ok(if encrypted { stream.into_tls(&host, tls.as_ref()).await? } else { stream })
        },
        properties,
    );
    connecting.await.map_err(|error| failed(&error))
}

impl AuthProvider for Login {
    fn mechanism(&self) -> ShortString {
        match self {
            Self::Password(..) => "PLAIN".into(),
            Self::Certificate => "EXTERNAL".into(),
        }
    }

    fn auth_starter(&self) -> Result<LongString, String> {
        Ok(match self {
            Self::Password(user, password) => {
                format!("\0{}\0{}", user.expose_secret(), password.expose_secret()).into()
            }
            Self::Certificate => "".into(),
        })
    }
}

/// An error of the client library in our words.
pub(super) fn fault(broker: &str, what: &str, error: &lapin::Error) -> QueueError {
    if let ErrorKind::ProtocolError(said) = error.kind()
        && let AMQPErrorKind::Soft(kind) = said.kind()
    {
        let expected = match kind {
            AMQPSoftError::NOTFOUND | AMQPSoftError::ACCESSREFUSED => DECLARED,
            AMQPSoftError::RESOURCELOCKED => "a queue that no other connection has for itself",
            AMQPSoftError::PRECONDITIONFAILED => "what the broker's words ask for",
            _ => return QueueError::Connection { broker: broker.into(), what: format!("{what}: {error}") },
        };
        let what = format!("{what}: {}", said.get_message());
        return QueueError::Refused { broker: broker.into(), what, expected: expected.into() };
    }
    QueueError::Connection { broker: broker.into(), what: format!("{what}: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_differ() {
        let mut backoff = Backoff::new(Duration::from_secs(8));
        let pauses: Vec<f64> = (0..12).map(|_| backoff.pause().as_secs_f64()).collect();
        for (n, pause) in pauses.iter().enumerate() {
            let most = (0.2 * 2f64.powi(i32::try_from(n).unwrap())).min(8.0);
            assert!((most / 2.0..=most).contains(pause), "{n}: {pause}");
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST_PAUSE);
        assert!(
            (0..32)
                .any(|_| Backoff::new(Duration::from_secs(1)).pause() != Backoff::new(Duration::from_secs(1)).pause())
        );
    }
}
