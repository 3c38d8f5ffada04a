//! Threads: what the traces of each come to, beside what is known of it.

use std::collections::BTreeMap;

use stead_kernel::{
    Result, Timestamp,
    ports::traces::{Detail, Found, Kind, Query, Thread},
};
use uuid::Uuid;

use super::{
    facts::{literal, number_of},
    fold::{Known, ThreadKey},
    http::text,
    read::Reader,
    schema::TABLE,
};
use crate::traces::{
    cells,
    read::only_thread,
    rows::id_time,
    threads::{contains, in_order, is_asked_for},
};

/// So many traces are put together at once.
const PART: usize = 2_000;

/// A thread as it is put together, with its traces and the beginnings by which the first and the last are found.
struct Build {
    thread: Thread,
    traces: Vec<(Timestamp, Uuid)>,
    environment_at: Option<Timestamp>,
}

/// The threads that match, in order; the newest first when no order is asked for.
pub(super) async fn threads(reader: &Reader, query: &Query) -> Result<Found<Thread>> {
    let decides = is_asked_for(query);
    let mut builds = builds(reader, query).await?;
    if decides {
        count(reader, &query.workspace, &mut builds).await?;
        messages(reader, &query.workspace, &mut builds).await?;
    }
    builds.retain(|build| matches(&build.thread, query));
    in_order(&mut builds, query, |build| &build.thread);
    let total = builds.len() as u64;
    let page = builds.into_iter().skip(query.offset).take(query.limit);
    let mut page: Vec<Build> = page.collect();
    if !decides {
        count(reader, &query.workspace, &mut page).await?;
        messages(reader, &query.workspace, &mut page).await?;
    }
    Ok(Found {
        items: page.into_iter().map(|build| build.thread).collect(),
        total,
    })
}

/// All threads that match, without their messages unless those decide which do.
pub(super) async fn all(reader: &Reader, query: &Query) -> Result<Vec<Thread>> {
    let mut builds = builds(reader, query).await?;
    count(reader, &query.workspace, &mut builds).await?;
    if is_asked_for(query) {
        messages(reader, &query.workspace, &mut builds).await?;
    }
    let threads = builds.into_iter().map(|build| build.thread);
    Ok(threads.filter(|thread| matches(thread, query)).collect())
}

fn matches(thread: &Thread, query: &Query) -> bool {
    cells::all_hold(&query.filters, |field, key| cells::of_thread(thread, field, key))
        && contains(thread, query.search.as_deref())
}

/// The condition on the project and the name of what is asked for.
fn further(query: &Query) -> String {
    let project = query
        .project
        .map(|project| format!(" AND project = {}", literal(project)));
    let name = only_thread(&query.filters).map(|name| format!(" AND name = {}", text(name)));
    project.unwrap_or_default() + &name.unwrap_or_default()
}

/// The threads that have traces, with what is known of them.
async fn builds(reader: &Reader, query: &Query) -> Result<Vec<Build>> {
    let further = further(query);
    let now = reader.clock.now();
    let known = reader.known_threads(&query.workspace, &further).await?;
    let mut builds: BTreeMap<ThreadKey, Build> = known
        .into_iter()
        .map(|(key, known)| {
            let build = Build {
                thread: known.at(now),
                traces: Vec::new(),
                environment_at: None,
            };
            (key, build)
        })
        .collect();
    let sql = format!(
        "SELECT DISTINCT toString(id) AS id FROM {TABLE} WHERE workspace = {} AND kind = {} AND name != ''{further}",
        text(&query.workspace),
        number_of(Kind::Trace)
    );
    let traces = reader.ids(&sql).await?;
    for part in traces.chunks(PART) {
        let of = (Kind::Trace, query.workspace.as_str());
        for known in reader.by_id(of, part, Detail::Outline).await?.into_values() {
            gather(&mut builds, &known);
        }
    }
    let mut builds: Vec<Build> = builds.into_values().collect();
    builds.retain(|build| {
        let start = build.thread.start;
        !build.traces.is_empty()
            && query
                .since
                .is_none_or(|since| start.is_some_and(|start| start >= since))
            && query
                .until
                .is_none_or(|until| start.is_some_and(|start| start < until))
    });
    for build in &mut builds {
        build.traces.sort_unstable();
    }
    Ok(builds)
}

/// Adds a trace to its thread.
fn gather(builds: &mut BTreeMap<ThreadKey, Build>, known: &Known) {
    let fields = &known.stored.fields;
    let key = fields.thread.clone().map(|name| (known.project, name));
    let Some(build) = key.and_then(|key| builds.get_mut(&key)) else {
        return;
    };
    let start = fields
        .start
        .or_else(|| id_time(known.stored.id))
        .unwrap_or_default();
    let thread = &mut build.thread;
    thread.start = Some(thread.start.map_or(start, |own| own.min(start)));
    thread.end = thread.end.max(fields.end);
    thread.traces += 1;
    if build.environment_at.is_none_or(|at| at <= start) {
        build.environment_at = Some(start);
        thread.environment.clone_from(&fields.environment);
    }
    build.traces.push((start, known.stored.id));
}

/// Adds the first and the last message.
async fn messages(reader: &Reader, workspace: &str, builds: &mut [Build]) -> Result<()> {
    let ends = |build: &Build| (build.traces.first().copied(), build.traces.last().copied());
    for builds in builds.chunks_mut(PART / 10) {
        let mut ids: Vec<Uuid> = Vec::new();
        for build in builds.iter() {
            let (first, last) = ends(build);
            ids.extend(first.into_iter().chain(last).map(|(_, id)| id));
        }
        let found = reader
            .by_id((Kind::Trace, workspace), &ids, Detail::Whole)
            .await?;
        for build in builds {
            let (first, last) = ends(build);
            let of = |trace: Option<(Timestamp, Uuid)>| Some(&found.get(&trace?.1)?.stored.fields);
            build.thread.first_message = of(first).and_then(|fields| fields.input.clone());
            build.thread.last_message = of(last).and_then(|fields| fields.output.clone());
        }
    }
    Ok(())
}

/// Adds what the spans count and cost.
async fn count(reader: &Reader, workspace: &str, builds: &mut [Build]) -> Result<()> {
    let traces = builds
        .iter()
        .flat_map(|build| build.traces.iter().map(|(_, id)| *id));
    let traces: Vec<Uuid> = traces.collect();
    let mut totals = reader.totals(workspace, &traces).await?;
    for build in builds {
        for (_, id) in &build.traces {
            let (spans, cost) = totals.remove(id).unwrap_or_default().answer();
            for (name, count) in spans.usage {
                let sum = build.thread.usage.entry(name).or_default();
                *sum = sum.saturating_add(count);
            }
            if let Some(more) = cost {
                build.thread.cost = Some(build.thread.cost.unwrap_or_default() + more);
            }
        }
    }
    Ok(())
}
