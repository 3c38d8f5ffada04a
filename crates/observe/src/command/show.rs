//! How times, durations, money and texts look to a person.

use std::fmt::Write as _;

use serde_json::Value;
use stead_kernel::{Timestamp, ports::NanoUsd};

/// `2026-11-21T12:00:03Z`, as `--since` takes it
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `412ms`, `3.2s`, `2m05s`
pub(super) fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..1_000_000 => format!("{}ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{}.{}s", micros / 1_000_000, micros / 100_000 % 10),
        _ => format!("{}m{:02}s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

/// The mean of a sum of durations; `-` of nothing.
pub(super) fn mean(sum: u64, count: u64) -> String {
    sum.checked_div(count).map_or_else(|| "-".to_owned(), duration)
}

/// `$12.34` from a dollar on, `$0.001234` below, `-` when it is not known.
pub(super) fn cost(cost: Option<NanoUsd>) -> String {
    let Some(NanoUsd(nanos)) = cost else {
        return "-".to_owned();
    };
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    if nanos == 0 {
        return "$0".to_owned();
    }
    if nanos >= 1_000_000_000 {
        let cents = (nanos + 5_000_000) / 10_000_000;
        return format!("{sign}${}.{:02}", cents / 100, cents % 100);
    }
    // Below a dollar, billionths as far as they are not zero.
    format!("{sign}$0.{}", format!("{nanos:09}").trim_end_matches('0'))
}

/// Text that a model or a client wrote, without what a terminal would act on.
pub(super) fn harmless(text: &str) -> String {
    let keep = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
    text.chars()
        .map(|letter| if keep(letter) { letter } else { '\u{fffd}' })
        .collect()
}

/// Several lines, moved to the right.
pub(super) fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| {
        if line.is_empty() {
            String::new()
        } else {
            format!("  {line}")
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What was said in a body of a model API: its messages, prompt or answer; else the body itself.
pub(super) fn conversation(body: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(body) else {
        return harmless(body);
    };
    harmless(&said(&value).unwrap_or_else(|| pretty(&value)))
}

fn said(body: &Value) -> Option<String> {
    if let Some(messages) = body["messages"].as_array() {
        let system = body
            .get("system")
            .map(|system| format!("system: {}", content(system)));
        let messages = messages.iter().map(message);
        return Some(system.into_iter().chain(messages).collect::<Vec<_>>().join("\n"));
    }
    if let Some(choices) = body["choices"].as_array() {
        let texts = choices.iter().map(|choice| match choice.get("message") {
            Some(said) => message(said),
            None => content(&choice["text"]),
        });
        return Some(texts.collect::<Vec<_>>().join("\n"));
    }
    if body["type"] == "message" && body["content"].is_array() {
        return Some(message(body));
    }
    let plain = body.get("prompt").or_else(|| body.get("input"))?;
    Some(content(plain))
}

/// `user: hello`, with tool calls after it.
fn message(message: &Value) -> String {
    let mut text = format!(
        "{}: {}",
        message["role"].as_str().unwrap_or("?"),
        content(&message["content"])
    );
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        let arguments = function["arguments"].as_str().unwrap_or_default();
        let _ = write!(
            text,
            "\n  calls {}({arguments})",
            function["name"].as_str().unwrap_or("?")
        );
    }
    text
}

/// A text, or a list of parts of which some are texts.
fn content(content: &Value) -> String {
    match content {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts = parts.iter().map(|part| match (part, part["text"].as_str()) {
                (_, Some(text)) => text.to_owned(),
                (Value::String(text), _) => text.clone(),
                (part, None) => part["type"]
                    .as_str()
                    .map_or_else(|| part.to_string(), |kind| format!("[{kind}]")),
            });
            parts.collect::<Vec<_>>().join("\n")
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => content.to_string(),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_where_it_matters() {
        for (micros, text) in [
            (7, "7µs"),
            (412_900, "412ms"),
            (3_250_000, "3.2s"),
            (125_000_000, "2m05s"),
        ] {
            assert_eq!(duration(micros), text);
        }
        assert_eq!((mean(0, 0), mean(9_000, 3)), ("-".into(), "3ms".into()));
        for (nanos, text) in [
            (0, "$0"),
            (1, "$0.000000001"),
            (12_300, "$0.0000123"),
            (500_000_000, "$0.5"),
            (1_234_567_890, "$1.23"),
            (1_999_999_999, "$2.00"),
            (-2_500_000_000, "-$2.50"),
        ] {
            assert_eq!(cost(Some(NanoUsd(nanos))), text);
        }
        assert_eq!(cost(None), "-");
    }

    #[test]
    fn bodies_of_every_dialect_read_as_a_conversation() {
        let cases = [
            (
                r#"{"messages":[{"role":"user","content":"hello"}]}"#,
                "user: hello",
            ),
            (
                r#"{"system":"be kind","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image"}]}]}"#,
                "system: be kind\nuser: a\n[image]",
            ),
            (
                r#"{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}"#,
                "assistant: \n  calls f({})",
            ),
            (r#"{"choices":[{"text":"Paris"}]}"#, "Paris"),
            (
                r#"{"type":"message","role":"assistant","content":[{"type":"text","text":"Paris"}]}"#,
                "assistant: Paris",
            ),
            (r#"{"prompt":["a","b"]}"#, "a\nb"),
            (r#"{"input":"embed me"}"#, "embed me"),
            ("plain \u{1b}[31mtext", "plain \u{fffd}[31mtext"),
            (r#"{"x":1}"#, "{\n  \"x\": 1\n}"),
            ("[1]", "[\n  1\n]"),
        ];
        for (body, expected) in cases {
            assert_eq!(conversation(body), expected);
        }
    }
}
