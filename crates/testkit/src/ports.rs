//! Fakes of all ports, and a context over them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::{StreamExt, future::BoxFuture};
use stead_kernel::{
    AccessRequest, Authorizer, Body, Context, DataDir, Error, Identity, Ports, Principal, Result, Settings,
    Tasks, Timestamp,
    ports::{
        Chat, Embedded, Exec, Feed, FinishReason, Generated, Generation, GenerationStream, ModelFile, Models,
        Page, Price, Prices, ProcessOutput, ProcessRequest, Signals, TokenUsage, Traces, Vault, signals,
        traces,
    },
};
use uuid::Uuid;

use crate::{FakeApi, FakeWeb, ManualClock, MemoryEvents, MemoryRecords};

/// All ports as fakes whose insides a test can reach.
#[derive(Clone)]
pub struct FakePorts {
    /// Stands still until it is turned.
    pub clock: Arc<ManualClock>,
    /// Remembers.
    pub events: Arc<MemoryEvents>,
    /// Remembers.
    pub records: Arc<MemoryRecords>,
    /// None, unless the test puts a store here.
    pub traces: Arc<dyn Traces>,
    /// None, unless the test puts a store here.
    pub signals: Arc<dyn Signals>,
    /// Nobody tells, unless the test does.
    pub feed: Arc<Feed>,
    /// Answers what the test told it to.
    pub chat: Arc<ScriptedChat>,
    /// Asks nobody; answers as the test's script says.
    pub models: Arc<ScriptedModels>,
    /// Runs nothing; asks the test's script.
    pub exec: Arc<ScriptedExec>,
    /// Routers in memory.
    pub web: Arc<FakeWeb>,
}

impl Default for FakePorts {
    fn default() -> Self {
        let clock = Arc::new(ManualClock::default());
        Self {
            events: Arc::default(),
            records: Arc::new(MemoryRecords::new(clock.clone())),
            traces: Arc::new(NoTraces),
            signals: Arc::new(NoSignals),
            feed: Arc::default(),
            chat: Arc::default(),
            models: Arc::default(),
            exec: Arc::default(),
            web: Arc::default(),
            clock,
        }
    }
}

impl FakePorts {
    /// The ports as a domain takes them: everything is allowed, no price is known.
    pub fn ports(&self) -> Ports {
        Ports {
            clock: self.clock.clone(),
            authorizer: Arc::new(AllowAll),
            events: self.events.clone(),
            records: self.records.clone(),
            traces: self.traces.clone(),
            signals: self.signals.clone(),
            feed: self.feed.clone(),
            chat: self.chat.clone(),
            models: self.models.clone(),
            prices: Arc::new(NoPrices),
            exec: self.exec.clone(),
            outbound: self.web.clone(),
            vault: Arc::new(FakeVault),
        }
    }
}

/// Ports for a test that looks at none of them.
pub fn ports() -> Ports {
    FakePorts::default().ports()
}

/// A whole world: fake ports, a resource API in memory and a data folder that goes with it.
pub struct World {
    /// The ports.
    pub ports: FakePorts,
    /// The resource API.
    pub api: FakeApi,
    /// Background tasks of the present "process"; see [`restart`](Self::restart).
    pub tasks: Tasks,
    /// Configuration; change it before [`context`](Self::context) is called.
    pub settings: Settings,
    folder: tempfile::TempDir,
}

impl Default for World {
    fn default() -> Self {
        let folder = tempfile::tempdir().expect("the folder for temporary files is writable");
        let settings = Settings {
            data: folder.path().to_owned(),
            ..Settings::default()
        };
        Self {
            ports: FakePorts::default(),
            api: FakeApi::default(),
            tasks: Tasks::new(),
            settings,
            folder,
        }
    }
}

impl World {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// The data folder.
    pub fn data(&self) -> DataDir {
        DataDir::new(self.folder.path())
    }

    /// What a domain is started with.
    pub fn context(&self) -> Context {
        Context {
            client: self.api.client(),
            tasks: self.tasks.clone(),
            data: self.data(),
            roles: stead_kernel::Roles::all(),
            control: None,
            settings: Arc::new(self.settings.clone()),
            ports: self.ports.ports(),
        }
    }

