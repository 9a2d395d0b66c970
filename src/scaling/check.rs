//! What is wrong with settings, all of it at once.

use std::{collections::HashSet, fmt, time::Duration};

use super::{
    policies,
    settings::{Pool, Settings},
};

/// A value that cannot stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which, below `scaling`: `pools[0].maximum`.
    pub field: String,
    /// As written.
    pub value: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scaling.{} is {}, expected {}", self.field, self.value, self.expected)
    }
}

/// Collects faults.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn unless(&mut self, right: bool, field: &str, value: impl fmt::Display, expected: &str) {
        if !right {
            self.0.push(Fault { field: field.to_owned(), value: value.to_string(), expected: expected.to_owned() });
        }
    }

    fn positive(&mut self, field: &str, duration: Duration) {
        self.unless(!duration.is_zero(), field, format!("{duration:?}"), "more than nothing");
    }
}

impl Settings {
    /// Everything that is wrong; empty where [`decide`](super::decide) can
    /// work with it.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        let known: Vec<&str> = policies::POLICIES.iter().map(|policy| policy.name()).collect();
        let expected = format!("one of {}", known.join(", "));
        faults.unless(known.contains(&self.policy.as_str()), "policy", format!("{:?}", self.policy), &expected);
        faults.positive("interval", self.interval);
        let stale = format!("{:?}", self.stale_after);
        faults.unless(self.stale_after >= self.interval, "stale_after", stale, "no less than the interval");
        faults.positive("drain_time.within", self.drain_time.within);
        faults.positive("ratio.window", self.ratio.window);
        let per_node = self.backlog.jobs_per_node;
        faults.unless(per_node > 0.0 && per_node.is_finite(), "backlog.jobs_per_node", per_node, "a number above 0");
        let ratio = &self.ratio;
        faults.unless(ratio.below < ratio.above, "ratio.below", ratio.below, "less than ratio.above");
        let tolerance = self.guards.tolerance;
        faults.unless((0.0..1.0).contains(&tolerance), "guards.tolerance", tolerance, "0 up to, not including, 1");
        for (field, step) in [("guards.step_out", self.guards.step_out), ("guards.step_in", self.guards.step_in)] {
            faults.unless(step != Some(0), field, 0, "at least 1, or absent for any number");
        }
        self.check_pools(&mut faults);
        self.check_schedules(&mut faults);
        faults.0
    }

    fn check_pools(&self, faults: &mut Faults) {
        faults.unless(!self.pools.is_empty(), "pools", "empty", "at least one pool");
        let mut names = HashSet::new();
        for (index, pool) in self.pools.iter().enumerate() {
            let field = |name: &str| format!("pools[{index}].{name}");
            let Pool { name, minimum, maximum, price, jobs_per_s, .. } = pool;
            let name_is_new = !name.is_empty() && names.insert(name);
            faults.unless(name_is_new, &field("name"), format!("{name:?}"), "a name that no other pool has");
            faults.unless(minimum <= maximum, &field("maximum"), maximum, "no less than the minimum");
            faults.unless(*price > 0.0 && price.is_finite(), &field("price"), price, "a number above 0");
            let speed = jobs_per_s.unwrap_or(1.0);
            faults.unless(speed > 0.0 && speed.is_finite(), &field("jobs_per_s"), speed, "a number above 0");
            faults.positive(&field("boot"), pool.boot);
        }
    }

    fn check_schedules(&self, faults: &mut Faults) {
        for (index, schedule) in self.schedules.iter().enumerate() {
            let field = |name: &str| format!("schedules[{index}].{name}");
            for (entry, value, expected) in schedule.faults() {
                faults.unless(false, &field(entry), value, expected);
            }
            if let Some(name) = &schedule.pool {
                let known = self.pools.iter().any(|pool| pool.name == *name);
                faults.unless(known, &field("pool"), format!("{name:?}"), "the name of a pool");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Vec<String> {
        let settings: Settings = serde_json::from_str(json).unwrap();
        settings.faults().into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn what_needs_no_change_has_no_faults() {
        assert_eq!(fields(r#"{"pools": [{"name": "gpu", "minimum": 0, "maximum": 0}]}"#), [""; 0]);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let text = r#"{
            "policy": "guess", "interval": "0s", "stale_after": "5s",
            "drain_time": {"within": "0s"}, "backlog": {"jobs_per_node": 0}, "ratio": {"below": 2.0},
            "guards": {"tolerance": 1.0, "step_in": 0},
            "pools": [
                {"name": "gpu", "minimum": 3, "maximum": 2, "price": 0},
                {"name": "gpu", "minimum": 0, "maximum": 2, "jobs_per_s": -1, "boot": "0s"}
            ],
            "schedules": [
                {"name": "n", "pool": "cpu", "start": "x", "end": "0 6 * * *", "time_zone": "Mars", "minimum": 1}
            ]
        }"#;
        let expected = [
            "policy",
            "interval",
            "drain_time.within",
            "backlog.jobs_per_node",
            "ratio.below",
            "guards.tolerance",
            "guards.step_in",
            "pools[0].maximum",
            "pools[0].price",
            "pools[1].name",
            "pools[1].jobs_per_s",
            "pools[1].boot",
            "schedules[0].start",
            "schedules[0].time_zone",
            "schedules[0].pool",
        ];
        assert_eq!(fields(text), expected);
        assert_eq!(fields("{}"), ["pools"]);
    }

    #[test]
    fn a_fault_says_what_was_expected() {
        let settings = Settings { policy: "guess".to_owned(), ..Settings::default() };
        let text = settings.faults()[0].to_string();
        assert_eq!(text, r#"scaling.policy is "guess", expected one of drain-time, backlog, ratio"#);
    }
}
