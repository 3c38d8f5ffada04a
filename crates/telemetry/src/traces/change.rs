//! Changes other than what is told of entries: scores, comments, threads, and what is removed.

use rusqlite::{Connection, OptionalExtension, params};
use stead_kernel::{
    Error as KernelError, Timestamp,
    ports::traces::{Comment, Kind, Score, Subject, TagChange, ThreadChange, Threads, Write},
};
use uuid::{NoContext, Uuid};

use super::{
    files::File,
    rollup::Changes,
    rows::{self, COLUMNS, Place, Stored, number},
    writer::Writer,
};
use crate::{day::Day, sqlite::Result};

/// The kind of a comment's subject that is a thread.
pub(super) const THREAD: i64 = 2;

/// Why a change cannot be made.
pub(super) fn check(writer: &mut Writer, write: &Write) -> Result<Option<KernelError>> {
    let refusal = match write {
        Write::EditComment { workspace, id, .. } => {
            let there = writer
                .index
                .prepare_cached("SELECT 1 FROM comments WHERE id = ?1 AND workspace = ?2")?
                .exists(params![id.as_bytes(), workspace])?;
            (!there).then(|| KernelError::not_found(format!("Comment not found: {id}")))
        }
        Write::Thread {
            workspace,
            threads: Threads::Ids(ids),
            ..
        } => {
            let mut gone = None;
            for id in ids {
                if thread_name(&writer.index, workspace, *id)?.is_none() {
                    gone = Some(KernelError::not_found(format!("Thread not found: {id}")));
                }
            }
            gone
        }
        _ => None,
    };
    Ok(refusal)
}

/// Makes a change that was checked.
pub(super) fn make(writer: &mut Writer, write: Write) -> Result<()> {
    match write {
        // What is told of entries does not come here.
        Write::Put(_) => Ok(()),
        Write::Delete { kind, workspace, ids } => ids
            .into_iter()
            .try_for_each(|id| delete(writer, kind, &workspace, id)),
        Write::Score {
            workspace,
            subject,
            score,
        } => give_score(writer, &workspace, subject, &score),
        Write::Unscore {
            workspace,
            subject,
            names,
            author,
        } => take_scores(writer, &workspace, subject, &names, author.as_deref()),
        Write::Comment { workspace, comment } => comment_on(writer, &workspace, &comment),
        Write::EditComment { id, text, at, by, .. } => {
            writer.begin(File::Index)?;
            writer
                .index
                .prepare_cached("UPDATE comments SET text = ?2, updated = ?3, updated_by = ?4 WHERE id = ?1")?
                .execute(params![id.as_bytes(), text, at.as_microsecond(), by])?;
            Ok(())
        }
        Write::DeleteComments { workspace, ids } => {
            writer.begin(File::Index)?;
            let mut statement = writer
                .index
                .prepare_cached("DELETE FROM comments WHERE id = ?1 AND workspace = ?2")?;
            for id in ids {
                statement.execute(params![id.as_bytes(), workspace])?;
            }
            Ok(())
        }
        Write::Thread {
            workspace,
            threads,
            change,
            at,
            by,
        } => change_threads(writer, &workspace, threads, &change, at, &by),
        Write::DeleteProject { workspace, project } => delete_project(writer, &workspace, project),
    }
}

const PUT_SCORE: &str = "INSERT INTO scores VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
     ON CONFLICT DO UPDATE SET value = ?6, category = ?7, reason = ?8, source = ?9, queue = ?10, updated = ?12";
const PUT_THREAD_SCORE: &str = "INSERT INTO thread_scores VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
     ON CONFLICT DO UPDATE SET value = ?4, category = ?5, reason = ?6, source = ?7, queue = ?8, updated = ?10";

fn give_score(writer: &mut Writer, workspace: &str, subject: Subject, score: &Score) -> Result<()> {
    let (created, updated) = (score.created.as_microsecond(), score.updated.as_microsecond());
    let queue = score.queue.as_ref().map(Uuid::as_bytes);
    match subject {
        Subject::Entry(kind, id) => {
            rescore(writer, kind, id, |connection| {
                connection.prepare_cached(PUT_SCORE)?.execute(params![
                    number(kind),
                    id.as_bytes(),
                    score.name,
                    score.author,
                    workspace,
                    score.value,
                    score.category,
                    score.reason,
                    score.source,
                    queue,
                    created,
                    updated
                ])?;
                Ok(())
            })?;
        }
        Subject::Thread(project, name) => {
            let thread = known_thread(writer, (workspace, project, &name), &score.author)?;
            writer.index.prepare_cached(PUT_THREAD_SCORE)?.execute(params![
                thread.as_bytes(),
                score.name,
                score.author,
                score.value,
                score.category,
                score.reason,
                score.source,
                queue,
                created,
                updated
            ])?;
        }
    }
    Ok(())
}

