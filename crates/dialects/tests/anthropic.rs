//! What OpenAI's clients get of Anthropic's models: the least that a change must not break.
#![allow(
    clippy::too_many_lines,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "tables of cases and helpers of tests"
)]

mod support;

use serde_json::{Value, json};
use stead_dialects::{
    Usage,
    chat::{Event, Head, ProviderDialect, Stop, StreamError, Target, TranslateError, Wire},
    client, provider,
};
use support::{chunks, decode, encode, openai, read_openai, view};

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).expect("fixtures are JSON")
}

fn anthropic() -> &'static dyn ProviderDialect {
    provider(Wire::Anthropic).expect("registered")
}

/// A request with a short conversation and these parameters.
fn with(parameters: Value) -> Value {
    let mut body = json!({"model": "claude-sonnet-4-0", "messages": [{"role": "user", "content": "hi"}]});
    if let (Value::Object(body), Value::Object(parameters)) = (&mut body, parameters) {
        body.extend(parameters);
    }
    body
}

fn try_translate(body: &Value) -> Result<(Value, Vec<String>), TranslateError> {
    let request = read_openai(body)?;
    let target = Target {
        model: &request.model,
        default_max_tokens: 4096,
        flavor: "",
    };
    let sent = anthropic().request(&request, target)?;
    Ok((serde_json::from_slice(&sent.body).expect("JSON"), sent.notes))
}

fn translate(body: &Value) -> (Value, Vec<String>) {
    try_translate(body).unwrap_or_else(|error| panic!("{error} in {body}"))
}

#[test]
fn a_whole_conversation_is_translated() {
    let (body, warnings) = translate(&fixture(include_str!("fixtures/conversation.openai.json")));
    assert_eq!(
        body,
        fixture(include_str!("fixtures/conversation.anthropic.json"))
    );
    assert_eq!(
        warnings,
        [
            "temperature 1.5 was lowered to 1, the highest of Anthropic's API",
            "stop texts of white space were left out: Anthropic's API does not take them"
        ]
    );
}

#[test]
fn the_least_request_gets_the_default_limit() {
    let (body, warnings) = translate(&with(json!({})));
    let turn = json!({"role": "user", "content": [{"type": "text", "text": "hi"}]});
    assert_eq!(
        body,
        json!({"model": "claude-sonnet-4-0", "max_tokens": 4096, "messages": [turn]})
    );
    assert_eq!(warnings, [] as [String; 0]);
}

#[test]
fn parameters_become_what_they_are_in_messages() {
    let tools = json!([{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "b"}}]);
    let choose = |choice: Value| json!({"tools": tools, "tool_choice": choice});
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    let cases = [
        (json!({"max_tokens": 5}), "/max_tokens", json!(5)),
        (
            json!({"max_tokens": 5, "max_completion_tokens": 6}),
            "/max_tokens",
            json!(6),
        ),
        (json!({"stop": "x"}), "/stop_sequences", json!(["x"])),
        (json!({"temperature": 0.2, "top_p": 0.9}), "/top_p", json!(0.9)),
        (json!({"top_k": 40}), "/top_k", json!(40)),
        (choose(json!("auto")), "/tool_choice", json!({"type": "auto"})),
        (choose(json!("none")), "/tool_choice", json!({"type": "none"})),
        (choose(json!("required")), "/tool_choice", json!({"type": "any"})),
        (
            choose(named("a")),
            "/tool_choice",
            json!({"type": "tool", "name": "a"}),
        ),
        (
            choose(
                json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("b")]}}),
            ),
            "/tools",
            json!([{"name": "b", "input_schema": {"type": "object"}}]),
        ),
        (
            json!({"tools": tools, "parallel_tool_calls": false}),
            "/tool_choice",
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (
            json!({"reasoning_effort": "high"}),
            "/output_config",
            json!({"effort": "high"}),
        ),
        (
            json!({"thinking": {"type": "adaptive"}}),
            "/thinking",
            json!({"type": "adaptive"}),
        ),
        (
            json!({"safety_identifier": "s", "user": "u"}),
            "/metadata/user_id",
            json!("s"),
        ),
        (
            json!({"service_tier": "default"}),
            "/service_tier",
            json!("standard_only"),
        ),
    ];
    for (parameters, pointer, wanted) in cases {
        let (body, warnings) = translate(&with(parameters.clone()));
        assert_eq!(body.pointer(pointer), Some(&wanted), "{parameters}");
        assert_eq!(warnings, [] as [String; 0], "{parameters}");
    }
}

