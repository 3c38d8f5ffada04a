//! How a request's row lies in a frame: the fields one after the other, without their names.
//!
//! Counts are LEB128 (<https://en.wikipedia.org/wiki/LEB128>), signed ones in zigzag order; a text is its length and its
//! bytes; lists begin with their length. The first byte is the form. A row in JSON, as earlier versions wrote it, begins
//! with a brace and is read, too.
//!
//! *Invariant:* pure. Fields are only ever added at the end, where a row of an earlier version is over.

use std::collections::BTreeMap;

use stead_kernel::{
    Timestamp,
    ports::{
        NanoUsd, TokenUsage,
        events::{Attempt, Outcome, RequestRow},
    },
};
use uuid::Uuid;

use super::frame::Id;

/// The first byte of a row.
const FORM: u8 = 1;
/// The first byte of a row in JSON.
const JSON: u8 = b'{';
/// The bytes of a count, at most.
const COUNT: usize = 10;

/// What of a row is there, or follows from something else.
mod flag {
    pub(super) const STREAM: u64 = 1;
    pub(super) const FIRST_TOKEN: u64 = 1 << 1;
    pub(super) const COST: u64 = 1 << 2;
    pub(super) const INPUT: u64 = 1 << 3;
    pub(super) const OUTPUT: u64 = 1 << 4;
    /// The row's id is the frame's.
    pub(super) const OWN_ID: u64 = 1 << 5;
    /// The trace's id is the frame's.
    pub(super) const OWN_TRACE: u64 = 1 << 6;
    /// The span's id is the second half of the trace's, and it has no parent.
    pub(super) const HALF_SPAN: u64 = 1 << 7;
    /// A span and its parent, at the end.
    pub(super) const SPANS: u64 = 1 << 8;
}

/// A payload is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row of the journal is not in a form that this version knows")]
pub(super) struct NoRow;

/// Appends a row to the payload of the frame with this id.
#[expect(
    clippy::too_many_lines,
    reason = "one line a field, in the order in which they lie"
)]
pub(super) fn encode(payload: &mut Vec<u8>, id: &Id, row: &RequestRow) {
    // Every field by name, so that one that is added is not forgotten here.
    let RequestRow {
        id: row_id,
        trace_id,
        span_id,
        parent_span_id,
        started,
        duration_us,
        first_token_us,
        project,
        user,
        key,
        team,
        replica,
        dialect,
        operation,
        stream,
        model,
        route,
        provider,
        provider_model,
        status,
        outcome,
        error,
        usage,
        cost,
        attempts,
        labels,
        input,
        output,
    } = row;
    let uuid = Uuid::from_bytes(*id);
    let mut text = Uuid::encode_buffer();
    let own_id = *row_id == *uuid.hyphenated().encode_lower(&mut text);
    let own_trace = *trace_id == *uuid.simple().encode_lower(&mut text);
    let half = parent_span_id.is_empty() && half_of(trace_id) == Some(span_id.as_str());
    let told = !span_id.is_empty() || !parent_span_id.is_empty();
    let spans = told && !half;
    let flags = [
        (*stream, flag::STREAM),
        (first_token_us.is_some(), flag::FIRST_TOKEN),
        (cost.is_some(), flag::COST),
        (input.is_some(), flag::INPUT),
        (output.is_some(), flag::OUTPUT),
        (own_id, flag::OWN_ID),
        (own_trace, flag::OWN_TRACE),
        (half, flag::HALF_SPAN),
        (spans, flag::SPANS),
    ];
    let mut to = Writer(payload);
    to.0.push(FORM);
    to.count(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
    to.text_unless(own_id, row_id);
    to.text_unless(own_trace, trace_id);
    to.signed(started.as_second());
    to.signed(i64::from(started.subsec_nanosecond()));
    to.count(*duration_us);
    to.some_count(*first_token_us);
    for text in [
        project,
        user,
        key,
        team,
        replica,
        dialect,
        operation,
        model,
        route,
        provider,
        provider_model,
        error,
    ] {
        to.text(text);
    }
    to.count(u64::from(*status));
    to.count(number(*outcome));
    to.some_signed(cost.map(|cost| cost.0));
    to.attempts(attempts);
    to.labels(labels);
    to.some_text(input.as_deref());
    to.some_text(output.as_deref());
    to.usage(usage);
    to.some_text(spans.then_some(span_id));
    to.some_text(spans.then_some(parent_span_id));
}

/// The second half of a trace's id, which is the span of a request that began it.
fn half_of(trace_id: &str) -> Option<&str> {
    trace_id.get(16..).filter(|half| half.len() == 16)
}

/// Reads a row from the payload of the frame with this id.
pub(super) fn decode(payload: &[u8], id: &Id) -> Result<RequestRow, NoRow> {
    match payload.split_first() {
        Some((&JSON, _)) => serde_json::from_slice(payload).map_err(|_| NoRow),
        Some((&FORM, rest)) => fields(Reader(rest), id).ok_or(NoRow),
        Some(_) | None => Err(NoRow),
    }
}

#[expect(
    clippy::cognitive_complexity,
    reason = "one line a field, in the order in which they lie"
)]
fn fields(mut from: Reader<'_>, id: &Id) -> Option<RequestRow> {
    let flags = from.count()?;
    let has = |flag: u64| flags & flag != 0;
    let uuid = Uuid::from_bytes(*id);
    let mut row = RequestRow {
        id: if has(flag::OWN_ID) {
            uuid.hyphenated().to_string()
        } else {
            from.text()?
        },
        trace_id: if has(flag::OWN_TRACE) {
            uuid.simple().to_string()
        } else {
            from.text()?
        },
        started: {
            let (second, nanosecond) = (from.signed()?, from.signed()?);
            Timestamp::new(second, i32::try_from(nanosecond).ok()?).ok()?
        },
        duration_us: from.count()?,
        first_token_us: from.when(has(flag::FIRST_TOKEN), Reader::count)?,
        project: from.text()?,
        user: from.text()?,
        key: from.text()?,
        team: from.text()?,
        replica: from.text()?,
        dialect: from.text()?,
        operation: from.text()?,
        stream: has(flag::STREAM),
        model: from.text()?,
        route: from.text()?,
        provider: from.text()?,
        provider_model: from.text()?,
        error: from.text()?,
        status: u16::try_from(from.count()?).ok()?,
        outcome: outcome(from.count()?)?,
        cost: from.when(has(flag::COST), Reader::signed)?.map(NanoUsd),
        attempts: from.attempts()?,
        labels: from.labels()?,
        input: from.when(has(flag::INPUT), Reader::text)?,
        output: from.when(has(flag::OUTPUT), Reader::text)?,
        usage: from.usage()?,
        span_id: String::new(),
        parent_span_id: String::new(),
    };
    if has(flag::HALF_SPAN) {
        half_of(&row.trace_id)?.clone_into(&mut row.span_id);
    }
    if has(flag::SPANS) {
        (row.span_id, row.parent_span_id) = (from.text()?, from.text()?);
    }
    Some(row)
}

