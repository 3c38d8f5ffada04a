//! Sessions of the console: in memory, and in the record store so that a restart keeps them.
//!
//! *Invariant:* a session's id is known to its browser only; here lies its hash.

mod authenticator;
pub(crate) mod cookie;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use stead_kernel::{
    Collection, Error, Result, Timestamp,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
};

pub(crate) use self::authenticator::SessionAuthenticator;
use crate::secret::{self, Digest};

/// A record a session, by the hash of its id in hex.
pub(crate) const COLLECTION: Collection = Collection {
    name: "access.sessions",
    indexes: &[],
};

/// How long a session is good.
pub(crate) const LIFETIME: Duration = Duration::from_hours(7 * 24);
/// How many sessions one may have; a new one ends the oldest.
const SESSIONS_EACH: usize = 32;
/// How many records are read at a time.
const PAGE: usize = 500;

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum Holder {
    /// The administrator that the admin token stands for.
    Administrator,
    /// A user; the uid keeps a later user of the same name out.
    User {
        /// The name.
        name: String,
        /// The object's uid.
        uid: String,
    },
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) holder: Holder,
    pub(crate) expires: Timestamp,
}

/// All sessions.
pub(crate) struct Sessions {
    records: Arc<dyn Records>,
    open: RwLock<HashMap<Digest, Session>>,
}

impl Sessions {
    /// Reads the stored sessions.
    pub(crate) async fn load(records: Arc<dyn Records>) -> Result<Self> {
        let mut open = HashMap::new();
        let mut after = None;
        loop {
            let query = RecordQuery {
                collection: COLLECTION.name.into(),
                after: after.take(),
                limit: PAGE,
                ..RecordQuery::default()
            };
            let page = records.list(query).await?;
            open.extend(page.items.into_iter().filter_map(parse));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(Self {
            records,
            open: RwLock::new(open),
        })
    }

    /// Begins a session; returns its id, which is not kept, and when it ends.
    pub(crate) async fn begin(&self, holder: Holder, now: Timestamp) -> Result<(String, Timestamp)> {
        let id = secret::random();
        let digest = secret::digest(&id);
        let expires = now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
        let session = Session { holder, expires };
        let mut writes: Vec<_> = self.surplus(&session.holder).iter().map(deletion).collect();
        writes.push(RecordWrite::Put {
            key: key(&digest),
            expected: None,
            body: serde_json::to_value(&session)
                .map_err(|error| Error::internal("a session cannot be written").because(error))?,
        });
        self.commit(writes).await?;
        self.write().insert(digest, session);
        Ok((id, expires))
    }

    /// The session with this id, unless it has ended.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<Session> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&secret::digest(id))
            .filter(|session| session.expires > now)
            .cloned()
    }

    /// Ends the session with this id, if there is one.
    pub(crate) async fn end(&self, id: &str) -> Result<()> {
        let digest = secret::digest(id);
        self.end_where(|other, _| *other == digest).await
    }

    /// Ends every session of someone but the one with the id `except`.
    pub(crate) async fn end_all_of(&self, holder: &Holder, except: Option<&str>) -> Result<()> {
        let except = except.map(secret::digest);
        self.end_where(|digest, session| session.holder == *holder && Some(*digest) != except)
            .await
    }

    /// Ends the sessions whose time is over or whose holder is no more.
    pub(crate) async fn sweep(&self, now: Timestamp, holds: impl Fn(&Holder) -> bool) -> Result<()> {
        self.end_where(|_, session| session.expires <= now || !holds(&session.holder))
            .await
    }

    async fn end_where(&self, ends: impl Fn(&Digest, &Session) -> bool) -> Result<()> {
        let mut ended = Vec::new();
        // First in memory: whatever the store says, these are good no more.
        self.write().retain(|digest, session| {
            let end = ends(digest, session);
            if end {
                ended.push(*digest);
            }
            !end
        });
        self.commit(ended.iter().map(deletion).collect()).await
    }

    /// The oldest sessions of someone who has as many as one may have.
    fn surplus(&self, holder: &Holder) -> Vec<Digest> {
        let mut open = self.write();
        let mut own: Vec<_> = open
            .iter()
            .filter(|(_, session)| session.holder == *holder)
            .map(|(digest, session)| (session.expires, *digest))
            .collect();
        own.sort_unstable();
        let surplus = (own.len() + 1).saturating_sub(SESSIONS_EACH);
        let surplus: Vec<Digest> = own.into_iter().take(surplus).map(|(_, digest)| digest).collect();
        for digest in &surplus {
            open.remove(digest);
        }
        surplus
    }

