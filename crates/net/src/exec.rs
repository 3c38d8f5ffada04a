//! Programs of this machine.

use std::{process::Stdio, time::Duration};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use stead_kernel::{
    Error, Result,
    ports::{Exec, ProcessOutput, ProcessRequest},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

/// How much of each output is kept.
const TAIL: usize = 64 << 10;
/// How long the outputs are read after the program's end: what it left running may hold them open.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Runs programs as children of this process, each in a process group of its own, which is killed as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemExec;

#[async_trait]
impl Exec for SystemExec {
    async fn run(&self, request: ProcessRequest) -> Result<ProcessOutput> {
        let mut child = start(&request)?;
        let mut group = Group::of(&child);
        let outcome = tokio::time::timeout(request.timeout, finish(&mut child, &mut group)).await;
        match outcome {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => {
                Err(Error::internal(format!("cannot follow the program {}", request.program)).because(error))
            }
            Err(_) => Err(Error::timeout(format!(
                "the program {} did not end within {} s",
                request.program,
                request.timeout.as_secs_f64()
            ))),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the Exec port")]
fn start(request: &ProcessRequest) -> Result<Child> {
    let mut command = Command::new(&request.program);
    command
        .args(&request.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Its own group: Ctrl-C at the terminal is for Stead to handle, and grandchildren end with their parent.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(folder) = &request.folder {
        command.current_dir(folder);
    }
    command.spawn().map_err(|error| refusal(request, error))
}

/// Why a program could not be started. The kernel answers "not found" for a missing folder, too.
fn refusal(request: &ProcessRequest, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    let program = &request.program;
    let folder_is_missing = request.folder.as_ref().is_some_and(|folder| !folder.is_dir());
    match error.kind() {
        NotFound if folder_is_missing => {
            Error::not_found(format!("the folder to run {program} in does not exist")).because(error)
        }
        NotFound => Error::not_found(format!("there is no program {program}"))
            .hint(format!("install {program}, or add its folder to PATH"))
            .because(error),
        PermissionDenied => Error::forbidden(format!("the program {program} may not be run")).because(error),
        _ => Error::unavailable(format!("the program {program} could not be started")).because(error),
    }
}

async fn finish(child: &mut Child, group: &mut Group) -> std::io::Result<ProcessOutput> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Tail::default(), Tail::default());
    let status = {
        let reading = async { tokio::join!(out.follow(stdout), err.follow(stderr)) };
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => child.wait().await?,
            status = child.wait() => {
                // What comes later than this is not the program's own.
                drop(tokio::time::timeout(AFTERMATH, &mut reading).await);
                status?
            }
        }
    };
    group.ended();
    Ok(ProcessOutput {
        code: status.code(),
        stdout: out.into_text(),
        stderr: err.into_text(),
    })
}

/// Kills the process group when dropped before the program has ended.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self(pid.and_then(Pid::from_raw))
    }

    /// The number may belong to someone else from now on.
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(group) = self.0 else { return };
        if let Err(error) = kill_process_group(group, Signal::KILL) {
            tracing::debug!(%error, "a program was gone before it was killed");
        }
    }
}

/// The end of an output.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn follow(&mut self, output: Option<impl AsyncRead + Unpin>) {
        let Some(mut output) = output else { return };
        let mut buffer = vec![0; 8 << 10];
        loop {
            match output.read(&mut buffer).await {
                Ok(0) => return,
                Ok(count) => self.push(buffer.get(..count).unwrap_or_default()),
                Err(error) => {
                    tracing::debug!(%error, "the output of a program broke off");
                    return;
                }
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        // Cut seldom, so that long outputs are not moved again and again.
        if self.0.len() > 2 * TAIL {
            self.0.drain(..self.0.len() - TAIL);
        }
    }

    fn into_text(self) -> String {
        let from = self.0.len().saturating_sub(TAIL);
        String::from_utf8_lossy(self.0.get(from..).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use stead_kernel::Reason;

    use super::*;

    fn shell(script: &str) -> ProcessRequest {
        ProcessRequest {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            folder: None,
            timeout: Duration::from_secs(20),
        }
    }

    #[tokio::test]
    async fn outputs_and_exit_code_come_back() {
        let output = SystemExec
            .run(shell("echo out; echo err >&2; exit 3"))
            .await
            .expect("ran");
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (Some(3), "out\n", "err\n")
        );
    }

    #[tokio::test]
    async fn only_the_end_of_a_long_output_is_kept() {
        let output = SystemExec
            .run(shell("head -c 1000000 /dev/zero | tr '\\0' x; echo end"))
            .await
            .expect("ran");
        assert_eq!(output.stdout.len(), TAIL);
        assert!(output.stdout.ends_with("xend\n"));
    }

    #[tokio::test]
    async fn nothing_can_be_read_from_standard_input() {
        let output = SystemExec.run(shell("cat; echo done")).await.expect("ran");
        assert_eq!(output.stdout, "done\n");
    }

    #[tokio::test]
    async fn a_missing_program_and_a_missing_folder_are_told_apart() {
        let mut request = shell("true");
        request.program = "stead-no-such-program".into();
        let error = SystemExec.run(request).await.expect_err("no program");
        assert_eq!(error.reason(), Reason::NotFound);
        assert!(error.message().contains("stead-no-such-program"), "{error}");

        let mut request = shell("true");
        request.folder = Some(PathBuf::from("/stead/no/such/folder"));
        let error = SystemExec.run(request).await.expect_err("no folder");
        assert!(error.message().contains("folder"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("pid");
        let mut request = shell("sleep 600 & echo $! > pid; wait");
        request.folder = Some(folder.path().to_owned());
        request.timeout = Duration::from_millis(500);
        let error = SystemExec.run(request).await.expect_err("too long");
        assert_eq!(error.reason(), Reason::Timeout);
        let pid = std::fs::read_to_string(file).expect("the child began");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while alive(pid.trim()) {
            assert!(tokio::time::Instant::now() < deadline, "the grandchild lives on");
            tokio::task::yield_now().await;
        }
    }

    /// Whether a process runs; one that waits to be collected by its parent does not.
    fn alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().next());
        !matches!(state, None | Some("Z" | "X"))
    }

    #[tokio::test]
    async fn what_a_program_leaves_running_does_not_hold_up_its_result() {
        let output = SystemExec.run(shell("sleep 600 & echo $!")).await.expect("ended");
        let pid = output
            .stdout
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id");
        rustix::process::kill_process(pid, Signal::KILL).expect("it still ran");
    }
}
