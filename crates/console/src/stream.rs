//! `GET /api/stream`: changes of many kinds over one connection, since a browser opens six to a server at most.
//!
//! `?topic=PATH@VERSION`, up to a hundred times: a path below `/k8s` (`apis/stead.dev/v1alpha1/namespaces/default/models`)
//! and the resource version that is known. Each event is `change` with `{"topic": INDEX, "type", "object"}`, as a watch
//! tells it; its id is all topics' versions, so that whoever comes back with `Last-Event-ID` goes on where they were.
//!
//! *Invariant:* every watch is made as the caller, so that the resource API decides what they see.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{RawQuery, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use bytes::{Buf, Bytes, BytesMut};
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use http::{Extensions, HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::{Error, Identity, Principal, Result, http::ApiError};

/// Makes clients for the resource API that act as someone.
pub type Clients = Arc<dyn Fn(Principal) -> kube::Client + Send + Sync>;

/// How many topics a stream has at most.
const TOPICS: usize = 100;
/// How long a stream lasts; whoever comes back is recognised anew, so that who was signed out stays out.
const LIFETIME: Duration = Duration::from_mins(10);
/// How often a silent stream shows that it stands.
const PULSE: Duration = Duration::from_secs(15);

/// The route.
pub fn routes(clients: Clients) -> Router {
    Router::new()
        .route("/api/stream", get(follow))
        .with_state(clients)
}

/// One thing that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Topic {
    path: String,
    version: String,
}

async fn follow(
    State(clients): State<Clients>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let principal = Identity::require(&extensions)?;
    let mut topics = parse(query.as_deref().unwrap_or_default())?;
    resume(&mut topics, &headers);
    let client = clients(Principal::clone(&principal));
    let mut watches = Vec::with_capacity(topics.len());
    for (index, topic) in topics.iter().enumerate() {
        watches.push(watch(&client, index, topic).await);
    }
    let versions = topics.into_iter().map(|topic| topic.version).collect();
    let events = events(stream::select_all(watches), versions)
        .take_until(tokio::time::sleep(LIFETIME))
        .map(Ok::<_, Infallible>);
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(PULSE))
        .into_response();
    // A proxy that gathers an answer before it passes it on would pass nothing.
    let unbuffered = http::HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", unbuffered);
    Ok(response)
}

/// The topics that a query names.
fn parse(query: &str) -> Result<Vec<Topic>> {
    let mut topics = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if name != "topic" {
            return Err(
                Error::invalid(format!("unknown parameter {name:?}")).hint("name topics: topic=PATH@VERSION")
            );
        }
        let Some((path, version)) = value.rsplit_once('@') else {
            return Err(Error::invalid("a topic has no version").hint("name topics: topic=PATH@VERSION"));
        };
        let path = path.trim_start_matches('/');
        let rooted = path.starts_with("api/") || path.starts_with("apis/");
        let plain = path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/.-_~%:".contains(&byte));
        let climbs = path.split('/').any(|part| part == ".." || part == ".");
        if !rooted || !plain || climbs || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(
                Error::invalid("a topic is no path below /k8s with a resource version")
                    .hint("for example topic=apis/stead.dev/v1alpha1/namespaces/default/models@12"),
            );
        }
        topics.push(Topic {
            path: path.to_owned(),
            version: version.to_owned(),
        });
    }
    match topics.len() {
        0 => Err(Error::invalid("there is no topic").hint("name topics: topic=PATH@VERSION")),
        1..=TOPICS => Ok(topics),
        _ => Err(Error::invalid(format!("more than {TOPICS} topics"))),
    }
}

/// Goes on where the browser was.
fn resume(topics: &mut [Topic], headers: &HeaderMap) {
    let Some(last) = headers.get("last-event-id").and_then(|value| value.to_str().ok()) else {
        return;
    };
    let versions: Vec<&str> = last.split(',').collect();
    let all_numbers = versions
        .iter()
        .all(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()));
    if versions.len() != topics.len() || !all_numbers {
        return;
    }
    for (topic, version) in topics.iter_mut().zip(versions) {
        version.clone_into(&mut topic.version);
    }
}

/// What a watch tells of one topic; `None` once it has ended.
type Told = (usize, Option<Value>);

/// One topic's watch. What is refused is told as an error, as a watch tells it.
async fn watch(client: &kube::Client, index: usize, topic: &Topic) -> BoxStream<'static, Told> {
    let uri = format!(
        "/{}?watch=1&allowWatchBookmarks=true&resourceVersion={}",
        topic.path, topic.version
    );
    let refused = |status: Value| {
        let told = json!({"type": "ERROR", "object": status});
        stream::once(async move { (index, Some(told)) }).boxed()
    };
    let Ok(request) = Request::get(uri).body(kube::client::Body::empty()) else {
        return refused(json!({"code": 400, "message": "this is no path"}));
    };
    let response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => return refused(json!({"code": 503, "message": error.to_string()})),
    };
    let (parts, body) = response.into_parts();
    if !parts.status.is_success() {
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes);
        let status = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        return refused(status.unwrap_or_else(|| json!({"code": parts.status.as_u16()})));
    }
    let frames = body
        .into_data_stream()
        .map(|frame| frame.unwrap_or_else(|_| Bytes::new()))
        .boxed();
    lines(frames)
        .map(move |line| (index, serde_json::from_slice(&line).ok()))
        .chain(stream::once(async move { (index, None) }))
        .boxed()
}

/// Splits what comes in pieces at the ends of lines.
fn lines(frames: BoxStream<'static, Bytes>) -> impl Stream<Item = Bytes> + Send {
    let state = (frames, BytesMut::new(), VecDeque::new());
    stream::unfold(
        state,
        |(mut frames, mut rest, mut ready): (_, BytesMut, VecDeque<Bytes>)| async move {
            loop {
                if let Some(line) = ready.pop_front() {
                    return Some((line, (frames, rest, ready)));
                }
                let frame: Bytes = frames.next().await?;
                rest.extend_from_slice(&frame);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line = rest.split_to(end).freeze();
                    rest.advance(1);
                    if !line.is_empty() {
                        ready.push_back(line);
                    }
                }
            }
        },
    )
}

/// Changes as events, until one of the watches has ended: then the browser comes back, and all go on.
fn events(told: impl Stream<Item = Told>, versions: Vec<String>) -> impl Stream<Item = Event> {
    told.take_while(|(_, change)| std::future::ready(change.is_some()))
        .scan(versions, |versions, (index, change)| {
            std::future::ready(change.map(|change| event(versions, index, change)))
        })
}

fn event(versions: &mut [String], index: usize, mut change: Value) -> Event {
    let version = change
        .pointer("/object/metadata/resourceVersion")
        .and_then(Value::as_str);
    if let (Some(version), Some(slot)) = (version, versions.get_mut(index)) {
        version.clone_into(slot);
    }
    if let Some(fields) = change.as_object_mut() {
        fields.insert("topic".into(), index.into());
    }
    Event::default()
        .event("change")
        .id(versions.join(","))
        .data(change.to_string())
}

#[cfg(test)]
mod tests;
