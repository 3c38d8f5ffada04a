//! Long work as a list of steps in a status: each is checked, then done, and a restart goes on where it stopped.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{Clock, Error, Result, Timestamp};

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum StepState {
    /// Not begun.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Done (or found done).
    Done,
    /// Given up.
    Failed,
}

/// One step as it stands in `status.steps`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// The step's name, unique in its list.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// When it was begun (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// What it does now, or why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How much is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<StepProgress>,
}

/// How much of a step is done, in units of its own (bytes, rows).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StepProgress {
    /// Units done.
    pub done: u64,
    /// Units in all, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// One step of long work.
#[async_trait]
pub trait Step: Send + Sync {
    /// The name in the status.
    fn name(&self) -> &str;

    /// How long one try may take.
    fn timeout(&self) -> Duration {
        Duration::from_mins(10)
    }

    /// How many further tries follow a failed one.
    fn retries(&self) -> u32 {
        2
    }

    /// Whether the step is done already; a step that has run is checked, not trusted.
    async fn check(&self) -> Result<bool>;

    /// Does it.
    async fn act(&self, progress: &Progress) -> Result<()>;
}

/// Receives the list of steps whenever it is worth writing: at every change of state, and at most once a second
/// for progress.
#[async_trait]
pub trait Report: Send + Sync {
    /// Writes the list where others see it.
    async fn report(&self, steps: &[StepStatus]) -> Result<()>;
}

/// How a running step tells how far it is.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<std::sync::Mutex<(String, Option<StepProgress>)>>);

impl Progress {
    /// Sets how much is done.
    pub fn set(&self, done: u64, total: Option<u64>) {
        self.lock().1 = Some(StepProgress { done, total });
    }

    /// Sets what is being done.
    pub fn message(&self, text: impl Into<String>) {
        self.lock().0 = text.into();
    }

    fn snapshot(&self) -> (String, Option<StepProgress>) {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (String, Option<StepProgress>)> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How often progress is written.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// The pause before the first further try; it doubles.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Runs the steps in order, skipping those that are done, and returns the list as it stands at the end.
/// The first step that fails for good ends the work with its error, after the list was reported.
pub async fn run(steps: &[Box<dyn Step>], clock: &dyn Clock, report: &dyn Report) -> Result<Vec<StepStatus>> {
    let mut list: Vec<StepStatus> = steps
        .iter()
        .map(|step| StepStatus {
            name: step.name().to_owned(),
            ..StepStatus::default()
        })
        .collect();
    for (index, step) in steps.iter().enumerate() {
        if let Err(error) = run_one(index, step.as_ref(), &mut list, clock, report).await {
            update(&mut list, index, |status| {
                status.state = StepState::Failed;
                status.finished = Some(text(clock.now()));
                status.message = error.full_message();
            });
            report.report(&list).await?;
            return Err(error);
        }
    }
    Ok(list)
}

async fn run_one(
    index: usize,
    step: &dyn Step,
    list: &mut [StepStatus],
    clock: &dyn Clock,
    report: &dyn Report,
) -> Result<()> {
    if !step.check().await? {
        update(list, index, |status| {
            status.state = StepState::Running;
            status.started = Some(text(clock.now()));
        });
        report.report(list).await?;
        act_with_retries(index, step, list, report).await?;
    }
    update(list, index, |status| {
        status.state = StepState::Done;
        status.message.clear();
        status.finished = Some(text(clock.now()));
    });
    report.report(list).await
}

async fn act_with_retries(
    index: usize,
    step: &dyn Step,
    list: &mut [StepStatus],
    report: &dyn Report,
) -> Result<()> {
    let mut pause = RETRY_PAUSE;
    for left in (0..=step.retries()).rev() {
        let error = match act_once(index, step, list, report).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if left == 0 || !worth_retrying(&error) {
            return Err(error);
        }
        tracing::warn!(
            step = step.name(),
            error = error.full_message(),
            "step failed, trying again"
        );
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

/// Trying again helps only where the world may have changed.
fn worth_retrying(error: &Error) -> bool {
    use crate::Reason;
    matches!(
        error.reason(),
        Reason::Unavailable | Reason::Timeout | Reason::Exhausted | Reason::Conflict
    )
}

async fn act_once(index: usize, step: &dyn Step, list: &mut [StepStatus], report: &dyn Report) -> Result<()> {
    let progress = Progress::default();
    let deadline = Instant::now() + step.timeout();
    let mut act = step.act(&progress);
    let mut written = progress.snapshot();
    loop {
        let next = (Instant::now() + PROGRESS_INTERVAL).min(deadline);
        if let Ok(result) = tokio::time::timeout_at(next, &mut act).await {
            let (message, amount) = progress.snapshot();
            update(list, index, |status| {
                (status.message, status.progress) = (message, amount);
            });
            return result;
        }
        if Instant::now() >= deadline {
            return Err(Error::timeout(format!(
                "step {} did not end within {} s",
                step.name(),
                step.timeout().as_secs()
            )));
        }
        let now = progress.snapshot();
        if now != written {
            written = now.clone();
            update(list, index, |status| (status.message, status.progress) = now);
            report.report(list).await?;
        }
    }
}

fn update(list: &mut [StepStatus], index: usize, change: impl FnOnce(&mut StepStatus)) {
    if let Some(status) = list.get_mut(index) {
        change(status);
    }
}

fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::{Reason, SystemClock};

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    #[async_trait]
    impl Report for Seen {
        async fn report(&self, steps: &[StepStatus]) -> Result<()> {
            let line = steps
                .iter()
                .map(|step| format!("{:?}", step.state))
                .collect::<Vec<_>>()
                .join(" ");
            self.0.lock().unwrap().push(line);
            Ok(())
        }
    }

    struct Flaky {
        done: bool,
        failures: AtomicU32,
        reason: Reason,
    }

    #[async_trait]
    impl Step for Flaky {
        fn name(&self) -> &'static str {
            "flaky"
        }
        async fn check(&self) -> Result<bool> {
            Ok(self.done)
        }
        async fn act(&self, _progress: &Progress) -> Result<()> {
            if self.failures.load(Ordering::SeqCst) == 0 {
                return Ok(());
            }
            self.failures.fetch_sub(1, Ordering::SeqCst);
            Err(Error::new(self.reason, "not now"))
        }
    }

    async fn end(done: bool, failures: u32, reason: Reason) -> (Result<Vec<StepStatus>>, Vec<String>) {
        let seen = Seen::default();
        let steps: Vec<Box<dyn Step>> = vec![Box::new(Flaky {
            done,
            failures: AtomicU32::new(failures),
            reason,
        })];
        let result = run(&steps, &SystemClock, &seen).await;
        (result, seen.0.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_is_done_is_not_run_again() {
        assert_eq!(end(true, 9, Reason::Invalid).await.1, ["Done"]);
    }

    #[tokio::test(start_paused = true)]
    async fn passing_faults_are_retried_and_lasting_ones_are_not() {
        assert_eq!(end(false, 2, Reason::Unavailable).await.1, ["Running", "Done"]);
        let (result, seen) = end(false, 1, Reason::Invalid).await;
        assert_eq!(seen, ["Running", "Failed"]);
        assert_eq!(result.unwrap_err().reason(), Reason::Invalid);
        assert_eq!(end(false, 3, Reason::Unavailable).await.1, ["Running", "Failed"]);
    }
}
