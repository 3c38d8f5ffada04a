//! Which evaluations are under way: new ones, and at a start those that an earlier process left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use stead_kernel::{Context, Error, Principal, Reason, Result, Role, Tasks};
use stead_scoring::Definition;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Counts, Evaluation, Status, store::Store, work::Work};
use crate::{
    control::absent_is_fine,
    evaluation::{asking::passes, creator::Creator, scorer::Scorer, suite::Suite},
    opik::{
        Caller, Opik,
        datasets::{Dataset, Datasets, Named},
        desk::{project_to_write, who},
        experiments::own::{NewExperiment, begin, set_status},
        prompts::{Chosen, Prompts},
        shelf::new_id,
        wire::OpikError,
    },
};

/// How many evaluations are worked on at once; others wait.
const AT_ONCE: usize = 4;
/// How long to wait before work goes on that a passing fault ended.
const PAUSE: Duration = Duration::from_secs(15);

/// Starts evaluations and looks after them.
#[derive(Clone)]
pub(in crate::evaluation) struct Runner {
    pub(super) opik: Opik,
    pub(super) store: Store,
    tasks: Tasks,
    running: Arc<Mutex<HashMap<String, CancellationToken>>>,
    turns: Arc<Semaphore>,
    /// Whether this process answers the model APIs and keeps traces.
    works: bool,
}

impl Runner {
    /// Goes on with the evaluations that are not over.
    pub(in crate::evaluation) async fn start(context: &Context, opik: Opik) -> Result<Self> {
        let runner = Self {
            store: Store::new(&opik.ports.records),
            opik,
            tasks: context.tasks.clone(),
            running: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            works: context.roles.has(Role::Gateway) && context.roles.has(Role::Telemetry),
        };
        if runner.works {
            match runner.store.active().await {
                Ok(active) => active
                    .into_iter()
                    .for_each(|(project, evaluation)| runner.spawn(&project, &evaluation.id)),
                // A process that keeps no records has none to go on with.
                Err(error) if error.reason() == Reason::Unsupported => {}
                Err(error) => return Err(error),
            }
        }
        Ok(runner)
    }

    /// Makes an evaluation with its experiment, and starts it.
    ///
    /// # Errors
    /// `Invalid` when the suite or a metric is not right, `NotFound` when the dataset, its version or the prompt is not
    /// there, `Unsupported` in a process without the roles for it.
    pub(super) async fn create(
        &self,
        principal: &Principal,
        project: &str,
        suite: Suite,
    ) -> Result<Evaluation> {
        self.check_roles()?;
        let suite = suite.completed()?;
        Scorer::new(&suite.metrics)?;
        let caller = Caller {
            workspace: project.to_owned(),
            user: principal.user.clone(),
        };
        let prompt = self.prompt(&caller, &suite).await?;
        let dataset = self.dataset(&caller, &suite).await?;
        let datasets = Datasets::new(&self.opik.ports.records);
        let version = datasets
            .version_of(project, &dataset, suite.dataset.version.as_deref())
            .await?;
        let experiment = begin(
            &self.opik,
            &caller,
            NewExperiment {
                id: new_id(),
                name: suite.name.clone(),
                dataset: suite.dataset.name.clone(),
                version: version.as_ref().map(|version| version.id.clone()),
                project: suite.project.clone(),
                metadata: metadata(&suite),
                prompt: prompt.as_ref().map(|prompt| prompt.id.clone()),
            },
        )
        .await?;
        let evaluation = Evaluation {
            id: new_id(),
            active: true,
            status: Status::Running,
            creator: Creator::of(principal),
            experiment_id: experiment.id,
            name: experiment.name,
            dataset_id: dataset.id().to_owned(),
            version: version.map_or(0, |version| version.number),
            template: template(&suite, prompt),
            counts: Counts::default(),
            scoring_usd: 0.0,
            errors: Vec::new(),
            message: None,
            created: self.opik.ports.clock.now(),
            finished: None,
            suite,
        };
        self.store.create(project, &evaluation).await?;
        self.spawn(project, &evaluation.id);
        Ok(evaluation)
    }

    /// Asks for nothing more; what was answered is kept.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it is over.
    pub(super) async fn cancel(&self, project: &str, id: &str) -> Result<Evaluation> {
        let now = self.opik.ports.clock.now();
        let evaluation = self
            .store
            .change(project, id, |evaluation| {
                if evaluation.status != Status::Running {
                    return Err(Error::conflict("the evaluation is over"));
                }
                (evaluation.active, evaluation.status) = (false, Status::Cancelled);
                evaluation.finished = Some(now);
                Ok(())
            })
            .await?;
        if let Some(token) = self.lock().get(id) {
            token.cancel();
        }
        set_status(
            &self.opik,
            &caller_of(project, &evaluation),
            &evaluation.experiment_id,
            "cancelled",
        )
        .await?;
        Ok(evaluation)
    }

