//! What a span's events tell: messages, errors, and the rest as it came. Pure.

use opentelemetry_proto::tonic::trace::v1::{Status, span::Event, status::StatusCode};
use serde_json::{Map, Value, json};

use crate::otlp::attributes::Attributes;

/// What a span's events tell.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    /// Messages that went in.
    pub(super) input: Vec<Value>,
    /// Messages that came out.
    pub(super) output: Vec<Value>,
    /// The last exception.
    exception: Option<Exception>,
    /// All other events, in the form in which Opik keeps them.
    pub(super) rest: Vec<Value>,
}

#[derive(Debug, PartialEq)]
struct Exception {
    name: String,
    message: String,
    stack: String,
}

/// Events that are messages, by the version 1.28 of the conventions
/// (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/>), and whose.
const MESSAGES: [(&str, &str); 4] = [
    ("gen_ai.system.message", "system"),
    ("gen_ai.user.message", "user"),
    ("gen_ai.assistant.message", "assistant"),
    ("gen_ai.tool.message", "tool"),
];
/// What was chosen as an answer, in the same version.
const CHOICE: &str = "gen_ai.choice";
/// Both sides at once, in the current version.
const DETAILS: &str = "gen_ai.client.inference.operation.details";
/// The whole prompt and the whole completion, in the version before events of their own.
const WHOLE: [(&str, &str); 2] = [
    ("gen_ai.content.prompt", "gen_ai.prompt"),
    ("gen_ai.content.completion", "gen_ai.completion"),
];

/// Reads the events of a span; what stands in them of both sides is added to the span's attributes.
pub(super) fn read(events: Vec<Event>, told: &mut Attributes) -> Told {
    let mut all = Told::default();
    for event in events {
        let (name, time) = (event.name, event.time_unix_nano);
        let mut attributes = Attributes::new(event.attributes);
        let role = MESSAGES.iter().find(|(own, _)| *own == name);
        let whole = WHOLE.iter().find(|(own, _)| *own == name);
        if let Some((_, role)) = role {
            all.input.push(message(attributes, role));
        } else if name == CHOICE {
            all.output.push(message(attributes, "assistant"));
        } else if name == DETAILS {
            for (name, value) in attributes.take_below("") {
                if !told.has(&name) {
                    told.put(name, value);
                }
            }
        } else if let Some((_, attribute)) = whole
            && !told.has(attribute)
            && let Some(value) = attributes.take(attribute)
        {
            told.put(*attribute, value);
        } else if name == "exception" {
            all.exception = Some(exception(&attributes));
            all.rest.push(kept(name, time, attributes));
        } else {
            all.rest.push(kept(name, time, attributes));
        }
    }
    all
}

/// A message whose fields are the event's attributes.
fn message(mut told: Attributes, role: &str) -> Value {
    // The provider is the span's.
    told.take("gen_ai.system");
    let mut fields = told.rest();
    // A choice has its message in it.
    if let Some(Value::Object(inner)) = fields.remove("message") {
        fields.extend(inner);
    }
    fields.entry("role").or_insert_with(|| Value::from(role));
    Value::Object(fields)
}

fn kept(name: String, time: u64, attributes: Attributes) -> Value {
    let mut event = Map::from_iter([
        ("name".to_owned(), Value::String(name)),
        ("time_unix_nano".to_owned(), time.into()),
    ]);
    let attributes = attributes.rest();
    if !attributes.is_empty() {
        event.insert("attributes".to_owned(), Value::Object(attributes));
    }
    Value::Object(event)
}

/// <https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/>
fn exception(told: &Attributes) -> Exception {
    let text = |name: &str| told.text(name).unwrap_or_default().to_owned();
    Exception {
        name: text("exception.type"),
        message: text("exception.message"),
        stack: text("exception.stacktrace"),
    }
}

