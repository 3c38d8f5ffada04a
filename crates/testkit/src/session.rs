//! A session of the CLI for tests of commands: a server in this process and a person who does as the test says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use stead_kernel::{
    Body, DEFAULT_PROJECT, Error, Identity, Principal, Reason, Result,
    command::{Format, ProgressBar, Server, Session, Terminal, View},
};
use tower::ServiceExt;

use crate::FakeApi;

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 16 << 20;

/// A server in this process: routes that are asked as a principal, and a resource API in memory.
pub struct LocalServer {
    router: Router,
    principal: Arc<Principal>,
    api: FakeApi,
}

impl LocalServer {
    /// A server with these routes; every request comes from the principal.
    pub fn new(router: Router, principal: Principal, api: FakeApi) -> Self {
        Self {
            router,
            principal: Arc::new(principal),
            api,
        }
    }
}

#[async_trait]
impl Server for LocalServer {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>> {
        request
            .extensions_mut()
            .insert(Identity::Known(Arc::clone(&self.principal)));
        match self.router.clone().oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(path).body(body);
        let request = request.map_err(|error| Error::invalid("no valid path").because(error))?;
        let response = self.send(request).await?;
        let failed = !response.status().is_success();
        let bytes = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        let bytes = bytes
            .map_err(|error| Error::unavailable("the answer broke off").because(error))?
            .to_bytes();
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !failed {
            return Ok(value);
        }
        let text = |field: &str| value.pointer(&format!("/error/{field}")).and_then(Value::as_str);
        let reason = text("reason").and_then(Reason::parse).unwrap_or(Reason::Internal);
        Err(Error::new(
            reason,
            text("message").unwrap_or("the server failed without a word"),
        ))
    }

    fn client(&self) -> kube::Client {
        self.api.client()
    }

    fn address(&self) -> String {
        "http://127.0.0.1:7832".into()
    }
}

/// A person who types the lines that the test queued, and a record of everything shown.
#[derive(Default)]
pub struct FakeTerminal {
    interactive: bool,
    interrupt_after: Option<Duration>,
    lines: Mutex<VecDeque<String>>,
    written: Mutex<String>,
    notes: Arc<Mutex<Vec<String>>>,
    printed: Mutex<Vec<View>>,
}

impl FakeTerminal {
    /// A person at a terminal who types these lines, then Ctrl-D.
    pub fn person(lines: &[&str]) -> Self {
        Self {
            interactive: true,
            ..Self::input(lines)
        }
    }

    /// No person: these lines are standard input.
    pub fn input(lines: &[&str]) -> Self {
        Self {
            lines: Mutex::new(lines.iter().map(|&line| line.to_owned()).collect()),
            ..Self::default()
        }
    }

    /// Presses Ctrl-C so long after the command began to wait for it; else never.
    #[must_use]
    pub fn interrupting_after(mut self, time: Duration) -> Self {
        self.interrupt_after = Some(time);
        self
    }

    /// Everything written to standard output as it is.
    pub fn written(&self) -> String {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Every line written to standard error; progress bars as `LABEL: MESSAGE DONE/TOTAL`.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything printed in the chosen format.
    pub fn printed(&self) -> Vec<View> {
        self.printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A session with this terminal in the project `default`.
    pub fn session(self: &Arc<Self>, server: LocalServer, format: Format) -> Session {
        Session {
            server: Arc::new(server),
            terminal: self.clone(),
            project: DEFAULT_PROJECT.into(),
            format,
        }
    }
}

#[async_trait]
impl Terminal for FakeTerminal {
    fn print(&self, view: &View) -> Result<()> {
        self.printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(view.clone());
        Ok(())
    }

    fn write(&self, text: &str) -> Result<()> {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(text);
        Ok(())
    }

    fn note(&self, text: &str) {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text.to_owned());
    }

    fn progress(&self, label: &str, _total: Option<u64>) -> Box<dyn ProgressBar> {
        Box::new(FakeBar {
            label: label.to_owned(),
            message: Mutex::default(),
            notes: Arc::clone(&self.notes),
        })
    }

    fn interactive(&self) -> bool {
        self.interactive
    }

    async fn read_line(&self, _prompt: &str) -> Result<Option<String>> {
        Ok(self
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front())
    }

    async fn read_secret(&self, prompt: &str) -> Result<String> {
        self.read_line(prompt).await.map(Option::unwrap_or_default)
    }

    async fn interrupted(&self) {
        match self.interrupt_after {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    }
}

struct FakeBar {
    label: String,
    message: Mutex<String>,
    notes: Arc<Mutex<Vec<String>>>,
}

impl ProgressBar for FakeBar {
    fn set(&self, done: u64, total: Option<u64>) {
        let message = self
            .message
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let total = total.map_or_else(|| "?".to_owned(), |total| total.to_string());
        let line = format!("{}: {message} {done}/{total}", self.label);
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    fn message(&self, text: &str) {
        text.clone_into(&mut self.message.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
