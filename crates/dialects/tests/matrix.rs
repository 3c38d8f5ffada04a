//! Every client's dialect against every provider's.
//!
//! `tests/fixtures/clients/<dialect>.json` has a rich conversation in a client's dialect: `source` (the API document),
//! `body`, `head` (`model` and `stream`, where the path says them), and what is read of it as a check: `messages` (how
//! many) and `tools` (how many). `refused` names, by provider, the field for which that provider refuses it.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::fs;

use serde_json::{Value, json};
use stead_dialects::{
    Usage,
    chat::{
        Answer, Choice, ClientDialect, Content, Delta, ErrorBody, ErrorKind, Event, Framing, Head, Part,
        Request, Stop, Target, Wire,
    },
    client, provider,
};
use support::{WIRES, decode, encode, folder, read_openai, said, said_whole, view};

fn clients() -> impl Iterator<Item = &'static dyn ClientDialect> {
    WIRES.into_iter().filter_map(client)
}

fn fixture(wire: Wire) -> Value {
    let path = folder().join("clients").join(format!("{}.json", wire.as_str()));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(dialect: &dyn ClientDialect, fixture: &Value) -> Request {
    let head = Head {
        model: fixture["head"]["model"].as_str(),
        stream: fixture["head"]["stream"] == true,
    };
    dialect
        .request(fixture["body"].to_string().as_bytes(), head)
        .unwrap_or_else(|error| panic!("{}: {error}", dialect.wire().as_str()))
}

#[test]
fn every_conversation_reaches_every_provider_or_is_refused_by_field() {
    let mut wrong = Vec::new();
    for dialect in clients() {
        let (from, fixture) = (dialect.wire().as_str(), fixture(dialect.wire()));
        assert!(
            fixture["source"]
                .as_str()
                .is_some_and(|source| source.starts_with("https://"))
        );
        let request = read(dialect, &fixture);
        assert_eq!(
            json!(request.messages.len()),
            fixture["messages"],
            "{from}: {request:#?}"
        );
        assert_eq!(json!(request.tools.len()), fixture["tools"], "{from}");
        for target in WIRES.into_iter().filter_map(provider) {
            let to = target.wire().as_str();
            let sent = target.request(
                &request,
                Target {
                    model: "some-model",
                    default_max_tokens: 4096,
                    flavor: "",
                },
            );
            match (sent, fixture["refused"][to].as_str()) {
                (Ok(sent), None) => {
                    let body: Value = serde_json::from_slice(&sent.body)
                        .unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
                    assert!(body.is_object() && !sent.path.starts_with('/'), "{from} to {to}");
                }
                (Err(error), Some(field)) if error.param == field && error.message.starts_with(field) => {}
                (Ok(_), Some(field)) => wrong.push(format!("{from} to {to}: {field} was not refused")),
                (Err(error), _) => wrong.push(format!("{from} to {to}: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_request_that_is_cut_is_read() {
    for dialect in clients() {
        let fixture = fixture(dialect.wire());
        let body = fixture["body"].to_string();
        for end in 0..body.len() {
            let read = dialect.request(
                &body.as_bytes()[..end],
                Head {
                    model: Some("m"),
                    stream: false,
                },
            );
            assert!(read.is_err(), "{} cut at {end}", dialect.wire().as_str());
        }
    }
}

fn answer() -> Answer {
    let call = |id: &str, name: &str, arguments: &str| {
        Part::new(Content::ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            signature: None,
        })
    };
    Answer {
        id: "a-1".to_owned(),
        model: "some-model".to_owned(),
        choices: vec![Choice {
            parts: vec![
                Part::new(Content::Reasoning {
                    text: "Two \"places\".".to_owned(),
                    signature: Some("anthropic:c2ln".to_owned()),
                }),
                Part::text("I look\ntwice: Zürich 🌧"),
                call("call_1", "weather", r#"{"place":"Bergen"}"#),
                call("call_2", "now", "{}"),
            ],
            stop: Some(Stop::ToolCalls),
            logprobs: Vec::new(),
        }],
        usage: Some(usage()),
        service_tier: None,
    }
}

fn usage() -> Usage {
    Usage {
        input: 40,
        output: 20,
        cached_input: 8,
        reasoning: 4,
        ..Usage::default()
    }
}

fn events() -> Vec<Event> {
    let deltas = vec![
        Delta::Reasoning("Two \"pla".to_owned()),
        Delta::Reasoning("ces\".".to_owned()),
        Delta::Signature("anthropic:c2ln".to_owned()),
        Delta::Text("I look\n".to_owned()),
        Delta::Text("twice: Zürich 🌧".to_owned()),
        Delta::ToolCall {
            index: 0,
            id: "call_1".to_owned(),
            name: "weather".to_owned(),
            signature: None,
        },
        Delta::Arguments {
            index: 0,
            text: r#"{"place""#.to_owned(),
        },
        Delta::Arguments {
            index: 0,
            text: r#":"Bergen"}"#.to_owned(),
        },
        Delta::ToolCall {
            index: 1,
            id: "call_2".to_owned(),
            name: "now".to_owned(),
            signature: None,
        },
        Delta::Arguments {
            index: 1,
            text: "{}".to_owned(),
        },
    ];
    let start = Event::Start {
        id: "a-1".to_owned(),
        model: "some-model".to_owned(),
    };
    let deltas = deltas.into_iter().map(|delta| Event::Delta { choice: 0, delta });
    let end = [
        Event::Stop {
            choice: 0,
            stop: Stop::ToolCalls,
        },
        Event::Usage(usage()),
        Event::End,
    ];
    std::iter::once(start).chain(deltas).chain(end).collect()
}

/// A request that asks for everything that the answer has.
fn asked() -> Request {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let mut request = read_openai(&json!({
        "model": "chat", "messages": [{"role": "user", "content": "hi"}], "stream": true,
        "stream_options": {"include_usage": true}, "tools": [tool("weather"), tool("now")],
    }))
    .expect("a request");
    request.reasoning = Some(stead_dialects::chat::Reasoning {
        include: Some(true),
        ..Default::default()
    });
    request
}

#[test]
fn an_answer_is_written_in_every_dialect_and_reads_again() {
    for dialect in clients() {
        let wire = dialect.wire();
        let written = dialect.answer(&answer(), &view(asked()));
        let json: Value =
            serde_json::from_slice(&written).unwrap_or_else(|error| panic!("{}: {error}", wire.as_str()));
        assert!(json.is_object(), "{}", wire.as_str());
        if let Some(reader) = provider(wire).filter(|_| wire != Wire::OllamaGenerate) {
            let read = reader
                .answer(&written)
                .unwrap_or_else(|error| panic!("{}: {error}", wire.as_str()));
            assert_eq!(
                said_whole(&read),
                said_whole(&answer()),
                "{}: {json:#}",
                wire.as_str()
            );
        }
    }
}

#[test]
fn a_stream_is_written_in_every_dialect_and_reads_again() {
    for dialect in clients() {
        let wire = dialect.wire();
        let written = encode(dialect, view(asked()), &events());
        let text = std::str::from_utf8(&written).unwrap_or_else(|error| panic!("{}: {error}", wire.as_str()));
        check_frames(dialect.framing(), wire, text);
        if let Some(reader) = provider(wire).filter(|_| wire != Wire::OllamaGenerate) {
            let (read, closed) = decode(reader, &written, &[]);
            closed.unwrap_or_else(|error| panic!("{}: {error}\n{text}", wire.as_str()));
            assert_eq!(said(&read), said(&events()), "{}: {text}", wire.as_str());
        }
    }
}

fn check_frames(framing: Framing, wire: Wire, text: &str) {
    let is_json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    match framing {
        Framing::Events => {
            assert!(text.ends_with("\n\n"), "{}: {text}", wire.as_str());
            for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
                assert!(line == "[DONE]" || is_json(line), "{}: {line}", wire.as_str());
            }
        }
        Framing::Lines => {
            for line in text.lines() {
                assert!(is_json(line), "{}: {line}", wire.as_str());
            }
        }
        Framing::Array => assert!(is_json(text), "{}: {text}", wire.as_str()),
    }
}

#[test]
fn a_stream_that_fails_ends_in_an_error_of_the_dialect() {
    let error = ErrorBody {
        status: 503,
        kind: ErrorKind::Overloaded,
        message: "the provider is \"overloaded\"".to_owned(),
        code: None,
        param: None,
    };
    for dialect in clients() {
        let wire = dialect.wire();
        let mut events: Vec<Event> = events().into_iter().take(5).collect();
        events.push(Event::Error(error.clone()));
        let written = encode(dialect, view(asked()), &events);
        let text = std::str::from_utf8(&written).expect("UTF-8");
        check_frames(dialect.framing(), wire, text);
        assert!(
            text.contains(r#"the provider is \"overloaded\""#),
            "{}: {text}",
            wire.as_str()
        );
        let whole: Value = serde_json::from_slice(&dialect.error(&error)).expect("JSON");
        assert!(
            whole.to_string().contains(r#"the provider is \"overloaded\""#),
            "{}",
            wire.as_str()
        );
        if let Some(reader) = provider(wire).filter(|_| wire != Wire::OllamaGenerate) {
            let (read, _) = decode(reader, &written, &[]);
            let Some(Event::Error(read)) = read.last() else {
                panic!("{}: {read:?}", wire.as_str());
            };
            assert_eq!(read.message, error.message, "{}", wire.as_str());
        }
    }
}
