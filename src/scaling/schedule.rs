//! Other minima and maxima at certain hours, by cron and time zone.

use croner::Cron;
use jiff::{Timestamp, Zoned, tz::TimeZone};

use super::settings::{Pool, Schedule, Settings};

/// Fewest and most nodes of a pool at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds<'a> {
    pub minimum: u32,
    pub maximum: u32,
    /// The schedules that set them.
    pub by: Vec<&'a str>,
}

/// The schedules in force at `now`, in their order.
pub fn in_force(settings: &Settings, now: Timestamp) -> Vec<&Schedule> {
    settings.schedules.iter().filter(|schedule| schedule.is_in_force(now)).collect()
}

/// The bounds of `pool` under the `schedules` in force. A maximum below the
/// minimum gives way to it.
pub fn bounds<'a>(pool: &Pool, schedules: &[&'a Schedule]) -> Bounds<'a> {
    let mut bounds = Bounds { minimum: pool.minimum, maximum: pool.maximum, by: Vec::new() };
    for schedule in schedules.iter().filter(|s| s.pool.as_ref().is_none_or(|name| *name == pool.name)) {
        bounds.minimum = schedule.minimum.unwrap_or(bounds.minimum);
        bounds.maximum = schedule.maximum.unwrap_or(bounds.maximum);
        bounds.by.push(&schedule.name);
    }
    bounds.maximum = bounds.maximum.max(bounds.minimum);
    bounds
}

impl Schedule {
    /// Whether it began more recently than it ended.
    fn is_in_force(&self, now: Timestamp) -> bool {
        let Ok(zone) = TimeZone::get(&self.time_zone) else { return false };
        let now = now.to_zoned(zone);
        match (last(&self.start, &now), last(&self.end, &now)) {
            (Some(began), Some(ended)) => began > ended,
            (began, _) => began.is_some(),
        }
    }

    /// What is wrong with it: the entry, its value, what was expected.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String, &'static str)> {
        let cron = |entry, text: &String| {
            text.parse::<Cron>()
                .is_err()
                .then(|| (entry, format!("{text:?}"), "a cron expression such as \"0 18 * * MON-FRI\""))
        };
        let zone = TimeZone::get(&self.time_zone).is_err().then(|| {
            (
                "time_zone",
                format!("{:?}", self.time_zone),
                "an IANA name such as \"Europe/Berlin\" that this system knows",
            )
        });
        let bounds = match (self.minimum, self.maximum) {
            (Some(low), Some(high)) if low > high => Some(("maximum", high.to_string(), "no less than the minimum")),
            (None, None) => Some(("minimum", "absent".to_owned(), "a minimum, a maximum or both")),
            _ => None,
        };
        [cron("start", &self.start), cron("end", &self.end), zone, bounds].into_iter().flatten().collect()
    }
}

/// When `pattern` matched last, at `now` included.
fn last(pattern: &str, now: &Zoned) -> Option<Zoned> {
    pattern.parse::<Cron>().ok()?.find_previous_occurrence(now, true).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(start: &str, end: &str, time_zone: &str) -> Schedule {
        Schedule {
            name: "night".to_owned(),
            pool: None,
            start: start.to_owned(),
            end: end.to_owned(),
            time_zone: time_zone.to_owned(),
            minimum: Some(4),
            maximum: None,
        }
    }

    fn pool(minimum: u32, maximum: u32) -> Pool {
        serde_json::from_value(serde_json::json!({"name": "gpu", "minimum": minimum, "maximum": maximum})).unwrap()
    }

    #[test]
    fn a_schedule_is_in_force_from_its_start_to_its_end() {
        let night = schedule("0 18 * * *", "30 6 * * *", "UTC");
        for (time, expected) in [
            ("2026-03-01T17:59:59Z", false),
            ("2026-03-01T18:00:00Z", true),
            ("2026-03-02T06:29:59Z", true),
            ("2026-03-02T06:30:00Z", false),
            ("2026-03-02T12:00:00Z", false),
        ] {
            assert_eq!(night.is_in_force(time.parse().unwrap()), expected, "{time}");
        }
    }

    #[test]
    fn a_schedule_follows_its_clock_over_the_change_to_summer_time() {
        let work = schedule("0 8 * * MON-FRI", "0 18 * * MON-FRI", "Europe/Berlin");
        // Clocks went forward on 29 March 2026: 8 o'clock is 7 UTC, then 6 UTC.
        for (time, expected) in [
            ("2026-03-27T06:30:00Z", false),
            ("2026-03-27T07:00:00Z", true),
            ("2026-03-28T09:00:00Z", false),
            ("2026-03-30T06:00:00Z", true),
            ("2026-03-30T15:59:00Z", true),
            ("2026-03-30T16:00:00Z", false),
        ] {
            assert_eq!(work.is_in_force(time.parse().unwrap()), expected, "{time}");
        }
    }

    #[test]
    fn the_last_of_several_counts_and_others_pools_are_left_alone() {
        let day = Schedule { maximum: Some(9), minimum: None, ..schedule("0 6 * * *", "0 20 * * *", "UTC") };
        let cpu = Schedule { pool: Some("cpu".to_owned()), ..schedule("0 0 * * *", "1 0 1 1 *", "UTC") };
        let low = Schedule { maximum: Some(2), minimum: Some(3), ..day.clone() };
        let found = bounds(&pool(1, 20), &[&day, &cpu]);
        assert_eq!((found.minimum, found.maximum, found.by), (1, 9, vec!["night"]));
        let found = bounds(&pool(1, 20), &[&day, &low]);
        assert_eq!((found.minimum, found.maximum), (3, 3), "a maximum below the minimum gives way");
    }

    #[test]
    fn faults_name_the_entry() {
        let faults = Schedule { minimum: None, ..schedule("0 25 * * *", "0 6 * * *", "Europe/Atlantis") }.faults();
        let entries: Vec<&str> = faults.iter().map(|(entry, ..)| *entry).collect();
        assert_eq!(entries, ["start", "time_zone", "minimum"]);
        assert_eq!(schedule("0 18 * * *", "0 6 * * *", "Europe/Berlin").faults(), []);
    }
}
