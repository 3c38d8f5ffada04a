//! Ollama's dialect as its clients see it, and what its provider's side adds to the fixtures.
#![allow(clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_dialects::{
    Usage,
    chat::{
        ClientDialect, Content, Delta, Effort, ErrorBody, ErrorKind, Event, Framing, Head, Message, Part,
        ProviderDialect, Reasoning, Request, Role, Sent, Source, Stop, StreamError, Target, TokenLogprob,
        ToolChoice, TranslateError, View, Wire,
    },
    client, ollama, provider,
};

fn dialect(wire: Wire) -> &'static dyn ClientDialect {
    client(wire).expect("registered")
}

fn upstream() -> &'static dyn ProviderDialect {
    provider(Wire::Ollama).expect("registered")
}

fn read(wire: Wire, body: &Value) -> Result<Request, TranslateError> {
    dialect(wire).request(body.to_string().as_bytes(), Head::default())
}

fn send(request: &Request) -> Result<Sent, TranslateError> {
    let target = Target {
        model: "qwen3",
        default_max_tokens: 1024,
        flavor: "ollama",
    };
    upstream().request(request, target)
}

fn sent(request: &Request) -> (Value, Vec<String>) {
    let sent = send(request).expect("expressible");
    assert_eq!(sent.path, "chat");
    (serde_json::from_slice(&sent.body).expect("JSON"), sent.notes)
}

fn view(request: Request) -> View {
    View {
        id: "0198c0de".to_owned(),
        model: "my-model".to_owned(),
        created: 1_767_323_045,
        request: Arc::new(request),
    }
}

fn whole_request() -> Value {
    json!({
        "model": "qwen3",
        "stream": false,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is this?", "images": ["iVBORw0KGgo="]},
            {
                "role": "assistant", "content": "I look.", "thinking": "Hm.",
                "tool_calls": [
                    {"function": {"index": 0, "name": "look", "arguments": {"q": "ü"}}},
                    {"id": "call_x1", "function": {"index": 1, "name": "look", "arguments": {}}}
                ]
            },
            {"role": "tool", "content": "a fish", "tool_name": "look"},
            {"role": "tool", "content": "a bird", "tool_name": "look", "tool_call_id": "call_x1"}
        ],
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "Looks up.",
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}
        }}],
        "format": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "options": {
            "temperature": 0.5, "top_p": 0.9, "min_p": 0.05, "frequency_penalty": 1,
            "presence_penalty": 0, "repeat_penalty": 1.1, "top_k": 40, "num_predict": 100, "seed": 42,
            "stop": ["END"], "num_ctx": 8192, "mirostat": 1
        },
        "think": "high",
        "logprobs": true,
        "top_logprobs": 3,
        "keep_alive": "5m",
        "truncate": false
    })
}

#[test]
fn a_request_comes_out_as_it_went_in() {
    let body = whole_request();
    let request = read(Wire::Ollama, &body).expect("well-formed");
    let (out, notes) = sent(&request);
    assert_eq!(out, body, "{out:#}");
    assert_eq!(notes, Vec::<String>::new());
    for think in [json!(true), json!(false), json!("low"), json!("max")] {
        let body = json!({"model": "qwen3", "stream": true, "messages": [{"role": "user", "content": "x"}], "think": think});
        assert_eq!(sent(&read(Wire::Ollama, &body).expect("well-formed")).0, body);
    }
    let open = json!({"model": "qwen3", "stream": true, "messages": [{"role": "user", "content": "x"}], "options": {"num_predict": -1}, "format": "json"});
    assert_eq!(sent(&read(Wire::Ollama, &open).expect("well-formed")).0, open);
}

#[test]
fn streams_are_the_default() {
    let stream = |body: Value| read(Wire::Ollama, &body).expect("well-formed").stream;
    assert!(stream(json!({"model": "m", "messages": []})));
    assert!(stream(json!({"model": "m", "messages": [], "stream": null})));
    assert!(!stream(json!({"model": "m", "messages": [], "stream": false})));
    assert_eq!(dialect(Wire::Ollama).framing(), Framing::Lines);
}

