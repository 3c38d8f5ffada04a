//! Times as people write them: RFC 3339, a day, or how long ago.

use jiff::{SignedDuration, civil::Date, tz::TimeZone};
use stead_kernel::Timestamp;

/// Reads `2026-11-21T12:00:00Z`, `2026-11-21` (midnight, UTC), `now`, or `90s`, `15m`, `1h30m`, `24h`, `7d`, `2w` ago.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    if let Some(ago) = duration(text) {
        return now.checked_sub(ago).ok();
    }
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn duration(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let mut letters = tail.chars();
        let unit = match letters.next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = letters.as_str();
    }
    (!text.is_empty()).then(|| SignedDuration::from_secs(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let cases = [
            ("now", Some("2026-11-21T12:00:00Z")),
            ("90s", Some("2026-11-21T11:58:30Z")),
            ("1h30m", Some("2026-11-21T10:30:00Z")),
            ("24h", Some("2026-11-20T12:00:00Z")),
            ("7d", Some("2026-11-14T12:00:00Z")),
            ("2w", Some("2026-11-07T12:00:00Z")),
            ("2026-11-20", Some("2026-11-20T00:00:00Z")),
            ("2026-11-20T10:00:00+02:00", Some("2026-11-20T08:00:00Z")),
            ("", None),
            ("h", None),
            ("10", None),
            ("10y", None),
            ("-5m", None),
            ("yesterday", None),
            ("99999999999999999999h", None),
            ("9999999999999w", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(parse(text, now), expected, "{text:?}");
        }
    }
}
