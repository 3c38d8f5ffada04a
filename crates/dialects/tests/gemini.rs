//! Gemini's dialect as its clients see it, and what its provider's side adds to the fixtures.
#![allow(clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_dialects::{
    Usage,
    chat::{
        Answer, Choice, ClientDialect, Content, Delta, ErrorBody, ErrorKind, Event, Extra, Framing, Head,
        Message, Part, ProviderDialect, Reasoning, Request, Role, Sent, Source, Stop, Target, Tool,
        ToolChoice, TranslateError, View, Wire,
    },
    client, gemini, provider,
};

fn dialect() -> &'static dyn ClientDialect {
    client(Wire::Gemini).expect("registered")
}

fn upstream() -> &'static dyn ProviderDialect {
    provider(Wire::Gemini).expect("registered")
}

fn read(body: &Value) -> Result<Request, TranslateError> {
    let head = Head {
        model: Some("gemini-2.5-flash"),
        stream: false,
    };
    dialect().request(body.to_string().as_bytes(), head)
}

fn send(request: &Request, model: &str, flavor: &str) -> Result<Sent, TranslateError> {
    let target = Target {
        model,
        default_max_tokens: 1024,
        flavor,
    };
    upstream().request(request, target)
}

fn sent_to(request: &Request, model: &str) -> (Value, Vec<String>) {
    let sent = send(request, model, "").expect("expressible");
    (serde_json::from_slice(&sent.body).expect("JSON"), sent.notes)
}

fn view() -> View {
    View {
        id: "0198c0de".to_owned(),
        model: "my-model".to_owned(),
        created: 1_767_323_045,
        request: Arc::new(Request::default()),
    }
}

/// Every documented field that has one spelling in the form.
fn whole_request() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                {"fileData": {"fileUri": "gs://bucket/a.pdf", "mimeType": "application/pdf"}},
                {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"startOffset": "1s"}}
            ]},
            {"role": "model", "parts": [
                {"text": "Hm.", "thought": true},
                {"text": "I look it up.", "thoughtSignature": "c2lnMQ=="},
                {"functionCall": {"name": "look", "args": {"q": "ü"}}, "thoughtSignature": "c2lnMg=="},
                {"functionCall": {"id": "given-1", "name": "look", "args": {"q": "b"}}}
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "look", "response": {"output": "a fish"}}},
                {"functionResponse": {"id": "given-1", "name": "look", "response": {"error": "none"}}}
            ]},
            {"role": "model", "parts": [{"text": "A fish."}, {"text": "", "thoughtSignature": "c2lnMw=="}]},
            {"role": "user", "parts": [{"text": "Sure?"}]}
        ],
        "tools": [
            {"functionDeclarations": [{
                "name": "look", "description": "Looks up.",
                "parametersJsonSchema": {"type": "object", "properties": {"q": {"type": "string"}}}
            }]},
            {"googleSearch": {}},
            {"codeExecution": {}}
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["look", "see"]},
            "retrievalConfig": {"languageCode": "de"}
        },
        "generationConfig": {
            "temperature": 0.5, "topP": 0.9, "presencePenalty": 0, "frequencyPenalty": -1,
            "topK": 40, "candidateCount": 2, "maxOutputTokens": 100, "seed": -7,
            "stopSequences": ["END"],
            "responseLogprobs": true, "logprobs": 3,
            "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 512},
            "responseModalities": ["TEXT", "IMAGE"],
            "speechConfig": {"languageCode": "de-DE"},
            "mediaResolution": "MEDIA_RESOLUTION_LOW"
        },
        "serviceTier": "priority",
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/x",
        "labels": {"team": "a"}
    })
}

#[test]
fn a_request_comes_out_as_it_went_in() {
    let body = whole_request();
    let (sent, notes) = sent_to(&read(&body).expect("well-formed"), "gemini-2.5-flash");
    assert_eq!(sent, body, "{sent:#}");
    assert_eq!(notes, Vec::<String>::new());
    for (mode, names) in [
        ("AUTO", json!([])),
        ("ANY", json!([])),
        ("NONE", json!([])),
        ("VALIDATED", json!([])),
        ("ANY", json!(["f"])),
        ("ANY", json!(["f", "g"])),
    ] {
        let mut config = json!({"mode": mode});
        if names != json!([]) {
            config["allowedFunctionNames"] = names;
        }
        let body = json!({
            "contents": [{"role": "user", "parts": [{"text": "x"}]}],
            "toolConfig": {"functionCallingConfig": config}
        });
        assert_eq!(
            sent_to(&read(&body).expect("well-formed"), "gemini-2.5-flash").0,
            body
        );
    }
}

