//! Following changes, across broken connections.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt as _};
use http::StatusCode;
use serde_json::Value;
use stead_kernel::{Error, Reason, Result};
use tokio::time::Instant;

use super::{Accept, Api, api::Query, failure, remote::LARGEST_ANSWER};
use crate::json::{at, text_at};

/// How long a server may be away until following is given up.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pause between tries to come back.
const PAUSE: Duration = Duration::from_millis(500);

/// Something that happened to what is watched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// It was added or changed: the object, or a table of its row.
    Changed(Value),
    /// It was removed; as it last was.
    Deleted(Value),
    /// Changes were missed: list anew.
    Lost,
}

/// A watch that goes on where it was when its connection breaks.
pub(crate) struct Watch {
    api: Api,
    path: String,
    query: Query,
    accept: Accept,
    lines: Option<Lines>,
    /// Since when the server has not answered.
    away: Option<Instant>,
}

impl Watch {
    /// Follows what the path and query list, from the resource version of that list on.
    pub(crate) fn new(api: Api, path: String, mut query: Query, accept: Accept, version: &str) -> Self {
        query.set("watch", "true");
        query.set("allowWatchBookmarks", "true");
        query.set("resourceVersion", version);
        Self {
            api,
            path,
            query,
            accept,
            lines: None,
            away: None,
        }
    }

    /// Waits for the next change. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What the server answers; `Unavailable` when it has been away for a minute.
    pub(crate) async fn next(&mut self) -> Result<Change> {
        loop {
            if self.lines.is_none() && !self.open().await? {
                continue;
            }
            let Some(lines) = &mut self.lines else { continue };
            match lines.next().await {
                Ok(Some(line)) => {
                    if let Some(change) = self.understand(&line)? {
                        return Ok(change);
                    }
                }
                Ok(None) => {
                    // Servers end watches after some minutes; one that ends them at once is not hurried.
                    let empty = lines.count == 0;
                    self.lines = None;
                    if empty {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                Err(error) => {
                    self.lines = None;
                    self.pause(error).await?;
                }
            }
        }
    }

    async fn open(&mut self) -> Result<bool> {
        match self.api.stream(&self.query.on(&self.path), self.accept).await {
            Ok(stream) => {
                self.away = None;
                self.lines = Some(Lines::new(stream));
                Ok(true)
            }
            Err(error) if error.reason() == Reason::Unavailable => self.pause(error).await.map(|()| false),
            Err(error) => Err(error),
        }
    }

    async fn pause(&mut self, error: Error) -> Result<()> {
        let since = *self.away.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    fn understand(&mut self, line: &[u8]) -> Result<Option<Change>> {
        let mut event: Value = serde_json::from_slice(line)
            .map_err(|error| Error::internal("the server's watch sent no JSON").because(error))?;
        let object = event.get_mut("object").map(Value::take).unwrap_or_default();
        if let Some(version) = version(&object) {
            self.query.set("resourceVersion", version);
        }
        match text_at(&event, "/type") {
            "ADDED" | "MODIFIED" => Ok(Some(Change::Changed(object))),
            "DELETED" => Ok(Some(Change::Deleted(object))),
            "ERROR" => {
                let error = failure::from_status(StatusCode::INTERNAL_SERVER_ERROR, &object);
                if error.reason() == Reason::Gone {
                    Ok(Some(Change::Lost))
                } else {
                    Err(error)
                }
            }
            _ => Ok(None),
        }
    }
}

/// The resource version of an object, or of the one row of a table.
fn version(object: &Value) -> Option<&str> {
    let row = at(object, "/rows/0/object/metadata/resourceVersion");
    let own = at(object, "/metadata/resourceVersion");
    row.as_str()
        .or(own.as_str())
        .filter(|version| !version.is_empty())
}

/// Bytes, cut into lines.
struct Lines {
    stream: BoxStream<'static, Result<Bytes>>,
    waiting: BytesMut,
    /// How many there were.
    count: usize,
}

impl Lines {
    fn new(stream: BoxStream<'static, Result<Bytes>>) -> Self {
        Self {
            stream,
            waiting: BytesMut::new(),
            count: 0,
        }
    }

    /// The next whole line that is not empty; a last one without its end was cut off and does not count.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line = self.waiting.split_to(end + 1).freeze();
                if !line.trim_ascii().is_empty() {
                    self.count += 1;
                    return Ok(Some(line));
                }
                continue;
            }
            if self.waiting.len() > LARGEST_ANSWER {
                return Err(Error::internal("the server's watch sent a line without end"));
            }
            match self.stream.next().await {
                Some(chunk) => self.waiting.extend_from_slice(&chunk?),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn lines_are_whole_however_the_bytes_are_cut() {
        let chunks =
            ["{\"a\":", "1}\n\n{\"b\"", ":2}\n{\"cut"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
        let mut lines = Lines::new(stream::iter(chunks).boxed());
        assert_eq!(lines.next().await.unwrap().unwrap(), "{\"a\":1}\n");
        assert_eq!(lines.next().await.unwrap().unwrap(), "{\"b\":2}\n");
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
