//! What becomes of a delivery once its job has ended: done with, tried again
//! later, or buried among the dead letters.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its result stands in the store and its event is confirmed.
    Answered,
    /// Its submission was cancelled.
    Cancelled,
    /// Its deadline had passed before it began.
    Late,
    /// It asks for what does not exist or cannot be: another try would end
    /// the same way.
    Invalid(String),
    /// Something around it failed: the store, a file that could not be read,
    /// a device. Another try may do better.
    Failed(String),
    /// Workers died of it, as often as its message says.
    Crashed,
}

/// The tries that a message has behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// That ended with a failure.
    pub failed: u32,
    /// That ended with the worker's death.
    pub crashed: u32,
}

/// How often a job is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Tries before a job that fails is buried.
    pub most_tries: u32,
    /// Deaths of workers before the job that they died of is buried.
    pub most_crashes: u32,
    /// Wait after the first failure; it doubles with each.
    #[serde(with = "crate::time::duration")]
    pub first_delay: Duration,
    /// Longest wait.
    #[serde(with = "crate::time::duration")]
    pub longest_delay: Duration,
}

/// What to do with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done with.
    Ack,
    /// A copy with one more failed try goes out after this long, then this
    /// one is done with.
    Retry(Duration),
    /// It goes to the dead letters with this reason, then it is done with.
    Bury(Reason),
}

/// Why a job was buried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// In one word, for tables and metrics.
    pub kind: ReasonKind,
    /// The error, for people.
    pub text: String,
}

/// Kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// The job asks for what cannot be answered.
    Invalid,
    /// Its deadline passed.
    Late,
    /// It failed as often as it may.
    Failed,
    /// It took workers down.
    Crashed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            most_tries: 5,
            most_crashes: 3,
            first_delay: Duration::from_secs(5),
            longest_delay: Duration::from_mins(5),
        }
    }
}

impl ReasonKind {
    /// As messages and tables write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
        }
    }
}

/// Judges a job's end; `tries` are those before this one, but for
/// [`End::Crashed`], which counts in `tries.crashed`.
#[must_use]
pub fn settle(end: &End, tries: Tries, settings: &Settings) -> Verdict {
    let bury = |kind, text: &str| Verdict::Bury(Reason { kind, text: text.to_owned() });
    match end {
        End::Answered | End::Cancelled => Verdict::Ack,
        End::Late => bury(ReasonKind::Late, "the deadline had passed before the job began"),
        End::Invalid(text) => bury(ReasonKind::Invalid, text),
        End::Failed(text) if tries.failed.saturating_add(1) >= settings.most_tries => bury(ReasonKind::Failed, text),
        End::Failed(_) => Verdict::Retry(delay(tries.failed, settings)),
        End::Crashed if tries.crashed >= settings.most_crashes => {
            bury(ReasonKind::Crashed, &format!("{} workers died while they computed it", tries.crashed))
        }
        End::Crashed => Verdict::Retry(delay(tries.crashed.saturating_sub(1), settings)),
    }
}

fn delay(failures: u32, settings: &Settings) -> Duration {
    let doubled = 1_u32.checked_shl(failures).and_then(|factor| settings.first_delay.checked_mul(factor));
    doubled.map_or(settings.longest_delay, |delay| delay.min(settings.longest_delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_know_every_reason() {
        use ReasonKind::{Crashed, Failed, Invalid, Late};
        let buried = [Invalid, Late, Failed, Crashed].map(ReasonKind::name);
        assert!(crate::telemetry::events::worker::HOW.ends_with(&buried), "{buried:?}");
    }

    fn judge(end: &End, failed: u32, crashed: u32) -> Verdict {
        settle(end, Tries { failed, crashed }, &Settings::default())
    }

    fn kind(verdict: &Verdict) -> Option<ReasonKind> {
        match verdict {
            Verdict::Bury(reason) => Some(reason.kind),
            _ => None,
        }
    }

    #[test]
    fn ends_that_need_no_other_try_have_none() {
        for tries in 0..9 {
            assert_eq!(judge(&End::Answered, tries, tries), Verdict::Ack);
            assert_eq!(judge(&End::Cancelled, tries, tries), Verdict::Ack);
            assert_eq!(kind(&judge(&End::Late, tries, tries)), Some(ReasonKind::Late));
            assert_eq!(kind(&judge(&End::Invalid("no".into()), tries, tries)), Some(ReasonKind::Invalid));
        }
    }

    #[test]
    fn failures_are_tried_again_later_and_later_and_then_buried() {
        let end = End::Failed("the store is down".to_owned());
        let seconds: Vec<Option<u64>> = (0..6)
            .map(|failed| match judge(&end, failed, 0) {
                Verdict::Retry(delay) => Some(delay.as_secs()),
                _ => None,
            })
            .collect();
        assert_eq!(seconds, [Some(5), Some(10), Some(20), Some(40), None, None]);
        let Verdict::Bury(reason) = judge(&end, 4, 0) else { panic!("not buried") };
        assert_eq!((reason.kind, reason.text.as_str()), (ReasonKind::Failed, "the store is down"));
    }

    #[test]
    fn deaths_of_workers_have_a_count_of_their_own() {
        assert_eq!(judge(&End::Crashed, 4, 1), Verdict::Retry(Duration::from_secs(5)));
        assert_eq!(judge(&End::Crashed, 4, 2), Verdict::Retry(Duration::from_secs(10)));
        assert_eq!(kind(&judge(&End::Crashed, 0, 3)), Some(ReasonKind::Crashed));
    }

    #[test]
    fn waits_are_bounded_however_many_failures() {
        let settings = Settings { most_tries: u32::MAX, ..Settings::default() };
        for failed in [6, 31, 32, 1_000, u32::MAX - 2] {
            let verdict = settle(&End::Failed(String::new()), Tries { failed, crashed: 0 }, &settings);
            assert_eq!(verdict, Verdict::Retry(settings.longest_delay), "{failed}");
        }
    }
}
