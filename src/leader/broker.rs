//! The election that the broker holds: one seat, and who holds it leads.
//!
//! The broker gives the seat to another when it hears no more of the holder's
//! connection. So a holder has the broker confirm the seat over and over and
//! leads for a stated time after each question; and who is given the seat
//! waits that same time before it leads, so that the last holder has stopped
//! by then, whatever became of it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{LeaderError, Leadership, Standing, Term};
use crate::queue::{Candidacy, Election};

/// The times of the election by the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerTerms {
    /// How long after asking the holder leads, and how long a new one waits.
    #[serde(with = "crate::time::duration")]
    pub valid: Duration,
    /// Between questions.
    #[serde(with = "crate::time::duration")]
    pub every: Duration,
}

impl Default for BrokerTerms {
    fn default() -> Self {
        Self { valid: Duration::from_secs(6), every: Duration::from_secs(2) }
    }
}

/// After the seat could not be stood for.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Giving the seat up takes no longer.
const RESIGN_WITHIN: Duration = Duration::from_secs(5);

/// A candidate for the broker's seat, taking part until it is dropped or
/// resigns.
pub struct ByBroker {
    shared: Arc<Shared>,
    task: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

struct Shared {
    me: String,
    terms: BrokerTerms,
    held: Mutex<Held>,
    standing: watch::Sender<Standing>,
}

#[derive(Default)]
struct Held {
    spells: u64,
    /// The term, when it starts to count, and when the last question that was
    /// answered well was asked.
    seat: Option<(Term, Instant, Instant)>,
}

impl BrokerTerms {
    /// Checks that there is time for a question to fail.
    ///
    /// # Errors
    /// Names what is too short.
    pub fn check(&self) -> Result<(), LeaderError> {
        if self.every.is_zero() || self.valid < self.every * 2 {
            let what = format!("valid is {:?}, every {:?}", self.valid, self.every);
            return Err(LeaderError {
                what,
                expected: "an every above zero and a valid of at least twice that".to_owned(),
            });
        }
        Ok(())
    }
}

impl ByBroker {
    /// Stands for the seat from now on.
    ///
    /// # Errors
    /// Times that leave no room for a question to fail.
    pub fn stand(me: &str, terms: BrokerTerms, election: Arc<dyn Election>) -> Result<Self, LeaderError> {
        terms.check()?;
        let shared =
            Arc::new(Shared { me: me.to_owned(), terms, held: Mutex::default(), standing: watch::Sender::default() });
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(Arc::clone(&shared).run(election, ended));
        Ok(Self { shared, task: Mutex::new(Some((end, task))) })
    }

    fn take(&self) -> Option<(oneshot::Sender<()>, JoinHandle<()>)> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl Leadership for ByBroker {
    fn name(&self) -> &'static str {
        "broker"
    }

    fn leads(&self) -> Option<Term> {
        self.shared.leads()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.shared.standing.subscribe()
    }

    async fn resign(&self) {
        self.shared.lose(None);
        let Some((end, task)) = self.take() else { return };
        drop(end);
        let abort = task.abort_handle();
        if tokio::time::timeout(RESIGN_WITHIN, task).await.is_err() {
            abort.abort();
            tracing::warn!("failed to give the broker's seat up in time; it ends with the connection");
        }
    }
}

impl Drop for ByBroker {
    fn drop(&mut self) {
        if let Some((_, task)) = self.take() {
            task.abort();
        }
    }
}

impl fmt::Debug for ByBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByBroker").field("me", &self.shared.me).finish_non_exhaustive()
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leads(&self) -> Option<Term> {
        let (term, from, asked) = self.held().seat?;
        let now = local();
        (from <= now && now < asked + self.terms.valid).then_some(term)
    }

    /// Takes part until `ended`.
    async fn run(self: Arc<Self>, election: Arc<dyn Election>, mut ended: oneshot::Receiver<()>) {
        loop {
            let mut candidacy = tokio::select! {
                _ = &mut ended => return,
                candidacy = self.enter(election.as_ref()) => candidacy,
            };
            tokio::select! {
                _ = &mut ended => {
                    // A question under way may have been answered since.
                    self.lose(None);
                    return candidacy.resign().await;
                }
                () = self.stand_and_hold(candidacy.as_mut()) => {}
            }
        }
    }

