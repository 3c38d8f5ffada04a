//! ClickHouse for tests: chDB, which is ClickHouse embedded, behind a small server that speaks its HTTP interface.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Process, Signal};

/// How long starting takes at most.
const SOON: Duration = Duration::from_mins(1);

/// A running server with the user `stead`; ended and removed when it is dropped.
pub struct ClickHouse {
    folder: TempDir,
    server: Process,
    port: u16,
}

impl ClickHouse {
    /// The password of the user.
    pub const PASSWORD: &'static str = "hunter2";

    /// Starts a server that holds nothing.
    ///
    /// # Panics
    /// When chDB is not installed (`. tools/setup.sh chdb`), or the server does not start.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (server, port) = launch(folder.path(), 0).await;
        Self { folder, server, port }
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "http://stead:{}@127.0.0.1:{}/{database}",
            Self::PASSWORD,
            self.port
        )
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Has the server do something; answers with what it says.
    ///
    /// # Panics
    /// When it does not answer, or refuses.
    pub async fn run(&self, statement: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("a server that listens");
        let request = format!(
            "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-clickhouse-user: stead\r\nx-clickhouse-key: {}\r\n\
             content-length: {}\r\n\r\n{statement}",
            Self::PASSWORD,
            statement.len()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{statement}: {answer}");
        answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default()
    }

    /// Holds the server, which answers nothing and refuses nothing from then on, or lets it go on.
    pub fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    /// Kills the server in the middle of whatever it does.
    pub async fn kill(&mut self) {
        self.server.kill().await;
    }

    /// Starts it anew after it was killed, at the same address and with what it has stored.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        (self.server, _) = launch(self.folder.path(), self.port).await;
    }
}

async fn launch(folder: &Path, port: u16) -> (Process, u16) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/chdb-server.py");
    let words = [
        script.to_string_lossy().into_owned(),
        folder.join("data").to_string_lossy().into_owned(),
        port.to_string(),
        "stead".to_owned(),
        ClickHouse::PASSWORD.to_owned(),
    ];
    let server = Process::start(&python(), &words, &[]);
    let line = server.line("listening on", SOON).await;
    let port = line.rsplit(' ').next().and_then(|port| port.trim().parse().ok());
    (server, port.expect("a port"))
}

/// The Python that has chDB.
#[expect(
    clippy::disallowed_methods,
    reason = "where a test's program lies is no setting of Stead"
)]
fn python() -> PathBuf {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if let Some(python) = path("CHDB_PYTHON") {
        return python;
    }
    let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
    let cache = path("STEAD_CACHE").or_else(|| Some(caches?.join("stead")));
    let python = cache.unwrap_or_default().join("python/chdb/bin/python");
    assert!(python.exists(), "chDB is not installed: . tools/setup.sh chdb");
    python
}
