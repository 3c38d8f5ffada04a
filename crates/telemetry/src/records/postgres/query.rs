//! Reading records: by key, and in lists whose pages go on after the last record, whatever happened meanwhile.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use deadpool_postgres::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    ports::{Page, Record, RecordKey, RecordQuery},
};
use tokio_postgres::{Row, types::ToSql};

use super::{
    super::{
        cursor::{Cursor, time},
        rules,
    },
    connect::broken,
    key,
    schema::{Order, Table, head, head_of},
};

const COLUMNS: &str = "project, id, version, created, updated, body::text";

/// One record.
pub(super) async fn get(client: &Object, table: &Table, key: &RecordKey) -> Result<Option<Record>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {} WHERE project = $1 AND id = $2",
        table.name()
    );
    let statement = client.prepare_cached(&sql).await.map_err(broken)?;
    let row = client
        .query_opt(&statement, &[&key.project, &key.id])
        .await
        .map_err(broken)?;
    row.map(|row| record(&row, table)).transpose()
}

/// The statement that reads a whole table.
pub(super) fn everything(table: &Table) -> String {
    format!("SELECT {COLUMNS} FROM {} ORDER BY project, id", table.name())
}

/// A record of a row.
///
/// # Errors
/// `Unavailable` when its body is no JSON that can be read.
pub(super) fn record(row: &Row, table: &Table) -> Result<Record> {
    let id: String = row.get(1);
    let body = serde_json::from_str(row.get(5)).map_err(|error| {
        Error::unavailable(format!(
            "record {id} of {} in the database is damaged",
            table.declared().name
        ))
        .because(error)
    })?;
    Ok(Record {
        key: RecordKey {
            collection: table.declared().name.to_owned(),
            project: row.get(0),
            id,
        },
        version: row.get::<_, i64>(2).unsigned_abs(),
        created: time(row.get(3)),
        updated: time(row.get(4)),
        body,
    })
}

/// A value of the ordered column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Mark {
    #[serde(rename = "i")]
    Integer(i64),
    /// A field's bytes in base64.
    #[serde(rename = "k")]
    Key(String),
}

impl Cursor<Mark> {
    /// The values that [`Order::expressions`] have at it, and the keys that break ties.
    fn values(&self, order: &Order) -> Result<Vec<Parameter>> {
        let mut values = match (&self.value, order) {
            (Mark::Integer(value), Order::Column(_)) => vec![Parameter::Integer(*value)],
            (Mark::Key(text), Order::Field(_)) => {
                let key = BASE64_URL_SAFE_NO_PAD
                    .decode(text)
                    .map_err(|_| rules::not_a_page())?;
                vec![Parameter::Bytes(head_of(&key)), Parameter::Bytes(key)]
            }
            _ => return Err(rules::not_a_page()),
        };
        values.push(Parameter::Text(self.id.clone()));
        values.push(Parameter::Text(self.project.clone()));
        Ok(values)
    }
}

/// A value of a statement.
#[derive(Debug)]
enum Parameter {
    Text(String),
    Integer(i64),
    Bytes(Vec<u8>),
}

impl Parameter {
    fn sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Text(value) => value,
            Self::Integer(value) => value,
            Self::Bytes(value) => value,
        }
    }
}

/// A statement's conditions and their values.
#[derive(Default)]
struct Conditions {
    texts: Vec<String>,
    values: Vec<Parameter>,
}

impl Conditions {
    fn of(table: &Table, query: &RecordQuery) -> Result<Self> {
        let mut all = Self::default();
        if let Some(project) = &query.project {
            let value = all.value(Parameter::Text(project.clone()));
            all.texts.push(format!("project = {value}"));
        }
        for (field, value) in &query.equals {
            all.equals(&table.order(field)?, field, value)?;
        }
        for within in &query.within {
            match table.order(&within.field)? {
                Order::Field(column) => all.within(&column, &within.above, &within.below),
                // Numbers are within no texts.
                Order::Column(_) => all.texts.push("FALSE".into()),
            }
        }
        Ok(all)
    }

