//! Reading records: by key, and in lists whose pages go on after the last record, whatever happened meanwhile.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value as Sql};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_kernel::{
    Result as KernelResult,
    ports::{Page, Record, RecordKey, RecordQuery},
};

use super::{
    super::{
        cursor::{Cursor, time},
        rules,
    },
    tables::Table,
};
use crate::sqlite::{Error, Result};

const COLUMNS: &str = "project, id, version, created, updated, body";

/// One record.
pub(super) fn get(
    connection: &Connection,
    path: &Path,
    table: Table,
    key: &RecordKey,
) -> Result<Option<Record>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {} WHERE project = ?1 AND id = ?2",
        table.name()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let stored = statement
        .query_row(params![key.project, key.id], Stored::read)
        .optional()?;
    stored.map(|stored| stored.record(path, table)).transpose()
}

/// A row as it lies in the file.
struct Stored {
    project: String,
    id: String,
    version: i64,
    created: i64,
    updated: i64,
    body: String,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            project: row.get(0)?,
            id: row.get(1)?,
            version: row.get(2)?,
            created: row.get(3)?,
            updated: row.get(4)?,
            body: row.get(5)?,
        })
    }

    fn record(self, path: &Path, table: Table) -> Result<Record> {
        let body =
            serde_json::from_str(&self.body).map_err(|error| Error::damaged(path, error.to_string()))?;
        Ok(Record {
            key: RecordKey {
                collection: table.collection().to_owned(),
                project: self.project,
                id: self.id,
            },
            version: self.version.unsigned_abs(),
            created: time(self.created),
            updated: time(self.updated),
            body,
        })
    }
}

/// A value of the ordered field. A real is kept as its bits, since its text need not come back the same, and a
/// place that is off by the last bit repeats or skips records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Mark {
    #[serde(rename = "n")]
    Null,
    #[serde(rename = "i")]
    Integer(i64),
    #[serde(rename = "r")]
    Real(u64),
    #[serde(rename = "t")]
    Text(String),
}

impl Mark {
    fn of(value: Sql) -> Self {
        match value {
            Sql::Integer(integer) => Self::Integer(integer),
            Sql::Real(real) => Self::Real(real.to_bits()),
            Sql::Text(text) => Self::Text(text),
            Sql::Null | Sql::Blob(_) => Self::Null,
        }
    }

    fn sql(&self) -> Sql {
        match self {
            Self::Null => Sql::Null,
            Self::Integer(integer) => Sql::Integer(*integer),
            Self::Real(bits) => Sql::Real(f64::from_bits(*bits)),
            Self::Text(text) => Sql::Text(text.clone()),
        }
    }
}

/// A list, ready to be read.
pub(super) struct List {
    table: Table,
    sql: String,
    values: Vec<Sql>,
    limit: usize,
    /// Which list it is, for its cursors.
    order: String,
}

impl List {
    /// Puts the statement together.
    ///
    /// # Errors
    /// `Invalid` when the query names a field that is not indexed, a value that is no scalar, or a page of another
    /// list.
    pub(super) fn plan(table: Table, query: &RecordQuery) -> KernelResult<Self> {
        let field = query.order_by.as_deref().unwrap_or("created");
        let order = expression(table, field)?;
        let list = rules::list_name(query);
        let (mut conditions, mut values) = conditions(table, query)?;
        if let Some(after) = &query.after {
            let cursor = Cursor::parse(after, &list)?;
            conditions.push(beyond(&order, query.descending, &cursor, &mut values));
        }
        let limit = rules::limit(query);
        let direction = if query.descending { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT {COLUMNS}, {order} FROM {} WHERE {} ORDER BY {order} {direction}, id {direction}, \
             project {direction} LIMIT {} OFFSET {}",
            table.name(),
            conditions.join(" AND "),
            limit + 1,
            query.skip,
        );
        Ok(Self {
            table,
            sql,
            values,
            limit,
            order: list,
        })
    }

    /// Reads the page.
    pub(super) fn run(self, connection: &Connection, path: &Path) -> Result<Page<Record>> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(self.values))?;
        let mut items: Vec<Record> = Vec::new();
        let mut last = Mark::Null;
        let mut more = false;
        while let Some(row) = rows.next()? {
            more = items.len() == self.limit;
            if more {
                break;
            }
            last = Mark::of(row.get(6)?);
            items.push(Stored::read(row)?.record(path, self.table)?);
        }
        let next = items.last().filter(|_| more).map(|record| {
            let cursor = Cursor {
                list: self.order,
                value: last,
                id: record.key.id.clone(),
                project: record.key.project.clone(),
            };
            cursor.text()
        });
        Ok(Page { items, next })
    }
}

