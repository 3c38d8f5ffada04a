//! A batch's work in three steps: its file is read, its requests are made, its results are written.
//!
//! *Invariant:* each step can be killed anywhere and begun again: an answer is kept before it counts, and the files
//! appear in the same commit as the batch's end.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{TryStreamExt, stream};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use stead_kernel::{
    Body, Clock, Error, PROJECT_HEADER, Result,
    ports::{Models, RecordWrite},
    steps::{Progress, Step},
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Counts, LineError, Status,
    plan::{self, Answer, Line},
    runner::Runner,
    store::{Kept, Place, Store},
};
use crate::files::{self, Draft, FileBody, Files, OUTPUT};

/// The largest file, in bytes, and the most lines
/// (<https://platform.openai.com/docs/guides/batch>).
const LARGEST: u64 = 200 << 20;
const MOST_LINES: u64 = 50_000;
/// The longest line, in bytes.
const LONGEST_LINE: u64 = 32 << 20;
/// The most errors that are told.
const MOST_ERRORS: usize = 100;
/// How many requests of a batch are under way at once.
const AT_ONCE: usize = 8;
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;
/// How long a step may take: longer than the longest window and what comes after it.
const STEP_LIMIT: Duration = Duration::from_hours(9 * 24);
/// The header that names a request.
const REQUEST_ID: &str = "x-stead-request-id";

/// What the steps of a batch share.
pub(super) struct Work {
    pub(super) store: Store,
    pub(super) place: Place,
    files: Files,
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

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    async fn batch(&self) -> Result<Batch> {
        self.store.get(&self.place).await
    }

    /// Whether no new request is made.
    fn is_halted(&self, batch: &Batch) -> bool {
        self.token.is_cancelled() || self.now() >= batch.times.expires_at
    }

    async fn lines(&self, batch: &Batch) -> Result<Lines> {
        let input = self.files.get(&self.place.project, &batch.input_file_id).await?;
        Lines::open(&self.files.path(&input)).await
    }

