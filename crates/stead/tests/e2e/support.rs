//! A Stead under test: the real binary in a temporary folder.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use stead_testkit::{Process, Signal, free_port, poll_until};
use tempfile::TempDir;

/// How long anything that should take a moment may take on a machine that does other things too.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// A variable that `./test` sets.
#[expect(
    clippy::disallowed_methods,
    reason = "./test tells its tests where programs are"
)]
pub(crate) fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the end-to-end tests with ./test"))
}

/// The binary: the release build that `./test` made, or the one that cargo made for this test.
#[expect(
    clippy::disallowed_methods,
    reason = "./test tells its tests where programs are"
)]
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("STEAD_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_stead")), PathBuf::from)
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Standard output of a program that must have succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a program to its end.
#[expect(
    clippy::disallowed_methods,
    reason = "tests start real programs, which find theirs in PATH"
)]
pub(crate) async fn run(
    program: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &str,
) -> Ended {
    use tokio::io::AsyncWriteExt;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", std::env::var_os("HOME").unwrap_or_default())
        .envs(std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PIP_")))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{} starts: {error}", program.display()));
    let mut stdin = child.stdin.take().expect("piped");
    // The program may end without reading its input.
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    let output = tokio::time::timeout(SOON * 5, child.wait_with_output())
        .await
        .expect("ends in time")
        .expect("waits");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// One installation: a data folder, a port, and the process while it runs.
pub(crate) struct Installation {
    folder: TempDir,
    pub(crate) port: u16,
    process: Option<Process>,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Installation {
    /// A new, empty one, with nothing started.
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            port: free_port(),
            process: None,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// A started one, without a model and without looking around.
    pub(crate) async fn started() -> Self {
        let mut installation = Self::new();
        installation.up(&["--no-discover", "--no-default-model"]).await;
        installation
    }

    /// A started one that serves the real model under the names `smollm2-135m` and `chat`, from a file.
    pub(crate) async fn with_model() -> Self {
        let installation = Self::started().await;
        let manifest = installation.path("model.yaml");
        std::fs::write(&manifest, model_manifest(&told("STEAD_TEST_MODEL"))).expect("writable");
        installation
            .stead(&["apply", "-f", &manifest.to_string_lossy()])
            .await
            .ok();
        installation
            .stead(&[
                "wait",
                "model/smollm2-135m",
                "--for=condition=Ready",
                "--timeout=120s",
            ])
            .await
            .ok();
        installation
    }

    /// A path in the installation's folder, beside the data.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The arguments of `up`.
    fn up_arguments(&self, more: &[&str]) -> Vec<String> {
        let mut arguments = vec![
            "up".to_owned(),
            "--listen".into(),
            format!("127.0.0.1:{}", self.port),
        ];
        arguments.extend(["--data".to_owned(), self.data().to_string_lossy().into_owned()]);
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        arguments
    }

    /// Starts the server and waits until it has introduced itself; returns what it printed.
    pub(crate) async fn up(&mut self, more: &[&str]) -> Vec<String> {
        let mut process = Process::start(&binary(), self.up_arguments(more), &environment());
        let up = poll_until(SOON * 3, "the server to be up", async || {
            let lines = process.lines();
            let done = lines.iter().any(|line| line.starts_with("  stead "));
            let dead = lines.iter().any(|line| line.starts_with("error:"));
            (done || dead).then_some(lines)
        })
        .await;
        assert!(up.iter().any(|line| line.contains("Stead is up")), "{up:#?}");
        process.close_input();
        self.process = Some(process);
        up
    }

    /// Starts `serve` and waits until it has said that it is up.
    pub(crate) async fn serve(&mut self, more: &[&str]) {
        let mut arguments = self.up_arguments(more);
        arguments[0] = "serve".into();
        let mut process = Process::start(&binary(), arguments, &environment());
        wait_for_up(&process).await;
        process.close_input();
        self.process = Some(process);
    }

    /// Asks the server to stop.
    pub(crate) fn signal(&self) {
        self.process
            .as_ref()
            .expect("the server runs")
            .signal(Signal::TERM);
    }

    /// Waits until the server has ended by itself; its exit code.
    pub(crate) async fn ends(&mut self) -> Option<i32> {
        let process = self.process.as_mut().expect("the server runs");
        process.wait(SOON).await.code()
    }

    /// Sends a request with a token and reads the answer's text.
    pub(crate) async fn send_as(&self, method: &str, path: &str, body: &Value, token: &str) -> (u16, String) {
        send_text(
            &self.client,
            self.port,
            (method, path),
            body,
            &[("authorization", &format!("Bearer {token}"))],
        )
        .await
    }

    /// Runs `up` where it is expected to fail.
    pub(crate) async fn up_fails(&self, more: &[&str]) -> Ended {
        let arguments = self.up_arguments(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&binary(), &arguments, &[], "").await
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process
            .as_ref()
            .and_then(Process::id)
            .expect("the server runs")
    }

    /// Everything the server has printed.
    pub(crate) fn output(&self) -> String {
        self.process
            .as_ref()
            .map(|process| process.lines().join("\n"))
            .unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Ctrl-C, and waits for the end.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.signal(Signal::INT);
        let status = process.wait(SOON).await;
        assert_eq!(status.code(), Some(0), "{:#?}", process.lines());
    }

    /// Runs a command of the CLI against this installation.
    pub(crate) async fn stead(&self, arguments: &[&str]) -> Ended {
        self.stead_reading(arguments, "").await
    }

    /// The same with something on standard input.
    pub(crate) async fn stead_reading(&self, arguments: &[&str], input: &str) -> Ended {
        let data = self.data().to_string_lossy().into_owned();
        run(&binary(), arguments, &[("STEAD_HOME", &data)], input).await
    }

    /// The admin token.
    pub(crate) fn token(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("keys/admin.token")).expect("the token's file");
        text.trim().to_owned()
    }