    async fn commit(&self, writes: Vec<RecordWrite>) -> Result<()> {
        if !writes.is_empty() {
            self.records.commit(writes).await?;
        }
        Ok(())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Digest, Session>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(digest: &Digest) -> RecordKey {
    RecordKey {
        collection: COLLECTION.name.into(),
        project: String::new(),
        id: secret::hex(digest),
    }
}

fn deletion(digest: &Digest) -> RecordWrite {
    RecordWrite::Delete {
        key: key(digest),
        expected: None,
    }
}

/// A stored session; one that cannot be understood is worth nothing.
fn parse(record: Record) -> Option<(Digest, Session)> {
    Some((
        secret::unhex(&record.key.id)?,
        serde_json::from_value(record.body).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_testkit::FakePorts;

    use super::*;

    fn ada() -> Holder {
        Holder::User {
            name: "ada".into(),
            uid: "uid-1".into(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[tokio::test]
    async fn a_restart_keeps_sessions_and_knows_them_by_hash_only() {
        let ports = FakePorts::default();
        let sessions = Sessions::load(ports.records.clone()).await.expect("loaded");
        let (id, expires) = sessions.begin(ada(), at(0)).await.expect("begun");
        let again = Sessions::load(ports.records.clone()).await.expect("loaded");
        let found = again.find(&id, at(1)).expect("kept");
        assert_eq!(
            found,
            Session {
                holder: ada(),
                expires
            }
        );
        let query = RecordQuery {
            collection: COLLECTION.name.into(),
            ..RecordQuery::default()
        };
        let stored = ports.records.list(query).await.expect("read").items;
        assert!(!format!("{stored:?}").contains(&id));
        again.end(&id).await.expect("ended");
        assert!(
            Sessions::load(ports.records)
                .await
                .expect("loaded")
                .find(&id, at(1))
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_session_ends_with_its_time() {
        let sessions = Sessions::load(FakePorts::default().records)
            .await
            .expect("loaded");
        let (id, expires) = sessions.begin(ada(), at(0)).await.expect("begun");
        assert_eq!(expires, at(7 * 24 * 3600));
        assert!(sessions.find(&id, at(7 * 24 * 3600 - 1)).is_some());
        assert!(sessions.find(&id, expires).is_none());
    }

    #[tokio::test]
    async fn all_sessions_of_one_end_but_the_present_one() {
        let sessions = Sessions::load(FakePorts::default().records)
            .await
            .expect("loaded");
        let (one, _) = sessions.begin(ada(), at(0)).await.expect("begun");
        let (two, _) = sessions.begin(ada(), at(0)).await.expect("begun");
        let (admin, _) = sessions.begin(Holder::Administrator, at(0)).await.expect("begun");
        sessions.end_all_of(&ada(), Some(&two)).await.expect("ended");
        let left = [&one, &two, &admin].map(|id| sessions.find(id, at(1)).is_some());
        assert_eq!(left, [false, true, true]);
    }

    #[tokio::test]
    async fn the_oldest_of_too_many_sessions_ends() {
        let ports = FakePorts::default();
        let sessions = Sessions::load(ports.records.clone()).await.expect("loaded");
        let (first, _) = sessions.begin(ada(), at(0)).await.expect("begun");
        let (second, _) = sessions.begin(ada(), at(1)).await.expect("begun");
        for second in 2..=32 {
            sessions.begin(ada(), at(second)).await.expect("begun");
        }
        assert!(sessions.find(&first, at(40)).is_none());
        assert!(sessions.find(&second, at(40)).is_some());
        assert_eq!(ports.records.len(), SESSIONS_EACH);
    }

    #[tokio::test]
    async fn sweeping_removes_the_expired_and_the_orphaned() {
        let ports = FakePorts::default();
        let sessions = Sessions::load(ports.records.clone()).await.expect("loaded");
        let (old, _) = sessions.begin(Holder::Administrator, at(0)).await.expect("begun");
        let (orphan, _) = sessions.begin(ada(), at(100)).await.expect("begun");
        let (good, _) = sessions
            .begin(Holder::Administrator, at(100))
            .await
            .expect("begun");
        let now = at(7 * 24 * 3600);
        sessions
            .sweep(now, |holder| *holder != ada())
            .await
            .expect("swept");
        assert_eq!(
            [&old, &orphan, &good].map(|id| sessions.find(id, now).is_some()),
            [false, false, true]
        );
        assert_eq!(ports.records.len(), 1);
    }

    #[tokio::test]
    async fn records_that_make_no_sense_are_passed_over() {
        let ports = FakePorts::default();
        for (id, body) in [("no hash", json!({})), (&"a".repeat(64), json!({"holder": 1}))] {
            let key = RecordKey {
                id: id.into(),
                ..key(&[0; 32])
            };
            let write = RecordWrite::Put {
                key,
                expected: None,
                body,
            };
            ports.records.commit(vec![write]).await.expect("written");
        }
        let sessions = Sessions::load(ports.records).await.expect("loaded");
        assert!(sessions.open.read().expect("alone").is_empty());
    }
}
