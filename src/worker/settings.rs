//! What can be set of a worker.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    compute::cuda::{self, Precision},
    job::{settle, wire},
    plan,
};

/// Who computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// A GPU where one passes its self-test, else the processors.
    #[default]
    Auto,
    /// The processors.
    Cpu,
    /// A GPU; the worker does not start without.
    Cuda,
}

/// How field values lie in a GPU's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Values {
    /// 4 bytes, as on the processors.
    #[default]
    F32,
    /// 2 bytes: faster, figures within 1e-3.
    F16,
}

/// How GPUs are used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gpu {
    /// How field values lie in its memory: `f32` or `f16`.
    pub precision: Values,
    /// Part of the device memory that is free at the start, for fields.
    pub field_share: f64,
    /// Part of the flights that the processors compute too, to check.
    pub check_fraction: f64,
    /// A device that does not answer for so long is given up.
    #[serde(with = "crate::time::duration")]
    pub watchdog: Duration,
}

impl Default for Gpu {
    fn default() -> Self {
        let cuda::Settings { field_share, check_fraction, watchdog, .. } = cuda::Settings::default();
        Self { precision: Values::F32, field_share, check_fraction, watchdog }
    }
}

impl Gpu {
    /// As the backend takes them.
    #[must_use]
    pub fn settings(&self) -> cuda::Settings {
        let precision = match self.precision {
            Values::F32 => Precision::Float32,
            Values::F16 => Precision::Float16,
        };
        let Self { field_share, check_fraction, watchdog, .. } = *self;
        cuda::Settings { precision, check_fraction, watchdog, field_share, ..cuda::Settings::default() }
    }
}

/// Settings of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Name of the machine, as the cluster has it; empty for the host's own.
    pub node: String,
    /// The pool of machines that the node belongs to.
    pub pool: String,
    /// Who computes: `auto`, `cpu` or `cuda`.
    pub backend: Wanted,
    /// Jobs held at a time. More make larger batches of small jobs; fewer
    /// leave more for other workers when this one dies.
    pub slots: u16,
    /// Bytes of memory for fields and flights together; 0 for half of the
    /// machine's.
    pub memory: u64,
    /// Part of the memory that is for fields.
    pub field_share: f64,
    /// Threads of the backend; 0 for as many as the machine has.
    pub threads: usize,
    /// Rows up to which an answer stands in its manifest and event.
    pub inline_rows: usize,
    /// How long jobs may take to finish once the process is told to end;
    /// those that have not go back to the queue.
    #[serde(with = "crate::time::duration")]
    pub grace: Duration,
    /// Between heartbeats.
    #[serde(with = "crate::time::duration")]
    pub heartbeat: Duration,
    /// For how long the backend may stand still over one batch before the
    /// process counts as stuck.
    #[serde(with = "crate::time::duration")]
    pub watchdog: Duration,
    /// Deliveries that came back so often are computed alone, for workers
    /// may have died of them.
    pub suspect_after: u32,
    /// When a job that may have killed its worker is tried again, if it does;
    /// longer than a job alone takes.
    #[serde(with = "crate::time::duration")]
    pub trial_delay: Duration,
    /// How GPUs are used.
    pub gpu: Gpu,
    /// How often jobs are tried.
    pub tries: settle::Settings,
    /// What a message may be at most.
    pub limits: wire::Limits,
    /// What a batch may be at most.
    pub batch: plan::Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node: String::new(),
            pool: "default".into(),
            backend: Wanted::Auto,
            slots: 64,
            memory: 0,
            field_share: 0.7,
            threads: 0,
            inline_rows: 200,
            grace: Duration::from_secs(25),
            heartbeat: Duration::from_secs(5),
            watchdog: Duration::from_mins(10),
            suspect_after: 3,
            trial_delay: Duration::from_mins(1),
            gpu: Gpu::default(),
            tries: settle::Settings::default(),
            limits: wire::Limits::default(),
            batch: plan::Limits::default(),
        }
    }
}

/// A field, its value and what was expected.
pub type Fault = (&'static str, String, &'static str);

impl Settings {
    /// Every value that cannot be.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        let mut expect = |is_right: bool, field, value: String, expected| {
            if !is_right {
                faults.push((field, value, expected));
            }
        };
        expect(self.slots >= 1, "slots", self.slots.to_string(), "1 or more");
        let is_share = self.field_share > 0.0 && self.field_share < 1.0;
        expect(is_share, "field_share", self.field_share.to_string(), "a part between 0 and 1");
        let is_enough = self.memory == 0 || self.memory >= LEAST_MEMORY;
        expect(is_enough, "memory", self.memory.to_string(), "0, or 67108864 (64 MiB) or more");
        expect(!self.heartbeat.is_zero(), "heartbeat", crate::time::duration::text(self.heartbeat), "more than 0s");
        expect(!self.watchdog.is_zero(), "watchdog", crate::time::duration::text(self.watchdog), "more than 0s");
        let is_known = self.backend != Wanted::Cpu || self.gpu.precision == Values::F32;
        expect(is_known, "gpu.precision", "f16".to_owned(), "f32 where worker.backend is cpu");
        let Gpu { field_share, check_fraction, watchdog, .. } = self.gpu;
        let is_share = field_share > 0.0 && field_share < 1.0;
        expect(is_share, "gpu.field_share", field_share.to_string(), "a part between 0 and 1");
        let is_part = (0.0..=1.0).contains(&check_fraction);
        expect(is_part, "gpu.check_fraction", check_fraction.to_string(), "a part from 0 to 1");
        expect(!watchdog.is_zero(), "gpu.watchdog", crate::time::duration::text(watchdog), "more than 0s");
        expect(self.suspect_after >= 1, "suspect_after", self.suspect_after.to_string(), "1 or more");
        expect(self.tries.most_tries >= 1, "tries.most_tries", self.tries.most_tries.to_string(), "1 or more");
        expect(self.tries.most_crashes >= 1, "tries.most_crashes", self.tries.most_crashes.to_string(), "1 or more");
        expect(self.batch.jobs >= 1, "batch.jobs", self.batch.jobs.to_string(), "1 or more");
        expect(self.limits.flights >= 1, "limits.flights", self.limits.flights.to_string(), "1 or more");
        faults
    }

    /// Bytes for fields, of `total`.
    #[must_use]
    pub fn field_bytes(&self, total: u64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of it")]
        let bytes = (total as f64 * self.field_share) as u64;
        bytes
    }
}

const LEAST_MEMORY: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_without_being_written_can_be() {
        assert_eq!(Settings::default().faults(), []);
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let settings = Settings {
            slots: 0,
            field_share: 1.5,
            memory: 1,
            heartbeat: Duration::ZERO,
            suspect_after: 0,
            backend: Wanted::Cpu,
            gpu: Gpu { precision: Values::F16, field_share: 0.0, check_fraction: 2.0, watchdog: Duration::ZERO },
            ..Settings::default()
        };
        let named: Vec<&str> = settings.faults().iter().map(|fault| fault.0).collect();
        assert_eq!(
            named,
            [
                "slots",
                "field_share",
                "memory",
                "heartbeat",
                "gpu.precision",
                "gpu.field_share",
                "gpu.check_fraction",
                "gpu.watchdog",
                "suspect_after"
            ]
        );
    }
}
