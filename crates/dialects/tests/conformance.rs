//! Every provider's dialect against its fixtures, which follow the providers' API documentation.
//!
//! A fixture is `tests/fixtures/<dialect>/<case>.json`, or `<dialect>@<flavor>/…`:
//! - `source`: the address of the API document.
//! - `request`: what a client asks in OpenAI's dialect; `target`: `model`, `flavor`, `default_max_tokens`.
//! - `sent`: the `path`, the `body`, and `headers` if any, that the provider gets; `notes`: what it could not be told.
//! - `response` with `answer`: the provider's answer and what OpenAI's clients get of it (without `id`, `object`,
//!   `created`, `model`, and without members that are null).
//! - or `stream` (a text, or a list of lines; `stream_base64` for binary framings) with `chunks`, written as `answer`.
//!   With `cut: true` it breaks off; with `error` it ends in that error.
//! - or `status`, `response` and `error`: `status` and members of OpenAI's `error` object.
//! - `next`, after an answer or a stream: `messages` that a client sends after it got the answer, and what is then
//!   `sent`; it shows that signatures come back.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stead_dialects::{
    chat::{Event, StreamError},
    provider,
};
use support::{Fixture, WIRES, chunks, decode, encode, fixtures, normal, openai, read_openai, view};

/// Without these no provider counts.
const REQUIRED: [&str; 8] = [
    "text",
    "tools",
    "tools-stream",
    "images",
    "structured",
    "usage",
    "error",
    "cut-stream",
];

#[test]
fn every_provider_has_a_fixture_of_every_case() {
    let fixtures = fixtures();
    for wire in WIRES.into_iter().filter(|wire| provider(*wire).is_some()) {
        assert_eq!(
            provider(wire).map(stead_dialects::chat::ProviderDialect::wire),
            Some(wire)
        );
        let cases: BTreeSet<&str> = fixtures
            .iter()
            .filter(|fixture| fixture.name.starts_with(&format!("{}/", wire.as_str())))
            .map(|fixture| fixture.case.as_str())
            .collect();
        let missing: Vec<&&str> = REQUIRED.iter().filter(|case| !cases.contains(**case)).collect();
        assert!(missing.is_empty(), "{} lacks {missing:?}", wire.as_str());
    }
}

#[test]
fn every_fixture_cites_its_source_and_says_what_comes_of_it() {
    for fixture in fixtures() {
        let name = &fixture.name;
        assert!(
            fixture
                .text("/source")
                .is_some_and(|source| source.starts_with("https://")),
            "{name}: source"
        );
        check_sent(&fixture, &fixture.json["request"], &fixture.json["sent"]);
        if let Some(status) = fixture.json["status"].as_u64() {
            check_error(&fixture, u16::try_from(status).expect("a status"));
        } else if fixture.stream().is_some() {
            check_stream(&fixture);
        } else {
            check_answer(&fixture);
        }
    }
}

fn check_sent(fixture: &Fixture, request: &Value, wanted: &Value) {
    let name = &fixture.name;
    let request = read_openai(request).unwrap_or_else(|error| panic!("{name}: {error}"));
    let sent = fixture
        .provider()
        .request(&request, fixture.target())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let body: Value = serde_json::from_slice(&sent.body).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(body, wanted["body"], "{name}: {body:#}");
    assert_eq!(Some(sent.path.as_str()), wanted["path"].as_str(), "{name}");
    let headers: Value = sent
        .headers
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    assert_eq!(
        headers,
        wanted.get("headers").cloned().unwrap_or_else(|| json!({})),
        "{name}"
    );
    let notes = fixture.json.get("notes").cloned().unwrap_or_else(|| json!([]));
    assert_eq!(json!(sent.notes), notes, "{name}");
}

fn check_answer(fixture: &Fixture) {
    let name = &fixture.name;
    let body = fixture
        .response()
        .unwrap_or_else(|| panic!("{name}: has neither response nor stream"));
    let answer = fixture
        .provider()
        .answer(&body)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let written = openai().answer(&answer, &view(fixture.request()));
    let written: Value = serde_json::from_slice(&written).expect("JSON");
    let message = written["choices"][0]["message"].clone();
    let written = normal(written);
    assert_eq!(written, fixture.json["answer"], "{name}: {written:#}");
    check_next(fixture, message);
}

fn check_next(fixture: &Fixture, message: Value) {
    let Some(next) = fixture.json.get("next") else {
        return;
    };
    let mut request = fixture.json["request"].clone();
    let messages = request["messages"].as_array_mut().expect("messages");
    messages.push(message);
    messages.extend(
        next["messages"]
            .as_array()
            .expect("next.messages")
            .iter()
            .cloned(),
    );
    check_sent(fixture, &request, &next["sent"]);
}

fn check_stream(fixture: &Fixture) {
    let name = &fixture.name;
    let bytes = fixture.stream().expect("a stream");
    let (mut events, closed) = decode(fixture.provider(), &bytes, &[]);
    if fixture.json["cut"] == true {
        assert_eq!(closed, Err(StreamError::Cut), "{name}: {events:?}");
        return;
    }
    closed.unwrap_or_else(|error| panic!("{name}: {error}"));
    if let Some(wanted) = fixture.json.get("error") {
        let Some(Event::Error(error)) = events.pop() else {
            panic!("{name}: no error in {events:?}");
        };
        compare_error(name, &error, wanted);
    } else {
        assert_eq!(events.last(), Some(&Event::End), "{name}");
    }
    let encoded = encode(openai(), view(fixture.request()), &events);
    let (written, is_done) = chunks(&encoded);
    assert_eq!(is_done, fixture.json.get("error").is_none(), "{name}");
    let message = message_of(&written);
    let written: Value = written.into_iter().map(normal).collect();
    assert_eq!(written, fixture.json["chunks"], "{name}: {written:#}");
    check_next(fixture, message);
}