impl Told {
    /// What went wrong, in Opik's form. An exception that was noted on a span which is said to have gone well was dealt
    /// with.
    pub(super) fn error(&mut self, status: Option<&Status>, told: &Attributes) -> Option<Value> {
        let code = status.map_or(StatusCode::Unset, Status::code);
        let failed = code == StatusCode::Error;
        let level = told.text("langfuse.observation.level");
        let is_error = failed || level.is_some_and(|level| level.eq_ignore_ascii_case("error"));
        let exception = self.exception.take().filter(|_| code != StatusCode::Ok);
        if !is_error && exception.is_none() {
            return None;
        }
        let said = status
            .map(|status| status.message.as_str())
            .filter(|message| !message.is_empty())
            .or_else(|| told.text("langfuse.observation.status_message"))
            .unwrap_or_default();
        let named = told.text("error.type").unwrap_or("Error");
        let exception = exception.unwrap_or_else(|| Exception {
            name: String::new(),
            message: String::new(),
            stack: String::new(),
        });
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        Some(json!({
            "exception_type": or(exception.name, named),
            "message": or(exception.message, said),
            "traceback": exception.stack,
        }))
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};

    use super::*;

    fn event(name: &str, attributes: &[(&str, &str)]) -> Event {
        let pair = |(key, text): &(&str, &str)| KeyValue {
            key: (*key).into(),
            value: Some(AnyValue {
                value: Some(Any::StringValue((*text).into())),
            }),
            key_strindex: 0,
        };
        Event {
            time_unix_nano: 5,
            name: name.into(),
            attributes: attributes.iter().map(pair).collect(),
            dropped_attributes_count: 0,
        }
    }

    fn status(code: StatusCode, message: &str) -> Status {
        Status {
            message: message.into(),
            code: code.into(),
        }
    }

    #[test]
    fn messages_in_events_are_those_of_the_span() {
        let mut attributes = Attributes::default();
        let told = read(
            vec![
                event(
                    "gen_ai.system.message",
                    &[("content", "be brief"), ("gen_ai.system", "openai")],
                ),
                event("gen_ai.user.message", &[("content", "hello")]),
                event(
                    "gen_ai.choice",
                    &[("index", "0"), ("message", "{\"content\": \"hi\"}")],
                ),
                event("gen_ai.content.prompt", &[("gen_ai.prompt", "[1]")]),
                event(
                    "gen_ai.client.inference.operation.details",
                    &[("gen_ai.output.messages", "[2]")],
                ),
                event("cache.miss", &[("key", "k")]),
            ],
            &mut attributes,
        );
        assert_eq!(
            json!([told.input, told.output, told.rest]),
            json!([
                [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
                [{"role": "assistant", "content": "hi", "index": "0"}],
                [{"name": "cache.miss", "time_unix_nano": 5, "attributes": {"key": "k"}}],
            ])
        );
        assert_eq!(
            Value::Object(attributes.rest()),
            json!({"gen_ai.prompt": [1], "gen_ai.output.messages": [2]})
        );
    }

    #[test]
    fn an_error_is_the_exception_or_what_the_status_says() {
        let thrown = || {
            let names = ["exception.type", "exception.message", "exception.stacktrace"];
            event(
                "exception",
                &[(names[0], "ValueError"), (names[1], "bad"), (names[2], "line 1")],
            )
        };
        let full = json!({"exception_type": "ValueError", "message": "bad", "traceback": "line 1"});
        let plain =
            |name: &str, message: &str| json!({"exception_type": name, "message": message, "traceback": ""});
        for (events, status, attributes, expected) in [
            (vec![], None, json!({}), None),
            (vec![thrown()], None, json!({}), Some(full.clone())),
            (
                vec![thrown()],
                Some(status(StatusCode::Error, "x")),
                json!({}),
                Some(full.clone()),
            ),
            (vec![thrown()], Some(status(StatusCode::Ok, "")), json!({}), None),
            (
                vec![],
                Some(status(StatusCode::Error, "timed out")),
                json!({"error.type": "timeout"}),
                Some(plain("timeout", "timed out")),
            ),
            (
                vec![],
                Some(status(StatusCode::Error, "")),
                json!({}),
                Some(plain("Error", "")),
            ),
            (vec![], Some(status(StatusCode::Unset, "")), json!({}), None),
            (
                vec![],
                None,
                json!({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "no"}),
                Some(plain("Error", "no")),
            ),
        ] {
            let mut attributes = Attributes::of(attributes);
            let error = read(events, &mut attributes).error(status.as_ref(), &attributes);
            assert_eq!(error, expected);
        }
    }
}
