//! Threads and messages as records.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use stead_kernel::{
    Error, Reason, Result,
    ports::{Page, Record, RecordKey, RecordQuery, RecordWrite, Records},
};
use uuid::Uuid;

use super::{MESSAGES, Message, Role, Said, THREADS, Thread, text_of};

/// The longest title, in characters.
const LONGEST_TITLE: usize = 200;
/// How much of the first question becomes the title, in characters.
const TITLE_FROM_QUESTION: usize = 60;
/// The most items of a page.
const LARGEST_PAGE: usize = 500;
/// How often a change is tried again after somebody else was faster.
const TRIES: u32 = 5;

/// A person in a project: whose threads are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: String,
    pub(super) project: String,
}

/// The threads of everybody.
#[derive(Clone)]
pub(super) struct Threads {
    records: Arc<dyn Records>,
}

/// A thread as it is stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ThreadBody {
    owner: String,
    title: String,
    model: String,
    system: String,
    leaf: Option<String>,
}

/// A message as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct MessageBody {
    thread: String,
    #[serde(flatten)]
    said: Said,
}

/// What may be changed about a thread; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ThreadChange {
    pub(super) title: Option<String>,
    pub(super) model: Option<String>,
    pub(super) system: Option<String>,
    /// The version that the thread must still have.
    pub(super) version: Option<u64>,
}

impl ThreadChange {
    fn apply(self, body: &mut ThreadBody) -> Result<()> {
        let changes = [
            (self.title, &mut body.title),
            (self.model, &mut body.model),
            (self.system, &mut body.system),
        ];
        for (new, old) in changes {
            if let Some(new) = new {
                *old = new;
            }
        }
        body.title = body.title.trim().to_owned();
        if body.title.chars().count() > LONGEST_TITLE {
            return Err(Error::invalid(format!(
                "title: longer than {LONGEST_TITLE} characters"
            )));
        }
        Ok(())
    }
}

/// What a new message follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Parent {
    /// The newest message of the thread; an absent field.
    #[default]
    Newest,
    /// Nothing: it begins anew; `null`.
    Nothing,
    /// This message.
    Message(String),
}

impl<'de> Deserialize<'de> for Parent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let id = Option::<String>::deserialize(deserializer)?;
        Ok(id.map_or(Self::Nothing, Self::Message))
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) limit: usize,
    pub(super) after: Option<String>,
}

impl Threads {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// The owner's threads, the last used first.
    pub(super) async fn list(&self, owner: &Owner, part: Part) -> Result<Page<Thread>> {
        let query = RecordQuery {
            collection: THREADS.into(),
            project: Some(owner.project.clone()),
            equals: vec![("owner".into(), owner.user.clone().into())],
            order_by: Some("updated".into()),
            descending: true,
            after: part.after,
            limit: part.limit.min(LARGEST_PAGE),
            ..RecordQuery::default()
        };
        let page = self.records.list(query).await?;
        let items = page.items.into_iter().map(thread).collect::<Result<_>>()?;
        Ok(Page {
            items,
            next: page.next,
        })
    }

    pub(super) async fn create(&self, owner: &Owner, change: ThreadChange) -> Result<Thread> {
        let mut body = ThreadBody {
            owner: owner.user.clone(),
            ..ThreadBody::default()
        };
        change.apply(&mut body)?;
        let id = Uuid::now_v7().to_string();
        self.records
            .commit(vec![put(key(THREADS, owner, &id), Some(0), &body)?])
            .await?;
        self.get(owner, &id).await
    }

    pub(super) async fn get(&self, owner: &Owner, id: &str) -> Result<Thread> {
        thread(self.record(owner, id).await?)
    }

    pub(super) async fn change(&self, owner: &Owner, id: &str, change: ThreadChange) -> Result<Thread> {
        let record = self.record(owner, id).await?;
        let mut body: ThreadBody = decode(record.body)?;
        if change.version.is_some_and(|version| version != record.version) {
            return Err(changed_meanwhile());
        }
        change.apply(&mut body)?;
        let write = put(record.key, Some(record.version), &body)?;
        self.records.commit(vec![write]).await.map_err(conflict)?;
        self.get(owner, id).await
    }

    /// Removes the thread with all its messages.
    pub(super) async fn delete(&self, owner: &Owner, id: &str) -> Result<()> {
        for _ in 0..TRIES {
            let record = self.record(owner, id).await?;
            while self.delete_some(owner, id).await? {}
            let expected = Some(record.version);
            let write = RecordWrite::Delete {
                key: record.key,
                expected,
            };
            match self.records.commit(vec![write]).await {
                // Somebody said something meanwhile, which has to go too.
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(drop),
            }
        }
        Err(changed_meanwhile())
    }

    /// Removes some of the messages of a thread; says whether there were any.
    async fn delete_some(&self, owner: &Owner, thread: &str) -> Result<bool> {
        let page = self
            .records
            .list(messages_query(owner, thread, Part::default()))
            .await?;
        let writes: Vec<RecordWrite> = page
            .items
            .into_iter()
            .map(|record| RecordWrite::Delete {
                key: record.key,
                expected: None,
            })
            .collect();
        let any = !writes.is_empty();
        if any {
            self.records.commit(writes).await?;
        }
        Ok(any)
    }

    /// The messages of a thread, the oldest first.
    pub(super) async fn messages(&self, owner: &Owner, id: &str, part: Part) -> Result<Page<Message>> {
        self.record(owner, id).await?;
        let page = self.records.list(messages_query(owner, id, part)).await?;
        let items = page.items.into_iter().map(message).collect::<Result<_>>()?;
        Ok(Page {
            items,
            next: page.next,
        })
    }

