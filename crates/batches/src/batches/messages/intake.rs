//! Reading the requests of a batch as they come: a body may have 256 MB.
//!
//! *Invariant:* no more than a request and a piece of the body are in memory; whatever does not fit refuses the whole batch.

use std::{
    collections::HashSet,
    fmt,
    io::{self, BufReader, Read},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{json, value::RawValue};
use stead_kernel::{Body, Error, Result};
use tokio::sync::mpsc;

use crate::files::{Draft, Files, blocking};

/// The largest body, in bytes, the most requests, and the longest id of one
/// (<https://docs.anthropic.com/en/docs/build-with-claude/batch-processing#batch-limitations>).
const LARGEST: u64 = 256 << 20;
const MOST: usize = 100_000;
const LONGEST_ID: usize = 64;
/// How long a body may rest between two pieces.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many pieces and lines wait for each other.
const AHEAD: usize = 8;

/// Requests that are written down.
pub(super) struct Intake {
    /// A line each, as the work reads them.
    pub(super) draft: Draft,
    pub(super) total: u64,
}

/// Writes the requests of a body down.
///
/// # Errors
/// `Invalid` names the request and the field that is wrong; `TooLarge`, `Timeout`.
pub(super) async fn read(files: &Files, body: Body, endpoint: &'static str) -> Result<Intake> {
    let (feed, pieces) = mpsc::channel(AHEAD);
    let (told, mut lines) = mpsc::channel(AHEAD);
    let feeding = pump(body, feed);
    let parsing = blocking(move || {
        let rest = Bytes::new();
        parse(BufReader::new(Pieces { pieces, rest }), endpoint, &told)
    });
    let writing = async {
        let (mut draft, mut total) = (files.draft().await?, 0);
        while let Some(line) = lines.recv().await {
            let line: Vec<u8> = line;
            draft.write(&line).await?;
            total += 1;
        }
        Ok::<Intake, Error>(Intake { draft, total })
    };
    let (fed, parsed, written) = tokio::join!(feeding, parsing, writing);
    // A body that broke off is no JSON either, but that is not what is wrong with it.
    fed?;
    let written = written?;
    parsed?;
    if written.total == 0 {
        return Err(Error::invalid("requests: must have at least one request"));
    }
    Ok(written)
}

/// Passes the body on, within its limit.
async fn pump(mut body: Body, feed: mpsc::Sender<Bytes>) -> Result<()> {
    let mut size = 0;
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
        let frame = frame.map_err(|_| {
            Error::timeout(format!(
                "nothing of the body came within {} s",
                PATIENCE.as_secs()
            ))
        })?;
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame.map_err(|_| Error::invalid("the body ended before it was complete"))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len() as u64;
        if size > LARGEST {
            return Err(Error::too_large(format!(
                "the body has more than {LARGEST} bytes"
            )));
        }
        if feed.send(data).await.is_err() {
            // Nobody reads on: what is wrong is told by whoever stopped.
            return Ok(());
        }
    }
}

/// The pieces of a body as a reader that blocks.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        let (taken, _) = buffer.split_at_mut(length);
        self.rest.copy_to_slice(taken);
        Ok(length)
    }
}

/// Reads `{"requests": [{"custom_id", "params"}]}` and tells each request as a line. Blocks.
fn parse(reader: impl Read, endpoint: &str, told: &mpsc::Sender<Vec<u8>>) -> Result<()> {
    let mut reading = Reading {
        endpoint,
        told,
        ids: HashSet::new(),
        fault: None,
    };
    let mut source = serde_json::Deserializer::from_reader(reader);
    let read = Top(&mut reading)
        .deserialize(&mut source)
        .and_then(|()| source.end());
    match (reading.fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(Error::invalid(format!("the body cannot be used: {error}"))),
    }
}

/// What a reader of requests knows.
struct Reading<'r> {
    endpoint: &'r str,
    told: &'r mpsc::Sender<Vec<u8>>,
    ids: HashSet<String>,
    /// What is wrong, where JSON is not.
    fault: Option<Error>,
}

#[derive(Deserialize)]
struct Wanted {
    custom_id: String,
    params: Box<RawValue>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    stream: Option<bool>,
}