/// The same in snake case, where keys are the API's and not the user's.
fn snake(value: &Value, is_users: bool) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(key, value)| {
                    let spelled: String = key
                        .chars()
                        .flat_map(|character| {
                            let line = (character.is_ascii_uppercase() && !is_users).then_some('_');
                            line.into_iter().chain([if is_users {
                                character
                            } else {
                                character.to_ascii_lowercase()
                            }])
                        })
                        .collect();
                    let users = [
                        "args",
                        "response",
                        "parametersJsonSchema",
                        "responseJsonSchema",
                        "labels",
                        "safetySettings",
                        "speechConfig",
                        "retrievalConfig",
                        "videoMetadata",
                    ];
                    (spelled, snake(value, is_users || users.contains(&key.as_str())))
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(|item| snake(item, is_users)).collect(),
        other => other.clone(),
    }
}

#[test]
fn snake_case_is_read_as_camel_case_is() {
    let body = whole_request();
    let spelled = snake(&body, false);
    assert!(spelled.get("system_instruction").is_some());
    assert_eq!(read(&spelled), read(&body));
}

#[test]
fn what_sdks_shorten_is_read_too() {
    let body = json!({
        "model": "models/gemini-3-flash",
        "contents": {"parts": {"text": "hi"}},
        "system_instruction": "Be brief.",
        "generationConfig": {"maxOutputTokens": "20", "topK": 40.0, "thinkingConfig": {"thinkingLevel": "low"}}
    });
    let request = dialect()
        .request(body.to_string().as_bytes(), Head::default())
        .expect("well-formed");
    assert_eq!(request.model, "gemini-3-flash");
    assert_eq!(request.messages[0], Message::text(Role::System, "Be brief."));
    assert_eq!(request.messages[1], Message::text(Role::User, "hi"));
    assert_eq!(
        (request.sampling.max_tokens, request.sampling.top_k),
        (Some(20), Some(40))
    );
    let url_safe =
        json!({"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "_-8"}}]}]});
    let Content::Image { source, .. } = &read(&url_safe).expect("well-formed").messages[0].parts[0].content
    else {
        panic!("an image");
    };
    assert_eq!(source.to_url().as_deref(), Some("data:image/png;base64,/+8="));
}

#[test]
fn chunks_that_an_sdk_keeps_as_contents_are_one_message() {
    let part = |part: Value| json!({"role": "model", "parts": [part]});
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "x"}]},
        part(json!({"text": "Let me ", "thought": true})),
        part(json!({"text": "think.", "thought": true})),
        // What another vendor signed, as this dialect shows it.
        part(json!({"text": "", "thought": true, "thoughtSignature": "YW50aHJvcGljOllRKy89PQ=="})),
        part(json!({"text": "It "})),
        part(json!({"text": "is."})),
        part(json!({"text": "", "thoughtSignature": "Yg=="})),
        {"role": "user", "parts": [{"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1}}]}
    ]});
    let request = read(&body).expect("well-formed");
    let reasoning = |text: &str, signature: &str| {
        Part::new(Content::Reasoning {
            text: text.to_owned(),
            signature: Some(signature.to_owned()),
        })
    };
    assert_eq!(
        request.messages[1],
        assistant(vec![
            reasoning("Let me think.", "anthropic:YQ+/=="),
            Part::text("It is."),
            reasoning("", "gemini:text.Yg=="),
        ])
    );
    let (sent, notes) = sent_to(&request, "gemini-2.5-pro");
    assert_eq!(
        sent["contents"][2]["parts"][0]["videoMetadata"],
        json!({"fps": 1})
    );
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn openapi_schemas_become_json_schema() {
    let schema = json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}});
    let wanted = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}});
    let body = json!({
        "contents": [{"parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}
    });
    let request = read(&body).expect("well-formed");
    assert_eq!(
        request
            .functions()
            .next()
            .and_then(|function| function.parameters.clone()),
        Some(wanted.clone())
    );
    let (sent, _) = sent_to(&request, "gemini-2.5-pro");
    assert_eq!(sent["generationConfig"]["responseJsonSchema"], wanted);
}

#[test]
fn malformed_requests_are_refused_by_field() {
    for (body, param) in [
        (json!([]), "body"),
        (json!({"contents": [5]}), "contents[0]"),
        (
            json!({"contents": [{"role": "system", "parts": []}]}),
            "contents[0].role",
        ),
        (json!({"contents": [{"parts": [{}]}]}), "contents[0].parts[0]"),
        (
            json!({"contents": [{"parts": [{"executableCode": {"code": "1"}}]}]}),
            "contents[0].parts[0].executableCode",
        ),
        (
            json!({"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]}),
            "contents[0].parts[0].functionCall.args",
        ),
        (
            json!({"contents": [{"parts": [{"functionCall": {"name": "f", "willContinue": true}}]}]}),
            "contents[0].parts[0].functionCall",
        ),
        (
            json!({"generationConfig": {"temperature": "warm"}}),
            "generationConfig.temperature",
        ),
        (
            json!({"generationConfig": {"logprobs": 3}}),
            "generationConfig.logprobs",
        ),
        (
            json!({"generationConfig": {"responseSchema": {}, "responseJsonSchema": {}}}),
            "generationConfig.responseSchema",
        ),
        (
            json!({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}),
            "toolConfig.functionCallingConfig.mode",
        ),
    ] {
        let error = read(&body).expect_err(param);
        assert_eq!(error.param, param, "{body}");
    }
}

#[test]
fn counting_reads_contents_alone_and_whole_requests() {
    let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    for body in [
        json!({"contents": contents}),
        json!({"generateContentRequest": {"model": "models/m", "contents": contents}}),
        json!({"generate_content_request": {"contents": contents}}),
    ] {
        let request = gemini::count_tokens_request(body.to_string().as_bytes(), "m").expect("well-formed");
        assert_eq!(request.messages, [Message::text(Role::User, "hi")], "{body}");
    }
    assert_eq!(gemini::count_tokens_answer(31), br#"{"totalTokens":31}"#);
}

fn call(id: &str, name: &str, signature: Option<&str>) -> Part {
    Part::new(Content::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: "{}".to_owned(),
        signature: signature.map(str::to_owned),
    })
}

fn result(id: &str, text: &str) -> Message {
    Message {
        role: Role::Tool,
        parts: vec![Part::new(Content::ToolResult {
            id: id.to_owned(),
            name: None,
            content: vec![Part::text(text)],
            is_error: false,
        })],
        name: None,
    }
}

fn assistant(parts: Vec<Part>) -> Message {
    Message {
        role: Role::Assistant,
        parts,
        name: None,
    }
}

#[test]
fn results_of_other_dialects_become_one_content_in_the_order_of_the_calls() {
    let request = Request {
        messages: vec![
            Message::text(Role::User, "x"),
            assistant(vec![
                call("call_0", "f", None),
                call("call_1", "f", None),
                call("toolu_2", "g", None),
            ]),
            result("toolu_2", "[1]"),
            result("call_1", "{\"a\": 1}"),
            result("call_0", "zero"),
        ],
        ..Request::default()
    };
    let (sent, notes) = sent_to(&request, "gemini-3-pro-preview");
    assert_eq!(
        sent["contents"][1]["parts"][0],
        json!({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"})
    );
    assert_eq!(sent["contents"][1]["parts"][1].get("thoughtSignature"), None);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(
        sent["contents"][2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"name": "f", "response": {"output": "zero"}}},
            {"functionResponse": {"name": "f", "response": {"a": 1}}},
            {"functionResponse": {"id": "toolu_2", "name": "g", "response": {"output": "[1]"}}}
        ]})
    );
    assert_eq!(
        sent_to(&request, "gemini-2.5-pro").1,
        Vec::<String>::new(),
        "only Gemini 3 checks"
    );
    let lost = Request {
        messages: vec![result("nowhere", "x")],
        ..Request::default()
    };
    assert_eq!(
        send(&lost, "gemini-2.5-pro", "").expect_err("no call").param,
        "messages[0].content[0]"
    );
}

#[test]
fn signatures_reach_their_own_vendor_only() {
    let thought = |text: &str, signature: &str| {
        Part::new(Content::Reasoning {
            text: text.to_owned(),
            signature: Some(signature.to_owned()),
        })
    };
    let request = Request {
        messages: vec![
            Message::text(Role::User, "x"),
            assistant(vec![
                thought("Hm.", "anthropic:YQ=="),
                Part::new(Content::RedactedReasoning {
                    data: "anthropic:Yg==".to_owned(),
                }),
                thought("", "gemini:Yw=="),
                call("a", "f", None),
            ]),
            result("a", "done"),
        ],
        ..Request::default()
    };
    let (sent, notes) = sent_to(&request, "gemini-3-pro-preview");
    assert_eq!(
        sent["contents"][1]["parts"],
        json!([
            {"text": "Hm.", "thought": true},
            {"functionCall": {"name": "f", "id": "a", "args": {}}, "thoughtSignature": "Yw=="}
        ]),
        "a signature that stands before a call is the call's"
    );
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn a_signature_beside_its_part_finds_back_to_it() {
    let alone = |text: &str, signature: &str| {
        Part::new(Content::Reasoning {
            text: text.to_owned(),
            signature: Some(signature.to_owned()),
        })
    };
    let sig = "thoughtSignature";
    for (parts, wanted) in [
        // As OpenAI's dialect sends them back: beside the reasoning.
        (
            vec![alone("Hm.", "gemini:text.YQ=="), Part::text("a")],
            json!([{"text": "Hm.", "thought": true}, {"text": "a", sig: "YQ=="}]),
        ),
        (
            vec![alone("Hm.", "gemini:YQ=="), Part::text("a")],
            json!([{"text": "Hm.", "thought": true, sig: "YQ=="}, {"text": "a"}]),
        ),
        (
            vec![
                alone("", "gemini:text.YQ=="),
                Part::text("a"),
                call("i", "f", None),
            ],
            json!([{"text": "a", sig: "YQ=="}, {"functionCall": {"name": "f", "id": "i", "args": {}}}]),
        ),
        // A call's, put in front of it.
        (
            vec![Part::text("a"), alone("", "gemini:YQ=="), call("i", "f", None)],
            json!([{"text": "a"}, {"functionCall": {"name": "f", "id": "i", "args": {}}, sig: "YQ=="}]),
        ),
        (
            vec![
                Part::text("a"),
                alone("", "gemini:YQ=="),
                call("i", "f", Some("gemini:Yg==")),
            ],
            json!([{"text": "a", sig: "YQ=="}, {"functionCall": {"name": "f", "id": "i", "args": {}}, sig: "Yg=="}]),
        ),
        (
            vec![Part::text("a"), alone("", "gemini:YQ=="), Part::text("b")],
            json!([{"text": "a", sig: "YQ=="}, {"text": "b"}]),
        ),
        (
            vec![alone("", "gemini:YQ=="), alone("", "gemini:Yg==")],
            json!([{"text": "", sig: "YQ=="}, {"text": "", sig: "Yg=="}]),
        ),
    ] {
        let request = Request {
            messages: vec![Message::text(Role::User, "x"), assistant(parts.clone())],
            ..Request::default()
        };
        let (sent, _) = sent_to(&request, "gemini-2.5-pro");
        assert_eq!(sent["contents"][1]["parts"], wanted, "{parts:#?}");
    }
}

#[test]
fn what_gemini_cannot_do_is_refused_or_noted() {
    let base = || Request {
        messages: vec![Message::text(Role::User, "x")],
        ..Request::default()
    };
    let mut native = base();
    native.tools.push(Tool::Native {
        wire: Wire::Anthropic,
        definition: json!({"type": "web_search_20250305"}),
    });
    assert_eq!(
        send(&native, "gemini-3-pro", "").expect_err("foreign").param,
        "tools[0]"
    );
    let mut file = base();
    file.messages[0].parts.push(Part::new(Content::Image {
        source: Source::File {
            id: "file-123".to_owned(),
        },
        detail: None,
    }));
    assert_eq!(
        send(&file, "gemini-3-pro", "").expect_err("foreign").param,
        "messages[0].content[1]"
    );
    let mut sound = base();
    sound.extra.push(Extra {
        wire: Wire::OpenAi,
        name: "audio".to_owned(),
        value: json!({"voice": "alloy"}),
        essential: true,
    });
    assert_eq!(
        send(&sound, "gemini-3-pro", "").expect_err("essential").param,
        "audio"
    );
    let mut noted = base();
    noted.user = Some("u".to_owned());
    noted.sampling.min_p = Some(0.1);
    noted.sampling.logit_bias.insert("1".to_owned(), 2.0);
    noted.messages.push(Message::text(Role::Developer, "Be brief."));
    let (sent, notes) = sent_to(&noted, "gemini-3-pro");
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert_eq!(sent["systemInstruction"]["parts"][0]["text"], "Be brief.");
}

#[test]
fn thinking_is_asked_for_as_the_model_takes_it() {
    use stead_dialects::chat::Effort;
    for (model, effort, budget, wanted, notes) in [
        (
            "gemini-2.5-flash",
            Some(Effort::None),
            None,
            json!({"thinkingBudget": 0}),
            0,
        ),
        (
            "gemini-2.5-pro",
            Some(Effort::None),
            None,
            json!({"thinkingBudget": 128}),
            1,
        ),
        (
            "gemini-2.5-pro",
            Some(Effort::Medium),
            None,
            json!({"thinkingBudget": 8192}),
            0,
        ),
        (
            "gemini-3-pro-preview",
            Some(Effort::Low),
            None,
            json!({"thinkingLevel": "LOW"}),
            0,
        ),
        (
            "gemini-3-pro-preview",
            Some(Effort::Max),
            None,
            json!({"thinkingLevel": "HIGH"}),
            1,
        ),
        (
            "gemini-3-pro-preview",
            Some(Effort::Low),
            Some(9),
            json!({"thinkingBudget": 9}),
            1,
        ),
        ("gemini-2.0-flash", Some(Effort::Low), None, Value::Null, 1),
        ("gemini-2.0-flash", Some(Effort::None), None, Value::Null, 0),
    ] {
        let request = Request {
            messages: vec![Message::text(Role::User, "x")],
            reasoning: Some(Reasoning {
                effort,
                budget_tokens: budget,
                include: None,
            }),
            ..Request::default()
        };
        let (sent, noted) = sent_to(&request, model);
        let found = sent
            .pointer("/generationConfig/thinkingConfig")
            .cloned()
            .unwrap_or_default();
        assert_eq!(
            (found, noted.len()),
            (wanted, notes),
            "{model} {effort:?} {budget:?}"
        );
    }
}

#[test]
fn the_path_names_model_and_method() {
    let mut request = Request {
        messages: vec![Message::text(Role::User, "x")],
        tool_choice: Some(ToolChoice::Auto),
        ..Request::default()
    };
    for (model, flavor, path) in [
        ("gemini-2.5-flash", "gemini", "models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "", "models/gemini-2.5-flash"),
        ("tunedModels/mine", "", "tunedModels/mine"),
        ("a/b?c", "", "models/a%2Fb%3Fc"),
        ("gemini-3-pro", "vertex", "publishers/google/models/gemini-3-pro"),
        ("endpoints/12", "vertex", "endpoints/12"),
    ] {
        request.stream = false;
        let sent = send(&request, model, flavor).expect("expressible");
        assert_eq!(sent.path, format!("{path}:generateContent"));
        request.stream = true;
        let sent = send(&request, model, flavor).expect("expressible");
        assert_eq!(sent.path, format!("{path}:streamGenerateContent?alt=sse"));
    }
}

fn events() -> Vec<Event> {
    let delta = |delta| Event::Delta { choice: 0, delta };
    let begin = |index, id: &str, signature: Option<&str>| Delta::ToolCall {
        index,
        id: id.to_owned(),
        name: format!("f{index}"),
        signature: signature.map(str::to_owned),
    };
    let arguments = |index, text: &str| Delta::Arguments {
        index,
        text: text.to_owned(),
    };
    vec![
        Event::Start {
            id: "r1".to_owned(),
            model: "gemini-3-pro-001".to_owned(),
        },
        delta(Delta::Reasoning("Hm.".to_owned())),
        delta(Delta::Signature("anthropic:YQ==".to_owned())),
        delta(Delta::Redacted("anthropic:Yg==".to_owned())),
        delta(Delta::Text("Grüße".to_owned())),
        delta(Delta::Signature("gemini:text.Yw==".to_owned())),
        delta(begin(0, "a", Some("gemini:ZA=="))),
        delta(begin(1, "b", None)),
        delta(arguments(0, "{\"q\":")),
        delta(arguments(1, "{}")),
        delta(arguments(0, "\"ü\"}")),
        Event::Stop {
            choice: 0,
            stop: Stop::ToolCalls,
        },
        Event::Usage(Usage {
            input: 10,
            output: 7,
            cached_input: 4,
            reasoning: 2,
            ..Usage::default()
        }),
    ]
}

fn written(dialect: &dyn ClientDialect, events: &[Event]) -> String {
    let (mut stream, mut out) = (dialect.stream(view()), Vec::new());
    for event in events {
        stream.event(event, &mut out);
    }
    stream.end(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn a_stream_holds_calls_until_they_are_whole_and_ends_with_its_counts() {
    let text = written(dialect(), &events());
    let chunks: Vec<Value> = text
        .split("\n\n")
        .filter(|chunk| !chunk.is_empty())
        .map(|chunk| serde_json::from_str(chunk.strip_prefix("data: ").expect("data")).expect("JSON"))
        .collect();
    let parts: Vec<&Value> = chunks
        .iter()
        .flat_map(|chunk| {
            chunk["candidates"][0]["content"]["parts"]
                .as_array()
                .expect("parts")
        })
        .collect();
    assert_eq!(parts[0], &json!({"text": "Hm.", "thought": true}));
    assert_eq!(parts[3], &json!({"text": "Grüße"}));
    assert_eq!(parts[4], &json!({"text": "", "thoughtSignature": "Yw=="}));
    assert_eq!(
        parts[5],
        &json!({"functionCall": {"name": "f0", "id": "a", "args": {"q": "ü"}}, "thoughtSignature": "ZA=="})
    );
    let last = chunks.last().expect("chunks");
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(
        last["usageMetadata"],
        json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 17,
               "cachedContentTokenCount": 4, "thoughtsTokenCount": 2})
    );
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["responseId"] == "r1" && chunk["modelVersion"] == "my-model")
    );
    let array: Value =
        serde_json::from_str(&written(gemini::client_of_arrays(), &events())).expect("an array");
    assert_eq!(array, Value::from(chunks));
    assert_eq!(gemini::client_of_arrays().framing(), Framing::Array);
}

#[test]
fn a_written_stream_is_read_as_what_it_was_and_comes_back_as_it_was() {
    let text = written(dialect(), &events());
    let (mut decoder, mut read_events) = (upstream().stream(), Vec::new());
    decoder
        .push(text.as_bytes(), &mut read_events)
        .expect("well-formed");
    decoder.close(&mut read_events).expect("complete");
    let said = |events: &[Event]| -> Vec<String> {
        let mut said: Vec<String> = Vec::new();
        for event in events {
            let Event::Delta { delta, .. } = event else {
                continue;
            };
            match delta {
                Delta::Arguments { .. } => {}
                other => said.push(format!("{other:?}")),
            }
        }
        said
    };
    assert_eq!(said(&read_events), said(&events()));
    // What the client sends back is what the vendors gave.
    let mut parts = Vec::new();
    for chunk in text.split("\n\n").filter(|chunk| !chunk.is_empty()) {
        let chunk: Value = serde_json::from_str(&chunk[6..]).expect("JSON");
        parts.extend(
            chunk["candidates"][0]["content"]["parts"]
                .as_array()
                .expect("parts")
                .clone(),
        );
    }
    let request = read(&json!({"contents": [{"role": "model", "parts": parts}]})).expect("well-formed");
    let signatures: Vec<&str> = request.messages[0]
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Reasoning { signature, .. } | Content::ToolCall { signature, .. } => {
                signature.as_deref()
            }
            Content::RedactedReasoning { data } => Some(data),
            _ => None,
        })
        .collect();
    assert_eq!(
        signatures,
        [
            "anthropic:YQ==",
            "anthropic:Yg==",
            "gemini:text.Yw==",
            "gemini:ZA=="
        ]
    );
}