#[test]
fn what_cannot_be_expressed_is_reported() {
    let cases = [
        (json!({"seed": 0}), "seed was left out"),
        (
            json!({"frequency_penalty": 0.5}),
            "frequency_penalty was left out",
        ),
        (json!({"logit_bias": {"1": 5}}), "logit_bias was left out"),
        (json!({"store": true}), "store was left out"),
        (json!({"made_up": 1}), "made_up was left out"),
        (
            json!({"response_format": {"type": "json_object"}}),
            "response_format json_object is not enforced",
        ),
        (
            json!({"reasoning_effort": "minimal"}),
            "reasoning_effort minimal became low",
        ),
        (json!({"service_tier": "flex"}), "service_tier flex was left out"),
        (
            json!({"model": "claude-opus-4-7", "temperature": 0}),
            "temperature was left out: claude-opus-4-7 does not take",
        ),
        (
            json!({"model": "claude-sonnet-4-5", "temperature": 0, "top_p": 0.9}),
            "top_p was left out: claude-sonnet-4-5 takes either",
        ),
        (
            json!({"messages": [{"role": "user", "name": "bob", "content": "hi"}]}),
            "messages[0].name was left out",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "x"}]}),
            "system messages inside the conversation were moved",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://e.org/x", "detail": "low"}}]}]}),
            "messages[0].content[0].image_url.detail low was left out",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}]}),
            "messages[1] was left out: it is empty",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a", "reasoning_content": "b"}]}),
            "messages[1].reasoning_content was left out",
        ),
    ];
    for (parameters, wanted) in cases {
        let (_, warnings) = translate(&with(parameters));
        assert!(
            warnings.len() == 1 && warnings.iter().all(|warning| warning.starts_with(wanted)),
            "{wanted}: {warnings:?}"
        );
    }
}

#[test]
fn what_would_change_the_answer_is_refused_by_field() {
    let message = |message: Value| json!({"messages": [message]});
    let part = |part: Value| message(json!({"role": "user", "content": [part]}));
    let call = |call: Value| message(json!({"role": "assistant", "tool_calls": [call]}));
    let cases = [
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"functions": [{"name": "a"}]}), "functions"),
        (json!({"model": 5}), "model"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": "5"}), "max_tokens"),
        (json!({"temperature": -1}), "temperature"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"stop": 5}), "stop"),
        (json!({"stop": ["a", 5]}), "stop"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"tools": {}}), "tools"),
        (
            json!({"tools": [{"type": "custom", "custom": {}}]}),
            "tools[0].type",
        ),
        (
            json!({"tools": [{"type": "function", "function": {}}]}),
            "tools[0].function.name",
        ),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tool_choice": {"type": "custom"}}), "tool_choice.type"),
        (
            json!({"response_format": {"type": "xml"}}),
            "response_format.type",
        ),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "response_format.json_schema",
        ),
        (json!({"reasoning_effort": "extreme"}), "reasoning_effort"),
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": []}), "messages"),
        (message(json!({"role": "system", "content": "only"})), "messages"),
        (
            message(json!({"role": "alien", "content": "x"})),
            "messages[0].role",
        ),
        (
            message(json!({"role": "user", "content": ""})),
            "messages[0].content",
        ),
        (message(json!({"role": "user"})), "messages[0].content"),
        (
            message(json!({"role": "tool", "content": "x"})),
            "messages[0].tool_call_id",
        ),
        (
            message(json!({"role": "function", "name": "f", "content": "x"})),
            "messages[0].role",
        ),
        (
            part(json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}})),
            "messages[0].content[0]",
        ),
        (part(json!({"type": "hologram"})), "messages[0].content[0].type"),
        (
            part(json!({"type": "image_url", "image_url": {"url": "ftp://x"}})),
            "messages[0].content[0].image_url.url",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AA"}})),
            "messages[0].content[0].image_url.url",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/png,AA"}})),
            "messages[0].content[0].image_url.url",
        ),
        (
            part(json!({"type": "file", "file": {"file_id": "f"}})),
            "messages[0].content[0].file.file_data",
        ),
        (
            call(json!({"id": "a", "function": {"name": "f", "arguments": "[1]"}})),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            call(json!({"id": "a", "type": "custom", "custom": {}})),
            "messages[0].tool_calls[0].function",
        ),
        (
            call(json!({"function": {"name": "f"}})),
            "messages[0].tool_calls[0].id",
        ),
    ];
    for (parameters, wanted) in cases {
        let error = try_translate(&with(parameters.clone())).expect_err(&parameters.to_string());
        assert_eq!(error.param, wanted, "{parameters}: {error}");
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
}

