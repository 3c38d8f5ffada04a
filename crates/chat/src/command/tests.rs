//! The command against its own routes, a scripted model and a scripted person.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Request, State},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use stead_kernel::{Body, Principal, Reason};
use stead_testkit::{FakeApi, FakePorts, FakeTerminal, LocalServer};

use super::*;

/// What the model does with one request.
enum Reply {
    /// Streams these pieces and a proper end.
    Pieces(&'static [&'static str]),
    /// Streams these pieces, then nothing more.
    Hangs(&'static [&'static str]),
    /// Streams these pieces, then breaks.
    Breaks(&'static [&'static str]),
    /// Answers with this status and body.
    Plain(u16, Value),
}

#[derive(Clone, Default)]
struct Model {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

async fn complete(State(model): State<Model>, request: Request) -> Response {
    assert_eq!(request.headers()["x-stead-project"], "default");
    let body = Limited::new(request.into_body(), 1 << 20)
        .collect()
        .await
        .unwrap()
        .to_bytes();
    model
        .asked
        .lock()
        .unwrap()
        .push(serde_json::from_slice(&body).unwrap());
    let reply = model
        .replies
        .lock()
        .unwrap()
        .pop_front()
        .expect("the test queued a reply");
    let event = |value: Value| Ok::<_, std::io::Error>(Bytes::from(format!("data: {value}\n\n")));
    let piece = |text: &&str| event(json!({"model": "tiny", "choices": [{"delta": {"content": text}}]}));
    let pieces = |texts: &[&'static str]| stream::iter(texts.iter().map(piece).collect::<Vec<_>>());
    let body = match reply {
        Reply::Plain(status, body) => {
            return Response::builder()
                .status(status)
                .body(Body::from(body.to_string()))
                .unwrap();
        }
        Reply::Pieces(texts) => {
            let end = [
                event(json!({"choices": [{"delta": {}, "finish_reason": "stop"}]})),
                event(
                    json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": texts.len()}}),
                ),
                Ok(Bytes::from("data: [DONE]\n\n")),
            ];
            pieces(texts).chain(stream::iter(end)).boxed()
        }
        Reply::Hangs(texts) => pieces(texts).chain(stream::pending()).boxed(),
        Reply::Breaks(texts) => pieces(texts)
            .chain(stream::iter([Err(std::io::Error::other("cut"))]))
            .boxed(),
    };
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(body))
        .unwrap()
}

async fn one_model(Path(id): Path<String>) -> Response {
    let (status, body) = match id.as_str() {
        "chat" | "other" => (200, json!({"id": id})),
        _ => (
            404,
            json!({"error": {"message": format!("there is no model {id}")}}),
        ),
    };
    Response::builder()
        .status(status)
        .body(Body::from(body.to_string()))
        .unwrap()
}

#[derive(Default)]
struct Room {
    ports: FakePorts,
    model: Model,
}

impl Room {
    fn with(replies: Vec<Reply>) -> Self {
        let room = Self::default();
        room.model.replies.lock().unwrap().extend(replies);
        room
    }

    /// Runs `stead chat` with these arguments and typed lines.
    async fn chat(
        &self,
        arguments: &[&str],
        format: Format,
        interactive: bool,
        lines: &[&str],
    ) -> (Result<()>, Arc<FakeTerminal>) {
        let models = get(async || axum::Json(json!({"data": [{"id": "chat"}, {"id": "other"}]})));
        let v1 = Router::new()
            .route("/v1/chat/completions", post(complete))
            .with_state(self.model.clone())
            .route("/v1/models", models)
            .route("/v1/models/{id}", get(one_model));
        let router = v1.merge(crate::threads::routes(&self.ports.ports()));
        let person = if interactive {
            FakeTerminal::person(lines)
        } else {
            FakeTerminal::input(lines)
        };
        let person = Arc::new(person.interrupting_after(Duration::from_mins(1)));
        let server = LocalServer::new(router, Principal::admin(), FakeApi::default());
        let session = person.session(server, format);
        let matches = spec().get_matches_from([&["chat"], arguments].concat());
        (run(matches, session).await, person)
    }

