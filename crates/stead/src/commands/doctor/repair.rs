//! `stead doctor --repair`: puts files of the data folder right while no server uses it.
//!
//! *Invariant:* a file is changed only after all its bytes were copied beside it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, types::Value};
use stead_kernel::{Error, Result, Timestamp};

/// The files that belong to a database besides its own, by what is added to its name.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// What was done to a file.
pub(super) struct Repaired {
    /// Where the bytes of before lie.
    pub(super) aside: PathBuf,
    /// A line each.
    pub(super) did: Vec<String>,
    /// Whether rows were lost.
    pub(super) cut: bool,
}

/// Repairs a database that SQLite finds damaged or whose content is to be mended: copies it aside, makes its indexes
/// anew, and if that does not help, copies every row that can be read into a new file, which takes its place.
///
/// # Errors
/// When the file cannot be copied or not even its schema can be read; it is as it was then.
pub(super) fn database(path: &Path, now: Timestamp) -> Result<Repaired> {
    let aside = set_aside(path, now)?;
    let mut repaired = Repaired {
        aside,
        did: Vec::new(),
        cut: false,
    };
    if is_sound(path) {
        return Ok(repaired);
    }
    if Connection::open(path)
        .and_then(|file| file.execute_batch("REINDEX"))
        .is_ok()
        && is_sound(path)
    {
        repaired.did.push("its indexes were made anew".into());
        return Ok(repaired);
    }
    let fresh = with_suffix(path, ".repair");
    let saved = salvage(path, &fresh).map_err(|error| {
        drop(fs::remove_file(&fresh));
        remove(&repaired.aside);
        Error::unavailable(format!("{} cannot be repaired", path.display()))
            .hint("restore a backup with `stead restore`")
            .because(error)
    })?;
    take_place(&fresh, path).map_err(|error| cannot_write(path, error))?;
    repaired.did.push(format!("{} rows were saved", saved.kept));
    repaired.did.extend(saved.lost);
    repaired.cut = true;
    Ok(repaired)
}

/// Whether SQLite finds every page and index of a file sound.
fn is_sound(path: &Path) -> bool {
    sound(path, "integrity_check").is_ok()
}

