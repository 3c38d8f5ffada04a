//! Ids of OpenTelemetry as ids of ours: UUIDs of version 7. Pure.
//!
//! As Opik makes them (`OpenTelemetryMapper` of <https://github.com/comet-ml/opik>): 48 bits of the time in milliseconds
//! at which the trace was first known to begin, then bits of a SHA-256 digest. Opik digests a span's id alone; here the
//! trace's goes before it, so that programs which count their spans from 1 in every trace have different ids too.

use sha2::{Digest, Sha256};
use stead_kernel::Timestamp;
use uuid::Uuid;

use super::names::Named;

/// The id of a trace, 16 bytes.
pub(super) type TraceId = [u8; 16];
/// The id of a span, 8 bytes.
pub(super) type SpanId = [u8; 8];

/// The id of a trace that was first known to begin at a time.
pub(super) fn trace(trace: &TraceId, began: Timestamp) -> Uuid {
    let millis = u64::try_from(began.as_millisecond()).unwrap_or(0);
    uuid(millis, &Sha256::digest(trace).into())
}

/// The id of a span of a trace whose own id is `named`.
pub(super) fn span(named: Uuid, trace: &TraceId, span: SpanId) -> Uuid {
    let (high, _) = named.as_u64_pair();
    let digest = Sha256::new().chain_update(trace).chain_update(span).finalize();
    uuid(high >> 16, &digest.into())
}

/// The id of the span that OpenTelemetry knows by ids of 32 and 16 hex digits.
pub(crate) fn found_span(named: Named, trace: &str, own: &str) -> Option<Uuid> {
    Some(span(named.id, &bytes(trace)?, bytes(own)?))
}

/// The id of a trace that is known elsewhere by a text, and that began at a time.
pub(crate) fn trace_of(text: &str, began: Timestamp) -> Uuid {
    let millis = u64::try_from(began.as_millisecond()).unwrap_or(0);
    uuid(millis, &Sha256::digest(text).into())
}

/// The bytes that hexadecimal digits say.
fn bytes<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    if text.len() != LENGTH * 2 || !text.is_ascii() {
        return None;
    }
    for (index, place) in bytes.iter_mut().enumerate() {
        *place = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn uuid(millis: u64, digest: &[u8; 32]) -> Uuid {
    let mut random = [0; 10];
    for (place, byte) in random.iter_mut().zip(digest) {
        *place = *byte;
    }
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// An id as it is written elsewhere: hexadecimal, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().map_or('0', char::from);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_time_of_its_trace_and_is_the_same_every_time() {
        let began: Timestamp = "2026-11-21T06:54:44.856Z".parse().unwrap();
        let named = trace(&[7; 16], began);
        assert_eq!(named, trace(&[7; 16], began));
        assert_eq!(named.get_version_num(), 7);
        let (seconds, nanos) = named.get_timestamp().unwrap().to_unix();
        assert_eq!(
            (seconds, nanos),
            (u64::try_from(began.as_second()).unwrap(), 856_000_000)
        );
        let child = span(named, &[7; 16], [1; 8]);
        assert_eq!(child.as_u64_pair().0 >> 16, named.as_u64_pair().0 >> 16);
        assert_ne!(child, span(named, &[8; 16], [1; 8]));
        assert_ne!(child, span(named, &[7; 16], [2; 8]));
        assert_eq!(hex(&[0, 0xaf, 9]), "00af09");
    }

    #[test]
    fn the_id_of_a_trace_is_the_one_that_opik_gives_it() {
        // sha256 of 16 zero bytes begins with 374708fff7719dd5979e.
        let began = Timestamp::from_millisecond(0x0123_4567_89ab).unwrap();
        assert_eq!(
            trace(&[0; 16], began).to_string(),
            "01234567-89ab-7747-88ff-f7719dd5979e"
        );
    }
}