#[test]
fn turns_are_merged_and_tool_results_come_first() {
    let (body, _) = translate(&with(json!({"messages": [
        {"role": "user", "content": "a"}, {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": ""}}]},
        {"role": "user", "content": "early"}, {"role": "tool", "tool_call_id": "1", "content": ""},
        {"role": "assistant", "content": "prefill  \n"},
    ]})));
    let text = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [text("c"), {"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}, text("early")]},
            {"role": "assistant", "content": [text("prefill")]},
        ])
    );
}

#[test]
fn a_whole_answer_is_translated() {
    let answer = anthropic()
        .answer(include_bytes!("fixtures/answer.anthropic.json"))
        .expect("an answer");
    let mut request = read_openai(&with(json!({}))).expect("a request");
    request.model = "chat".to_owned();
    let written: Value = serde_json::from_slice(&openai().answer(&answer, &view(request))).expect("JSON");
    assert_eq!(written, fixture(include_str!("fixtures/answer.openai.json")));
}

#[test]
fn stop_reasons_become_finish_reasons() {
    let cases = [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ];
    let written = |body: Value| -> Value {
        let answer = anthropic()
            .answer(body.to_string().as_bytes())
            .expect("an answer");
        let request = read_openai(&with(json!({}))).expect("a request");
        serde_json::from_slice(&openai().answer(&answer, &view(request))).expect("JSON")
    };
    for (reason, wanted) in cases {
        let answer = written(json!({"content": [], "stop_reason": reason}));
        assert_eq!(answer.pointer("/choices/0/finish_reason"), Some(&json!(wanted)));
        assert_eq!(answer.pointer("/choices/0/message/content"), Some(&Value::Null));
    }
    let refusal = json!({"content": [], "stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "no"}});
    assert_eq!(
        written(refusal).pointer("/choices/0/message/refusal"),
        Some(&json!("no"))
    );
    assert!(anthropic().answer(br#"{"completion": "old"}"#).is_err());
}

/// The chunks that a client gets of a stream, and how it ended.
fn stream(bytes: &[u8]) -> (Vec<Value>, bool, Result<(), StreamError>) {
    let body = with(json!({"stream": true, "stream_options": {"include_usage": true}, "model": "chat"}));
    let (events, closed) = decode(anthropic(), bytes, &[]);
    let encoded = encode(openai(), view(read_openai(&body).expect("a request")), &events);
    let (chunks, is_done) = chunks(&encoded);
    (chunks, is_done, closed)
}

#[test]
fn a_whole_stream_is_translated() {
    let bytes = include_bytes!("fixtures/stream.sse");
    let (chunks, is_done, closed) = stream(bytes);
    assert_eq!(
        Value::from(chunks),
        fixture(include_str!("fixtures/stream.chunks.json"))
    );
    assert!(is_done && closed.is_ok());
    let (events, _) = decode(anthropic(), bytes, &[]);
    let usage = events.iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(*usage),
        _ => None,
    });
    assert_eq!(
        usage,
        Some(Usage {
            input: 35,
            output: 40,
            cached_input: 10,
            reasoning: 4,
            ..Usage::default()
        })
    );
    assert!(events.contains(&Event::Stop {
        choice: 0,
        stop: Stop::ToolCalls
    }));
}

#[test]
fn a_stream_that_is_cut_off_is_known_as_cut_wherever_it_is_cut() {
    let text = include_str!("fixtures/stream.sse");
    let frames: Vec<&str> = text.split_inclusive("\n\n").collect();
    for length in 0..frames.len() {
        let (_, is_done, closed) = stream(frames[..length].concat().as_bytes());
        let has_reason = length + 1 == frames.len();
        assert_eq!(
            is_done, has_reason,
            "after the stop reason only the usage is missing: {length}"
        );
        assert_eq!(closed.is_ok(), has_reason, "{length}");
    }
}

#[test]
fn an_error_in_the_stream_ends_it() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let (chunks, is_done, closed) =
        stream(format!("data: {error}\n\ndata: {{\"type\":\"message_stop\"}}\n\n").as_bytes());
    assert_eq!(
        chunks,
        [
            json!({"error": {"message": "Overloaded", "type": "overloaded_error", "param": null, "code": "overloaded"}})
        ]
    );
    assert!(!is_done && closed.is_ok());
    let (_, _, closed) = stream(b"event: message_start\ndata: <html>\n\n");
    assert_eq!(
        closed,
        Err(StreamError::Malformed(
            "the provider sent an event that is not JSON".to_owned()
        ))
    );
}

#[test]
fn a_tool_call_whose_input_came_at_once_is_not_lost() {
    let block = json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}});
    let start = json!({"type": "content_block_start", "index": 0, "content_block": block});
    let stop = json!({"type": "content_block_stop", "index": 0});
    let (chunks, _, _) = stream(format!("data: {start}\n\ndata: {stop}\n\n").as_bytes());
    let arguments = chunks
        .last()
        .expect("chunks")
        .pointer("/choices/0/delta/tool_calls/0/function/arguments");
    assert_eq!(arguments, Some(&json!("{\"a\":1}")));
}

