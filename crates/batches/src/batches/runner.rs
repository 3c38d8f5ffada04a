//! Which batches are under way: new ones, and at a start those that an earlier process left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value};
use stead_kernel::{
    Clock, Context, Error, Reason, Result, Role, Tasks,
    ports::{Models, RecordWrite},
    steps::{self, Report, Step, StepStatus},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Batch, Counts, Form, Status, Times,
    outputs::Results,
    plan::{self, Wanted},
    store::{Place, Store},
    work::{Requests, Validate, Work},
};
use crate::{
    caller::{Caller, Creator},
    files::Files,
};

/// How many batches are worked on at once; others wait.
const AT_ONCE: usize = 16;
/// The most batches of a project that are not over.
const MOST: usize = 100;
/// How long to wait before work goes on that a passing fault ended.
const PAUSE: Duration = Duration::from_secs(30);

/// A batch that is to be made.
pub(super) struct New {
    pub(super) form: Form,
    pub(super) endpoint: String,
    pub(super) input_file_id: String,
    pub(super) completion_window: String,
    /// How many requests it has, where that is known.
    pub(super) total: u64,
    /// After how many seconds the files of its results expire.
    pub(super) output_lifetime: Option<u64>,
    pub(super) beta: Option<String>,
    pub(super) metadata: Option<Map<String, Value>>,
    /// Changes that are made with it.
    pub(super) writes: Vec<RecordWrite>,
}

/// Starts batches and looks after them.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(super) store: Store,
    pub(super) files: Files,
    models: Arc<dyn Models>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    running: Arc<Mutex<HashMap<String, CancellationToken>>>,
    turns: Arc<Semaphore>,
    /// Whether this process answers the model APIs.
    has_gateway: bool,
}

impl Runner {
    /// Goes on with the batches that are not over.
    pub(crate) async fn start(context: &Context, files: Files) -> Result<Self> {
        let runner = Self {
            store: Store(Arc::clone(&context.ports.records)),
            files,
            models: Arc::clone(&context.ports.models),
            clock: Arc::clone(&context.ports.clock),
            tasks: context.tasks.clone(),
            running: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            has_gateway: context.roles.has(Role::Gateway),
        };
        if runner.has_gateway {
            for (place, batch) in runner.store.active(None).await? {
                runner.spawn(place, &batch);
            }
        }
        Ok(runner)
    }

    /// Makes a batch of OpenAI's and starts it.
    ///
    /// # Errors
    /// `Invalid` when its file is no input of a batch, `NotFound` when there is none, and those of
    /// [`begin`](Self::begin).
    pub(super) async fn create(&self, caller: &Caller, wanted: Wanted) -> Result<(String, Batch)> {
        let input = self.files.shown(&caller.project, &wanted.input_file_id).await?;
        if input.purpose != "batch" {
            return Err(Error::invalid(
                "the file was not uploaded for the purpose `batch`",
            ));
        }
        let new = New {
            form: Form::OpenAi,
            endpoint: wanted.endpoint,
            input_file_id: wanted.input_file_id,
            completion_window: wanted.completion_window,
            total: 0,
            output_lifetime: wanted.output_lifetime,
            beta: None,
            metadata: wanted.metadata,
            writes: Vec::new(),
        };
        self.begin(caller, new).await
    }

    /// Whether another batch of a project can be made.
    ///
    /// # Errors
    /// `Exhausted` when too many are not over, `Unsupported` in a process without the gateway role.
    pub(super) async fn check(&self, project: &str) -> Result<()> {
        if !self.has_gateway {
            return Err(Error::unsupported(
                "this process does not have the gateway role, and runs no batches",
            ));
        }
        if self.store.active(Some(project)).await?.len() >= MOST {
            return Err(
                Error::exhausted(format!("{MOST} batches of this project are not over yet"))
                    .hint("wait for one, or cancel one"),
            );
        }
        Ok(())
    }

