//! Collections, documents and passages as records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_kernel::{
    Error, Result, Timestamp,
    ports::{Record, RecordQuery, RecordWrite, Records},
};
use uuid::Uuid;

use super::passages;
use crate::{
    records::{key, put},
    threads::Owner,
};

/// A record a collection.
pub(crate) const COLLECTIONS: &str = "chat.collections";
/// A record a document.
pub(crate) const DOCUMENTS: &str = "chat.documents";
/// A record a passage.
pub(crate) const PASSAGES: &str = "chat.passages";

/// How many records are read at a time.
const PAGE: usize = 1000;
/// The longest name, in characters.
const LONGEST_NAME: usize = 200;

/// A collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Collection {
    #[serde(default)]
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) name: String,
    /// The embedding model, as a client names it.
    pub(super) model: String,
    #[serde(default = "begin")]
    pub(super) created: Timestamp,
}

/// A document, without its text: that is in its passages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) id: String,
    pub(super) collection: String,
    pub(super) name: String,
    /// How many passages it has.
    pub(super) passages: usize,
    /// How long it is, in characters.
    pub(super) characters: usize,
    #[serde(default = "begin")]
    pub(super) created: Timestamp,
}

const fn begin() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Passage {
    collection: String,
    document: String,
    name: String,
    index: usize,
    text: String,
    vector: String,
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Hit {
    pub(super) collection: String,
    pub(super) document: String,
    /// The document's name.
    pub(super) name: String,
    /// Which passage of the document, from 0.
    pub(super) index: usize,
    pub(super) text: String,
    /// How alike it is to what was asked, at most 1.
    pub(super) score: f32,
}

/// The collections of everybody.
#[derive(Clone)]
pub(super) struct Store {
    records: Arc<dyn Records>,
}

impl Store {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    pub(super) async fn list(&self, owner: &Owner) -> Result<Vec<Collection>> {
        let mut found = self.all(owner, COLLECTIONS, ("owner", &owner.user)).await?;
        found.sort_by_key(|record| record.created);
        Ok(found.into_iter().filter_map(collection).collect())
    }

    pub(super) async fn create(&self, owner: &Owner, name: &str, model: &str) -> Result<Collection> {
        let (name, model) = (checked("name", name)?, checked("model", model)?);
        let id = Uuid::now_v7().to_string();
        let body = Collection {
            id: id.clone(),
            owner: owner.user.clone(),
            name,
            model,
            created: begin(),
        };
        let write = put(key(COLLECTIONS, owner, &id), Some(0), &body)?;
        self.records.commit(vec![write]).await?;
        self.get(owner, &id).await
    }

    /// One of the owner's collections; other people's do not exist.
    pub(super) async fn get(&self, owner: &Owner, id: &str) -> Result<Collection> {
        let record = self.records.get(&key(COLLECTIONS, owner, id)).await?;
        record
            .and_then(collection)
            .filter(|collection| collection.owner == owner.user)
            .ok_or_else(|| Error::not_found(format!("there is no collection {id}")))
    }

    /// Removes a collection with all that is in it.
    pub(super) async fn delete(&self, owner: &Owner, id: &str) -> Result<()> {
        self.get(owner, id).await?;
        for inside in [PASSAGES, DOCUMENTS] {
            self.delete_all(owner, inside, ("collection", id)).await?;
        }
        let write = RecordWrite::Delete {
            key: key(COLLECTIONS, owner, id),
            expected: None,
        };
        self.records.commit(vec![write]).await.map(drop)
    }

    pub(super) async fn documents(&self, owner: &Owner, id: &str) -> Result<Vec<Document>> {
        self.get(owner, id).await?;
        let mut found = self.all(owner, DOCUMENTS, ("collection", id)).await?;
        found.sort_by_key(|record| record.created);
        Ok(found.into_iter().filter_map(document).collect())
    }

    /// Stores a document with its passages and their vectors, whole or not at all.
    pub(super) async fn add(
        &self,
        owner: &Owner,
        collection: &str,
        name: &str,
        passages: Vec<(String, Vec<f32>)>,
    ) -> Result<Document> {
        let name = checked("name", name)?;
        let id = Uuid::now_v7().to_string();
        let body = Document {
            id: id.clone(),
            collection: collection.to_owned(),
            name: name.clone(),
            passages: passages.len(),
            characters: passages.iter().map(|(text, _)| text.chars().count()).sum(),
            created: begin(),
        };
        let mut writes = vec![put(key(DOCUMENTS, owner, &id), Some(0), &body)?];
        for (index, (text, vector)) in passages.into_iter().enumerate() {
            let passage = Passage {
                collection: collection.to_owned(),
                document: id.clone(),
                name: name.clone(),
                index,
                text,
                vector: passages::encode(&vector),
            };
            let place = format!("{id}-{index:06}");
            writes.push(put(key(PASSAGES, owner, &place), Some(0), &passage)?);
        }
        self.records.commit(writes).await?;
        let record = self.records.get(&key(DOCUMENTS, owner, &id)).await?;
        record
            .and_then(document)
            .ok_or_else(|| Error::not_found("the document was removed meanwhile"))
    }

    /// Removes a document with its passages.
    pub(super) async fn remove(&self, owner: &Owner, collection: &str, id: &str) -> Result<()> {
        self.get(owner, collection).await?;
        let place = key(DOCUMENTS, owner, id);
        let record = self.records.get(&place).await?;
        let inside = record
            .and_then(document)
            .is_some_and(|found| found.collection == collection);
        if !inside {
            return Err(Error::not_found(format!("there is no document {id}")));
        }
        self.delete_all(owner, PASSAGES, ("document", id)).await?;
        let write = RecordWrite::Delete {
            key: place,
            expected: None,
        };
        self.records.commit(vec![write]).await.map(drop)
    }

    /// The passages of a collection that are most alike to a vector, the most alike first.
    pub(super) async fn search(
        &self,
        owner: &Owner,
        collection: &str,
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<Hit>> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut query = query(owner, PASSAGES, ("collection", collection));
        loop {
            let page = self.records.list(query.clone()).await?;
            hits.extend(page.items.into_iter().filter_map(|record| hit(record, vector)));
            hits.sort_by(|one, two| two.score.total_cmp(&one.score));
            hits.truncate(limit);
            query.after = page.next;
            if query.after.is_none() {
                return Ok(hits);
            }
        }
    }

    async fn all(&self, owner: &Owner, inside: &str, equals: (&str, &str)) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        let mut query = query(owner, inside, equals);
        loop {
            let page = self.records.list(query.clone()).await?;
            found.extend(page.items);
            query.after = page.next;
            if query.after.is_none() {
                return Ok(found);
            }
        }
    }

    async fn delete_all(&self, owner: &Owner, inside: &str, equals: (&str, &str)) -> Result<()> {
        loop {
            let page = self.records.list(query(owner, inside, equals)).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            let writes = page.items.into_iter().map(|record| RecordWrite::Delete {
                key: record.key,
                expected: None,
            });
            self.records.commit(writes.collect()).await?;
        }
    }
}

