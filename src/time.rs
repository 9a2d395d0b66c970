//! Instants and calendars.
//!
//! A time is seconds since 1970-01-01T00:00:00 UTC without leap seconds, as
//! `f64`: at today's values its resolution is 0.24 µs.

use std::fmt;

use jiff::Timestamp;

/// An instant: seconds since 1970-01-01T00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct UnixTime(pub f64);

impl UnixTime {
    /// Reads RFC 3339 and the forms that data files use: `T` or a space
    /// between date and time, with or without seconds, fractions and offset.
    /// Without an offset the time is UTC. `None` where it is not a time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() < 8 || !text.as_bytes()[0].is_ascii_digit() {
            return None;
        }
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return Some(Self::from(stamp));
        }
        let text = text.strip_suffix("UTC").map_or(text, str::trim_end);
        let civil: jiff::civil::DateTime =
            text.parse().or_else(|_| text.parse::<jiff::civil::Date>().map(|d| d.at(0, 0, 0, 0))).ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| Self::from(z.timestamp()))
    }

    /// The same instant as RFC 3339 with as many decimals as it needs.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        if !self.0.is_finite() {
            return "not a time".to_owned();
        }
        // Rounded to the microsecond, below which an f64 has nothing to say.
        #[expect(clippy::cast_possible_truncation, reason = "saturates, then jiff checks the range")]
        let micros = (self.0 * 1e6).round() as i64;
        Timestamp::from_microsecond(micros).map_or_else(|_| format!("{} s since 1970", self.0), |t| t.to_string())
    }
}

impl From<Timestamp> for UnixTime {
    fn from(stamp: Timestamp) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in f64")]
        Self(stamp.as_second() as f64 + f64::from(stamp.subsec_nanosecond()) * 1e-9)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// Durations in settings and messages: as people write them, `10s`, `1m 30s`,
/// `2h`. For `#[serde(with = "crate::time::duration")]` on a [`Duration`].
///
/// [`Duration`]: std::time::Duration
pub mod duration {
    use std::time::Duration;

    use jiff::SignedDuration;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    /// Reads `1m 30s`.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let fault = || format!("{text:?} is no duration, expected one such as \"10s\", \"1m 30s\" or \"2h\"");
        let signed: SignedDuration = text.trim().parse().map_err(|_| fault())?;
        Duration::try_from(signed).map_err(|_| fault())
    }

    /// Writes `1m 30s`.
    #[must_use]
    pub fn text(duration: Duration) -> String {
        SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |d| format!("{d:#}"))
    }

    /// From text.
    ///
    /// # Errors
    /// Text that is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }

    /// As text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_str(&text(*duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_files_write() {
        for text in [
            "2018-06-10T18:00:00Z",
            "2018-06-10T18:00:00",
            "2018-06-10 18:00:00",
            "2018-06-10 18:00",
            "2018-06-10 18:00:00 UTC",
            "2018-06-10T20:00:00+02:00",
            "2018-06-10 18:00:00+00:00",
        ] {
            assert_eq!(UnixTime::parse(text), Some(UnixTime(1_528_653_600.0)), "{text}");
        }
        assert_eq!(UnixTime::parse("2018-06-10 18:00:00.250"), Some(UnixTime(1_528_653_600.25)));
        assert_eq!(UnixTime::parse("2018-06-10"), Some(UnixTime(1_528_588_800.0)));
        for text in ["", "noon", "12", "2018-13-01", "NaN"] {
            assert_eq!(UnixTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_rfc3339() {
        assert_eq!(UnixTime(1_528_653_600.0).to_string(), "2018-06-10T18:00:00Z");
        assert_eq!(UnixTime(1_528_653_600.25).to_string(), "2018-06-10T18:00:00.25Z");
    }

    #[test]
    fn durations_are_text() {
        use std::time::Duration;
        for (text, seconds) in [("10s", 10.0), ("1m 30s", 90.0), ("2h", 7200.0), ("250ms", 0.25)] {
            let read = duration::parse(text).unwrap();
            assert_eq!(read, Duration::from_secs_f64(seconds));
            assert_eq!(duration::parse(&duration::text(read)), Ok(read));
        }
        for text in ["", "ten", "10", "-5s"] {
            assert!(duration::parse(text).unwrap_err().contains("expected"), "{text}");
        }
    }
}
