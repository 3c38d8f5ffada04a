//! Windows of time: calendar minutes, hours, days and months, UTC.
//!
//! Windows are fixed rather than sliding, so that a store which sums usage by the minute can tell what was used in one.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// How long a limit counts before it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A day, UTC.
    Day,
    /// A month, UTC.
    Month,
}

/// One window, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Its first second.
    pub start: i64,
    /// The first second after it.
    pub end: i64,
}

impl Span {
    /// All time, for what has no window.
    pub const ALWAYS: Self = Self {
        start: i64::MIN,
        end: i64::MAX,
    };

    /// Whether a moment lies in it.
    pub fn holds(&self, second: i64) -> bool {
        (self.start..self.end).contains(&second)
    }

    /// When it begins; `None` for all time.
    pub fn starts(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.start).ok()
    }

    /// When it is over; `None` for all time.
    pub fn ends(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.end).ok()
    }
}

impl Window {
    /// Every window, for tables and tests.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Month];

    /// The window as resources spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The window that a moment lies in.
    pub fn at(self, time: Timestamp) -> Span {
        // A moment before a whole second lies in the second before it, also before 1970.
        let second = time.as_millisecond().div_euclid(1_000);
        match self {
            Self::Minute => aligned(second, 60),
            Self::Hour => aligned(second, 3_600),
            Self::Day => aligned(second, 86_400),
            Self::Month => month(time).unwrap_or_else(|| aligned(second, 31 * 86_400)),
        }
    }
}

fn aligned(second: i64, length: i64) -> Span {
    let start = second.div_euclid(length).saturating_mul(length);
    Span {
        start,
        end: start.saturating_add(length),
    }
}

/// `None` at the end of time as `jiff` knows it.
fn month(time: Timestamp) -> Option<Span> {
    let date = time.to_zoned(TimeZone::UTC).date();
    let first = date.first_of_month();
    let next = date.last_of_month().tomorrow().ok()?;
    Some(Span {
        start: second(first)?,
        end: second(next)?,
    })
}

fn second(date: civil::Date) -> Option<i64> {
    let zoned = date.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_of_the_calendar_in_utc() {
        let cases = [
            (
                Window::Minute,
                "2026-11-30T23:59:59.9Z",
                "2026-11-30T23:59:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                Window::Hour,
                "2026-11-30T23:00:00Z",
                "2026-11-30T23:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                Window::Day,
                "2026-11-30T23:59:59Z",
                "2026-11-30T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                Window::Month,
                "2026-11-30T23:59:59Z",
                "2026-11-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                Window::Month,
                "2028-02-29T12:00:00Z",
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                Window::Month,
                "2026-12-31T12:00:00Z",
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                Window::Day,
                "1969-12-31T23:59:59.5Z",
                "1969-12-31T00:00:00Z",
                "1970-01-01T00:00:00Z",
            ),
        ];
        for (window, at, start, end) in cases {
            let span = window.at(at.parse().unwrap());
            assert_eq!(span.starts().unwrap().to_string(), start, "{window:?} {at}");
            assert_eq!(span.ends().unwrap().to_string(), end, "{window:?} {at}");
        }
    }

    #[test]
    fn every_moment_has_a_window_that_holds_it() {
        for time in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            for window in Window::ALL {
                assert!(
                    window.at(time).holds(time.as_millisecond().div_euclid(1_000)),
                    "{window:?} {time}"
                );
            }
        }
    }
}
