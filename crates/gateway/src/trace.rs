//! Trace context between services (<https://www.w3.org/TR/trace-context/>).

use http::{HeaderMap, HeaderValue};
use rand::Rng;
use uuid::Uuid;

/// The trace that a request belongs to, and the request's own span in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    id: [u8; 16],
    /// The request's span, which providers get as their parent: one tree from the caller to the provider.
    span: [u8; 8],
    /// The caller's span; zeros when the caller told none.
    parent: [u8; 8],
    flags: u8,
    /// What other vendors want to be told of it, as it came.
    state: Option<HeaderValue>,
}

/// The header of a trace.
pub(crate) const HEADER: &str = "traceparent";
/// The header with what vendors keep in a trace (<https://www.w3.org/TR/trace-context/#tracestate-header>).
pub(crate) const STATE: &str = "tracestate";
/// The most bytes of it that go on; more than vendors have to take.
const STATE_LIMIT: usize = 1_024;
/// The most entries of it.
const STATE_ENTRIES: usize = 32;

impl Trace {
    /// The caller's trace, with a new span.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let trace = parse(headers.get(HEADER)?.as_bytes())?;
        Some(Self {
            state: state(headers),
            ..trace
        })
    }

    /// A new trace, which has the id of the request that began it, so that a record needs one id for both. Its second
    /// half, random but for two bits, is the span.
    pub(crate) fn begun_by(request: Uuid) -> Self {
        let id = request.into_bytes();
        Self {
            span: id.last_chunk().copied().unwrap_or([1; 8]),
            id,
            parent: [0; 8],
            flags: 1,
            state: None,
        }
    }

    /// The id in 32 hex digits.
    pub(crate) fn id(&self) -> String {
        hex_text(&self.id)
    }

    /// The request's span in 16 hex digits.
    pub(crate) fn span_id(&self) -> String {
        hex_text(&self.span)
    }

    /// The caller's span in 16 hex digits; empty when there is none.
    pub(crate) fn parent_span_id(&self) -> String {
        if self.parent == [0; 8] {
            return String::new();
        }
        hex_text(&self.parent)
    }

    /// The header for an attempt, whose parent is the request's span.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &self.id);
        text.push('-');
        push_hex(&mut text, &self.span);
        text.push('-');
        push_hex(&mut text, &[self.flags]);
        HeaderValue::try_from(text).ok()
    }

    /// What other vendors want to be told of the trace.
    pub(crate) fn state(&self) -> Option<HeaderValue> {
        self.state.clone()
    }
}

/// The entries of all headers in one, in order; nothing where they are no entries or too many.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(STATE).iter();
    let first = values.next()?;
    let mut text = first.to_str().ok()?.to_owned();
    for more in values {
        text.push(',');
        text.push_str(more.to_str().ok()?);
    }
    let mut entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let whole = entries.clone().all(|entry| {
        let named = entry.split_once('=');
        named.is_some_and(|(name, value)| !name.is_empty() && !value.is_empty())
    });
    let fits = text.len() <= STATE_LIMIT && entries.clone().count() <= STATE_ENTRIES;
    (whole && fits && entries.next().is_some())
        .then(|| HeaderValue::try_from(text).ok())
        .flatten()
}

fn hex_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    // All zeros are no id; one in 2^64 need not be random.
    if let (true, Some(first)) = (bytes.iter().all(|byte| *byte == 0), bytes.first_mut()) {
        *first = 1;
    }
    bytes
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            let digit = DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            text.push(char::from(digit));
        }
    }
}

fn parse(value: &[u8]) -> Option<Trace> {
    let mut parts = value.split(|byte| *byte == b'-');
    let version = hex::<1>(parts.next()?)?;
    let id = hex::<16>(parts.next()?)?;
    let span = hex::<8>(parts.next()?)?;
    let [flags] = hex::<1>(parts.next()?)?;
    let rest = parts.next();
    let known = version != [0xff] && (version != [0] || rest.is_none());
    let named = id != [0; 16] && span != [0; 8];
    (known && named).then(|| Trace {
        id,
        span: random(),
        parent: span,
        flags,
        state: None,
    })
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != N * 2 || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let nibble = char::from(*digit).to_digit(16)?;
            *byte = (*byte << 4) | u8::try_from(nibble).ok()?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracestate_goes_on_as_it_came_beside_a_valid_traceparent() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let state = |parent: &'static str, states: &[String]| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_static(parent));
            for state in states {
                headers.append(STATE, state.parse().unwrap());
            }
            Trace::of(&headers)?.state()
        };
        let one = "congo=t61rcWkgMzE, rojo=00f067aa0ba902b7".to_owned();
        assert_eq!(state(parent, std::slice::from_ref(&one)).unwrap(), one.as_str());
        let two = ["a=1".to_owned(), "b=2".to_owned()];
        assert_eq!(state(parent, &two).unwrap(), "a=1,b=2");
        assert_eq!(state("00-x", &two), None);
        for bad in [
            String::new(),
            "a".to_owned(),
            "=1".to_owned(),
            "a=1,".repeat(33),
            format!("a={}", "x".repeat(1_100)),
        ] {
            assert_eq!(state(parent, std::slice::from_ref(&bad)), None, "{bad}");
        }
        assert_eq!(Trace::begun_by(Uuid::now_v7()).state(), None);
    }

    #[test]
    fn a_valid_traceparent_is_taken_over_and_a_broken_one_is_not() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = parse(good.as_bytes()).unwrap();
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.parent_span_id(), "00f067aa0ba902b7");
        let header = trace.header().unwrap();
        let next = parse(header.as_bytes()).unwrap();
        assert_eq!((next.id, next.parent), (trace.id, trace.span));
        assert_ne!(trace.span_id(), trace.parent_span_id());
        assert!(Trace::of(&HeaderMap::new()).is_none());
        assert_eq!(Trace::begun_by(Uuid::now_v7()).parent_span_id(), "");
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
