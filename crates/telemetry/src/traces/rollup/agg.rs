//! Sums that can be added and taken out again, exactly and in any order, and their form on disk. Pure.
//!
//! On disk: numbers as LEB128 of their zigzag form; first the counts in the order of [`Agg::COUNTS`], then the two
//! sketches, each as how many buckets it has and their place, times and sum, then usage and scores, each as how many
//! names there are and for each its length, its text, the sum and how many.

use std::collections::BTreeMap;

use stead_kernel::ports::traces::{Sketch, Sums};

/// A name's sum, and of how many.
pub(in crate::traces) type Named = BTreeMap<String, (i64, i64)>;

/// How many counts there are.
const COUNTS: usize = 9;

/// Places of the counts.
#[derive(Debug, Clone, Copy)]
pub(in crate::traces) enum Of {
    Entries,
    Errors,
    Inputs,
    Outputs,
    Metadata,
    Tags,
    Spans,
    LlmSpans,
    Priced,
}

/// Sums over entries. Money is in trillionths of a dollar, scores in billionths, so that nothing is lost by adding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::traces) struct Agg {
    counts: [i64; COUNTS],
    cost: i128,
    pub(in crate::traces) durations: Sketch,
    pub(in crate::traces) first_tokens: Sketch,
    pub(in crate::traces) usage: Named,
    pub(in crate::traces) scores: Named,
}

/// A dollar in trillionths.
const DOLLAR: f64 = 1e12;
/// A score's whole in billionths; Opik keeps nine digits, too.
const WHOLE: f64 = 1e9;

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is larger is as large as can be said"
)]
fn fixed(value: f64, whole: f64) -> i64 {
    (value * whole).round() as i64
}

fn add_named(own: &mut Named, other: &Named, sign: i64) {
    for (name, (sum, times)) in other {
        let (sum, times) = (sum.saturating_mul(sign), times * sign);
        let Some(known) = own.get_mut(name) else {
            own.insert(name.clone(), (sum, times));
            continue;
        };
        *known = (known.0.saturating_add(sum), known.1 + times);
        if *known == (0, 0) {
            own.remove(name);
        }
    }
}

impl Agg {
    /// A count.
    pub(in crate::traces) fn get(&self, of: Of) -> i64 {
        self.counts.get(of as usize).copied().unwrap_or(0)
    }

    /// Adds to a count.
    pub(in crate::traces) fn count(&mut self, of: Of, more: i64) {
        if let Some(own) = self.counts.get_mut(of as usize) {
            *own += more;
        }
    }

    /// Adds what something cost in dollars.
    pub(in crate::traces) fn pay(&mut self, dollars: f64) {
        self.cost += i128::from(fixed(dollars, DOLLAR));
        self.count(Of::Priced, 1);
    }

    /// Adds another one's cost as that of one entry, if it has one.
    pub(in crate::traces) fn pay_once(&mut self, other: &Self) {
        if other.get(Of::Priced) > 0 {
            self.cost += other.cost;
            self.count(Of::Priced, 1);
        }
    }

    /// What all of it cost, in dollars; `None` where nothing has a cost.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub(in crate::traces) fn dollars(&self) -> Option<f64> {
        (self.get(Of::Priced) > 0).then(|| self.cost as f64 / DOLLAR)
    }

    /// Adds a score.
    pub(in crate::traces) fn score(&mut self, name: &str, value: f64) {
        let own = self.scores.entry(name.to_owned()).or_default();
        *own = (own.0.saturating_add(fixed(value, WHOLE)), own.1 + 1);
    }

    /// Adds another one, or takes it out where `sign` is -1.
    pub(in crate::traces) fn add(&mut self, other: &Self, sign: i64) {
        for (own, more) in self.counts.iter_mut().zip(other.counts) {
            *own += more * sign;
        }
        self.cost += other.cost * i128::from(sign);
        self.durations.merge(&other.durations, sign);
        self.first_tokens.merge(&other.first_tokens, sign);
        add_named(&mut self.usage, &other.usage, sign);
        add_named(&mut self.scores, &other.scores, sign);
    }

    /// As it is answered; how many threads there are is known elsewhere.
    pub(in crate::traces) fn sums(self) -> Sums {
        let count = |of: Of| u64::try_from(self.get(of)).unwrap_or(0);
        let times = |times: i64| u64::try_from(times).unwrap_or(0);
        Sums {
            count: count(Of::Entries),
            errors: count(Of::Errors),
            inputs: count(Of::Inputs),
            outputs: count(Of::Outputs),
            metadata: count(Of::Metadata),
            tags: count(Of::Tags),
            threads: 0,
            spans: count(Of::Spans),
            llm_spans: count(Of::LlmSpans),
            cost: self.dollars().unwrap_or_default(),
            priced: count(Of::Priced),
            usage: self
                .usage
                .into_iter()
                .map(|(name, (sum, of))| (name, (sum, times(of))))
                .collect(),
            scores: means(self.scores),
            durations: self.durations,
            first_tokens: self.first_tokens,
        }
    }

    /// As bytes.
    pub(in crate::traces) fn encode(&self, out: &mut Vec<u8>) {
        self.counts.iter().for_each(|count| put(out, *count));
        put_wide(out, self.cost);
        for sketch in [&self.durations, &self.first_tokens] {
            put_length(out, sketch.buckets().len());
            for (place, times, sum) in sketch.buckets() {
                put(out, i64::from(place));
                put(out, times);
                put(out, sum);
            }
        }
        for named in [&self.usage, &self.scores] {
            put_length(out, named.len());
            for (name, (sum, times)) in named {
                put_text(out, name);
                put(out, *sum);
                put(out, *times);
            }
        }
    }

    /// From the beginning of bytes, which then begin after it; `None` when they are none.
    pub(in crate::traces) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut agg = Self::default();
        for count in &mut agg.counts {
            *count = take(bytes)?;
        }
        agg.cost = take_wide(bytes)?;
        agg.durations = take_sketch(bytes)?;
        agg.first_tokens = take_sketch(bytes)?;
        agg.usage = take_named(bytes)?;
        agg.scores = take_named(bytes)?;
        Some(agg)
    }
}

