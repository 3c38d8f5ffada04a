//! A program under test.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, kill_process};
use stead_kernel::Tasks;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin},
};

pub use rustix::process::Signal;

use crate::poll_until;

/// A started program: its lines are collected, it can be sent signals, and it is killed when it is dropped.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<String>>>,
    tasks: Tasks,
}

impl Process {
    /// Starts a program with only these environment variables, plus `PATH` as the test has it.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests start real programs, and these find theirs in PATH"
    )]
    pub fn start<I, S>(program: &Path, arguments: I, environment: &[(&str, &str)]) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the program under test can be started");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let tasks = Tasks::new();
        if let Some(stdout) = child.stdout.take() {
            tasks.spawn("stdout", collect(stdout, Arc::clone(&lines)));
        }
        if let Some(stderr) = child.stderr.take() {
            tasks.spawn("stderr", collect(stderr, Arc::clone(&lines)));
        }
        let input = child.stdin.take();
        Self {
            child,
            input,
            lines,
            tasks,
        }
    }

    /// The process id; `None` once it has ended and was waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal; without effect when the program has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = self
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended this very moment, which is no failure of the test.
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        // Only a second wait for the same child can fail, and then it has ended too.
        let _ = self.child.wait().await;
    }

    /// Writes to the program's standard input.
    pub async fn write(&mut self, text: &str) {
        let input = self.input.as_mut().expect("standard input was not closed before");
        input
            .write_all(text.as_bytes())
            .await
            .expect("the program reads its standard input");
        input.flush().await.expect("the program reads its standard input");
    }

    /// Closes the program's standard input (Ctrl-D).
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Everything that the program has written, both streams, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line that contains `text`, and returns it.
    ///
    /// # Panics
    /// When no such line came before the deadline.
    pub async fn line(&self, text: &str, deadline: Duration) -> String {
        poll_until(deadline, &format!("a line with {text:?}"), async || {
            self.lines().into_iter().find(|line| line.contains(text))
        })
        .await
    }

    /// Waits for the end, and until all output was read.
    ///
    /// # Panics
    /// When it did not end before the deadline; the message has its last lines.
    pub async fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(deadline, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| unexpected(&self.lines()));
        self.tasks.shutdown(Duration::from_secs(2)).await;
        status.expect("the child of this process can be waited for")
    }
}

#[expect(clippy::panic, reason = "a program that does not end has failed its test")]
fn unexpected(lines: &[String]) -> ! {
    let last = lines.iter().rev().take(20).rev().cloned().collect::<Vec<_>>();
    panic!(
        "the program did not end in time; its last lines:\n{}",
        last.join("\n")
    );
}

async fn collect(stream: impl AsyncRead + Unpin, lines: Arc<Mutex<Vec<String>>>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    // A program may write what is no UTF-8; a read error is the end of its output.
    while reader
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|count| count > 0)
    {
        let text = String::from_utf8_lossy(&line)
            .trim_end_matches(['\n', '\r'])
            .to_owned();
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_program_is_read_written_signalled_and_waited_for() {
        let script =
            "trap 'echo bye; exit 3' TERM; read word; echo got $word $GREETING; while :; do sleep 0.05; done";
        let mut process = Process::start(Path::new("/bin/sh"), ["-c", script], &[("GREETING", "hello")]);
        process.write("ping\n").await;
        assert_eq!(process.line("got", SOON).await, "got ping hello");
        process.signal(Signal::TERM);
        assert_eq!(process.wait(SOON).await.code(), Some(3));
        assert!(process.lines().contains(&"bye".to_owned()));
        process.kill().await;
    }
}
