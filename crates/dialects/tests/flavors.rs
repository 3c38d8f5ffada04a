//! The flavours of OpenAI's dialect, and making requests fit them.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use stead_dialects::flavors::{Flavor, Operation, Rule, StreamUsage, adapt, all, find};

fn flavor(name: &str) -> &'static Flavor {
    find(name).unwrap_or_else(|| panic!("no flavour {name}"))
}

/// The body as it is sent, and the notes.
fn adapted(name: &str, body: &Value) -> (Value, Vec<String>) {
    let out = adapt(flavor(name), Operation::Chat, &Bytes::from(body.to_string()))
        .unwrap_or_else(|error| panic!("{error}"));
    (serde_json::from_slice(&out.body).expect("JSON"), out.notes)
}

#[test]
fn every_flavour_is_whole_and_cites_its_document() {
    let mut names = BTreeSet::new();
    for flavor in all() {
        let name = flavor.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(flavor.source.starts_with("https://"), "{name}");
        assert!(
            !flavor.vendor.is_empty() && !flavor.operations.is_empty(),
            "{name}"
        );
        assert!(
            flavor
                .base
                .is_none_or(|base| base.starts_with("http") && !base.ends_with('/')),
            "{name}"
        );
        let drops_options = flavor.rules.contains(&Rule::Without("stream_options"));
        assert_eq!(
            flavor.stream_usage == StreamUsage::Always,
            drops_options,
            "{name}"
        );
        let is_old = flavor
            .rules
            .contains(&Rule::Renamed("max_completion_tokens", "max_tokens"));
        assert!(!is_old || flavor.limit == "max_tokens", "{name}");
    }
    for name in [
        "openai",
        "azure-openai",
        "openai-compatible",
        "vllm",
        "sglang",
        "llama-cpp",
        "tei",
        "groq",
        "deepseek",
        "together",
        "fireworks",
        "openrouter",
        "xai",
        "perplexity",
        "huggingface",
        "lm-studio",
        "mistral",
        "cohere",
        "nvidia-nim",
        "cerebras",
        "sambanova",
    ] {
        assert!(names.contains(name), "{name}");
    }
    assert!(find("nobody").is_none());
    assert!(flavor("tei").can(Operation::Rerank) && !flavor("tei").can(Operation::Chat));
}

#[test]
fn a_body_that_fits_is_the_same_bytes_and_is_not_read() {
    let plain = Bytes::from_static(b"{ \"model\" : \"m\", \"messages\":[] }");
    let broken = Bytes::from_static(b"no JSON at all");
    for flavor in all() {
        for body in [&plain, &broken] {
            let out = adapt(flavor, Operation::Chat, body).unwrap();
            assert_eq!(out.body.as_ptr(), body.as_ptr(), "{}", flavor.name);
            assert!(out.notes.is_empty());
        }
    }
}

#[test]
fn what_a_server_does_not_take_goes_and_the_rest_stays_byte_for_byte() {
    let body =
        "{\"model\": \"m\",\n \"logit_bias\":{\"5\":1}, \"temperature\" : 1.50,\"service_tier\":\"auto\"}";
    let out = adapt(flavor("cerebras"), Operation::Chat, &Bytes::from(body)).unwrap();
    assert_eq!(
        out.body,
        "{\"model\": \"m\", \"temperature\" : 1.50}".replace("m\", ", "m\",")
    );
    assert_eq!(
        out.notes,
        ["logit_bias was left out: Cerebras' API does not take it"]
    );
}

#[test]
fn limits_and_seeds_have_the_names_that_the_server_knows() {
    let body = json!({"model": "m", "messages": [], "max_completion_tokens": 5, "max_tokens": 9, "seed": 3,
        "stream_options": {"include_usage": true}});
    assert_eq!(
        adapted("mistral", &body),
        (
            json!({"model": "m", "messages": [], "max_tokens": 5, "random_seed": 3}),
            vec![]
        )
    );
    let body = json!({"max_tokens": 9});
    assert_eq!(adapted("deepseek", &body), (body, vec![]));
}