#[test]
fn a_stream_that_fails_ends_with_an_error_of_the_dialect() {
    let error = ErrorBody {
        status: 503,
        kind: ErrorKind::Overloaded,
        message: "busy".to_owned(),
        code: None,
        param: None,
    };
    let text = |dialect: &dyn ClientDialect, events: &[Event]| {
        let (mut stream, mut out) = (dialect.stream(view()), Vec::new());
        for event in events {
            stream.event(event, &mut out);
        }
        stream.fail(&error, &mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    // Google's SDK looks for exactly this beginning.
    assert!(text(dialect(), &[]).starts_with("data: {\"error\":{\"code\":503,"));
    let array: Value =
        serde_json::from_str(&text(gemini::client_of_arrays(), &events()[..5])).expect("an array");
    assert_eq!(
        array.as_array().and_then(|array| array.last()),
        Some(&json!({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}))
    );
    let alone: Value = serde_json::from_str(&text(gemini::client_of_arrays(), &[])).expect("an array");
    assert_eq!(alone.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_whole_answer_is_written_as_it_was_read() {
    let body = json!({
        "candidates": [
            {
                "content": {"parts": [
                    {"text": "Hm.", "thought": true},
                    {"text": "Fünf.", "thoughtSignature": "Yw=="},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "thoughtSignature": "ZA=="}
                ], "role": "model"},
                "index": 0,
                "finishReason": "STOP",
                "groundingMetadata": {
                    "groundingChunks": [{"web": {"uri": "https://a.example", "title": "a"}}],
                    "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 6, "text": "Fünf."}, "groundingChunkIndices": [0]}]
                },
                "logprobsResult": {
                    "topCandidates": [{"candidates": [{"token": "F", "logProbability": -0.25}]}],
                    "chosenCandidates": [{"token": "F", "logProbability": -0.25}]
                }
            },
            {"content": {"parts": [{"functionCall": {"name": "f", "id": "x", "args": {"a": 1}}}], "role": "model"}, "index": 1, "finishReason": "MAX_TOKENS"}
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 9, "thoughtsTokenCount": 2},
        "modelVersion": "my-model",
        "responseId": "r"
    });
    let answer = upstream().answer(body.to_string().as_bytes()).expect("an answer");
    assert_eq!(
        answer.usage.map(|usage| usage.output),
        Some(6),
        "thoughts are output"
    );
    let written: Value = serde_json::from_slice(&dialect().answer(&answer, &view())).expect("JSON");
    assert_eq!(written, body, "{written:#}");
}

#[test]
fn reasons_to_stop_are_told_apart() {
    for (reason, stop) in [
        ("STOP", Some(Stop::End)),
        ("MAX_TOKENS", Some(Stop::Length)),
        ("SAFETY", Some(Stop::ContentFilter)),
        ("RECITATION", Some(Stop::ContentFilter)),
        ("MALFORMED_FUNCTION_CALL", Some(Stop::MalformedToolCall)),
        ("OTHER", Some(Stop::End)),
        ("NEVER_HEARD_OF", Some(Stop::End)),
        ("FINISH_REASON_UNSPECIFIED", None),
    ] {
        let body = json!({"candidates": [{"finishReason": reason}]});
        let answer = upstream().answer(body.to_string().as_bytes()).expect("an answer");
        assert_eq!(answer.choices[0].stop, stop, "{reason}");
    }
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}});
    let answer = upstream()
        .answer(blocked.to_string().as_bytes())
        .expect("an answer");
    assert_eq!(answer.choices[0].stop, Some(Stop::ContentFilter));
    let (mut decoder, mut events) = (upstream().stream(), Vec::new());
    decoder
        .push(format!("data: {blocked}\n\n").as_bytes(), &mut events)
        .expect("well-formed");
    decoder.close(&mut events).expect("complete");
    assert!(events.contains(&Event::Stop {
        choice: 0,
        stop: Stop::ContentFilter
    }));
    let call = json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}], "responseId": "Ab-1"});
    let answer = upstream().answer(call.to_string().as_bytes()).expect("an answer");
    assert_eq!(answer.choices[0].stop, Some(Stop::ToolCalls));
    let Content::ToolCall { id, arguments, .. } = &answer.choices[0].parts[0].content else {
        panic!("a call");
    };
    assert_eq!((id.as_str(), arguments.as_str()), ("call_Ab-1_0", "{}"));
}

