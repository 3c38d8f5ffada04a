//! A table per collection; a column and an index per declared field.

use std::collections::BTreeMap;

use deadpool_postgres::{Object, Transaction};
use serde_json::Value;
use stead_kernel::{Collection, Error, Result};
use tokio_postgres::types::ToSql;

use super::{
    super::rules::{self, COLUMNS},
    connect::broken,
    key,
};

/// The layout that this program writes.
const LAYOUT: i32 = 1;
/// Held while tables are made, so that processes that start together take turns: `stead` in ASCII.
const LOCK: i64 = 0x0073_7465_6164;
/// How many bytes of a field an index holds; an entry of `PostgreSQL`'s has at most 2,704.
const INDEXED: usize = 512;
/// How many rows are given a new field at once.
const PART: i64 = 1_000;

/// The declared collections by name.
pub(super) type Tables = BTreeMap<&'static str, Table>;

/// A declared collection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    collection: Collection,
}

/// What a list may be ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// A column of whole numbers.
    Column(&'static str),
    /// A declared field's column, quoted.
    Field(String),
}

impl Order {
    /// The expressions to order by, the first of which the index has.
    pub(super) fn expressions(&self) -> Vec<String> {
        match self {
            Self::Column(name) => vec![(*name).to_owned()],
            Self::Field(column) => vec![head(column), column.clone()],
        }
    }
}

/// The part of a field that its index has.
pub(super) fn head(column: &str) -> String {
    format!("substring({column} from 1 for {INDEXED})")
}

/// The same part of a value.
pub(super) fn head_of(key: &[u8]) -> Vec<u8> {
    key.iter().take(INDEXED).copied().collect()
}

impl Table {
    /// What was declared.
    pub(super) fn declared(&self) -> &Collection {
        &self.collection
    }

    /// The table's name, quoted.
    pub(super) fn name(&self) -> String {
        format!("\"{}\"", plain(self.collection.name))
    }

    /// The columns of declared fields, quoted, in their order.
    pub(super) fn columns(&self) -> impl Iterator<Item = String> + '_ {
        self.collection.indexes.iter().map(|field| column(field))
    }

    /// What is stored of the declared fields of a body, in the order of [`Self::columns`].
    pub(super) fn keys(&self, body: &Value) -> Vec<Vec<u8>> {
        let fields = self.collection.indexes.iter();
        fields.map(|field| key::key(body.get(field))).collect()
    }

    /// What a field's name orders by.
    ///
    /// # Errors
    /// `Invalid` when it is not declared.
    pub(super) fn order(&self, field: &str) -> Result<Order> {
        if let Some(name) = COLUMNS.into_iter().find(|name| *name == field) {
            return Ok(Order::Column(name));
        }
        if self.collection.indexes.contains(&field) {
            return Ok(Order::Field(column(field)));
        }
        Err(rules::not_indexed(&self.collection, field))
    }

    fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (
                project text COLLATE \"C\" NOT NULL,
                id text COLLATE \"C\" NOT NULL,
                version bigint NOT NULL,
                created bigint NOT NULL,
                updated bigint NOT NULL,
                body json NOT NULL,
                PRIMARY KEY (project, id)
            )",
            self.name()
        )
    }

    /// The indexes that there should be, with what they are over.
    fn indexes(&self) -> Vec<(String, String)> {
        let name = |field: &str| format!("{}/{field}", plain(self.collection.name));
        let columns = COLUMNS.into_iter().map(|field| (name(field), field.to_owned()));
        let fields = self.collection.indexes.iter();
        columns
            .chain(fields.map(|field| (name(field), head(&column(field)))))
            .collect()
    }
}

fn plain(collection: &str) -> String {
    format!("stead/{collection}")
}

fn column(field: &str) -> String {
    format!("\"/{field}\"")
}

/// The tables of the collections, whose names were checked.
pub(super) fn declare(collections: &[Collection]) -> Tables {
    collections
        .iter()
        .map(|collection| {
            let table = Table {
                collection: *collection,
            };
            (collection.name, table)
        })
        .collect()
}

