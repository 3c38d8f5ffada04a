//! Sums over what matches, whole or in stretches of time, and apart for each value of a field.

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

use rusqlite::{Connection, params};
use stead_kernel::{
    Timestamp,
    ports::traces::{Bucket, Cell, Counted, Entry, Grouped, Kind, Order, Query, Sums, Thread},
};
use uuid::Uuid;

use super::{
    cells,
    files::{File, Files},
    read,
    rollup::{Agg, Of, can_serve, serve},
    rows::id_time,
    threads,
    walk::{Needs, walk},
};
use crate::sqlite::Result;

/// Sums in the making: by the value of the field, then by the second at which their stretch begins.
#[derive(Default)]
pub(super) struct Tally {
    groups: BTreeMap<String, BTreeMap<i64, (Agg, HashSet<String>)>>,
}

/// Whether what is asked for is kept, so that nothing is read but that.
pub(super) fn is_kept(of: Counted, query: &Query, bucket: Bucket, by: Option<&Order>) -> bool {
    match of {
        Counted::Traces => can_serve(Kind::Trace, query, bucket, by),
        Counted::Spans => can_serve(Kind::Span, query, bucket, by),
        Counted::Threads => false,
    }
}

/// Sums over what matches, in order of time.
pub(super) fn sums(
    files: &Files,
    of: Counted,
    query: &Query,
    bucket: Bucket,
) -> Result<Vec<(Timestamp, Sums)>> {
    Ok(tally(files, of, query, bucket, None)?.whole(bucket))
}

/// Sums over what matches, apart for each value of a field; those with the most come first.
pub(super) fn sums_by(
    files: &Files,
    of: Counted,
    query: &Query,
    bucket: Bucket,
    by: &Order,
) -> Result<Grouped> {
    Ok(tally(files, of, query, bucket, Some(by))?.grouped())
}

fn finish(sums: BTreeMap<i64, (Agg, HashSet<String>)>) -> Vec<(Timestamp, Sums)> {
    let finished = sums.into_iter().map(|(second, (agg, names))| {
        let mut sums = agg.sums();
        sums.threads += names.len() as u64;
        (Timestamp::from_second(second).unwrap_or_default(), sums)
    });
    finished.collect()
}

fn tally(files: &Files, of: Counted, query: &Query, bucket: Bucket, by: Option<&Order>) -> Result<Tally> {
    let mut tally = Tally::default();
    let kind = match of {
        Counted::Traces => Kind::Trace,
        Counted::Spans => Kind::Span,
        Counted::Threads => {
            add_threads(files, query, bucket, by, &mut tally)?;
            return Ok(tally);
        }
    };
    if can_serve(kind, query, bucket, by) {
        serve(files, kind, query, (bucket, by), &mut |group, minute, agg| {
            let second = minute.saturating_mul(60);
            tally.at(group, second, bucket).0.add(agg, 1);
        })?;
        if kind == Kind::Trace && bucket == Bucket::Whole && by.is_none() {
            let names = thread_names(files, query)?;
            tally.at("", 0, bucket).1.extend(names);
        }
        return Ok(tally);
    }
    let needs = Needs::sums(query, by);
    walk(files, kind, query, &needs, &mut |_, entry| {
        tally.add_entry(&entry, bucket, by);
        ControlFlow::Continue(())
    })?;
    Ok(tally)
}

/// The values of a field by which sums are divided; the empty one where there is none.
fn values<'a>(by: Option<&Order>, cell: impl FnOnce(&Order) -> Cell<'a>) -> Vec<String> {
    let values = match by.map(cell) {
        None | Some(Cell::Absent) => Vec::new(),
        Some(Cell::Text(text)) => vec![text.into_owned()],
        Some(Cell::Number(number)) => vec![number.to_string()],
        Some(Cell::Time(time)) => vec![time.to_string()],
        Some(Cell::List(items)) => items.into_owned(),
    };
    if values.is_empty() {
        return vec![String::new()];
    }
    values
}

impl Tally {
    /// Adds an entry.
    pub(super) fn add_entry(&mut self, entry: &Entry, bucket: Bucket, by: Option<&Order>) {
        let second = entry.fields.start.unwrap_or_default().as_second();
        for group in values(by, |by| cells::of_entry(entry, &by.field, &by.key)) {
            let (agg, names) = self.at(&group, second, bucket);
            add_entry(agg, entry);
            if bucket == Bucket::Whole {
                names.extend(entry.fields.thread.clone());
            }
        }
    }

    /// Adds a thread.
    pub(super) fn add_thread(&mut self, thread: &Thread, bucket: Bucket, by: Option<&Order>) {
        let second = thread.start.unwrap_or_default().as_second();
        for group in values(by, |by| cells::of_thread(thread, &by.field, &by.key)) {
            add_thread(self.at(&group, second, bucket), thread);
        }
    }

    /// The sums that are not apart by a field, in order of time.
    pub(super) fn whole(mut self, bucket: Bucket) -> Vec<(Timestamp, Sums)> {
        let mut all = self.groups.remove("").unwrap_or_default();
        if all.is_empty() && bucket == Bucket::Whole {
            all.entry(0).or_default();
        }
        finish(all)
    }

