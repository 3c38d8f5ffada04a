//! What facts come to: entries and threads, put together in the order in which the facts came. Pure.
//!
//! *Invariant:* the same facts give the same, whoever wrote them and whatever was read beside them.

use std::collections::{BTreeMap, HashSet};

use stead_kernel::{
    Result, Timestamp,
    ports::{
        Prices,
        traces::{Comment, Entry, Fields, Kind, Score, TagChange, Thread},
    },
};
use uuid::Uuid;

use super::facts::{CommentTold, Fact, ScoreTold, UnscoreTold, What, kind_of};
use crate::{
    day::time,
    traces::{
        apply::change_tags,
        merge::{FIELDS, absorb, conflict},
        rows::Stored,
    },
};

/// What is known of an entry.
pub(super) struct Known {
    pub(super) workspace: String,
    pub(super) project: Uuid,
    /// The day with which it goes.
    pub(super) day: i32,
    pub(super) stored: Stored,
    pub(super) scores: Vec<Score>,
    pub(super) comments: Vec<Comment>,
}

impl Known {
    /// The entry without what its spans come to.
    pub(super) fn entry(self) -> Entry {
        let mut entry = self.stored.entry(self.project);
        entry.scores = self.scores;
        entry.comments = self.comments;
        entry
    }
}

/// A fact that contradicts what was told before, as only writers that do not know of each other can make it: it is left
/// out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contradiction {
    pub(super) kind: Kind,
    pub(super) id: Uuid,
    /// Of which it says another one.
    pub(super) what: &'static str,
}

/// An entry in the making.
struct Build {
    kind: Kind,
    id: Uuid,
    known: Option<Known>,
    scores: Vec<Score>,
    comments: Vec<Comment>,
}

impl Build {
    const fn new(kind: Kind, id: Uuid) -> Self {
        Self {
            kind,
            id,
            known: None,
            scores: Vec::new(),
            comments: Vec::new(),
        }
    }

    /// Takes in a fact; answers of what it says another one than is known, in which case it is left out.
    fn take(&mut self, mut fact: Fact) -> Result<Option<&'static str>> {
        if fact.what == What::Delete {
            *self = Self::new(self.kind, self.id);
            return Ok(None);
        }
        if fact.what != What::Put {
            opinion(&mut self.scores, &mut self.comments, &fact)?;
            return Ok(None);
        }
        let (fields, tags) = fact.fields()?;
        let known = self.known.get_or_insert_with(|| Known {
            workspace: fact.workspace.clone(),
            project: fact.project,
            day: fact.day,
            stored: Stored::fresh(self.kind, self.id, fact.at, &fact.by),
            scores: Vec::new(),
            comments: Vec::new(),
        });
        if known.workspace != fact.workspace || known.project != fact.project {
            return Ok(Some("project"));
        }
        let wrong = conflict(&known.stored.fields, &fields);
        if wrong.is_some() {
            return Ok(wrong);
        }
        merge(&mut known.stored, fact, fields, &tags);
        Ok(None)
    }

    fn finish(self, prices: &dyn Prices) -> Option<Known> {
        let mut known = self.known?;
        if self.kind == Kind::Span {
            known.stored.reckon(prices);
        }
        known.scores = self.scores;
        known.comments = sorted(self.comments);
        Some(known)
    }
}

fn merge(stored: &mut Stored, fact: Fact, fields: Fields, tags: &TagChange) {
    stored.mask |= fact.mask;
    absorb(
        &mut stored.fields,
        &mut stored.ranks,
        fields,
        &[fact.rank; FIELDS],
    );
    change_tags(stored, tags);
    stored.updated = stored.updated.max(fact.at);
    stored.updated_by = fact.by;
}

fn sorted(mut comments: Vec<Comment>) -> Vec<Comment> {
    comments.sort_by_key(|comment| (comment.created, comment.id));
    comments
}

/// Takes in what a fact says of scores and comments.
fn opinion(scores: &mut Vec<Score>, comments: &mut Vec<Comment>, fact: &Fact) -> Result<()> {
    match fact.what {
        What::Score => {
            let score = fact.tells::<ScoreTold>()?.score(fact.by.clone());
            let mut own = scores.iter_mut();
            match own.find(|own| own.name == score.name && own.author == score.author) {
                Some(own) => {
                    *own = Score {
                        created: own.created,
                        ..score
                    }
                }
                None => scores.push(score),
            }
        }
        What::Unscore => {
            let UnscoreTold { names, author } = fact.tells()?;
            let is_of = |score: &Score| author.as_ref().is_none_or(|author| *author == score.author);
            scores.retain(|score| !(names.contains(&score.name) && is_of(score)));
        }
        What::Comment => {
            let comment = fact.tells::<CommentTold>()?.comment(fact);
            comments.retain(|own| own.id != comment.id);
            comments.push(comment);
        }
        What::Edit => {
            let edit: CommentTold = fact.tells()?;
            if let Some(own) = comments.iter_mut().find(|own| own.id == fact.item) {
                edit.change(own);
            }
        }
        What::Uncomment => comments.retain(|own| own.id != fact.item),
        What::Put | What::Delete | What::Touch | What::Close | What::Tags | What::ChangeTags => {}
    }
    Ok(())
}