/// Scores as they are answered: the sum and of how many.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(in crate::traces) fn means(scores: Named) -> BTreeMap<String, (f64, u64)> {
    let scores = scores.into_iter();
    scores
        .map(|(name, (sum, times))| (name, (sum as f64 / WHOLE, u64::try_from(times).unwrap_or(0))))
        .collect()
}

/// Writes a number.
pub(in crate::traces) fn put(out: &mut Vec<u8>, number: i64) {
    #[expect(clippy::cast_sign_loss, reason = "zigzag: the sign is the lowest bit")]
    let mut rest = (number.wrapping_shl(1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push((rest & 0x7f) as u8);
}

/// Reads a number.
pub(in crate::traces) fn take(bytes: &mut &[u8]) -> Option<i64> {
    let (mut number, mut shift) = (0_u64, 0_u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    #[expect(clippy::cast_possible_wrap, reason = "zigzag: the sign is the lowest bit")]
    let number = (number >> 1) as i64 ^ -((number & 1) as i64);
    Some(number)
}

/// A number of 128 bits as two: the upper and the lower half.
fn put_wide(out: &mut Vec<u8>, number: i128) {
    #[expect(clippy::cast_possible_truncation, reason = "each is a half")]
    let (upper, lower) = ((number >> 64) as i64, number as i64);
    put(out, upper);
    put(out, lower);
}

fn take_wide(bytes: &mut &[u8]) -> Option<i128> {
    let (upper, lower) = (take(bytes)?, take(bytes)?);
    Some(i128::from(upper) << 64 | i128::from(lower) & i128::from(u64::MAX))
}

pub(in crate::traces) fn put_length(out: &mut Vec<u8>, length: usize) {
    put(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// A length, which no more is believed of than there are bytes.
pub(in crate::traces) fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let length = usize::try_from(take(bytes)?).ok()?;
    (length <= bytes.len()).then_some(length)
}

pub(in crate::traces) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(in crate::traces) fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = take_length(bytes)?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn take_sketch(bytes: &mut &[u8]) -> Option<Sketch> {
    let mut buckets = Vec::new();
    for _ in 0..take_length(bytes)? {
        buckets.push((i16::try_from(take(bytes)?).ok()?, take(bytes)?, take(bytes)?));
    }
    Some(Sketch::from_buckets(buckets))
}

fn take_named(bytes: &mut &[u8]) -> Option<Named> {
    let mut named = Named::new();
    for _ in 0..take_length(bytes)? {
        let name = take_text(bytes)?;
        named.insert(name, (take(bytes)?, take(bytes)?));
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_sums_come_back_as_they_were(number in any::<i64>(), wide in any::<i128>(), names in prop::collection::vec("[a-c]{0,3}", 0..5)) {
            let mut agg = Agg { cost: wide, ..Agg::default() };
            agg.count(Of::Errors, number);
            agg.durations.add(number);
            for name in &names {
                agg.score(name, 0.25);
                agg.usage.insert(name.clone(), (number, 1));
            }
            let mut bytes = Vec::new();
            agg.encode(&mut bytes);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(Agg::decode(&mut rest), Some(agg));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn garbage_is_refused_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Agg::decode(&mut bytes.as_slice());
        }

        #[test]
        fn what_is_taken_out_leaves_nothing(values in prop::collection::vec((-5_i64..5, 0.0_f64..1.0), 0..8)) {
            let mut all = Agg::default();
            let each: Vec<Agg> = values.iter().map(|(count, value)| {
                let mut agg = Agg::default();
                agg.count(Of::Tags, *count);
                agg.pay(*value);
                agg.score("s", *value);
                agg.durations.add(*count * 1_000);
                agg
            }).collect();
            for one in &each { all.add(one, 1); }
            for one in each.iter().rev() { all.add(one, -1); }
            prop_assert_eq!(all, Agg::default());
        }
    }
}
