//! One answer of a model, as it streams.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use stead_dialects::sse::Decoder;
use stead_kernel::{Body, Error, Reason, Result, command::Session};
use tokio::time::Instant;

/// The largest answer that is read as a whole, in bytes.
const WHOLE_LIMIT: usize = 16 << 20;
/// The largest error body, in bytes.
const ERROR_LIMIT: usize = 64 << 10;

/// What came of an answer, complete or not.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The text so far.
    pub(super) text: String,
    /// Why it ended.
    pub(super) finish: Option<String>,
    /// Tokens as the server counted them.
    pub(super) usage: Option<Value>,
    /// The model that answered, as the server names it.
    pub(super) model: Option<String>,
    /// Until the first text.
    pub(super) first_token: Option<Duration>,
    /// Until the end.
    pub(super) duration: Duration,
    /// Pieces of text that came; about as many as tokens.
    pieces: u64,
}

impl Answer {
    /// Tokens and times in one JSON object; times in milliseconds.
    pub(super) fn measured(&self) -> Value {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut usage = self
            .usage
            .clone()
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({}));
        if let Some(usage) = usage.as_object_mut() {
            usage.insert("durationMs".into(), millis(self.duration).into());
            if let Some(first) = self.first_token {
                usage.insert("firstTokenMs".into(), millis(first).into());
            }
        }
        usage
    }

    /// Tokens and times in a line for people.
    pub(super) fn summary(&self) -> String {
        let tokens = |name: &str| {
            self.usage
                .as_ref()
                .and_then(|usage| usage.get(name))
                .and_then(Value::as_u64)
        };
        let mut parts = Vec::new();
        if let (Some(input), Some(output)) = (tokens("prompt_tokens"), tokens("completion_tokens")) {
            parts.push(format!("{input} tokens in, {output} out"));
        } else if self.pieces > 0 {
            // An answer that was stopped, or a server that does not count.
            let plural = if self.pieces == 1 { "" } else { "s" };
            parts.push(format!("about {} token{plural} out", self.pieces));
        }
        if let Some(first) = self.first_token {
            parts.push(format!("first after {:.2} s", first.as_secs_f64()));
            parts.extend(
                tokens("completion_tokens")
                    .and_then(|output| speed(output, self.duration.saturating_sub(first))),
            );
        }
        parts.push(format!("{:.2} s", self.duration.as_secs_f64()));
        parts.join(" · ")
    }

    fn take_chunk(&mut self, chunk: &Value, began: Instant, show: &dyn Fn(&str) -> Result<()>) -> Result<()> {
        if let Some(error) = chunk.get("error") {
            return Err(told(StatusCode::BAD_GATEWAY, error));
        }
        let text_of = |value: &Value| value.as_str().map(str::to_owned);
        self.usage = chunk
            .get("usage")
            .filter(|usage| usage.is_object())
            .cloned()
            .or(self.usage.take());
        self.model = chunk.get("model").and_then(text_of).or(self.model.take());
        let Some(choice) = chunk.pointer("/choices/0") else {
            return Ok(());
        };
        self.finish = choice
            .get("finish_reason")
            .and_then(text_of)
            .or(self.finish.take());
        let message = choice.get("delta").or(choice.get("message"));
        let Some(text) = message
            .and_then(|message| message.get("content"))
            .and_then(Value::as_str)
        else {
            return Ok(());
        };
        if text.is_empty() {
            return Ok(());
        }
        self.first_token.get_or_insert_with(|| began.elapsed());
        self.pieces += 1;
        self.text.push_str(text);
        show(text)
    }
}

/// Tokens per second after the first one.
fn speed(output: u64, time: Duration) -> Option<String> {
    let following = u32::try_from(output.checked_sub(1)?).ok()?;
    let seconds = time.as_secs_f64();
    (following > 0 && seconds > 0.0).then(|| format!("{:.1} tokens/s", f64::from(following) / seconds))
}

/// What a model is asked.
pub(super) struct Asked<'a> {
    pub(super) model: &'a str,
    pub(super) messages: &'a [Value],
    /// How much chance there is in the answer; as the model has it, if nothing is said.
    pub(super) temperature: Option<f64>,
}

/// Asks, and shows the answer as it comes. What came before a fault or an interruption stays in `answer`, with the
/// time until then.
pub(super) async fn stream(
    session: &Session,
    asked: &Asked<'_>,
    answer: &mut Answer,
    show: &(dyn Fn(&str) -> Result<()> + Send + Sync),
) -> Result<()> {
    let began = Instant::now();
    let timed = Timed { answer, began };
    exchange(session, asked, timed.answer, began, show).await
}

