//! What can be set of control, beside the scaling itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A worker that is not heard for so long is lost; three of its own
    /// intervals where those are longer.
    #[serde(with = "crate::time::duration")]
    pub silent_after: Duration,
    /// How long a new leader listens to the workers before it decides; longer
    /// than their interval.
    #[serde(with = "crate::time::duration")]
    pub listen_first: Duration,
    /// How long the broker and the provider may take to tell their figures.
    #[serde(with = "crate::time::duration")]
    pub patience: Duration,
    /// Rounds that are remembered for `skydose status --history`.
    pub history: usize,
    /// Most workers that are known at a time.
    pub most_workers: usize,
    /// A token of the provider that ends sooner is warned of.
    #[serde(with = "crate::time::duration")]
    pub warn_before_expiry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            silent_after: Duration::from_secs(20),
            listen_first: Duration::from_secs(12),
            patience: Duration::from_secs(30),
            history: 720,
            most_workers: 20_000,
            warn_before_expiry: Duration::from_hours(14 * 24),
        }
    }
}