    /// Makes the request of a line and keeps its answer.
    async fn one(&self, batch: &Batch, number: u64, text: &[u8], progress: &Progress) -> Result<()> {
        let line = read(text, batch, number)?;
        let Some(answer) = self.ask(batch, &line).await? else {
            return Ok(());
        };
        let ok = answer.status.is_success();
        let id = plan::result_id(&self.place.id, number);
        let kept = Kept {
            batch: self.place.id.clone(),
            line: number,
            ok,
            result: plan::result(&id, &line.custom_id, &answer),
        };
        self.store.keep(&self.place, &kept).await?;
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
    async fn ask(&self, batch: &Batch, line: &Line<'_>) -> Result<Option<Answer>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let request = Request::post(&batch.endpoint)
                .header(header::CONTENT_TYPE, "application/json")
                .header(PROJECT_HEADER, &self.place.project)
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

    /// Writes the results and ends the batch, then forgets the answers. `failed` when it could not be worked on.
    async fn conclude(&self, failed: bool) -> Result<()> {
        let batch = self.batch().await?;
        if !batch.status.is_final() {
            self.write_results(&batch, failed).await?;
        }
        self.store.forget(&self.place).await?;
        let over = |batch: &mut Batch| {
            batch.active = false;
            Ok(())
        };
        self.store.change(&self.place, Vec::new(), over).await.map(drop)
    }

    async fn write_results(&self, batch: &Batch, failed: bool) -> Result<()> {
        let mut good = Output::new("output");
        let mut bad = Output::new("error");
        let (mut answered, mut after) = (HashSet::new(), None);
        loop {
            let (page, next) = self.store.results(&self.place, after).await?;
            for kept in page {
                answered.insert(kept.line);
                let output = if kept.ok { &mut good } else { &mut bad };
                output.write(&self.files, &kept.result).await?;
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        let is_open = !failed && batch.status != Status::Cancelling;
        let missing = if is_open {
            self.write_missing(batch, &answered, &mut bad).await?
        } else {
            0
        };
        let (good, bad) = (self.finish(good, batch).await?, self.finish(bad, batch).await?);
        let now = self.now();
        let end = |batch: &mut Batch| {
            let status = match batch.status {
                _ if failed => Status::Failed,
                Status::Cancelling => Status::Cancelled,
                _ if missing > 0 => Status::Expired,
                _ => Status::Completed,
            };
            batch.finish(status, now);
            batch.counts.failed += missing;
            batch.output_file_id = good.as_ref().map(|made| made.id.clone());
            batch.error_file_id = bad.as_ref().map(|made| made.id.clone());
            Ok(())
        };
        let writes = [&good, &bad]
            .into_iter()
            .flatten()
            .map(|made| made.write.clone())
            .collect();
        let batch = self.store.change(&self.place, writes, end).await?;
        // From here on the records refer to the contents.
        drop((good, bad));
        self.lock().replace(batch.counts);
        Ok(())
    }

    /// Writes an error for every line that has no answer. Returns how many there are.
    async fn write_missing(&self, batch: &Batch, answered: &HashSet<u64>, bad: &mut Output) -> Result<u64> {
        if answered.len() as u64 == batch.counts.total {
            return Ok(0);
        }
        let (mut lines, mut missing) = (self.lines(batch).await?, 0);
        while let Some((number, text)) = lines.next().await? {
            if answered.contains(&number) {
                continue;
            }
            let line = read(&text, batch, number)?;
            let id = plan::result_id(&self.place.id, number);
            bad.write(&self.files, &plan::expired(&id, &line.custom_id))
                .await?;
            missing += 1;
        }
        Ok(missing)
    }

    async fn finish(&self, output: Output, batch: &Batch) -> Result<Option<Made>> {
        let Some(draft) = output.draft else {
            return Ok(None);
        };
        let kept = self.files.keep(draft).await?;
        let suffix = self.place.id.strip_prefix("batch_").unwrap_or(&self.place.id);
        let id = format!("file-{suffix}-{}", output.kind);
        let body = FileBody {
            filename: format!("{}_{}.jsonl", self.place.id, output.kind),
            purpose: OUTPUT.to_owned(),
            bytes: kept.bytes,
            digest: kept.digest.clone(),
            created_at: self.now(),
            user: batch.creator.user().to_owned(),
        };
        Ok(Some(Made {
            write: files::write(&self.place.project, &id, &body)?,
            id,
            _kept: kept,
        }))
    }

    /// Ends a batch that cannot be worked on.
    pub(super) async fn fail(&self, error: &Error) -> Result<()> {
        let said = LineError {
            code: error.reason().as_str().to_owned(),
            message: error.full_message(),
            line: None,
            param: None,
        };
        let say = |batch: &mut Batch| {
            if batch.errors.is_empty() {
                batch.errors.push(said.clone());
            }
            Ok(())
        };
        self.store.change(&self.place, Vec::new(), say).await?;
        self.conclude(true).await
    }
}

/// A file of results that is made when it has a line.
struct Output {
    kind: &'static str,
    draft: Option<Draft>,
}

/// A file of results whose content is kept.
struct Made {
    id: String,
    write: RecordWrite,
    _kept: files::Kept,
}

impl Output {
    const fn new(kind: &'static str) -> Self {
        Self { kind, draft: None }
    }

    async fn write(&mut self, files: &Files, line: &Value) -> Result<()> {
        let draft = match &mut self.draft {
            Some(draft) => draft,
            None => self.draft.insert(files.draft().await?),
        };
        draft.write(format!("{line}\n").as_bytes()).await
    }
}

/// A line of a file that was found good.
fn read<'a>(text: &'a [u8], batch: &Batch, number: u64) -> Result<Line<'a>> {
    plan::line(text, &batch.endpoint, number)
        .map_err(|error| Error::invalid(format!("line {number}: {}", error.message)))
}

async fn answer(status: StatusCode, headers: &HeaderMap, body: Body) -> Answer {
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let request_id = request_id.map(str::to_owned);
    match Limited::new(body, ANSWER_LIMIT).collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            let json = serde_json::from_slice(&body);
            Answer {
                status,
                request_id,
                body: json.unwrap_or_else(|_| String::from_utf8_lossy(&body).into()),
            }
        }
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

/// The lines of a file, read one at a time.
struct Lines {
    reader: BufReader<tokio::fs::File>,
    number: u64,
}

impl Lines {
    async fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            reader: BufReader::with_capacity(64 << 10, files::read(path).await?),
            number: 0,
        })
    }

    /// The next line that is not empty, and its number from 1.
    async fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        loop {
            let mut line = Vec::new();
            let mut reader = (&mut self.reader).take(LONGEST_LINE + 1);
            let read = reader.read_until(b'\n', &mut line).await;
            if read.map_err(|error| files::disk_error("the batch's file cannot be read", error))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.len() as u64 > LONGEST_LINE {
                return Err(Error::invalid(format!(
                    "line {} has more than {LONGEST_LINE} bytes",
                    self.number
                )));
            }
            let text = line.trim_ascii();
            // Some editors write a mark at the beginning of a file.
            let text = text
                .strip_prefix(b"\xef\xbb\xbf")
                .filter(|_| self.number == 1)
                .unwrap_or(text);
            if !text.is_empty() {
                return Ok(Some((self.number, text.to_vec())));
            }
        }
    }
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
        if input.bytes > LARGEST {
            let message = format!("the file has more than {LARGEST} bytes");
            return Ok((0, whole("file_too_large", message)));
        }
        let (mut lines, mut total, mut errors) = (self.0.lines(batch).await?, 0, Vec::new());
        let mut ids = HashSet::new();
        while let Some((number, text)) = lines.next().await? {
            total += 1;
            if total > MOST_LINES {
                let message = format!("the file has more than {MOST_LINES} requests");
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

/// The last step: the results are written, and the batch ends.
pub(super) struct Results(pub(super) Arc<Work>);

#[async_trait]
impl Step for Results {
    fn name(&self) -> &'static str {
        "results"
    }

    fn timeout(&self) -> Duration {
        STEP_LIMIT
    }

    async fn check(&self) -> Result<bool> {
        Ok(!self.0.batch().await?.active)
    }

    async fn act(&self, _progress: &Progress) -> Result<()> {
        self.0.conclude(false).await
    }
}
