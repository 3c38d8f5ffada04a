//! Reading bodies without building them.
#![allow(clippy::too_many_lines, clippy::indexing_slicing, reason = "tables of cases")]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stead_dialects::{
    Usage,
    scan::{Edits, RequestFields, chat_request, edit, first_content, replace_model, usage},
};

fn read(body: &str) -> RequestFields {
    chat_request(body.as_bytes()).expect(body)
}

#[test]
fn the_fields_that_matter_are_found() {
    let body = r#" {"messages": [{"model": "no", "content": "\"model\": \"no\""}], "mod\u0065l" : "gpt\/\u00e9",
        "stream": true, "max_tokens": 5, "max_completion_tokens": 7, "n": 2, "user": "u",
        "tools": [ {} ], "stream_options": {"include_usage": true}} "#;
    let fields = read(body);
    assert_eq!(fields.model, "gpt/é");
    assert_eq!(body.get(fields.model_span.clone()), Some(r#""gpt\/\u00e9""#));
    assert_eq!(
        RequestFields {
            model: String::new(),
            model_span: 0..0,
            stream_options_span: None,
            ..fields
        },
        RequestFields {
            stream: true,
            max_tokens: Some(7),
            longest_output: Some(7),
            include_usage: Some(true),
            choices: Some(2),
            user: Some("u".to_owned()),
            has_tools: true,
            ..RequestFields::default()
        }
    );
}

#[test]
fn absent_and_null_fields_are_the_same() {
    let plain = read(r#"{"model": "m"}"#);
    let nulls = read(
        r#"{"model": "m", "stream": null, "max_tokens": null, "n": null, "user": null, "tools": [ ], "stream_options": null}"#,
    );
    assert_eq!(
        RequestFields {
            stream_options_span: None,
            null_limits: Vec::new(),
            ..nulls
        },
        plain
    );
    assert!(!plain.stream && plain.max_tokens.is_none() && !plain.has_tools);
}

#[test]
fn the_last_of_two_keys_counts_but_two_models_are_refused() {
    assert!(!read(r#"{"model": "m", "stream": true, "stream": false}"#).stream);
    let error = chat_request(br#"{"model": "allowed", "model": "secret"}"#).expect_err("ambiguous");
    assert_eq!(error.to_string(), "the request names its model twice at byte 30");
}

#[test]
fn malformed_bodies_are_refused_with_the_place() {
    let cases: [(&[u8], &str); 27] = [
        (b"", "the body is not a JSON object at byte 0"),
        (b"[]", "the body is not a JSON object at byte 0"),
        (b"{}", "the request names no model at byte 0"),
        (b"{\"model\": 5}", "model must be a text at byte 10"),
        (b"{\"model\": \"\"}", "model must not be empty at byte 10"),
        (b"{\"model\": \"m\"", "the JSON ends too early at byte 13"),
        (b"{\"model\": \"m", "a text is not closed at byte 10"),
        (b"{\"model\": \"m\",}", "expected a text in quotes at byte 14"),
        (
            b"{\"model\": \"m\"} x",
            "something follows the JSON object at byte 15",
        ),
        (b"{\"model\" \"m\"}", "expected a colon after the key at byte 9"),
        (
            b"{\"model\": \"m\" \"n\": 1}",
            "expected a comma or the end of the object at byte 14",
        ),
        (
            b"{\"a\": [1 2]}",
            "expected a comma or the end of the list at byte 9",
        ),
        (b"{\"a\": [1,]}", "expected a JSON value at byte 9"),
        (b"{\"a\": tru}", "expected a JSON value at byte 6"),
        (b"{\"a\": 01}", "malformed number at byte 6"),
        (b"{\"a\": 1.}", "malformed number at byte 6"),
        (b"{\"a\": -}", "malformed number at byte 6"),
        (b"{\"a\": 1e}", "malformed number at byte 6"),
        (b"{\"a\": \"\\x\"}", "malformed escape at byte 7"),
        (b"{\"a\": \"\\u12g4\"}", "malformed escape at byte 7"),
        (b"{\"a\": \"\\ud800\"}", "half of a surrogate pair at byte 7"),
        (b"{\"a\": \"\\udc00\"}", "half of a surrogate pair at byte 7"),
        (
            b"{\"a\": \"01234567\n\"}",
            "control character in a text at byte 15",
        ),
        (b"{\"a\": \"\xff\"}", "the body is not UTF-8 at byte 7"),
        (
            b"{\"model\": \"m\", \"stream\": 1}",
            "stream must be true or false at byte 25",
        ),
        (
            b"{\"model\": \"m\", \"max_tokens\": -1}",
            "max_tokens must be a whole number that is not negative at byte 29",
        ),
        (
            b"{\"model\": \"m\", \"stream_options\": {\"include_usage\": 1}}",
            "stream_options must be an object, and its include_usage true or false at byte 33",
        ),
    ];
    for (body, wanted) in cases {
        let text = String::from_utf8_lossy(body);
        assert_eq!(
            chat_request(body).map_err(|error| error.to_string()),
            Err(wanted.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn nesting_is_allowed_as_deep_as_serde_json_allows_it() {
    for depth in [1, 125, 126, 127, 128, 5000] {
        let body = format!(
            r#"{{"model": "m", "a": {}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let parsed = serde_json::from_str::<Value>(&body).is_ok();
        assert_eq!(chat_request(body.as_bytes()).is_ok(), parsed, "{depth}");
    }
}

#[test]
fn edits_leave_everything_else_as_it_is() {
    let edits = |model, include_usage| Edits {
        model,
        include_usage,
        output_limit: None,
    };
    let cases = [
        (
            r#"{"model": "a", "x":  1.0}"#,
            edits(Some("b\"c"), false),
            r#"{"model": "b\"c", "x":  1.0}"#,
        ),
        (
            r#"{"model": "a"}"#,
            edits(None, true),
            r#"{"model": "a","stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_options": {"x": 1, "include_usage": false}, "model": "a"}"#,
            edits(Some("b"), true),
            r#"{"stream_options": {"x":1,"include_usage":true}, "model": "b"}"#,
        ),
        (
            r#"{"model": "a", "stream_options": null}"#,
            edits(Some("b"), true),
            r#"{"model": "b", "stream_options": {"include_usage":true}}"#,
        ),
        (
            r#"{"model": "a", "stream_options": {"include_usage": true}}"#,
            edits(Some("a"), true),
            r#"{"model": "a", "stream_options": {"include_usage": true}}"#,
        ),
    ];
    for (body, edits, wanted) in cases {
        let fields = read(body);
        let edited = edit(&Bytes::from_static(body.as_bytes()), &fields, &edits);
        assert_eq!(String::from_utf8_lossy(&edited), wanted);
    }
}

#[test]
fn a_span_of_another_body_changes_nothing() {
    let body = Bytes::from_static(br#"{"model": "m"}"#);
    for span in [100..120, 5..100, usize::MAX - 1..usize::MAX] {
        assert_eq!(replace_model(&body, span, "x"), body);
    }
}

#[test]
fn usage_is_read_from_answers_and_chunks() {
    let body = br#"{"id": "1", "choices": [{"usage": 1}], "usage": {"prompt_tokens": 10, "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 3}}}"#;
    assert_eq!(
        usage(body),
        Some(Usage {
            input: 10,
            output: 5,
            cached_input: 4,
            reasoning: 3,
            ..Usage::default()
        })
    );
    assert_eq!(
        usage(br#"{"usage": {"prompt_tokens": 3}}"#),
        Some(Usage {
            input: 3,
            ..Usage::default()
        })
    );
    for none in [
        &br#"{"usage": null}"#[..],
        b"{}",
        br#"{"usage": {}}"#,
        br#"{"usage": 5}"#,
        b"nonsense",
        b"[DONE]",
    ] {
        assert_eq!(usage(none), None);
    }
}

#[test]
fn the_first_content_is_told_from_the_chunks_around_it() {
    let delta = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
    for filled in [
        delta(json!({"content": "a"})),
        delta(json!({"role": "assistant", "content": "", "reasoning_content": "b"})),
        delta(json!({"reasoning": "b"})),
        delta(json!({"refusal": "no"})),
        delta(json!({"tool_calls": [{"index": 0}]})),
        json!({"choices": [{"text": "a"}]}).to_string(),
    ] {
        assert!(first_content(&filled), "{filled}");
    }
    for empty in [
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": null, "tool_calls": []})),
        json!({"choices": [], "usage": {"prompt_tokens": 1}}).to_string(),
        "[DONE]".to_owned(),
        "5".to_owned(),
    ] {
        assert!(!first_content(&empty), "{empty}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just("model".to_owned()), ".{0,12}", "[ -~\u{0}-\u{1f}]{0,20}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..5)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn valid_bodies_are_read_as_serde_json_reads_them(
        model in ".{1,9}", stream in any::<bool>(), limit in any::<u32>(), extra in prop::collection::vec((".{0,6}", any_value()), 0..5), pretty in any::<bool>(),
    ) {
        const OWN: [&str; 8] = ["model", "stream", "max_tokens", "max_completion_tokens", "n", "user", "tools", "stream_options"];
        let mut body: Map<String, Value> = extra.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str())).collect();
        body.insert("stream".to_owned(), json!(stream));
        body.insert("model".to_owned(), json!(model));
        body.insert("max_tokens".to_owned(), json!(limit));
        let body = Value::Object(body);
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.expect("JSON");
        let fields = read(&text);
        prop_assert_eq!((&fields.model, fields.stream, fields.max_tokens), (&model, stream, Some(u64::from(limit))));
        // Reading what was printed, since serde_json does not read every float back exactly.
        let mut wanted: Value = serde_json::from_str(&text).expect("JSON");
        let edited = replace_model(&Bytes::from(text), fields.model_span, "other \"model\"");
        wanted["model"] = json!("other \"model\"");
        prop_assert_eq!(serde_json::from_slice::<Value>(&edited).expect("JSON"), wanted);
    }

    #[test]
    fn what_serde_json_refuses_is_refused(mut body in any_value().prop_map(|value| json!({"model": "m", "x": value}).to_string().into_bytes()), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let place = place.index(body.len());
        body[place] = byte;
        if chat_request(&body).is_ok() {
            // Not read as a value, which would refuse numbers that JSON allows but f64 cannot hold.
            let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(&body);
            prop_assert!(parsed.is_ok(), "{}", String::from_utf8_lossy(&body));
        } else if let Ok(Value::Object(parsed)) = serde_json::from_slice(&body) {
            // Refused for its fields, not for its form; `x` may have become `n`.
            let has_model = parsed.get("model").and_then(Value::as_str).is_some_and(|model| !model.is_empty());
            prop_assert!(!has_model || parsed.contains_key("n"));
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(body in prop::collection::vec(any::<u8>(), 0..100), text in ".{0,60}") {
        let _ = chat_request(&body);
        let _ = usage(&body);
        let _ = first_content(&text);
    }
}
