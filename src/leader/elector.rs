//! Runs a [`Lease`] against the place where its record lies.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use super::{Act, Event, Leadership, Lease, Now, Record, Standing, Term, Terms};

/// A record and the object that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Who holds the lease.
    pub record: Record,
    /// The whole object with its version, as the store knows it.
    pub object: Value,
}

/// Where a lease's record lies.
#[async_trait]
pub trait LeaseStore: Send + Sync + fmt::Debug + 'static {
    /// As the configuration names the election.
    fn name(&self) -> &'static str;

    /// The record as it is; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    async fn read(&self) -> Result<Option<Found>, StoreError>;

    /// Writes the first record.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where there is one already, and others.
    async fn create(&self, record: &Record) -> Result<(), StoreError>;

    /// Writes over what was read, where it is still so.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has changed, and others.
    async fn update(&self, record: &Record, over: &Found) -> Result<(), StoreError>;
}

/// Why a record was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote first.
    #[error("the lease was written by another")]
    Conflict,
    /// It is not known what the record is.
    #[error("{0}")]
    Failed(String),
}

/// A candidate for a lease, taking part until it is dropped or resigns.
pub struct Elector {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Box<dyn LeaseStore>,
    lease: Mutex<Lease>,
    standing: watch::Sender<Standing>,
}

impl Elector {
    /// Stands for the lease from now on. `me` is unique to this process.
    ///
    /// # Errors
    /// Times that would let two lead.
    pub fn stand(me: &str, terms: Terms, store: impl LeaseStore) -> Result<Self, super::LeaderError> {
        terms.check()?;
        let lease = Mutex::new(Lease::new(me, terms));
        let shared = Arc::new(Shared { store: Box::new(store), lease, standing: watch::Sender::default() });
        let task = tokio::spawn(Arc::clone(&shared).run(terms.renew_deadline));
        Ok(Self { shared, task: Mutex::new(Some(task)) })
    }

    /// Ends taking part, without a word to the others.
    fn end(&self) -> Option<JoinHandle<()>> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        task.inspect(JoinHandle::abort)
    }
}

#[async_trait]
impl Leadership for Elector {
    fn name(&self) -> &'static str {
        self.shared.store.name()
    }

    fn leads(&self) -> Option<Term> {
        self.shared.lease().leads(local())
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.shared.standing.subscribe()
    }

    async fn resign(&self) {
        if let Some(task) = self.end() {
            // A step under way must not come after what is said below.
            let _ = task.await;
        }
        let released = self.shared.lease().release(now());
        if let Some(record) = released {
            self.shared.release(&record).await;
        }
        let me = std::mem::replace(&mut *self.shared.lease(), Lease::new("", Terms::default()));
        self.shared.standing.send_replace(Standing { term: None, ..me.standing(local()) });
    }
}

impl Drop for Elector {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Elector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elector").field("store", &self.shared.store).finish_non_exhaustive()
    }
}

impl Shared {
    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part. An attempt that takes longer than `within` has failed.
    async fn run(self: Arc<Self>, within: Duration) {
        let mut found = None;
        let mut act = self.step(Event::Due);
        loop {
            act = match act {
                Act::Wait(pause) => {
                    self.wait(pause).await;
                    self.step(Event::Due)
                }
                act => {
                    let attempt = tokio::time::timeout(within, self.attempt(act, &mut found)).await;
                    self.step(attempt.unwrap_or_else(|_| Event::Failed(format!("no answer within {within:?}"))))
                }
            };
        }
    }

    /// Reads or writes once.
    async fn attempt(&self, act: Act, found: &mut Option<Found>) -> Event {
        let sent = local();
        let (record, result) = match act {
            Act::Create(record) => {
                let result = self.store.create(&record).await;
                (record, result)
            }
            Act::Update(record) => match found.take() {
                Some(over) => {
                    let result = self.store.update(&record, &over).await;
                    (record, result)
                }
                None => return Event::Due,
            },
            Act::Read | Act::Wait(_) => {
                return match self.store.read().await {
                    Ok(None) => Event::Absent,
                    Ok(Some(read)) => Event::Found(found.insert(read).record.clone()),
                    Err(error) => Event::Failed(error.to_string()),
                };
            }
        };
        match result {
            Ok(()) => Event::Written(record, sent),
            Err(StoreError::Conflict) => Event::Conflict,
            Err(error) => Event::Failed(error.to_string()),
        }
    }

    fn step(&self, event: Event) -> Act {
        let now = now();
        let (act, standing) = {
            let mut lease = self.lease();
            let (next, act) = lease.clone().step(event, now, fastrand::f64());
            *lease = next;
            (act, lease.standing(now.local))
        };
        self.publish(standing);
        act
    }

    /// Waits, and says so where leading ends meanwhile.
    async fn wait(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
        let standing = self.lease().standing(local());
        self.publish(standing);
    }

    fn publish(&self, standing: Standing) {
        self.standing.send_if_modified(|old| {
            let changed = *old != standing;
            *old = standing;
            changed
        });
    }

    /// Empties the holder, over whatever version the record has now, as long
    /// as this process is the holder.
    async fn release(&self, record: &Record) {
        let within = Duration::from_secs(5);
        let write = async {
            let found = self.store.read().await?;
            let holder = self.lease().release(now()).is_some();
            match found {
                Some(found) if holder && found.record.transitions == record.transitions => {
                    self.store.update(record, &found).await
                }
                _ => Ok(()),
            }
        };
        match tokio::time::timeout(within, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "failed to give the lease up; it ends by itself"),
            Err(_) => tracing::warn!(?within, "failed to give the lease up in time; it ends by itself"),
        }
    }
}

fn now() -> Now {
    #[expect(clippy::disallowed_methods, reason = "the edge where a lease meets the clocks; this one is for people")]
    let wall = Timestamp::now();
    Now { local: local(), wall }
}

/// The monotonic clock of this host, which tests may stop.
fn local() -> Instant {
    tokio::time::Instant::now().into_std()
}