    async fn enter(&self, election: &dyn Election) -> Box<dyn Candidacy> {
        loop {
            match election.stand().await {
                Ok(candidacy) => return candidacy,
                Err(error) => self.lose(Some(error.to_string())),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn stand_and_hold(&self, candidacy: &mut dyn Candidacy) {
        loop {
            self.lose(None);
            candidacy.elected().await;
            let from = local() + self.terms.valid;
            let term = {
                let mut held = self.held();
                held.spells += 1;
                Term(held.spells)
            };
            loop {
                let asked = local();
                if !candidacy.confirm().await {
                    break;
                }
                self.held().seat = Some((term, from, asked));
                self.publish();
                let until_it_counts = from.saturating_duration_since(local());
                let pause =
                    if until_it_counts.is_zero() { self.terms.every } else { until_it_counts.min(self.terms.every) };
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn lose(&self, fault: Option<String>) {
        self.held().seat = None;
        self.standing.send_if_modified(|standing| change(standing, Standing { term: None, leader: None, fault }));
    }

    fn publish(&self) {
        let term = self.leads();
        let leader = term.map(|_| self.me.clone());
        self.standing.send_if_modified(|standing| change(standing, Standing { term, leader, fault: None }));
    }
}

fn change(old: &mut Standing, new: Standing) -> bool {
    let changed = *old != new;
    *old = new;
    changed
}

/// The monotonic clock of this host, which tests may stop.
fn local() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::{OwnedSemaphorePermit, Semaphore};

    use super::{super::contract, *};
    use crate::queue::QueueError;

    /// A seat that a broker would give: to one at a time, and to another when
    /// the holder's connection has been silent for longer than `valid`.
    #[derive(Clone)]
    struct Seat {
        free: Arc<Semaphore>,
        cut: Arc<AtomicBool>,
    }

    struct Candidate {
        seat: Seat,
        held: Option<OwnedSemaphorePermit>,
    }

    const TERMS: BrokerTerms = BrokerTerms { valid: Duration::from_millis(900), every: Duration::from_millis(100) };

    #[async_trait]
    impl Election for Seat {
        async fn stand(&self) -> Result<Box<dyn Candidacy>, QueueError> {
            Ok(Box::new(Candidate { seat: self.clone(), held: None }))
        }
    }

    #[async_trait]
    impl Candidacy for Candidate {
        async fn elected(&mut self) {
            while self.seat.cut.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.held = Some(Arc::clone(&self.seat.free).acquire_owned().await.unwrap());
        }

        async fn confirm(&mut self) -> bool {
            if self.seat.cut.load(Ordering::Relaxed) {
                // The broker gives the seat away at once, and the holder hears
                // nothing of it: the worst case.
                self.held = None;
                tokio::time::sleep(Duration::from_millis(100)).await;
                return false;
            }
            self.held.is_some()
        }

        async fn resign(self: Box<Self>) {}
    }

    struct World {
        free: Arc<Semaphore>,
        seats: Mutex<Vec<Seat>>,
    }

    #[async_trait]
    impl contract::World for World {
        async fn stand(&self, name: &str) -> Arc<dyn Leadership> {
            let seat = Seat { free: Arc::clone(&self.free), cut: Arc::default() };
            self.seats.lock().unwrap().push(seat.clone());
            Arc::new(ByBroker::stand(name, TERMS, Arc::new(seat)).unwrap())
        }

        async fn cut(&self, candidate: usize, cut: bool) {
            self.seats.lock().unwrap()[candidate].cut.store(cut, Ordering::Relaxed);
        }

        fn failover(&self) -> Duration {
            Duration::from_millis(2500)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_contract() {
        contract::holds(async || World { free: Arc::new(Semaphore::new(1)), seats: Mutex::default() }).await;
    }

    #[test]
    fn times_that_leave_no_room_are_refused() {
        assert_eq!(BrokerTerms::default().check(), Ok(()));
        let terms = BrokerTerms { valid: Duration::from_secs(2), every: Duration::from_secs(2) };
        assert!(terms.check().unwrap_err().to_string().contains("valid is 2s"));
    }
}
