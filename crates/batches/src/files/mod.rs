//! Files: what they are, where they are kept, and their routes
//! (<https://platform.openai.com/docs/api-reference/files>).

mod blobs;
mod expiry;
mod form;
mod routes;

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::{
    Clock, Context, Error, Result,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
};
use uuid::Uuid;

use crate::page;
pub(crate) use blobs::{Draft, Kept, blocking, disk_error, read};
pub(crate) use expiry::lifetime_of;
pub(crate) use routes::routes;

/// The collection of files.
pub(crate) const FILES: &str = "batches.files";
/// The largest file, in bytes: OpenAI's limit.
pub(crate) const LARGEST: u64 = 512 << 20;
/// What clients may upload files for.
const PURPOSES: [&str; 6] = ["assistants", "batch", "evals", "fine-tune", "user_data", "vision"];
/// What the results of batches are for.
pub(crate) const OUTPUT: &str = "batch_output";
/// What the files of Anthropic's message batches are for, which nobody sees but through those.
pub(crate) const MESSAGES: &str = "message_batch";

/// A file as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileBody {
    pub(crate) filename: String,
    pub(crate) purpose: String,
    pub(crate) bytes: u64,
    /// SHA-256 of the content, 64 hex digits.
    pub(crate) digest: String,
    /// Seconds since 1970.
    pub(crate) created_at: i64,
    /// Who made it.
    pub(crate) user: String,
    /// When it goes, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<i64>,
}

impl FileBody {
    /// Whether its time is over.
    fn has_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now)
    }

    /// The file as clients get it.
    pub(crate) fn document(&self, id: &str) -> Value {
        json!({
            "id": id, "object": "file", "bytes": self.bytes, "created_at": self.created_at,
            "expires_at": self.expires_at, "filename": self.filename, "purpose": self.purpose, "status": "processed", "status_details": null,
        })
    }
}

/// All files.
#[derive(Clone)]
pub(crate) struct Files {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    blobs: blobs::Blobs,
}

impl Files {
    /// Opens the store, and removes contents that no record refers to: an earlier process was killed between the two.
    pub(crate) async fn open(context: &Context) -> Result<Self> {
        let data = context.data.clone();
        let (blobs, digests) = blocking(move || {
            let blobs = blobs::Blobs::open(&data)?;
            let digests = blobs.all()?;
            Ok((blobs, digests))
        })
        .await?;
        let files = Self {
            records: Arc::clone(&context.ports.records),
            clock: Arc::clone(&context.ports.clock),
            blobs,
        };
        for digest in digests {
            files.release(&digest).await?;
        }
        Ok(files)
    }

    /// A new content, to be written piece by piece.
    pub(crate) async fn draft(&self) -> Result<Draft> {
        self.blobs.draft().await
    }

    /// Puts a complete content on the disk.
    pub(crate) async fn keep(&self, draft: Draft) -> Result<Kept> {
        self.blobs.keep(draft).await
    }

    /// Stores a file whose content is kept. Returns its id.
    async fn create(
        &self,
        project: &str,
        kept: Kept,
        mut body: FileBody,
        lifetime: Option<u64>,
    ) -> Result<(String, FileBody)> {
        body.digest.clone_from(&kept.digest);
        body.bytes = kept.bytes;
        body.created_at = self.now();
        body.expires_at = lifetime.map(|seconds| body.created_at.saturating_add_unsigned(seconds));
        let id = format!("file-{}", Uuid::now_v7().simple());
        self.records.commit(vec![write(project, &id, &body)?]).await?;
        drop(kept.claim);
        Ok((id, body))
    }

    /// Now, in seconds since 1970.
    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// One file that clients may see.
    pub(crate) async fn shown(&self, project: &str, id: &str) -> Result<FileBody> {
        let body = self.get(project, id).await?;
        if body.purpose == MESSAGES || body.has_expired(self.now()) {
            return Err(unknown(id));
        }
        Ok(body)
    }

    /// One file.
    pub(crate) async fn get(&self, project: &str, id: &str) -> Result<FileBody> {
        let record = self.records.get(&key(project, id)).await?;
        decode(record.ok_or_else(|| unknown(id))?)
    }

    /// Where the content of a file lies.
    pub(crate) fn path(&self, body: &FileBody) -> PathBuf {
        self.blobs.path(&body.digest)
    }

