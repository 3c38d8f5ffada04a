//! The leader's side: who holds what.
//!
//! *Invariant:* what is lent is written down before it is answered, so that the leader's next process knows it too.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use stead_kernel::{
    Clock, Error, Result, Timestamp,
    ports::{RecordKey, RecordQuery, RecordWrite, Records},
};
use stead_metering::{Grant, Holding, Lender, Report};
use tokio::{
    sync::{OnceCell, watch},
    time::Instant,
};

use super::{Answer, Batch, Leases};
use crate::quota::{Meters, meters::Metered};

/// The collection of records that say who holds what.
pub(crate) const COLLECTION: &str = "gateway.leases";
/// For how long a grant holds.
pub(crate) const HOLDS: Duration = Duration::from_secs(15);
/// How long a holder that needs more waits until others gave back what they do not use.
const RECALL_WAIT: Duration = Duration::from_secs(2);
/// How long a holder waits for the question whether something is wanted back.
const RECALLS_WAIT: Duration = Duration::from_secs(20);
/// How long a report waits for a limit that is not seeded yet.
const SEED_WAIT: Duration = Duration::from_secs(5);
/// After so long without a word, in seconds, requests of a holder are taken as over.
const SILENT: i64 = 3_600;

/// Who holds what.
pub(crate) struct Desk {
    meters: Meters,
    clock: Arc<dyn Clock>,
    records: Arc<dyn Records>,
    books: Mutex<Books>,
    loaded: OnceCell<()>,
    /// Told after each report and each recall.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Books {
    lenders: HashMap<String, Lender>,
    /// What is wanted back, by holder.
    recalls: HashMap<String, BTreeSet<String>>,
    /// What an earlier process had lent, until its limit is there.
    earlier: HashMap<String, Vec<(String, Holding)>>,
}

/// What is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    key: String,
    holder: String,
    #[serde(flatten)]
    holding: Holding,
}

