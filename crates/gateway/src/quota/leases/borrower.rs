//! The side of a gateway process that has slices of limits only.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stead_kernel::{Clock, Result, Tasks, Timestamp};
use stead_metering::Report;

use super::{Batch, Leases};
use crate::quota::meters::Metered;

/// How often everything is reported and renewed.
const RENEW: Duration = Duration::from_secs(4);
/// How long a report may take.
const CALL: Duration = Duration::from_secs(8);
/// The pause after a failed question for recalls.
const RETRY: Duration = Duration::from_secs(1);
/// The most reports of a batch.
const BATCH: usize = 500;
/// For how many requests like the one that needs more is asked at once.
const AHEAD: u64 = 16;

/// What this process has borrowed.
pub(crate) struct Borrower {
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    holder: String,
    /// One batch at a time; the number of the last one.
    turn: tokio::sync::Mutex<u64>,
    known: Mutex<BTreeMap<Arc<str>, Metered>>,
}

/// Whether there is enough now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grown {
    /// There was at the time of the answer.
    Enough,
    /// There is not so much left anywhere.
    Short,
    /// Nobody answers.
    Lost,
}

impl Borrower {
    /// A borrower of a name that no earlier process had.
    pub(crate) fn new(leases: Arc<dyn Leases>, clock: Arc<dyn Clock>, holder: String) -> Arc<Self> {
        Arc::new(Self {
            leases,
            clock,
            holder,
            turn: tokio::sync::Mutex::default(),
            known: Mutex::default(),
        })
    }

    /// Starts to renew what is borrowed, and to give back what others want.
    pub(crate) fn start(self: &Arc<Self>, tasks: &Tasks) {
        let (renewer, giver) = (Arc::clone(self), Arc::clone(self));
        tasks.spawn_until_stopped("quota leases", async move { renewer.renew().await });
        tasks.spawn_until_stopped("quota recalls", async move { giver.give_back().await });
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Metered>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a limit.
    pub(crate) fn know(&self, metered: &Metered) {
        self.known().insert(Arc::clone(&metered.key), metered.clone());
    }

    /// Asks for so much of a limit, unless somebody else's question brought it meanwhile.
    pub(crate) async fn grow(&self, metered: &Metered, amount: u64) -> Grown {
        let mut turn = self.turn.lock().await;
        let now = self.clock.now();
        let spare = metered.limit.borrowed(now);
        if spare >= amount && amount > 0 {
            return Grown::Enough;
        }
        // What it has to spare goes back first, so that of two who ask each sees all that the other does not use.
        let mut report = metered.limit.report(0, now);
        report.need = amount;
        report.like = amount.saturating_mul(AHEAD);
        let asked = self.send(&mut turn, vec![(metered.clone(), report)]).await;
        match asked {
            Ok(granted) if granted.contains(&(Arc::clone(&metered.key), true)) => Grown::Enough,
            Ok(_) => Grown::Short,
            Err(error) => {
                tracing::warn!(error = error.full_message(), "the leader lends nothing");
                Grown::Lost
            }
        }
    }

    /// Sends a batch and takes what is granted; returns which needs were met.
    async fn send(&self, turn: &mut u64, reports: Vec<(Metered, Report)>) -> Result<Vec<(Arc<str>, bool)>> {
        *turn += 1;
        let sent = self.clock.now();
        let batch = Batch {
            holder: self.holder.clone(),
            sequence: *turn,
            reports: reports
                .iter()
                .map(|(metered, report)| (metered.key.to_string(), *report))
                .collect(),
        };
        let answer = tokio::time::timeout(CALL, self.leases.report(batch))
            .await
            .map_err(|_| {
                stead_kernel::Error::new(stead_kernel::Reason::Timeout, "the leader does not answer")
            })??;
        let until = later(sent, Duration::from_millis(answer.holds_ms));
        let now = self.clock.now();
        let mut met = Vec::with_capacity(answer.grants.len());
        for (key, grant) in answer.grants {
            let Some((metered, _)) = reports.iter().find(|(metered, _)| *metered.key == *key) else {
                continue;
            };
            metered.limit.granted(&grant, until, now);
            met.push((Arc::clone(&metered.key), !grant.short));
        }
        Ok(met)
    }

    async fn renew(&self) {
        loop {
            tokio::time::sleep(RENEW).await;
            let known: Vec<Metered> = self.known().values().cloned().collect();
            for chunk in known.chunks(BATCH) {
                // It keeps as much to spare as is under way.
                self.report(chunk, |report| report.reserved).await;
            }
        }
    }

    async fn give_back(&self) {
        loop {
            let Ok(keys) = self.leases.recalls(&self.holder).await else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let wanted: Vec<Metered> = {
                let known = self.known();
                keys.iter()
                    .filter_map(|key| known.get(key.as_str()).cloned())
                    .collect()
            };
            for chunk in wanted.chunks(BATCH) {
                self.report(chunk, |_| 0).await;
            }
        }
    }

    /// Reports where limits stand and keeps of each what `keep` says beyond what is used and reserved.
    async fn report(&self, limits: &[Metered], keep: impl Fn(&Report) -> u64) {
        let mut turn = self.turn.lock().await;
        let now = self.clock.now();
        let reports = limits.iter().map(|metered| {
            let standing = metered.limit.report(u64::MAX, now);
            (metered.clone(), metered.limit.report(keep(&standing), now))
        });
        let reports = reports.collect();
        if let Err(error) = self.send(&mut turn, reports).await {
            tracing::warn!(error = error.full_message(), "leases of quotas are not renewed");
        }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