const OUTCOMES: [Outcome; 4] = [
    Outcome::Ok,
    Outcome::Error,
    Outcome::Cancelled,
    Outcome::Interrupted,
];

const fn number(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Error => 1,
        Outcome::Cancelled => 2,
        Outcome::Interrupted => 3,
    }
}

fn outcome(number: u64) -> Option<Outcome> {
    OUTCOMES.get(usize::try_from(number).ok()?).copied()
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    fn count(&mut self, mut count: u64) {
        while count > 0x7f {
            self.0.push(count as u8 | 0x80);
            count >>= 7;
        }
        self.0.push(count as u8);
    }

    fn signed(&mut self, number: i64) {
        self.count(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    fn length(&mut self, length: usize) {
        self.count(u64::try_from(length).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn text_unless(&mut self, follows: bool, text: &str) {
        if !follows {
            self.text(text);
        }
    }

    fn some_text(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn some_count(&mut self, count: Option<u64>) {
        if let Some(count) = count {
            self.count(count);
        }
    }

    fn some_signed(&mut self, number: Option<i64>) {
        if let Some(number) = number {
            self.signed(number);
        }
    }

    fn attempts(&mut self, attempts: &[Attempt]) {
        self.length(attempts.len());
        for attempt in attempts {
            let Attempt {
                provider,
                model,
                offset_us,
                duration_us,
                status,
                error,
            } = attempt;
            self.text(provider);
            self.text(model);
            self.count(*offset_us);
            self.count(*duration_us);
            self.count(u64::from(*status));
            self.text(error);
        }
    }

    fn labels(&mut self, labels: &BTreeMap<String, String>) {
        self.length(labels.len());
        for (name, value) in labels {
            self.text(name);
            self.text(value);
        }
    }

    /// The counts up to the last one that is not zero.
    fn usage(&mut self, usage: &TokenUsage) {
        let counts = usage.counts();
        let length = counts
            .iter()
            .rposition(|count| *count > 0)
            .map_or(0, |last| last + 1);
        self.length(length);
        for count in counts.iter().take(length) {
            self.count(*count);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn count(&mut self) -> Option<u64> {
        let mut count = 0;
        for place in 0..COUNT {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            count |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                return Some(count);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.count()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A length, of something whose parts take a byte or more each.
    fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.count()?).ok()?;
        (length <= self.0.len()).then_some(length)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }

    /// What is read if it is there; `None` when that fails.
    #[expect(
        clippy::option_option,
        reason = "the outer one is a failure, the inner one an absent field"
    )]
    fn when<T>(&mut self, there: bool, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if there { read(self).map(Some) } else { Some(None) }
    }

    fn attempts(&mut self) -> Option<Vec<Attempt>> {
        let length = self.length()?;
        let attempt = |_| {
            Some(Attempt {
                provider: self.text()?,
                model: self.text()?,
                offset_us: self.count()?,
                duration_us: self.count()?,
                status: u16::try_from(self.count()?).ok()?,
                error: self.text()?,
            })
        };
        (0..length).map(attempt).collect()
    }

    fn labels(&mut self) -> Option<BTreeMap<String, String>> {
        let length = self.length()?;
        (0..length).map(|_| Some((self.text()?, self.text()?))).collect()
    }

    fn usage(&mut self) -> Option<TokenUsage> {
        let length = self.length()?;
        let mut counts = [0; TokenUsage::COUNTS];
        for place in 0..length {
            let count = self.count()?;
            // More sorts than this version knows: the row is billed by its cost.
            if let Some(known) = counts.get_mut(place) {
                *known = count;
            }
        }
        Some(TokenUsage::of_counts(counts))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(id: Id, texts: &[String], numbers: &[u64], some: bool) -> RequestRow {
        let text = |place: usize| texts[place % texts.len()].clone();
        let number = |place: usize| numbers[place % numbers.len()];
        let mut counts = [0; TokenUsage::COUNTS];
        counts
            .iter_mut()
            .zip(numbers)
            .for_each(|(count, number)| *count = *number);
        RequestRow {
            id: if some {
                Uuid::from_bytes(id).to_string()
            } else {
                text(0)
            },
            trace_id: if some {
                Uuid::from_bytes(id).simple().to_string()
            } else {
                text(1)
            },
            span_id: if some {
                Uuid::from_bytes(id).simple().to_string()[16..].to_owned()
            } else {
                text(19)
            },
            parent_span_id: if some { String::new() } else { text(20) },
            started: Timestamp::from_nanosecond(i128::from(number(0) >> 3)).unwrap(),
            duration_us: number(1),
            first_token_us: some.then_some(number(2)),
            project: text(2),
            user: text(3),
            key: text(4),
            team: text(5),
            replica: text(6),
            dialect: text(7),
            operation: text(8),
            stream: some,
            model: text(9),
            route: text(10),
            provider: text(11),
            provider_model: text(12),
            status: u16::try_from(number(3) & 0xffff).unwrap(),
            outcome: OUTCOMES[usize::try_from(number(4) & 3).unwrap()],
            error: text(13),
            usage: TokenUsage::of_counts(counts),
            cost: some.then(|| NanoUsd(number(5).cast_signed())),
            attempts: vec![
                Attempt {
                    provider: text(14),
                    model: text(15),
                    offset_us: number(6),
                    duration_us: number(7),
                    status: 200,
                    error: text(16),
                };
                usize::from(some) * 2
            ],
            labels: texts.iter().map(|text| (text.clone(), text.clone())).collect(),
            input: some.then(|| text(17)),
            output: some.then(|| text(18)),
        }
    }

    #[test]
    fn a_row_in_json_is_read_as_earlier_versions_wrote_it() {
        let row = row([7; 16], &["a".to_owned()], &[1, 2, 3], true);
        let payload = serde_json::to_vec(&row).unwrap();
        assert_eq!(decode(&payload, &[7; 16]), Ok(row));
        assert_eq!(decode(b"{\"duration_us\":", &[0; 16]), Err(NoRow));
    }

    #[test]
    fn a_request_of_the_usual_sort_takes_few_bytes() {
        let row = RequestRow {
            input: None,
            output: None,
            labels: BTreeMap::new(),
            ..row([7; 16], &["default".to_owned()], &[100, 200], true)
        };
        let mut payload = Vec::new();
        encode(&mut payload, &[7; 16], &row);
        let json = serde_json::to_vec(&row).unwrap();
        assert!(
            payload.len() * 3 < json.len(),
            "{} of {}",
            payload.len(),
            json.len()
        );
    }

    proptest! {
        #[test]
        fn every_row_comes_back_as_it_was(
            id in any::<Id>(),
            texts in proptest::collection::vec(".{0,40}", 1..30),
            numbers in proptest::collection::vec(any::<u64>(), 1..20),
            some in any::<bool>(),
        ) {
            let row = row(id, &texts, &numbers, some);
            let mut payload = Vec::new();
            encode(&mut payload, &id, &row);
            prop_assert_eq!(decode(&payload, &id), Ok(row));
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_looked_at(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0_usize..400,
        ) {
            let mut payload = vec![FORM];
            payload.extend_from_slice(&bytes);
            // Whatever it says, it says it without a panic and without a huge allocation.
            let _ = decode(&payload, &[0; 16]);
            let mut whole = Vec::new();
            encode(&mut whole, &[1; 16], &row([1; 16], &["text".to_owned()], &[300, 5], true));
            let cut = cut.min(whole.len() - 1);
            prop_assert_eq!(decode(&whole[..cut], &[1; 16]), Err(NoRow));
        }
    }
}