/// How many records match.
pub(super) struct Count {
    sql: String,
    values: Vec<Sql>,
}

impl Count {
    /// Puts the statement together.
    ///
    /// # Errors
    /// `Invalid` when the query names a field that is not indexed, or a value that is no scalar.
    pub(super) fn plan(table: Table, query: &RecordQuery) -> KernelResult<Self> {
        let (conditions, values) = conditions(table, query)?;
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {}",
            table.name(),
            conditions.join(" AND ")
        );
        Ok(Self { sql, values })
    }

    /// Counts.
    pub(super) fn run(self, connection: &Connection) -> Result<u64> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let count: i64 = statement.query_row(params_from_iter(self.values), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

/// The conditions of a query but for its place in the order, and their values.
fn conditions(table: Table, query: &RecordQuery) -> KernelResult<(Vec<String>, Vec<Sql>)> {
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values = Vec::new();
    if let Some(project) = &query.project {
        conditions.push("project = ?".into());
        values.push(Sql::Text(project.clone()));
    }
    for (field, value) in &query.equals {
        conditions.push(equals(&expression(table, field)?, field, value, &mut values)?);
    }
    for within in &query.within {
        let expression = expression(table, &within.field)?;
        // Numbers sort below every text, so the lower bound leaves them out.
        conditions.push(format!("({expression} > ? AND {expression} < ?)"));
        values.extend([Sql::Text(within.above.clone()), Sql::Text(within.below.clone())]);
    }
    Ok((conditions, values))
}

fn expression(table: Table, field: &str) -> KernelResult<String> {
    table
        .expression(field)
        .ok_or_else(|| rules::not_indexed(table.declared(), field))
}

/// A comparison that keeps JSON's types apart: `1` is neither `true` nor `"1"`; null is also an absent field.
fn equals(expression: &str, field: &str, value: &Value, values: &mut Vec<Sql>) -> KernelResult<String> {
    let of_type = |types: &str| format!("json_type(body, '$.\"{field}\"') IN ({types})");
    let typed = match value {
        Value::Null => return Ok(format!("{expression} IS NULL")),
        Value::Bool(true) => of_type("'true'"),
        Value::Bool(false) => of_type("'false'"),
        Value::Number(_) => of_type("'integer', 'real'"),
        Value::String(_) => of_type("'text'"),
        Value::Array(_) | Value::Object(_) => {
            return Err(rules::not_a_scalar(field));
        }
    };
    values.push(sql(value));
    if rules::COLUMNS.contains(&field) {
        return Ok(format!("{expression} = ?"));
    }
    Ok(format!("({expression} = ? AND {typed})"))
}

/// The records after a place in the order. `SQLite` sorts NULL before everything else.
fn beyond(order: &str, descending: bool, cursor: &Cursor<Mark>, values: &mut Vec<Sql>) -> String {
    let than = if descending { "<" } else { ">" };
    let tie = format!("(id, project) {than} (?, ?)");
    let condition = match (&cursor.value, descending) {
        (Mark::Null, true) => format!("({order} IS NULL AND {tie})"),
        (Mark::Null, false) => format!("({order} IS NOT NULL OR {tie})"),
        (Mark::Integer(_) | Mark::Real(_) | Mark::Text(_), _) => {
            values.extend([cursor.value.sql(), cursor.value.sql()]);
            let nulls = if descending {
                format!(" OR {order} IS NULL")
            } else {
                String::new()
            };
            format!("({order} {than} ?{nulls} OR ({order} = ? AND {tie}))")
        }
    };
    values.extend([Sql::Text(cursor.id.clone()), Sql::Text(cursor.project.clone())]);
    condition
}

fn sql(value: &Value) -> Sql {
    match value {
        Value::Bool(value) => Sql::Integer(i64::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Sql::Integer(integer),
            (None, Some(real)) => Sql::Real(real),
            (None, None) => Sql::Null,
        },
        Value::String(text) => Sql::Text(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => Sql::Null,
    }
}

/// Up to `most` records of a table after a place in the file, and the place of the last.
pub(super) fn part(
    connection: &Connection,
    path: &Path,
    table: Table,
    after: i64,
    most: usize,
) -> Result<(Vec<Record>, i64)> {
    let sql = format!(
        "SELECT {COLUMNS}, seq FROM {} WHERE seq > ?1 ORDER BY seq LIMIT {most}",
        table.name()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([after])?;
    let (mut records, mut last) = (Vec::new(), after);
    while let Some(row) = rows.next()? {
        last = row.get(6)?;
        records.push(Stored::read(row)?.record(path, table)?);
    }
    Ok((records, last))
}