    /// Sends a request as the admin and returns the head, with the body to come.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header("authorization", format!("Bearer {}", self.token()));
        let bytes = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let kind = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        request = request.header("content-type", kind);
        let request = request.body(Full::new(bytes)).expect("a valid request");
        self.client.request(request).await.expect("the server answers")
    }

    /// The same, and `None` where the connection broke.
    pub(crate) async fn try_json(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        token: &str,
    ) -> Option<(StatusCode, Value, http::HeaderMap)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        let bytes = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let response = self
            .client
            .request(request.body(Full::new(bytes)).ok()?)
            .await
            .ok()?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        Some((
            head.status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            head.headers,
        ))
    }

    /// Sends something of a media type as the admin and reads the JSON answer; `None` where the connection broke.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        media_type: &str,
    ) -> Option<(StatusCode, Value)> {
        let bytes = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header("authorization", format!("Bearer {}", self.token()))
            .header("content-type", media_type);
        let request = request.body(Full::new(bytes)).ok()?;
        let (head, body) = self.client.request(request).await.ok()?.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        Some((head.status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// Asks as the admin for what goes on, such as a watch; `None` where there was no answer.
    pub(crate) async fn try_open(&self, path: &str) -> Option<Response<Incoming>> {
        let request = Request::builder()
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header("authorization", format!("Bearer {}", self.token()));
        self.client
            .request(request.body(Full::default()).ok()?)
            .await
            .ok()
    }

    /// Sends a request as the admin and reads the JSON answer.
    pub(crate) async fn json(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let token = self.token();
        let (status, value, _) = self
            .try_json(method, path, &body, &token)
            .await
            .expect("the server answers");
        (status, value)
    }

    /// Waits until the gateway lists a model for the admin.
    pub(crate) async fn until_listed(&self, model: &str) {
        let path = format!("/v1/models/{model}");
        poll_until(SOON, model, async || {
            let (status, _) = self.json("GET", &path, Value::Null).await;
            (status == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// Asks a model one question; returns status and body.
    pub(crate) async fn ask(&self, model: &str, question: &str) -> (StatusCode, Value) {
        let body = json!({"model": model, "temperature": 0, "max_tokens": 32, "messages": [{"role": "user", "content": question}]});
        self.json("POST", "/v1/chat/completions", body).await
    }
}

/// Waits until a server has said that it is up.
async fn wait_for_up(process: &Process) {
    poll_until(SOON * 3, "the server to be up", async || {
        let lines = process.lines();
        let dead = lines.iter().find(|line| line.starts_with("error:"));
        assert!(dead.is_none(), "{lines:#?}");
        lines
            .iter()
            .any(|line| line.starts_with("  address"))
            .then_some(())
    })
    .await;
}

type Http = Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

/// Sends a request to a port of this machine and reads the answer's text; status 0 when there was none.
async fn send_text(
    client: &Http,
    port: u16,
    (method, path): (&str, &str),
    body: &Value,
    headers: &[(&str, &str)],
) -> (u16, String) {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://127.0.0.1:{port}{path}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let bytes = if body.is_null() {
        Bytes::new()
    } else {
        Bytes::from(body.to_string())
    };
    let request = request.body(Full::new(bytes)).expect("a valid request");
    let Ok(response) = client.request(request).await else {
        return (0, String::new());
    };
    let status = response.status().as_u16();
    match response.into_body().collect().await {
        Ok(body) => (status, String::from_utf8_lossy(&body.to_bytes()).into_owned()),
        Err(error) => (0, error.to_string()),
    }
}

/// A process that serves and is no installation: a gateway of its own, with a data folder and a port.
pub(crate) struct Served {
    folder: TempDir,
    pub(crate) port: u16,
    process: Option<Process>,
    client: Http,
    /// Variables of its environment.
    pub(crate) environment: Vec<(String, String)>,
}

impl Served {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            port: free_port(),
            process: None,
            client: Client::builder(TokioExecutor::new()).build_http(),
            environment: vec![("STEAD_LOG".into(), "warn".into())],
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn arguments(&self, given: &[String]) -> Vec<String> {
        let mut arguments = given.to_vec();
        let listen = format!("127.0.0.1:{}", self.port);
        let data = self.path("data").to_string_lossy().into_owned();
        arguments.extend(["--listen", &listen, "--data", &data].map(str::to_owned));
        arguments
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(&mut self, arguments: &[String]) {
        let environment: Vec<(&str, &str)> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let process = Process::start(&binary(), self.arguments(arguments), &environment);
        wait_for_up(&process).await;
        self.process = Some(process);
    }

    /// Starts it where it is expected to fail.
    pub(crate) async fn fails(&self, arguments: &[String]) -> Ended {
        let arguments = self.arguments(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run(&binary(), &arguments, &[], "").await;
        assert_ne!(ended.code, 0, "{ended:?}");
        ended
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&self) {
        poll_until(SOON, "the gateway to be ready", async || {
            (self.get("/readyz").await.0 == 200).then_some(())
        })
        .await;
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        send_text(&self.client, self.port, ("GET", path), &Value::Null, &[]).await
    }

    /// Reads a path with the admin token of its data folder.
    pub(crate) async fn as_admin(&self, path: &str) -> (u16, String) {
        let token = std::fs::read_to_string(self.path("data/keys/admin.token")).expect("a token");
        let header = format!("Bearer {}", token.trim());
        let headers = [("authorization", header.as_str())];
        send_text(&self.client, self.port, ("GET", path), &Value::Null, &headers).await
    }

    /// Sends JSON with a key.
    pub(crate) async fn ask(&self, key: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask_with(key, path, body, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        key: &str,
        path: &str,
        body: &Value,
        more: &[(&str, &str)],
    ) -> (u16, Value) {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(more);
        let (status, text) = send_text(&self.client, self.port, ("POST", path), body, &headers).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Waits for a line of its output.
    pub(crate) async fn line(&self, part: &str) -> String {
        let process = self.process.as_ref().expect("it runs");
        process.line(part, SOON).await
    }

    pub(crate) fn count_lines(&self, part: &str) -> usize {
        let process = self.process.as_ref().expect("it runs");
        process.lines().iter().filter(|line| line.contains(part)).count()
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// TERM, and waits for a clean end.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::TERM);
        let status = process.wait(SOON).await;
        assert_eq!(status.code(), Some(0), "{:#?}", process.lines());
    }
}

/// Model, provider and route of a real model in a file.
pub(crate) fn model_manifest(file: &str) -> String {
    format!(
        "apiVersion: stead.dev/v1alpha1\nkind: Model\nmetadata: {{name: smollm2-135m}}\nspec: {{sources: ['file:{file}']}}\n---\n\
         apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\nmetadata: {{name: local}}\nspec: {{type: embedded}}\n---\n\
         apiVersion: stead.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: chat}}\nspec: {{targets: [{{provider: local, model: smollm2-135m}}]}}\n"
    )
}

/// What the server's environment holds: pip's own configuration, for the pip that it runs.
fn environment() -> Vec<(&'static str, &'static str)> {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let mut pairs: Vec<_> = std::env::vars()
        .filter(|(name, _)| name.starts_with("PIP_") || name == "HOME")
        .map(|(name, value)| (leak(name), leak(value)))
        .collect();
    pairs.push(("STEAD_LOG", "warn"));
    pairs
}
