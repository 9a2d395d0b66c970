//! Steps at which tests stop a worker.

use std::sync::Arc;

/// A step on the way of a job, just after it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The job was read.
    Received,
    /// Its batch is about to be computed.
    Computing,
    /// Its batch was computed.
    Computed,
    /// Its result stands in the store.
    Stored,
    /// Its event is confirmed.
    Published,
    /// Its delivery is acknowledged.
    Acked,
}

/// Asked at each step of each job, by the job's name: whether the step is
/// never to be left. It may also end the process.
pub type Hook = Arc<dyn Fn(Step, &str) -> bool + Send + Sync>;

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Received, Self::Computing, Self::Computed, Self::Stored, Self::Published, Self::Acked];

    /// As a failpoint names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Computing => "computing",
            Self::Computed => "computed",
            Self::Stored => "stored",
            Self::Published => "published",
            Self::Acked => "acked",
        }
    }
}

/// What a failpoint looks like.
const FORM: &str = "STEP[:TEXT][@N][!stop], such as stored, computing:poison@2 or published!stop";

/// A hook that aborts the process, as `STEP[:TEXT][@N][!stop]` says: at a step,
/// of jobs whose names contain a text, the N-th time it comes by. With `!stop`
/// the process is frozen there, once, as by SIGSTOP. For tests of the whole
/// program: `stored`, `computing:poison`, `published@3`.
///
/// # Errors
/// Says what was expected.
pub fn failpoint(text: &str) -> Result<Hook, String> {
    use std::sync::atomic::{AtomicU64, Ordering};
    let fault = || format!("{text:?} is no failpoint, expected {FORM}");
    let (rest, stops) = text.strip_suffix("!stop").map_or((text, false), |rest| (rest, true));
    let (rest, count) = match rest.split_once('@') {
        Some((rest, count)) => (rest, count.parse::<u64>().map_err(|_| fault())?),
        None => (rest, 1),
    };
    let (step, part) = rest.split_once(':').unwrap_or((rest, ""));
    let step = Step::ALL.into_iter().find(|s| s.name() == step).ok_or_else(fault)?;
    let part = part.to_owned();
    let seen = AtomicU64::new(0);
    Ok(Arc::new(move |at, job| {
        if at != step || !job.contains(&part) {
            return false;
        }
        let time = seen.fetch_add(1, Ordering::Relaxed) + 1;
        if stops && time == count {
            freeze();
        } else if !stops && time >= count {
            std::process::abort();
        }
        false
    }))
}

/// Freezes this process until somebody sends it SIGCONT.
fn freeze() {
    let this = std::process::id().to_string();
    if let Err(error) = std::process::Command::new("kill").args(["-STOP", &this]).status() {
        tracing::error!(%error, "failed to freeze: kill cannot be run");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failpoints_are_read() {
        for good in ["stored", "computing:poison", "published@3", "acked:x@2", "stored:x@2!stop"] {
            let hook = failpoint(good).unwrap_or_else(|e| panic!("{e}"));
            assert!(!hook(Step::Received, "y"), "{good}");
        }
        for bad in ["", "never", "stored@x", ":a", "stored!go"] {
            assert!(failpoint(bad).err().unwrap().contains("expected STEP"), "{bad}");
        }
    }
}