/// The entries that facts come to, by kind and id, and what contradicts itself among them.
pub(super) fn entries(mut facts: Vec<Fact>, prices: &dyn Prices) -> Result<(Vec<Known>, Vec<Contradiction>)> {
    facts.sort_by_key(|fact| (fact.kind, fact.id, fact.place()));
    let (mut found, mut contradictions) = (Vec::new(), Vec::new());
    let mut build: Option<Build> = None;
    for fact in facts {
        let Some(kind) = kind_of(fact.kind) else { continue };
        let id = fact.id;
        if let Some(done) = build.take_if(|build| (build.kind, build.id) != (kind, id)) {
            found.extend(done.finish(prices));
        }
        let build = build.get_or_insert_with(|| Build::new(kind, id));
        if let Some(what) = build.take(fact)? {
            contradictions.push(Contradiction { kind, id, what });
        }
    }
    found.extend(build.and_then(|build| build.finish(prices)));
    Ok((found, contradictions))
}

/// What is known of a thread.
#[derive(Debug, Clone)]
pub(super) struct KnownThread {
    pub(super) thread: Thread,
    closed: bool,
}

impl KnownThread {
    fn new(fact: &Fact) -> Self {
        let at = time(fact.at);
        Self {
            closed: false,
            thread: Thread {
                name: fact.name.clone(),
                id: fact.id,
                project: fact.project,
                start: None,
                end: None,
                first_message: None,
                last_message: None,
                traces: 0,
                active: false,
                usage: BTreeMap::new(),
                cost: None,
                tags: Vec::new(),
                environment: None,
                scores: Vec::new(),
                comments: Vec::new(),
                created: at,
                updated: at,
                created_by: fact.by.clone(),
                updated_by: fact.by.clone(),
            },
        }
    }

    fn take(&mut self, fact: &Fact) -> Result<()> {
        let thread = &mut self.thread;
        // Two writers may each have given it an id.
        thread.id = thread.id.min(fact.id);
        match fact.what {
            What::Touch => {
                self.closed = false;
                thread.updated = thread.updated.max(time(fact.at));
                thread.updated_by.clone_from(&fact.by);
            }
            What::Close => self.closed = true,
            What::Tags => thread.tags = fact.tells()?,
            What::ChangeTags => {
                let (add, remove): (Vec<String>, HashSet<String>) = fact.tells()?;
                thread.tags.retain(|tag| !remove.contains(tag));
                for tag in add {
                    if !thread.tags.contains(&tag) {
                        thread.tags.push(tag);
                    }
                }
            }
            _ => opinion(&mut thread.scores, &mut thread.comments, fact)?,
        }
        Ok(())
    }

    /// The thread as it is now.
    pub(super) fn at(mut self, now: Timestamp) -> Thread {
        let idle = now.duration_since(self.thread.updated).unsigned_abs() >= crate::traces::threads::IDLE;
        self.thread.active = !self.closed && !idle;
        self.thread.comments = sorted(self.thread.comments);
        self.thread
    }
}

/// A thread's project and name.
pub(super) type ThreadKey = (Uuid, String);

/// The threads of one workspace that facts come to.
pub(super) fn threads(mut facts: Vec<Fact>) -> Result<BTreeMap<ThreadKey, KnownThread>> {
    facts.retain(|fact| kind_of(fact.kind).is_none());
    facts.sort_by_key(Fact::place);
    let mut found: BTreeMap<ThreadKey, KnownThread> = BTreeMap::new();
    for fact in &facts {
        let key = (fact.project, fact.name.clone());
        if fact.what == What::Delete {
            found.remove(&key);
            continue;
        }
        found
            .entry(key)
            .or_insert_with(|| KnownThread::new(fact))
            .take(fact)?;
    }
    Ok(found)
}

/// The comments that facts come to, each with its project of Stead.
pub(super) fn comments(mut facts: Vec<Fact>) -> Result<Vec<(String, Comment)>> {
    facts.sort_by_key(|fact| (fact.kind, fact.id, fact.place()));
    let mut found = Vec::new();
    for own in facts.chunk_by(|own, next| (own.kind, own.id) == (next.kind, next.id)) {
        let (mut scores, mut comments) = (Vec::new(), Vec::new());
        for fact in own {
            if fact.what == What::Delete {
                comments.clear();
            }
            opinion(&mut scores, &mut comments, fact)?;
        }
        let workspace = own.first().map(|fact| fact.workspace.clone()).unwrap_or_default();
        found.extend(comments.into_iter().map(|comment| (workspace.clone(), comment)));
    }
    Ok(found)
}
