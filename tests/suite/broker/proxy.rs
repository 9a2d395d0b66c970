//! A TCP proxy that delays, cuts and swallows.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// They pass after this long.
    Delay(Duration),
    /// They go nowhere, and nobody hears of it; new connections are accepted.
    BlackHole,
    /// Those to the server pass, those back go nowhere.
    HalfOpen,
    /// Connections are cut, and so are new ones.
    Refuse,
}

/// How often a direction looks at the mode.
const TICK: Duration = Duration::from_millis(20);

/// A proxy before one server.
pub struct Proxy {
    /// Where it listens, `127.0.0.1:PORT`.
    pub address: String,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<String>,
    mode: Mutex<Mode>,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl Proxy {
    /// A proxy before `target`, `HOST:PORT`.
    pub fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let shared = Arc::new(Shared {
            target: Mutex::new(target.to_owned()),
            mode: Mutex::new(Mode::Pass),
            open: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(client) = client {
                    accepting.clone().accept(client);
                }
            }
        });
        Self { address, shared }
    }

    /// What happens from now on, to open connections too.
    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        if mode == Mode::Refuse {
            self.cut();
        }
    }

    /// Cuts what is open now.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, client: TcpStream) {
        if self.mode() == Mode::Refuse {
            return;
        }
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Ok(server) = TcpStream::connect(target) else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a socket");
            stream.set_read_timeout(Some(TICK)).expect("a socket");
        }
        let copies = || (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
        let (c, s) = copies();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).extend([c, s]);
        let (c, s) = copies();
        let forth = self.clone();
        thread::spawn(move || forth.copy(c, s, true));
        thread::spawn(move || self.copy(server, client, false));
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, forth: bool) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let mode = self.mode();
            let swallowed = mode == Mode::BlackHole || (mode == Mode::HalfOpen && !forth);
            if swallowed {
                // Nothing is read, as if the cable were out.
                thread::sleep(TICK);
                if self.ended.load(Ordering::Relaxed) {
                    break;
                }
                continue;
            }
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    if let Mode::Delay(time) = mode {
                        thread::sleep(time);
                    }
                    if to.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.ended.load(Ordering::Relaxed) {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