/// Changes the scores of an entry, and the sums with them.
fn rescore(
    writer: &mut Writer,
    kind: Kind,
    id: Uuid,
    change: impl FnOnce(&Connection) -> Result<()>,
) -> Result<()> {
    let day = writer.place(kind, id)?;
    writer.day(day)?;
    let file = writer.day_file(day)?;
    let row = rows::by_id(&file.connection, kind, id)?;
    let before = file.scores(kind, id)?;
    change(&file.connection)?;
    file.has_scores = true;
    let after = file.scores(kind, id)?;
    let mut changes = Changes::default();
    file.rescored(&mut changes, (row.as_ref(), &before), (row.as_ref(), &after));
    file.settle_traces(changes)
}

fn take_scores(
    writer: &mut Writer,
    workspace: &str,
    subject: Subject,
    names: &[String],
    author: Option<&str>,
) -> Result<()> {
    match subject {
        Subject::Entry(kind, id) => {
            rescore(writer, kind, id, |connection| {
                let mut statement = connection.prepare_cached(
                    "DELETE FROM scores WHERE kind = ?1 AND id = ?2 AND name = ?3 AND workspace = ?4 \
                     AND (?5 IS NULL OR author = ?5)",
                )?;
                for name in names {
                    statement.execute(params![number(kind), id.as_bytes(), name, workspace, author])?;
                }
                Ok(())
            })?;
        }
        Subject::Thread(project, name) => {
            let Some(thread) = thread_id(&writer.index, (workspace, project, &name))? else {
                return Ok(());
            };
            writer.begin(File::Index)?;
            let mut statement = writer.index.prepare_cached(
                "DELETE FROM thread_scores WHERE thread = ?1 AND name = ?2 AND (?3 IS NULL OR author = ?3)",
            )?;
            for name in names {
                statement.execute(params![thread.as_bytes(), name, author])?;
            }
        }
    }
    Ok(())
}

