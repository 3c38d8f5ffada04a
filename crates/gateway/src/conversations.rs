//! Conversations as objects: items in an order, which responses add to.
//!
//! *Invariant:* what a response adds, its input and its output, comes with the response itself or not at all.
//!
//! *Invariant:* a conversation belongs to a project; to others it does not exist. It is kept until it is deleted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stead_kernel::{
    Clock, Collection, Error, Reason, Result,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
};
use uuid::Uuid;

/// Conversations.
pub(crate) const CONVERSATIONS: Collection = Collection {
    name: "gateway.conversations",
    indexes: &[],
};
/// Their items.
pub(crate) const ITEMS: Collection = Collection {
    name: "gateway.conversation-items",
    indexes: &["conversation", "place"],
};
/// The most items of a conversation.
const LONGEST: u64 = 5_000;
/// How often an addition is tried again that others were faster than.
const TRIES: u32 = 16;
/// How ids of items begin, by their types.
const PREFIXES: [(&str, &str); 5] = [
    ("message", "msg"),
    ("function_call", "fc"),
    ("function_call_output", "fco"),
    ("reasoning", "rs"),
    ("custom_tool_call", "ctc"),
];

/// A conversation without its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    /// `conv_…`
    pub(crate) id: String,
    /// When it was made, in seconds since 1970.
    pub(crate) created_at: i64,
    pub(crate) metadata: Map<String, Value>,
    /// The place of the next item; those of removed ones stay empty.
    next: u64,
}

impl Conversation {
    /// As clients see it (<https://platform.openai.com/docs/api-reference/conversations/object>).
    pub(crate) fn object(&self) -> Value {
        json!({"id": self.id, "object": "conversation", "created_at": self.created_at, "metadata": self.metadata})
    }
}

/// An item as it is stored.
#[derive(Serialize, Deserialize)]
struct Placed {
    conversation: String,
    place: u64,
    item: Value,
}

/// All conversations.
#[derive(Clone)]
pub(crate) struct Conversations {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

impl Conversations {
    pub(crate) fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Makes a conversation with its first items.
    pub(crate) async fn create(
        &self,
        project: &str,
        metadata: Map<String, Value>,
        items: Vec<Value>,
    ) -> Result<Conversation> {
        let mut conversation = Conversation {
            id: format!("conv_{}", Uuid::now_v7().simple()),
            created_at: self.clock.now().as_second(),
            metadata,
            next: 0,
        };
        let mut writes = place(&mut conversation, project, &items)?;
        writes.push(put(project, &conversation, 0)?);
        self.records.commit(writes).await?;
        Ok(conversation)
    }

    /// A conversation and the version of its record.
    async fn find(&self, project: &str, id: &str) -> Result<Option<(Conversation, u64)>> {
        let record = self.records.get(&key(CONVERSATIONS, project, id)).await?;
        record
            .map(|record| Ok((read(record.body)?, record.version)))
            .transpose()
    }

    pub(crate) async fn get(&self, project: &str, id: &str) -> Result<Option<Conversation>> {
        let found = self.find(project, id).await?;
        Ok(found.map(|(conversation, _)| conversation))
    }

    /// Replaces the metadata; `None` when the conversation is not there.
    pub(crate) async fn describe(
        &self,
        project: &str,
        id: &str,
        metadata: &Map<String, Value>,
    ) -> Result<Option<Conversation>> {
        for _ in 0..TRIES {
            let Some((mut conversation, version)) = self.find(project, id).await? else {
                return Ok(None);
            };
            conversation.metadata.clone_from(metadata);
            let write = put(project, &conversation, version)?;
            match self.records.commit(vec![write]).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                done => return done.map(|_| Some(conversation)),
            }
        }
        Err(busy())
    }

