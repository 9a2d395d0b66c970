//! How long the first job in a queue has waited, from counts alone.
//!
//! Jobs leave in the order in which they came. Where `n` jobs wait and the
//! queue has taken `p` in so far, the first of them was the one before which
//! `p - n` had come: it came when the count passed that number. Nothing has to
//! be taken out of the queue for it, which would count as a delivery.

use std::{collections::VecDeque, time::Duration};

/// Looks kept: at one each 10 s, half a day.
const KEPT: usize = 4096;

/// The counts of one queue over time.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Time since some start, and jobs taken in by then; both ascend.
    seen: VecDeque<(Duration, u64)>,
}

impl Arrivals {
    /// Takes a look in: at `at`, `published` jobs had come in all, and `ready`
    /// of them wait. For how long the first has waited; where these counts do
    /// not reach back so far, at least so long; `None` where nothing can be
    /// said yet.
    pub(super) fn oldest(&mut self, at: Duration, published: u64, ready: u64) -> Option<Duration> {
        // A broker that started again counts from zero.
        if self.seen.back().is_some_and(|(last, count)| *count > published || *last > at) {
            self.seen.clear();
        }
        // Of looks without arrivals between them, the first and the last.
        let n = self.seen.len();
        if n >= 2 && self.seen[n - 1].1 == published && self.seen[n - 2].1 == published {
            self.seen[n - 1].0 = at;
        } else {
            self.seen.push_back((at, published));
        }
        if self.seen.len() > KEPT {
            self.seen.pop_front();
        }
        if ready == 0 {
            return Some(Duration::ZERO);
        }
        let came = match published.checked_sub(ready) {
            Some(before) => self.when(before)?,
            // Some waited before the counts began.
            None => self.first_look()?,
        };
        Some(at.saturating_sub(came))
    }

    /// When the counts began, where they say something by now.
    fn first_look(&self) -> Option<Duration> {
        (self.seen.len() > 1).then(|| self.seen[0].0)
    }

    /// When the job came before which `before` had come; not later than that.
    fn when(&self, before: u64) -> Option<Duration> {
        let after = self.seen.iter().position(|(_, count)| *count > before)?;
        let (t1, n1) = self.seen[after];
        let Some((t0, n0)) = after.checked_sub(1).map(|i| self.seen[i]) else {
            return self.first_look();
        };
        let part = (before + 1 - n0) as f64 / (n1 - n0) as f64;
        Some(t0 + t1.saturating_sub(t0).mul_f64(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_job_is_found_in_the_counts() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.oldest(s(0), 0, 0), Some(s(0)));
        // Ten came in ten seconds, all wait: the first since about second 1.
        assert_eq!(arrivals.oldest(s(10), 10, 10), Some(s(9)));
        // Nothing comes, five have gone: the sixth came at second 6.
        assert_eq!(arrivals.oldest(s(20), 10, 5), Some(s(14)));
        assert_eq!(arrivals.oldest(s(30), 10, 5), Some(s(24)));
        // All have gone.
        assert_eq!(arrivals.oldest(s(40), 10, 0), Some(s(0)));
    }

    #[test]
    fn a_late_start_says_at_least() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.oldest(s(100), 50, 20), None);
        assert_eq!(arrivals.oldest(s(110), 50, 20), Some(s(10)));
        // The broker started again: its queue is older than its counts.
        assert_eq!(arrivals.oldest(s(120), 0, 20), None);
        assert_eq!(arrivals.oldest(s(130), 1, 20), Some(s(10)));
    }

    #[test]
    fn many_looks_stay_bounded() {
        let mut arrivals = Arrivals::default();
        for n in 0..10_000 {
            arrivals.oldest(s(n), n, 1);
        }
        assert_eq!(arrivals.seen.len(), KEPT);
        let mut quiet = Arrivals::default();
        for n in 0..10_000 {
            quiet.oldest(s(n), 7, 1);
        }
        assert_eq!(quiet.seen.len(), 2);
    }
}
