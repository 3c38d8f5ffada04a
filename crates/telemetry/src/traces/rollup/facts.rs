//! What one entry adds to the sums: where, and how much. Pure.

use std::collections::BTreeMap;

use stead_kernel::ports::traces::{Kind, Score, SpanTotals};

use super::agg::{Agg, Of, put, put_length, put_text, take, take_length, take_text};
use crate::traces::rows::{Stored, id_time};

/// What is summed apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::traces) struct Key {
    /// The project's number in its file.
    pub(in crate::traces) project: i64,
    pub(in crate::traces) kind: Kind,
    /// The minute of its beginning, counted from 1970.
    pub(in crate::traces) minute: i64,
    /// What a span is; empty for a trace, as the next two are.
    pub(in crate::traces) sort: String,
    pub(in crate::traces) model: String,
    pub(in crate::traces) provider: String,
    /// Who told of it first.
    pub(in crate::traces) user: String,
}

const INPUT: u8 = 1;
const OUTPUT: u8 = 2;
const METADATA: u8 = 4;
const ERROR: u8 = 8;

/// When an entry began, in microseconds; a change may come before its beginning, which the id tells then.
pub(in crate::traces) fn begun(row: &Stored) -> i64 {
    let start = row.fields.start.or_else(|| id_time(row.id));
    start.map_or(0, stead_kernel::Timestamp::as_microsecond)
}

/// Microseconds of a minute.
pub(in crate::traces) const MINUTE: i64 = 60_000_000;

/// Where an entry counts, and what.
pub(in crate::traces) fn of(row: &Stored, scores: &[Score], totals: Option<&Totals>) -> (Key, Agg) {
    let fields = &row.fields;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let is_span = row.kind == Kind::Span;
    let own = |value: &Option<String>| if is_span { text(value) } else { String::new() };
    let key = Key {
        project: row.project,
        kind: row.kind,
        minute: begun(row).div_euclid(MINUTE),
        sort: own(&fields.sort),
        model: own(&fields.model),
        provider: own(&fields.provider),
        user: row.created_by.clone(),
    };
    let mut agg = Agg::default();
    agg.count(Of::Entries, 1);
    for (bit, of) in [
        (INPUT, Of::Inputs),
        (OUTPUT, Of::Outputs),
        (METADATA, Of::Metadata),
        (ERROR, Of::Errors),
    ] {
        agg.count(of, i64::from(row.mask & bit != 0));
    }
    let tags = fields.tags.as_ref().map_or(0, Vec::len);
    agg.count(Of::Tags, i64::try_from(tags).unwrap_or(0));
    if let Some((start, end)) = fields.start.or_else(|| id_time(row.id)).zip(fields.end) {
        agg.durations
            .add(end.as_microsecond().saturating_sub(start.as_microsecond()));
    }
    if let Some(ms) = fields.first_token_ms {
        agg.first_tokens.add_ms(ms);
    }
    for score in scores {
        agg.score(&score.name, score.value);
    }
    if is_span {
        row.cost.into_iter().for_each(|cost| agg.pay(cost));
        let usage = fields.usage.iter().flatten();
        agg.usage = usage.map(|(name, count)| (name.clone(), (*count, 1))).collect();
    } else if let Some(totals) = totals {
        agg.count(Of::Spans, totals.agg.get(Of::Entries));
        agg.count(Of::LlmSpans, totals.agg.get(Of::LlmSpans));
        agg.pay_once(&totals.agg);
        let usage = totals.agg.usage.iter().filter(|(_, (_, times))| *times > 0);
        agg.usage = usage.map(|(name, (sum, _))| (name.clone(), (*sum, 1))).collect();
    }
    (key, agg)
}

/// What the spans of a trace come to in one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::traces) struct Totals {
    /// How many spans, those of them that ask a model, cost, usage, and the spans' scores.
    pub(in crate::traces) agg: Agg,
    /// How many use a tool.
    tools: i64,
    /// How many are of each provider.
    providers: BTreeMap<String, i64>,
    /// How many ask each model.
    models: BTreeMap<String, i64>,
}

fn add_times(own: &mut BTreeMap<String, i64>, other: &BTreeMap<String, i64>, sign: i64) {
    for (name, times) in other {
        *own.entry(name.clone()).or_default() += times * sign;
    }
    own.retain(|_, times| *times != 0);
}

fn put_times(out: &mut Vec<u8>, times: &BTreeMap<String, i64>) {
    put_length(out, times.len());
    for (name, times) in times {
        put_text(out, name);
        put(out, *times);
    }
}

fn take_times(bytes: &mut &[u8]) -> Option<BTreeMap<String, i64>> {
    let mut all = BTreeMap::new();
    for _ in 0..take_length(bytes)? {
        all.insert(take_text(bytes)?, take(bytes)?);
    }
    Some(all)
}

impl Totals {
    /// What one span adds.
    pub(in crate::traces) fn of(span: &Stored, scores: &[Score]) -> Self {
        let fields = &span.fields;
        let mut agg = Agg::default();
        agg.count(Of::Entries, 1);
        agg.count(Of::LlmSpans, i64::from(fields.sort.as_deref() == Some("llm")));
        span.cost.into_iter().for_each(|cost| agg.pay(cost));
        let usage = fields.usage.iter().flatten();
        agg.usage = usage.map(|(name, count)| (name.clone(), (*count, 1))).collect();
        for score in scores {
            agg.score(&score.name, score.value);
        }
        Self {
            agg,
            tools: i64::from(fields.sort.as_deref() == Some("tool")),
            providers: fields.provider.iter().map(|name| (name.clone(), 1)).collect(),
            models: fields.model.iter().map(|name| (name.clone(), 1)).collect(),
        }
    }

    /// Adds another one, or takes it out where `sign` is -1.
    pub(in crate::traces) fn add(&mut self, other: &Self, sign: i64) {
        self.agg.add(&other.agg, sign);
        self.tools += other.tools * sign;
        add_times(&mut self.providers, &other.providers, sign);
        add_times(&mut self.models, &other.models, sign);
    }

    /// As they are answered, with what the spans cost.
    pub(in crate::traces) fn answer(self) -> (SpanTotals, Option<f64>) {
        let count = |of: Of| u64::try_from(self.agg.get(of)).unwrap_or(0);
        let cost = self.agg.dollars();
        #[expect(clippy::cast_precision_loss, reason = "how many spans a trace has")]
        let scores = super::agg::means(self.agg.scores.clone())
            .into_iter()
            .map(|(name, (sum, times))| (name, sum / times as f64));
        let totals = SpanTotals {
            spans: count(Of::Entries),
            llm_spans: count(Of::LlmSpans),
            tool_spans: u64::try_from(self.tools).unwrap_or(0),
            scores: scores.collect(),
            usage: self
                .agg
                .usage
                .into_iter()
                .map(|(name, (sum, _))| (name, sum))
                .collect(),
            providers: self.providers.into_keys().collect(),
            models: self.models.into_keys().collect(),
        };
        (totals, cost)
    }

    /// As bytes.
    pub(in crate::traces) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        self.agg.encode(&mut out);
        put(&mut out, self.tools);
        put_times(&mut out, &self.providers);
        put_times(&mut out, &self.models);
        out
    }

    /// From bytes; `None` when they are none.
    pub(in crate::traces) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let (agg, tools) = (Agg::decode(bytes)?, take(bytes)?);
        Some(Self {
            agg,
            tools,
            providers: take_times(bytes)?,
            models: take_times(bytes)?,
        })
    }
}
