//! Texts that repeat, stored once per file as numbers.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::sqlite::Result;

/// How many names a writer remembers; clients choose model names, so they are not few by nature.
const REMEMBERED: usize = 10_000;

/// A file's names, for writing. Must be forgotten when a transaction that made names is rolled back.
#[derive(Default)]
pub(super) struct Names(HashMap<String, i64>);

impl Names {
    /// The number of a text, made when there is none.
    pub(super) fn number(&mut self, connection: &Connection, text: &str) -> Result<i64> {
        if text.is_empty() {
            return Ok(0);
        }
        if let Some(number) = self.0.get(text) {
            return Ok(*number);
        }
        let number = match find(connection, text)? {
            Some(number) => number,
            None => connection
                .prepare_cached("INSERT INTO names (text) VALUES (?1) RETURNING id")?
                .query_row([text], |row| row.get(0))?,
        };
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), number);
        Ok(number)
    }
}

/// The number of a text, if the file has it.
pub(super) fn find(connection: &Connection, text: &str) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM names WHERE text = ?1")?;
    Ok(statement.query_row([text], |row| row.get(0)).optional()?)
}

/// A file's names, for reading.
pub(super) struct Texts<'a> {
    connection: &'a Connection,
    known: HashMap<i64, String>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            known: HashMap::new(),
        }
    }

    /// The text of a number.
    pub(super) fn text(&mut self, number: i64) -> Result<String> {
        if let Some(text) = self.known.get(&number) {
            return Ok(text.clone());
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT text FROM names WHERE id = ?1")?;
        let text: String = statement.query_row([number], |row| row.get(0))?;
        self.known.insert(number, text.clone());
        Ok(text)
    }
}