#[test]
fn errors_keep_their_message_and_strange_bodies_are_not_repeated() {
    let written = |status: u16, body: &[u8]| -> Value {
        serde_json::from_slice(&openai().error(&anthropic().error(status, body))).expect("JSON")
    };
    let body = br#"{"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}, "request_id": "r"}"#;
    assert_eq!(
        written(429, body),
        json!({"error": {"message": "slow down", "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"}})
    );
    let message = |status, body: &[u8]| written(status, body).pointer("/error/message").cloned();
    assert_eq!(
        message(502, b"<html>secret</html>"),
        Some(json!("the provider answered with HTTP 502"))
    );
    assert_eq!(message(500, br#"{"error": "text"}"#), Some(json!("text")));
    assert_eq!(
        message(500, br#"{"error": {}}"#),
        Some(json!("the provider reported an error"))
    );
}

#[test]
fn a_request_to_count_tokens_needs_no_limit() {
    let body = br#"{"model": "chat", "messages": [{"role": "user", "content": "hi"}]}"#;
    let dialect = client(Wire::Anthropic).expect("registered");
    let request = dialect.request(body, Head::default()).expect("a request");
    assert_eq!(request.sampling.max_tokens, None);
    assert_eq!(
        stead_dialects::anthropic::token_count(5),
        br#"{"input_tokens":5}"#
    );
}

#[test]
fn a_foreign_signature_is_not_sent_to_a_vendor_that_would_refuse_it() {
    let details = |format: &str| json!([{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": format}]);
    let said = |format: &str| {
        translate(&with(json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "a", "reasoning_details": details(format)},
            {"role": "user", "content": "more"},
        ]})))
    };
    let (body, notes) = said("anthropic-claude-v1");
    assert_eq!(
        body["messages"][1]["content"][0],
        json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"})
    );
    assert_eq!(notes, [] as [String; 0]);
    let (body, notes) = said("google-gemini-v1");
    assert_eq!(
        body["messages"][1]["content"],
        json!([{"type": "text", "text": "a"}])
    );
    assert!(
        notes[0].starts_with("messages[1].reasoning_content was left out"),
        "{notes:?}"
    );
}
