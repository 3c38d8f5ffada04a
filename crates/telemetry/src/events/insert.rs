//! Writing into a day's file: rows, bodies and rollups in one transaction.

use std::{collections::HashMap, path::Path};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{
    names::Names,
    pack::{Content, Id, Kind, Packed, PackedAudit, PackedRequest, count, outcome_number},
    rollup::{self, Slot, Sums, minute_of},
    schema,
};
use crate::{
    day::Day,
    sqlite::{self, Result},
};

const INSERT_REQUEST: &str = "
INSERT OR IGNORE INTO requests (
    id, at, trace, project, user, key, model, provider, route, provider_model, dialect, operation, stream, status,
    outcome, duration_us, first_token_us, input, output, cached_input, reasoning, cost, error, attempts, labels,
    team, replica, usage, spans)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
    ?24, ?25, ?26, ?27, ?28, ?29)";
const INSERT_AUDIT: &str = "
INSERT OR IGNORE INTO audit (
    id, at, user, verb, api_group, resource, subresource, project, name, resource_version, detail)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// An open day's file. After a failure it must be dropped, since it may remember names that were rolled back.
pub(super) struct DayFile {
    connection: Connection,
    names: Names,
    day: Day,
}

impl DayFile {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path, day: Day) -> Result<Self> {
        Ok(Self {
            connection: sqlite::open(path, &schema::DAY)?,
            names: Names::default(),
            day,
        })
    }

    /// The connection, for reading.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, to be closed.
    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    /// Whether an event is there.
    pub(super) fn holds(&self, kind: Kind, id: &Id) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE id = ?1", kind.table());
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row([id], |_| Ok(())).optional()?.is_some())
    }

    /// Stores what is not there yet; all of it or nothing. Returns how many were new.
    pub(super) fn insert(&mut self, events: &[&Packed]) -> Result<usize> {
        let Self {
            connection,
            names,
            day,
        } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut sums: HashMap<Slot, Sums> = HashMap::new();
        let mut new = 0;
        for event in events {
            let at = day.nearest(event.at);
            let inserted = match &event.content {
                Content::Request(request) => {
                    insert_request(&transaction, names, &event.id, at, request, &mut sums)?
                }
                Content::Audit(audit) => insert_audit(&transaction, names, &event.id, at, audit)?,
            };
            new += usize::from(inserted);
        }
        rollup::store(&transaction, &sums)?;
        transaction.commit()?;
        Ok(new)
    }
}

/// Inserts a request unless its id is there; only a new one is summed.
fn insert_request(
    connection: &Connection,
    names: &mut Names,
    id: &Id,
    at: i64,
    request: &PackedRequest,
    sums: &mut HashMap<Slot, Sums>,
) -> Result<bool> {
    let row = &request.row;
    let slot = Slot {
        minute: minute_of(at),
        project: names.number(connection, &row.project)?,
        user: names.number(connection, &row.user)?,
        key: names.number(connection, &row.key)?,
        model: names.number(connection, &row.model)?,
        provider: names.number(connection, &row.provider)?,
        route: names.number(connection, &row.route)?,
        team: names.number(connection, &row.team)?,
        replica: names.number(connection, &row.replica)?,
    };
    let inserted = connection.prepare_cached(INSERT_REQUEST)?.execute(params![
        id,
        at,
        request.trace,
        slot.project,
        slot.user,
        slot.key,
        slot.model,
        slot.provider,
        slot.route,
        names.number(connection, &row.provider_model)?,
        names.number(connection, &row.dialect)?,
        names.number(connection, &row.operation)?,
        row.stream,
        row.status,
        outcome_number(row.outcome),
        count(row.duration_us),
        row.first_token_us.map(count),
        count(row.usage.input),
        count(row.usage.output),
        count(row.usage.cached_input),
        count(row.usage.reasoning),
        row.cost.map(|cost| cost.0),
        (!row.error.is_empty()).then_some(&row.error),
        request.attempts,
        request.labels,
        slot.team,
        slot.replica,
        request.usage,
        request.spans,
    ])?;
    if inserted == 0 {
        return Ok(false);
    }
    if request.input.is_some() || request.output.is_some() {
        connection
            .prepare_cached("INSERT INTO bodies VALUES (?1, ?2, ?3)")?
            .execute(params![
                connection.last_insert_rowid(),
                request.input,
                request.output
            ])?;
    }
    sums.entry(slot).or_default().add(&Sums::of(row));
    Ok(true)
}

fn insert_audit(
    connection: &Connection,
    names: &mut Names,
    id: &Id,
    at: i64,
    audit: &PackedAudit,
) -> Result<bool> {
    let row = &audit.row;
    let inserted = connection.prepare_cached(INSERT_AUDIT)?.execute(params![
        id,
        at,
        names.number(connection, &row.user)?,
        names.number(connection, &row.verb)?,
        names.number(connection, &row.group)?,
        names.number(connection, &row.resource)?,
        names.number(connection, &row.subresource)?,
        names.number(connection, &row.project)?,
        row.name,
        row.resource_version,
        audit.detail,
    ])?;
    Ok(inserted > 0)
}