fn comment_on(writer: &mut Writer, workspace: &str, comment: &Comment) -> Result<()> {
    let (kind, subject, project, name) = match &comment.subject {
        Subject::Entry(kind, id) => (number(*kind), *id, None, None),
        Subject::Thread(project, name) => {
            let thread = known_thread(writer, (workspace, *project, name), &comment.created_by)?;
            (THREAD, thread, Some(*project), Some(name))
        }
    };
    writer.begin(File::Index)?;
    writer
        .index
        .prepare_cached("REPLACE INTO comments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?
        .execute(params![
            comment.id.as_bytes(),
            workspace,
            kind,
            subject.as_bytes(),
            project.as_ref().map(Uuid::as_bytes),
            name,
            comment.text,
            comment.queue.as_ref().map(Uuid::as_bytes),
            comment.created.as_microsecond(),
            comment.updated.as_microsecond(),
            comment.created_by,
            comment.updated_by
        ])?;
    Ok(())
}

/// The id of a thread, if it is known.
pub(super) fn thread_id(
    index: &Connection,
    (workspace, project, name): (&str, Uuid, &str),
) -> Result<Option<Uuid>> {
    let mut statement =
        index.prepare_cached("SELECT id FROM threads WHERE workspace = ?1 AND project = ?2 AND name = ?3")?;
    let id: Option<[u8; 16]> = statement
        .query_row(params![workspace, project.as_bytes(), name], |row| row.get(0))
        .optional()?;
    Ok(id.map(Uuid::from_bytes))
}

/// The project and name of a thread of a workspace.
pub(super) fn thread_name(index: &Connection, workspace: &str, id: Uuid) -> Result<Option<(Uuid, String)>> {
    let mut statement =
        index.prepare_cached("SELECT project, name FROM threads WHERE id = ?1 AND workspace = ?2")?;
    let found = statement.query_row(params![id.as_bytes(), workspace], |row| {
        let project: [u8; 16] = row.get(0)?;
        Ok((Uuid::from_bytes(project), row.get(1)?))
    });
    Ok(found.optional()?)
}

/// Notes that a trace tells of a thread, which opens it again.
pub(super) fn touch_thread(writer: &mut Writer, name: (&str, Uuid, &str), by: &str) -> Result<()> {
    let id = known_thread(writer, name, by)?;
    let now = writer.files.clock.now().as_microsecond();
    writer
        .index
        .prepare_cached("UPDATE threads SET updated = ?2, updated_by = ?3, closed = 0 WHERE id = ?1")?
        .execute(params![id.as_bytes(), now, by])?;
    Ok(())
}

/// The id of a thread, which is made known if it is not.
fn known_thread(writer: &mut Writer, name: (&str, Uuid, &str), by: &str) -> Result<Uuid> {
    writer.begin(File::Index)?;
    if let Some(id) = thread_id(&writer.index, name)? {
        return Ok(id);
    }
    let now = writer.files.clock.now();
    let id = new_id(now);
    let (workspace, project, name) = name;
    let now = now.as_microsecond();
    writer
        .index
        .prepare_cached("INSERT INTO threads VALUES (?1, ?2, ?3, ?4, 0, '[]', ?5, ?5, ?6, ?6)")?
        .execute(params![
            id.as_bytes(),
            workspace,
            project.as_bytes(),
            name,
            now,
            by
        ])?;
    Ok(id)
}

pub(super) fn new_id(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
}

fn change_threads(
    writer: &mut Writer,
    workspace: &str,
    threads: Threads,
    change: &ThreadChange,
    at: Timestamp,
    by: &str,
) -> Result<()> {
    let names: Vec<(Uuid, String)> = match threads {
        Threads::Named(project, names) => names.into_iter().map(|name| (project, name)).collect(),
        Threads::Ids(ids) => {
            let mut names = Vec::new();
            for id in ids {
                names.extend(thread_name(&writer.index, workspace, id)?);
            }
            names
        }
    };
    for (project, name) in names {
        if *change == ThreadChange::Delete {
            delete_thread(writer, workspace, project, &name)?;
            continue;
        }
        let id = known_thread(writer, (workspace, project, &name), by)?;
        match change {
            ThreadChange::Delete => {}
            ThreadChange::Open => touch_thread(writer, (workspace, project, &name), by)?,
            ThreadChange::Close => {
                let mut close = writer
                    .index
                    .prepare_cached("UPDATE threads SET closed = ?2 WHERE id = ?1")?;
                close.execute(params![id.as_bytes(), at.as_microsecond()])?;
            }
            ThreadChange::Tags(tags) => set_tags(&writer.index, id, tags)?,
            ThreadChange::ChangeTags(TagChange { add, remove }) => {
                let mut tags = tags_of(&writer.index, id)?;
                tags.retain(|tag| !remove.contains(tag));
                let new: Vec<_> = add.iter().filter(|tag| !tags.contains(tag)).cloned().collect();
                tags.extend(new);
                set_tags(&writer.index, id, &tags)?;
            }
        }
    }
    Ok(())
}

fn tags_of(index: &Connection, id: Uuid) -> Result<Vec<String>> {
    let mut statement = index.prepare_cached("SELECT tags FROM threads WHERE id = ?1")?;
    let text: String = statement.query_row([id.as_bytes()], |row| row.get(0))?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn set_tags(index: &Connection, id: Uuid, tags: &[String]) -> Result<()> {
    let text = serde_json::to_string(tags).unwrap_or_else(|_| "[]".to_owned());
    let mut statement = index.prepare_cached("UPDATE threads SET tags = ?2 WHERE id = ?1")?;
    statement.execute(params![id.as_bytes(), text])?;
    Ok(())
}

/// The days in which spans of a trace may lie, besides the one that its id tells.
pub(super) fn spread(index: &Connection, trace: Uuid) -> Result<Vec<Day>> {
    let mut statement = index.prepare_cached("SELECT day FROM spread WHERE trace = ?1")?;
    let days = statement.query_map([trace.as_bytes()], |row| row.get(0).map(Day::from_number))?;
    Ok(days.collect::<rusqlite::Result<_>>()?)
}

/// Removes an entry, and a trace's spans with it.
fn delete(writer: &mut Writer, kind: Kind, workspace: &str, id: Uuid) -> Result<()> {
    let Some(held) = writer.hold(kind, id)? else {
        return Ok(());
    };
    if held.workspace != workspace {
        return Ok(());
    }
    let day = held.day;
    writer.let_go();
    delete_where(
        writer,
        day,
        "kind = ?1 AND id = ?2",
        params![number(kind), id.as_bytes()],
    )?;
    if kind == Kind::Span {
        return Ok(());
    }
    let mut days = spread(&writer.index, id)?;
    days.push(day);
    days.sort_unstable();
    days.dedup();
    for day in days {
        if writer.files.has(day) {
            delete_where(writer, day, "trace = ?1 AND kind = 1", params![id.as_bytes()])?;
        }
    }
    Ok(())
}

/// Removes the entries of a day that a condition holds for, with their bodies, scores and comments.
fn delete_where(
    writer: &mut Writer,
    day: Day,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<()> {
    let connection = writer.day(day)?;
    let found: Vec<Stored> = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM entries WHERE {condition}"))?
        .query_map(values, Stored::read)?
        .collect::<rusqlite::Result<_>>()?;
    let file = writer.day_file(day)?;
    let mut changes = Changes::default();
    for row in &found {
        file.changed(&mut changes, Some(row), None)?;
        let place = params![number(row.kind), row.id.as_bytes()];
        for sql in [
            "DELETE FROM entries WHERE kind = ?1 AND id = ?2",
            "DELETE FROM scores WHERE kind = ?1 AND id = ?2",
        ] {
            file.connection.prepare_cached(sql)?.execute(place)?;
        }
    }
    file.settle_traces(changes)?;
    let places: Vec<Place> = found.iter().filter_map(|row| row.body).collect();
    file.erase(&places)?;
    writer.forget_blocks();
    for row in found {
        writer.count(day, row.project, row.kind, -1)?;
        writer.begin(File::Index)?;
        writer
            .index
            .prepare_cached("DELETE FROM comments WHERE subject = ?1 AND kind = ?2")?
            .execute(params![row.id.as_bytes(), number(row.kind)])?;
    }
    Ok(())
}

/// The traces of a thread.
fn traces_of(writer: &mut Writer, workspace: &str, project: Uuid, name: &str) -> Result<Vec<Uuid>> {
    let (days, stay) = writer.files.days();
    drop(stay);
    let mut traces = Vec::new();
    for day in days {
        let number = writer.project(day, workspace, project)?;
        let found: Vec<[u8; 16]> = writer
            .day(day)?
            .prepare_cached("SELECT id FROM entries WHERE project = ?1 AND thread = ?2 AND kind = 0")?
            .query_map(params![number, name], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        traces.extend(found.into_iter().map(Uuid::from_bytes));
    }
    Ok(traces)
}

fn delete_thread(writer: &mut Writer, workspace: &str, project: Uuid, name: &str) -> Result<()> {
    for trace in traces_of(writer, workspace, project, name)? {
        delete(writer, Kind::Trace, workspace, trace)?;
    }
    let Some(id) = thread_id(&writer.index, (workspace, project, name))? else {
        return Ok(());
    };
    writer.begin(File::Index)?;
    for sql in [
        "DELETE FROM threads WHERE id = ?1",
        "DELETE FROM thread_scores WHERE thread = ?1",
        "DELETE FROM comments WHERE subject = ?1",
    ] {
        writer.index.prepare_cached(sql)?.execute([id.as_bytes()])?;
    }
    Ok(())
}

fn delete_project(writer: &mut Writer, workspace: &str, project: Uuid) -> Result<()> {
    let (days, stay) = writer.files.days();
    drop(stay);
    for day in days {
        let number = writer.project(day, workspace, project)?;
        delete_where(writer, day, "project = ?1", params![number])?;
    }
    writer.begin(File::Index)?;
    for sql in [
        "DELETE FROM thread_scores WHERE thread IN (SELECT id FROM threads WHERE workspace = ?1 AND project = ?2)",
        "DELETE FROM comments WHERE subject IN (SELECT id FROM threads WHERE workspace = ?1 AND project = ?2)",
        "DELETE FROM threads WHERE workspace = ?1 AND project = ?2",
    ] {
        writer
            .index
            .execute(sql, params![workspace, project.as_bytes()])?;
    }
    Ok(())
}
