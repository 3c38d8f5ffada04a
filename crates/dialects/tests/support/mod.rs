//! What the tests of all dialects share: fixtures, and running a dialect over them.
#![allow(
    dead_code,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test uses a part of this"
)]

use std::{fs, path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use stead_dialects::{
    chat::{
        Answer, ClientDialect, Content, Delta, Event, Head, ProviderDialect, Request, Stop, StreamError,
        Target, View, Wire,
    },
    client, provider,
};

/// Every dialect.
pub(crate) const WIRES: [Wire; 9] = [
    Wire::OpenAi,
    Wire::Responses,
    Wire::Anthropic,
    Wire::Gemini,
    Wire::Ollama,
    Wire::OllamaGenerate,
    Wire::Bedrock,
    Wire::Cohere,
    Wire::Mistral,
];

/// One file of `tests/fixtures/<dialect>/`.
pub(crate) struct Fixture {
    /// `dialect/case`.
    pub(crate) name: String,
    pub(crate) case: String,
    pub(crate) wire: Wire,
    pub(crate) json: Value,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every fixture of every provider's dialect that is registered. A folder is called `<dialect>`, or
/// `<dialect>@<flavor>` for a provider that differs from the dialect's owner.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut found = Vec::new();
    for wire in WIRES.into_iter().filter(|wire| provider(*wire).is_some()) {
        for entry in fs::read_dir(folder()).expect("fixtures").flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            if name.split('@').next() == Some(wire.as_str()) && entry.path().is_dir() {
                found.extend(cases(wire, &name));
            }
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

fn cases(wire: Wire, name: &str) -> Vec<Fixture> {
    let files = fs::read_dir(folder().join(name)).expect("a folder").flatten();
    files
        .filter_map(|file| {
            let case = file
                .file_name()
                .into_string()
                .ok()?
                .strip_suffix(".json")?
                .to_owned();
            let text = fs::read_to_string(file.path()).expect("UTF-8");
            let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}/{case}: {error}"));
            Some(Fixture {
                name: format!("{name}/{case}"),
                case,
                wire,
                json,
            })
        })
        .collect()
}

impl Fixture {
    pub(crate) fn provider(&self) -> &'static dyn ProviderDialect {
        provider(self.wire).expect("registered")
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.as_str()
    }

    /// The request, in OpenAI's dialect.
    pub(crate) fn request(&self) -> Request {
        read_openai(&self.json["request"]).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            model: self.text("/target/model").expect("target.model"),
            default_max_tokens: self.json["target"]["default_max_tokens"].as_u64().unwrap_or(4096),
            flavor: self.text("/target/flavor").unwrap_or_default(),
        }
    }

    /// The provider's stream: `stream` is a text or a list of lines, `stream_base64` binary.
    pub(crate) fn stream(&self) -> Option<Vec<u8>> {
        if let Some(data) = self.text("/stream_base64") {
            return Some(base64(data));
        }
        match self.json.get("stream")? {
            Value::String(text) => Some(text.clone().into_bytes()),
            Value::Array(lines) => {
                let lines: Vec<&str> = lines.iter().map(|line| line.as_str().expect("a line")).collect();
                Some((lines.join("\n") + "\n").into_bytes())
            }
            _ => panic!("{}: stream must be a text or a list of lines", self.name),
        }
    }

    /// The provider's body; a text is taken as it is.
    pub(crate) fn response(&self) -> Option<Vec<u8>> {
        match self.json.get("response")? {
            Value::String(text) => Some(text.clone().into_bytes()),
            value => Some(value.to_string().into_bytes()),
        }
    }
}

/// RFC 4648, without a check: fixtures are right.
pub(crate) fn base64(data: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in data
        .bytes()
        .filter_map(|byte| DIGITS.iter().position(|known| *known == byte))
    {
        bits = (bits << 6) | u32::try_from(digit).expect("below 64");
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).expect("a byte"));
        }
    }
    out
}

pub(crate) fn openai() -> &'static dyn ClientDialect {
    client(Wire::OpenAi).expect("registered")
}

pub(crate) fn read_openai(body: &Value) -> Result<Request, stead_dialects::chat::TranslateError> {
    openai().request(body.to_string().as_bytes(), Head::default())
}

pub(crate) fn view(request: Request) -> View {
    View {
        id: "0198c0de-0000-7000-8000-000000000000".to_owned(),
        model: request.model.clone(),
        created: 1_767_323_045,
        request: Arc::new(request),
    }
}