impl Reading<'_> {
    /// Checks a request and tells it; an error when nothing more is to be read.
    fn take(&mut self, wanted: &Wanted) -> std::result::Result<(), String> {
        let place = self.ids.len();
        let wrong = |field: &str, what: &str| Err(format!("requests.{place}.{field}: {what}"));
        if place == MOST {
            return Err(format!("requests: must have at most {MOST} requests"));
        }
        let id = &wanted.custom_id;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        if id.is_empty() || id.len() > LONGEST_ID || !id.chars().all(is_plain) {
            return wrong(
                "custom_id",
                "must be 1 to 64 letters, digits, hyphens and underscores",
            );
        }
        match serde_json::from_str::<Params>(wanted.params.get()) {
            // A list could be read as an object too.
            Ok(params) if wanted.params.get().starts_with('{') => {
                if params.stream == Some(true) {
                    return wrong("params.stream", "a batch's answers do not stream");
                }
            }
            _ => return wrong("params", "must be an object, a request for a message"),
        }
        if !self.ids.insert(id.clone()) {
            return wrong("custom_id", "another request has the same");
        }
        let mut line = json!({"custom_id": id, "method": "POST", "url": self.endpoint}).to_string();
        line.pop();
        line.push_str(",\"body\":");
        // Between the values of JSON, ends of lines are blanks.
        line.push_str(&wanted.params.get().replace(['\n', '\r'], " "));
        line.push_str("}\n");
        let sent = self.told.blocking_send(line.into_bytes());
        sent.map_err(|_| "the requests cannot be stored".to_owned())
    }
}

/// The body.
struct Top<'t, 'r>(&'t mut Reading<'r>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with requests")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<(), A::Error> {
        let mut is_there = false;
        while let Some(name) = members.next_key::<String>()? {
            if name == "requests" && !is_there {
                is_there = true;
                members.next_value_seed(List(&mut *self.0))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        if !is_there {
            self.0.fault = Some(Error::invalid("requests: must be given"));
        }
        Ok(())
    }
}

/// The list of requests.
struct List<'t, 'r>(&'t mut Reading<'r>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of requests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        while let Some(wanted) = items.next_element::<Wanted>()? {
            if let Err(message) = self.0.take(&wanted) {
                self.0.fault = Some(Error::invalid(message));
                return Err(serde::de::Error::custom("a request that cannot be used"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(body: &str) -> std::result::Result<Vec<String>, String> {
        let (told, mut lines) = mpsc::channel(100);
        parse(body.as_bytes(), "/v1/messages", &told).map_err(|error| error.full_message())?;
        drop(told);
        Ok(std::iter::from_fn(|| lines.try_recv().ok())
            .map(|line| String::from_utf8(line).unwrap())
            .collect())
    }

    #[test]
    fn each_request_becomes_one_line_with_its_body_as_it_was_written() {
        let body = "{\"x\": [1], \"requests\": [{\"custom_id\": \"a-1\", \"params\": {\n \"max_tokens\": 1.0,\r\n \"model\": \"m\\n\"}}]}";
        assert_eq!(
            lines(body).unwrap(),
            [
                "{\"custom_id\":\"a-1\",\"method\":\"POST\",\"url\":\"/v1/messages\",\"body\":{  \"max_tokens\": 1.0,   \"model\": \"m\\n\"}}\n"
            ]
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_place() {
        let one = |id: &str, params: &str| format!(r#"{{"custom_id": "{id}", "params": {params}}}"#);
        let all = |requests: &[String]| format!(r#"{{"requests": [{}]}}"#, requests.join(","));
        let table = [
            ("[]".to_owned(), "the body cannot be used"),
            ("{}".to_owned(), "requests: must be given"),
            (r#"{"requests": 1}"#.to_owned(), "the body cannot be used"),
            (all(&[one("a b", "{}")]), "requests.0.custom_id"),
            (all(&[one("", "{}")]), "requests.0.custom_id"),
            (all(&[one(&"a".repeat(65), "{}")]), "requests.0.custom_id"),
            (all(&[one("a", "{}"), one("a", "{}")]), "requests.1.custom_id"),
            (all(&[one("a", "[]")]), "requests.0.params:"),
            (
                all(&[one("a", r#"{"stream": true}"#)]),
                "requests.0.params.stream",
            ),
            (all(&[one("a", "{}")]) + "x", "the body cannot be used"),
            (
                all(&[one("a", "{}")]).replace("]}", ""),
                "the body cannot be used",
            ),
        ];
        for (body, expected) in table {
            let refused = lines(&body).unwrap_err();
            assert!(refused.starts_with(expected), "{body}: {refused}");
        }
    }
}
