//! Finds out what was used of a new limit before this process counted: from the event store, once everything that
//! was settled before lies there, and from what an earlier process had lent.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use stead_kernel::{
    Result, Tasks, Timestamp,
    ports::{
        Events,
        events::{UsageGroup, UsageQuery, UsageRow},
    },
};
use stead_metering::{Measure, Span, Window};

use super::{
    Desk, Meters, SubjectKind,
    meters::{Shared, Unseeded},
};
use crate::journal::Journal;

/// How often one looks whether the journal is shipped.
const LOOK: Duration = Duration::from_millis(20);
/// The pause after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// A project, a sort of subjects and a window.
type Question = (Box<str>, SubjectKind, Window);
/// Usage by subject.
type Sums = BTreeMap<String, UsageRow>;

/// What seeding works with.
pub(crate) struct Seeder {
    pub(crate) meters: Meters,
    pub(crate) desk: Arc<Desk>,
    pub(crate) journal: Journal,
    pub(crate) events: Arc<dyn Events>,
    /// The name under which this process' own requests are recorded.
    pub(crate) replica: Arc<str>,
}

impl Seeder {
    /// Starts to seed limits as they are made.
    pub(crate) fn start(self, tasks: &Tasks) {
        tasks.spawn_until_stopped("quota seeds", self.run());
    }

    async fn run(self) {
        let shared = Arc::clone(self.meters.shared());
        loop {
            shared.asked.notified().await;
            let waiting = shared.take_unseeded();
            if waiting.is_empty() {
                continue;
            }
            if let Err(error) = self.seed(&shared, &waiting).await {
                tracing::warn!(
                    error = error.full_message(),
                    "what was used of quotas before cannot be counted; it is tried again, and hard ones refuse meanwhile"
                );
                tokio::time::sleep(RETRY).await;
                shared.ask(waiting);
            }
        }
    }

    async fn seed(&self, shared: &Shared, waiting: &[Unseeded]) -> Result<()> {
        self.desk.load().await?;
        self.shipped().await;
        let now = shared.clock.now();
        let mut usage: HashMap<Question, (Span, Sums)> = HashMap::new();
        for unseeded in waiting {
            let Some(window) = unseeded.metered.limit.window() else {
                continue;
            };
            let key = (unseeded.project.clone(), unseeded.kind, window);
            if let Entry::Vacant(place) = usage.entry(key) {
                let found = self.usage(&unseeded.project, unseeded.kind, window, now).await?;
                place.insert(found);
            }
        }
        for unseeded in waiting {
            let limit = &unseeded.metered.limit;
            let found = limit
                .window()
                .and_then(|window| usage.get(&(unseeded.project.clone(), unseeded.kind, window)));
            self.desk.restore(&unseeded.metered, now);
            let (span, used) = found.map_or((Span::ALWAYS, 0), |(span, rows)| {
                let row = rows.get(&*unseeded.metered.subject);
                (*span, row.map_or(0, |row| amount(limit.measure(), row)))
            });
            limit.seed(span, used, now);
        }
        shared.seeded.send_modify(|version| *version += 1);
        Ok(())
    }

    /// Waits until everything lies in the event store that was settled until now.
    async fn shipped(&self) {
        let (settled, _) = self.journal.progress();
        while self.journal.progress().1 < settled {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What this process' requests used in the window of now, by subject.
    async fn usage(
        &self,
        project: &str,
        kind: SubjectKind,
        window: Window,
        now: Timestamp,
    ) -> Result<(Span, Sums)> {
        let span = window.at(now);
        let query = UsageQuery {
            projects: Some(vec![project.to_owned()]),
            since: span.starts(),
            until: None,
            by: vec![group(kind), UsageGroup::Replica],
        };
        let mut sums = Sums::new();
        for row in self.events.usage(query).await? {
            if let [subject, replica] = row.group.as_slice()
                && **replica == *self.replica
            {
                sums.entry(subject.clone()).or_default().add(&row);
            }
        }
        Ok((span, sums))
    }
}

const fn group(kind: SubjectKind) -> UsageGroup {
    match kind {
        SubjectKind::Key => UsageGroup::Key,
        SubjectKind::User => UsageGroup::User,
        SubjectKind::Team => UsageGroup::Team,
        SubjectKind::Project => UsageGroup::Project,
        SubjectKind::Route => UsageGroup::Route,
    }
}

fn amount(measure: Measure, row: &UsageRow) -> u64 {
    match measure {
        Measure::Requests => row.requests.saturating_sub(row.refused),
        Measure::InputTokens => row.usage.input,
        Measure::OutputTokens => row.usage.output,
        Measure::Tokens => row.usage.input.saturating_add(row.usage.output),
        Measure::Concurrency => 0,
        Measure::Spend => u64::try_from(row.cost.0).unwrap_or_default(),
    }
}
