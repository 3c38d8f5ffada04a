//! The typed configuration of a server.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of a server, resolved from flag > environment > file > default by the `stead` crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Where to listen.
    #[schemars(with = "String")]
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
    #[schemars(with = "u64")]
    pub drain: Duration,
    /// How long shutdown says that the server is not ready before it takes no new requests, so that load balancers
    /// notice first.
    #[serde(with = "seconds")]
    #[schemars(with = "u64")]
    pub drain_delay: Duration,
    /// Whether a line is written for each request, and in which form.
    pub access_log: AccessLog,
    /// The file that these lines are added to; standard error when it is empty.
    pub access_log_file: PathBuf,
    /// Whether a program of this machine needs no key to trace into the project `default` and to read what lies there.
    pub opik_local: OpikLocal,
    /// The address of the PostgreSQL database that keeps records, as `postgres://user:password@host/database?sslmode=require`; the
    /// data folder's `records.db` keeps them when it is empty. Give it in the environment or the file, which hide the password.
    pub records_url: StoreUrl,
    /// The address of the ClickHouse database that keeps traces, as `http://user:password@host:8123/database`; files in the data
    /// folder keep them when it is empty. Give it in the environment or the file, which hide the password.
    pub events_url: StoreUrl,
    /// Whether people may share conversations with everybody who has the address, not only with who is signed in.
    pub public_shares: bool,
    /// Another address to listen on, for OpenTelemetry's exporters that speak gRPC and expect it at a port of its own
    /// (`127.0.0.1:4317`); none when it is null. They are answered at `listen`, too.
    pub otlp_listen: Option<SocketAddr>,
    /// How many traces and spans, lines of logs and points of metrics each project may send per second, ten seconds'
    /// worth at once; what is more is 429 with `Retry-After`. 0 for no limit.
    pub ingest_rate: u32,
}

/// The address of a database. What shows it, shows no password; [`StoreUrl::expose`] does.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// An address as it was given.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole address, with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a password in it.
    pub fn has_password(&self) -> bool {
        self.shown() != self.0
    }

    /// The address with stars for its password; nothing of one in libpq's words or with parameters that name a password.
    fn shown(&self) -> String {
        if self.0.to_ascii_lowercase().contains("password") {
            return "***".into();
        }
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return self.0.clone();
        };
        let Some((who, place)) = rest.rsplit_once('@') else {
            return self.0.clone();
        };
        let user = who.split_once(':').map(|(user, _)| user);
        user.map_or_else(|| self.0.clone(), |user| format!("{scheme}://{user}:***@{place}"))
    }
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.shown())
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

/// Whether programs of this machine need no key for Opik's API, on a server that listens on loopback alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
            records_url: StoreUrl::default(),
            events_url: StoreUrl::default(),
            public_shares: false,
            otlp_listen: None,
            ingest_rate: 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("", ""),
            ("postgres://h/d", "postgres://h/d"),
            ("postgres://ada@h/d", "postgres://ada@h/d"),
            ("postgres://ada:p@ss:w@h:5/d?a=b", "postgres://ada:***@h:5/d?a=b"),
            ("postgres://h/d?user=ada&Password=x", "***"),
            ("host=h user=ada password=x", "***"),
            ("host=/run user=ada", "host=/run user=ada"),
        ] {
            let url = StoreUrl::new(url);
            assert_eq!(serde_json::to_value(&url).unwrap(), shown);
            assert_eq!(format!("{url:?}"), format!("{shown:?}"));
            assert_eq!(url.has_password(), shown.contains('*'));
        }
    }
}
