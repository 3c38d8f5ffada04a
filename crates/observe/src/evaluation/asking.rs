//! Models, asked as a client would ask them.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use stead_kernel::{Body, Error, Identity, PROJECT_HEADER, Reason, Result, ports::Models};
use tokio::time::Instant;

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 32 << 20;
/// How long one try may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often something is asked that may be answered later.
const TRIES: u32 = 4;
/// The pause after the first try; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a provider can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What an answer cost, in US dollars.
const COST: &str = "x-stead-cost";

/// Asks models as somebody, in a project. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asker {
    models: Arc<dyn Models>,
    identity: Identity,
    project: String,
}

/// An answer that went well.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The body.
    pub(crate) body: Value,
    /// What it cost, in US dollars, where that is known.
    pub(crate) cost: Option<f64>,
    /// How long the try that was answered took.
    pub(crate) took: Duration,
}

impl Answer {
    /// The first choice of a chat.
    pub(crate) fn choice(&self) -> Result<&Value> {
        let choice = self.body.pointer("/choices/0");
        choice.ok_or_else(|| Error::unavailable("the model answered without a choice"))
    }
}

impl Asker {
    /// Somebody in a project.
    pub(crate) fn new(models: Arc<dyn Models>, identity: Identity, project: &str) -> Self {
        Self {
            models,
            identity,
            project: project.to_owned(),
        }
    }

    /// Asks a chat (<https://platform.openai.com/docs/api-reference/chat/create>).
    ///
    /// # Errors
    /// What the gateway answered, after further tries where they may help.
    pub(crate) async fn chat(&self, body: &Value) -> Result<Answer> {
        self.post("/v1/chat/completions", body).await
    }

    /// Vectors of texts, in order (<https://platform.openai.com/docs/api-reference/embeddings/create>), and their cost.
    ///
    /// # Errors
    /// What the gateway answered.
    pub(crate) async fn vectors(
        &self,
        model: &str,
        texts: &[String],
    ) -> Result<(Vec<Vec<f32>>, Option<f64>)> {
        let answer = self
            .post("/v1/embeddings", &json!({"model": model, "input": texts}))
            .await?;
        let data = answer
            .body
            .get("data")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let vectors: Option<Vec<Vec<f32>>> = data
            .map(|item| serde_json::from_value(item.get("embedding")?.clone()).ok())
            .collect();
        let vectors = vectors.filter(|vectors| vectors.len() == texts.len());
        let vectors =
            vectors.ok_or_else(|| Error::unavailable("the model answered without a vector for each text"))?;
        Ok((vectors, answer.cost))
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            let (error, asked) = match self.once(path, body).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if tries == TRIES || !passes(&error) {
                return Err(error);
            }
            tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause *= 2;
        }
    }

    /// One try; an error comes with the pause that the answer asks for.
    async fn once(&self, path: &str, body: &Value) -> Result<Answer, (Error, Option<Duration>)> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(PROJECT_HEADER, &self.project)
            .body(Body::from(body.to_string()))
            .map_err(|error| (Error::internal("a request to a model").because(error), None))?;
        let begun = Instant::now();
        let asked = async {
            let (parts, body) = self
                .models
                .call(self.identity.clone(), request)
                .await
                .into_parts();
            let body = Limited::new(body, ANSWER_LIMIT).collect().await;
            (parts, body.map(http_body_util::Collected::to_bytes))
        };
        let (parts, body) = tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| (Error::timeout("the model did not answer in ten minutes"), None))?;
        let body = body.map_err(|_| (Error::unavailable("the answer broke off or is too large"), None))?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !parts.status.is_success() {
            return Err((refusal(parts.status, &body), retry_after(&parts.headers)));
        }
        Ok(Answer {
            body,
            cost: number(&parts.headers, COST),
            took: begun.elapsed(),
        })
    }
}

/// Whether the world may be another one soon.
pub(crate) fn passes(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::Unavailable | Reason::Timeout | Reason::Exhausted | Reason::Conflict
    )
}

fn refusal(status: StatusCode, body: &Value) -> Error {
    let reason = match status.as_u16() {
        401 => Reason::Unauthenticated,
        402 | 403 => Reason::Forbidden,
        404 => Reason::NotFound,
        409 => Reason::Conflict,
        413 => Reason::TooLarge,
        429 => Reason::Exhausted,
        501 => Reason::Unsupported,
        408 | 504 => Reason::Timeout,
        500.. => Reason::Unavailable,
        _ => Reason::Invalid,
    };
    let message = body.pointer("/error/message").and_then(Value::as_str);
    let message = message.map_or_else(|| format!("the gateway answered {status}"), str::to_owned);
    Error::new(reason, message)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    number(headers, "retry-after").map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0)))
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    let number: f64 = headers.get(name)?.to_str().ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}