    /// Removes a conversation with its items. Returns whether it was there.
    pub(crate) async fn delete(&self, project: &str, id: &str) -> Result<bool> {
        for _ in 0..TRIES {
            let Some((_, version)) = self.find(project, id).await? else {
                return Ok(false);
            };
            let mut writes: Vec<RecordWrite> = self
                .records_of(project, id)
                .await?
                .into_iter()
                .map(remove)
                .collect();
            writes.push(RecordWrite::Delete {
                key: key(CONVERSATIONS, project, id),
                expected: Some(version),
            });
            match self.records.commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                done => return done.map(|_| true),
            }
        }
        Err(busy())
    }

    async fn records_of(&self, project: &str, id: &str) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        let mut query = RecordQuery {
            collection: ITEMS.name.to_owned(),
            project: Some(project.to_owned()),
            equals: vec![("conversation".to_owned(), id.into())],
            order_by: Some("place".to_owned()),
            limit: 500,
            ..RecordQuery::default()
        };
        loop {
            let page = self.records.list(query.clone()).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// All items, in order.
    pub(crate) async fn items(&self, project: &str, id: &str) -> Result<Vec<Value>> {
        let records = self.records_of(project, id).await?;
        let items = records
            .into_iter()
            .map(|record| Ok(read::<Placed>(record.body)?.item));
        items.collect()
    }

    pub(crate) async fn item(&self, project: &str, id: &str, item: &str) -> Result<Option<Value>> {
        let record = self.records.get(&item_key(project, id, item)).await?;
        record
            .map(|record| Ok(read::<Placed>(record.body)?.item))
            .transpose()
    }

    /// Removes an item. Returns the conversation, or `None` when one of both is not there.
    pub(crate) async fn remove_item(
        &self,
        project: &str,
        id: &str,
        item: &str,
    ) -> Result<Option<Conversation>> {
        let (Some(conversation), Some(_)) =
            (self.get(project, id).await?, self.item(project, id, item).await?)
        else {
            return Ok(None);
        };
        let write = RecordWrite::Delete {
            key: item_key(project, id, item),
            expected: None,
        };
        self.records.commit(vec![write]).await?;
        Ok(Some(conversation))
    }

    /// Adds items, together with other writes. Returns the items as they are kept.
    ///
    /// # Errors
    /// `NotFound` when the conversation is not there; then nothing is written.
    pub(crate) async fn append(
        &self,
        project: &str,
        id: &str,
        items: &[Value],
        others: &[RecordWrite],
    ) -> Result<Vec<Value>> {
        let items = self.named(project, id, items).await?;
        for _ in 0..TRIES {
            let Some((mut conversation, version)) = self.find(project, id).await? else {
                return Err(Error::not_found(format!("there is no conversation `{id}` here")));
            };
            let mut writes = others.to_vec();
            writes.extend(place(&mut conversation, project, &items)?);
            writes.push(put(project, &conversation, version)?);
            match self.records.commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                done => return done.map(|_| items),
            }
        }
        Err(busy())
    }

    /// Items with an id each: their own where no other item of the conversation has it.
    async fn named(&self, project: &str, id: &str, items: &[Value]) -> Result<Vec<Value>> {
        let mut named: Vec<Value> = Vec::with_capacity(items.len());
        for item in items {
            let mut item = item.clone();
            let given = id_of(&item).map(str::to_owned);
            let taken = match &given {
                None => true,
                Some(given) => {
                    named.iter().any(|other| id_of(other) == Some(given))
                        || self.item(project, id, given).await?.is_some()
                }
            };
            if taken {
                name(&mut item);
            }
            named.push(item);
        }
        Ok(named)
    }
}

/// An item that a client adds, in the form in which all are kept.
///
/// # Errors
/// When it is none.
pub(crate) fn normal(item: &Value) -> Result<Value> {
    let Some(members) = item.as_object() else {
        return Err(Error::invalid("items: each must be an object"));
    };
    let mut members = members.clone();
    let is_message = match members.get("type").and_then(Value::as_str) {
        Some("item_reference") => {
            return Err(Error::unsupported(
                "items: one cannot refer to another; add the item itself",
            ));
        }
        Some(kind) => kind == "message",
        None if members.contains_key("role") => {
            members.insert("type".to_owned(), "message".into());
            true
        }
        None => return Err(Error::invalid("items: each must have a type")),
    };
    if is_message {
        let said = members.get("content").cloned().unwrap_or_default();
        if let Value::String(text) = said {
            let assistant = members.get("role").and_then(Value::as_str) == Some("assistant");
            let part = if assistant {
                json!({"type": "output_text", "text": text, "annotations": []})
            } else {
                json!({"type": "input_text", "text": text})
            };
            members.insert("content".to_owned(), json!([part]));
        }
        members.entry("status").or_insert_with(|| "completed".into());
    }
    let mut item = Value::Object(members);
    if id_of(&item).is_none() {
        name(&mut item);
    }
    Ok(item)
}

/// Gives an item an id of ours.
fn name(item: &mut Value) {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message");
    let known = PREFIXES.iter().find(|(known, _)| *known == kind);
    let prefix = known.map_or("item", |(_, prefix)| *prefix);
    let id = format!("{prefix}_{}", Uuid::now_v7().simple());
    if let Some(members) = item.as_object_mut() {
        members.insert("id".to_owned(), id.into());
    }
}

fn id_of(item: &Value) -> Option<&str> {
    let id = item.get("id").and_then(Value::as_str);
    id.filter(|id| !id.is_empty() && id.len() <= 200 && !id.contains(SEPARATOR))
}

/// The writes of items at the end of a conversation.
fn place(conversation: &mut Conversation, project: &str, items: &[Value]) -> Result<Vec<RecordWrite>> {
    let mut writes = Vec::with_capacity(items.len() + 1);
    for item in items {
        let place = conversation.next;
        if place >= LONGEST {
            return Err(Error::invalid(format!(
                "the conversation has {LONGEST} items, the most that one may have"
            )));
        }
        conversation.next += 1;
        let id = id_of(item).unwrap_or_default();
        let placed = Placed {
            conversation: conversation.id.clone(),
            place,
            item: item.clone(),
        };
        writes.push(RecordWrite::Put {
            key: item_key(project, &conversation.id, id),
            expected: Some(0),
            body: write(&placed)?,
        });
    }
    Ok(writes)
}

