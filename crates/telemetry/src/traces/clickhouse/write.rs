//! The one writer: makes facts of what is told, and stores those of a batch at once.
//!
//! *Invariant:* the facts of a request travel in one insert, which is stored whole or not at all; a request that is
//! refused leaves no fact.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use stead_kernel::{
    Error, Result, Timestamp,
    ports::traces::{Comment, Kind, Put, Score, Subject, ThreadChange, Threads, Write},
};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    facts::{CommentTold, Fact, NO_DAY, ScoreTold, THREAD, UnscoreTold, What, json, number_of},
    ground::{Ground, ThreadName, Whom},
    read::Reader,
    schema::TABLE,
};
use crate::{
    day::Day,
    queue::Engine,
    traces::{change::new_id, merge::rank, rows::id_time},
};

pub(super) struct Writer {
    pub(super) reader: Arc<Reader>,
    pub(super) handle: Handle,
    pub(super) retention_days: i64,
    /// The place of the last fact.
    pub(super) last: u64,
    /// Tells this writer's facts from those of others.
    pub(super) name: u64,
}

/// The facts of a batch in the making.
struct Draft<'a> {
    ground: Ground,
    facts: Vec<Fact>,
    /// The threads that traces of this batch opened.
    touched: HashSet<ThreadName>,
    now: Timestamp,
    last: &'a mut u64,
    writer: u64,
    retention_days: i64,
}

impl Engine for Writer {
    type Work = Vec<Write>;
    type Answer = ();

    fn run(&mut self, batch: Vec<Vec<Write>>) -> Vec<Result<()>> {
        let handle = self.handle.clone();
        handle.block_on(self.batch(batch))
    }

    fn close(self) {}
}

impl Writer {
    async fn batch(&mut self, batch: Vec<Vec<Write>>) -> Vec<Result<()>> {
        let mut answers = Vec::with_capacity(batch.len());
        let mut together = Vec::new();
        for request in batch {
            let removes = request
                .iter()
                .any(|write| matches!(write, Write::DeleteProject { .. }));
            if removes {
                answers.extend(self.together(std::mem::take(&mut together)).await);
                answers.push(self.delete_projects(request).await);
            } else {
                together.push(request);
            }
        }
        answers.extend(self.together(together).await);
        answers
    }

    /// Makes the changes of several requests at once; each gets its own answer.
    async fn together(&mut self, requests: Vec<Vec<Write>>) -> Vec<Result<()>> {
        let count = requests.len();
        if count == 0 {
            return Vec::new();
        }
        let error = match self.try_together(requests).await {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        tracing::error!(error = %error.full_message(), "traces could not be stored in ClickHouse");
        let each = || {
            let mut again = Error::new(error.reason(), error.message());
            if let Some(hint) = error.get_hint() {
                again = again.hint(hint);
            }
            Err(match error.get_retry_after() {
                Some(delay) => again.retry_after(delay),
                None => again,
            })
        };
        std::iter::repeat_with(each).take(count).collect()
    }

    async fn try_together(&mut self, requests: Vec<Vec<Write>>) -> Result<Vec<Result<()>>> {
        let ground = Ground::look(&self.reader, requests.iter().flatten()).await?;
        let known = ground.entries.len();
        let mut draft = Draft {
            ground,
            facts: Vec::new(),
            touched: HashSet::new(),
            now: self.reader.clock.now(),
            last: &mut self.last,
            writer: self.name,
            retention_days: self.retention_days,
        };
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let refusal = draft.ground.check(&request);
            if refusal.is_none() {
                request.into_iter().try_for_each(|write| draft.make(write))?;
            }
            answers.push(refusal.map_or(Ok(()), Err));
        }
        let fresh = draft.ground.entries.len().saturating_sub(known) as u64;
        let mut rows = Vec::new();
        for fact in std::mem::take(&mut draft.facts) {
            fact.line(&mut rows)?;
        }
        if !rows.is_empty() {
            self.reader.server.insert(TABLE, rows).await?;
            self.reader.stored.fetch_add(fresh, Ordering::Relaxed);
        }
        Ok(answers)
    }

