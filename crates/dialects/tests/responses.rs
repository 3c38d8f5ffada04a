//! What clients of OpenAI's responses get, and what the gateway stores of it.
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "tables of cases and helpers of tests"
)]

mod support;

use serde_json::{Value, json};
use stead_dialects::{
    Usage,
    chat::{
        Answer, Choice, Citation, ClientDialect, Content, Delta, ErrorBody, ErrorKind, Event, Head, Part,
        Request, Role, Stop, Target, ToolChoice, Wire,
    },
    client,
    responses::{self, State},
};
use support::{encode, view};

fn dialect() -> &'static dyn ClientDialect {
    client(Wire::Responses).expect("registered")
}

fn read(body: &Value) -> Request {
    dialect()
        .request(body.to_string().as_bytes(), Head::default())
        .unwrap_or_else(|error| panic!("{error} in {body}"))
}

fn request() -> Request {
    read(&json!({"model": "chat", "input": "hi", "reasoning": {"effort": "low", "summary": "auto"}}))
}

/// The events of a stream: names and data.
fn events(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).expect("UTF-8");
    let frames = text.split_terminator("\n\n").map(|frame| {
        let (name, data) = frame.split_once('\n').expect("two lines");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    });
    frames.collect()
}

fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

#[test]
fn one_turn_of_the_model_becomes_one_message() {
    let request = read(&json!({"model": "chat", "instructions": "Be brief.", "input": [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "c2ln"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}", "extra_content": {"google": {"thought_signature": "dGhvdWdodA"}}},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
    ]}));
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
    let parts = &request.messages[2].parts;
    assert_eq!(parts.len(), 3);
    assert_eq!(
        parts[0].content,
        Content::Reasoning {
            text: "Hm.".to_owned(),
            signature: Some("openai:c2ln".to_owned())
        }
    );
    assert_eq!(
        parts[2].content,
        Content::ToolCall {
            id: "1".to_owned(),
            name: "f".to_owned(),
            arguments: "{}".to_owned(),
            signature: Some("gemini:dGhvdWdodA".to_owned())
        }
    );
}

#[test]
fn parameters_are_read_and_what_cannot_be_read_is_refused_by_field() {
    let allowed =
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]});
    let request = read(&json!({
        "model": "chat", "input": "hi", "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}], "tool_choice": allowed,
        "top_logprobs": 2, "include": ["message.output_text.logprobs"], "truncation": "auto", "background": false,
    }));
    assert_eq!(
        request.tool_choice,
        Some(ToolChoice::Allowed {
            names: vec!["f".to_owned()],
            required: true
        })
    );
    assert_eq!((request.tools.len(), request.logprobs), (2, Some(2)));
    let cases = [
        (json!({"input": 5}), "input"),
        (
            json!({"input": [{"role": "alien", "content": "x"}]}),
            "input[0].role",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "hologram"}]}]}),
            "input[0].content[0].type",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
            "input[0].content[0].image_url",
        ),
        (json!({"input": "x", "max_output_tokens": 0}), "max_output_tokens"),
        (json!({"input": "x", "tool_choice": {}}), "tool_choice.type"),
        (
            json!({"input": "x", "tool_choice": {"type": "allowed_tools", "tools": []}}),
            "tool_choice.tools",
        ),
        (
            json!({"input": "x", "text": {"format": {"type": "xml"}}}),
            "text.format.type",
        ),
        (
            json!({"input": "x", "reasoning": {"effort": "extreme"}}),
            "reasoning.effort",
        ),
    ];
    for (mut body, wanted) in cases {
        body["model"] = json!("chat");
        let error = dialect()
            .request(body.to_string().as_bytes(), Head::default())
            .expect_err(wanted);
        assert_eq!(error.param, wanted, "{error}");
    }
}

#[test]
fn what_the_gateway_did_not_resolve_is_refused_by_every_provider() {
    for name in ["previous_response_id", "conversation", "prompt", "background"] {
        let mut body = json!({"model": "chat", "input": "hi"});
        body[name] = if name == "background" {
            json!(true)
        } else {
            json!("id")
        };
        let request = read(&body);
        for wire in [Wire::OpenAi, Wire::Anthropic] {
            let target = stead_dialects::chat::Target {
                model: "m",
                default_max_tokens: 10,
                flavor: "",
            };
            let dialect = stead_dialects::provider(wire).expect("registered");
            let error = dialect.request(&request, target).expect_err(name);
            assert_eq!(error.param, name);
        }
    }
}