    /// Drops every task at its next await point, as a killed process would, and begins a new set; what is stored
    /// stays. Only tasks spawned with `spawn_until_stopped` or that watch `stopped` end at once.
    pub async fn restart(&mut self) {
        self.tasks.shutdown(std::time::Duration::from_secs(5)).await;
        self.tasks = Tasks::new();
    }
}

/// Allows everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn authorize(&self, _principal: &Principal, _request: &AccessRequest<'_>) -> Result<()> {
        Ok(())
    }
}

/// Knows no price.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrices;

impl Prices for NoPrices {
    fn price(&self, _provider_type: &str, _model: &str) -> Option<Arc<Price>> {
        None
    }
}

/// Turns bytes around and binds them to their context: reversible, and no encryption at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct FakeVault;

impl Vault for FakeVault {
    fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = format!("fake:{context}\0").into_bytes();
        sealed.extend(plain.iter().map(|byte| !byte));
        Ok(sealed)
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        sealed
            .strip_prefix(format!("fake:{context}\0").as_bytes())
            .map(|bytes| bytes.iter().map(|byte| !byte).collect())
            .ok_or_else(|| Error::internal("the sealed bytes belong to another context"))
    }
}

type Script = Box<dyn Fn(ProcessRequest) -> BoxFuture<'static, Result<ProcessOutput>> + Send + Sync>;

/// Runs nothing: asks the test's script, and says `NotFound` without one.
#[derive(Default)]
pub struct ScriptedExec {
    script: Mutex<Option<Arc<Script>>>,
    runs: Mutex<Vec<ProcessRequest>>,
}

impl ScriptedExec {
    /// Sets what "running a program" does from now on.
    pub fn script<F>(&self, script: F)
    where
        F: Fn(ProcessRequest) -> BoxFuture<'static, Result<ProcessOutput>> + Send + Sync + 'static,
    {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Box::new(script)));
    }

    /// Everything that was run.
    pub fn runs(&self) -> Vec<ProcessRequest> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Exec for ScriptedExec {
    async fn run(&self, request: ProcessRequest) -> Result<ProcessOutput> {
        self.runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match script {
            Some(script) => script(request).await,
            None => Err(Error::not_found(format!(
                "there is no program {}",
                request.program
            ))),
        }
    }
}

type Answer =
    Box<dyn Fn(Identity, http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> + Send + Sync>;

/// Model APIs that answer as the test's script says; without one, with status 503.
#[derive(Default)]
pub struct ScriptedModels(Mutex<Option<Arc<Answer>>>);

impl ScriptedModels {
    /// Sets what is answered from now on.
    pub fn script<F>(&self, script: F)
    where
        F: Fn(Identity, http::Request<Body>) -> BoxFuture<'static, http::Response<Body>>
            + Send
            + Sync
            + 'static,
    {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Box::new(script)));
    }
}

#[async_trait]
impl Models for ScriptedModels {
    async fn call(&self, identity: Identity, request: http::Request<Body>) -> http::Response<Body> {
        let script = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(script) = script {
            return script(identity, request).await;
        }
        let mut response = http::Response::new(Body::empty());
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        response
    }
}

/// The most bytes of a text that [`ScriptedChat`] makes a vector of.
pub const EMBEDDING_LIMIT: usize = 64;

/// Answers with the texts that the test queued, a piece each; without one, with `ok`.
#[derive(Default)]
pub struct ScriptedChat {
    answers: Mutex<VecDeque<Vec<Result<Generated>>>>,
    asked: Mutex<Vec<(ModelFile, Generation)>>,
}

impl ScriptedChat {
    /// Queues an answer of these pieces; usage counts a token for each.
    pub fn answer(&self, pieces: &[&str]) {
        let mut answer = vec![Ok(Generated::Started { prompt_tokens: 1 })];
        answer.extend(
            pieces
                .iter()
                .map(|piece| Ok(Generated::Text((*piece).to_owned()))),
        );
        answer.push(Ok(Generated::Finished {
            reason: FinishReason::Stop,
            usage: TokenUsage {
                input: 1,
                output: u64::try_from(pieces.len()).unwrap_or(u64::MAX),
                ..TokenUsage::default()
            },
        }));
        self.stream(answer);
    }

