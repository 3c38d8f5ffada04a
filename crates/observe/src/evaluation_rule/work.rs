//! One look of a rule: what came in since the last one is scored, so much at once.
//!
//! *Invariant:* the place up to which was looked moves only past what was scored, left out or found impossible, and is stored
//! after the scores: a kill repeats a look, and what has a score of the rule is not scored again.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use stead_kernel::{
    Credential, Identity, Principal, Result, Timestamp,
    ports::traces::{Count, Entry, Filter, Kind, Operator, Order, Query, Score, Subject, Thread, Write},
};
use uuid::Uuid;

use super::{
    EvaluationRuleSpec, Target,
    document::Document,
    plan::{self, Seen},
    progress::{Log, Progress, Progresses},
};
use crate::{
    evaluation::{Asker, Outcome, Scorer},
    opik::Opik,
};

/// How many are looked at in one look.
const PART: usize = 100;
/// How many are scored at once.
const AT_ONCE: usize = 8;
/// How long nothing more must have been told of something, so that all of it is there.
const SETTLE: Duration = Duration::from_secs(5);
/// What began longer before it was told of than this is not found.
const REACH: Duration = Duration::from_hours(48);
/// How many traces of a thread are read.
const TURNS: usize = 200;

/// A rule and what it works with.
pub(super) struct Look<'a> {
    pub(super) opik: &'a Opik,
    pub(super) spec: &'a EvaluationRuleSpec,
    /// Stead's project.
    pub(super) project: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    /// When the rule was made.
    pub(super) made: Timestamp,
}

/// Something that may be scored.
struct Candidate {
    id: String,
    updated: Timestamp,
    opik_project: Uuid,
    subject: Subject,
    document: Document,
}

/// What a look came to.
pub(super) struct Looked {
    pub(super) progress: Progress,
    pub(super) seen: Seen,
    /// Whether there is more to do at once.
    pub(super) more: bool,
}

/// What became of one.
struct Done {
    candidate: Candidate,
    outcomes: Vec<Outcome>,
}

