//! Writing records: a commit is a transaction, tried again when another's stood in its way.

use deadpool_postgres::{Object, Transaction};
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    ports::{Record, RecordKey, RecordWrite},
};
use tokio_postgres::{Row, error::SqlState, types::ToSql};

use super::{
    super::rules::{conflict, expected, key_of, undeclared},
    connect::broken,
    schema::{Table, Tables},
};

/// How often a commit is tried when others lock what it needs in another order.
const TRIES: usize = 10;

/// Why a commit was not made.
enum Failure {
    /// It breaks a rule.
    Refused(Error),
    /// The row came or went between two statements.
    Moved,
    /// The server says no, or nothing.
    Server(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

/// Makes all the changes, or none.
///
/// # Errors
/// `Conflict` when a version is not the expected one; `Unavailable` when the server fails: when the way to it broke in the last
/// moment, the changes may have been made.
pub(super) async fn commit(
    client: &mut Object,
    tables: &Tables,
    writes: &[RecordWrite],
    now: i64,
) -> Result<Vec<u64>> {
    let mut tries = 1;
    loop {
        match once(client, tables, writes, now).await {
            Ok(versions) => return Ok(versions),
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Moved) if tries < TRIES => tries += 1,
            Err(Failure::Moved) => {
                return Err(
                    Error::conflict("the records were changed again and again meanwhile")
                        .hint("read them again, and make the change on what they are now"),
                );
            }
            Err(Failure::Server(error)) if tries < TRIES && is_in_the_way(&error) => tries += 1,
            Err(Failure::Server(error)) => return Err(broken(error)),
        }
    }
}

fn is_in_the_way(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
    })
}

async fn once(
    client: &mut Object,
    tables: &Tables,
    writes: &[RecordWrite],
    now: i64,
) -> Result<Vec<u64>, Failure> {
    let transaction = client.transaction().await?;
    let mut versions = Vec::with_capacity(writes.len());
    for write in writes {
        let collection = key_of(write).collection.as_str();
        let table = tables
            .get(collection)
            .ok_or_else(|| Failure::Refused(undeclared(collection)))?;
        versions.push(apply(&transaction, table, write, now).await?);
    }
    transaction.commit().await?;
    Ok(versions)
}

/// A write changes a row only while it has the expected version; when none was changed, the version that is there says why.
async fn apply(
    transaction: &Transaction<'_>,
    table: &Table,
    write: &RecordWrite,
    now: i64,
) -> Result<u64, Failure> {
    let key = key_of(write);
    let changed = match write {
        RecordWrite::Put { body, expected, .. } => put(transaction, table, key, *expected, body, now).await?,
        RecordWrite::Delete { expected, .. } => delete(transaction, table, key, *expected).await?,
    };
    if let Some(version) = changed {
        return Ok(version);
    }
    let found = found(transaction, table, key).await?;
    match (expected(write), write) {
        (Some(expected), _) if expected != found => Err(Failure::Refused(conflict(key, expected, found))),
        // Nothing was there to be removed, and nothing else was expected.
        (_, RecordWrite::Delete { .. }) if found == 0 => Ok(0),
        _ => Err(Failure::Moved),
    }
}

async fn found(transaction: &Transaction<'_>, table: &Table, key: &RecordKey) -> Result<u64, Failure> {
    let sql = format!(
        "SELECT version FROM {} WHERE project = $1 AND id = $2",
        table.name()
    );
    let row = run(transaction, &sql, &[&key.project, &key.id]).await?;
    Ok(row.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
}

async fn put(
    transaction: &Transaction<'_>,
    table: &Table,
    key: &RecordKey,
    expected: Option<u64>,
    body: &Value,
    now: i64,
) -> Result<Option<u64>, Failure> {
    let name = table.name();
    let fields: Vec<String> = table.columns().collect();
    let text = body.to_string();
    let keys = table.keys(body);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&key.project, &key.id, &now, &text];
    parameters.extend(keys.iter().map(|key| key as &(dyn ToSql + Sync)));
    let number = |index: usize| format!("${}", index + 5);
    let sets = joined(
        fields
            .iter()
            .enumerate()
            .map(|(index, field)| format!(", {field} = {}", number(index))),
    );
    let wanted = expected.map(|version| i64::try_from(version).unwrap_or(i64::MAX));
    let sql = match &wanted {
        Some(0) | None => {
            let columns = joined(fields.iter().map(|field| format!(", {field}")));
            let values = joined((0..fields.len()).map(|index| format!(", {}", number(index))));
            let otherwise = if wanted.is_none() {
                format!(
                    "(project, id) DO UPDATE SET version = {name}.version + 1, updated = $3, body = $4::text::json{sets}"
                )
            } else {
                "DO NOTHING".into()
            };
            format!(
                "INSERT INTO {name} (project, id, version, created, updated, body{columns})
                 VALUES ($1, $2, 1, $3, $3, $4::text::json{values}) ON CONFLICT {otherwise} RETURNING version"
            )
        }
        Some(version) => {
            parameters.push(version);
            format!(
                "UPDATE {name} SET version = version + 1, updated = $3, body = $4::text::json{sets}
                 WHERE project = $1 AND id = $2 AND version = ${} RETURNING version",
                parameters.len()
            )
        }
    };
    let row = run(transaction, &sql, &parameters).await?;
    Ok(row.map(|row| row.get::<_, i64>(0).unsigned_abs()))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().concat()
}

async fn delete(
    transaction: &Transaction<'_>,
    table: &Table,
    key: &RecordKey,
    expected: Option<u64>,
) -> Result<Option<u64>, Failure> {
    let sql = format!(
        "DELETE FROM {} WHERE project = $1 AND id = $2 AND version = coalesce($3, version) RETURNING version",
        table.name()
    );
    let wanted = expected.map(|version| i64::try_from(version).unwrap_or(i64::MAX));
    let row = run(transaction, &sql, &[&key.project, &key.id, &wanted]).await?;
    Ok(row.map(|_| 0))
}

async fn run(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<Row>, Failure> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_opt(&statement, parameters).await?)
}

/// Puts a record in as it is.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    table: &Table,
    record: &Record,
) -> Result<(), tokio_postgres::Error> {
    let fields: Vec<String> = table.columns().collect();
    let columns = joined(fields.iter().map(|field| format!(", {field}")));
    let values = joined((0..fields.len()).map(|index| format!(", ${}", index + 7)));
    let sql = format!(
        "INSERT INTO {} (project, id, version, created, updated, body{columns})
         VALUES ($1, $2, $3, $4, $5, $6::text::json{values})",
        table.name()
    );
    let (version, text) = (
        i64::try_from(record.version).unwrap_or(i64::MAX),
        record.body.to_string(),
    );
    let (created, updated) = (record.created.as_microsecond(), record.updated.as_microsecond());
    let keys = table.keys(&record.body);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![
        &record.key.project,
        &record.key.id,
        &version,
        &created,
        &updated,
        &text,
    ];
    parameters.extend(keys.iter().map(|key| key as &(dyn ToSql + Sync)));
    let statement = transaction.prepare_cached(&sql).await?;
    transaction.execute(&statement, &parameters).await?;
    Ok(())
}