    async fn list(&self, project: &str, options: &page::Options) -> Result<(Vec<(String, FileBody)>, bool)> {
        let purpose = options.purpose.clone();
        let query = RecordQuery {
            collection: FILES.into(),
            project: Some(project.to_owned()),
            equals: purpose
                .map(|purpose| ("purpose".into(), purpose.into()))
                .into_iter()
                .collect(),
            descending: options.is_descending()?,
            ..RecordQuery::default()
        };
        let limit = options.limit(1_000, 10_000)?;
        let now = self.now();
        let is_shown = |record: &Record| {
            let expires = record.body.get("expires_at").and_then(Value::as_i64);
            record
                .body
                .get("purpose")
                .is_none_or(|purpose| purpose != MESSAGES)
                && expires.is_none_or(|expires| expires > now)
        };
        let after = options.after.as_deref();
        let (records, more) = page::read(&*self.records, query, after, limit, is_shown).await?;
        let files = records.into_iter().map(|record| {
            let id = record.key.id.clone();
            decode(record).map(|body| (id, body))
        });
        Ok((files.collect::<Result<_>>()?, more))
    }

    /// Removes a file, and its content where no other file has the same.
    async fn delete(&self, project: &str, id: &str) -> Result<()> {
        self.shown(project, id).await?;
        if crate::batches::reads(&self.records, project, id).await? {
            return Err(
                Error::conflict("a batch that is not over reads this file").hint("cancel the batch first")
            );
        }
        self.remove(project, id).await
    }

    async fn remove(&self, project: &str, id: &str) -> Result<()> {
        let body = self.get(project, id).await?;
        let write = RecordWrite::Delete {
            key: key(project, id),
            expected: None,
        };
        self.records.commit(vec![write]).await?;
        self.release(&body.digest).await
    }

    /// Removes a content that no file refers to.
    pub(crate) async fn release(&self, digest: &str) -> Result<()> {
        self.blobs.condemn(digest);
        let query = RecordQuery {
            collection: FILES.into(),
            equals: vec![("digest".into(), digest.into())],
            limit: 1,
            ..RecordQuery::default()
        };
        if self.records.list(query).await?.items.is_empty() {
            let (blobs, digest) = (self.blobs.clone(), digest.to_owned());
            blocking(move || blobs.remove_condemned(&digest)).await?;
        }
        Ok(())
    }
}

pub(crate) fn key(project: &str, id: &str) -> RecordKey {
    RecordKey {
        collection: FILES.to_owned(),
        project: project.to_owned(),
        id: id.to_owned(),
    }
}

/// The change that stores a file.
pub(crate) fn write(project: &str, id: &str, body: &FileBody) -> Result<RecordWrite> {
    let body = serde_json::to_value(body);
    Ok(RecordWrite::Put {
        key: key(project, id),
        expected: None,
        body: body.map_err(|error| Error::internal("a record is JSON").because(error))?,
    })
}

fn decode(record: Record) -> Result<FileBody> {
    serde_json::from_value(record.body)
        .map_err(|error| Error::internal("a stored file is damaged").because(error))
}

fn unknown(id: &str) -> Error {
    let id: String = id.chars().take(200).collect();
    Error::not_found(format!("no such file: {id}"))
}

#[cfg(test)]
impl Files {
    /// Stores a text as an upload would. Returns the file's id.
    pub(crate) async fn store_text(&self, project: &str, purpose: &str, content: &str) -> String {
        let mut draft = self.draft().await.unwrap();
        draft.write(content.as_bytes()).await.unwrap();
        let kept = self.keep(draft).await.unwrap();
        let body = FileBody {
            filename: "in.jsonl".into(),
            purpose: purpose.into(),
            bytes: 0,
            digest: String::new(),
            created_at: 0,
            user: "ada".into(),
            expires_at: None,
        };
        self.create(project, kept, body, None).await.unwrap().0
    }

    /// Stores a text for so many seconds. Returns the file's id.
    pub(crate) async fn store_for(&self, project: &str, lifetime: Option<u64>) -> String {
        let mut draft = self.draft().await.unwrap();
        draft.write(format!("{lifetime:?}").as_bytes()).await.unwrap();
        let kept = self.keep(draft).await.unwrap();
        let body = FileBody {
            filename: "in.txt".into(),
            purpose: "user_data".into(),
            bytes: 0,
            digest: String::new(),
            created_at: 0,
            user: "ada".into(),
            expires_at: None,
        };
        self.create(project, kept, body, lifetime).await.unwrap().0
    }
}