impl Look<'_> {
    pub(super) async fn run(&self) -> Result<Looked> {
        let progresses = Progresses::new(&self.opik.ports.records);
        let now = self.opik.ports.clock.now();
        let mut progress = progresses.get(self.project, self.uid).await?;
        if progress.cursor.is_none() {
            let since = self.spec.since.as_ref().and_then(|since| since.parse().ok());
            progress.cursor = Some(since.unwrap_or(self.made));
        }
        let per = self
            .spec
            .budget
            .as_ref()
            .map(|budget| budget.per)
            .unwrap_or_default();
        progress.enter(plan::period_of(per, now));
        let mut seen = Seen::default();
        let mut more = false;
        match self.opik_projects().await? {
            None => {}
            Some(projects) => {
                let candidates = self.candidates(&projects, &progress, now).await?;
                more = candidates.len() >= PART;
                let halted = self.score_all(&progresses, &mut progress, candidates).await?;
                more &= halted.is_none();
                seen.halted = halted;
                seen.backlog = self.backlog(&projects, &progress, now).await?;
            }
        }
        progresses.put(self.project, self.uid, &progress, &[]).await?;
        progresses.trim(self.project, self.uid).await?;
        Ok(Looked { progress, seen, more })
    }

    /// The Opik projects that it is about, none for all; `None` when none of the named ones is there.
    async fn opik_projects(&self) -> Result<Option<Vec<Uuid>>> {
        let mut found = Vec::new();
        for name in &self.spec.opik_projects {
            found.extend(
                self.opik
                    .projects
                    .find(self.project, name)
                    .await?
                    .map(|project| project.id),
            );
        }
        Ok((self.spec.opik_projects.is_empty() || !found.is_empty()).then_some(found))
    }

    fn query(&self, projects: &[Uuid], progress: &Progress, now: Timestamp) -> Result<Query> {
        let time = |time: Timestamp| format!("{time:.9}");
        let until = now.checked_sub(SETTLE).unwrap_or(now);
        let cursor = progress.cursor.unwrap_or(self.made);
        let mut filters = plan::filters(self.spec.target, &self.spec.filters)?;
        filters.push(Filter::new(
            "last_updated_at",
            "",
            Operator::GreaterOrEqual,
            time(cursor),
        ));
        filters.push(Filter::new(
            "last_updated_at",
            "",
            Operator::LessOrEqual,
            time(until),
        ));
        match self.spec.target {
            Target::Traces | Target::Spans => {
                filters.push(Filter::new("end_time", "", Operator::IsNotEmpty, ""));
                filters.push(Filter::new("source", "", Operator::NotEqual, "experiment"));
            }
            Target::Threads => filters.push(Filter::new("status", "", Operator::Equal, "inactive")),
        }
        Ok(Query {
            workspace: self.project.to_owned(),
            project: match projects {
                [one] => Some(*one),
                _ => None,
            },
            since: cursor.checked_sub(REACH).ok(),
            filters,
            order: vec![Order {
                field: "last_updated_at".to_owned(),
                key: String::new(),
                descending: false,
            }],
            // What was looked at at the very time of the cursor is found again.
            limit: PART + progress.at_cursor.len(),
            count: Count::None,
            ..Query::default()
        })
    }

    /// What comes next, those last told of first.
    async fn candidates(
        &self,
        projects: &[Uuid],
        progress: &Progress,
        now: Timestamp,
    ) -> Result<Vec<Candidate>> {
        let query = self.query(projects, progress, now)?;
        let traces = &self.opik.ports.traces;
        let mut found = Vec::new();
        match self.spec.target.entry() {
            Some(kind) => found.extend(traces.entries(kind, query).await?.items.into_iter().map(of_entry)),
            None => {
                for thread in traces.threads(query).await?.items {
                    let said = self.turns(&thread).await?;
                    found.push(of_thread(thread, &said));
                }
            }
        }
        found.retain(|one| {
            !progress.is_behind(one.updated, &one.id)
                && (projects.is_empty() || projects.contains(&one.opik_project))
        });
        Ok(found)
    }

    async fn turns(&self, thread: &Thread) -> Result<Vec<Entry>> {
        let query = Query {
            workspace: self.project.to_owned(),
            project: Some(thread.project),
            filters: vec![Filter::new("thread_id", "", Operator::Equal, &*thread.name)],
            order: vec![Order {
                field: "start_time".to_owned(),
                key: String::new(),
                descending: false,
            }],
            limit: TURNS,
            count: Count::None,
            ..Query::default()
        };
        Ok(self.opik.ports.traces.entries(Kind::Trace, query).await?.items)
    }

    async fn backlog(&self, projects: &[Uuid], progress: &Progress, now: Timestamp) -> Result<u64> {
        let query = Query {
            limit: 1,
            count: Count::All,
            ..self.query(projects, progress, now)?
        };
        let traces = &self.opik.ports.traces;
        let total = match self.spec.target.entry() {
            Some(kind) => traces.entries(kind, query).await?.total,
            None => traces.threads(query).await?.total,
        };
        Ok(total.saturating_sub(progress.at_cursor.len() as u64))
    }

    /// Scores one after the other of what was found; says why it stopped before the end.
    async fn score_all(
        &self,
        progresses: &Progresses,
        progress: &mut Progress,
        candidates: Vec<Candidate>,
    ) -> Result<Option<(&'static str, String)>> {
        let scorer = Scorer::new(&self.spec.metrics)?;
        let asker = self.asker();
        let mut waiting = candidates.into_iter().peekable();
        while waiting.peek().is_some() {
            let left = plan::left(self.spec.budget.as_ref(), progress);
            if left == Some(0) {
                return Ok(Some((
                    "BudgetSpent",
                    "the budget of this hour or day is spent".to_owned(),
                )));
            }
            let limited = self
                .spec
                .budget
                .as_ref()
                .is_some_and(|budget| budget.max_usd.is_some());
            let size = if limited { 1 } else { AT_ONCE };
            let size = left
                .and_then(|left| usize::try_from(left).ok())
                .map_or(size, |left| left.min(size));
            let part: Vec<Candidate> = waiting.by_ref().take(size).collect();
            let done: Vec<Done> = stream::iter(part)
                .map(|candidate| self.score(&scorer, &asker, candidate))
                .buffered(size)
                .collect()
                .await;
            if let Some(why) = self.store(progresses, progress, done).await? {
                return Ok(Some(("Waiting", why)));
            }
        }
        Ok(None)
    }

    fn asker(&self) -> Asker {
        let principal = match &self.spec.key {
            Some(key) => Principal {
                user: format!("evaluation-rule/{}", self.name),
                groups: Vec::new(),
                projects: vec![self.project.to_owned()],
                credential: Credential::ApiKey {
                    project: self.project.to_owned(),
                    name: key.clone(),
                },
            },
            None => Principal::controller("evaluation-rule"),
        };
        let models = Arc::clone(&self.opik.ports.models);
        Asker::new(models, Identity::Known(Arc::new(principal)), self.project)
    }

    fn author(&self) -> String {
        format!("evaluation-rule/{}", self.name)
    }

    /// Whether a metric's scores of this rule are there already, before a kill or of an earlier state of the same thing.
    fn has_scores(&self, candidate: &Candidate) -> bool {
        let author = self.author();
        candidate
            .document
            .scores
            .iter()
            .any(|score| score.author == author && score.updated >= candidate.updated)
    }

    async fn score(&self, scorer: &Scorer, asker: &Asker, candidate: Candidate) -> Done {
        let sampled = plan::is_sampled(self.uid, &candidate.id, self.spec.sampling);
        let outcomes = if !sampled || self.has_scores(&candidate) {
            Vec::new()
        } else {
            scorer.score(asker, &candidate.document.sample(self.spec)).await
        };
        Done { candidate, outcomes }
    }

    /// Stores what became of some, in order, up to the first that must wait; says why that is.
    async fn store(
        &self,
        progresses: &Progresses,
        progress: &mut Progress,
        done: Vec<Done>,
    ) -> Result<Option<String>> {
        let now = self.opik.ports.clock.now();
        let (mut writes, mut logs, mut waits) = (Vec::new(), Vec::new(), None);
        for Done { candidate, outcomes } in done {
            let cost: f64 = outcomes.iter().map(|outcome| outcome.cost).sum();
            progress.spent_usd += cost;
            progress.period_usd += cost;
            let passing = outcomes
                .iter()
                .filter_map(|outcome| outcome.scores.as_ref().err())
                .find(|failure| failure.passes);
            if let Some(failure) = passing {
                progress.last_error.clone_from(&failure.why);
                waits.get_or_insert_with(|| failure.why.clone());
            }
            if waits.is_some() {
                // It is scored whole, later.
                continue;
            }
            self.note(progress, &candidate, &outcomes, now, &mut logs);
            progress.pass(candidate.updated, &candidate.id);
            writes.extend(self.writes(&candidate, outcomes, now));
        }
        self.opik.ports.traces.write(writes).await?;
        progresses.put(self.project, self.uid, progress, &logs).await?;
        Ok(waits)
    }

    fn note(
        &self,
        progress: &mut Progress,
        candidate: &Candidate,
        outcomes: &[Outcome],
        now: Timestamp,
        logs: &mut Vec<Log>,
    ) {
        if outcomes.is_empty() {
            let scored = self.has_scores(candidate);
            progress.left_out += u64::from(!scored);
            return;
        }
        progress.period_scored += 1;
        let failed: Vec<String> = outcomes
            .iter()
            .filter_map(|outcome| {
                Some(format!(
                    "{}: {}",
                    outcome.metric,
                    outcome.scores.as_ref().err()?.why
                ))
            })
            .collect();
        let (level, message) = if failed.is_empty() {
            progress.scored += 1;
            let scores = outcomes
                .iter()
                .filter_map(|outcome| outcome.scores.as_ref().ok())
                .flatten();
            let told: Vec<String> = scores
                .map(|score| format!("{} = {:.4}", score.name, score.value))
                .collect();
            ("INFO", told.join(", "))
        } else {
            progress.failed += 1;
            progress.last_error = failed.join("; ");
            ("ERROR", progress.last_error.clone())
        };
        let about = match &candidate.subject {
            Subject::Entry(Kind::Trace, _) => "trace_id",
            Subject::Entry(Kind::Span, _) => "span_id",
            Subject::Thread(..) => "thread_id",
        };
        logs.push(Log {
            rule: self.uid.to_owned(),
            time: now,
            level: level.to_owned(),
            message,
            about: [(about.to_owned(), candidate.id.clone())].into(),
        });
    }

    fn writes(&self, candidate: &Candidate, outcomes: Vec<Outcome>, now: Timestamp) -> Vec<Write> {
        let scores = outcomes
            .into_iter()
            .filter_map(|outcome| outcome.scores.ok())
            .flatten();
        scores
            .map(|score| Write::Score {
                workspace: self.project.to_owned(),
                subject: candidate.subject.clone(),
                score: Score {
                    name: score.name,
                    value: score.value,
                    category: None,
                    reason: score.reason,
                    source: "online_scoring".to_owned(),
                    queue: None,
                    author: self.author(),
                    created: now,
                    updated: now,
                },
            })
            .collect()
    }
}

fn of_entry(entry: Entry) -> Candidate {
    Candidate {
        id: entry.id.to_string(),
        updated: entry.updated,
        opik_project: entry.project,
        subject: Subject::Entry(entry.kind, entry.id),
        document: Document::of_entry(entry),
    }
}

fn of_thread(thread: Thread, said: &[Entry]) -> Candidate {
    Candidate {
        id: thread.name.clone(),
        updated: thread.updated,
        opik_project: thread.project,
        subject: Subject::Thread(thread.project, thread.name.clone()),
        document: Document::of_thread(thread, said),
    }
}
