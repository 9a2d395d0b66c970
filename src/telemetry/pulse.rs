//! Signs of life: whether the parts of a process still move.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// A part of the process that must move at least every so often while it has
/// something to do.
#[derive(Debug)]
pub struct Pulse {
    name: &'static str,
    limit: Duration,
    start: Instant,
    /// Milliseconds from `start` to the last beat; [`AT_REST`] where it has
    /// nothing to do.
    last: AtomicU64,
}

const AT_REST: u64 = u64::MAX;

impl Pulse {
    /// Of a part that has nothing to do yet at `start`.
    #[must_use]
    pub fn new(name: &'static str, limit: Duration, start: Instant) -> Self {
        Self { name, limit, start, last: AtomicU64::new(AT_REST) }
    }

    /// It moved, and has more to do.
    pub fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.start).as_millis();
        self.last.store(u64::try_from(since).unwrap_or(AT_REST - 1), Ordering::Relaxed);
    }

    /// It has nothing to do: it may stand still.
    pub fn rest(&self) {
        self.last.store(AT_REST, Ordering::Relaxed);
    }

    /// Whether it moved in time.
    ///
    /// # Errors
    /// Says for how long it has not.
    pub fn check(&self, now: Instant) -> Result<(), String> {
        let last = self.last.load(Ordering::Relaxed);
        if last == AT_REST {
            return Ok(());
        }
        let still = now.saturating_duration_since(self.start + Duration::from_millis(last));
        if still <= self.limit {
            return Ok(());
        }
        Err(format!(
            "{} has not moved for {:.0} s, expected {:.0} s at most",
            self.name,
            still.as_secs_f64(),
            self.limit.as_secs_f64()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_still_too_long_is_named_unless_at_rest() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let pulse = Pulse::new("the executor", Duration::from_mins(1), start);
        assert_eq!(pulse.check(at(600)), Ok(()), "it had nothing to do");
        pulse.beat(at(600));
        assert_eq!(pulse.check(at(659)), Ok(()));
        assert_eq!(pulse.check(at(661)), Err("the executor has not moved for 61 s, expected 60 s at most".into()));
        pulse.rest();
        assert_eq!(pulse.check(at(9999)), Ok(()));
    }
}
