//! What must be known before a batch is made into facts: looked up once, then kept up to what the batch tells.

use std::collections::{BTreeSet, HashMap, HashSet};

use stead_kernel::{
    Error, Result,
    ports::traces::{Fields, Kind, Put, Subject, ThreadChange, Threads, Write},
};
use uuid::Uuid;

use super::{fold::Known, read::Reader};
use crate::traces::merge::conflict;

/// A thread by workspace, project and name.
pub(super) type ThreadName = (String, Uuid, String);

/// The place of a thread's name among ranks.
const THREAD_RANK: usize = 17;

/// What a fact is about that is not what is told of an entry.
#[derive(Debug, Clone)]
pub(super) enum Whom {
    Entry(String, Kind, Uuid),
    Thread(ThreadName),
}

/// What an entry is part of.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) workspace: String,
    pub(super) project: Uuid,
    pub(super) day: i32,
    ids: Fields,
    pub(super) thread: Option<String>,
    thread_rank: i64,
}

impl Claim {
    fn of(known: &Known) -> Self {
        let fields = &known.stored.fields;
        Self {
            workspace: known.workspace.clone(),
            project: known.project,
            day: known.day,
            ids: ids(fields),
            thread: fields.thread.clone(),
            thread_rank: known.stored.ranks.get(THREAD_RANK).copied().unwrap_or(0),
        }
    }

    fn new(put: &Put, day: i32) -> Self {
        Self {
            workspace: put.workspace.clone(),
            project: put.project,
            day,
            ids: Fields::default(),
            thread: None,
            thread_rank: 0,
        }
    }

    /// Of what a write says another one.
    fn conflict(&self, put: &Put) -> Option<&'static str> {
        if self.workspace != put.workspace || self.project != put.project {
            return Some("project");
        }
        conflict(&self.ids, &put.fields)
    }

    /// Takes in what is told.
    pub(super) fn tell(&mut self, fields: &Fields, rank: i64) {
        self.ids.trace_id = self.ids.trace_id.or(fields.trace_id);
        self.ids.parent_span_id = self.ids.parent_span_id.or(fields.parent_span_id);
        if let Some(name) = &fields.thread
            && self
                .thread
                .as_ref()
                .is_none_or(|own| (rank, name) > (self.thread_rank, own))
        {
            (self.thread, self.thread_rank) = (Some(name.clone()), rank);
        }
    }
}

fn ids(fields: &Fields) -> Fields {
    Fields {
        trace_id: fields.trace_id,
        parent_span_id: fields.parent_span_id,
        ..Fields::default()
    }
}

/// What is known of all that a batch is about.
#[derive(Default)]
pub(super) struct Ground {
    pub(super) entries: HashMap<(Kind, Uuid), Claim>,
    pub(super) threads: HashMap<ThreadName, Uuid>,
    /// What each comment is on.
    pub(super) comments: HashMap<(String, Uuid), Whom>,
}

/// What a batch is about.
#[derive(Default)]
struct Asked {
    traces: BTreeSet<Uuid>,
    spans: BTreeSet<Uuid>,
    /// Traces that go with their spans.
    going: BTreeSet<Uuid>,
    /// Threads that go with their traces.
    going_threads: HashSet<ThreadName>,
    threads: HashSet<ThreadName>,
    thread_ids: BTreeSet<Uuid>,
    comments: BTreeSet<Uuid>,
}

impl Asked {
    fn take(&mut self, write: &Write) {
        match write {
            Write::Put(put) => {
                match put.kind {
                    Kind::Trace => self.traces.insert(put.id),
                    Kind::Span => self.spans.insert(put.id),
                };
                if let (Kind::Trace, Some(name)) = (put.kind, &put.fields.thread) {
                    self.threads
                        .insert((put.workspace.clone(), put.project, name.clone()));
                }
            }
            Write::Delete { kind, ids, .. } => match kind {
                Kind::Trace => {
                    self.traces.extend(ids);
                    self.going.extend(ids);
                }
                Kind::Span => self.spans.extend(ids),
            },
            Write::Score {
                workspace, subject, ..
            }
            | Write::Unscore {
                workspace, subject, ..
            } => {
                self.subject(workspace, subject);
            }
            Write::Comment { workspace, comment } => self.subject(workspace, &comment.subject),
            Write::EditComment { id, .. } => {
                self.comments.insert(*id);
            }
            Write::DeleteComments { ids, .. } => self.comments.extend(ids),
            Write::Thread {
                workspace,
                threads,
                change,
                ..
            } => match threads {
                Threads::Ids(ids) => self.thread_ids.extend(ids),
                Threads::Named(project, names) => {
                    let names = names
                        .iter()
                        .map(|name| (workspace.clone(), *project, name.clone()));
                    if *change == ThreadChange::Delete {
                        self.going_threads.extend(names.clone());
                    }
                    self.threads.extend(names);
                }
            },
            Write::DeleteProject { .. } => {}
        }
    }

    fn subject(&mut self, workspace: &str, subject: &Subject) {
        match subject {
            Subject::Entry(Kind::Trace, id) => {
                self.traces.insert(*id);
            }
            Subject::Entry(Kind::Span, id) => {
                self.spans.insert(*id);
            }
            Subject::Thread(project, name) => {
                self.threads
                    .insert((workspace.to_owned(), *project, name.clone()));
            }
        }
    }
}