/// Asks SQLite whether a file is sound, by `quick_check` or, with indexes, `integrity_check`; else says why not.
pub(super) fn sound(path: &Path, check: &str) -> std::result::Result<(), String> {
    let verdict = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|file| file.query_row(&format!("PRAGMA {check}(1)"), [], |row| row.get::<_, String>(0)));
    match verdict {
        Ok(text) if text == "ok" => Ok(()),
        Ok(text) => Err(text),
        Err(error) => Err(error.to_string()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Copies a database and what is beside it; returns where the copy is.
fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf> {
    let aside = with_suffix(path, &format!(".damaged-{}", now.strftime("%Y%m%dT%H%M%SZ")));
    if aside.exists() {
        return Err(
            Error::conflict(format!("{} exists already", aside.display())).hint("try again in a second")
        );
    }
    let copy = |suffix: &str| -> io::Result<()> {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
        if from.exists() {
            fs::copy(&from, &to)?;
            File::open(&to)?.sync_all()?;
        }
        Ok(())
    };
    let copied = [""].into_iter().chain(BESIDE).try_for_each(copy);
    copied.map_err(|error| {
        remove(&aside);
        cannot_write(&aside, error)
    })?;
    Ok(aside)
}

/// Removes a copy that nobody needs.
fn remove(aside: &Path) {
    for suffix in [""].into_iter().chain(BESIDE) {
        drop(fs::remove_file(with_suffix(aside, suffix)));
    }
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("{} cannot be written", path.display()))
        .hint("make room on the disk, or make the folder writable; nothing was changed")
        .because(error)
}

/// Puts a new file where a damaged one was.
fn take_place(fresh: &Path, path: &Path) -> io::Result<()> {
    fs::set_permissions(fresh, fs::metadata(path)?.permissions())?;
    File::open(fresh)?.sync_all()?;
    for suffix in BESIDE {
        match fs::remove_file(with_suffix(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(fresh, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// What could be read of a damaged file.
struct Saved {
    kept: u64,
    lost: Vec<String>,
}

/// Copies every row that can be read into a new file with the same schema.
fn salvage(from: &Path, to: &Path) -> rusqlite::Result<Saved> {
    drop(fs::remove_file(to));
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut target = Connection::open(to)?;
    target.pragma_update(None, "journal_mode", "OFF")?;
    for pragma in ["application_id", "user_version"] {
        let number: i64 = source.pragma_query_value(None, pragma, |row| row.get(0))?;
        target.pragma_update(None, pragma, number)?;
    }
    let mut statement = source.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
         ORDER BY type <> 'table', rowid",
    )?;
    let parts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let parts: Vec<(String, String, String)> = parts.collect::<rusqlite::Result<_>>()?;
    let transaction = target.transaction()?;
    let mut saved = Saved {
        kept: 0,
        lost: Vec::new(),
    };
    for (sort, name, sql) in &parts {
        let made = transaction.execute_batch(sql);
        if sort == "table" {
            made?;
            table(&source, &transaction, name, &mut saved)?;
        } else if let Err(error) = made {
            saved
                .lost
                .push(format!("{sort} {name} could not be made: {error}"));
        }
    }
    transaction.commit()?;
    Ok(saved)
}

/// Copies a table. With row numbers, what is damaged is stepped over; without, it is read from both sides.
fn table(source: &Connection, target: &Connection, name: &str, saved: &mut Saved) -> rusqlite::Result<()> {
    let columns: Vec<String> = {
        let mut statement = target.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
        statement
            .query_map([name], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?
    };
    let quoted: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    let (list, marks) = (quoted.join(", "), vec!["?"; quoted.len()].join(", "));
    let insert = format!("INSERT OR IGNORE INTO {} ({list}) VALUES ({marks})", quote(name));
    let numbered: bool = target.query_row(
        "SELECT NOT wr FROM pragma_table_list WHERE name = ?1",
        [name],
        |row| row.get(0),
    )?;
    let mut copy = Copy {
        source,
        insert: target.prepare(&insert)?,
        columns: quoted.len(),
        list,
        table: quote(name),
        kept: 0,
        unread: 0,
        refused: 0,
        met: false,
    };
    let whole = if numbered {
        copy.by_number()?
    } else {
        copy.by_key(&key_of(target, name)?)?
    };
    saved.kept += copy.kept;
    if copy.unread > 0 {
        saved.lost.push(format!(
            "{} rows of {name} hold values that cannot be read",
            copy.unread
        ));
    }
    if copy.refused > 0 {
        saved.lost.push(format!(
            "{} rows of {name} go against its own rules, as two of one name do",
            copy.refused
        ));
    }
    if !whole {
        saved.lost.push(format!(
            "rows of {name} were lost: {} of them could be read",
            copy.kept
        ));
    }
    Ok(())
}

/// How reading went on.
enum Read {
    /// To the end, or to where the other side had come to.
    End,
    /// To damage, after the row with this number.
    Damage(i64),
}

/// The rows of a table on their way.
struct Copy<'a> {
    source: &'a Connection,
    insert: rusqlite::Statement<'a>,
    columns: usize,
    /// The columns, and the table, as a statement names them.
    list: String,
    table: String,
    kept: u64,
    unread: u64,
    refused: u64,
    /// Whether a row that is there already is where the other side had come to.
    met: bool,
}

impl Copy<'_> {
    /// Selects in the order of the rows themselves, so that no index is asked.
    fn select(&self, columns: &str, which: &str) -> String {
        format!("SELECT {columns} FROM {} NOT INDEXED {which}", self.table)
    }

    /// Says whether every row was there.
    fn by_number(&mut self) -> rusqlite::Result<bool> {
        let (mut after, mut whole) = (i64::MIN, true);
        loop {
            let reached = match self.read(&format!("WHERE rowid > {after} ORDER BY rowid"), "rowid")? {
                Read::End => return Ok(whole),
                Read::Damage(reached) => reached,
            };
            whole = false;
            // Where nothing was read, it is the first page; numbers mostly begin with 1.
            match self.beyond(after.max(reached).max(0)) {
                Some(next) => after = next,
                None => return Ok(false),
            }
        }
    }

    /// The smallest number after which a row can be read, where none can be after `bad`: further and further first,
    /// then back by halves.
    fn beyond(&self, bad: i64) -> Option<i64> {
        let sql = self.select(&self.list, "WHERE rowid > ?1 ORDER BY rowid LIMIT 1");
        let mut statement = self.source.prepare(&sql).ok()?;
        let mut good = |after: i64| {
            statement
                .query([after])
                .and_then(|mut rows| rows.next().map(|_| ()))
                .is_ok()
        };
        let (mut low, mut step) = (bad, 1_i64);
        let mut high = loop {
            let high = low.checked_add(step)?;
            if good(high) {
                break high;
            }
            (low, step) = (high, step.checked_mul(2)?);
        };
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if good(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }

    /// The same by the primary key.
    fn by_key(&mut self, key: &str) -> rusqlite::Result<bool> {
        let order = |direction: &str| {
            let parts: Vec<String> = key
                .split(", ")
                .map(|part| format!("{part} {direction}"))
                .collect();
            format!("ORDER BY {}", parts.join(", "))
        };
        if matches!(self.read(&order("ASC"), "0")?, Read::End) {
            return Ok(true);
        }
        self.met = true;
        self.read(&order("DESC"), "0")?;
        Ok(false)
    }

    /// Copies rows until there is none, or damage, or both sides have met.
    fn read(&mut self, which: &str, number: &str) -> rusqlite::Result<Read> {
        let sql = self.select(&format!("{}, {number}", self.list), which);
        let mut last = i64::MIN;
        let Ok(mut statement) = self.source.prepare(&sql) else {
            return Ok(Read::Damage(last));
        };
        let mut rows = statement.query([])?;
        loop {
            let Ok(row) = rows.next() else {
                return Ok(Read::Damage(last));
            };
            let Some(row) = row else { return Ok(Read::End) };
            last = row.get(self.columns)?;
            let values: rusqlite::Result<Vec<Value>> =
                (0..self.columns).map(|index| row.get(index)).collect();
            let Ok(values) = values else {
                self.unread += 1;
                continue;
            };
            match self.insert.execute(rusqlite::params_from_iter(values))? {
                0 if self.met => return Ok(Read::End),
                0 => self.refused += 1,
                _ => self.kept += 1,
            }
        }
    }
}

/// The columns of a table's primary key.
fn key_of(connection: &Connection, name: &str) -> rusqlite::Result<String> {
    let mut statement =
        connection.prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
    let columns = statement.query_map([name], |row| row.get::<_, String>(0))?;
    let columns: Vec<String> = columns
        .map(|name| name.map(|name| quote(&name)))
        .collect::<rusqlite::Result<_>>()?;
    Ok(columns.join(", "))
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    const ROWS: i64 = 2_000;

    fn now() -> Timestamp {
        "2026-12-01T01:02:03Z".parse().unwrap()
    }

    /// A database with two tables and an index.
    fn filled(folder: &Path) -> PathBuf {
        let path = folder.join("a.db");
        let file = Connection::open(&path).unwrap();
        file.execute_batch(
            "PRAGMA user_version = 3; PRAGMA application_id = 77;
             CREATE TABLE things (id INTEGER PRIMARY KEY, \"odd name\" TEXT NOT NULL UNIQUE) STRICT;
             CREATE TABLE pairs (a TEXT, b INTEGER, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID;
             CREATE INDEX by_b ON pairs (b);",
        )
        .unwrap();
        for number in 0..ROWS {
            let text = format!("{number:04} {}", "x".repeat(100));
            file.execute("INSERT INTO things VALUES (?1, ?2)", (number, &text))
                .unwrap();
            file.execute("INSERT INTO pairs VALUES (?1, ?2)", (&text, number))
                .unwrap();
        }
        path
    }

    fn count(path: &Path, table: &str) -> i64 {
        let file = Connection::open(path).unwrap();
        file.query_row(&format!("SELECT count(*) FROM {table} NOT INDEXED"), [], |row| {
            row.get(0)
        })
        .unwrap()
    }

    /// Overwrites a page of a table or an index, so many parts of it from its start.
    fn damage_at(path: &Path, part: &str, place: usize, of: usize) {
        damage_from(path, part, 1, |count| count * place / of);
    }

    /// Overwrites pages in the middle of a table or an index.
    fn damage(path: &Path, part: &str, pages: usize) {
        damage_from(path, part, pages, |count| count / 2);
    }

    fn damage_from(path: &Path, part: &str, pages: usize, begin: impl Fn(usize) -> usize) {
        let numbers: Vec<i64> = {
            let file = Connection::open(path).unwrap();
            let mut statement = file
                .prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path")
                .unwrap();
            let numbers = statement.query_map([part], |row| row.get(0)).unwrap();
            numbers.collect::<rusqlite::Result<_>>().unwrap()
        };
        let middle = begin(numbers.len());
        let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
        for number in &numbers[middle..middle + pages] {
            file.seek(SeekFrom::Start(u64::try_from(number - 1).unwrap() * 4096))
                .unwrap();
            file.write_all(&[0xAB; 4096]).unwrap();
        }
    }

    #[test]
    fn a_damaged_index_is_made_anew_and_no_row_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = filled(folder.path());
        damage(&path, "by_b", 2);
        assert!(!is_sound(&path));
        let before = fs::read(&path).unwrap();
        let repaired = database(&path, now()).unwrap();
        assert!(is_sound(&path));
        assert_eq!((count(&path, "things"), count(&path, "pairs")), (ROWS, ROWS));
        assert_eq!(fs::read(&repaired.aside).unwrap(), before);
        assert!(repaired.aside.ends_with("a.db.damaged-20261201T010203Z"));
    }

    #[test]
    fn of_a_damaged_table_every_row_that_can_be_read_is_kept() {
        for part in ["things", "pairs"] {
            let folder = tempfile::tempdir().unwrap();
            let path = filled(folder.path());
            damage(&path, part, 1);
            let repaired = database(&path, now()).unwrap();
            assert!(is_sound(&path), "{:?}", repaired.did);
            assert!(repaired.cut && repaired.did.len() > 1, "{:?}", repaired.did);
            let other = if part == "things" { "pairs" } else { "things" };
            assert_eq!(count(&path, other), ROWS);
            // A page holds some thirty rows.
            assert!(
                (ROWS - 60..ROWS).contains(&count(&path, part)),
                "{}",
                count(&path, part)
            );
            let file = Connection::open(&path).unwrap();
            let version: i64 = file
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap();
            assert_eq!(version, 3);
        }
    }

    #[test]
    fn rows_between_two_damaged_pages_are_kept_and_a_value_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = filled(folder.path());
        let file = Connection::open(&path).unwrap();
        file.execute(
            "UPDATE things SET \"odd name\" = CAST(x'ff61' AS TEXT) WHERE id = 7",
            [],
        )
        .unwrap();
        drop(file);
        damage_at(&path, "things", 1, 4);
        damage_at(&path, "things", 3, 4);
        let repaired = database(&path, now()).unwrap();
        assert!(is_sound(&path), "{:?}", repaired.did);
        assert!(
            (ROWS - 120..ROWS - 20).contains(&count(&path, "things")),
            "{}",
            count(&path, "things")
        );
        assert!(
            repaired
                .did
                .iter()
                .any(|line| line.contains("1 rows of things hold values")),
            "{:?}",
            repaired.did
        );
    }

    #[test]
    fn a_row_against_the_rules_of_its_table_does_not_end_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let (path, to) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let file = Connection::open(&path).unwrap();
        file.execute_batch(
            "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT);
             INSERT INTO things VALUES (1, 'a'), (2, 'a'), (3, 'b');
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = 'CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT CHECK (id <> 2))';",
        )
        .unwrap();
        drop(file);
        let saved = salvage(&path, &to).unwrap();
        assert_eq!((count(&to, "things"), saved.kept), (2, 2));
        assert!(
            saved.lost.iter().any(|line| line.contains("1 rows of things")),
            "{:?}",
            saved.lost
        );
    }

    #[test]
    fn what_is_no_database_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        fs::write(&path, [7; 9_000]).unwrap();
        assert!(database(&path, now()).is_err());
        assert_eq!(fs::read(&path).unwrap(), [7; 9_000]);
        assert!(!with_suffix(&path, ".repair").exists());
    }
}