    /// Makes a batch and starts it.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and of its window.
    pub(super) async fn begin(&self, caller: &Caller, new: New) -> Result<(String, Batch)> {
        self.check(&caller.project).await?;
        let window = plan::window(&new.completion_window)?;
        let now = self.clock.now().as_second();
        let batch = Batch {
            active: true,
            form: new.form,
            endpoint: new.endpoint,
            input_file_id: new.input_file_id,
            completion_window: new.completion_window,
            status: Status::Validating,
            errors: Vec::new(),
            output_file_id: None,
            error_file_id: None,
            times: Times {
                created_at: now,
                expires_at: now.saturating_add_unsigned(window.as_secs()),
                ..Times::default()
            },
            counts: Counts {
                total: new.total,
                ..Counts::default()
            },
            missing: 0,
            output_lifetime: new.output_lifetime,
            beta: new.beta,
            metadata: new.metadata,
            creator: Creator::of(&caller.principal),
            steps: Vec::new(),
        };
        let place = Place {
            project: caller.project.clone(),
            id: format!("{}{}", new.form.prefix(), Uuid::now_v7().simple()),
        };
        self.store.create(&place, &batch, new.writes).await?;
        let id = place.id.clone();
        self.spawn(place, &batch);
        Ok((id, batch))
    }

    /// Asks for nothing more; what was answered is kept.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it is too late.
    pub(super) async fn cancel(&self, place: &Place) -> Result<Batch> {
        let now = self.clock.now().as_second();
        let change = |batch: &mut Batch| match batch.status {
            Status::Validating | Status::InProgress => {
                batch.status = Status::Cancelling;
                batch.times.cancelling_at = Some(now);
                Ok(())
            }
            Status::Cancelling => Ok(()),
            Status::Finalizing | Status::Failed | Status::Completed | Status::Expired | Status::Cancelled => {
                Err(Error::conflict(
                    "the batch has made all its requests, and cannot be cancelled",
                ))
            }
        };
        let batch = self.store.change(place, Vec::new(), change).await?;
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = running.get(&place.id) {
            token.cancel();
        }
        Ok(batch)
    }

    fn spawn(&self, place: Place, batch: &Batch) {
        let token = CancellationToken::new();
        if batch.status == Status::Cancelling {
            token.cancel();
        }
        let id = place.id.clone();
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), token.clone());
        let runner = self.clone();
        self.tasks.spawn_until_stopped("batch", async move {
            runner.run(place, token).await;
            runner
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
        });
    }

    /// Works on a batch to its end.
    async fn run(&self, place: Place, token: CancellationToken) {
        let Ok(_turn) = self.turns.acquire().await else {
            return;
        };
        let work = Arc::new(Work::new(self, place, token));
        while let Err(error) = self.attempt(&work).await {
            let is_gone = match self.store.get(&work.place).await {
                Err(error) => error.reason() == Reason::NotFound,
                Ok(_) => false,
            };
            // It may have been removed as soon as it was over.
            if is_gone || (!passes(&error) && work.fail(&error).await.is_ok()) {
                return;
            }
            tracing::warn!(
                batch = work.place.id,
                error = error.full_message(),
                "the batch goes on later"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, work: &Arc<Work>) -> Result<()> {
        let steps: Vec<Box<dyn Step>> = vec![
            Box::new(Validate(Arc::clone(work))),
            Box::new(Requests(Arc::clone(work))),
            Box::new(Results(Arc::clone(work))),
        ];
        let list = steps::run(&steps, &*self.clock, &**work).await?;
        work.report(&list).await
    }

    /// Now, in seconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// What a batch's work needs.
    pub(super) fn parts(&self) -> (Store, Files, Arc<dyn Models>, Arc<dyn Clock>) {
        (
            self.store.clone(),
            self.files.clone(),
            Arc::clone(&self.models),
            Arc::clone(&self.clock),
        )
    }
}

/// Whether the world may be another one soon.
pub(super) fn passes(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::Unavailable | Reason::Timeout | Reason::Exhausted | Reason::Conflict
    )
}

#[async_trait::async_trait]
impl Report for Work {
    async fn report(&self, steps: &[StepStatus]) -> Result<()> {
        let counts = self.counts();
        let change = |batch: &mut Batch| {
            batch.steps = steps.to_vec();
            batch.counts = counts.unwrap_or(batch.counts);
            Ok(())
        };
        self.store.change(&self.place, Vec::new(), change).await.map(drop)
    }
}