/// The message that a client collects from chunks, as the SDKs do.
fn message_of(chunks: &[Value]) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    for delta in chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta"))
    {
        for (key, value) in delta.as_object().expect("a delta") {
            match (key.as_str(), value) {
                ("role", _) => {}
                ("tool_calls", Value::Array(calls)) => {
                    for call in calls {
                        collect_call(&mut message, call);
                    }
                }
                (key, Value::Array(items)) => {
                    let known = message
                        .as_object_mut()
                        .expect("an object")
                        .entry(key)
                        .or_insert_with(|| json!([]));
                    known
                        .as_array_mut()
                        .expect("a list")
                        .extend(items.iter().cloned());
                }
                (key, Value::String(text)) => {
                    let known = message[key].as_str().unwrap_or_default().to_owned() + text;
                    message[key] = known.into();
                }
                _ => {}
            }
        }
    }
    message
}

fn collect_call(message: &mut Value, call: &Value) {
    let index = usize::try_from(call["index"].as_u64().expect("an index")).expect("small");
    if message["tool_calls"].is_null() {
        message["tool_calls"] = json!([]);
    }
    let calls = message["tool_calls"].as_array_mut().expect("a list");
    if index == calls.len() {
        calls.push(call.clone());
        return;
    }
    let known = &mut calls[index]["function"]["arguments"];
    *known = (known.as_str().expect("a text").to_owned()
        + call
            .pointer("/function/arguments")
            .and_then(Value::as_str)
            .unwrap_or_default())
    .into();
}

fn check_error(fixture: &Fixture, status: u16) {
    let name = &fixture.name;
    let body = fixture.response().unwrap_or_else(|| panic!("{name}: response"));
    let error = fixture.provider().error(status, &body);
    compare_error(name, &error, &fixture.json["error"]);
}

fn compare_error(name: &str, error: &stead_dialects::chat::ErrorBody, wanted: &Value) {
    let written: Value = serde_json::from_slice(&openai().error(error)).expect("JSON");
    let mut written = written["error"].clone();
    written["status"] = error.status.into();
    for (key, value) in wanted.as_object().unwrap_or_else(|| panic!("{name}: error")) {
        assert_eq!(&written[key], value, "{name}: {key} of {written}");
    }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).expect("small")).expect("small")
    }
}

#[test]
fn ten_thousand_splits_of_streams_give_the_same_events() {
    let streams: Vec<Fixture> = fixtures()
        .into_iter()
        .filter(|fixture| fixture.stream().is_some())
        .collect();
    let rounds = 10_000 / streams.len().max(1) + 1;
    let mut numbers = Numbers(0x5eed);
    for fixture in streams {
        let bytes = fixture.stream().expect("a stream");
        let whole = decode(fixture.provider(), &bytes, &[]);
        let every_byte: Vec<usize> = (1..bytes.len()).collect();
        assert_eq!(
            decode(fixture.provider(), &bytes, &every_byte),
            whole,
            "{}: byte by byte",
            fixture.name
        );
        for _ in 0..rounds {
            let pieces = numbers.below(12);
            let mut ends: Vec<usize> = (0..pieces).map(|_| numbers.below(bytes.len() + 1)).collect();
            ends.sort_unstable();
            assert_eq!(
                decode(fixture.provider(), &bytes, &ends),
                whole,
                "{}: {ends:?}",
                fixture.name
            );
        }
    }
}

/// What is said, without how much it took: after the last word, only counts may be missing.
fn without_counts(events: &[Event]) -> Vec<&Event> {
    events
        .iter()
        .filter(|event| !matches!(event, Event::Usage(_) | Event::End))
        .collect()
}

#[test]
fn no_stream_that_is_cut_seems_complete_wherever_it_is_cut() {
    for fixture in fixtures() {
        let Some(bytes) = fixture.stream() else {
            continue;
        };
        let (whole, _) = decode(fixture.provider(), &bytes, &[]);
        for end in 0..bytes.len() {
            let (events, closed) = decode(fixture.provider(), &bytes[..end], &[]);
            let is_complete = closed.is_ok() && events.last() == Some(&Event::End);
            assert!(
                !is_complete || without_counts(&events) == without_counts(&whole),
                "{} cut at {end} seems complete",
                fixture.name
            );
            if closed.is_ok() {
                assert!(
                    matches!(events.last(), Some(Event::End | Event::Error(_))),
                    "{} cut at {end} ends without an end",
                    fixture.name
                );
            }
        }
    }
}

#[test]
fn no_answer_that_is_cut_seems_complete_and_no_error_makes_a_reader_panic() {
    for fixture in fixtures() {
        let Some(body) = fixture.response() else {
            continue;
        };
        let step = body.len() / 2000 + 1;
        for end in (0..body.len()).step_by(step) {
            let part = &body[..end];
            if fixture.json["status"].is_null() {
                assert!(
                    fixture.provider().answer(part).is_err(),
                    "{} cut at {end}",
                    fixture.name
                );
            }
            let error = fixture.provider().error(502, part);
            assert!(!error.message.is_empty(), "{} cut at {end}", fixture.name);
        }
    }
}