/// All events of a stream, read in pieces that end at these places.
pub(crate) fn decode(
    dialect: &dyn ProviderDialect,
    bytes: &[u8],
    ends: &[usize],
) -> (Vec<Event>, Result<(), StreamError>) {
    let (mut decoder, mut events, mut from) = (dialect.stream(), Vec::new(), 0);
    for end in ends.iter().copied().chain([bytes.len()]) {
        if let Err(error) = decoder.push(&bytes[from..end], &mut events) {
            return (events, Err(error));
        }
        from = end;
    }
    let closed = decoder.close(&mut events);
    (events, closed)
}

/// What a client's encoder makes of events.
pub(crate) fn encode(dialect: &dyn ClientDialect, view: View, events: &[Event]) -> Vec<u8> {
    let (mut encoder, mut out) = (dialect.stream(view), Vec::new());
    for event in events {
        match event {
            Event::Error(error) => encoder.fail(error, &mut out),
            Event::End => encoder.end(&mut out),
            event => encoder.event(event, &mut out),
        }
    }
    out
}

/// The chunks of a stream in OpenAI's dialect, and whether `[DONE]` ends it.
pub(crate) fn chunks(stream: &[u8]) -> (Vec<Value>, bool) {
    let text = std::str::from_utf8(stream).expect("UTF-8");
    let mut data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    let is_done = data.last() == Some(&"[DONE]");
    if is_done {
        data.pop();
    }
    let chunks = data
        .iter()
        .map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{data}: {error}")));
    (chunks.collect(), is_done)
}

/// Leaves out what is the same in every answer.
pub(crate) fn normal(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        for key in ["id", "object", "created", "model"] {
            members.remove(key);
        }
    }
    for choice in value
        .get_mut("choices")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Value::Object(choice) = choice {
            choice.retain(|key, value| {
                !(value.is_null() && matches!(key.as_str(), "logprobs" | "finish_reason"))
            });
            if let Some(Value::Object(message)) = choice.get_mut("message") {
                message.retain(|key, value| !(value.is_null() && key == "refusal"));
            }
        }
    }
    value
}

/// The one answer that events amount to, without what a dialect may lack: for comparing what is said.
pub(crate) fn said(events: &[Event]) -> Value {
    let (mut text, mut thoughts, mut stop, mut usage) = (String::new(), String::new(), None, None);
    let mut calls: Vec<(String, String)> = Vec::new();
    for event in events {
        match event {
            Event::Delta { delta, .. } => match delta {
                Delta::Text(more) => text.push_str(more),
                Delta::Reasoning(more) => thoughts.push_str(more),
                Delta::ToolCall { name, .. } => calls.push((name.clone(), String::new())),
                Delta::Arguments { index, text } => {
                    calls[usize::try_from(*index).expect("small")].1.push_str(text);
                }
                _ => {}
            },
            Event::Stop { stop: why, .. } => stop = Some(why.clone()),
            Event::Usage(tokens) => usage = Some(*tokens),
            _ => {}
        }
    }
    saying(
        &text,
        &thoughts,
        &calls,
        stop.as_ref(),
        usage.map(|usage| (usage.input, usage.output)),
    )
}

/// The same of a whole answer.
pub(crate) fn said_whole(answer: &Answer) -> Value {
    let choice = &answer.choices[0];
    let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
    for part in &choice.parts {
        match &part.content {
            Content::Text { text: more, .. } => text.push_str(more),
            Content::Reasoning { text: more, .. } => thoughts.push_str(more),
            Content::ToolCall { name, arguments, .. } => calls.push((name.clone(), arguments.clone())),
            _ => {}
        }
    }
    let usage = answer.usage.map(|usage| (usage.input, usage.output));
    saying(&text, &thoughts, &calls, choice.stop.as_ref(), usage)
}

fn saying(
    text: &str,
    thoughts: &str,
    calls: &[(String, String)],
    stop: Option<&Stop>,
    usage: Option<(u64, u64)>,
) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|(name, arguments)| {
            let arguments: Value =
                serde_json::from_str(arguments).unwrap_or_else(|_| arguments.clone().into());
            json!([name, arguments])
        })
        .collect();
    let stop = stop.map(|stop| match stop {
        // Dialects without a reason for it say that the model is done.
        Stop::ToolCalls => "end".to_owned(),
        Stop::End if !calls.is_empty() => "end".to_owned(),
        stop => format!("{stop:?}").to_lowercase(),
    });
    json!({"text": text, "thoughts": thoughts, "calls": calls, "stop": stop, "usage": usage})
}
