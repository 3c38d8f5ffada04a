//! What is wrong with the content of a state file that SQLite itself finds sound, and how that is put right while no
//! server uses it.
//!
//! *Invariant:* what an object says of itself is believed; columns and tables that were derived from it are made anew.

use std::{collections::BTreeSet, path::Path};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use serde_json::Value;

use crate::{
    engine::codec::SEALED,
    object,
    store::{self, ChangeKind},
};

/// How far the version goes ahead when changes may have been lost, so that no version is used twice.
const GAP: u64 = 1_000_000;
/// How the names of collections begin that no kind serves.
const INTERNAL: &str = "stead.internal/";
/// Under which of them it is noted that a file was put right.
const REPAIRS: &str = "stead.internal/repairs";

/// A row that does not agree with its object.
struct Fault {
    id: i64,
    what: String,
    /// What the columns should be; `None` when the object cannot be read.
    right: Option<(bool, BTreeSet<String>)>,
}

/// What is wrong with the content of a state file, a line each; reads only.
///
/// # Errors
/// When the file cannot be read.
pub fn state_faults(path: &Path) -> stead_kernel::Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = Connection::open_with_flags(path, flags).and_then(|connection| {
        let mut lines: Vec<String> = faults(&connection)?.into_iter().map(|fault| fault.what).collect();
        lines.extend(orphans(&connection)?);
        lines.extend(lost_changes(&connection)?);
        Ok(lines)
    });
    found.map_err(|error| store::describe(path, error))
}

/// Puts right what [`state_faults`] finds, in one transaction, and says what it did, a line each. Objects that cannot
/// be read are removed, so that the file must have been copied before. With `cut`, rows may be missing: watches from
/// before then have to begin anew.
///
/// # Errors
/// When the file cannot be written.
pub fn mend_state(path: &Path, cut: bool) -> stead_kernel::Result<Vec<String>> {
    let mended = Connection::open(path).and_then(|mut connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut did = Vec::new();
        let lost = lost_changes(&transaction)?.is_some();
        let orphans = transaction.execute(
            "DELETE FROM owners WHERE object NOT IN (SELECT id FROM objects)",
            [],
        )?;
        if orphans > 0 {
            did.push(format!(
                "{orphans} owners of objects that are not there were removed"
            ));
        }
        for fault in faults(&transaction)? {
            mend(&transaction, &fault)?;
            let how = if fault.right.is_some() {
                "put right"
            } else {
                "left out"
            };
            did.push(format!("{how}: {}", fault.what));
        }
        if cut || lost || !did.is_empty() {
            begin_anew(&transaction)?;
            did.push("watches have to begin anew".into());
        }
        transaction.commit()?;
        Ok(did)
    });
    mended.map_err(|error| store::describe(path, error))
}