    /// The sums for each value of a field; those with the most come first.
    pub(super) fn grouped(self) -> Grouped {
        let groups = self.groups.into_iter();
        let mut groups: Vec<_> = groups.map(|(name, sums)| (name, finish(sums))).collect();
        let most = |sums: &[(Timestamp, Sums)]| sums.iter().map(|(_, sums)| sums.count).sum::<u64>();
        groups.sort_by_cached_key(|(name, sums)| (std::cmp::Reverse(most(sums)), name.clone()));
        groups
    }

    fn at(&mut self, group: &str, second: i64, bucket: Bucket) -> &mut (Agg, HashSet<String>) {
        let second = match bucket {
            Bucket::Whole => 0,
            Bucket::Seconds(length) => {
                let length = i64::from(length.max(1));
                second.div_euclid(length) * length
            }
        };
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), BTreeMap::new());
        }
        self.groups
            .entry(group.to_owned())
            .or_default()
            .entry(second)
            .or_default()
    }
}

/// The names of the threads that traces are in.
fn thread_names(files: &Files, query: &Query) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    let (days, _stay) = files.days();
    for day in days {
        files.read(File::Day(day), |connection| {
            for project in read::numbers(connection, query)? {
                names_of(connection, project, query, &mut names)?;
            }
            Ok(())
        })?;
    }
    Ok(names)
}

fn names_of(connection: &Connection, project: i64, query: &Query, names: &mut HashSet<String>) -> Result<()> {
    if query.since.is_none() && query.until.is_none() && query.filters.is_empty() {
        // Each name is looked for after the one before, so that the index is not read whole.
        let mut statement = connection.prepare_cached(
            "WITH RECURSIVE found(last) AS ( \
               SELECT min(thread) FROM entries WHERE project = ?1 AND thread IS NOT NULL UNION ALL \
               SELECT (SELECT min(thread) FROM entries WHERE project = ?1 AND thread > last) FROM found \
               WHERE last IS NOT NULL) \
             SELECT last FROM found WHERE last IS NOT NULL",
        )?;
        let found = statement.query_map([project], |row| row.get(0))?;
        for name in found {
            names.insert(name?);
        }
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "SELECT thread, start, id, created_by FROM entries WHERE project = ?1 AND thread IS NOT NULL AND kind = 0 \
         AND (start IS NULL OR start >= ?2 AND start < ?3)",
    )?;
    let micros = |time: Option<Timestamp>, open: i64| time.map_or(open, Timestamp::as_microsecond);
    let (since, until) = (micros(query.since, i64::MIN), micros(query.until, i64::MAX));
    let mut rows = statement.query(params![project, since, until])?;
    while let Some(row) = rows.next()? {
        let id: [u8; 16] = row.get(2)?;
        let start: Option<i64> = row.get(1)?;
        let start = start.or_else(|| id_time(Uuid::from_bytes(id)).map(Timestamp::as_microsecond));
        let user: String = row.get(3)?;
        let holds = query
            .filters
            .iter()
            .all(|filter| filter.holds(&Cell::text(Some(&user))));
        if holds && (since..until).contains(&start.unwrap_or(0)) {
            names.insert(row.get(0)?);
        }
    }
    Ok(())
}

fn add_threads(
    files: &Files,
    query: &Query,
    bucket: Bucket,
    by: Option<&Order>,
    tally: &mut Tally,
) -> Result<()> {
    for thread in threads::all(files, query)? {
        tally.add_thread(&thread, bucket, by);
    }
    Ok(())
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn micros(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<i64> {
    Some(end?.as_microsecond().saturating_sub(start?.as_microsecond()))
}

fn add_entry(agg: &mut Agg, entry: &Entry) {
    let fields = &entry.fields;
    agg.count(Of::Entries, 1);
    agg.count(Of::Tags, length(fields.tags.as_ref().map_or(0, Vec::len)));
    if let Some(took) = micros(fields.start, fields.end) {
        agg.durations.add(took);
    }
    if let Some(ms) = fields.first_token_ms {
        agg.first_tokens.add_ms(ms);
    }
    for (there, of) in [
        (entry.has.input, Of::Inputs),
        (entry.has.output, Of::Outputs),
        (entry.has.metadata, Of::Metadata),
        (entry.has.error, Of::Errors),
    ] {
        agg.count(of, i64::from(there));
    }
    if let Some(spans) = &entry.spans {
        agg.count(Of::Spans, signed(spans.spans));
        agg.count(Of::LlmSpans, signed(spans.llm_spans));
    }
    entry.cost.into_iter().for_each(|cost| agg.pay(cost));
    let usage = entry
        .spans
        .as_ref()
        .map(|spans| &spans.usage)
        .or(fields.usage.as_ref());
    add_usage(agg, usage.into_iter().flatten());
    for score in &entry.scores {
        agg.score(&score.name, score.value);
    }
}

fn add_thread((agg, names): &mut (Agg, HashSet<String>), thread: &Thread) {
    agg.count(Of::Entries, 1);
    names.insert(format!("{} {}", thread.project, thread.name));
    agg.count(Of::Tags, length(thread.tags.len()));
    if let Some(took) = micros(thread.start, thread.end) {
        agg.durations.add(took);
    }
    thread.cost.into_iter().for_each(|cost| agg.pay(cost));
    add_usage(agg, &thread.usage);
    for score in &thread.scores {
        agg.score(&score.name, score.value);
    }
}

fn add_usage<'a>(agg: &mut Agg, usage: impl IntoIterator<Item = (&'a String, &'a i64)>) {
    for (name, count) in usage {
        let (sum, times) = agg.usage.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*count);
        *times += 1;
    }
}