impl Ground {
    /// Looks up what writes are about.
    pub(super) async fn look(reader: &Reader, writes: impl Iterator<Item = &Write> + Clone) -> Result<Self> {
        let mut asked = Asked::default();
        writes.clone().for_each(|write| asked.take(write));
        let mut ground = Self::default();
        for (_, name) in reader.threads_by_id(&asked.thread_ids).await? {
            asked.threads.insert(name);
        }
        if writes.clone().any(removes_threads_by_id) {
            asked.going_threads.extend(asked.threads.iter().cloned());
        }
        let going = reader.traces_of_threads(&asked.going_threads).await?;
        asked.traces.extend(&going);
        asked.going.extend(going);
        asked.spans.extend(reader.spans_of(&asked.going).await?);
        ground.look_entries(reader, &mut asked).await?;
        ground.look_comments(reader, &mut asked).await?;
        // A thread may have several ids, of which the smallest counts.
        ground.threads.extend(reader.thread_ids(&asked.threads).await?);
        Ok(ground)
    }

    async fn look_entries(&mut self, reader: &Reader, asked: &mut Asked) -> Result<()> {
        for (kind, ids) in [(Kind::Trace, &asked.traces), (Kind::Span, &asked.spans)] {
            for known in reader.claims(kind, ids).await? {
                let claim = Claim::of(&known);
                if let Some(name) = claim.thread.clone() {
                    let name = (claim.workspace.clone(), claim.project, name);
                    asked.threads.insert(name);
                }
                self.entries.insert((kind, known.stored.id), claim);
            }
        }
        Ok(())
    }

    async fn look_comments(&mut self, reader: &Reader, asked: &mut Asked) -> Result<()> {
        for (workspace, comment) in reader.comments_by_id(&asked.comments).await? {
            let whom = match comment.subject {
                Subject::Entry(kind, id) => Whom::Entry(workspace.clone(), kind, id),
                Subject::Thread(project, name) => {
                    let name = (workspace.clone(), project, name);
                    asked.threads.insert(name.clone());
                    Whom::Thread(name)
                }
            };
            self.comments.insert((workspace, comment.id), whom);
        }
        Ok(())
    }

    /// Why a request's changes cannot be made.
    pub(super) fn check(&self, request: &[Write]) -> Option<Error> {
        let mut told: HashMap<(Kind, Uuid), Claim> = HashMap::new();
        request.iter().find_map(|write| match write {
            Write::Put(put) => {
                let key = (put.kind, put.id);
                let known = || self.entries.get(&key).cloned();
                let claim = told
                    .entry(key)
                    .or_insert_with(|| known().unwrap_or_else(|| Claim::new(put, 0)));
                let wrong = claim.conflict(put);
                claim.tell(&put.fields, 0);
                wrong.map(|what| {
                    Error::conflict(format!(
                        "{} {} is of another {what} already",
                        put.kind.as_str(),
                        put.id
                    ))
                })
            }
            Write::EditComment { workspace, id, .. } => {
                let known = self.comments.contains_key(&(workspace.clone(), *id));
                (!known).then(|| Error::not_found(format!("Comment not found: {id}")))
            }
            Write::Thread {
                workspace,
                threads: Threads::Ids(ids),
                ..
            } => {
                let mut ids = ids.iter();
                ids.find(|id| self.thread_of(workspace, **id).is_none())
                    .map(|id| Error::not_found(format!("Thread not found: {id}")))
            }
            _ => None,
        })
    }

    /// What an entry is part of, as it is told for the first time or was before.
    pub(super) fn claim(&mut self, put: &Put, day: i32) -> &mut Claim {
        let claim = self.entries.entry((put.kind, put.id));
        claim.or_insert_with(|| Claim::new(put, day))
    }

    /// The thread with an id.
    pub(super) fn thread_of(&self, workspace: &str, id: Uuid) -> Option<&ThreadName> {
        let mut threads = self.threads.iter();
        threads
            .find(|(name, own)| **own == id && name.0 == workspace)
            .map(|(name, _)| name)
    }

    /// The spans of a trace.
    pub(super) fn spans_of(&self, workspace: &str, trace: Uuid) -> impl Iterator<Item = Uuid> {
        let entries = self.entries.iter();
        entries
            .filter(move |((kind, _), claim)| {
                *kind == Kind::Span && claim.ids.trace_id == Some(trace) && claim.workspace == workspace
            })
            .map(|((_, id), _)| *id)
    }

    /// The traces of a thread.
    pub(super) fn traces_of(&self, (workspace, project, name): &ThreadName) -> Vec<Uuid> {
        let entries = self.entries.iter();
        entries
            .filter(|((kind, _), claim)| {
                *kind == Kind::Trace
                    && claim.workspace == *workspace
                    && claim.project == *project
                    && claim.thread.as_ref() == Some(name)
            })
            .map(|((_, id), _)| *id)
            .collect()
    }
}

fn removes_threads_by_id(write: &Write) -> bool {
    matches!(
        write,
        Write::Thread {
            threads: Threads::Ids(_),
            change: ThreadChange::Delete,
            ..
        }
    )
}
