//! What spans cost, summed up by project, model, provider, user and hour from the narrow columns.
//!
//! *Invariant:* each span's cost is rounded to billionths of a dollar before it is added, so that sums are exact in any
//! order and over any division.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use stead_kernel::ports::{
    NanoUsd,
    traces::{CostQuery, CostRow},
};
use uuid::Uuid;

use super::{
    files::{File, Files},
    read::days_of_trace,
    rows,
};
use crate::{day::time, sqlite::Result};

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;
/// The deepest that spans lie in each other; what is deeper goes in a circle.
const DEEPEST: usize = 1_000;

/// Spans in one project begin in this hour with this model, provider and user.
type Key = (String, String, String, String, i64);

/// Spans, tokens and cost.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    spans: i64,
    input: i64,
    output: i64,
    cost: i64,
}

/// Each span that has a cost, with what it is summed by.
const PRICED: &str = "SELECT id, project, coalesce(model, '') AS model, coalesce(provider, '') AS provider, created_by, \
    coalesce(start, created) AS began, \
    coalesce(json_extract(usage, '$[0]'), json_extract(usage, '$.prompt_tokens'), 0) AS input, \
    coalesce(json_extract(usage, '$[1]'), json_extract(usage, '$.completion_tokens'), 0) AS output, CAST(round(cost * 1e9) AS INTEGER) AS nanos \
    FROM entries WHERE kind = 1 AND cost IS NOT NULL";

/// Sums over the spans that have a cost.
pub(super) fn costs(files: &Files, query: &CostQuery) -> Result<Vec<CostRow>> {
    let (days, _stay) = files.days();
    let counted = counted(files, &query.counted)?;
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    for day in days {
        let read = files.read(File::Day(day), |connection| {
            add_day(connection, query, &mut sums)?;
            for id in &counted {
                take_out(connection, query, *id, &mut sums)?;
            }
            Ok(())
        });
        match read {
            Err(error) if error.is_damage() => {
                tracing::error!(%day, %error, "the file of this day of traces cannot be read; it is left out of sums");
            }
            other => other?,
        }
    }
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let rows = sums.into_iter().filter(|(_, sum)| sum.spans > 0);
    Ok(rows
        .map(|((workspace, model, provider, user, hour), sum)| CostRow {
            workspace,
            model,
            provider,
            user,
            hour: time(hour.saturating_mul(HOUR)),
            spans: count(sum.spans),
            input: count(sum.input),
            output: count(sum.output),
            cost: NanoUsd(sum.cost),
        })
        .collect())
}

/// The condition on the time at which spans began, and its two bounds.
fn bounds(query: &CostQuery) -> (i64, i64) {
    let since = query
        .since
        .map_or(i64::MIN, stead_kernel::Timestamp::as_microsecond);
    let until = query
        .until
        .map_or(i64::MAX, stead_kernel::Timestamp::as_microsecond);
    (since, until)
}

fn add_day(connection: &Connection, query: &CostQuery, sums: &mut BTreeMap<Key, Sum>) -> Result<()> {
    let projects = rows::projects(connection)?;
    let (since, until) = bounds(query);
    for (number, (workspace, _)) in projects {
        if !query.workspaces.contains(&workspace) {
            continue;
        }
        let sql = format!(
            "SELECT model, provider, created_by, began / {HOUR}, count(*), sum(input), sum(output), sum(nanos) \
             FROM ({PRICED} AND project = ?1) WHERE began >= ?2 AND began < ?3 GROUP BY 1, 2, 3, 4"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut found = statement.query(params![number, since, until])?;
        while let Some(row) = found.next()? {
            let key = (
                workspace.clone(),
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
            );
            let sum = sums.entry(key).or_default();
            sum.spans += row.get::<_, i64>(4)?;
            sum.input += row.get::<_, i64>(5)?;
            sum.output += row.get::<_, i64>(6)?;
            sum.cost += row.get::<_, i64>(7)?;
        }
    }
    Ok(())
}

/// Takes a span out of the sums, if it is in them and in this file.
fn take_out(
    connection: &Connection,
    query: &CostQuery,
    id: Uuid,
    sums: &mut BTreeMap<Key, Sum>,
) -> Result<()> {
    let (since, until) = bounds(query);
    let sql = format!(
        "SELECT workspace, model, provider, created_by, began / {HOUR}, input, output, nanos \
         FROM ({PRICED} AND id = ?1) JOIN projects ON projects.n = project WHERE began >= ?2 AND began < ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement
        .query_row(params![id.as_bytes(), since, until], |row| {
            let key: Key = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            let own = Sum {
                spans: 1,
                input: row.get(5)?,
                output: row.get(6)?,
                cost: row.get(7)?,
            };
            Ok((key, own))
        })
        .optional()?;
    let Some((key, own)) = found else { return Ok(()) };
    if let Some(sum) = sums.get_mut(&key) {
        sum.spans -= own.spans;
        sum.input -= own.input;
        sum.output -= own.output;
        sum.cost -= own.cost;
    }
    Ok(())
}

/// The spans whose cost is counted elsewhere: those that made the requests, and all that they are in.
fn counted(files: &Files, made: &[(Uuid, Uuid)]) -> Result<HashSet<Uuid>> {
    let mut traces: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for (trace, span) in made {
        traces.entry(*trace).or_default().push(*span);
    }
    let mut counted = HashSet::new();
    for (trace, spans) in traces {
        let mut parents: HashMap<Uuid, Option<Uuid>> = HashMap::new();
        let days = files.read(File::Index, |index| days_of_trace(files, index, trace))?;
        for day in days {
            files.read(File::Day(day), |connection| {
                let mut statement = connection
                    .prepare_cached("SELECT id, parent FROM entries WHERE trace = ?1 AND kind = 1")?;
                let mut found = statement.query([trace.as_bytes()])?;
                while let Some(row) = found.next()? {
                    let parent: Option<[u8; 16]> = row.get(1)?;
                    parents.insert(Uuid::from_bytes(row.get(0)?), parent.map(Uuid::from_bytes));
                }
                Ok(())
            })?;
        }
        for span in spans {
            counted.extend(upward(span, &parents));
        }
    }
    Ok(counted)
}

/// A span and all that it is in, as far as they are known by their parents.
pub(super) fn upward(
    span: Uuid,
    parents: &HashMap<Uuid, Option<Uuid>>,
) -> impl Iterator<Item = Uuid> + use<'_> {
    let known = |span: &Uuid| parents.contains_key(span);
    let first = Some(span).filter(known);
    let next = move |own: &Uuid| parents.get(own).copied().flatten().filter(known);
    std::iter::successors(first, next).take(DEEPEST)
}
