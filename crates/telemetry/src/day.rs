//! A UTC day, which is a file.

use std::{fmt, path::Path};

use jiff::civil::Date;
use stead_kernel::Timestamp;

/// Microseconds of a day.
const LENGTH: i64 = 86_400_000_000;
/// Minutes of a day.
pub(crate) const MINUTES: i64 = 1_440;

/// A UTC day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

impl Day {
    /// The day of a time in microseconds since 1970.
    pub(crate) fn of(micros: i64) -> Self {
        Self(micros.div_euclid(LENGTH))
    }

    /// The day with this number.
    pub(crate) fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Days since 1970-01-01.
    pub(crate) fn number(self) -> i64 {
        self.0
    }

    /// Its first microsecond.
    pub(crate) fn start(self) -> i64 {
        self.0.saturating_mul(LENGTH)
    }

    /// Its last microsecond.
    pub(crate) fn end(self) -> i64 {
        self.start().saturating_add(LENGTH - 1)
    }

    /// Its first minute, counted from 1970.
    pub(crate) fn first_minute(self) -> i64 {
        self.0.saturating_mul(MINUTES)
    }

    /// The time itself when it is of this day, else the nearest one that is.
    pub(crate) fn nearest(self, micros: i64) -> i64 {
        micros.clamp(self.start(), self.end())
    }

    /// The name of its file: `2026-11-21.db`.
    pub(crate) fn file_name(self) -> String {
        format!("{self}.db")
    }

    /// The day of a file with such a name.
    pub(crate) fn from_file(path: &Path) -> Option<Self> {
        let date: Date = path.file_name()?.to_str()?.strip_suffix(".db")?.parse().ok()?;
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        let day = Self::of(start.as_microsecond());
        // Only the canonical name: `20261121.db` is somebody else's file.
        path.ends_with(day.file_name()).then_some(day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", time(self.start()).strftime("%Y-%m-%d"))
    }
}

/// A stored time as a timestamp.
pub(crate) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_its_file_name_are_one() {
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let day = Day::of(noon.as_microsecond());
        assert_eq!(day.file_name(), "2026-11-21.db");
        assert_eq!(Day::from_file(Path::new("/x/2026-11-21.db")), Some(day));
        assert_eq!(Day::of(day.start()), day);
        assert_eq!(Day::of(day.end()), day);
        assert_eq!(Day::of(day.end() + 1), Day::from_number(day.number() + 1));
        for name in [
            "usage.db",
            "20261121.db",
            "2026-11-21.db-wal",
            "2026-13-01.db",
            "2026-11-21",
        ] {
            assert_eq!(Day::from_file(Path::new(name)), None, "{name}");
        }
    }
}
