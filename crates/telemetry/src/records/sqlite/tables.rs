//! A table per collection, with an index per declared field.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, TransactionBehavior};
use stead_kernel::{Collection, Result};

use super::{
    super::rules::{self, COLUMNS},
    Tables,
};
use crate::sqlite::{self, Layout};

/// The file itself; the tables of collections are made as they are declared.
const LAYOUT: Layout = Layout {
    what: "the record file",
    application_id: 0x5374_6572,
    migrations: &["CREATE TABLE collections (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"],
};
/// Files up to this size are checked whole when they are opened.
const CHECKED: u64 = 64 << 20;

/// A declared collection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    collection: Collection,
}

impl Table {
    /// What was declared.
    pub(super) fn declared(&self) -> &Collection {
        &self.collection
    }

    /// The collection's name.
    pub(super) fn collection(self) -> &'static str {
        self.collection.name
    }

    /// The table's name, quoted.
    pub(super) fn name(self) -> String {
        format!("\"{}\"", plain_name(self.collection.name))
    }

    /// The expression of a declared field or column, exactly as its index has it; nothing for any other.
    pub(super) fn expression(self, field: &str) -> Option<String> {
        if COLUMNS.contains(&field) {
            return Some(field.to_owned());
        }
        self.collection.indexes.contains(&field).then(|| extract(field))
    }

    fn create(self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (
                seq INTEGER PRIMARY KEY,
                project TEXT NOT NULL,
                id TEXT NOT NULL,
                version INTEGER NOT NULL,
                created INTEGER NOT NULL,
                updated INTEGER NOT NULL,
                body TEXT NOT NULL,
                UNIQUE (project, id)
            ) STRICT",
            self.name()
        )
    }

    /// The indexes that there should be: by name, what they are over.
    fn indexes(self) -> BTreeMap<String, String> {
        let fields = COLUMNS.into_iter().chain(self.collection.indexes.iter().copied());
        let index = |field: &str| {
            let expression = self.expression(field)?;
            Some((
                format!("{}/{field}", plain_name(self.collection.name)),
                expression,
            ))
        };
        fields.filter_map(index).collect()
    }
}

fn plain_name(collection: &str) -> String {
    format!("r/{collection}")
}

/// The value of a field of the body.
fn extract(field: &str) -> String {
    format!("json_extract(body, '$.\"{field}\"')")
}

/// The tables of the collections, whose names are checked.
pub(super) fn declare(collections: &[Collection]) -> Result<Tables> {
    rules::check_names(collections)?;
    let tables = collections.iter().map(|collection| {
        let table = Table {
            collection: *collection,
        };
        (collection.name, table)
    });
    Ok(tables.collect())
}

/// Opens the file for writing, and checks it.
pub(super) fn open(path: &Path) -> sqlite::Result<Connection> {
    let connection = sqlite::open(path, &LAYOUT)?;
    if sqlite::size(path) <= CHECKED {
        sqlite::check(&connection, path)?;
    }
    Ok(connection)
}

/// Makes the tables and indexes that are declared, and drops indexes that no longer are, in one transaction.
pub(super) fn reconcile(connection: &mut Connection, tables: &Tables) -> sqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for table in tables.values() {
        transaction.execute(&table.create(), [])?;
        transaction.execute(
            "INSERT OR IGNORE INTO collections VALUES (?1)",
            [table.collection()],
        )?;
        let wanted = table.indexes();
        for index in existing_indexes(&transaction, *table)? {
            if !wanted.contains_key(&index) {
                transaction.execute(&format!("DROP INDEX \"{index}\""), [])?;
            }
        }
        for (index, expression) in wanted {
            let columns = format!("project, {expression}, id");
            let sql = format!(
                "CREATE INDEX IF NOT EXISTS \"{index}\" ON {} ({columns})",
                table.name()
            );
            transaction.execute(&sql, [])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The names of a table's indexes, but for those that `SQLite` makes by itself.
fn existing_indexes(connection: &Connection, table: Table) -> sqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([plain_name(table.collection())], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}
