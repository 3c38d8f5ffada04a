//! Threads and messages as records.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use stead_kernel::{
    Error, Reason, Result,
    ports::{Page, Record, RecordQuery, RecordWrite, Records},
};
use uuid::Uuid;

use super::{MESSAGES, Message, Role, Said, THREADS, Thread, text_of};
use crate::records::{key, put};

/// The longest title, in characters.
const LONGEST_TITLE: usize = 200;
/// How much of the first question becomes the title, in characters.
const TITLE_FROM_QUESTION: usize = 60;
/// The longest name of a folder, in characters.
const LONGEST_FOLDER: usize = 100;
/// The largest options, in bytes of JSON.
const LARGEST_OPTIONS: usize = 64 << 10;
/// The most items of a page.
const LARGEST_PAGE: usize = 2000;
/// How often a change is tried again after somebody else was faster.
const TRIES: u32 = 5;

/// A person in a project: whose threads are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: String,
    pub(crate) project: String,
}

/// The threads of everybody.
#[derive(Clone)]
pub(crate) struct Threads {
    pub(super) records: Arc<dyn Records>,
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
    folder: String,
    pinned: bool,
    options: Value,
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
pub(crate) struct ThreadChange {
    pub(crate) title: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) system: Option<String>,
    /// Empty for none.
    pub(crate) folder: Option<String>,
    pub(crate) pinned: Option<bool>,
    pub(crate) options: Option<Value>,
    /// The end of the branch that is looked at: a message of the thread.
    pub(crate) leaf: Option<String>,
    /// The version that the thread must still have.
    pub(crate) version: Option<u64>,
}

