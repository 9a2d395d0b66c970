//! Times as files write them: `hours since 1900-01-01 00:00:00.0`.

/// What a number of a time axis means: `value * unit_s + epoch_s` is seconds
/// since 1970-01-01T00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Since {
    unit_s: f64,
    epoch_s: f64,
}

/// Why times cannot be read: what they are, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeFault {
    pub what: String,
    pub remedy: &'static str,
}

/// Day numbers by calendar, and the first day of the Gregorian one.
const UNIX_EPOCH_JDN: i64 = 2_440_588;
const GREGORIAN_START: (i64, i64, i64) = (1582, 10, 15);

/// Whether units are those of a time axis.
pub(super) fn is_since(units: &str) -> bool {
    units.split_whitespace().any(|word| word.eq_ignore_ascii_case("since"))
}

/// Seconds in a unit of time, as spelled by UDUNITS and by pandas.
pub(super) fn period_s(units: &str) -> Option<f64> {
    Some(match units.trim().to_lowercase().as_str() {
        "d" | "day" | "days" => 86_400.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "min" | "mins" | "minute" | "minutes" => 60.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "msec" | "msecs" | "millisec" | "millisecs" | "millisecond" | "milliseconds" => 1e-3,
        "us" | "µs" | "microsec" | "microsecs" | "microsecond" | "microseconds" => 1e-6,
        "ns" | "nanosec" | "nanosecs" | "nanosecond" | "nanoseconds" => 1e-9,
        _ => return None,
    })
}

impl Since {
    /// Reads units and calendar (CF 1.11, 4.4).
    pub fn parse(units: &str, calendar: Option<&str>) -> Result<Self, TimeFault> {
        let calendar = calendar.unwrap_or("standard").to_lowercase();
        if !matches!(calendar.as_str(), "standard" | "gregorian" | "proleptic_gregorian") {
            return Err(TimeFault {
                what: format!("the calendar `{calendar}` has no place among real flights"),
                remedy: "give the times in a Gregorian calendar, for example with `cdo setcalendar,standard`",
            });
        }
        let fault = || TimeFault {
            what: format!("the time unit `{units}` is not understood"),
            remedy: "write times as days, hours, minutes or seconds since a date, for example with \
                     `cdo setreftime,1970-01-01,00:00:00,1hour`",
        };
        let words: Vec<&str> = units.split_whitespace().collect();
        let since = words.iter().position(|word| word.eq_ignore_ascii_case("since")).ok_or_else(fault)?;
        let unit_s = words.first().filter(|_| since == 1).and_then(|unit| period_s(unit)).ok_or_else(fault)?;
        let reference = units.split_whitespace().skip(since + 1).collect::<Vec<_>>().join(" ");
        let epoch_s = parse_reference(&reference, calendar == "proleptic_gregorian").ok_or_else(fault)?;
        Ok(Self { unit_s, epoch_s })
    }

    /// Seconds since 1970. A value within 0.1 ms of a whole second is that
    /// second: fractions of days do not have it exactly.
    pub fn unix_s(self, value: f64) -> f64 {
        let exact = value * self.unit_s + self.epoch_s;
        let whole = exact.round();
        if (exact - whole).abs() < 1e-4 { whole } else { exact }
    }
}

/// `1900-01-01 00:00:00.0`, `1-1-1`, `1970-01-01T00:00:00Z`, `2000-1-1 6:0:0 +01:00`.
fn parse_reference(text: &str, proleptic: bool) -> Option<f64> {
    let text = text.trim().trim_end_matches("UTC").trim_end_matches("GMT").trim_end_matches('Z').trim_end();
    let split = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, rest) = (&text[..split], text.get(split + 1..).unwrap_or("").trim());
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset) = match rest.find(['+', '-', ' ']) {
        Some(at) => (&rest[..at], rest[at..].trim()),
        None => (rest, ""),
    };
    let days = day_number(year, month, day, proleptic) - UNIX_EPOCH_JDN;
    Some(days as f64 * 86_400.0 + clock_s(clock)? - offset_s(offset)?)
}