/// Makes what is declared and not there, in one transaction that only one process makes at a time.
///
/// # Errors
/// `Unsupported` when a newer version made the tables; `Unavailable` when the server fails.
pub(super) async fn reconcile(client: &mut Object, tables: &Tables) -> Result<()> {
    let transaction = client.transaction().await.map_err(broken)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(broken)?;
    check_layout(&transaction).await?;
    for table in tables.values() {
        reconcile_one(&transaction, table).await?;
    }
    transaction.commit().await.map_err(broken)
}

async fn check_layout(transaction: &Transaction<'_>) -> Result<()> {
    transaction
        .batch_execute("CREATE TABLE IF NOT EXISTS \"stead\" (layout integer NOT NULL)")
        .await
        .map_err(broken)?;
    let row = transaction
        .query_opt("SELECT max(layout) FROM \"stead\"", &[])
        .await
        .map_err(broken)?;
    match row.and_then(|row| row.get::<_, Option<i32>>(0)) {
        None => {
            transaction
                .execute("INSERT INTO \"stead\" VALUES ($1)", &[&LAYOUT])
                .await
                .map_err(broken)?;
            Ok(())
        }
        Some(LAYOUT) => Ok(()),
        Some(layout) => Err(Error::unsupported(format!(
            "the database of records has layout {layout}, and this version of stead knows {LAYOUT}"
        ))
        .hint("start the version that made it, or a newer one")),
    }
}

async fn reconcile_one(transaction: &Transaction<'_>, table: &Table) -> Result<()> {
    transaction.batch_execute(&table.create()).await.map_err(broken)?;
    let there = columns_of(transaction, table).await?;
    let wanted: Vec<String> = table.columns().collect();
    // A column that nobody fills any more would be wrong when it is declared again; its index goes with it.
    for gone in there.iter().filter(|column| !wanted.contains(column)) {
        let sql = format!("ALTER TABLE {} DROP COLUMN {gone}", table.name());
        transaction.batch_execute(&sql).await.map_err(broken)?;
    }
    let new: Vec<&String> = wanted.iter().filter(|column| !there.contains(column)).collect();
    for column in &new {
        let sql = format!(
            "ALTER TABLE {} ADD COLUMN {column} bytea NOT NULL DEFAULT '\\x00'",
            table.name()
        );
        transaction.batch_execute(&sql).await.map_err(broken)?;
    }
    if !new.is_empty() {
        fill(transaction, table).await?;
    }
    for (name, expression) in table.indexes() {
        let sql = format!(
            "CREATE INDEX IF NOT EXISTS \"{name}\" ON {} (project, {expression}, id)",
            table.name()
        );
        transaction.batch_execute(&sql).await.map_err(broken)?;
    }
    Ok(())
}

async fn columns_of(transaction: &Transaction<'_>, table: &Table) -> Result<Vec<String>> {
    let sql = "SELECT quote_ident(attname) FROM pg_attribute
               WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attname LIKE '/%'";
    let rows = transaction.query(sql, &[&table.name()]).await.map_err(broken)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Stores the declared fields of every record beside it.
async fn fill(transaction: &Transaction<'_>, table: &Table) -> Result<()> {
    let name = table.name();
    let select = format!(
        "SELECT project, id, body::text FROM {name} WHERE (project, id) > ($1, $2) ORDER BY project, id LIMIT {PART}"
    );
    let columns: Vec<String> = table.columns().collect();
    let sets: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| format!("{column} = ${}", index + 3))
        .collect();
    let update = format!(
        "UPDATE {name} SET {} WHERE project = $1 AND id = $2",
        sets.join(", ")
    );
    let (mut project, mut id) = (String::new(), String::new());
    loop {
        let rows = transaction
            .query(&select, &[&project, &id])
            .await
            .map_err(broken)?;
        for row in &rows {
            (project, id) = (row.get(0), row.get(1));
            let body: Value = serde_json::from_str(row.get(2)).unwrap_or_default();
            let keys = table.keys(&body);
            let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&project, &id];
            parameters.extend(keys.iter().map(|key| key as &(dyn ToSql + Sync)));
            transaction.execute(&update, &parameters).await.map_err(broken)?;
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}
