//! Ctrl-C at a running command. In a binary of its own, since the signal reaches the whole process.

use std::{
    ffi::OsString,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use clap::ArgMatches;
use futures::{FutureExt as _, future::BoxFuture};
use stead_cli::{Environment, Program};
use stead_kernel::{
    Error, Result,
    command::{Command, Session},
    ports::{Exec, ProcessOutput, ProcessRequest},
};

struct NoPrograms;

#[async_trait]
impl Exec for NoPrograms {
    async fn run(&self, _request: ProcessRequest) -> Result<ProcessOutput> {
        Err(Error::unsupported("no programs here"))
    }
}

/// How often a command heard of a Ctrl-C.
static HEARD: AtomicUsize = AtomicUsize::new(0);

fn interrupt() {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT)
        .expect("a process may signal itself");
}

/// Hears the first Ctrl-C, as `chat` does to stop an answer; the second ends it.
fn answer(_matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    async move {
        let heard = session.terminal.interrupted();
        futures::pin_mut!(heard);
        assert!(futures::poll!(&mut heard).is_pending());
        interrupt();
        heard.await;
        HEARD.fetch_add(1, Ordering::SeqCst);
        interrupt();
        std::future::pending::<()>().await;
        Ok(())
    }
    .boxed()
}

#[test]
fn ctrl_c_goes_to_the_command_that_listens_and_else_ends_the_program_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let program = || Program {
        commands: vec![Command {
            spec: clap::Command::new("answer"),
            run: answer,
        }],
        local: Vec::new(),
        environment: Environment {
            data: folder.path().to_owned(),
            server: None,
            token: None,
            ca: None,
            no_color: true,
            editor: None,
            history: folder.path().join("history"),
            version: "0",
        },
        exec: Arc::new(NoPrograms),
    };
    let code = stead_cli::run(program, ["stead", "answer"].map(OsString::from).to_vec());
    assert_eq!((code, HEARD.load(Ordering::SeqCst)), (ExitCode::from(130), 1));
}
