//! Stand-ins for the ports that a process without the control role does not have. Each says so.

use async_trait::async_trait;
use stead_kernel::{
    Error, Result, Timestamp,
    ports::{
        Chat, Embedded, Events, Generation, GenerationStream, ModelFile, Page, Record, RecordKey,
        RecordQuery, RecordWrite, Records, Signals, Traces, Vault,
        events::{AuditQuery, AuditRow, Event, RequestQuery, RequestRow, UsageQuery, UsageRow},
        signals, traces,
    },
};
use uuid::Uuid;

/// No engine: the files of models lie with another process.
pub(super) struct NoEngine(pub(super) &'static str);

#[async_trait]
impl Chat for NoEngine {
    async fn generate(&self, _: &ModelFile, _: Generation) -> Result<GenerationStream> {
        Err(Error::unsupported(self.0))
    }

    async fn embed(&self, _: &ModelFile, _: Vec<String>) -> Result<Embedded> {
        Err(Error::unsupported(self.0))
    }

    async fn load(&self, _: &ModelFile) -> Result<()> {
        Err(Error::unsupported(self.0))
    }

    async fn unload(&self, _: &ModelFile) {}

    fn absent(&self) -> Option<&str> {
        Some(self.0)
    }
}

/// No records.
pub(super) struct NoRecords;

fn no_records() -> Error {
    Error::unsupported("this process runs the gateway role alone, and keeps no records")
}

#[async_trait]
impl Records for NoRecords {
    async fn get(&self, _: &RecordKey) -> Result<Option<Record>> {
        Err(no_records())
    }

    async fn list(&self, _: RecordQuery) -> Result<Page<Record>> {
        Err(no_records())
    }

    async fn commit(&self, _: Vec<RecordWrite>) -> Result<Vec<u64>> {
        Err(no_records())
    }
}

/// No traces.
pub(super) struct NoTraces;

fn no_traces() -> Error {
    Error::unsupported("this process runs the gateway alone, and keeps no traces of applications")
        .hint("trace into a server that `stead up` started")
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

/// No logs and metrics.
pub(super) struct NoSignals;

fn no_signals() -> Error {
    Error::unsupported("this process runs the gateway alone, and keeps no logs and metrics of others")
        .hint("send them to a server that `stead up` started")
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

/// No secrets at rest.
pub(super) struct NoVault;

impl Vault for NoVault {
    fn seal(&self, _: &str, _: &[u8]) -> Result<Vec<u8>> {
        Err(Error::unsupported("this process keeps no secrets"))
    }

    fn open(&self, _: &str, _: &[u8]) -> Result<Vec<u8>> {
        Err(Error::unsupported("this process keeps no secrets"))
    }
}

/// Events that nobody wants to keep.
pub(super) struct NoEvents;

fn no_usage() -> Error {
    Error::unsupported("usage is not kept: the process runs with --no-usage")
}

#[async_trait]
impl Events for NoEvents {
    async fn append(&self, _: Vec<Event>) -> Result<()> {
        Ok(())
    }

    async fn requests(&self, _: RequestQuery) -> Result<Page<RequestRow>> {
        Err(no_usage())
    }

    async fn request(&self, _: &str) -> Result<Option<RequestRow>> {
        Err(no_usage())
    }

    async fn usage(&self, _: UsageQuery) -> Result<Vec<UsageRow>> {
        Err(no_usage())
    }

    async fn audit(&self, _: AuditQuery) -> Result<Page<AuditRow>> {
        Err(no_usage())
    }
}
