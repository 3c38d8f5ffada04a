//! Shares as records.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use stead_kernel::{
    Error, Result, Timestamp,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
};
use uuid::Uuid;

use crate::threads::{Message, Owner, Thread};

/// The collection of shares. They lie in no project: whoever opens one need not know its.
pub(crate) const SHARES: &str = "chat.shares";
/// The longest time that a share is good for.
const LONGEST: Duration = Duration::from_hours(24 * 365);
/// How many shares a list has at most.
const LISTED: usize = 500;

/// Who may open a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Audience {
    /// Whoever is signed in.
    #[default]
    SignedIn,
    /// Everybody who has the address.
    Public,
}

/// A share as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Share {
    /// What its address ends with; nobody guesses it.
    #[serde(default)]
    pub(super) id: String,
    pub(super) thread: String,
    pub(super) title: String,
    /// Who shares.
    pub(super) owner: String,
    pub(super) project: String,
    pub(super) audience: Audience,
    pub(super) made: Timestamp,
    pub(super) expires: Timestamp,
}

/// A share with what it shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub(super) share: Share,
    pub(super) messages: Vec<Message>,
}

/// All shares.
#[derive(Clone)]
pub(super) struct Shares {
    records: Arc<dyn Records>,
}

impl Shares {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Shares one branch of a thread.
    pub(super) async fn make(
        &self,
        thread: Thread,
        messages: Vec<Message>,
        (audience, lasts): (Audience, Duration),
        now: Timestamp,
    ) -> Result<Share> {
        if lasts.is_zero() || lasts > LONGEST {
            return Err(Error::invalid("a share lasts between a second and a year"));
        }
        let share = Share {
            id: Uuid::new_v4().simple().to_string(),
            title: thread.title,
            thread: thread.id,
            owner: thread.owner,
            project: thread.project,
            audience,
            made: now,
            expires: now.checked_add(lasts).unwrap_or(Timestamp::MAX),
        };
        let shown = Shown {
            share: share.clone(),
            messages,
        };
        let body = serde_json::to_value(&shown)
            .map_err(|error| Error::internal("a share has no JSON form").because(error))?;
        let write = RecordWrite::Put {
            key: key(&share.id),
            expected: Some(0),
            body,
        };
        self.records.commit(vec![write]).await?;
        Ok(share)
    }

    /// What a share shows, while it is good.
    pub(super) async fn open(&self, id: &str, now: Timestamp) -> Result<Shown> {
        let record = self.records.get(&key(id)).await?;
        let shown = record.and_then(parse).filter(|shown| shown.share.expires > now);
        shown.ok_or_else(|| {
            Error::not_found("this page is shared no more")
                .hint("ask whoever gave you the address to share it again")
        })
    }

    /// Those of one person that are good, the newest first.
    pub(super) async fn of(&self, owner: &Owner, now: Timestamp) -> Result<Vec<Share>> {
        let query = RecordQuery {
            collection: SHARES.into(),
            project: Some(String::new()),
            equals: vec![("owner".into(), owner.user.clone().into())],
            order_by: Some("created".into()),
            descending: true,
            limit: LISTED,
            ..RecordQuery::default()
        };
        let page = self.records.list(query).await?;
        let shares = page.items.into_iter().filter_map(parse).map(|shown| shown.share);
        Ok(shares
            .filter(|share| share.project == owner.project && share.expires > now)
            .collect())
    }

    /// Takes a share back; other people's do not exist.
    pub(super) async fn end(&self, owner: &Owner, id: &str) -> Result<()> {
        let record = self.records.get(&key(id)).await?;
        let own = record
            .and_then(parse)
            .is_some_and(|shown| shown.share.owner == owner.user);
        if !own {
            return Err(Error::not_found(format!("there is no share {id}")));
        }
        let write = RecordWrite::Delete {
            key: key(id),
            expected: None,
        };
        self.records.commit(vec![write]).await.map(drop)
    }
}

/// The messages from the beginning of a thread to one of them.
pub(super) fn branch(messages: Vec<Message>, leaf: &str) -> Vec<Message> {
    let mut by_id: HashMap<String, Message> = messages
        .into_iter()
        .map(|message| (message.id.clone(), message))
        .collect();
    let mut path = Vec::new();
    let mut next = Some(leaf.to_owned());
    // Each is taken out, so that even a circle ends.
    while let Some(message) = next.take().and_then(|id| by_id.remove(&id)) {
        next.clone_from(&message.said.parent);
        path.push(message);
    }
    path.reverse();
    path
}

fn key(id: &str) -> RecordKey {
    RecordKey {
        collection: SHARES.into(),
        project: String::new(),
        id: id.to_owned(),
    }
}

fn parse(record: Record) -> Option<Shown> {
    serde_json::from_value(record.body).ok()
}