/// Notes how long an answer took when it ends, also by being dropped.
struct Timed<'a> {
    answer: &'a mut Answer,
    began: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.answer.duration = self.began.elapsed();
    }
}

async fn exchange(
    session: &Session,
    asked: &Asked<'_>,
    answer: &mut Answer,
    began: Instant,
    show: &(dyn Fn(&str) -> Result<()> + Send + Sync),
) -> Result<()> {
    let response = session.server.send(request(session, asked)?).await?;
    let status = response.status();
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let streams = content_type.is_some_and(|kind| kind.starts_with("text/event-stream"));
    let mut body = response.into_body();
    if !status.is_success() {
        return Err(refusal(status, body).await);
    }
    if !streams {
        let whole = collect(body, WHOLE_LIMIT).await?;
        let whole = serde_json::from_slice(&whole)
            .map_err(|error| Error::unavailable("the answer is not understood").because(error))?;
        return answer.take_chunk(&whole, began, show);
    }
    let mut decoder = Decoder::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::unavailable("the answer broke off").because(error))?;
        let piece = frame.into_data().unwrap_or_default();
        for event in decoder
            .push(&piece)
            .map_err(|error| Error::invalid(error.to_string()))?
        {
            if event.data.trim() == "[DONE]" {
                return Ok(());
            }
            let chunk = serde_json::from_str(&event.data).map_err(|error| {
                Error::unavailable("a piece of the answer is not understood").because(error)
            })?;
            answer.take_chunk(&chunk, began, show)?;
        }
    }
    if answer.finish.is_none() {
        return Err(Error::unavailable("the answer ended before its end"));
    }
    Ok(())
}

fn request(session: &Session, asked: &Asked<'_>) -> Result<Request<Body>> {
    let mut body = json!({
        "model": asked.model, "messages": asked.messages, "stream": true, "stream_options": {"include_usage": true},
    });
    if let (Some(temperature), Some(members)) = (asked.temperature, body.as_object_mut()) {
        members.insert("temperature".to_owned(), temperature.into());
    }
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/chat/completions")
        .header(header::CONTENT_TYPE, "application/json");
    in_project(session, request, Body::from(body.to_string()))
}

/// The model APIs ask in a project, too.
fn in_project(session: &Session, request: http::request::Builder, body: Body) -> Result<Request<Body>> {
    request
        .header("x-stead-project", &session.project)
        .body(body)
        .map_err(|error| Error::invalid("the project's name cannot be sent").because(error))
}

/// What the model APIs say at a path, asked in the session's project.
///
/// # Errors
/// What the server said; `Unavailable` for an answer that is none.
pub(super) async fn look_up(session: &Session, path: &str) -> Result<Value> {
    let request = in_project(session, Request::get(path), Body::empty())?;
    let response = session.server.send(request).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(refusal(status, response.into_body()).await);
    }
    let whole = collect(response.into_body(), WHOLE_LIMIT).await?;
    serde_json::from_slice(&whole)
        .map_err(|error| Error::unavailable("the answer is not understood").because(error))
}

async fn collect(body: Body, limit: usize) -> Result<Bytes> {
    let collected = Limited::new(body, limit).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| Error::unavailable("the answer broke off").because(error))
}

async fn refusal(status: StatusCode, body: Body) -> Error {
    let body = collect(body, ERROR_LIMIT).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    told(status, body.get("error").unwrap_or(&Value::Null))
}

/// The error that an OpenAI-shaped error object tells.
fn told(status: StatusCode, error: &Value) -> Error {
    let reason = match status.as_u16() {
        401 => Reason::Unauthenticated,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        409 => Reason::Conflict,
        413 => Reason::TooLarge,
        429 => Reason::Exhausted,
        501 => Reason::Unsupported,
        504 => Reason::Timeout,
        500.. => Reason::Unavailable,
        _ => Reason::Invalid,
    };
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let message = text("message")
        .or(error.as_str())
        .map_or_else(|| format!("the server answered {status}"), str::to_owned);
    let told = Error::new(reason, message);
    match text("hint") {
        Some(hint) => told.hint(hint),
        None if reason == Reason::NotFound => {
            told.hint("see what there is with: stead get models,routes,providers")
        }
        None => told,
    }
}
