//! Sums over what matches, whole or in stretches of time.

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

use stead_kernel::{
    Timestamp,
    ports::traces::{Bucket, Counted, Entry, Kind, Query, Score, Sums, Thread},
};

use super::{files::Files, read, threads};
use crate::sqlite::Result;

/// Sums in the making, by the second at which their stretch begins.
#[derive(Default)]
struct Tally {
    sums: BTreeMap<i64, (Sums, HashSet<String>)>,
}

/// Sums over what matches, in order of time.
pub(super) fn sums(
    files: &Files,
    of: Counted,
    query: &Query,
    bucket: Bucket,
) -> Result<Vec<(Timestamp, Sums)>> {
    let mut tally = Tally::default();
    match of {
        Counted::Traces | Counted::Spans => {
            let kind = if of == Counted::Traces {
                Kind::Trace
            } else {
                Kind::Span
            };
            read::walk(files, kind, query, read::Needs::sums(query), &mut |_, entry| {
                let (sums, names) = tally.at(entry.fields.start, bucket);
                add_entry(sums, names, &entry);
                ControlFlow::Continue(())
            })?;
        }
        Counted::Threads => {
            let all = Query {
                limit: usize::MAX,
                offset: 0,
                order: Vec::new(),
                ..query.clone()
            };
            for thread in threads::threads(files, &all)?.items {
                let (sums, _) = tally.at(thread.start, bucket);
                add_thread(sums, &thread);
            }
        }
    }
    if tally.sums.is_empty() && bucket == Bucket::Whole {
        tally.at(None, bucket);
    }
    Ok(tally.finish())
}

impl Tally {
    fn at(&mut self, start: Option<Timestamp>, bucket: Bucket) -> &mut (Sums, HashSet<String>) {
        let second = match bucket {
            Bucket::Whole => 0,
            Bucket::Seconds(length) => {
                let length = i64::from(length.max(1));
                start.unwrap_or_default().as_second().div_euclid(length) * length
            }
        };
        self.sums.entry(second).or_default()
    }

    fn finish(self) -> Vec<(Timestamp, Sums)> {
        let finished = self.sums.into_iter().map(|(second, (mut sums, names))| {
            sums.threads = names.len() as u64;
            sums.durations.sort_by(f64::total_cmp);
            sums.first_tokens.sort_by(f64::total_cmp);
            (Timestamp::from_second(second).unwrap_or_default(), sums)
        });
        finished.collect()
    }
}

fn add_entry(sums: &mut Sums, names: &mut HashSet<String>, entry: &Entry) {
    let fields = &entry.fields;
    sums.count += 1;
    sums.tags += fields.tags.as_ref().map_or(0, Vec::len) as u64;
    sums.durations.extend(entry.duration_ms());
    sums.first_tokens.extend(fields.first_token_ms);
    for (there, count) in [
        (entry.has.input, &mut sums.inputs),
        (entry.has.output, &mut sums.outputs),
        (entry.has.metadata, &mut sums.metadata),
        (entry.has.error, &mut sums.errors),
    ] {
        *count += u64::from(there);
    }
    if let Some(thread) = &fields.thread {
        names.insert(thread.clone());
    }
    if let Some(spans) = &entry.spans {
        sums.spans += spans.spans;
        sums.llm_spans += spans.llm_spans;
    }
    add_cost(sums, entry.cost);
    let usage = entry
        .spans
        .as_ref()
        .map(|spans| &spans.usage)
        .or(fields.usage.as_ref());
    add_usage(sums, usage.into_iter().flatten());
    add_scores(sums, &entry.scores);
}

fn add_thread(sums: &mut Sums, thread: &Thread) {
    sums.count += 1;
    sums.threads += 1;
    sums.tags += thread.tags.len() as u64;
    sums.durations.extend(thread.duration_ms());
    add_cost(sums, thread.cost);
    add_usage(sums, &thread.usage);
    add_scores(sums, &thread.scores);
}

fn add_cost(sums: &mut Sums, cost: Option<f64>) {
    if let Some(cost) = cost {
        sums.cost += cost;
        sums.priced += 1;
    }
}

fn add_usage<'a>(sums: &mut Sums, usage: impl IntoIterator<Item = (&'a String, &'a i64)>) {
    for (name, count) in usage {
        let (sum, times) = sums.usage.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*count);
        *times += 1;
    }
}

fn add_scores(sums: &mut Sums, scores: &[Score]) {
    for score in scores {
        let (sum, times) = sums.scores.entry(score.name.clone()).or_default();
        *sum += score.value;
        *times += 1;
    }
}
