use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use ::http::{Method, Request, Response};
use async_trait::async_trait;
use serde_json::json;
use stead_kernel::{
    Body, Reason,
    command::{Format, ProgressBar, Server, Session, Terminal},
};
use stead_testkit::FakeApi;

use super::*;

/// A server that answers what concerns credentials with prepared JSON.
#[derive(Default)]
struct FakeServer {
    api: FakeApi,
    answers: Mutex<VecDeque<Result<Value>>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Server for FakeServer {
    async fn send(&self, _: Request<Body>) -> Result<Response<Body>> {
        Err(Error::unsupported("no command here does this"))
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let line = format!("{method} {path} {}", body.unwrap_or_default());
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
        let next = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        next.unwrap_or(Ok(Value::Null))
    }

    fn client(&self) -> kube::Client {
        self.api.client()
    }

    fn address(&self) -> String {
        "http://127.0.0.1:7832".into()
    }
}

/// A terminal that types prepared secrets and keeps what is shown.
#[derive(Default)]
struct FakeTerminal {
    interactive: bool,
    secrets: Mutex<VecDeque<&'static str>>,
    shown: Mutex<Vec<String>>,
}

impl FakeTerminal {
    fn show(&self, text: String) {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    }
}

#[async_trait]
impl Terminal for FakeTerminal {
    fn print(&self, view: &View) -> Result<()> {
        let columns: Vec<_> = view.columns.iter().map(|column| column.name.as_str()).collect();
        self.show(format!("{} | {:?}", columns.join(" "), view.rows));
        Ok(())
    }

    fn write(&self, text: &str) -> Result<()> {
        self.show(text.to_owned());
        Ok(())
    }

    fn note(&self, text: &str) {
        self.show(format!("note: {text}"));
    }

    fn progress(&self, _: &str, _: Option<u64>) -> Box<dyn ProgressBar> {
        unreachable!("no command here shows progress")
    }

    fn interactive(&self) -> bool {
        self.interactive
    }

    async fn read_line(&self, _: &str) -> Result<Option<String>> {
        Ok(None)
    }

    async fn read_secret(&self, prompt: &str) -> Result<String> {
        if !prompt.is_empty() {
            self.show(prompt.to_owned());
        }
        let next = self
            .secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        next.map(str::to_owned)
            .ok_or_else(|| Error::invalid("no password was given"))
    }

    async fn interrupted(&self) {
        std::future::pending::<()>().await;
    }
}

/// A command line against fakes.
struct Run {
    server: Arc<FakeServer>,
    terminal: Arc<FakeTerminal>,
}

impl Run {
    fn new(interactive: bool, secrets: &[&'static str], answers: Vec<Result<Value>>) -> Self {
        Self {
            server: Arc::new(FakeServer {
                answers: Mutex::new(answers.into()),
                ..FakeServer::default()
            }),
            terminal: Arc::new(FakeTerminal {
                interactive,
                secrets: Mutex::new(secrets.to_vec().into()),
                ..FakeTerminal::default()
            }),
        }
    }

    async fn line(&self, line: &str) -> Result<()> {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a command");
        let command = all()
            .into_iter()
            .find(|command| command.spec.get_name() == name)
            .expect("known");
        let matches = command
            .spec
            .try_get_matches_from(line.split_whitespace())
            .map_err(|error| Error::invalid(error.to_string()))?;
        let session = Session {
            server: Arc::<FakeServer>::clone(&self.server),
            terminal: Arc::<FakeTerminal>::clone(&self.terminal),
            project: "default".into(),
            format: Format::Table,
        };
        (command.run)(matches, session).await
    }

    fn asked(&self) -> Vec<String> {
        self.server.asked.lock().expect("alone").clone()
    }

    fn shown(&self) -> Vec<String> {
        self.terminal.shown.lock().expect("alone").clone()
    }
}

#[test]
fn the_commands_are_well_formed() {
    for command in all() {
        command.spec.debug_assert();
    }
}

#[tokio::test]
async fn a_user_is_added_with_a_password_from_a_pipe() {
    let run = Run::new(false, &["a long password"], Vec::new());
    run.line("user add ada --display-name Ada -p research --project lab --password-stdin")
        .await
        .expect("added");
    let user = run
        .server
        .api
        .get("/apis/stead.dev/v1alpha1/users/ada")
        .expect("there");
    assert_eq!(
        user["spec"],
        json!({"displayName": "Ada", "admin": false, "projects": ["research", "lab"], "disabled": false})
    );
    assert_eq!(
        run.asked(),
        [r#"PUT /api/users/ada/password {"password":"a long password"}"#]
    );
    assert_eq!(
        run.shown(),
        [r#"NAME ADMIN PROJECTS | [["ada", "false", "research,lab"]]"#]
    );
}

#[tokio::test]
async fn a_person_is_asked_twice_until_both_are_the_same() {
    let run = Run::new(true, &["one", "two", "same", "same"], Vec::new());
    run.line("user add root --admin").await.expect("added");
    assert_eq!(
        run.asked(),
        [r#"PUT /api/users/root/password {"password":"same"}"#]
    );
    assert_eq!(run.shown()[2], "note: the two are not the same");
    let run = Run::new(true, &["1", "2", "3", "4", "5", "6"], Vec::new());
    let error = run.line("user passwd ada").await.expect_err("never the same");
    assert_eq!(error.reason(), Reason::Invalid);
}

#[tokio::test]
async fn without_anyone_to_ask_a_user_is_added_without_a_password() {
    let run = Run::new(false, &[], Vec::new());
    run.line("user add ada").await.expect("added");
    assert!(run.asked().is_empty());
    assert_eq!(
        run.shown()[0],
        "note: ada has no password yet; set one: stead user passwd ada"
    );
    let error = run.line("user passwd ada").await.expect_err("nobody to ask");
    assert_eq!(error.get_hint(), Some("pipe it in: --password-stdin"));
}

#[tokio::test]
async fn a_refused_password_says_that_the_user_is_there() {
    let run = Run::new(
        false,
        &["x"],
        vec![Err(Error::invalid("the password is too short"))],
    );
    let error = run
        .line("user add ada --password-stdin")
        .await
        .expect_err("too short");
    assert_eq!(
        error.message(),
        "the user ada was added, but has no password: the password is too short"
    );
    assert_eq!(error.get_hint(), Some("set one: stead user passwd ada"));
    let error = run.line("user add ada").await.expect_err("exists");
    assert_eq!(error.reason(), Reason::Conflict);
}

#[tokio::test]
async fn a_rotated_token_and_a_link_are_printed() {
    let run = Run::new(
        false,
        &[],
        vec![Ok(json!({"token": "stead-admin-x"})), Ok(json!({}))],
    );
    run.line("token rotate").await.expect("rotated");
    assert_eq!(run.asked(), ["POST /api/admin-token/rotate null"]);
    assert_eq!(run.shown()[1], r#"TOKEN | [["stead-admin-x"]]"#);
    assert_eq!(
        run.line("token rotate").await.expect_err("no token").reason(),
        Reason::Internal
    );

    let answer = json!({"path": "/sign-in#abc", "expires": "2026-01-01T00:10:00Z"});
    let run = Run::new(false, &[], vec![Ok(answer)]);
    run.line("login-link --user ada").await.expect("made");
    assert_eq!(run.asked(), [r#"POST /api/session/links {"user":"ada"}"#]);
    assert_eq!(
        run.shown(),
        [r#"URL EXPIRES | [["http://127.0.0.1:7832/sign-in#abc", "2026-01-01T00:10:00Z"]]"#]
    );
}
