//! Providers that send anything: nothing panics, and nothing comes after an end.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use stead_dialects::{
    bedrock::event_stream::Message,
    chat::{Event, Wire},
    provider,
};

/// Names that the three dialects read, so that values of the wrong kind reach every reader.
const NAMES: [&str; 40] = [
    "delta",
    "content",
    "contentBlockIndex",
    "start",
    "toolUse",
    "toolUseId",
    "name",
    "input",
    "text",
    "image",
    "format",
    "source",
    "bytes",
    "reasoningContent",
    "signature",
    "redactedContent",
    "citation",
    "stopReason",
    "usage",
    "inputTokens",
    "outputTokens",
    "type",
    "message",
    "tool_calls",
    "function",
    "arguments",
    "id",
    "index",
    "tool_plan",
    "citations",
    "sources",
    "finish_reason",
    "choices",
    "thinking",
    "logprobs",
    "role",
    "output",
    "prompt_tokens",
    "billed_units",
    "error",
];

const WORDS: [&str; 18] = [
    "text",
    "thinking",
    "reference",
    "content-start",
    "content-delta",
    "tool-call-start",
    "tool-call-delta",
    "tool-call-end",
    "tool-plan-delta",
    "citation-start",
    "message-start",
    "message-end",
    "stop",
    "error",
    "ERROR",
    "tool_use",
    "end_turn",
    "AA==",
];

const EVENTS: [&str; 8] = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
    "validationException",
    "unknown",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(&WORDS[..]).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((select(&NAMES[..]), inner), 0..5).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<Value>()
            }),
        ]
    })
}

fn read(wire: Wire, bytes: &[u8], size: usize) {
    let mut decoder = provider(wire).expect("registered").stream();
    let mut events = Vec::new();
    for chunk in bytes.chunks(size.max(1)) {
        if decoder.push(chunk, &mut events).is_err() {
            return;
        }
    }
    let closed = decoder.close(&mut events);
    let is_last = |event: &Event| matches!(event, Event::End | Event::Error(_));
    let ends = events.iter().filter(|event| is_last(event)).count();
    assert!(
        ends <= 1 && (ends == 0 || is_last(&events[events.len() - 1])),
        "{events:?}"
    );
    assert_eq!(closed.is_ok(), ends == 1, "{events:?}");
    let starts = events
        .iter()
        .filter(|event| matches!(event, Event::Start { .. }))
        .count();
    assert!(
        starts <= 1 && (starts == 0 || matches!(events[0], Event::Start { .. })),
        "{events:?}"
    );
}

fn sse(events: &[Value]) -> Vec<u8> {
    events
        .iter()
        .flat_map(|event| format!("data: {event}\n\n").into_bytes())
        .collect()
}

proptest! {
    #[test]
    fn any_events_of_bedrock_are_read_or_refused(
        events in prop::collection::vec((select(&EVENTS[..]), value(), any::<bool>()), 0..8), size in 1_usize..200,
    ) {
        let bytes: Vec<u8> = events
            .iter()
            .flat_map(|(name, payload, fails)| {
                let payload = payload.to_string();
                let message = if *fails && size % 7 == 0 {
                    Message::exception(name, payload)
                } else {
                    Message::event(name, payload)
                };
                message.encode()
            })
            .collect();
        read(Wire::Bedrock, &bytes, size);
    }

    #[test]
    fn any_events_of_cohere_and_mistral_are_read_or_refused(
        events in prop::collection::vec(value(), 0..8), kinds in prop::collection::vec(select(&WORDS[..]), 8),
        size in 1_usize..200,
    ) {
        read(Wire::Mistral, &sse(&events), size);
        let typed: Vec<Value> = events
            .iter()
            .zip(kinds)
            .map(|(event, kind)| json!({"type": kind, "delta": event, "index": 0}))
            .collect();
        read(Wire::Cohere, &sse(&typed), size);
        let chunks: Vec<Value> = events
            .iter()
            .map(|event| json!({"choices": [{"index": 0, "delta": event, "finish_reason": event.get("finish_reason")}]}))
            .collect();
        read(Wire::Mistral, &sse(&chunks), size);
    }

    #[test]
    fn any_answer_and_any_error_is_read_or_refused(body in value(), status in 100_u16..600) {
        let wrapped = [
            body.clone(),
            json!({"output": {"message": {"content": body}}, "usage": body}),
            json!({"message": body, "usage": body, "logprobs": body}),
            json!({"choices": [{"message": body, "logprobs": body}], "usage": body}),
            json!({"detail": body, "message": body}),
        ];
        for wire in [Wire::Bedrock, Wire::Cohere, Wire::Mistral] {
            let dialect = provider(wire).expect("registered");
            for body in &wrapped {
                let body = body.to_string();
                let _ = dialect.answer(body.as_bytes());
                prop_assert!(!dialect.error(status, body.as_bytes()).message.is_empty());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..50) {
        for wire in [Wire::Bedrock, Wire::Cohere, Wire::Mistral] {
            read(wire, &bytes, size);
            let dialect = provider(wire).expect("registered");
            let _ = dialect.answer(&bytes);
            dialect.error(500, &bytes);
        }
    }
}