fn put(project: &str, conversation: &Conversation, version: u64) -> Result<RecordWrite> {
    Ok(RecordWrite::Put {
        key: key(CONVERSATIONS, project, &conversation.id),
        expected: Some(version),
        body: write(conversation)?,
    })
}

fn remove(record: Record) -> RecordWrite {
    RecordWrite::Delete {
        key: record.key,
        expected: None,
    }
}

fn key(collection: Collection, project: &str, id: &str) -> RecordKey {
    RecordKey {
        collection: collection.name.to_owned(),
        project: project.to_owned(),
        id: id.to_owned(),
    }
}

/// What is between the two ids in an item's key, and in neither.
const SEPARATOR: char = '/';

fn item_key(project: &str, conversation: &str, item: &str) -> RecordKey {
    key(ITEMS, project, &format!("{conversation}{SEPARATOR}{item}"))
}

fn read<T: for<'de> Deserialize<'de>>(body: Value) -> Result<T> {
    serde_json::from_value(body)
        .map_err(|error| Error::internal("a kept conversation is damaged").because(error))
}

fn write(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::internal("a record is JSON").because(error))
}

fn busy() -> Error {
    Error::conflict("too many requests change this conversation at once; try again")
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use stead_testkit::{ManualClock, MemoryRecords};

    use super::*;

    fn conversations() -> Conversations {
        let clock = Arc::new(ManualClock::default());
        Conversations::new(Arc::new(MemoryRecords::new(clock.clone())), clock)
    }

    fn said(text: &str) -> Value {
        normal(&json!({"role": "user", "content": text})).unwrap()
    }

    fn texts(items: &[Value]) -> Vec<&str> {
        items
            .iter()
            .map(|item| item["content"][0]["text"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn items_get_one_form_and_an_id() {
        let item = said("hi");
        assert_eq!(
            (&item["type"], &item["status"]),
            (&json!("message"), &json!("completed"))
        );
        assert_eq!(item["content"], json!([{"type": "input_text", "text": "hi"}]));
        assert!(item["id"].as_str().unwrap().starts_with("msg_"));
        let call = normal(&json!({"type": "function_call", "id": "fc_1", "name": "f"})).unwrap();
        assert_eq!(call, json!({"type": "function_call", "id": "fc_1", "name": "f"}));
        let answer = normal(&json!({"role": "assistant", "content": "yes"})).unwrap();
        assert_eq!(answer["content"][0]["type"], "output_text");
        for bad in [
            json!("x"),
            json!({}),
            json!({"type": "item_reference", "id": "x"}),
        ] {
            normal(&bad).unwrap_err();
        }
    }

    #[tokio::test]
    async fn additions_at_the_same_time_all_find_their_place() {
        let all = conversations();
        let one = all.create("p", Map::new(), vec![said("first")]).await.unwrap();
        let added = join_all((0..8).map(|number| {
            let (all, id) = (all.clone(), one.id.clone());
            async move {
                let items = [said(&format!("{number}a")), said(&format!("{number}b"))];
                all.append("p", &id, &items, &[]).await
            }
        }))
        .await;
        assert!(added.iter().all(Result::is_ok));
        let items = all.items("p", &one.id).await.unwrap();
        let texts = texts(&items);
        assert_eq!((texts.len(), texts[0]), (17, "first"));
        for pair in texts[1..].chunks(2) {
            assert_eq!(
                (&pair[0][..1], &pair[0][1..], &pair[1][1..]),
                (&pair[1][..1], "a", "b")
            );
        }
    }

    #[tokio::test]
    async fn an_id_that_is_taken_is_replaced_and_a_removed_item_leaves_no_trace() {
        let all = conversations();
        let one = all.create("p", Map::new(), Vec::new()).await.unwrap();
        let mut item = said("a");
        item["id"] = "msg_1".into();
        let both = all
            .append("p", &one.id, &[item.clone(), item.clone()], &[])
            .await
            .unwrap();
        assert_eq!(both[0]["id"], "msg_1");
        assert_ne!(both[1]["id"], "msg_1");
        assert!(all.remove_item("p", &one.id, "msg_1").await.unwrap().is_some());
        assert!(all.remove_item("p", &one.id, "msg_1").await.unwrap().is_none());
        all.append("p", &one.id, &[said("b")], &[]).await.unwrap();
        assert_eq!(texts(&all.items("p", &one.id).await.unwrap()), ["a", "b"]);
        assert!(all.delete("p", &one.id).await.unwrap());
        assert!(all.items("p", &one.id).await.unwrap().is_empty());
        let gone = all.append("p", &one.id, &[said("c")], &[]).await.unwrap_err();
        assert_eq!(gone.reason(), Reason::NotFound);
        assert_eq!(all.get("other", &one.id).await.unwrap(), None);
    }
}
