//! The content of attached files.

use std::{io, path::PathBuf};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use stead_kernel::{DataDir, Error, Result, Timestamp};
use tokio::{
    fs,
    io::{AsyncReadExt, AsyncWriteExt},
};
use uuid::Uuid;

use super::sweep::old_drafts;

/// The largest file, in bytes.
const LARGEST: u64 = 1 << 30;
/// So many bytes are read at once.
const CHUNK: usize = 64 << 10;

/// The folder.
fn folder(data: &DataDir) -> PathBuf {
    data.blobs().join("attachments")
}

/// Where the content of an attachment lies.
pub(super) fn path(data: &DataDir, id: Uuid) -> PathBuf {
    folder(data).join(id.simple().to_string())
}

fn failed(error: io::Error) -> Error {
    Error::unavailable("the attached file could not be stored").because(error)
}

/// Stores a body under an id, to the disk; the answer is its length.
pub(super) async fn store(data: &DataDir, id: Uuid, body: Body) -> Result<u64> {
    fs::create_dir_all(folder(data)).await.map_err(failed)?;
    let target = path(data, id);
    let draft = target.with_extension("part");
    let written = write(&draft, body).await;
    if written.is_err() {
        // The error that matters is the first one.
        fs::remove_file(&draft).await.ok();
    }
    let length = written?;
    fs::rename(&draft, &target).await.map_err(failed)?;
    let folder = fs::File::open(folder(data)).await.map_err(failed)?;
    folder.sync_all().await.map_err(failed)?;
    Ok(length)
}

async fn write(draft: &std::path::Path, body: Body) -> Result<u64> {
    let mut file = fs::File::create(draft).await.map_err(failed)?;
    let mut length = 0_u64;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|error| Error::invalid("the file ended before it was complete").because(error))?;
        length = length.saturating_add(piece.len() as u64);
        if length > LARGEST {
            return Err(Error::too_large(format!(
                "an attached file has at most {LARGEST} bytes"
            )));
        }
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)?;
    Ok(length)
}

/// The content as a body.
pub(super) async fn open(data: &DataDir, id: Uuid) -> Result<Body> {
    let file = fs::File::open(path(data, id)).await;
    let file = file.map_err(|error| Error::not_found("the attached file is not there").because(error))?;
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; CHUNK];
        let length = file.read(&mut piece).await?;
        piece.truncate(length);
        Ok::<_, io::Error>((length > 0).then(|| (Bytes::from(piece), file)))
    });
    Ok(Body::from_stream(pieces.into_stream()))
}

/// Removes the content; what is not there need not be removed.
pub(super) async fn remove(data: &DataDir, id: Uuid) {
    if let Err(error) = fs::remove_file(path(data, id)).await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, attachment = %id, "an attached file could not be removed");
    }
}

/// Removes what is left of uploads that ended early and were last written to before a time.
pub(super) async fn remove_drafts(data: &DataDir, before: Timestamp) {
    let Ok(mut entries) = fs::read_dir(folder(data)).await else {
        // Nothing was ever attached.
        return;
    };
    let mut found = Vec::new();
    while let Ok(Some(entry)) = entries.next_entry().await {
        let changed = entry
            .metadata()
            .await
            .ok()
            .and_then(|metadata| metadata.modified().ok());
        let changed = changed.and_then(|time| Timestamp::try_from(time).ok());
        found.push((entry.file_name().to_string_lossy().into_owned(), changed));
    }
    for name in old_drafts(&found, before) {
        if let Err(error) = fs::remove_file(folder(data).join(name)).await {
            tracing::warn!(%error, name, "what is left of an upload could not be removed");
        }
    }
}