fn faults(connection: &Connection) -> rusqlite::Result<Vec<Fault>> {
    let mut statement = connection.prepare(
        "SELECT id, resource, namespace, name, uid, deleting, body,
            (SELECT coalesce(group_concat(owner, char(0)), '') FROM owners WHERE object = objects.id)
         FROM objects ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (resource, namespace, name, uid): (String, String, String, String) =
            (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let body: Vec<u8> = row.get(6)?;
        // Whether what is sealed is whole is found out when it is opened.
        if resource.starts_with(INTERNAL) || body.first() == Some(&SEALED) {
            continue;
        }
        let owners: String = row.get(7)?;
        let owners: BTreeSet<String> = owners
            .split('\0')
            .filter(|uid| !uid.is_empty())
            .map(str::to_owned)
            .collect();
        let place = format!("{resource} {namespace}/{name}");
        let fault = match serde_json::from_slice::<Value>(&body) {
            Err(_) => Some((format!("{place} is no JSON"), None)),
            Ok(object) if !is_itself(&object, &namespace, &name, &uid) => {
                Some((format!("{place} holds another object"), None))
            }
            Ok(object) => {
                let right = (
                    object::is_deleting(&object),
                    object::owner_uids(&object).into_iter().collect(),
                );
                let agrees = right == (row.get(5)?, owners);
                (!agrees).then(|| {
                    (
                        format!("{place} has other owners or another state than it says"),
                        Some(right),
                    )
                })
            }
        };
        if let Some((what, right)) = fault {
            let id = row.get(0)?;
            found.push(Fault { id, what, right });
        }
    }
    Ok(found)
}

/// Whether an object is the one that its row is for.
fn is_itself(object: &Value, namespace: &str, name: &str, uid: &str) -> bool {
    object::name(object) == name && object::namespace(object) == namespace && object::uid(object) == uid
}

fn mend(connection: &Connection, fault: &Fault) -> rusqlite::Result<()> {
    let Some((deleting, owners)) = &fault.right else {
        connection.execute("DELETE FROM owners WHERE object = ?1", [fault.id])?;
        connection.execute("DELETE FROM objects WHERE id = ?1", [fault.id])?;
        return Ok(());
    };
    connection.execute(
        "UPDATE objects SET deleting = ?2 WHERE id = ?1",
        (fault.id, deleting),
    )?;
    connection.execute("DELETE FROM owners WHERE object = ?1", [fault.id])?;
    for owner in owners {
        connection.execute(
            "INSERT INTO owners (owner, object) VALUES (?1, ?2)",
            (owner, fault.id),
        )?;
    }
    Ok(())
}

/// Owners of objects that are not there.
fn orphans(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT count(*) FROM owners WHERE object NOT IN (SELECT id FROM objects)";
    let count: u64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok((count > 0).then(|| format!("{count} owners belong to objects that are not there")))
}

/// The newest change has the state's version, so that no object may be newer.
fn lost_changes(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let (objects, changes) = newest(connection)?;
    Ok((objects > changes)
        .then(|| format!("the newest object has version {objects}, the newest change {changes}")))
}

fn newest(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT (SELECT coalesce(max(version), 0) FROM objects), (SELECT coalesce(max(version), 0) FROM changes)";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Forgets all changes and goes on with a version that none of them had, even if the newest ones were lost.
fn begin_anew(connection: &Connection) -> rusqlite::Result<()> {
    let (objects, changes) = newest(connection)?;
    connection.execute("DELETE FROM changes", [])?;
    connection.execute(
        "INSERT INTO changes (version, resource, namespace, name, kind) VALUES (?1, ?2, '', 'state', ?3)",
        (objects.max(changes) + GAP, REPAIRS, ChangeKind::Deleted.code()),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{Action, Content, Key, Store, Write};

    fn create(name: &str) -> Write {
        let content = Content {
            body: object(name, "o").into_bytes().into(),
            owners: vec!["o".into()],
            deleting: false,
        };
        Write {
            key: Key::new(&"things".into(), "", name),
            action: Action::Create {
                uid: format!("uid-{name}"),
                content,
                definition: None,
            },
            audit: None,
            was: None,
        }
    }

    fn object(name: &str, owner: &str) -> String {
        let metadata = json!({"name": name, "uid": format!("uid-{name}"),
            "ownerReferences": [{"uid": owner}]});
        json!({"metadata": metadata}).to_string()
    }

    #[tokio::test]
    async fn what_was_derived_is_made_anew_and_what_cannot_be_read_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        let store = Store::open(path.clone()).await.expect("a store");
        for name in ["a", "b", "c"] {
            store.write(create(name)).await.expect("written");
        }
        store.close().await;
        let fine = |path: &Path| state_faults(path).expect("readable");
        assert_eq!(fine(&path), Vec::<String>::new());
        let connection = Connection::open(&path).expect("a connection");
        connection
            .execute_batch(
                "UPDATE objects SET deleting = 1 WHERE name = 'a';
                 UPDATE objects SET body = CAST('garbage' AS BLOB) WHERE name = 'b';
                 UPDATE objects SET body = CAST(replace(body, 'uid-c', 'uid-x') AS BLOB) WHERE name = 'c';
                 PRAGMA foreign_keys = OFF;
                 INSERT INTO owners VALUES ('nobody', 4711);
                 DELETE FROM changes WHERE version = (SELECT max(version) FROM changes);",
            )
            .expect("damaged");
        drop(connection);
        let found = fine(&path);
        assert_eq!(found.len(), 5, "{found:?}");
        let did = mend_state(&path, false).expect("mended");
        assert_eq!(did.len(), found.len(), "{did:?}");
        assert_eq!(fine(&path), Vec::<String>::new());
        let store = Store::open(path).await.expect("a store again");
        let version = store.write(create("d")).await.expect("written");
        assert!(version > GAP, "{version}");
        store.close().await;
    }
}