    /// Takes a value in, and returns what stands for it.
    fn value(&mut self, value: Parameter) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn equals(&mut self, order: &Order, field: &str, value: &Value) -> Result<()> {
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            return Err(rules::not_a_scalar(field));
        }
        match order {
            Order::Column(name) => match value.as_i64() {
                Some(value) => {
                    let value = self.value(Parameter::Integer(value));
                    self.texts.push(format!("{name} = {value}"));
                }
                None => self.texts.push("FALSE".into()),
            },
            Order::Field(column) => {
                let key = key::key(Some(value));
                let start = self.value(Parameter::Bytes(head_of(&key)));
                let whole = self.value(Parameter::Bytes(key));
                self.texts
                    .push(format!("({} = {start} AND {column} = {whole})", head(column)));
            }
        }
        Ok(())
    }

    fn within(&mut self, column: &str, above: &str, below: &str) {
        let (above, below) = (key::text(above), key::text(below));
        let first = self.value(Parameter::Bytes(head_of(&above)));
        let last = self.value(Parameter::Bytes(head_of(&below)));
        let (above, below) = (
            self.value(Parameter::Bytes(above)),
            self.value(Parameter::Bytes(below)),
        );
        let start = head(column);
        self.texts.push(format!(
            "({start} >= {first} AND {start} <= {last} AND {column} > {above} AND {column} < {below})"
        ));
    }

    /// The records after a place in the order.
    fn beyond(&mut self, order: &Order, descending: bool, cursor: &Cursor<Mark>) -> Result<()> {
        let values = cursor.values(order)?;
        let values: Vec<String> = values.into_iter().map(|value| self.value(value)).collect();
        let than = if descending { "<" } else { ">" };
        self.texts.push(format!(
            "({}, id, project) {than} ({})",
            order.expressions().join(", "),
            values.join(", ")
        ));
        Ok(())
    }

    fn text(&self) -> String {
        if self.texts.is_empty() {
            return "TRUE".into();
        }
        self.texts.join(" AND ")
    }

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(Parameter::sql).collect()
    }
}

/// A list, ready to be read.
pub(super) struct List<'a> {
    table: &'a Table,
    sql: String,
    conditions: Conditions,
    limit: usize,
    order: Order,
    name: String,
}

impl<'a> List<'a> {
    /// Puts the statement together.
    ///
    /// # Errors
    /// `Invalid` when the query names a field that is not indexed, a value that is no scalar, or a page of another list.
    pub(super) fn plan(table: &'a Table, query: &RecordQuery) -> Result<Self> {
        let order = table.order(query.order_by.as_deref().unwrap_or("created"))?;
        let name = rules::list_name(query);
        let mut conditions = Conditions::of(table, query)?;
        if let Some(after) = &query.after {
            conditions.beyond(&order, query.descending, &Cursor::parse(after, &name)?)?;
        }
        let direction = if query.descending { "DESC" } else { "ASC" };
        let mut by = order.expressions();
        by.extend(["id".to_owned(), "project".to_owned()]);
        let by: Vec<String> = by.into_iter().map(|part| format!("{part} {direction}")).collect();
        let limit = rules::limit(query);
        let last = order.expressions().pop().unwrap_or_default();
        let sql = format!(
            "SELECT {COLUMNS}, {last} FROM {} WHERE {} ORDER BY {} LIMIT {} OFFSET {}",
            table.name(),
            conditions.text(),
            by.join(", "),
            limit + 1,
            query.skip,
        );
        Ok(Self {
            table,
            sql,
            conditions,
            limit,
            order,
            name,
        })
    }

    /// Reads the page.
    pub(super) async fn run(self, client: &Object) -> Result<Page<Record>> {
        let statement = client.prepare_cached(&self.sql).await.map_err(broken)?;
        let rows = client
            .query(&statement, &self.conditions.parameters())
            .await
            .map_err(broken)?;
        let more = rows.len() > self.limit;
        let rows = rows.get(..self.limit).unwrap_or(&rows);
        let items: Vec<Record> = rows
            .iter()
            .map(|row| record(row, self.table))
            .collect::<Result<_>>()?;
        let last = rows.last().filter(|_| more).zip(items.last());
        let next = last.map(|(row, record)| {
            let cursor = Cursor {
                value: match self.order {
                    Order::Column(_) => Mark::Integer(row.get(6)),
                    Order::Field(_) => Mark::Key(BASE64_URL_SAFE_NO_PAD.encode(row.get::<_, &[u8]>(6))),
                },
                list: self.name,
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
    conditions: Conditions,
}

impl Count {
    /// Puts the statement together.
    ///
    /// # Errors
    /// `Invalid` when the query names a field that is not indexed, or a value that is no scalar.
    pub(super) fn plan(table: &Table, query: &RecordQuery) -> Result<Self> {
        let conditions = Conditions::of(table, query)?;
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {}",
            table.name(),
            conditions.text()
        );
        Ok(Self { sql, conditions })
    }

    /// Counts.
    pub(super) async fn run(self, client: &Object) -> Result<u64> {
        let statement = client.prepare_cached(&self.sql).await.map_err(broken)?;
        let row = client
            .query_one(&statement, &self.conditions.parameters())
            .await
            .map_err(broken)?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }
}
