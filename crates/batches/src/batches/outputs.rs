//! The last step of a batch: its results are written, and it ends.
//!
//! *Invariant:* the files appear in the same commit as the batch's end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    ports::RecordWrite,
    steps::{Progress, Step},
};

use super::{
    Batch, Form, LineError, Missing, Status, plan,
    work::{STEP_LIMIT, Work, read},
};
use crate::files::{self, Draft, FileBody, Files};

impl Work {
    /// Writes the results and ends the batch, then forgets the answers. `failed` says why it could not be worked on.
    async fn conclude(&self, failed: Option<&Error>) -> Result<()> {
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

    async fn write_results(&self, batch: &Batch, failed: Option<&Error>) -> Result<()> {
        let mut outputs = Outputs::new(batch.form);
        let (mut answered, mut after) = (HashSet::new(), None);
        loop {
            let (page, next) = self.store.results(&self.place, after).await?;
            for kept in page {
                answered.insert(kept.line);
                outputs.of(kept.ok).write(&self.files, &kept.result).await?;
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        let why = match (failed, batch.status) {
            (Some(error), _) => Missing::Failed(error.full_message()),
            (None, Status::Cancelling) => Missing::Cancelled,
            (None, _) => Missing::Expired,
        };
        let missing = match self.write_missing(batch, &answered, &why, &mut outputs).await {
            // What made the batch fail may be its file.
            Err(_) if failed.is_some() => 0,
            missing => missing?,
        };
        let good = self.finish(outputs.good, batch).await?;
        let bad = self.finish(outputs.bad, batch).await?;
        let now = self.now();
        let end = |batch: &mut Batch| {
            let status = match batch.status {
                _ if failed.is_some() => Status::Failed,
                Status::Cancelling => Status::Cancelled,
                _ if missing > 0 => Status::Expired,
                _ => Status::Completed,
            };
            batch.finish(status, now);
            batch.counts.failed += missing;
            batch.missing = missing;
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
        self.set_counts(batch.counts);
        Ok(())
    }

    /// Writes a result for every line that has no answer, where the batch's API tells one. Returns how many there are.
    async fn write_missing(
        &self,
        batch: &Batch,
        answered: &HashSet<u64>,
        why: &Missing,
        outputs: &mut Outputs,
    ) -> Result<u64> {
        if answered.len() as u64 == batch.counts.total || !batch.form.tells(why) {
            return Ok(0);
        }
        let (mut lines, mut missing) = (self.lines(batch).await?, 0);
        while let Some((number, text)) = lines.next().await? {
            if answered.contains(&number) {
                continue;
            }
            let line = read(&text, batch, number)?;
            let id = plan::result_id(&self.place.id, number);
            let result = batch.form.missing(&id, &line.custom_id, why);
            outputs.of(false).write(&self.files, &result).await?;
            missing += 1;
        }
        Ok(missing)
    }

    async fn finish(&self, output: Output, batch: &Batch) -> Result<Option<Made>> {
        let Some(draft) = output.draft else {
            return Ok(None);
        };
        let kept = self.files.keep(draft).await?;
        let (_, suffix) = self.place.id.split_once('_').unwrap_or(("", &self.place.id));
        let id = format!("file-{suffix}-{}", output.kind);
        let body = FileBody {
            filename: format!("{}_{}.jsonl", self.place.id, output.kind),
            purpose: batch.form.purpose_of_results().to_owned(),
            bytes: kept.bytes,
            digest: kept.digest.clone(),
            created_at: self.now(),
            user: batch.creator.user().to_owned(),
            expires_at: batch
                .output_lifetime
                .map(|seconds| self.now().saturating_add_unsigned(seconds)),
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
        self.conclude(Some(error)).await
    }
}

/// The files of results of a batch.
struct Outputs {
    form: Form,
    good: Output,
    bad: Output,
}

impl Outputs {
    const fn new(form: Form) -> Self {
        let good = match form {
            Form::OpenAi => "output",
            Form::Anthropic => "results",
        };
        Self {
            form,
            good: Output::new(good),
            bad: Output::new("error"),
        }
    }

    /// Where a result belongs: Anthropic has one file for all.
    fn of(&mut self, ok: bool) -> &mut Output {
        if ok || self.form == Form::Anthropic {
            &mut self.good
        } else {
            &mut self.bad
        }
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
        self.0.conclude(None).await
    }
}