impl ThreadChange {
    fn apply(self, body: &mut ThreadBody) -> Result<()> {
        let changes = [
            (self.title, &mut body.title),
            (self.model, &mut body.model),
            (self.system, &mut body.system),
            (self.folder, &mut body.folder),
        ];
        for (new, old) in changes {
            if let Some(new) = new {
                *old = new;
            }
        }
        body.pinned = self.pinned.unwrap_or(body.pinned);
        if let Some(options) = self.options {
            check_options(&options)?;
            body.options = options;
        }
        if self.leaf.is_some() {
            body.leaf = self.leaf;
        }
        body.folder = body.folder.trim().to_owned();
        if body.folder.chars().count() > LONGEST_FOLDER {
            return Err(Error::invalid(format!(
                "folder: longer than {LONGEST_FOLDER} characters"
            )));
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
pub(crate) enum Parent {
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

/// Where a new message goes.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// Its id, where the client has one (a UUID).
    pub(super) id: Option<String>,
    pub(super) parent: Parent,
    /// The version that the thread must still have.
    pub(super) version: Option<u64>,
}

/// A conversation from somewhere else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Imported {
    pub(crate) change: ThreadChange,
    /// Parents before what follows them, with ids that are known within the conversation only.
    pub(crate) messages: Vec<(String, Said)>,
    /// Which of them the branch ends with that was looked at last.
    pub(crate) leaf: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) limit: usize,
    pub(crate) after: Option<String>,
}

impl Threads {
    pub(crate) fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// The owner's threads, the last used first.
    pub(crate) async fn list(&self, owner: &Owner, part: Part) -> Result<Page<Thread>> {
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

    pub(crate) async fn create(&self, owner: &Owner, change: ThreadChange) -> Result<Thread> {
        let mut body = ThreadBody {
            owner: owner.user.clone(),
            ..ThreadBody::default()
        };
        if change.leaf.is_some() {
            return Err(Error::invalid("leaf: a new thread has no message"));
        }
        change.apply(&mut body)?;
        let id = Uuid::now_v7().to_string();
        self.records
            .commit(vec![put(key(THREADS, owner, &id), Some(0), &body)?])
            .await?;
        self.get(owner, &id).await
    }

    /// Stores a conversation from somewhere else, whole or not at all; its messages get ids of their own.
    pub(crate) async fn import(&self, owner: &Owner, imported: Imported) -> Result<Thread> {
        let mut body = ThreadBody {
            owner: owner.user.clone(),
            ..ThreadBody::default()
        };
        imported.change.apply(&mut body)?;
        let thread = Uuid::now_v7().to_string();
        let mut ids: HashMap<String, String> = HashMap::new();
        let mut writes = Vec::with_capacity(imported.messages.len() + 1);
        for (foreign, said) in imported.messages {
            check_content(&said.content)?;
            let id = Uuid::now_v7().to_string();
            let parent = said.parent.and_then(|parent| ids.get(&parent).cloned());
            let message = MessageBody {
                thread: thread.clone(),
                said: Said { parent, ..said },
            };
            writes.push(put(key(MESSAGES, owner, &id), Some(0), &message)?);
            body.leaf = Some(id.clone());
            ids.insert(foreign, id);
        }
        if let Some(leaf) = imported.leaf.and_then(|leaf| ids.remove(&leaf)) {
            body.leaf = Some(leaf);
        }
        writes.push(put(key(THREADS, owner, &thread), Some(0), &body)?);
        self.records.commit(writes).await?;
        self.get(owner, &thread).await
    }

    pub(crate) async fn get(&self, owner: &Owner, id: &str) -> Result<Thread> {
        thread(self.record(owner, id).await?)
    }

    pub(super) async fn change(&self, owner: &Owner, id: &str, change: ThreadChange) -> Result<Thread> {
        let record = self.record(owner, id).await?;
        let mut body: ThreadBody = decode(record.body)?;
        if change.version.is_some_and(|version| version != record.version) {
            return Err(changed_meanwhile());
        }
        self.check_message("leaf", owner, id, change.leaf.as_deref())
            .await?;
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
    pub(crate) async fn messages(&self, owner: &Owner, id: &str, part: Part) -> Result<Page<Message>> {
        self.record(owner, id).await?;
        let page = self.records.list(messages_query(owner, id, part)).await?;
        let items = page.items.into_iter().map(message).collect::<Result<_>>()?;
        Ok(Page {
            items,
            next: page.next,
        })
    }

    /// Appends a message. With `version`, the thread must still have it. A message whose id was given, and which is
    /// there already, is answered as it is: who was not told of the first try may repeat it.
    pub(super) async fn append(
        &self,
        owner: &Owner,
        thread: &str,
        Place { id, parent, version }: Place,
        said: Said,
    ) -> Result<Message> {
        check_content(&said.content)?;
        if let Some(id) = &id {
            let known = self.records.get(&key(MESSAGES, owner, id)).await?;
            if known.is_some_and(|record| is_of(&record, thread)) {
                self.record(owner, thread).await?;
                return self.message(owner, id).await;
            }
        }
        let id = id.unwrap_or_else(|| Uuid::now_v7().to_string());
        for _ in 0..TRIES {
            let record = self.record(owner, thread).await?;
            if version.is_some_and(|version| version != record.version) {
                return Err(changed_meanwhile());
            }
            let mut body: ThreadBody = decode(record.body)?;
            let parent = match &parent {
                Parent::Newest => body.leaf.clone(),
                Parent::Nothing => None,
                Parent::Message(id) => Some(id.clone()),
            };
            self.check_message("parent", owner, thread, parent.as_deref())
                .await?;
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

    /// That a message is one of the thread's; `field` says what names it.
    async fn check_message(
        &self,
        field: &str,
        owner: &Owner,
        thread: &str,
        message: Option<&str>,
    ) -> Result<()> {
        let Some(message) = message else {
            return Ok(());
        };
        let record = self.records.get(&key(MESSAGES, owner, message)).await?;
        if record.is_some_and(|record| is_of(&record, thread)) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{field}: the thread has no message {message}"
        )))
    }

    /// The record of a thread of this owner; other people's do not exist.
    async fn record(&self, owner: &Owner, id: &str) -> Result<Record> {
        let record = self.records.get(&key(THREADS, owner, id)).await?;
        record
            .filter(|record| record.body.get("owner").and_then(Value::as_str) == Some(&owner.user))
            .ok_or_else(|| Error::not_found(format!("there is no thread {id}")))
    }
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
        folder: body.folder,
        pinned: body.pinned,
        options: body.options,
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

/// Whether a message's record is one of the thread's.
fn is_of(record: &Record, thread: &str) -> bool {
    record.body.get("thread").and_then(Value::as_str) == Some(thread)
}

fn check_options(options: &Value) -> Result<()> {
    if !options.is_object() && !options.is_null() {
        return Err(Error::invalid("options: no object"));
    }
    if options.to_string().len() > LARGEST_OPTIONS {
        return Err(Error::too_large(format!(
            "options: more than {LARGEST_OPTIONS} bytes"
        )));
    }
    Ok(())
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
