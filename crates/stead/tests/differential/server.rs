//! The two servers: Stead and a real Kubernetes API server.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use stead_testkit::{Process, free_port, poll_until};
use tempfile::TempDir;

use crate::script::Step;

/// How long a server may take to start.
const SOON: Duration = Duration::from_mins(2);
/// How long a state may take to be reached.
const REACHED: Duration = Duration::from_secs(20);
/// How long a watch that has sent nothing is waited for.
const QUIET: Duration = Duration::from_secs(5);

/// What a server answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media_type: String,
    pub(crate) warnings: Vec<String>,
    /// JSON, or the text of what is no JSON; the lines of a watch as a list.
    pub(crate) body: Value,
}

/// Sends a step's request, again and again if it waits for something.
pub(crate) async fn play(client: &Client, step: &Step) -> Answer {
    let end = tokio::time::Instant::now() + REACHED;
    loop {
        let answer = ask(client, step).await;
        let reached = step.until.is_none_or(|status| answer.status == status)
            && step
                .until_value
                .as_ref()
                .is_none_or(|(place, value)| answer.body.pointer(place) == Some(value));
        if reached || tokio::time::Instant::now() > end {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ask(client: &Client, step: &Step) -> Answer {
    let mut request = Request::builder().method(step.method.as_str()).uri(&step.path);
    for (name, value) in &step.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Body::from(step.body.clone()))
        .unwrap_or_else(|error| panic!("{} {}: {error}", step.method, step.path));
    let none = |why: String| Answer {
        status: 0,
        media_type: String::new(),
        warnings: Vec::new(),
        body: why.into(),
    };
    let response = match tokio::time::timeout(REACHED, client.send(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return none(error.to_string()),
        Err(_) => return none("no answer".into()),
    };
    let (head, body) = response.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let warnings = head.headers.get_all("warning").iter();
    let is_watch = step.path.contains("watch=") && head.status.is_success();
    Answer {
        status: head.status.as_u16(),
        media_type: header("content-type").replace("; charset=utf-8", ""),
        warnings: warnings
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect(),
        body: if is_watch {
            lines(body, step.events).await
        } else {
            let bytes = tokio::time::timeout(REACHED, body.collect()).await;
            let bytes = bytes
                .ok()
                .and_then(Result::ok)
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let bytes = unpacked(&bytes, &header("content-encoding"));
            let is_yaml = header("content-type") == "application/yaml";
            let yaml = std::str::from_utf8(&bytes).ok().filter(|_| is_yaml);
            yaml.and_then(|text| serde_saphyr::from_str(text).ok())
                .unwrap_or_else(|| read(&bytes))
        },
    }
}

fn unpacked(bytes: &Bytes, encoding: &str) -> Vec<u8> {
    if encoding != "gzip" {
        return bytes.to_vec();
    }
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut out).expect("gzip");
    out
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

/// Reads the lines of a watch until there are enough, or it ends, or nothing comes.
async fn lines(mut body: Body, enough: Option<usize>) -> Value {
    let (mut buffer, mut events) = (Vec::new(), Vec::new());
    while enough.is_none_or(|enough| events.len() < enough) {
        let Ok(Some(Ok(frame))) = tokio::time::timeout(QUIET, body.frame()).await else {
            break;
        };
        if let Some(bytes) = frame.data_ref() {
            buffer.extend_from_slice(bytes);
        }
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            events.push(read(&line));
        }
    }
    // What is no watch ends as it likes.
    if events.is_empty() && !buffer.is_empty() {
        events.push(read(&buffer));
    }
    events.truncate(enough.unwrap_or(usize::MAX));
    events.into()
}

/// The real one.
pub(crate) struct Kubernetes {
    pub(crate) client: Client,
    /// The name of the cluster, and the folder of its state; absent for one that was there.
    started: Option<(PathBuf, TempDir)>,
}

impl Kubernetes {
    /// Starts one, or takes the one that `KUBEBOX_KUBECONFIG` names.
    pub(crate) async fn start() -> Self {
        if let Some(kubeconfig) = told("KUBEBOX_KUBECONFIG") {
            let client = client(&std::fs::read_to_string(kubeconfig).expect("a kubeconfig")).await;
            return Self {
                client,
                started: None,
            };
        }
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/kubebox");
        let state = tempfile::tempdir().expect("a temporary folder");
        let output = script(&tools.join("up.sh"), &state, &["differential", "/dev/null"]).await;
        let kubeconfig = std::fs::read_to_string(output.trim()).expect("a kubeconfig");
        Self {
            client: client(&kubeconfig).await,
            started: Some((tools, state)),
        }
    }

    /// Stops what was started.
    pub(crate) async fn stop(self) {
        if let Some((tools, state)) = self.started {
            script(&tools.join("down.sh"), &state, &["differential"]).await;
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "./test tells its tests where programs are"
)]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the cluster's scripts are run as they are"
)]
async fn script(program: &Path, state: &TempDir, arguments: &[&str]) -> String {
    let binary = told("KUBEBOX_BIN").expect("KUBEBOX_BIN is not set: run this test with ./test");
    let output = tokio::process::Command::new("bash")
        .arg(program)
        .args(arguments)
        .env("KUBEBOX_BIN", binary)
        .env("KUBEBOX_STATE", state.path())
        .env("KUBEBOX_PORT", six_free_ports().to_string())
        .env("KUBEBOX_WITHOUT", "kube-scheduler kwok")
        .env(
            "KUBEBOX_CONTROLLERS",
            "garbage-collector-controller,namespace-controller",
        )
        .output()
        .await
        .expect("bash starts");
    assert!(
        output.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The first of six ports that were free a moment ago.
fn six_free_ports() -> u16 {
    loop {
        let first = free_port();
        let is_free = |offset| {
            let port = first.saturating_add(offset);
            std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
        };
        if (1..6).all(is_free) {
            return first;
        }
    }
}

async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a usable kubeconfig");
    config.read_timeout = None;
    Client::try_from(config).expect("a client")
}

/// Ours.
pub(crate) struct Stead {
    pub(crate) client: Client,
    process: Process,
    _folder: TempDir,
}

impl Stead {
    /// Starts the binary in a temporary folder.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, data) = (free_port(), folder.path().join("data"));
        let arguments = ["up", "--listen", &format!("127.0.0.1:{port}"), "--data"]
            .map(str::to_owned)
            .into_iter()
            .chain([data.to_string_lossy().into_owned()])
            .chain(["--no-discover", "--no-default-model"].map(str::to_owned))
            .collect::<Vec<_>>();
        let binary = told("STEAD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_stead").to_owned());
        let mut process = Process::start(Path::new(&binary), arguments, &[("STEAD_LOG", "warn")]);
        poll_until(SOON, "the server to be up", async || {
            let lines = process.lines();
            assert!(!lines.iter().any(|line| line.starts_with("error:")), "{lines:#?}");
            lines
                .iter()
                .any(|line| line.starts_with("  stead "))
                .then_some(())
        })
        .await;
        process.close_input();
        let token = std::fs::read_to_string(data.join("keys/admin.token")).expect("the token's file");
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "stead",
            "clusters": [{"name": "stead", "cluster": {"server": format!("http://127.0.0.1:{port}/k8s")}}],
            "users": [{"name": "stead", "user": {"token": token.trim()}}],
            "contexts": [{"name": "stead", "context": {"cluster": "stead", "user": "stead"}}],
        });
        Self {
            client: client(&kubeconfig.to_string()).await,
            process,
            _folder: folder,
        }
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) {
        self.process.kill().await;
    }
}