fn hit(record: Record, vector: &[f32]) -> Option<Hit> {
    let passage: Passage = serde_json::from_value(record.body).ok()?;
    Some(Hit {
        score: passages::likeness(&passages::decode(&passage.vector)?, vector),
        collection: passage.collection,
        document: passage.document,
        name: passage.name,
        index: passage.index,
        text: passage.text,
    })
}

fn query(owner: &Owner, inside: &str, (field, value): (&str, &str)) -> RecordQuery {
    RecordQuery {
        collection: inside.to_owned(),
        project: Some(owner.project.clone()),
        equals: vec![(field.to_owned(), Value::from(value))],
        limit: PAGE,
        ..RecordQuery::default()
    }
}

fn checked(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_NAME {
        return Err(Error::invalid(format!(
            "{field}: empty, or longer than {LONGEST_NAME} characters"
        )));
    }
    Ok(text.to_owned())
}

fn collection(record: Record) -> Option<Collection> {
    let body: Collection = serde_json::from_value(record.body).ok()?;
    Some(Collection {
        id: record.key.id,
        created: record.created,
        ..body
    })
}

fn document(record: Record) -> Option<Document> {
    let body: Document = serde_json::from_value(record.body).ok()?;
    Some(Document {
        id: record.key.id,
        created: record.created,
        ..body
    })
}