    /// Asks again what failed or was not asked.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it is under way.
    pub(super) async fn resume(&self, project: &str, id: &str) -> Result<Evaluation> {
        self.check_roles()?;
        if self.lock().contains_key(id) {
            return Err(Error::conflict("the evaluation is under way"));
        }
        let evaluation = self
            .store
            .change(project, id, |evaluation| {
                (evaluation.active, evaluation.status) = (true, Status::Running);
                (evaluation.finished, evaluation.message) = (None, None);
                Ok(())
            })
            .await?;
        set_status(
            &self.opik,
            &caller_of(project, &evaluation),
            &evaluation.experiment_id,
            "running",
        )
        .await?;
        self.spawn(project, id);
        Ok(evaluation)
    }

    fn check_roles(&self) -> Result<()> {
        if self.works {
            return Ok(());
        }
        Err(Error::unsupported(
            "this process does not have the gateway and telemetry roles, and runs no evaluations",
        ))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prompt(&self, caller: &Caller, suite: &Suite) -> Result<Option<Chosen>> {
        let named = suite
            .prompt
            .as_ref()
            .and_then(|prompt| Some((prompt.name.as_deref()?, prompt.version.as_deref())));
        let Some((name, version)) = named else {
            return Ok(None);
        };
        let prompts = Prompts::new(&self.opik.ports.records);
        prompts.chosen(&caller.workspace, name, version).await.map(Some)
    }

    /// The dataset, which is made when the suite brings items for it.
    async fn dataset(&self, caller: &Caller, suite: &Suite) -> Result<Dataset> {
        let datasets = Datasets::new(&self.opik.ports.records);
        let who = who(&self.opik, caller);
        let name = &suite.dataset.name;
        if let Some(found) = datasets
            .find(&caller.workspace, Named { name, project: None })
            .await?
        {
            datasets.bring(&who, &found, &suite.dataset.items).await?;
            return datasets.get(&caller.workspace, found.id()).await;
        }
        if suite.dataset.items.is_empty() {
            return Err(Error::not_found(format!("there is no dataset {name:?}"))
                .hint("make one with: stead dataset create, or give the suite items: dataset.items"));
        }
        let project = project_to_write(&self.opik, caller, suite.project.as_deref(), None)
            .await
            .map_err(OpikError::into_error)?;
        let named = Named {
            name,
            project: project.as_deref(),
        };
        let made = datasets.find_or_create(&who, named).await?;
        datasets.bring(&who, &made, &suite.dataset.items).await?;
        datasets.get(&caller.workspace, made.id()).await
    }

    fn spawn(&self, project: &str, id: &str) {
        let token = CancellationToken::new();
        self.lock().insert(id.to_owned(), token.clone());
        let (runner, project, id) = (self.clone(), project.to_owned(), id.to_owned());
        self.tasks.spawn_until_stopped("evaluation", async move {
            runner.run(&project, &id, token).await;
            runner.lock().remove(&id);
        });
    }

    /// Works on an evaluation to its end.
    async fn run(&self, project: &str, id: &str, token: CancellationToken) {
        let Ok(_turn) = self.turns.acquire().await else {
            return;
        };
        while let Err(error) = self.attempt(project, id, &token).await {
            if !passes(&error) && self.fail(project, id, &error).await.is_ok() {
                return;
            }
            tracing::warn!(
                evaluation = id,
                error = error.full_message(),
                "the evaluation goes on later"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, project: &str, id: &str, token: &CancellationToken) -> Result<()> {
        let evaluation = self.store.get(project, id).await?;
        if !evaluation.active {
            return Ok(());
        }
        let caller = caller_of(project, &evaluation);
        let experiment = evaluation.experiment_id.clone();
        let work = Work::new(self, project, evaluation, token.clone())?;
        work.run().await?;
        if token.is_cancelled() {
            return Ok(());
        }
        set_status(&self.opik, &caller, &experiment, "completed").await?;
        self.end(project, id, Status::Completed, None).await
    }

    async fn fail(&self, project: &str, id: &str, error: &Error) -> Result<()> {
        let ended = self.end(project, id, Status::Failed, Some(error.full_message()));
        absent_is_fine(ended.await)
    }

    async fn end(&self, project: &str, id: &str, status: Status, message: Option<String>) -> Result<()> {
        let now = self.opik.ports.clock.now();
        let change = |evaluation: &mut Evaluation| {
            if evaluation.status == Status::Running {
                (evaluation.active, evaluation.status) = (false, status);
                evaluation.message.clone_from(&message);
                evaluation.finished = Some(now);
            }
            Ok(())
        };
        self.store.change(project, id, change).await.map(drop)
    }
}

/// On whose behalf an evaluation writes.
pub(super) fn caller_of(project: &str, evaluation: &Evaluation) -> Caller {
    Caller {
        workspace: project.to_owned(),
        user: evaluation.creator.user.clone(),
    }
}

/// What the experiment says that it tries, as Opik's SDK tells its configuration.
fn metadata(suite: &Suite) -> Value {
    let metrics: Vec<&str> = suite.metrics.iter().map(Definition::score_name).collect();
    json!({"model": suite.model, "parameters": suite.parameters, "prompt": suite.prompt, "metrics": metrics,
        "repeat": suite.repeat})
}

fn template(suite: &Suite, chosen: Option<Chosen>) -> Option<Value> {
    if let Some(chosen) = chosen {
        return Some(chosen.template);
    }
    let prompt = suite.prompt.as_ref()?;
    match &prompt.text {
        Some(text) => Some(text.clone().into()),
        None => Some(prompt.messages.clone().into()),
    }
}
