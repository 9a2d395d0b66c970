//! A lease as a machine of states: what was seen and when, in; what to do
//! next, out.
//!
//! The rules are those of Kubernetes' client-go:
//!
//! - A record is fresh from the moment **this** host saw it change, by its own
//!   monotonic clock. The times in the record are for people.
//! - Every write is conditional on the version that was read.
//! - The holder writes every `retry`; it leads until `renew_deadline` after
//!   its last write that succeeded was **sent**. Others wait until `lease` has
//!   passed since they saw the last change. As `lease` is the longer, the
//!   holder has stopped before another starts.
//! - On a clean stop the holder is emptied.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LeaderError, Standing, Term};

/// The lease's times, each longer than the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Terms {
    /// Others wait so long after the last change they saw.
    #[serde(with = "crate::time::duration")]
    pub lease: Duration,
    /// The holder leads so long after its last success.
    #[serde(with = "crate::time::duration")]
    pub renew_deadline: Duration,
    /// Between attempts.
    #[serde(with = "crate::time::duration")]
    pub retry: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { lease: seconds(15), renew_deadline: seconds(10), retry: seconds(2) }
    }
}

/// Who holds the lease, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Empty where it was given up.
    pub holder: String,
    /// How long the holder's word is good.
    pub lease: Duration,
    /// When the holder began to hold it, by the holder's wall clock.
    pub acquired: Timestamp,
    /// When the holder wrote last, by the holder's wall clock.
    pub renewed: Timestamp,
    /// How often it went from one holder to another.
    pub transitions: u32,
}

/// A moment: by the local clock that only goes forward, and by the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// What durations are measured with.
    pub local: Instant,
    /// What is written for people.
    pub wall: Timestamp,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The wait is over.
    Due,
    /// There is no record.
    Absent,
    /// The record as it is.
    Found(Record),
    /// A write succeeded, and when it was sent.
    Written(Record, Instant),
    /// A write was refused: the record had changed.
    Conflict,
    /// Nothing was read, or it is not known whether a write succeeded.
    Failed(String),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Read the record.
    Read,
    /// Write the first record, where there is none.
    Create(Record),
    /// Write over the version that was read.
    Update(Record),
    /// Do nothing for at most this long.
    Wait(Duration),
}

/// A candidate's view of a lease.
#[derive(Debug, Clone)]
pub struct Lease {
    me: String,
    terms: Terms,
    /// The record as last seen, and since when it is so.
    seen: Option<(Record, Instant)>,
    /// The term, and when the last write that succeeded was sent.
    leading: Option<(Term, Instant)>,
    terms_led: u64,
    fault: Option<String>,
}

impl Terms {
    /// Checks that a holder stops before another starts.
    ///
    /// # Errors
    /// Names what is too short.
    pub fn check(&self) -> Result<(), LeaderError> {
        let fault = |what: String, expected: &str| Err(LeaderError { what, expected: expected.to_owned() });
        if self.lease <= self.renew_deadline {
            return fault(
                format!("lease is {:?}, renew_deadline {:?}", self.lease, self.renew_deadline),
                "a lease longer than its renew_deadline",
            );
        }
        if self.renew_deadline < self.retry * 2 || self.retry.is_zero() {
            return fault(
                format!("renew_deadline is {:?}, retry {:?}", self.renew_deadline, self.retry),
                "a retry above zero and a renew_deadline of at least twice that",
            );
        }
        Ok(())
    }
}

impl Lease {
    /// A candidate that has seen nothing yet. `me` is unique to the process.
    #[must_use]
    pub fn new(me: &str, terms: Terms) -> Self {
        Self { me: me.to_owned(), terms, seen: None, leading: None, terms_led: 0, fault: None }
    }

    /// The term in which this candidate leads at `now`.
    #[must_use]
    pub fn leads(&self, now: Instant) -> Option<Term> {
        let (term, renewed) = self.leading?;
        (now < renewed + self.terms.renew_deadline).then_some(term)
    }

