//! How often a call is repeated, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Attempts and the pauses between them: doubling, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// In all, the first included.
    pub attempts: u32,
    /// After the first attempt.
    #[serde(with = "crate::time::duration")]
    pub first: Duration,
    /// No pause is longer.
    #[serde(with = "crate::time::duration")]
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_millis(250), longest: Duration::from_secs(2) }
    }
}

impl Retry {
    /// The pause after so many attempts: between half and all of the doubled
    /// time, by `jitter` in 0 to 1.
    #[must_use]
    pub fn pause(&self, attempts: u32, jitter: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempts.saturating_sub(1).min(20));
        doubled.min(self.longest).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retry = Retry { attempts: 9, first: Duration::from_millis(100), longest: Duration::from_millis(350) };
        let pauses: Vec<_> = (1..=4).map(|attempts| retry.pause(attempts, 1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 350, 350]);
        assert_eq!(retry.pause(1, 0.0), Duration::from_millis(50));
        assert_eq!(retry.pause(u32::MAX, 1.0), retry.longest);
    }
}
