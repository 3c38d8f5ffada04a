//! Threads: what the traces of each come to, beside what the index knows of it.

use std::{collections::HashMap, time::Duration};

use rusqlite::{Connection, params};
use stead_kernel::{
    Timestamp,
    ports::traces::{Entry, Found, Kind, Query, Score, Thread},
};
use uuid::Uuid;

use super::{
    cells::{self, Key},
    change::THREAD,
    files::{File, Files},
    read::{self, comments},
    rows::{self, Bodies, SCORE, id_time, read_score},
};
use crate::{
    day::{Day, time},
    sqlite::Result,
};

/// A thread of which nothing was told for so long has ended (Opik's default).
pub(super) const IDLE: Duration = Duration::from_mins(15);

/// A thread as it is put together.
struct Build {
    thread: Thread,
    /// Its traces, with the beginnings by which the first and the last are found.
    traces: Vec<(Timestamp, Day, Uuid)>,
    environment_at: Option<Timestamp>,
}

/// The threads that match, in order; the newest first when no order is asked for.
pub(super) fn threads(files: &Files, query: &Query) -> Result<Found<Thread>> {
    let decides = is_asked_for(query);
    let mut found = Vec::new();
    for mut build in builds(files, query)? {
        if decides {
            finish(files, &mut build)?;
        }
        let thread = &build.thread;
        let holds = cells::all_hold(&query.filters, |field, key| cells::of_thread(thread, field, key));
        if holds && contains(thread, query.search.as_deref()) {
            found.push(build);
        }
    }
    in_order(&mut found, query, |build| &build.thread);
    let total = found.len() as u64;
    let mut items = Vec::new();
    for mut build in found.into_iter().skip(query.offset).take(query.limit) {
        if !decides {
            finish(files, &mut build)?;
        }
        items.push(build.thread);
    }
    Ok(Found { items, total })
}

/// Puts threads in the order that is asked for, the newest first when none is, and leaves out those before it goes on.
pub(super) fn in_order<B>(builds: &mut Vec<B>, query: &Query, thread: impl Fn(&B) -> &Thread) {
    builds.sort_by_key(|build| std::cmp::Reverse(thread(build).id));
    if let Some(after) = query.after {
        builds.retain(|build| thread(build).id < after);
    }
    if !query.order.is_empty() {
        let keys = |build: &B| -> Vec<Key> {
            let orders = query.order.iter();
            orders
                .map(|order| Key::of(&cells::of_thread(thread(build), &order.field, &order.key)))
                .collect()
        };
        builds.sort_by(|own, other| cells::compare(&keys(own), &keys(other), &query.order));
    }
}

/// All threads that match, without their messages unless those decide which do.
pub(super) fn all(files: &Files, query: &Query) -> Result<Vec<Thread>> {
    let by_messages = is_asked_for(query);
    let mut found = Vec::new();
    for mut build in builds(files, query)? {
        build.traces.sort_unstable();
        if by_messages {
            messages(files, &mut build)?;
        }
        count(files, &mut build)?;
        let thread = build.thread;
        let holds = cells::all_hold(&query.filters, |field, key| cells::of_thread(&thread, field, key));
        if holds && contains(&thread, query.search.as_deref()) {
            found.push(thread);
        }
    }
    Ok(found)
}

/// Whether what must be read of the traces decides which threads match, or in which order.
pub(super) fn is_asked_for(query: &Query) -> bool {
    let filters = query.filters.iter().map(|filter| filter.field.as_str());
    let mut fields = filters.chain(query.order.iter().map(|order| order.field.as_str()));
    query.search.is_some()
        || fields.any(|field| {
            field.starts_with("usage")
                || ["total_estimated_cost", "first_message", "last_message"].contains(&field)
        })
}

pub(super) fn contains(thread: &Thread, text: Option<&str>) -> bool {
    let Some(text) = text.map(str::to_lowercase) else {
        return true;
    };
    let messages = [&thread.first_message, &thread.last_message]
        .into_iter()
        .flatten();
    thread.name.to_lowercase().contains(&text)
        || messages
            .into_iter()
            .any(|message| message.get().to_lowercase().contains(&text))
}

/// The threads that have traces, with what the index knows of them.
fn builds(files: &Files, query: &Query) -> Result<Vec<Build>> {
    let mut known = files.read(File::Index, |index| known(index, query, files.clock.now()))?;
    let (days, _stay) = files.days();
    for day in days {
        files.read(File::Day(day), |connection| {
            gather(connection, day, query, &mut known)
        })?;
    }
    let mut builds: Vec<Build> = known
        .into_values()
        .filter(|build| !build.traces.is_empty())
        .collect();
    builds.retain(|build| {
        let start = build.thread.start;
        query
            .since
            .is_none_or(|since| start.is_some_and(|start| start >= since))
            && query
                .until
                .is_none_or(|until| start.is_some_and(|start| start < until))
    });
    Ok(builds)
}

type Known = HashMap<(Uuid, String), Build>;

