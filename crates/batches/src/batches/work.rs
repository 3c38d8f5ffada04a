//! A batch's work in three steps: its file is read, its requests are made, its results are written (in `outputs`).
//!
//! *Invariant:* a request is billed only after its answer is kept.
//!
//! *Invariant:* each step can be killed anywhere and begun again: an answer is kept before it counts.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{TryStreamExt, stream};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::json;
use stead_kernel::{
    Body, Clock, Error, PROJECT_HEADER, Result,
    ports::{KeepAnswer, Keeper, Models},
    steps::{Progress, Step},
};
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Counts, LineError, Status,
    keeping::{LineKeeper, json_of},
    lines::Lines,
    plan::{self, Answer, Line},
    runner::Runner,
    store::{Place, Store},
};
use crate::files::Files;

/// The most errors that are told.
const MOST_ERRORS: usize = 100;
/// How many requests of a batch are under way at once.
const AT_ONCE: usize = 8;
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;
/// How long a step may take: longer than the longest window and what comes after it.
pub(super) const STEP_LIMIT: Duration = Duration::from_hours(9 * 24);
/// The header with which clients of Anthropic ask for what is not there for everybody yet.
pub(super) const BETA: &str = "anthropic-beta";
/// The header that names a request.
const REQUEST_ID: &str = "x-stead-request-id";

/// What the steps of a batch share.
pub(super) struct Work {
    pub(super) store: Store,
    pub(super) place: Place,
    pub(super) files: Files,
    models: Arc<dyn Models>,
    clock: Arc<dyn Clock>,
    /// Cancelled when the batch is.
    token: CancellationToken,
    /// `None` before the file was read.
    counts: Mutex<Option<Counts>>,
}

impl Work {
    pub(super) fn new(runner: &Runner, place: Place, token: CancellationToken) -> Self {
        let (store, files, models, clock) = runner.parts();
        Self {
            store,
            place,
            files,
            models,
            clock,
            token,
            counts: Mutex::default(),
        }
    }

    /// How many requests there are, once that is known.
    pub(super) fn counts(&self) -> Option<Counts> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_counts(&self, counts: Counts) {
        self.lock().replace(counts);
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    pub(super) async fn batch(&self) -> Result<Batch> {
        self.store.get(&self.place).await
    }

    /// Whether no new request is made.
    fn is_halted(&self, batch: &Batch) -> bool {
        self.token.is_cancelled() || self.now() >= batch.times.expires_at
    }

    pub(super) async fn lines(&self, batch: &Batch) -> Result<Lines> {
        let input = self.files.get(&self.place.project, &batch.input_file_id).await?;
        Lines::open(&self.files.path(&input)).await
    }

    /// Makes the request of a line and keeps its answer.
    async fn one(&self, batch: &Batch, number: u64, text: &[u8], progress: &Progress) -> Result<()> {
        let line = read(text, batch, number)?;
        let keeper = Arc::new(LineKeeper {
            form: batch.form,
            store: self.store.clone(),
            place: self.place.clone(),
            line: number,
            custom_id: line.custom_id.clone().into_owned(),
            kept: OnceLock::new(),
        });
        let Some(answer) = self.ask(batch, &line, &keeper).await? else {
            return Ok(());
        };
        let ok = match keeper.kept.get() {
            Some(()) => true,
            None => keeper.store(&answer).await?,
        };
        let mut counts = self.lock();
        let counts = counts.get_or_insert_default();
        if ok {
            counts.completed += 1;
        } else {
            counts.failed += 1;
        }
        progress.set(counts.completed + counts.failed, Some(counts.total));
        Ok(())
    }

    /// Asks as the batch's creator until there is an answer that lasts; `None` when the batch is over before.
    async fn ask(&self, batch: &Batch, line: &Line<'_>, keeper: &Arc<LineKeeper>) -> Result<Option<Answer>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = Request::post(&batch.endpoint);
            if let Some(beta) = &batch.beta {
                request = request.header(BETA, beta);
            }
            let request = request
                .header(header::CONTENT_TYPE, "application/json")
                .header(PROJECT_HEADER, &self.place.project)
                .extension(Keeper(Arc::clone(keeper) as Arc<dyn KeepAnswer>))
                .body(Body::from(line.body.get().to_owned()))
                .map_err(|error| Error::internal("a request of a batch").because(error))?;
            let response = self.models.call(batch.creator.identity(), request).await;
            let (parts, body) = response.into_parts();
            let answer = answer(parts.status, &parts.headers, body).await;
            let Some(pause) = plan::pause(answer.status, retry_after(&parts.headers), tries) else {
                return Ok(Some(answer));
            };
            let resumes = self.now().saturating_add_unsigned(pause.as_secs());
            if resumes >= batch.times.expires_at {
                return Ok(None);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.token.cancelled() => return Ok(None),
            }
        }
    }
}

/// A line of a file that was found good.
pub(super) fn read<'a>(text: &'a [u8], batch: &Batch, number: u64) -> Result<Line<'a>> {
    plan::line(text, &batch.endpoint, number)
        .map_err(|error| Error::invalid(format!("line {number}: {}", error.message)))
}

