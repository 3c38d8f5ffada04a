//! What a running domain works with: ports instead of the world.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Authorizer, Clock, Roles, Settings, Tasks,
    ports::{
        Chat, ControlProcess, Events, Exec, Feed, Models, Outbound, Prices, Records, Signals, Traces, Vault,
    },
};

/// Everything that a domain may use. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The resource API, in process or remote.
    pub client: kube::Client,
    /// Background tasks.
    pub tasks: Tasks,
    /// The folder for data.
    pub data: DataDir,
    /// The roles of this process.
    pub roles: Roles,
    /// The control process, where it is another one; `None` where this process has that role.
    pub control: Option<ControlProcess>,
    /// Configuration, resolved at start.
    pub settings: Arc<Settings>,
    /// The ports.
    pub ports: Ports,
}

/// One implementation of each port, wired by the composition root.
#[derive(Clone)]
pub struct Ports {
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// What happened.
    pub events: Arc<dyn Events>,
    /// What people make and change.
    pub records: Arc<dyn Records>,
    /// What applications trace.
    pub traces: Arc<dyn Traces>,
    /// What programs log and measure.
    pub signals: Arc<dyn Signals>,
    /// What was stored just now.
    pub feed: Arc<Feed>,
    /// The embedded engine.
    pub chat: Arc<dyn Chat>,
    /// The model APIs of this process.
    pub models: Arc<dyn Models>,
    /// Prices of models.
    pub prices: Arc<dyn Prices>,
    /// Processes.
    pub exec: Arc<dyn Exec>,
    /// HTTP requests to other machines.
    pub outbound: Arc<dyn Outbound>,
    /// Encryption at rest.
    pub vault: Arc<dyn Vault>,
}

/// The data folder and where what lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// A data folder; nothing is created.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The resource API's SQLite file.
    pub fn state(&self) -> PathBuf {
        self.0.join("state.db")
    }

    /// The record store's SQLite file.
    pub fn records(&self) -> PathBuf {
        self.0.join("records.db")
    }

    /// Day files of events.
    pub fn events(&self) -> PathBuf {
        self.0.join("events")
    }

    /// Day files of traces.
    pub fn traces(&self) -> PathBuf {
        self.0.join("traces")
    }

    /// Day files of logs and metrics.
    pub fn signals(&self) -> PathBuf {
        self.0.join("signals")
    }

    /// The gateway's journal.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// Content-addressed files: `blobs/sha256/<64 hex digits>`.
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// Where the blob with this digest (`sha256:<64 hex digits>`) lies; `None` when it is no digest.
    pub fn blob(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix("sha256:")?;
        let valid = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| self.blobs().join("sha256").join(hex))
    }

    /// Unfinished downloads and other files that may be lost.
    pub fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }

    /// Keys and tokens, mode 0700.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }
}