impl Desk {
    pub(crate) fn new(meters: Meters, clock: Arc<dyn Clock>, records: Arc<dyn Records>) -> Self {
        Self {
            meters,
            clock,
            records,
            books: Mutex::default(),
            loaded: OnceCell::new(),
            changed: watch::channel(0).0,
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads once what an earlier process had lent.
    pub(crate) async fn load(&self) -> Result<()> {
        self.loaded.get_or_try_init(|| self.read()).await.map(drop)
    }

    async fn read(&self) -> Result<()> {
        let now = self.clock.now();
        let mut query = RecordQuery {
            collection: COLLECTION.into(),
            project: Some(String::new()),
            ..RecordQuery::default()
        };
        let mut stale = Vec::new();
        loop {
            let page = self.records.list(query.clone()).await?;
            for record in page.items {
                let written = serde_json::from_value::<Written>(record.body);
                match written {
                    Ok(written) if !is_over(&written, now) => {
                        let holdings = &mut self.books().earlier;
                        holdings
                            .entry(written.key)
                            .or_default()
                            .push((written.holder, written.holding));
                    }
                    Ok(_) | Err(_) => stale.push(RecordWrite::Delete {
                        key: record.key,
                        expected: None,
                    }),
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        if !stale.is_empty() {
            self.records.commit(stale).await?;
        }
        Ok(())
    }

    /// Sets aside what an earlier process had lent of a limit.
    pub(crate) fn restore(&self, metered: &Metered, now: Timestamp) {
        let mut books = self.books();
        let earlier = books.earlier.remove(&*metered.key).unwrap_or_default();
        let lender = books.lenders.entry(metered.key.to_string()).or_default();
        for (holder, holding) in earlier {
            lender.restore(&metered.limit, &holder, holding, now);
        }
    }

    /// What others used of a limit in its window, as far as they said.
    pub(crate) fn used_elsewhere(&self, metered: &Metered) -> u64 {
        let start = metered.limit.read(self.clock.now()).span.start;
        let books = self.books();
        books
            .lenders
            .get(&*metered.key)
            .map_or(0, |lender| lender.used(start))
    }

    /// The limits that a batch is about, once each is seeded. Those that are not known here are left out.
    async fn find(&self, batch: &Batch) -> Vec<(Metered, Report)> {
        let found = batch.reports.iter();
        let found: Vec<(Metered, Report)> = found
            .filter_map(|(key, report)| Some((self.meters.find(key)?, *report)))
            .collect();
        let deadline = Instant::now() + SEED_WAIT;
        let mut seeded = self.meters.shared().seeded.subscribe();
        let ready = |found: &[(Metered, Report)]| found.iter().all(|(metered, _)| metered.limit.is_seeded());
        while !ready(&found) {
            if tokio::time::timeout_at(deadline, seeded.changed()).await.is_err() {
                break;
            }
        }
        let ready = found.into_iter().filter(|(metered, _)| metered.limit.is_seeded());
        ready.collect()
    }

    /// Answers each report with what there is, and wants back from others what is missing.
    fn answer(&self, batch: &Batch, found: &[(Metered, Report)]) -> Result<Vec<(String, Grant)>> {
        let now = self.clock.now();
        let mut books = self.books();
        let mut grants = Vec::with_capacity(found.len());
        for (metered, report) in found {
            let lender = books.lenders.entry(metered.key.to_string()).or_default();
            lender.forget(&metered.limit, SILENT, now);
            let grant = lender
                .answer(&metered.limit, &batch.holder, batch.sequence, report, now)
                .ok_or_else(|| Error::conflict("a younger report was heard already"))?;
            if grant.short {
                let silent = now.as_second() - i64::try_from(HOLDS.as_secs()).unwrap_or_default();
                let others: Vec<String> = lender
                    .holdings()
                    .filter(|(name, held)| {
                        *name != batch.holder
                            && held.start == grant.start
                            && held.slice > held.used
                            && held.heard >= silent
                    })
                    .map(|(name, _)| name.to_owned())
                    .collect();
                for other in others {
                    books
                        .recalls
                        .entry(other)
                        .or_default()
                        .insert(metered.key.to_string());
                }
            }
            if let Some(recalls) = books.recalls.get_mut(&batch.holder) {
                recalls.remove(&*metered.key);
            }
            grants.push((metered.key.to_string(), grant));
        }
        drop(books);
        self.changed.send_modify(|version| *version += 1);
        Ok(grants)
    }

    /// Waits for what is wanted back, and tries again.
    async fn wait_for_more(
        &self,
        batch: &Batch,
        found: &[(Metered, Report)],
        grants: &mut [(String, Grant)],
    ) {
        let deadline = Instant::now() + RECALL_WAIT;
        let mut changed = self.changed.subscribe();
        while grants
            .iter()
            .any(|(key, grant)| grant.short && self.is_recalled(key, &batch.holder))
        {
            if tokio::time::timeout_at(deadline, changed.changed())
                .await
                .is_err()
            {
                break;
            }
            self.again(batch, found, grants);
        }
        self.again(batch, found, grants);
    }

    /// Whether somebody else has yet to say what it can give back. What is wanted back of the asking holder is not
    /// waited for: it gave everything back when it asked, and two who wait for each other would wait in vain.
    fn is_recalled(&self, key: &str, holder: &str) -> bool {
        let books = self.books();
        let mut others = books.recalls.iter().filter(|(name, _)| *name != holder);
        others.any(|(_, keys)| keys.contains(key))
    }

    fn again(&self, batch: &Batch, found: &[(Metered, Report)], grants: &mut [(String, Grant)]) {
        let now = self.clock.now();
        let mut books = self.books();
        for ((key, grant), (metered, report)) in grants.iter_mut().zip(found) {
            let Some(lender) = books.lenders.get_mut(key).filter(|_| grant.short) else {
                continue;
            };
            let better = lender.again(&metered.limit, &batch.holder, batch.sequence, report, now);
            *grant = better.unwrap_or(*grant);
        }
    }

    /// Writes down what a holder has now.
    async fn remember(&self, batch: &Batch, found: &[(Metered, Report)]) -> Result<()> {
        let mut writes = Vec::with_capacity(found.len());
        for (metered, _) in found {
            let holding = {
                let books = self.books();
                let lender = books.lenders.get(&*metered.key);
                lender.and_then(|lender| {
                    let mut holdings = lender.holdings();
                    holdings
                        .find(|(name, _)| *name == batch.holder)
                        .map(|(_, holding)| *holding)
                })
            };
            let Some(holding) = holding else { continue };
            let written = Written {
                key: metered.key.to_string(),
                holder: batch.holder.clone(),
                holding,
            };
            writes.push(RecordWrite::Put {
                key: RecordKey {
                    collection: COLLECTION.into(),
                    project: String::new(),
                    id: format!("{}|{}", metered.key, batch.holder),
                },
                expected: None,
                body: serde_json::to_value(written)
                    .map_err(|error| Error::internal("a lease has no JSON form").because(error))?,
            });
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.records.commit(writes).await.map(drop)
    }

    fn wanted_back(&self, holder: &str) -> Vec<String> {
        let books = self.books();
        let keys = books.recalls.get(holder);
        keys.map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }
}

/// Whether what was lent is of a window that is over.
fn is_over(written: &Written, now: Timestamp) -> bool {
    let window = written.key.rsplit('/').next().unwrap_or_default();
    let windows = stead_metering::Window::ALL;
    let window = windows.into_iter().find(|known| known.as_str() == window);
    window.is_some_and(|window| window.at(now).start > written.holding.start)
}

#[async_trait]
impl Leases for Desk {
    async fn report(&self, batch: Batch) -> Result<Answer> {
        self.load().await?;
        let found = self.find(&batch).await;
        let mut grants = self.answer(&batch, &found)?;
        if grants.iter().any(|(_, grant)| grant.short) {
            self.wait_for_more(&batch, &found, &mut grants).await;
        }
        self.remember(&batch, &found).await?;
        Ok(Answer {
            holds_ms: u64::try_from(HOLDS.as_millis()).unwrap_or_default(),
            grants,
        })
    }

    async fn recalls(&self, holder: &str) -> Result<Vec<String>> {
        let deadline = Instant::now() + RECALLS_WAIT;
        let mut changed = self.changed.subscribe();
        loop {
            let keys = self.wanted_back(holder);
            let waited = !keys.is_empty()
                || tokio::time::timeout_at(deadline, changed.changed())
                    .await
                    .is_err();
            if waited {
                return Ok(keys);
            }
        }
    }
}
