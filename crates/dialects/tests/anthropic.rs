//! Between OpenAI's chat completions and Anthropic's Messages.
#![allow(
    clippy::too_many_lines,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "tables of cases and helpers of tests"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_dialects::{
    Usage,
    anthropic::{StreamToOpenai, error_to_openai, request_from_openai, response_to_openai},
    sse::{Decoder, Event},
};

const CREATED: i64 = 1_767_323_045;

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).expect("fixtures are JSON")
}

/// A request with a short conversation and these parameters.
fn with(parameters: Value) -> Value {
    let mut body = json!({"model": "claude-sonnet-4-0", "messages": [{"role": "user", "content": "hi"}]});
    if let (Value::Object(body), Value::Object(parameters)) = (&mut body, parameters) {
        body.extend(parameters);
    }
    body
}

fn translate(body: &Value) -> (Value, Vec<String>) {
    let translated = request_from_openai(body, 4096).unwrap_or_else(|error| panic!("{error} in {body}"));
    (translated.body, translated.warnings)
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
        (
            json!({"made_up": 1}),
            "made_up was left out: it is not a known parameter",
        ),
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
            part(json!({"type": "input_audio", "input_audio": {}})),
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
        let error = request_from_openai(&with(parameters.clone()), 1).expect_err(&parameters.to_string());
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
    let answer = response_to_openai(
        &fixture(include_str!("fixtures/answer.anthropic.json")),
        "chat",
        CREATED,
    );
    assert_eq!(answer, Ok(fixture(include_str!("fixtures/answer.openai.json"))));
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
    for (reason, wanted) in cases {
        let body = json!({"content": [], "stop_reason": reason});
        let answer = response_to_openai(&body, "m", 0).expect("an answer");
        assert_eq!(answer.pointer("/choices/0/finish_reason"), Some(&json!(wanted)));
        assert_eq!(answer.pointer("/choices/0/message/content"), Some(&Value::Null));
    }
    let refusal = json!({"content": [], "stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "no"}});
    let answer = response_to_openai(&refusal, "m", 0).expect("an answer");
    assert_eq!(answer.pointer("/choices/0/message/refusal"), Some(&json!("no")));
    assert!(response_to_openai(&json!({"completion": "old"}), "m", 0).is_err());
}

fn event(data: &Value) -> Event {
    Event {
        event: None,
        data: data.to_string(),
    }
}

#[test]
fn a_whole_stream_is_translated() {
    let events = Decoder::default()
        .push(include_bytes!("fixtures/stream.sse"))
        .expect("small");
    let mut stream = StreamToOpenai::new("chat", CREATED, true);
    let chunks: Vec<Value> = events.iter().flat_map(|event| stream.event(event)).collect();
    assert_eq!(
        Value::from(chunks),
        fixture(include_str!("fixtures/stream.chunks.json"))
    );
    assert!(stream.is_complete());
    assert_eq!(stream.finish(), [] as [Value; 0]);
    assert_eq!(
        stream.usage(),
        Usage {
            input: 35,
            output: 40,
            cached_input: 10,
            reasoning: 4,
            ..Usage::default()
        }
    );
    assert_eq!(stream.finish_reason(), Some("tool_calls"));
}

#[test]
fn a_stream_that_is_cut_off_ends_in_an_error_wherever_it_is_cut() {
    let events = Decoder::default()
        .push(include_bytes!("fixtures/stream.sse"))
        .expect("small");
    for length in 0..events.len() {
        let mut stream = StreamToOpenai::new("chat", CREATED, true);
        for event in events.iter().take(length) {
            stream.event(event);
        }
        let ending = stream.finish();
        assert_eq!(ending.len(), 1, "{length}");
        let has_reason = length + 1 == events.len();
        assert_eq!(
            ending[0].get("error").is_none(),
            has_reason,
            "after the stop reason only the usage is missing: {length}"
        );
        assert_eq!(stream.is_complete(), has_reason);
        assert_eq!(stream.finish(), [] as [Value; 0], "the end is told once");
    }
}

#[test]
fn an_error_in_the_stream_ends_it() {
    let mut stream = StreamToOpenai::new("chat", CREATED, false);
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    assert_eq!(
        stream.event(&event(&error)),
        [
            json!({"error": {"message": "Overloaded", "type": "overloaded_error", "param": null, "code": "overloaded"}})
        ]
    );
    assert_eq!(
        stream.event(&event(&json!({"type": "message_stop"}))),
        [] as [Value; 0]
    );
    assert_eq!(stream.finish(), [] as [Value; 0]);
    assert!(!stream.is_complete());
    let mut stream = StreamToOpenai::new("chat", CREATED, false);
    let garbage = Event {
        event: Some("message_start".to_owned()),
        data: "<html>".to_owned(),
    };
    let chunks = stream.event(&garbage);
    assert_eq!(
        chunks[0].pointer("/error/message"),
        Some(&json!("the provider sent an event that is not JSON"))
    );
}

#[test]
fn a_tool_call_whose_input_came_at_once_is_not_lost() {
    let mut stream = StreamToOpenai::new("chat", CREATED, false);
    let block = json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}});
    stream.event(&event(
        &json!({"type": "content_block_start", "index": 0, "content_block": block}),
    ));
    let chunks = stream.event(&event(&json!({"type": "content_block_stop", "index": 0})));
    let arguments = chunks[0].pointer("/choices/0/delta/tool_calls/0/function/arguments");
    assert_eq!(arguments, Some(&json!("{\"a\":1}")));
}

#[test]
fn errors_keep_their_message_and_strange_bodies_are_not_repeated() {
    let body = br#"{"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}, "request_id": "r"}"#;
    assert_eq!(
        error_to_openai(429, body),
        json!({"error": {"message": "slow down", "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"}})
    );
    let message = |status, body: &[u8]| error_to_openai(status, body).pointer("/error/message").cloned();
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

proptest! {
    #[test]
    fn no_json_makes_a_translator_panic(value in any_json(), message in any_json(), events in prop::collection::vec(any_json(), 0..8)) {
        let _ = request_from_openai(&value, 1);
        let _ = request_from_openai(&with(value.clone()), 1);
        let _ = request_from_openai(&with(json!({"messages": [message]})), 1);
        let _ = response_to_openai(&value, "m", 0);
        let _ = response_to_openai(&json!({"content": value}), "m", 0);
        let _ = error_to_openai(500, value.to_string().as_bytes());
        let mut stream = StreamToOpenai::new("m", 0, true);
        for data in &events {
            stream.event(&event(data));
        }
        stream.finish();
        let _ = stream.usage();
    }
}