/// What the index knows of the threads of a query's projects.
fn known(index: &Connection, query: &Query, now: Timestamp) -> Result<Known> {
    let mut statement = index.prepare_cached(
        "SELECT id, project, name, closed, tags, created, updated, created_by, updated_by FROM threads \
         WHERE workspace = ?1 AND (?2 IS NULL OR project = ?2) AND (?3 IS NULL OR name = ?3)",
    )?;
    let project = query.project.as_ref().map(Uuid::as_bytes);
    let mut rows = statement.query(params![
        query.workspace,
        project,
        read::only_thread(&query.filters)
    ])?;
    let mut known = HashMap::new();
    while let Some(row) = rows.next()? {
        let (id, project): ([u8; 16], [u8; 16]) = (row.get(0)?, row.get(1)?);
        let (id, project, name): (_, _, String) =
            (Uuid::from_bytes(id), Uuid::from_bytes(project), row.get(2)?);
        let (closed, tags): (i64, String) = (row.get(3)?, row.get(4)?);
        let updated = time(row.get(6)?);
        let idle = now.duration_since(updated).unsigned_abs() >= IDLE;
        let thread = Thread {
            name: name.clone(),
            id,
            project,
            start: None,
            end: None,
            first_message: None,
            last_message: None,
            traces: 0,
            active: closed == 0 && !idle,
            usage: std::collections::BTreeMap::new(),
            cost: None,
            tags: serde_json::from_str(&tags).unwrap_or_default(),
            environment: None,
            scores: thread_scores(index, id)?,
            comments: comments(index, THREAD, id)?,
            created: time(row.get(5)?),
            updated,
            created_by: row.get(7)?,
            updated_by: row.get(8)?,
        };
        let build = Build {
            thread,
            traces: Vec::new(),
            environment_at: None,
        };
        known.insert((project, name), build);
    }
    Ok(known)
}

fn thread_scores(index: &Connection, thread: Uuid) -> Result<Vec<Score>> {
    let sql = format!("SELECT {SCORE} FROM thread_scores WHERE thread = ?1");
    let mut statement = index.prepare_cached(&sql)?;
    let rows = statement.query_map([thread.as_bytes()], read_score)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds the traces of a day.
fn gather(connection: &Connection, day: Day, query: &Query, known: &mut Known) -> Result<()> {
    let projects = rows::projects(connection)?;
    for (number, (workspace, project)) in projects {
        if workspace != query.workspace || query.project.is_some_and(|asked| asked != project) {
            continue;
        }
        let mut statement = connection.prepare_cached(
            "SELECT thread, id, start, end, environment FROM entries \
             WHERE project = ?1 AND thread IS NOT NULL AND kind = 0 AND (?2 IS NULL OR thread = ?2)",
        )?;
        let mut rows = statement.query(params![number, read::only_thread(&query.filters)])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let Some(build) = known.get_mut(&(project, name)) else {
                continue;
            };
            let id: [u8; 16] = row.get(1)?;
            let id = Uuid::from_bytes(id);
            let start: Option<i64> = row.get(2)?;
            let start = start.map(time).or_else(|| id_time(id)).unwrap_or_default();
            let end: Option<i64> = row.get(3)?;
            build.thread.start = Some(build.thread.start.map_or(start, |own| own.min(start)));
            build.thread.end = build.thread.end.max(end.map(time));
            build.thread.traces += 1;
            if build.environment_at.is_none_or(|at| at <= start) {
                build.environment_at = Some(start);
                build.thread.environment = row.get(4)?;
            }
            build.traces.push((start, day, id));
        }
    }
    Ok(())
}

/// Adds the messages, and what the spans count and cost.
fn finish(files: &Files, build: &mut Build) -> Result<()> {
    build.traces.sort_unstable();
    messages(files, build)?;
    count(files, build)
}

fn messages(files: &Files, build: &mut Build) -> Result<()> {
    let thread = &mut build.thread;
    if let Some((_, day, id)) = build.traces.first() {
        thread.first_message = trace(files, *day, *id)?.and_then(|entry| entry.fields.input);
    }
    if let Some((_, day, id)) = build.traces.last() {
        thread.last_message = trace(files, *day, *id)?.and_then(|entry| entry.fields.output);
    }
    Ok(())
}

fn count(files: &Files, build: &mut Build) -> Result<()> {
    let thread = &mut build.thread;
    files.read(File::Index, |index| {
        for (_, _, id) in &build.traces {
            let (totals, cost) = read::totals(files, index, *id)?;
            for (name, count) in totals.usage {
                let sum = thread.usage.entry(name).or_default();
                *sum = sum.saturating_add(count);
            }
            if let Some(more) = cost {
                thread.cost = Some(thread.cost.unwrap_or_default() + more);
            }
        }
        Ok(())
    })
}

fn trace(files: &Files, day: Day, id: Uuid) -> Result<Option<Entry>> {
    files.read(File::Day(day), |connection| {
        let Some(mut stored) = rows::by_id(connection, Kind::Trace, id)? else {
            return Ok(None);
        };
        stored.load_body(&Bodies::new(connection))?;
        Ok(Some(stored.entry(Uuid::nil())))
    })
}

/// The names of scores on threads.
pub(super) fn score_names(files: &Files, workspace: &str, projects: &[Uuid]) -> Result<Vec<String>> {
    files.read(File::Index, |index| {
        let mut statement = index.prepare_cached(
            "SELECT DISTINCT thread_scores.name, project FROM thread_scores JOIN threads ON thread = id \
             WHERE workspace = ?1",
        )?;
        let mut rows = statement.query([workspace])?;
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            let project: [u8; 16] = row.get(1)?;
            if projects.is_empty() || projects.contains(&Uuid::from_bytes(project)) {
                names.push(row.get(0)?);
            }
        }
        Ok(names)
    })
}