    /// What the model was asked last: role and content of each message.
    fn asked(&self) -> Vec<(String, String)> {
        let asked = self.model.asked.lock().unwrap();
        let messages = asked.last().unwrap()["messages"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        messages
            .iter()
            .map(|message| (text(&message["role"]), text(&message["content"])))
            .collect()
    }
}

fn said(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|&(role, content)| (role.to_owned(), content.to_owned()))
        .collect()
}

#[test]
fn the_command_is_well_formed() {
    spec().debug_assert();
}

#[tokio::test(start_paused = true)]
async fn a_question_as_arguments_gets_one_answer_and_is_gone_on_with_later() {
    let room = Room::with(vec![
        Reply::Pieces(&["Par", "is.\u{1b}[2J"]),
        Reply::Pieces(&["Two million."]),
    ]);
    let (result, person) = room
        .chat(
            &["--system", "Be brief.", "capital", "of France?"],
            Format::Table,
            true,
            &[],
        )
        .await;
    result.unwrap();
    assert_eq!(
        person.written(),
        "Paris.\u{fffd}[2J\n",
        "what steers a terminal is not passed on"
    );
    let notes = person.notes().join("\n");
    assert!(
        notes.contains("5 tokens in, 2 out") && notes.contains("first after"),
        "{notes}"
    );
    room.chat(&["-c", "How many people?"], Format::Table, true, &[])
        .await
        .0
        .unwrap();
    let expected = [
        ("system", "Be brief."),
        ("user", "capital of France?"),
        ("assistant", "Paris.\u{1b}[2J"),
        ("user", "How many people?"),
    ];
    assert_eq!(room.asked(), said(&expected));
}

#[tokio::test(start_paused = true)]
async fn standard_input_is_one_question_and_json_is_the_whole_message() {
    let room = Room::with(vec![Reply::Pieces(&["4"])]);
    let (result, person) = room.chat(&[], Format::Json, false, &["what is", "2+2?"]).await;
    result.unwrap();
    assert_eq!(room.asked(), said(&[("user", "what is\n2+2?")]));
    assert!(person.written().is_empty());
    let message = person.printed()[0].items[0].clone();
    assert_eq!(
        (&message["role"], &message["content"], &message["finish"]),
        (&json!("assistant"), &json!("4"), &json!("stop"))
    );
    assert_eq!(message["usage"]["completion_tokens"], json!(1));
    assert!(message["id"].is_string() && message["thread"].is_string());
    let (result, _) = room.chat(&[], Format::Table, false, &[]).await;
    assert_eq!(result.unwrap_err().reason(), Reason::Invalid);
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_stops_an_answer_and_keeps_what_there_is_of_it() {
    let room = Room::with(vec![Reply::Hangs(&["Once upon"]), Reply::Pieces(&["The end."])]);
    let (result, person) = room
        .chat(&[], Format::Table, true, &["tell a story", "", "go on"])
        .await;
    result.unwrap();
    assert_eq!(person.written(), "Once upon\nThe end.\n");
    assert_eq!(
        room.asked(),
        said(&[
            ("user", "tell a story"),
            ("assistant", "Once upon"),
            ("user", "go on")
        ])
    );
    let notes = person.notes().join("\n");
    assert!(
        notes.contains("stopped · about 1 token out") && notes.contains(" · 60.00 s"),
        "{notes}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_that_failed_is_left_out_of_what_follows() {
    let error = json!({"error": {"message": "no such model", "hint": "look around"}});
    let room = Room::with(vec![
        Reply::Plain(404, error),
        Reply::Breaks(&["half"]),
        Reply::Pieces(&["ok"]),
    ]);
    let (result, person) = room.chat(&[], Format::Table, true, &["a", "b", "c"]).await;
    result.unwrap();
    let notes = person.notes().join("\n");
    assert!(
        notes.contains("error: no such model\nhint: look around") && notes.contains("broke off"),
        "{notes}"
    );
    assert_eq!(
        room.asked(),
        said(&[("user", "b"), ("assistant", "half"), ("user", "c")])
    );
    room.model
        .replies
        .lock()
        .unwrap()
        .extend([Reply::Pieces(&["x"]), Reply::Plain(429, json!({}))]);
    room.chat(&["-c", "d"], Format::Table, true, &[]).await.0.unwrap();
    let expected = [
        ("user", "b"),
        ("assistant", "half"),
        ("user", "c"),
        ("assistant", "ok"),
        ("user", "d"),
    ];
    assert_eq!(room.asked(), said(&expected));
    let (result, _) = room.chat(&["e"], Format::Table, true, &[]).await;
    assert_eq!(result.unwrap_err().reason(), Reason::Exhausted);
    let (_, person) = room.chat(&[], Format::Table, true, &["/threads"]).await;
    assert_eq!(
        person.printed()[0].rows.len(),
        1,
        "a conversation that had no answer is not kept"
    );
}

#[tokio::test(start_paused = true)]
async fn commands_change_the_model_and_the_conversation() {
    let room = Room::with(vec![Reply::Pieces(&["1"]), Reply::Pieces(&["2"])]);
    let lines = [
        "first",
        "/model",
        "/model nobody",
        "/model other",
        "/new",
        "second",
        "/threads",
        "/help",
        "/dance",
        "/quit",
        "never",
    ];
    let (result, person) = room.chat(&[], Format::Table, true, &lines).await;
    result.unwrap();
    assert_eq!(room.asked(), said(&[("user", "second")]));
    assert_eq!(room.model.asked.lock().unwrap()[1]["model"], json!("other"));
    let notes = person.notes().join("\n");
    for told in [
        "* chat",
        "  other",
        "there is no model nobody",
        "talking with other",
        "/threads",
        "no command /dance",
        "stead chat --thread",
    ] {
        assert!(notes.contains(told), "{told} is missing in {notes}");
    }
    assert_eq!(person.printed()[0].rows.len(), 2);
    let missing = room
        .chat(&["--thread", "nobody", "x"], Format::Table, true, &[])
        .await
        .0;
    assert_eq!(missing.unwrap_err().reason(), Reason::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_stream_is_understood_too() {
    let whole =
        json!({"model": "tiny", "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]});
    let room = Room::with(vec![Reply::Plain(200, whole)]);
    let (result, person) = room.chat(&["x"], Format::Table, true, &[]).await;
    result.unwrap();
    assert_eq!(person.written(), "whole\n");
}