#[test]
fn code_that_gemini_ran_is_shown_as_text() {
    let body = json!({"candidates": [{"content": {"parts": [
        {"executableCode": {"language": "PYTHON", "code": "print(1)\n"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"somethingNew": {}}
    ]}, "finishReason": "STOP"}]});
    let answer = upstream().answer(body.to_string().as_bytes()).expect("an answer");
    let text: String = answer.choices[0].parts.iter().filter_map(Part::as_text).collect();
    assert_eq!(text, "\n```python\nprint(1)\n```\n\n```\n1\n```\n");
}

#[test]
fn models_are_listed_as_google_lists_them() {
    let list = gemini::models(&[gemini::Listed {
        name: "chat",
        description: None,
        input_tokens: Some(8192),
        output_tokens: None,
        methods: &["generateContent", "countTokens"],
    }]);
    let list: Value = serde_json::from_slice(&list).expect("JSON");
    assert_eq!(
        list,
        json!({"models": [{
            "name": "models/chat", "baseModelId": "chat", "version": "", "displayName": "chat",
            "supportedGenerationMethods": ["generateContent", "countTokens"], "inputTokenLimit": 8192
        }]})
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "contents",
        "parts",
        "text",
        "functionCall",
        "functionResponse",
        "args",
        "name",
        "response",
        "error",
        "inlineData",
        "mimeType",
        "data",
        "thought",
        "thoughtSignature",
        "candidates",
        "content",
        "index",
        "finishReason",
        "groundingMetadata",
        "groundingChunks",
        "groundingSupports",
        "segment",
        "endIndex",
        "groundingChunkIndices",
        "usageMetadata",
        "promptTokenCount",
        "tools",
        "functionDeclarations",
        "parameters",
        "toolConfig",
        "generationConfig",
        "thinkingConfig",
        "systemInstruction",
        "code",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z=:é]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

fn swallow(bytes: &[u8]) {
    if let Ok(request) = dialect().request(
        bytes,
        Head {
            model: Some("m"),
            stream: false,
        },
    ) {
        let _ = send(&request, "gemini-3-pro", "");
    }
    if let Ok(answer) = upstream().answer(bytes) {
        let _ = dialect().answer(&answer, &view());
    }
    let _ = upstream().error(500, bytes);
    let _ = upstream().wait(bytes);
    let (mut decoder, mut events) = (upstream().stream(), Vec::new());
    let line = [b"data: ", bytes, b"\n\n"].concat();
    if decoder.push(&line, &mut events).is_ok() {
        let _ = decoder.close(&mut events);
    }
    let (mut encoder, mut out) = (dialect().stream(view()), Vec::new());
    for event in &events {
        encoder.event(event, &mut out);
    }
    encoder.end(&mut out);
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(value in any_json(), noise in prop::collection::vec(any::<u8>(), 0..64)) {
        swallow(value.to_string().as_bytes());
        swallow(json!({"contents": [value.clone()], "generationConfig": value.clone(), "tools": [value.clone()]}).to_string().as_bytes());
        swallow(json!({"candidates": [value.clone()], "promptFeedback": value}).to_string().as_bytes());
        swallow(&noise);
    }

    #[test]
    fn a_stream_may_be_split_anywhere(ends in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let text = written(dialect(), &events());
        let bytes = text.as_bytes();
        let mut ends: Vec<usize> = ends.iter().map(|end| end.index(bytes.len())).collect();
        ends.sort_unstable();
        let read = |ends: &[usize]| {
            let (mut decoder, mut events, mut from) = (upstream().stream(), Vec::new(), 0);
            for end in ends.iter().copied().chain([bytes.len()]) {
                decoder.push(&bytes[from..end], &mut events).expect("well-formed");
                from = end;
            }
            decoder.close(&mut events).expect("complete");
            events
        };
        prop_assert_eq!(read(&ends), read(&[]));
    }
}

#[test]
fn deep_bodies_are_refused_and_do_not_overflow() {
    let deep = "{\"contents\":[".repeat(100_000);
    swallow(deep.as_bytes());
    let nested = format!(
        "{{\"generationConfig\":{{\"responseSchema\":{}1{}}}}}",
        "{\"items\":".repeat(120),
        "}".repeat(120)
    );
    swallow(nested.as_bytes());
}

#[test]
fn an_empty_answer_is_still_an_answer() {
    let answer = Answer {
        choices: vec![Choice::default()],
        ..Answer::default()
    };
    let written: Value = serde_json::from_slice(&dialect().answer(&answer, &view())).expect("JSON");
    assert_eq!(written["responseId"], "0198c0de");
    assert_eq!(written["candidates"][0]["content"]["role"], "model");
}