async fn answer(status: StatusCode, headers: &HeaderMap, body: Body) -> Answer {
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let request_id = request_id.map(str::to_owned);
    match Limited::new(body, ANSWER_LIMIT).collect().await {
        Ok(body) => Answer {
            status,
            request_id,
            body: json_of(&body.to_bytes()),
        },
        Err(_) => Answer {
            status: StatusCode::BAD_GATEWAY,
            request_id,
            body: json!({"error": {
                "message": "the answer broke off or is too large", "type": "upstream_error", "code": "upstream_error",
            }}),
        },
    }
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

/// The first step: the file is read, and every line is looked at.
pub(super) struct Validate(pub(super) Arc<Work>);

impl Validate {
    /// The number of requests, and what is wrong with the file.
    async fn look(&self, batch: &Batch) -> Result<(u64, Vec<LineError>)> {
        let whole = |code: &str, message: String| {
            vec![LineError {
                code: code.to_owned(),
                message,
                line: None,
                param: None,
            }]
        };
        let input = self
            .0
            .files
            .get(&self.0.place.project, &batch.input_file_id)
            .await?;
        let (largest, most) = batch.form.limits();
        if input.bytes > largest {
            let message = format!("the file has more than {largest} bytes");
            return Ok((0, whole("file_too_large", message)));
        }
        let (mut lines, mut total, mut errors) = (self.0.lines(batch).await?, 0, Vec::new());
        let mut ids = HashSet::new();
        while let Some((number, text)) = lines.next().await? {
            total += 1;
            if total > most {
                let message = format!("the file has more than {most} requests");
                return Ok((0, whole("too_many_requests", message)));
            }
            let error = match plan::line(&text, &batch.endpoint, number) {
                Err(error) => error,
                Ok(line) if ids.insert(line.custom_id.clone().into_owned()) => continue,
                Ok(_) => LineError {
                    code: "duplicate_custom_id".to_owned(),
                    message: "another line has the same custom_id".to_owned(),
                    line: Some(number),
                    param: Some("custom_id".to_owned()),
                },
            };
            errors.push(error);
            if errors.len() == MOST_ERRORS {
                break;
            }
        }
        if total == 0 {
            errors = whole("empty_file", "the file has no request".to_owned());
        }
        Ok((total, errors))
    }
}

#[async_trait]
impl Step for Validate {
    fn name(&self) -> &'static str {
        "validate"
    }

    async fn check(&self) -> Result<bool> {
        Ok(self.0.batch().await?.status != Status::Validating)
    }

    async fn act(&self, _progress: &Progress) -> Result<()> {
        let batch = self.0.batch().await?;
        let (total, errors) = self.look(&batch).await?;
        let now = self.0.now();
        let change = |batch: &mut Batch| {
            batch.errors.clone_from(&errors);
            if errors.is_empty() {
                batch.counts.total = total;
                if batch.status == Status::Validating {
                    batch.status = Status::InProgress;
                    batch.times.in_progress_at = Some(now);
                }
            }
            Ok(())
        };
        self.0.store.change(&self.0.place, Vec::new(), change).await?;
        match errors.first() {
            None => Ok(()),
            Some(first) => Err(Error::invalid(format!(
                "the file cannot be used: {}",
                first.message
            ))),
        }
    }
}

/// The second step: every line that has no answer is asked.
pub(super) struct Requests(pub(super) Arc<Work>);

#[async_trait]
impl Step for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn timeout(&self) -> Duration {
        STEP_LIMIT
    }

    async fn check(&self) -> Result<bool> {
        let status = self.0.batch().await?.status;
        Ok(status == Status::Finalizing || status.is_final())
    }

    async fn act(&self, progress: &Progress) -> Result<()> {
        let work = &self.0;
        let batch = &work.batch().await?;
        let (answered, good) = &work.store.answered(&work.place).await?;
        work.lock().replace(Counts {
            total: batch.counts.total,
            completed: *good,
            failed: answered.len() as u64 - good,
        });
        if !work.is_halted(batch) {
            let lines = stream::try_unfold(work.lines(batch).await?, |mut lines| async move {
                if work.is_halted(batch) {
                    return Ok(None);
                }
                Ok::<_, Error>(lines.next().await?.map(|line| (line, lines)))
            });
            lines
                .try_for_each_concurrent(AT_ONCE, |(number, text)| async move {
                    if answered.contains(&number) {
                        return Ok(());
                    }
                    work.one(batch, number, &text, progress).await
                })
                .await?;
        }
        let (now, counts) = (work.now(), work.counts());
        let finalize = |batch: &mut Batch| {
            if batch.status == Status::InProgress {
                batch.status = Status::Finalizing;
            }
            batch.counts = counts.unwrap_or(batch.counts);
            batch.times.finalizing_at = Some(now);
            Ok(())
        };
        work.store
            .change(&work.place, Vec::new(), finalize)
            .await
            .map(drop)
    }
}