    /// Removes what is in projects. What else is in the request is stored before.
    async fn delete_projects(&mut self, request: Vec<Write>) -> Result<()> {
        let mut others = Vec::new();
        let mut projects = Vec::new();
        for write in request {
            match write {
                Write::DeleteProject { workspace, project } => projects.push((workspace, project)),
                other => others.push(other),
            }
        }
        for answer in self.together(vec![others]).await {
            answer?;
        }
        for (workspace, project) in projects {
            self.reader.delete_project(&workspace, project).await?;
        }
        Ok(())
    }
}

impl Draft<'_> {
    /// A fact takes its place.
    fn push(&mut self, mut fact: Fact) {
        let now = u64::try_from(self.now.as_microsecond()).unwrap_or(0);
        *self.last = now.max(self.last.saturating_add(1));
        fact.seq = *self.last;
        fact.writer = self.writer;
        fact.at = self.now.as_microsecond();
        self.facts.push(fact);
    }

    /// The day with which an entry goes that is not known yet: the one that its id tells, if that is kept; else today.
    fn day(&self, id: Uuid) -> i32 {
        let today = Day::of(self.now.as_microsecond()).number();
        let natural = id_time(id).map(|time| Day::of(time.as_microsecond()).number());
        let kept = natural.filter(|day| (today - self.retention_days + 1..=today + 1).contains(day));
        i32::try_from(kept.unwrap_or(today)).unwrap_or(NO_DAY)
    }

    fn make(&mut self, write: Write) -> Result<()> {
        match write {
            Write::Put(put) => self.put(*put),
            Write::Delete { kind, workspace, ids } => {
                for id in ids {
                    self.delete(kind, &workspace, id);
                }
            }
            Write::Score {
                workspace,
                subject,
                score,
            } => self.score(workspace, subject, score),
            Write::Unscore {
                workspace,
                subject,
                names,
                author,
            } => self.unscore(workspace, subject, names, author),
            Write::Comment { workspace, comment } => self.comment(workspace, &comment),
            Write::EditComment {
                workspace,
                id,
                text,
                at,
                by,
            } => {
                let told = json(&CommentTold::edit(text, at, by));
                self.of_comment(&workspace, id, What::Edit, told);
            }
            Write::DeleteComments { workspace, ids } => {
                for id in ids {
                    self.of_comment(&workspace, id, What::Uncomment, String::new());
                    self.ground.comments.remove(&(workspace.clone(), id));
                }
            }
            Write::Thread {
                workspace,
                threads,
                change,
                by,
                ..
            } => {
                for (project, name) in self.ground.named(&workspace, threads) {
                    self.change_thread(&(workspace.clone(), project, name), &change, &by);
                }
            }
            // It is made after the facts are stored.
            Write::DeleteProject { .. } => return Err(Error::internal("a project is not removed by a fact")),
        }
        Ok(())
    }

    fn put(&mut self, mut put: Put) {
        let rank = rank(put.origin, put.told);
        let fresh = self.day(put.id);
        let claim = self.ground.claim(&put, fresh);
        claim.tell(&put.fields, rank);
        let (day, thread) = (claim.day, claim.thread.clone());
        let fact = Fact::put(&mut put, rank);
        self.push(Fact { day, ..fact });
        if put.kind == Kind::Trace
            && let Some(name) = thread
        {
            let name = (put.workspace, put.project, name);
            if self.touched.insert(name.clone()) {
                self.of_thread(name, What::Touch, (&put.by, String::new()));
            }
        }
    }

    /// A fact about a thread, which is known from then on.
    fn of_thread(&mut self, name: ThreadName, what: What, (by, told): (&str, String)) {
        let fact = self.about(&Whom::Thread(name), what, (by, told));
        self.push(fact);
    }

    /// A fact that is not about what is told of an entry.
    fn about(&mut self, whom: &Whom, what: What, (by, told): (&str, String)) -> Fact {
        let fact = Fact {
            what,
            by: by.to_owned(),
            told,
            ..Fact::default()
        };
        match whom {
            Whom::Entry(workspace, kind, id) => Fact {
                workspace: workspace.clone(),
                kind: number_of(*kind),
                id: *id,
                day: match self.ground.entries.get(&(*kind, *id)) {
                    Some(claim) => claim.day,
                    None => self.day(*id),
                },
                ..fact
            },
            Whom::Thread(name) => {
                let now = self.now;
                let id = self.ground.threads.entry(name.clone());
                let id = *id.or_insert_with(|| new_id(now));
                let (workspace, project, name) = name.clone();
                Fact {
                    workspace,
                    kind: THREAD,
                    id,
                    project,
                    name,
                    day: NO_DAY,
                    ..fact
                }
            }
        }
    }

    fn delete(&mut self, kind: Kind, workspace: &str, id: Uuid) {
        let is_there = self.ground.entries.get(&(kind, id));
        if is_there.is_none_or(|claim| claim.workspace != workspace) {
            return;
        }
        let mut gone = vec![(kind, id)];
        if kind == Kind::Trace {
            gone.extend(self.ground.spans_of(workspace, id).map(|span| (Kind::Span, span)));
        }
        for (kind, id) in gone {
            let whom = Whom::Entry(workspace.to_owned(), kind, id);
            let fact = self.about(&whom, What::Delete, ("", String::new()));
            self.push(fact);
            self.ground.entries.remove(&(kind, id));
        }
    }

    fn score(&mut self, workspace: String, subject: Subject, score: Score) {
        let author = score.author.clone();
        let told = json(&ScoreTold::of(score));
        let fact = self.about(&Whom::of(workspace, subject), What::Score, (&author, told));
        self.push(fact);
    }

    fn unscore(&mut self, workspace: String, subject: Subject, names: Vec<String>, author: Option<String>) {
        let whom = Whom::of(workspace, subject);
        if let Whom::Thread(name) = &whom
            && !self.ground.threads.contains_key(name)
        {
            return;
        }
        let told = json(&UnscoreTold { names, author });
        let fact = self.about(&whom, What::Unscore, ("", told));
        self.push(fact);
    }

    fn comment(&mut self, workspace: String, comment: &Comment) {
        let whom = Whom::of(workspace.clone(), comment.subject.clone());
        let told = json(&CommentTold::of(comment));
        let fact = self.about(&whom, What::Comment, (&comment.created_by, told));
        self.push(Fact {
            item: comment.id,
            ..fact
        });
        self.ground.comments.insert((workspace, comment.id), whom);
    }

    /// What becomes of a comment, if it is there.
    fn of_comment(&mut self, workspace: &str, id: Uuid, what: What, told: String) {
        let Some(whom) = self.ground.comments.get(&(workspace.to_owned(), id)).cloned() else {
            return;
        };
        let fact = self.about(&whom, what, ("", told));
        self.push(Fact { item: id, ..fact });
    }

    fn change_thread(&mut self, name: &ThreadName, change: &ThreadChange, by: &str) {
        let (what, told) = match change {
            ThreadChange::Open => (What::Touch, String::new()),
            ThreadChange::Close => (What::Close, String::new()),
            ThreadChange::Tags(tags) => (What::Tags, json(tags)),
            ThreadChange::ChangeTags(change) => (What::ChangeTags, json(&(&change.add, &change.remove))),
            ThreadChange::Delete => {
                for trace in self.ground.traces_of(name) {
                    self.delete(Kind::Trace, &name.0, trace);
                }
                if !self.ground.threads.contains_key(name) {
                    return;
                }
                (What::Delete, String::new())
            }
        };
        // A trace that comes after it opens it again.
        self.touched.remove(name);
        self.of_thread(name.clone(), what, (by, told));
        if what == What::Delete {
            self.ground.threads.remove(name);
        }
    }
}

impl Whom {
    fn of(workspace: String, subject: Subject) -> Self {
        match subject {
            Subject::Entry(kind, id) => Self::Entry(workspace, kind, id),
            Subject::Thread(project, name) => Self::Thread((workspace, project, name)),
        }
    }
}

/// The names of the threads that are meant, of those that are known by their ids.
impl Ground {
    fn named(&self, workspace: &str, threads: Threads) -> Vec<(Uuid, String)> {
        match threads {
            Threads::Named(project, names) => names.into_iter().map(|name| (project, name)).collect(),
            Threads::Ids(ids) => {
                let found = ids.iter().filter_map(|id| self.thread_of(workspace, *id));
                found.map(|(_, project, name)| (*project, name.clone())).collect()
            }
        }
    }
}
