//! What every answer says about the limits that hold for it, in the headers that `OpenAI` uses
//! (<https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers>).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use stead_kernel::Timestamp;
use stead_metering::{Measure, Reading};

use super::meters::Admitted;

/// Limit, remaining and reset of one sort.
type Names = [HeaderName; 3];

const REQUESTS: Names = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: Names = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
const SPEND: Names = [
    HeaderName::from_static("x-ratelimit-limit-usd"),
    HeaderName::from_static("x-ratelimit-remaining-usd"),
    HeaderName::from_static("x-ratelimit-reset-usd"),
];
/// Limits that are not hard and that the request went beyond.
const WARNING: HeaderName = HeaderName::from_static("x-stead-quota-warning");

/// Says where the tightest limit of each sort stands.
pub(crate) fn describe(headers: &mut HeaderMap, admitted: &Admitted, now: Timestamp) {
    if admitted.limits.is_empty() {
        return;
    }
    let mut tightest: [Option<Reading>; 3] = [None; 3];
    for metered in &admitted.limits {
        let place = match metered.limit.measure() {
            Measure::Requests => 0,
            Measure::InputTokens | Measure::OutputTokens | Measure::Tokens => 1,
            Measure::Spend => 2,
            Measure::Concurrency => continue,
        };
        let reading = metered.limit.read(now);
        if let Some(slot) = tightest.get_mut(place) {
            let tighter = slot.is_none_or(|known| reading.remaining() < known.remaining());
            *slot = if tighter { Some(reading) } else { *slot };
        }
    }
    for (names, reading) in [REQUESTS, TOKENS, SPEND].into_iter().zip(tightest) {
        if let Some(reading) = reading {
            let dollars = names == SPEND;
            say(
                headers,
                names,
                &reading,
                now,
                if dollars { dollars_of } else { plain },
            );
        }
    }
    for metered in admitted.beyond() {
        if let Ok(value) = HeaderValue::try_from(metered.warning()) {
            headers.append(WARNING, value);
        }
    }
}

fn say(
    headers: &mut HeaderMap,
    names: Names,
    reading: &Reading,
    now: Timestamp,
    show: fn(u64) -> HeaderValue,
) {
    let [limit, remaining, reset] = names;
    headers.insert(limit, show(reading.ceiling));
    headers.insert(remaining, show(reading.remaining()));
    let left = reading
        .span
        .ends()
        .and_then(|end| Duration::try_from(end.duration_since(now)).ok());
    if let Some(value) = left.and_then(|left| HeaderValue::try_from(spelled(left)).ok()) {
        headers.insert(reset, value);
    }
}

fn plain(count: u64) -> HeaderValue {
    HeaderValue::from(count)
}

/// Billionths as dollars.
pub(crate) fn dollars_of(nano: u64) -> HeaderValue {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// A duration as `OpenAI` spells it: `1s`, `6m0s`, `23h59m59s`. A part of a second counts as one.
fn spelled(left: Duration) -> String {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}h{minutes}m{rest}s")
    } else if minutes > 0 {
        format!("{minutes}m{rest}s")
    } else {
        format!("{rest}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_dollars_are_spelled_as_clients_read_them() {
        let table = [
            (0, "0s"),
            (1, "1s"),
            (999, "1s"),
            (360_000, "6m0s"),
            (86_399_000, "23h59m59s"),
        ];
        for (milliseconds, expected) in table {
            assert_eq!(spelled(Duration::from_millis(milliseconds)), expected);
        }
        assert_eq!(dollars_of(0), "0.000000000");
        assert_eq!(dollars_of(1_500_000_007), "1.500000007");
    }
}
