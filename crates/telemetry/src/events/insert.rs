//! Writing into a day's file: rows, bodies and rollups in one transaction.

use std::{collections::HashMap, path::Path};

use rusqlite::{Connection, OptionalExtension, Statement, TransactionBehavior, params};
use stead_kernel::ports::events::RequestRow;

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

/// So many requests are removed in one commit, so that nobody waits long for it.
const PART: i64 = 500;

/// An open day's file. After a failure it must be dropped, since it may remember names that were rolled back.
pub(super) struct DayFile {
    connection: Connection,
    names: Names,
    day: Day,
    /// Whether any request was removed of which a note is kept.
    retired: bool,
}

impl DayFile {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path, day: Day) -> Result<Self> {
        let connection = sqlite::open(path, &schema::DAY)?;
        let noted = "SELECT EXISTS (SELECT 1 FROM gone)";
        let retired = connection.query_row(noted, [], |row| row.get(0))?;
        Ok(Self {
            connection,
            names: Names::default(),
            day,
            retired,
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

    /// Removes some of a project's requests of before a time, with their bodies; answers how many. Their ids are noted, so
    /// that one which is sent again is not counted again.
    pub(super) fn retire(&mut self, project: &str, before: i64) -> Result<u64> {
        self.retired = true;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let gone: Vec<i64> = {
            let mut statement = transaction.prepare_cached(
                "SELECT seq FROM requests WHERE project = (SELECT id FROM names WHERE text = ?1) AND at < ?2 LIMIT ?3",
            )?;
            let found = statement.query_map(params![project, before, PART], |row| row.get(0))?;
            found.collect::<rusqlite::Result<_>>()?
        };
        for seq in &gone {
            for sql in [
                "INSERT OR IGNORE INTO gone SELECT id FROM requests WHERE seq = ?1",
                "DELETE FROM bodies WHERE seq = ?1",
                "DELETE FROM requests WHERE seq = ?1",
            ] {
                transaction.prepare_cached(sql)?.execute([seq])?;
            }
        }
        transaction.commit()?;
        Ok(gone.len() as u64)
    }

    /// Whether an event is there, or was.
    pub(super) fn holds(&self, kind: Kind, id: &Id) -> Result<bool> {
        if kind == Kind::Request && self.retired && is_gone(&self.connection, id)? {
            return Ok(true);
        }
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
            retired,
        } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut sums: HashMap<Slot, Sums> = HashMap::new();
        let mut new = 0;
        let mut requests = transaction.prepare_cached(INSERT_REQUEST)?;
        for event in events {
            let (id, at) = (&event.id, day.nearest(event.at));
            let inserted = match &event.content {
                Content::Request(_) if *retired && is_gone(&transaction, id)? => false,
                Content::Request(request) => {
                    let slot = slot_of(&transaction, names, at, &request.row)?;
                    let inserted = insert_request(
                        &transaction,
                        &mut requests,
                        (&mut *names, slot),
                        (id, at),
                        request,
                    )?;
                    if inserted {
                        sums.entry(slot).or_default().add(&Sums::of(&request.row));
                    }
                    inserted
                }
                Content::Audit(audit) => insert_audit(&transaction, names, id, at, audit)?,
            };
            new += usize::from(inserted);
        }
        drop(requests);
        rollup::store(&transaction, &sums)?;
        transaction.commit()?;
        Ok(new)
    }
}

/// Whether a request was there and was removed.
fn is_gone(connection: &Connection, id: &Id) -> Result<bool> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM gone WHERE id = ?1")?;
    Ok(statement.exists([id])?)
}

/// What a request is summed with.
fn slot_of(connection: &Connection, names: &mut Names, at: i64, row: &RequestRow) -> Result<Slot> {
    Ok(Slot {
        minute: minute_of(at),
        project: names.number(connection, &row.project)?,
        user: names.number(connection, &row.user)?,
        key: names.number(connection, &row.key)?,
        model: names.number(connection, &row.model)?,
        provider: names.number(connection, &row.provider)?,
        route: names.number(connection, &row.route)?,
        team: names.number(connection, &row.team)?,
        replica: names.number(connection, &row.replica)?,
    })
}

/// Inserts a request by a statement of [`INSERT_REQUEST`], unless its id is there.
fn insert_request(
    connection: &Connection,
    statement: &mut Statement<'_>,
    (names, slot): (&mut Names, Slot),
    (id, at): (&Id, i64),
    request: &PackedRequest,
) -> Result<bool> {
    let row = &request.row;
    let inserted = statement.execute(params![
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
