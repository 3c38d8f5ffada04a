//! Downloading over HTTP, from where an earlier try broke off.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use stead_kernel::{
    Body, Error, Reason, Result,
    ports::{Outbound, Reach},
    steps::Progress,
};
use tokio::time::Instant;
use url::Url;

use super::{
    Failure,
    partial::{Notes, Partial},
    redirect::{self, Answer},
};

/// How long a transfer may stand still.
const STALL: Duration = Duration::from_secs(30);
/// How much is gathered before it is written, and for how long.
const BATCH: usize = 1 << 20;
const GATHER: Duration = Duration::from_secs(1);

/// Downloads the rest of the file. A host that cannot go on, or whose file has changed, is asked for the whole.
pub(super) async fn download(
    outbound: &dyn Outbound,
    reach: Reach,
    url: &Url,
    partial: Partial,
    progress: &Progress,
) -> Result<Partial, Failure> {
    if partial.is_whole() {
        return Ok(partial);
    }
    // What cannot be compared with the host's present file cannot be continued.
    let resumable = partial.notes.validator.is_some() || partial.is_pinned();
    let partial = if resumable {
        partial
    } else {
        partial.restart().await?
    };
    let answer = redirect::get(outbound, reach, url, &headers(&partial)).await?;
    match continuation(&answer.response, &partial)? {
        Continuation::Rest => receive(answer, partial, progress).await,
        Continuation::Whole => {
            let partial = partial.restart().await?;
            receive(answer, partial, progress).await
        }
        Continuation::AskAgain => {
            let partial = partial.restart().await?;
            let answer = redirect::get(outbound, reach, url, &headers(&partial)).await?;
            match continuation(&answer.response, &partial)? {
                Continuation::Whole | Continuation::Rest => receive(answer, partial, progress).await,
                Continuation::AskAgain => Err(Error::unavailable("it gives no whole file").into()),
            }
        }
    }
}

/// The headers of every request.
pub(super) fn usual_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("stead/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

fn headers(partial: &Partial) -> HeaderMap {
    let mut headers = usual_headers();
    if partial.position() > 0 {
        let range = HeaderValue::try_from(format!("bytes={}-", partial.position()));
        headers.extend(range.ok().map(|range| (header::RANGE, range)));
        let validator = partial
            .notes
            .validator
            .as_ref()
            .and_then(|text| HeaderValue::try_from(text).ok());
        headers.extend(validator.map(|validator| (header::IF_RANGE, validator)));
    }
    headers
}

/// How an answer goes on with what is there.
#[derive(Debug, PartialEq, Eq)]
enum Continuation {
    /// It is the rest.
    Rest,
    /// It is the whole file.
    Whole,
    /// It is something else; only the whole file will do.
    AskAgain,
}

fn continuation(response: &Response<Body>, partial: &Partial) -> Result<Continuation> {
    match response.status() {
        StatusCode::OK => Ok(Continuation::Whole),
        StatusCode::PARTIAL_CONTENT => {
            let same =
                partial.notes.validator.is_none() || validator(response.headers()) == partial.notes.validator;
            let fits = content_range(response.headers()).is_some_and(|(start, total)| {
                start == partial.position() && (partial.notes.total.is_none() || total == partial.notes.total)
            });
            Ok(if same && fits {
                Continuation::Rest
            } else {
                Continuation::AskAgain
            })
        }
        StatusCode::RANGE_NOT_SATISFIABLE => Ok(Continuation::AskAgain),
        status => Err(refused(status)),
    }
}

/// What a status other than success says.
pub(super) fn refused(status: StatusCode) -> Error {
    let message = format!("it answered {status}");
    match status.as_u16() {
        401 | 403 => Error::forbidden(message).hint("only files that need no sign-in can be fetched"),
        404 | 410 => Error::not_found(message).hint("check the name of the file and its revision"),
        429 | 500.. => Error::unavailable(message),
        _ => Error::new(Reason::Invalid, message),
    }
}

/// A strong entity tag, or else the date of the last change.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let tag = text(header::ETAG).filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(header::LAST_MODIFIED)).map(str::to_owned)
}

/// `bytes 5-9/10` as its start and the total, if that is known.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let total = if total == "*" {
        None
    } else {
        Some(total.parse().ok()?)
    };
    Some((start.parse().ok()?, total))
}

async fn receive(answer: Answer, partial: Partial, progress: &Progress) -> Result<Partial, Failure> {
    let headers = answer.response.headers();
    let total = if answer.response.status() == StatusCode::PARTIAL_CONTENT {
        content_range(headers).and_then(|(_, total)| total)
    } else {
        headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok())
    };
    let notes = Notes {
        validator: validator(headers),
        total,
        announced: answer.announced.or_else(|| partial.notes.announced.clone()),
        synced: 0,
    };
    let mut partial = partial.begin(notes).await?;
    let mut body = answer.response.into_body();
    progress.set(partial.position(), total);
    loop {
        let (batch, end) = gather(&mut body).await;
        if !batch.is_empty() {
            partial = partial.append(batch).await?;
            progress.set(partial.position(), total);
        }
        match end {
            End::NotYet => {}
            End::Whole => return Ok(partial),
            End::Broken(error) => {
                partial.keep().await?;
                return Err(Failure::Source(error));
            }
        }
    }
}

/// How the body stands after a batch.
pub(super) enum End {
    NotYet,
    Whole,
    Broken(Error),
}

/// Reads until there is enough to write, or something and a while has passed: over a slow line, too, one sees it come.
/// What came before a fault is handed over with it, so that it is kept.
pub(super) async fn gather(body: &mut Body) -> (Vec<u8>, End) {
    let began = Instant::now();
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        let patience = if batch.is_empty() {
            STALL
        } else {
            GATHER.saturating_sub(began.elapsed())
        };
        match tokio::time::timeout(patience, body.frame()).await {
            Err(_) if !batch.is_empty() => break,
            Err(_) => {
                let error = Error::timeout(format!("not a byte came for {} s", STALL.as_secs()));
                return (batch, End::Broken(error));
            }
            Ok(None) => return (batch, End::Whole),
            Ok(Some(Err(error))) => {
                return (
                    batch,
                    End::Broken(Error::unavailable("the connection broke").because(error)),
                );
            }
            Ok(Some(Ok(frame))) => batch.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
        }
    }
    (batch, End::NotYet)
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_slowly_is_handed_over_every_second_and_a_line_that_is_dead_is_given_up() {
        let slow = stream::unfold(0_u8, |count| async move {
            if count == 9 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
            Some((
                Ok::<_, std::io::Error>(bytes::Bytes::from(vec![count])),
                count + 1,
            ))
        });
        let mut body = Body::from_stream(slow.boxed());
        let mut sizes = Vec::new();
        let error = loop {
            match gather(&mut body).await {
                (batch, End::NotYet) => sizes.push(batch.len()),
                (batch, End::Broken(error)) => {
                    assert!(batch.is_empty());
                    break error;
                }
                (_, End::Whole) => panic!("it has no end"),
            }
        };
        assert_eq!(sizes.iter().sum::<usize>(), 9);
        assert!(sizes.len() >= 4, "{sizes:?}");
        assert_eq!(error.reason(), Reason::Timeout);
    }
}
