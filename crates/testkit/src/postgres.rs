//! A real `PostgreSQL` server for tests, in a folder of its own and reached by a socket in it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::{Process, Signal, poll_until};

/// Where Debian and others keep the server's programs.
const PLACES: [&str; 3] = ["/usr/lib/postgresql", "/usr/local/pgsql", "/usr/pgsql"];
/// How long starting and ending take at most.
const SOON: Duration = Duration::from_mins(1);

/// A running server with the user `stead` and the database `postgres`; ended and removed when it is dropped.
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    server: Process,
}

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Panics
    /// When no server is installed (`apt-get install postgresql`), or it does not start.
    pub async fn start() -> Self {
        let programs = programs().expect("no PostgreSQL server is installed: apt-get install postgresql");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        if geteuid().is_root() {
            run("chown", &["postgres".to_owned(), text(folder.path())]).await;
        }
        let words = [
            "-D",
            &text(&data),
            "-U",
            "stead",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ];
        let (initdb, words) = as_server(&text(&programs.join("initdb")), &words);
        run(&initdb, &words).await;
        let server = launch(&programs, folder.path()).await;
        Self {
            programs,
            folder,
            server,
        }
    }

    /// The address of the database, in libpq's words; `options` are settings of the session, like `search_path`.
    pub fn url(&self, options: &str) -> String {
        let socket = text(self.folder.path());
        if options.is_empty() {
            return format!("host={socket} user=stead dbname=postgres");
        }
        format!("host={socket} user=stead dbname=postgres options='-c {options}'")
    }

    /// Ends the server at once in the middle of whatever it does (an "immediate shutdown"), and starts it anew.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn crash_and_start(&mut self) {
        self.server.signal(Signal::QUIT);
        self.server.wait(SOON).await;
        self.server = launch(&self.programs, self.folder.path()).await;
    }
}

async fn launch(programs: &Path, folder: &Path) -> Process {
    let (program, words) = as_server(
        &text(&programs.join("postgres")),
        &[
            "-D",
            &text(&folder.join("data")),
            "-k",
            &text(folder),
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=40",
        ],
    );
    let server = Process::start(Path::new(&program), &words, &[]);
    let ready = programs.join("pg_isready");
    poll_until(SOON, "PostgreSQL that takes connections", async || {
        let mut asking = Process::start(&ready, ["-q", "-h", &text(folder)], &[]);
        asking.wait(SOON).await.success().then_some(())
    })
    .await;
    server
}

/// The server refuses to run as root.
fn as_server(program: &str, words: &[&str]) -> (String, Vec<String>) {
    let words = words.iter().map(|word| (*word).to_owned());
    if !geteuid().is_root() {
        return (program.to_owned(), words.collect());
    }
    let before = ["--reuid=postgres", "--regid=postgres", "--clear-groups", program];
    let before = before.into_iter().map(str::to_owned);
    ("setpriv".to_owned(), before.chain(words).collect())
}

async fn run(program: &str, words: &[String]) {
    let mut process = Process::start(Path::new(program), words, &[]);
    let status = process.wait(SOON).await;
    assert!(status.success(), "{program} {words:?}: {:?}", process.lines());
}

fn programs() -> Option<PathBuf> {
    for place in PLACES {
        let mut versions: Vec<PathBuf> = std::fs::read_dir(place)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .chain([PathBuf::from(place)])
            .map(|version| version.join("bin"))
            .filter(|bin| bin.join("initdb").exists())
            .collect();
        versions.sort();
        if let Some(newest) = versions.pop() {
            return Some(newest);
        }
    }
    None
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
