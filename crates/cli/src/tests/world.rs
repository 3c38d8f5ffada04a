//! A person at a terminal, a data folder, and a running server.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{Cursor, ErrorKind, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    ports::{Exec, ProcessOutput, ProcessRequest},
};

use super::server::FakeServer;
use crate::{Environment, Program, run::execute, terminal::Streams};

pub(super) const TOKEN: &str = "stead-admin-test";

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: u8,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    /// Everything that a person sees, for snapshots.
    pub(super) fn all(&self) -> String {
        format!("{}--- {}\n{}", self.stdout, self.code, self.stderr)
    }

    /// The output of a command that must have gone well.
    pub(super) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

/// The server, the data folder that leads to it, and where files of a test can lie.
pub(super) struct World {
    pub(super) server: FakeServer,
    folder: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let server = FakeServer::start();
        let folder = tempfile::tempdir().unwrap();
        for name in ["run", "keys"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let running = serde_json::json!({
            "pid": std::process::id(), "http": server.address(), "https": "https://127.0.0.1:1", "ca": folder.path().join("ca.crt"),
        });
        std::fs::write(folder.path().join("run/server.json"), running.to_string()).unwrap();
        std::fs::write(folder.path().join("keys/admin.token"), format!("{TOKEN}\n")).unwrap();
        Self { server, folder }
    }

    /// A path in the test's folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the test; its path as an argument.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    pub(super) fn program(&self) -> Program {
        Program {
            commands: Vec::new(),
            local: Vec::new(),
            environment: Environment {
                data: self.folder.path().to_owned(),
                server: None,
                token: None,
                ca: None,
                no_color: false,
                editor: None,
                history: self.path("history"),
                version: "1.2.3",
            },
            exec: Arc::new(NoPrograms),
        }
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        run(self.program(), arguments, "")
    }

    pub(super) fn run_reading(&self, arguments: &[&str], input: &str) -> Ended {
        run(self.program(), arguments, input)
    }

    /// Puts an object there as some controller would.
    pub(super) fn put(&self, object: Value) {
        self.server.put(object);
    }
}

/// Runs a command line with this standard input.
pub(super) fn run(program: Program, arguments: &[&str], input: &str) -> Ended {
    run_until(program, arguments, input, None)
}

/// Runs a command line whose output is read until this text was seen, as `head` would.
pub(super) fn run_until(program: Program, arguments: &[&str], input: &str, last: Option<&str>) -> Ended {
    let (out, err) = (Captured::default(), Captured::default());
    let streams = Streams {
        out: Box::new(Reader {
            captured: out.clone(),
            last: last.map(str::to_owned),
        }),
        err: Box::new(Reader {
            captured: err.clone(),
            last: None,
        }),
        input: Box::new(Cursor::new(input.to_owned().into_bytes())),
        colour: false,
        lively: false,
        interactive: false,
        width: None,
    };
    let arguments: Vec<OsString> = ["stead"].iter().chain(arguments).map(OsString::from).collect();
    let code = execute(program, arguments, streams);
    Ended {
        code,
        stdout: out.text(),
        stderr: err.text(),
    }
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Reads what is written, until it has seen enough.
struct Reader {
    captured: Captured,
    last: Option<String>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self
            .last
            .as_ref()
            .is_some_and(|last| self.captured.text().contains(last))
        {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.captured.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct NoPrograms;

#[async_trait]
impl Exec for NoPrograms {
    async fn run(&self, _request: ProcessRequest) -> Result<ProcessOutput> {
        Err(Error::unsupported("no programs here"))
    }
}

/// What a scripted server answers next.
pub(super) type Answers = VecDeque<(u16, Value)>;