    /// Where the election stands at `now`.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        let holder = self.seen.as_ref().map(|(record, _)| record.holder.clone());
        let leader = holder.filter(|holder| !holder.is_empty());
        Standing { term: self.leads(now), leader, fault: self.fault.clone() }
    }

    /// The next state, and what to do. `jitter` in 0 to 1 spreads candidates.
    #[must_use]
    pub fn step(mut self, event: Event, now: Now, jitter: f64) -> (Self, Act) {
        if self.leads(now.local).is_none() {
            self.leading = None;
        }
        let act = match event {
            Event::Due => Act::Read,
            Event::Absent => self.absent(now, jitter),
            Event::Found(record) => self.found(&record, now, jitter),
            Event::Written(record, sent) => {
                self.fault = None;
                if self.leading.is_none() {
                    self.terms_led += 1;
                }
                self.leading = Some((Term(self.terms_led), sent));
                self.seen = Some((record, now.local));
                Act::Wait(self.terms.retry)
            }
            // Somebody wrote: whether they hold it now is yet to be read.
            Event::Conflict => {
                self.leading = None;
                self.wait(now.local, jitter)
            }
            Event::Failed(fault) => {
                self.fault = Some(fault);
                self.wait(now.local, jitter)
            }
        };
        (self, act)
    }

    /// What to write to give the lease up; `None` where it is not held.
    #[must_use]
    pub fn release(&self, now: Now) -> Option<Record> {
        let (record, _) = self.seen.as_ref().filter(|(record, _)| record.holder == self.me)?;
        let (acquired, renewed, lease) = (now.wall, now.wall, Duration::from_secs(1));
        Some(Record { holder: String::new(), lease, acquired, renewed, transitions: record.transitions })
    }

    fn found(&mut self, record: &Record, now: Now, jitter: f64) -> Act {
        self.fault = None;
        if self.seen.as_ref().is_none_or(|(seen, _)| seen != record) {
            self.seen = Some((record.clone(), now.local));
        }
        if record.holder == self.me || self.free_in(now.local).is_zero() {
            return Act::Update(self.record(Some(record), now));
        }
        // Somebody else holds it: whatever was held here is over.
        self.leading = None;
        self.wait(now.local, jitter)
    }

    /// A record that somebody deleted is good for as long as it would have
    /// been: its holder may not know yet.
    fn absent(&mut self, now: Now, jitter: f64) -> Act {
        self.fault = None;
        let held = self.seen.as_ref().is_some_and(|(record, _)| record.holder != self.me);
        if held && !self.free_in(now.local).is_zero() {
            return self.wait(now.local, jitter);
        }
        Act::Create(self.record(None, now))
    }

    /// How long until the lease as last seen may be taken.
    fn free_in(&self, now: Instant) -> Duration {
        match &self.seen {
            Some((record, since)) if !record.holder.is_empty() => {
                (*since + record.lease.max(self.terms.lease)).saturating_duration_since(now)
            }
            _ => Duration::ZERO,
        }
    }

    fn record(&self, old: Option<&Record>, now: Now) -> Record {
        let (acquired, transitions) = match old {
            Some(old) if old.holder == self.me => (old.acquired, old.transitions),
            Some(old) => (now.wall, old.transitions.saturating_add(1)),
            None => (now.wall, 0),
        };
        Record { holder: self.me.clone(), lease: self.terms.lease, acquired, renewed: now.wall, transitions }
    }

    /// A holder tries again soon; others at their pace, spread, but not later
    /// than the lease is free.
    fn wait(&self, now: Instant, jitter: f64) -> Act {
        let spread = self.terms.retry.mul_f64(1.0 + 0.5 * jitter);
        if self.leading.is_some() {
            return Act::Wait(self.terms.retry / 4);
        }
        match self.free_in(now) {
            Duration::ZERO => Act::Wait(spread),
            free => Act::Wait(spread.min(free + self.terms.retry.mul_f64(0.1 * jitter))),
        }
    }
}