#[test]
fn embeddings_have_rules_of_their_own() {
    let body = json!({"model": "m", "input": "developer", "dimensions": 8, "user": "u", "seed": 1});
    let fit = |name: &str| {
        adapt(
            flavor(name),
            Operation::Embeddings,
            &Bytes::from(body.to_string()),
        )
        .unwrap()
    };
    let mistral = fit("mistral");
    assert_eq!(
        serde_json::from_slice::<Value>(&mistral.body).unwrap(),
        json!({"model": "m", "input": "developer", "output_dimension": 8, "seed": 1})
    );
    assert_eq!(
        mistral.notes,
        ["user was left out: Mistral's API does not take it"]
    );
    assert_eq!(fit("vllm").body, body.to_string());
}

#[test]
fn what_cannot_be_left_out_is_refused_unless_it_asks_for_nothing() {
    let groq = |body: Value| adapt(flavor("groq"), Operation::Chat, &Bytes::from(body.to_string()));
    assert_eq!(groq(json!({"n": 2})).unwrap_err().param, "n");
    assert_eq!(groq(json!({"logprobs": true})).unwrap_err().param, "logprobs");
    let out = groq(json!({"n": 1, "logprobs": false, "model": "m"})).unwrap();
    assert_eq!(
        (out.body.as_ref(), out.notes.len()),
        (br#"{"model":"m"}"#.as_slice(), 0)
    );
}

#[test]
fn roles_names_efforts_and_schemas_become_what_the_server_knows() {
    let body = json!({"messages": [{"role": "developer", "content": "a \"developer\""}, {"role": "user", "name": "ada"}]});
    let (groq, notes) = adapted("groq", &body);
    assert_eq!(
        groq["messages"],
        json!([{"role": "system", "content": "a \"developer\""}, {"role": "user"}])
    );
    assert_eq!(
        notes,
        ["messages[1].name was left out: Groq's API names no participants"]
    );
    assert_eq!(adapted("openai", &body), (body, vec![]));

    let (cohere, notes) = adapted("cohere", &json!({"reasoning_effort": "low"}));
    assert_eq!(
        (cohere["reasoning_effort"].as_str(), notes.len()),
        (Some("high"), 1)
    );
    let (cohere, notes) = adapted("cohere", &json!({"reasoning_effort": "high"}));
    assert_eq!(
        (cohere["reasoning_effort"].as_str(), notes.len()),
        (Some("high"), 0)
    );

    let schema =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}});
    let (deepseek, notes) = adapted("deepseek", &schema);
    assert_eq!(
        (&deepseek["response_format"], notes.len()),
        (&json!({"type": "json_object"}), 1)
    );
    assert_eq!(adapted("vllm", &schema), (schema, vec![]));
}

#[test]
fn what_may_have_no_effect_is_sent_with_a_note() {
    let body = json!({"seed": 4, "n": 1});
    let (sent, notes) = adapted("sambanova", &body);
    assert_eq!(sent, body);
    assert_eq!(
        notes,
        ["seed may have no effect: SambaNova's API does not tell of one"]
    );
}

proptest! {
    #[test]
    fn no_body_panics_and_adapting_twice_is_adapting_once(
        names in prop::collection::btree_set(
            prop::sample::select(vec![
                "n", "seed", "user", "logit_bias", "stream_options", "max_tokens", "max_completion_tokens", "messages",
                "response_format", "reasoning_effort", "store", "metadata", "model", "service_tier",
            ]),
            0..8,
        ),
        value in prop::sample::select(vec!["null", "1", "\"low\"", "{\"a\":1}", "[{\"role\":\"developer\",\"name\":\"x\"}]"]),
        cut in any::<prop::sample::Index>(),
    ) {
        let members: Vec<String> = names.iter().map(|name| format!("\"{name}\": {value}")).collect();
        let body = format!("{{{}}}", members.join(" , "));
        for flavor in all() {
            let part = Bytes::from(body[..cut.index(body.len())].to_owned());
            let _ = adapt(flavor, Operation::Chat, &part);
            if let Ok(once) = adapt(flavor, Operation::Chat, &Bytes::from(body.clone())) {
                prop_assert!(serde_json::from_slice::<Value>(&once.body).is_ok());
                let twice = adapt(flavor, Operation::Chat, &once.body).unwrap();
                prop_assert_eq!(twice.body, once.body);
            }
        }
    }
}
