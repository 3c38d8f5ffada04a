//! How far rules are, as records, and what they tell of it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use stead_kernel::{
    Collection, Result, Timestamp,
    ports::{RecordQuery, RecordWrite, Records},
};

use crate::opik::shelf::{Shelf, new_id};

const PROGRESS: &str = "observe.rule_progress";
const LOGS: &str = "observe.rule_logs";

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 2] = [
    Collection {
        name: PROGRESS,
        indexes: &[],
    },
    Collection {
        name: LOGS,
        indexes: &["rule"],
    },
];

/// How many lines are kept of a rule.
const KEPT: u64 = 1_000;
/// How many of them may be too many before the oldest go.
const SLACK: u64 = 200;

/// How far a rule is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    /// Everything that was last told of before this was looked at.
    pub(super) cursor: Option<Timestamp>,
    /// What was told of at that very time and was looked at.
    pub(super) at_cursor: Vec<String>,
    pub(super) scored: u64,
    pub(super) left_out: u64,
    pub(super) failed: u64,
    pub(super) spent_usd: f64,
    /// The hour or day that the next two are of.
    pub(super) period: Option<Timestamp>,
    pub(super) period_usd: f64,
    pub(super) period_scored: u64,
    pub(super) last_error: String,
}

impl Progress {
    /// Whether something that was last told of at a time was looked at.
    pub(super) fn is_behind(&self, updated: Timestamp, id: &str) -> bool {
        self.cursor.is_some_and(|cursor| {
            updated < cursor || (updated == cursor && self.at_cursor.iter().any(|known| known == id))
        })
    }

    /// Something was looked at.
    pub(super) fn pass(&mut self, updated: Timestamp, id: &str) {
        if self.cursor != Some(updated) {
            self.at_cursor.clear();
        }
        self.cursor = Some(updated);
        self.at_cursor.push(id.to_owned());
    }

    /// Begins a new hour or day, where it is another one.
    pub(super) fn enter(&mut self, period: Timestamp) {
        if self.period != Some(period) {
            (self.period, self.period_usd, self.period_scored) = (Some(period), 0.0, 0);
        }
    }
}

/// A line of what a rule did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Log {
    /// The rule's uid.
    pub(crate) rule: String,
    /// When.
    pub(crate) time: Timestamp,
    /// `INFO`, `WARN` or `ERROR`.
    pub(crate) level: String,
    /// What.
    pub(crate) message: String,
    /// What it is about: `trace_id`.
    #[serde(default)]
    pub(crate) about: BTreeMap<String, String>,
}

/// The progress of all rules.
#[derive(Clone)]
pub(crate) struct Progresses {
    progress: Shelf<Progress>,
    logs: Shelf<Log>,
}

impl Progresses {
    /// Over a store.
    pub(crate) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            progress: Shelf::new(Arc::clone(records), PROGRESS, "Progress"),
            logs: Shelf::new(Arc::clone(records), LOGS, "Log"),
        }
    }

    pub(super) async fn get(&self, project: &str, rule: &str) -> Result<Progress> {
        let kept = self.progress.get(project, rule).await?;
        Ok(kept.map(|kept| kept.body).unwrap_or_default())
    }

    /// Stores progress with lines that tell of it.
    pub(super) async fn put(
        &self,
        project: &str,
        rule: &str,
        progress: &Progress,
        logs: &[Log],
    ) -> Result<()> {
        let mut writes: Vec<RecordWrite> = vec![self.progress.put(project, rule, progress)?];
        for log in logs {
            writes.push(self.logs.put(project, &new_id(), log)?);
        }
        self.progress.commit(writes).await
    }

    /// The lines of a rule, the newest first.
    pub(crate) async fn logs(&self, project: &str, rule: &str, limit: usize) -> Result<Vec<Log>> {
        let query = RecordQuery {
            descending: true,
            limit,
            ..self.of(project, rule)
        };
        Ok(self
            .logs
            .all(query)
            .await?
            .into_iter()
            .map(|kept| kept.body)
            .collect())
    }

    /// Removes lines beyond those that are kept.
    pub(super) async fn trim(&self, project: &str, rule: &str) -> Result<()> {
        let count = self.logs.records().count(self.of(project, rule)).await?;
        if count < KEPT + SLACK {
            return Ok(());
        }
        let query = RecordQuery {
            limit: usize::try_from(count - KEPT).unwrap_or(usize::MAX),
            ..self.of(project, rule)
        };
        let old: Vec<String> = self
            .logs
            .all(query)
            .await?
            .iter()
            .map(|kept| kept.id().to_owned())
            .collect();
        self.logs.delete_many(project, &old).await
    }

    fn of(&self, project: &str, rule: &str) -> RecordQuery {
        RecordQuery {
            equals: vec![("rule".to_owned(), rule.into())],
            ..self.logs.query(project)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_at_the_same_time_is_looked_at_once_each() {
        let time = |second| Timestamp::from_second(second).unwrap();
        let mut progress = Progress::default();
        assert!(!progress.is_behind(time(1), "a"));
        progress.pass(time(1), "a");
        progress.pass(time(2), "b");
        progress.pass(time(2), "c");
        for (second, id, behind) in [
            (1, "z", true),
            (2, "b", true),
            (2, "c", true),
            (2, "d", false),
            (3, "b", false),
        ] {
            assert_eq!(progress.is_behind(time(second), id), behind, "{second} {id}");
        }
        progress.period_usd = 1.0;
        progress.enter(time(0));
        assert_eq!((progress.period, progress.period_usd), (Some(time(0)), 0.0));
    }
}