/// Steps of OpenAI's own tools, what a client answers to one, and a choice among them.
fn native() -> Request {
    read(&json!({
        "model": "chat", "tools": [{"type": "mcp", "server_label": "s", "server_url": "https://s.test"}],
        "tool_choice": {"type": "mcp", "server_label": "s"}, "max_tool_calls": 3,
        "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "mcp_approval_request", "id": "mcpr_1", "name": "f", "arguments": "{}", "server_label": "s"},
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": true},
        ],
    }))
}

#[test]
fn what_only_openais_api_knows_reaches_it_as_it_is() {
    let target = Target {
        model: "gpt",
        default_max_tokens: 10,
        flavor: "",
    };
    let request = native();
    assert!(responses::is_needed(&request));
    let provider = stead_dialects::provider(Wire::Responses).expect("registered");
    let sent = provider.request(&request, target).expect("sent");
    assert_eq!(sent.notes, Vec::<String>::new());
    let body: Value = serde_json::from_slice(&sent.body).expect("JSON");
    assert_eq!(
        body,
        json!({
            "model": "gpt", "store": false,
            "input": [
                {"type": "message", "role": "user", "content": "hi"},
                {"type": "web_search_call", "id": "ws_1", "status": "completed"},
                {"type": "mcp_approval_request", "id": "mcpr_1", "name": "f", "arguments": "{}", "server_label": "s"},
                {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": true},
            ],
            "tools": [{"type": "mcp", "server_label": "s", "server_url": "https://s.test"}],
            "tool_choice": {"type": "mcp", "server_label": "s"}, "max_tool_calls": 3,
            "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
        })
    );
}

#[test]
fn what_only_openais_api_knows_is_left_out_with_a_note_or_refused_elsewhere() {
    let target = Target {
        model: "m",
        default_max_tokens: 10,
        flavor: "",
    };
    let mut request = native();
    request.tools.clear();
    request.extra.clear();
    for provider in support::WIRES.into_iter().filter_map(stead_dialects::provider) {
        let wire = provider.wire();
        if wire == Wire::Responses {
            continue;
        }
        let mut notes = Vec::new();
        let told = request.without_foreign_steps(wire, &mut notes);
        assert_eq!(notes.len(), 1, "{}", wire.as_str());
        let error = provider.request(&told, target).expect_err(wire.as_str());
        assert_eq!(error.param, "messages[1].content[0]", "{error}");
        let mut simple = request.clone();
        simple.messages.truncate(2);
        simple.messages[1].parts.truncate(1);
        let told = simple.without_foreign_steps(wire, &mut notes);
        assert_eq!(told.messages.len(), 1);
        assert!(provider.request(&told, target).is_ok(), "{}", wire.as_str());
    }
    assert!(matches!(
        request.without_foreign_steps(Wire::Responses, &mut Vec::new()),
        std::borrow::Cow::Borrowed(_)
    ));
}

#[test]
fn a_client_of_chat_completions_cannot_be_asked_for_approvals() {
    let target = Target {
        model: "m",
        default_max_tokens: 10,
        flavor: "",
    };
    let provider = stead_dialects::provider(Wire::Responses).expect("registered");
    for (approval, expected) in [
        (json!("never"), None),
        (json!("always"), Some("tools[0].require_approval")),
    ] {
        let request = support::read_openai(&json!({
            "model": "chat", "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"type": "mcp", "server_label": "s", "server_url": "https://s.test", "require_approval": approval}],
        }))
        .expect("a request");
        assert!(responses::is_needed(&request));
        let sent = provider.request(&request, target);
        assert_eq!(sent.err().map(|error| error.param).as_deref(), expected);
    }
}

#[test]
fn every_request_that_needs_responses_has_a_sign() {
    for fixture in support::fixtures() {
        let text = fixture.json["request"].to_string();
        let has_sign = responses::SIGNS.iter().any(|sign| text.contains(sign));
        assert!(
            has_sign || !responses::is_needed(&fixture.request()),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn a_step_of_a_tool_is_an_item_of_its_own() {
    let step =
        json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}});
    let part = Part::new(Content::Native {
        wire: Wire::Responses,
        item: step.clone(),
    });
    let answer = Answer {
        choices: vec![Choice {
            parts: vec![part.clone(), Part::text("It rained.")],
            stop: Some(Stop::End),
            logprobs: Vec::new(),
        }],
        ..Answer::default()
    };
    let written: Value = serde_json::from_slice(&dialect().answer(&answer, &view(request()))).expect("JSON");
    assert_eq!(written["output"][0], step);
    let stream = encode(
        dialect(),
        view(request()),
        &[delta(Delta::Part(part)), Event::End],
    );
    let last = events(&stream).pop().expect("an end");
    assert_eq!(last["response"]["output"][0], step);
}

#[test]
fn a_whole_answer_is_a_response_object() {
    let answer = Answer {
        id: "a-1".to_owned(),
        choices: vec![Choice {
            parts: vec![
                Part::new(Content::Reasoning {
                    text: "Hm.".to_owned(),
                    signature: Some("anthropic:c2ln".to_owned()),
                }),
                Part::new(Content::RedactedReasoning {
                    data: "anthropic:b3Bh".to_owned(),
                }),
                Part::new(Content::Text {
                    text: "Yes.".to_owned(),
                    citations: vec![Citation {
                        url: Some("https://example.org".to_owned()),
                        title: Some("E".to_owned()),
                        start: Some(0),
                        end: Some(4),
                        quote: None,
                    }],
                }),
                Part::new(Content::ToolCall {
                    id: "call_1".to_owned(),
                    name: "f".to_owned(),
                    arguments: "{}".to_owned(),
                    signature: None,
                }),
            ],
            stop: Some(Stop::Length),
            logprobs: Vec::new(),
        }],
        usage: Some(Usage {
            input: 5,
            output: 7,
            cached_input: 2,
            reasoning: 3,
            ..Usage::default()
        }),
        ..Answer::default()
    };
    let written: Value = serde_json::from_slice(&dialect().answer(&answer, &view(request()))).expect("JSON");
    assert_eq!(written["id"], "resp_a-1");
    assert_eq!(written["status"], "incomplete");
    assert_eq!(
        written["incomplete_details"],
        json!({"reason": "max_output_tokens"})
    );
    assert_eq!(
        written["output"],
        json!([
            {"id": "rs_a-1_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "anthropic:c2ln"},
            {"id": "rs_a-1_1", "type": "reasoning", "summary": [], "encrypted_content": "redacted+anthropic:b3Bh"},
            {"id": "msg_a-1_2", "type": "message", "status": "incomplete", "role": "assistant", "content": [
                {"type": "output_text", "text": "Yes.", "annotations": [
                    {"type": "url_citation", "url": "https://example.org", "title": "E", "start_index": 0, "end_index": 4}], "logprobs": []}]},
            {"id": "fc_a-1_3", "type": "function_call", "status": "incomplete", "call_id": "call_1", "name": "f", "arguments": "{}"},
        ])
    );
    assert_eq!(
        written["usage"],
        json!({"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0}, "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 12})
    );
    assert_eq!(written["reasoning"], json!({"effort": "low", "summary": "auto"}));
    // The next turn takes the output as it is.
    let mut input = vec![json!({"role": "user", "content": "hi"})];
    input.extend(responses::output_items(&written));
    let next = read(&json!({"model": "chat", "input": input}));
    let contents: Vec<&Content> = next.messages[1].parts.iter().map(|part| &part.content).collect();
    let given: Vec<&Content> = answer.choices[0].parts.iter().map(|part| &part.content).collect();
    assert_eq!(contents, given);
}

#[test]
fn a_stream_tells_every_item_and_part_from_beginning_to_end() {
    let given = [
        Event::Start {
            id: "a-1".to_owned(),
            model: "m".to_owned(),
        },
        delta(Delta::Reasoning("Hm.".to_owned())),
        delta(Delta::Signature("openai:c2ln".to_owned())),
        delta(Delta::Text("Gr".to_owned())),
        delta(Delta::Text("üß".to_owned())),
        delta(Delta::ToolCall {
            index: 0,
            id: "call_1".to_owned(),
            name: "f".to_owned(),
            signature: None,
        }),
        delta(Delta::Arguments {
            index: 0,
            text: "{}".to_owned(),
        }),
        Event::Stop {
            choice: 0,
            stop: Stop::ToolCalls,
        },
        Event::Usage(Usage {
            input: 5,
            output: 7,
            ..Usage::default()
        }),
        Event::End,
    ];
    let stream = encode(dialect(), view(request()), &given);
    let written = events(&stream);
    let names: Vec<&str> = written
        .iter()
        .map(|event| {
            event["type"]
                .as_str()
                .expect("a type")
                .strip_prefix("response.")
                .expect("response.")
        })
        .collect();
    assert_eq!(
        names,
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    for (number, event) in written.iter().enumerate() {
        assert_eq!(event["sequence_number"], json!(number));
    }
    assert_eq!(written[12]["text"], "Grüß");
    assert_eq!(written[12]["item_id"], "msg_a-1_1");
    assert_eq!(written[17]["arguments"], "{}");
    let last = &written[19]["response"];
    assert_eq!(last["status"], "completed");
    assert_eq!(last["output"].as_array().map(Vec::len), Some(3));
    assert_eq!(last["output"][0]["encrypted_content"], "c2ln");
    assert_eq!(last["usage"]["total_tokens"], 12);
    assert_eq!(responses::final_response(&stream).as_ref(), Some(last));
}

#[test]
fn a_stream_that_fails_says_so_in_the_response() {
    let given = [
        delta(Delta::Text("a".to_owned())),
        Event::Error(ErrorBody {
            status: 429,
            kind: ErrorKind::RateLimit,
            message: "slow down".to_owned(),
            code: None,
            param: None,
        }),
    ];
    let written = events(&encode(dialect(), view(request()), &given));
    let last = written.last().expect("events");
    assert_eq!(last["type"], "response.failed");
    assert_eq!(
        last["response"]["error"],
        json!({"code": "rate_limit_exceeded", "message": "slow down"})
    );
}

#[test]
fn a_refusal_is_a_part_of_its_own() {
    let given = [
        delta(Delta::Refusal("No.".to_owned())),
        Event::Stop {
            choice: 0,
            stop: Stop::End,
        },
        Event::End,
    ];
    let written = events(&encode(dialect(), view(request()), &given));
    let names: Vec<&str> = written
        .iter()
        .map(|event| event["type"].as_str().expect("a type"))
        .collect();
    assert!(names.contains(&"response.refusal.delta") && names.contains(&"response.refusal.done"));
    let last = written.last().expect("events");
    assert_eq!(
        last["response"]["output"][0]["content"],
        json!([{"type": "refusal", "refusal": "No."}])
    );
}

#[test]
fn a_conversation_that_was_stored_comes_before_the_input() {
    let first = br#"{"model": "chat", "input": "hi", "instructions": "Be brief."}"#;
    let stored = responses::input_items(first, "resp_1").expect("items");
    assert_eq!(
        stored,
        [
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}], "id": "in_1_0"})
        ]
    );
    let output =
        json!({"output": [{"id": "msg_1_0", "type": "message", "role": "assistant", "content": []}]});
    let earlier: Vec<Value> = stored
        .into_iter()
        .chain(responses::output_items(&output))
        .collect();
    let next = br#"{"model": "chat", "previous_response_id": "resp_1", "input": [{"type": "item_reference", "id": "in_1_0"}, {"role": "user", "content": "more"}], "store": false}"#;
    assert_eq!(
        responses::state(next),
        Ok(State {
            previous: Some("resp_1".to_owned()),
            conversation: None,
            references: vec!["in_1_0".to_owned()],
            store: false
        })
    );
    let merged: Value =
        serde_json::from_slice(&responses::merge(next, &earlier, &[]).expect("merged")).expect("JSON");
    assert_eq!(merged["input"].as_array().map(Vec::len), Some(4));
    assert_eq!(merged["input"][2]["content"][0]["text"], "hi");
    assert!(
        !merged["input"].to_string().contains("\"id\""),
        "a provider that keeps nothing looks for none of our ids: {merged}"
    );
    let own = responses::own_input(next, &earlier).expect("own");
    let own: Value = serde_json::from_slice(&own).expect("JSON");
    assert_eq!(own["input"][0]["id"], "in_1_0", "what is kept stays as it is");
    assert_eq!(merged.get("previous_response_id"), None);
    let error = responses::merge(next, &[], &[]).expect_err("nothing to refer to");
    assert_eq!(error.param, "input[0].id");
    let both = br#"{"previous_response_id": "a", "conversation": {"id": "b"}}"#;
    assert!(responses::state(both).is_err());
    assert!(responses::state(br#"{"input": "x"}"#).expect("a state").store);
}
