//! Every translator on bodies that nobody would send: an error, never a panic.
#![allow(clippy::too_many_lines, reason = "tables of words")]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_dialects::{
    chat::{Head, Request, Target},
    client, provider,
};
use support::{WIRES, decode, encode, view};

fn any_json() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &[
        "model",
        "messages",
        "role",
        "user",
        "assistant",
        "system",
        "tool",
        "content",
        "text",
        "type",
        "image_url",
        "url",
        "tools",
        "function",
        "name",
        "parameters",
        "tool_calls",
        "tool_call_id",
        "id",
        "arguments",
        "{}",
        "tool_choice",
        "allowed_tools",
        "response_format",
        "json_schema",
        "schema",
        "stop",
        "temperature",
        "stop_reason",
        "usage",
        "input_tokens",
        "tool_use",
        "thinking",
        "message_start",
        "message",
        "content_block_start",
        "content_block",
        "content_block_delta",
        "delta",
        "text_delta",
        "input_json_delta",
        "partial_json",
        "index",
        "message_delta",
        "message_stop",
        "error",
        "data:image/png;base64,AA",
        "file",
        "file_data",
        "refusal",
        "stop_details",
        "choices",
        "finish_reason",
        "reasoning_details",
        "candidates",
        "parts",
        "functionCall",
        "input",
        "function_call",
        "output_text",
        "response",
        "item",
        "source",
        "base64",
        "tool_result",
        "tool_use_id",
        "prompt",
        "done",
        "toolUse",
        "contentBlockDelta",
        "system",
        "input_schema",
        "custom",
    ];
    let word = prop_oneof![
        prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
        ".{0,5}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..7)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Reads a body in every client's dialect, writes what was read in every provider's, and streams in every client's.
fn everywhere(body: &Value, events: &[Value]) {
    let bytes = body.to_string().into_bytes();
    let framed = |before: &str, after: &str| -> String {
        let frames: Vec<String> = events
            .iter()
            .map(|event| format!("{before}{event}{after}"))
            .collect();
        frames.concat()
    };
    let (lines, documents) = (framed("data: ", "\n\n"), framed("", "\n"));
    for wire in WIRES {
        if let Some(dialect) = client(wire) {
            let head = Head {
                model: Some("m"),
                stream: false,
            };
            if let Ok(request) = dialect.request(&bytes, head) {
                write_everywhere(&request);
            }
        }
        if let Some(dialect) = provider(wire) {
            let answer = dialect.answer(&bytes);
            let _ = dialect.error(500, &bytes);
            let mut streams = vec![decode(dialect, lines.as_bytes(), &[]).0];
            streams.push(decode(dialect, documents.as_bytes(), &[]).0);
            for writer in WIRES.into_iter().filter_map(client) {
                if let Ok(answer) = &answer {
                    let _ = writer.answer(answer, &view(Request::default()));
                }
                for events in &streams {
                    let _ = encode(writer, view(Request::default()), events);
                }
            }
        }
    }
}

fn write_everywhere(request: &Request) {
    let target = Target {
        model: "m",
        default_max_tokens: 1,
        flavor: "",
    };
    for dialect in WIRES.into_iter().filter_map(provider) {
        if let Ok(sent) = dialect.request(request, target) {
            assert!(
                serde_json::from_slice::<Value>(&sent.body).is_ok(),
                "{:?}",
                dialect.wire()
            );
        }
    }
}

proptest! {
    #[test]
    fn no_json_makes_a_translator_panic(value in any_json(), events in prop::collection::vec(any_json(), 0..8)) {
        everywhere(&value, &events);
        everywhere(&json!({"model": "m", "messages": [value]}), &[]);
        everywhere(&json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": value}], "contents": [{"role": "user", "parts": [value]}], "input": value}), &[]);
        everywhere(&json!({"content": value, "choices": [{"message": value}], "candidates": [{"content": value}], "message": value, "output": [value]}), &[json!({"choices": [{"delta": value}]})]);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for dialect in WIRES.into_iter().filter_map(provider) {
            let _ = decode(dialect, &bytes, &[]);
            let _ = dialect.answer(&bytes);
            let _ = dialect.error(502, &bytes);
        }
    }
}