    /// Appends a message. With `version`, the thread must still have it.
    pub(super) async fn append(
        &self,
        owner: &Owner,
        thread: &str,
        parent: &Parent,
        version: Option<u64>,
        said: Said,
    ) -> Result<Message> {
        check_content(&said.content)?;
        let id = Uuid::now_v7().to_string();
        for _ in 0..TRIES {
            let record = self.record(owner, thread).await?;
            if version.is_some_and(|version| version != record.version) {
                return Err(changed_meanwhile());
            }
            let mut body: ThreadBody = decode(record.body)?;
            let parent = match parent {
                Parent::Newest => body.leaf.clone(),
                Parent::Nothing => None,
                Parent::Message(id) => Some(id.clone()),
            };
            self.check_parent(owner, thread, parent.as_deref()).await?;
            let said = Said {
                parent,
                ..said.clone()
            };
            if body.title.is_empty() && said.role == Role::User {
                body.title = title_from(&text_of(&said.content));
            }
            body.leaf = Some(id.clone());
            let message_body = MessageBody {
                thread: thread.to_owned(),
                said,
            };
            let writes = vec![
                put(record.key, Some(record.version), &body)?,
                put(key(MESSAGES, owner, &id), Some(0), &message_body)?,
            ];
            match self.records.commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict && version.is_none() => {}
                result => {
                    result.map_err(conflict)?;
                    return self.message(owner, &id).await;
                }
            }
        }
        Err(changed_meanwhile())
    }

    async fn message(&self, owner: &Owner, id: &str) -> Result<Message> {
        let record = self.records.get(&key(MESSAGES, owner, id)).await?;
        message(record.ok_or_else(|| Error::not_found("the message was removed meanwhile"))?)
    }

    async fn check_parent(&self, owner: &Owner, thread: &str, parent: Option<&str>) -> Result<()> {
        let Some(parent) = parent else {
            return Ok(());
        };
        let record = self.records.get(&key(MESSAGES, owner, parent)).await?;
        let same =
            record.is_some_and(|record| record.body.get("thread").and_then(Value::as_str) == Some(thread));
        if same {
            Ok(())
        } else {
            Err(Error::invalid(format!(
                "parent: the thread has no message {parent}"
            )))
        }
    }

    /// The record of a thread of this owner; other people's do not exist.
    async fn record(&self, owner: &Owner, id: &str) -> Result<Record> {
        let record = self.records.get(&key(THREADS, owner, id)).await?;
        record
            .filter(|record| record.body.get("owner").and_then(Value::as_str) == Some(&owner.user))
            .ok_or_else(|| Error::not_found(format!("there is no thread {id}")))
    }
}

fn key(collection: &str, owner: &Owner, id: &str) -> RecordKey {
    RecordKey {
        collection: collection.to_owned(),
        project: owner.project.clone(),
        id: id.to_owned(),
    }
}

fn put(key: RecordKey, expected: Option<u64>, body: &impl Serialize) -> Result<RecordWrite> {
    let body =
        serde_json::to_value(body).map_err(|error| Error::internal("a record is JSON").because(error))?;
    Ok(RecordWrite::Put { key, expected, body })
}

fn decode<T: DeserializeOwned>(body: Value) -> Result<T> {
    serde_json::from_value(body)
        .map_err(|error| Error::internal("a stored conversation is damaged").because(error))
}

fn messages_query(owner: &Owner, thread: &str, part: Part) -> RecordQuery {
    RecordQuery {
        collection: MESSAGES.into(),
        project: Some(owner.project.clone()),
        equals: vec![("thread".into(), thread.into())],
        order_by: Some("created".into()),
        after: part.after,
        limit: part.limit.min(LARGEST_PAGE),
        ..RecordQuery::default()
    }
}

fn thread(record: Record) -> Result<Thread> {
    let body: ThreadBody = decode(record.body)?;
    Ok(Thread {
        id: record.key.id,
        title: body.title,
        model: body.model,
        system: body.system,
        leaf: body.leaf,
        owner: body.owner,
        project: record.key.project,
        version: record.version,
        created: record.created,
        updated: record.updated,
    })
}

fn message(record: Record) -> Result<Message> {
    let body: MessageBody = decode(record.body)?;
    Ok(Message {
        id: record.key.id,
        thread: body.thread,
        created: record.created,
        said: body.said,
    })
}

fn check_content(content: &Value) -> Result<()> {
    match content {
        Value::String(_) => Ok(()),
        Value::Array(parts) if parts.iter().all(Value::is_object) => Ok(()),
        _ => Err(Error::invalid("content: neither a text nor a list of parts")),
    }
}

fn title_from(question: &str) -> String {
    let line = question
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    if line.chars().count() <= TITLE_FROM_QUESTION {
        return line.to_owned();
    }
    let cut: String = line.chars().take(TITLE_FROM_QUESTION - 1).collect();
    format!("{}…", cut.trim_end())
}

fn changed_meanwhile() -> Error {
    Error::conflict("the thread was changed meanwhile").hint("read it again, then repeat the change")
}

fn conflict(error: Error) -> Error {
    if error.reason() == Reason::Conflict {
        changed_meanwhile()
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_of_the_question_cut_at_a_sensible_length() {
        assert_eq!(title_from("\n  Why?\nmore"), "Why?");
        assert_eq!(title_from(""), "");
        let title = title_from(&"ä".repeat(100));
        assert_eq!((title.chars().count(), title.ends_with('…')), (60, true));
    }
}
