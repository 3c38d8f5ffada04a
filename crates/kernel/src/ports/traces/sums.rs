//! What entries or threads come to. Pure.

use std::collections::BTreeMap;

use super::Sketch;
use crate::Timestamp;

/// Sums by the value of a field, each in stretches of time in order.
pub type Grouped = Vec<(String, Vec<(Timestamp, Sums)>)>;

/// How sums are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Not at all.
    Whole,
    /// By time of beginning, in stretches of so many seconds since the epoch.
    Seconds(u32),
}

/// Sums over entries or threads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sums {
    /// How many.
    pub count: u64,
    /// Of them, those with an error.
    pub errors: u64,
    /// Those with an input.
    pub inputs: u64,
    /// Those with an output.
    pub outputs: u64,
    /// Those with metadata.
    pub metadata: u64,
    /// Their labels.
    pub tags: u64,
    /// The threads they are in; of traces only told where sums are not divided by time.
    pub threads: u64,
    /// Spans in them.
    pub spans: u64,
    /// Spans in them that ask a language model.
    pub llm_spans: u64,
    /// How long those took that ended.
    pub durations: Sketch,
    /// How long it took to the first token.
    pub first_tokens: Sketch,
    /// What they cost in US dollars.
    pub cost: f64,
    /// How many of them have a cost.
    pub priced: u64,
    /// What they count, by name: sum and how many.
    pub usage: BTreeMap<String, (i64, u64)>,
    /// Their scores, by name: sum and how many.
    pub scores: BTreeMap<String, (f64, u64)>,
}

impl Sums {
    /// Adds another one's, as if those were among what this is over; threads are counted apart, as they cannot be told
    /// from each other here.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in [
            (&mut self.count, other.count),
            (&mut self.errors, other.errors),
            (&mut self.inputs, other.inputs),
            (&mut self.outputs, other.outputs),
            (&mut self.metadata, other.metadata),
            (&mut self.tags, other.tags),
            (&mut self.threads, other.threads),
            (&mut self.spans, other.spans),
            (&mut self.llm_spans, other.llm_spans),
            (&mut self.priced, other.priced),
        ] {
            *own = own.saturating_add(more);
        }
        self.cost += other.cost;
        self.durations.merge(&other.durations, 1);
        self.first_tokens.merge(&other.first_tokens, 1);
        for (name, (sum, times)) in &other.usage {
            let own = self.usage.entry(name.clone()).or_default();
            *own = (own.0.saturating_add(*sum), own.1 + times);
        }
        for (name, (sum, times)) in &other.scores {
            let own = self.scores.entry(name.clone()).or_default();
            *own = (own.0 + sum, own.1 + times);
        }
    }
}