    /// Queues exactly these items, errors included.
    pub fn stream(&self, items: Vec<Result<Generated>>) {
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(items);
    }

    /// Everything that was asked.
    pub fn asked(&self) -> Vec<(ModelFile, Generation)> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Chat for ScriptedChat {
    async fn generate(&self, model: &ModelFile, request: Generation) -> Result<GenerationStream> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((model.clone(), request));
        let queued = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some(items) = queued else {
            self.answer(&["ok"]);
            let items = self
                .answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            return Ok(futures::stream::iter(items.unwrap_or_default()).boxed());
        };
        Ok(futures::stream::iter(items).boxed())
    }

    /// The vector (1, 2, 2) for each text, and a token for each of its first [`EMBEDDING_LIMIT`] bytes.
    async fn embed(&self, _model: &ModelFile, texts: Vec<String>) -> Result<Embedded> {
        Ok(Embedded {
            vectors: vec![vec![1.0, 2.0, 2.0]; texts.len()],
            tokens: texts
                .iter()
                .map(|text| text.len().min(EMBEDDING_LIMIT) as u64)
                .sum(),
            cut: texts.iter().filter(|text| text.len() > EMBEDDING_LIMIT).count(),
            limit: EMBEDDING_LIMIT,
        })
    }

    async fn load(&self, _model: &ModelFile) -> Result<()> {
        Ok(())
    }

    async fn unload(&self, _model: &ModelFile) {}
}

/// No store of logs and metrics.
struct NoSignals;

fn no_signals() -> Error {
    Error::unsupported("this test has no store of logs and metrics")
}

#[async_trait]
impl Signals for NoSignals {
    async fn log(&self, _: &str, _: Vec<signals::LogRecord>) -> Result<()> {
        Err(no_signals())
    }

    async fn logs(&self, _: signals::LogQuery) -> Result<Page<signals::LogRow>> {
        Err(no_signals())
    }

    async fn measure(&self, _: &str, _: Vec<signals::Measured>) -> Result<()> {
        Err(no_signals())
    }

    async fn known_metrics(&self, _: signals::MetricQuery) -> Result<Vec<signals::MetricRow>> {
        Err(no_signals())
    }

    async fn points(&self, _: signals::MetricQuery) -> Result<Vec<signals::Series>> {
        Err(no_signals())
    }

    async fn retire(&self, _: &str, _: Option<Timestamp>, _: Option<Timestamp>) -> Result<(u64, u64)> {
        Err(no_signals())
    }
}

/// No store of traces.
struct NoTraces;

fn no_traces() -> Error {
    Error::unsupported("this test has no store of traces")
}

#[async_trait]
impl Traces for NoTraces {
    async fn write(&self, _: Vec<traces::Write>) -> Result<()> {
        Err(no_traces())
    }

    async fn entries_of(&self, _: traces::Kind, _: &str, _: Vec<Uuid>) -> Result<Vec<traces::Entry>> {
        Err(no_traces())
    }

    async fn retire(&self, _: &str, _: Option<Uuid>, _: Timestamp) -> Result<u64> {
        Err(no_traces())
    }

    async fn entries(&self, _: traces::Kind, _: traces::Query) -> Result<traces::Found<traces::Entry>> {
        Err(no_traces())
    }

    async fn threads(&self, _: traces::Query) -> Result<traces::Found<traces::Thread>> {
        Err(no_traces())
    }

    async fn sums(
        &self,
        _: traces::Counted,
        _: traces::Query,
        _: traces::Bucket,
    ) -> Result<Vec<(Timestamp, traces::Sums)>> {
        Err(no_traces())
    }

    async fn sums_by(
        &self,
        _: traces::Counted,
        _: traces::Query,
        _: traces::Bucket,
        _: traces::Order,
    ) -> Result<traces::Grouped> {
        Err(no_traces())
    }

    async fn score_names(&self, _: traces::Counted, _: &str, _: &[Uuid]) -> Result<Vec<String>> {
        Err(no_traces())
    }

    async fn comment(&self, _: &str, _: Uuid) -> Result<Option<traces::Comment>> {
        Err(no_traces())
    }
}