#[test]
fn results_are_matched_by_name_and_order() {
    let request = read(Wire::Ollama, &whole_request()).expect("well-formed");
    let ids: Vec<&str> = request
        .messages
        .iter()
        .flat_map(|message| &message.parts)
        .filter_map(|part| match &part.content {
            Content::ToolCall { id, .. } | Content::ToolResult { id, .. } => Some(id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(ids, ["call_0", "call_x1", "call_0", "call_x1"]);
}

#[test]
fn a_prompt_is_a_conversation_of_one_message() {
    let body = json!({
        "model": "m", "prompt": "What is this?", "system": "Be brief.", "images": ["/9j/4AAQ"],
        "options": {"num_ctx": 4096}, "context": [], "raw": false, "suffix": "", "think": true
    });
    let request = read(Wire::OllamaGenerate, &body).expect("well-formed");
    assert_eq!(request.messages[0], Message::text(Role::System, "Be brief."));
    let Content::Image {
        source: Source::Base64 { media_type, .. },
        ..
    } = &request.messages[1].parts[0].content
    else {
        panic!("an image");
    };
    assert_eq!(media_type, "image/jpeg");
    assert_eq!(request.messages[1].parts[1], Part::text("What is this?"));
    let (out, notes) = sent(&request);
    assert_eq!(out["options"]["num_ctx"], 4096);
    assert_eq!(notes, Vec::<String>::new());
    for name in ["suffix", "template", "raw", "context"] {
        let mut body = json!({"model": "m", "prompt": "x"});
        body[name] = match name {
            "raw" => json!(true),
            "context" => json!([1, 2]),
            _ => json!("text"),
        };
        assert_eq!(read(Wire::OllamaGenerate, &body).expect_err(name).param, name);
    }
}

#[test]
fn malformed_requests_are_refused_by_field() {
    for (body, param) in [
        (json!({"messages": []}), "model"),
        (json!({"model": "m", "messages": [5]}), "messages[0]"),
        (
            json!({"model": "m", "messages": [{"role": "judge"}]}),
            "messages[0].role",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": []}]}),
            "messages[0].content",
        ),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (json!({"model": "m", "format": "xml"}), "format"),
        (json!({"model": "m", "think": "a lot"}), "think"),
        (json!({"model": "m", "options": {"top_k": -1}}), "options.top_k"),
        (
            json!({"model": "m", "tools": [{"type": "search"}]}),
            "tools[0].type",
        ),
    ] {
        assert_eq!(read(Wire::Ollama, &body).expect_err(param).param, param, "{body}");
    }
}

#[test]
fn what_ollama_cannot_do_is_refused_or_noted() {
    let base = || Request {
        messages: vec![Message::text(Role::User, "x")],
        ..read(
            Wire::Ollama,
            &json!({"model": "m", "messages": [], "tools": whole_request()["tools"]}),
        )
        .expect("well-formed")
    };
    for choice in [ToolChoice::Required, ToolChoice::Named("look".to_owned())] {
        let mut request = base();
        request.tool_choice = Some(choice);
        assert_eq!(send(&request).expect_err("refused").param, "tool_choice");
    }
    let mut none = base();
    none.tool_choice = Some(ToolChoice::None);
    let (out, notes) = sent(&none);
    assert_eq!((out.get("tools"), notes.len()), (None, 1));
    let mut many = base();
    many.sampling.choices = Some(2);
    assert_eq!(send(&many).expect_err("refused").param, "n");
    let url = Source::Url {
        url: "https://a.example/b.png".to_owned(),
        media_type: None,
    };
    for content in [
        Content::Image {
            source: url.clone(),
            detail: None,
        },
        Content::Video { source: url.clone() },
        Content::Document {
            source: url,
            name: None,
            context: None,
            cite: false,
        },
    ] {
        let mut request = base();
        request.messages[0].parts.push(Part::new(content));
        assert_eq!(
            send(&request).expect_err("refused").param,
            "messages[0].content[1]"
        );
    }
    let mut noted = base();
    noted.user = Some("u".to_owned());
    noted.service_tier = Some("flex".to_owned());
    noted.parallel_tool_calls = Some(false);
    noted.sampling.logit_bias.insert("1".to_owned(), 1.0);
    noted.reasoning = Some(Reasoning {
        effort: Some(Effort::Minimal),
        budget_tokens: Some(100),
        include: None,
    });
    let (out, notes) = sent(&noted);
    assert_eq!(out["think"], "low");
    assert_eq!(notes.len(), 6, "{notes:?}");
}

fn events() -> Vec<Event> {
    let delta = |delta| Event::Delta { choice: 0, delta };
    let begin = |index| Delta::ToolCall {
        index,
        id: format!("id{index}"),
        name: format!("f{index}"),
        signature: None,
    };
    let arguments = |index, text: &str| Delta::Arguments {
        index,
        text: text.to_owned(),
    };
    vec![
        Event::Start {
            id: "r1".to_owned(),
            model: "upstream".to_owned(),
        },
        delta(Delta::Reasoning("Hm.".to_owned())),
        delta(Delta::Signature("anthropic:YQ==".to_owned())),
        delta(Delta::Logprobs(vec![TokenLogprob {
            token: "Gr".to_owned(),
            logprob: -0.5,
            bytes: Some(vec![71, 114]),
            top: Vec::new(),
        }])),
        delta(Delta::Text("Grüße\n".to_owned())),
        delta(begin(0)),
        delta(begin(1)),
        delta(arguments(0, "{\"q\":")),
        delta(arguments(0, "1}")),
        Event::Stop {
            choice: 0,
            stop: Stop::ToolCalls,
        },
        Event::Usage(Usage {
            input: 10,
            output: 7,
            ..Usage::default()
        }),
    ]
}

fn written(wire: Wire) -> String {
    let (mut stream, mut out) = (dialect(wire).stream(view(Request::default())), Vec::new());
    for event in events() {
        stream.event(&event, &mut out);
    }
    stream.end(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn lines(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_chat_is_streamed_line_by_line() {
    let head = |message: Value| json!({"model": "my-model", "created_at": "2026-01-02T03:04:05Z", "message": message, "done": false});
    let mut text = head(json!({"role": "assistant", "content": "Grüße\n"}));
    text["logprobs"] = json!([{"token": "Gr", "logprob": -0.5, "bytes": [71, 114]}]);
    let mut last = head(json!({"role": "assistant", "content": ""}));
    for (key, value) in [
        ("done", json!(true)),
        ("done_reason", json!("stop")),
        ("prompt_eval_count", json!(10)),
        ("eval_count", json!(7)),
    ] {
        last[key] = value;
    }
    assert_eq!(
        lines(&written(Wire::Ollama)),
        [
            head(json!({"role": "assistant", "content": "", "thinking": "Hm."})),
            text,
            head(json!({"role": "assistant", "content": "", "tool_calls": [
                {"id": "id0", "function": {"index": 0, "name": "f0", "arguments": {"q": 1}}},
                {"id": "id1", "function": {"index": 1, "name": "f1", "arguments": {}}}
            ]})),
            last
        ]
    );
}

#[test]
fn a_prompts_answer_is_streamed_line_by_line() {
    let lines = lines(&written(Wire::OllamaGenerate));
    assert_eq!(lines[0]["thinking"], "Hm.");
    assert_eq!(lines[1]["response"], "Grüße\n");
    assert_eq!(lines[1].get("message"), None);
    assert_eq!(lines[2]["tool_calls"][0]["function"]["name"], "f0");
    assert_eq!(
        (&lines[3]["done"], &lines[3]["response"]),
        (&json!(true), &json!(""))
    );
}

#[test]
fn a_written_stream_is_read_as_what_it_was() {
    let (mut decoder, mut read) = (upstream().stream(), Vec::new());
    decoder
        .push(written(Wire::Ollama).as_bytes(), &mut read)
        .expect("well-formed");
    decoder.close(&mut read).expect("complete");
    let delta = |index, text: &str| Event::Delta {
        choice: 0,
        delta: Delta::Arguments {
            index,
            text: text.to_owned(),
        },
    };
    assert!(read.contains(&delta(0, "{\"q\":1}")) && read.contains(&delta(1, "{}")));
    assert_eq!(
        read[read.len() - 3..],
        [
            Event::Stop {
                choice: 0,
                stop: Stop::ToolCalls
            },
            Event::Usage(Usage {
                input: 10,
                output: 7,
                ..Usage::default()
            }),
            Event::End
        ]
    );
}

#[test]
fn a_stream_that_fails_ends_with_an_error_line() {
    let error = ErrorBody {
        status: 503,
        kind: ErrorKind::Overloaded,
        message: "busy".to_owned(),
        code: None,
        param: None,
    };
    let (mut stream, mut out) = (dialect(Wire::Ollama).stream(view(Request::default())), Vec::new());
    stream.fail(&error, &mut out);
    assert_eq!(out, b"{\"error\":\"busy\"}\n");
    assert_eq!(dialect(Wire::Ollama).error(&error), b"{\"error\":\"busy\"}");
    let (mut decoder, mut read) = (upstream().stream(), Vec::new());
    decoder.push(&out, &mut read).expect("well-formed");
    let Some(Event::Error(found)) = read.pop() else {
        panic!("an error");
    };
    assert_eq!((found.status, found.message.as_str()), (500, "busy"));
}

#[test]
fn lines_need_no_end_at_the_end_and_are_not_endless() {
    let text = written(Wire::Ollama);
    let (mut decoder, mut read) = (upstream().stream(), Vec::new());
    decoder
        .push(text.trim_end().as_bytes(), &mut read)
        .expect("well-formed");
    decoder.close(&mut read).expect("complete");
    assert_eq!(read.last(), Some(&Event::End));
    let (mut decoder, mut read) = (upstream().stream(), Vec::new());
    let cut = &text.as_bytes()[..text.len() - 2];
    decoder.push(cut, &mut read).expect("not over");
    assert_eq!(decoder.close(&mut read), Err(StreamError::Cut));
    let mut decoder = upstream().stream();
    let chunk = vec![b'x'; 1 << 20];
    let refused = (0..9).any(|_| decoder.push(&chunk, &mut Vec::new()).is_err());
    assert!(refused, "8 MiB are the limit");
}

#[test]
fn a_whole_answer_is_written_as_it_was_read() {
    let body = json!({
        "model": "my-model",
        "created_at": "2026-01-02T03:04:05Z",
        "message": {
            "role": "assistant", "content": "Five.", "thinking": "Hm.",
            "tool_calls": [{"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": [1]}}}]
        },
        "logprobs": [{"token": "F", "logprob": -0.25, "bytes": [70], "top_logprobs": [{"token": "F", "logprob": -0.25}]}],
        "done": true,
        "done_reason": "length",
        "prompt_eval_count": 5,
        "eval_count": 6
    });
    let answer = upstream().answer(body.to_string().as_bytes()).expect("an answer");
    let written = dialect(Wire::Ollama).answer(&answer, &view(Request::default()));
    let written: Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(written, body, "{written:#}");
    let prompt = dialect(Wire::OllamaGenerate).answer(&answer, &view(Request::default()));
    let prompt: Value = serde_json::from_slice(&prompt).expect("JSON");
    assert_eq!(
        (&prompt["response"], &prompt["thinking"]),
        (&json!("Five."), &json!("Hm."))
    );
    for body in ["{}", "[]", "{\"error\":\"no\"}", "<html>"] {
        assert!(upstream().answer(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn models_are_loaded_without_messages() {
    let load = |wire, body: Value| {
        let request = read(wire, &body).expect("well-formed");
        let answer = ollama::loaded(&view(request), wire)?;
        Some(serde_json::from_slice::<Value>(&answer).expect("JSON"))
    };
    let loaded = load(Wire::Ollama, json!({"model": "m"})).expect("loads");
    assert_eq!(
        (&loaded["done_reason"], &loaded["message"]["content"]),
        (&json!("load"), &json!(""))
    );
    for keep in [json!(0), json!("0s")] {
        let unloaded =
            load(Wire::OllamaGenerate, json!({"model": "m", "keep_alive": keep})).expect("unloads");
        assert_eq!(
            (&unloaded["done_reason"], &unloaded["response"]),
            (&json!("unload"), &json!(""))
        );
    }
    assert_eq!(
        load(Wire::OllamaGenerate, json!({"model": "m", "prompt": "x"})),
        None
    );
}

#[test]
fn models_are_listed_as_ollama_lists_them() {
    let model = ollama::Listed {
        name: "llama3:8b",
        modified: 1_767_323_045,
        size: 5,
        digest: "ab",
        format: "gguf",
        family: "llama",
        parameters: "8.0B",
        quantization: "Q4_K_M",
        context: Some(8192),
        capabilities: &["completion", "tools"],
    };
    let details = json!({
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
        "parameter_size": "8.0B", "quantization_level": "Q4_K_M"
    });
    let json = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).expect("JSON");
    let tags = json(ollama::tags(&[model]));
    assert_eq!(
        tags["models"][0],
        json!({
            "name": "llama3:8b", "model": "llama3:8b", "size": 5, "digest": "ab", "details": details,
            "modified_at": "2026-01-02T03:04:05Z", "capabilities": ["completion", "tools"]
        })
    );
    let ps = json(ollama::ps(&[ollama::Loaded {
        model,
        expires: 0,
        size_in_gpu: 4,
    }]));
    assert_eq!(
        (&ps["models"][0]["size_vram"], &ps["models"][0]["context_length"]),
        (&json!(4), &json!(8192))
    );
    let show = json(ollama::show(&model));
    assert_eq!(
        show["model_info"],
        json!({"general.architecture": "llama", "llama.context_length": 8192})
    );
    assert_eq!(json(ollama::version("0.12.0")), json!({"version": "0.12.0"}));
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "model",
        "messages",
        "role",
        "content",
        "images",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "options",
        "stop",
        "format",
        "think",
        "message",
        "done",
        "error",
        "logprobs",
        "top_logprobs",
        "bytes",
        "thinking",
        "done_reason",
        "eval_count",
        "tools",
        "parameters",
        "keep_alive",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec!["user", "tool", "assistant", "é", ""]).prop_map(Value::from),
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
    for wire in [Wire::Ollama, Wire::OllamaGenerate] {
        if let Ok(request) = dialect(wire).request(bytes, Head::default()) {
            let _ = send(&request);
            let _ = ollama::loaded(&view(request), wire);
        }
    }
    if let Ok(answer) = upstream().answer(bytes) {
        let _ = dialect(Wire::Ollama).answer(&answer, &view(Request::default()));
    }
    let _ = upstream().error(500, bytes);
    let (mut decoder, mut events) = (upstream().stream(), Vec::new());
    if decoder.push(bytes, &mut events).is_ok() {
        let _ = decoder.close(&mut events);
    }
    let (mut encoder, mut out) = (dialect(Wire::Ollama).stream(view(Request::default())), Vec::new());
    for event in &events {
        encoder.event(event, &mut out);
    }
    encoder.end(&mut out);
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(value in any_json(), noise in prop::collection::vec(any::<u8>(), 0..64)) {
        swallow(value.to_string().as_bytes());
        swallow(json!({"model": "m", "messages": [value.clone()], "options": value.clone(), "tools": [value.clone()]}).to_string().as_bytes());
        swallow(json!({"message": value, "done": true}).to_string().as_bytes());
        swallow(&noise);
    }

    #[test]
    fn a_stream_may_be_split_anywhere(ends in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let text = written(Wire::Ollama);
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
    swallow("{\"messages\":[".repeat(100_000).as_bytes());
}