/// `6`, `06:00`, `06:00:00.5` in seconds; nothing is midnight.
fn clock_s(text: &str) -> Option<f64> {
    let mut seconds = 0.0;
    for (part, unit) in text.split(':').zip([3600.0, 60.0, 1.0]) {
        let value: f64 = if text.is_empty() { 0.0 } else { part.parse().ok()? };
        if !(0.0..=60.0).contains(&value) {
            return None;
        }
        seconds += value * unit;
    }
    (text.split(':').count() <= 3).then_some(seconds)
}

/// `+01:00`, `-0330`, `5` in seconds; nothing is UTC.
fn offset_s(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.contains(':') || digits.len() < 3 {
        return Some(sign * clock_s(digits)?);
    }
    let (hours, minutes) = digits.split_at_checked(digits.len() - 2)?;
    Some(sign * (hours.parse::<f64>().ok()? * 3600.0 + minutes.parse::<f64>().ok()? * 60.0))
}

/// Julian day number of a date (Fliegel and Van Flandern 1968). The mixed
/// calendar is Julian before 15 October 1582.
fn day_number(year: i64, month: i64, day: i64, proleptic: bool) -> i64 {
    let early = (14 - month) / 12;
    let y = year + 4800 - early;
    let m = month + 12 * early - 3;
    let days = day + (153 * m + 2) / 5 + 365 * y + y / 4;
    if proleptic || (year, month, day) >= GREGORIAN_START { days - y / 100 + y / 400 - 32_045 } else { days - 32_083 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(units: &str, calendar: Option<&str>, value: f64) -> f64 {
        Since::parse(units, calendar).unwrap_or_else(|fault| panic!("{units}: {fault:?}")).unix_s(value)
    }

    /// Expected: cftime's `num2date`, as seconds since 1970.
    #[test]
    fn reads_references_as_cftime_does() {
        let cases = [
            ("hours since 1900-01-01 00:00:00.0", Some("gregorian"), 1_038_042.0, 1_527_962_400.0),
            ("seconds since 1970-01-01", Some("proleptic_gregorian"), 1_528_653_601.0, 1_528_653_601.0),
            ("days since 1850-1-1", None, 61_506.25, 1_527_314_400.0),
            ("hours since 1-1-1 00:00:0.0", None, 17_691_696.0, 1_554_336_000.0),
            ("hours since 1-1-1 00:00:0.0", Some("proleptic_gregorian"), 17_691_696.0, 1_554_508_800.0),
            ("minutes since 2018-06-10T18:00:00Z", None, 90.0, 1_528_659_000.0),
            ("milliseconds since 2018-06-10 18:00 UTC", None, 250.0, 1_528_653_600.25),
            ("microseconds since 2018-06-10 20:00:00 +02:00", None, 1e6, 1_528_653_601.0),
            ("h since 2018-06-10 14:30:00 -0330", None, 0.0, 1_528_653_600.0),
            ("days since 2018-06-10", None, 1.0 / 3.0, 1_528_617_600.0),
        ];
        for (units, calendar, value, expected) in cases {
            assert_eq!(at(units, calendar, value).to_bits(), f64::to_bits(expected), "{units}: {value}");
        }
    }

    #[test]
    fn other_calendars_and_units_are_refused_by_name() {
        for calendar in ["noleap", "365_day", "360_day", "all_leap", "julian", "none"] {
            let fault = Since::parse("days since 2000-01-01", Some(calendar)).unwrap_err();
            assert!(fault.what.contains(calendar), "{fault:?}");
        }
        for units in [
            "months since 2000-01-01",
            "days",
            "since",
            "days since",
            "days since noon",
            "days since 2000-13-01",
            "day as %Y%m%d.%f",
            "hours since 2000-01-01 00:00:00:00",
            "days since 99999999999999999999-01-01",
        ] {
            assert!(Since::parse(units, None).unwrap_err().what.contains(units), "{units}");
        }
    }
}
