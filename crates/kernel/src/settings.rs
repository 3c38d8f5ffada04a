//! The typed configuration of a server.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// Configuration of a server, resolved from flag > environment > file > default by the `stead` crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// Additional host names under which browsers and clients reach this server.
    pub hosts: Vec<String>,
    /// Origins of web pages that may call the model APIs from a browser; `*` for any.
    pub cors_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// Which bodies of model requests are kept.
    pub capture: Capture,
    /// For how many days events are kept.
    pub retention_days: u16,
    /// Private networks (CIDR) that anyone may name in addresses, not only admins.
    pub allow_networks: Vec<String>,
    /// Folders from which non-admins may name `file:` sources.
    pub allow_folders: Vec<PathBuf>,
    /// Threads of the embedded engine; 0 means one per core, at most 4.
    pub engine_threads: usize,
    /// How many requests may wait for the embedded engine.
    pub engine_queue: usize,
    /// Whether the first start looks for other model servers and API keys.
    pub discover: bool,
    /// Whether the first start fetches the small default model.
    pub default_model: bool,
    /// How long shutdown waits for requests under way.
    #[serde(with = "seconds")]
    pub drain: Duration,
    /// How long shutdown says that the server is not ready before it takes no new requests, so that load balancers
    /// notice first.
    #[serde(with = "seconds")]
    pub drain_delay: Duration,
    /// Whether a line is written for each request, and in which form.
    pub access_log: AccessLog,
    /// The file that these lines are added to; standard error when it is empty.
    pub access_log_file: PathBuf,
    /// Whether a program of this machine needs no key to trace into the project `default` and to read what lies there.
    pub opik_local: OpikLocal,
}

/// Whether programs of this machine need no key for Opik's API, on a server that listens on loopback alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OpikLocal {
    /// They need none, unless the server runs as root or as a service, where others may use the machine too.
    Auto,
    /// They need none.
    On,
    /// They need one.
    Off,
}

impl OpikLocal {
    /// Whether they need none; `Auto` is settled at start, and counts as that they need one until then.
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// The form of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessLog {
    /// No line is written.
    Off,
    /// Words, each with its name.
    Text,
    /// A JSON object.
    Json,
}

/// Which bodies of model requests are kept beside their usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Capture {
    /// All of them.
    Full,
    /// One in ten, and all errors.
    Sampled,
    /// Of failed requests only.
    Errors,
    /// None.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7832)),
            data: PathBuf::new(),
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            body_limit: 32 << 20,
            capture: Capture::Full,
            retention_days: 30,
            allow_networks: Vec::new(),
            allow_folders: Vec::new(),
            engine_threads: 0,
            engine_queue: 64,
            discover: true,
            default_model: true,
            drain: Duration::from_secs(10),
            drain_delay: Duration::ZERO,
            access_log: AccessLog::Off,
            access_log_file: PathBuf::new(),
            opik_local: OpikLocal::Auto,
        }
    }
}

mod seconds {
    //! Durations as whole seconds.
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}
