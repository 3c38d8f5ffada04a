//! Ranking: requests of clients, each provider's form of them, and answers.

use serde_json::{Value, json};
use stead_dialects::rerank::{Dialect, Request};

fn asked(more: &Value) -> (Request, Vec<String>) {
    let mut body =
        json!({"model": "rank", "query": "capital?", "documents": ["Oslo", {"text": "Rome"}, "tea"]});
    body.as_object_mut()
        .expect("JSON")
        .extend(more.as_object().expect("JSON").clone());
    Request::read(body.to_string().as_bytes()).expect("JSON")
}

fn body(dialect: Dialect, request: &Request) -> (Value, Vec<String>) {
    let sent = dialect.request(request, "model-1");
    assert_eq!(sent.path, "rerank");
    (serde_json::from_slice(&sent.body).expect("JSON"), sent.notes)
}

#[test]
fn each_provider_is_asked_in_its_own_form() {
    let (request, notes) = asked(&json!({"top_n": 2, "return_documents": true, "truncate": "END"}));
    assert_eq!(
        notes,
        ["truncate was left out: it is no parameter of ranking in common"]
    );
    let documents = json!(["Oslo", "Rome", "tea"]);
    // https://docs.cohere.com/reference/rerank
    assert_eq!(
        body(Dialect::of("cohere"), &request),
        (
            json!({"model": "model-1", "query": "capital?", "documents": documents, "top_n": 2}),
            vec![]
        )
    );
    // https://api.jina.ai/redoc#tag/rerank, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
    for name in ["jina", "vllm", "llama-cpp", "together", "openai-compatible"] {
        let wanted = json!({"model": "model-1", "query": "capital?", "documents": documents,
            "return_documents": false, "top_n": 2});
        assert_eq!(body(Dialect::of(name), &request), (wanted, vec![]), "{name}");
    }
    // https://huggingface.github.io/text-embeddings-inference/
    assert_eq!(
        body(Dialect::of("tei"), &request),
        (
            json!({"query": "capital?", "texts": documents, "raw_scores": false, "return_text": false, "truncate": true}),
            vec![]
        )
    );
    assert!(Dialect::Tei.is_at_root() && !Dialect::Jina.is_at_root());
}

#[test]
fn limits_that_only_cohere_has_are_noted_elsewhere() {
    let (request, _) = asked(&json!({"max_tokens_per_doc": 100}));
    assert_eq!(body(Dialect::Cohere, &request).0["max_tokens_per_doc"], 100);
    for dialect in [Dialect::Jina, Dialect::Tei] {
        let (sent, notes) = body(dialect, &request);
        assert!(
            sent.get("max_tokens_per_doc").is_none() && notes.len() == 1,
            "{dialect:?}"
        );
    }
}

#[test]
fn answers_of_all_providers_become_one_form_in_order_and_within_top_n() {
    let (request, _) = asked(&json!({"top_n": 2, "return_documents": true}));
    let results = json!([{"index": 2, "relevance_score": 0.25}, {"index": 0, "relevance_score": 0.5},
        {"index": 1, "relevance_score": 0.75}]);
    let cases = [
        (
            Dialect::Cohere,
            json!({"id": "r-1", "results": results, "meta": {"billed_units": {"search_units": 1.0}}}),
            json!({"id": "r-1", "meta": {"billed_units": {"search_units": 1}}}),
        ),
        (
            Dialect::Jina,
            json!({"model": "x", "usage": {"total_tokens": 38}, "results": results}),
            json!({"id": "gw", "usage": {"prompt_tokens": 38, "total_tokens": 38}}),
        ),
        (
            Dialect::Tei,
            json!([{"index": 1, "score": 0.75}, {"index": 0, "score": 0.5}, {"index": 2, "score": 0.25}]),
            json!({"id": "gw"}),
        ),
    ];
    for (dialect, given, more) in cases {
        let answer = dialect.answer(&request, given.to_string().as_bytes()).unwrap();
        let mut wanted = json!({"model": "rank", "results": [
            {"index": 1, "relevance_score": 0.75, "document": {"text": "Rome"}},
            {"index": 0, "relevance_score": 0.5, "document": {"text": "Oslo"}},
        ]});
        wanted
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_eq!(answer.write(&request, "rank", "gw"), wanted, "{dialect:?}");
    }
}

#[test]
fn what_is_malformed_is_refused_by_field() {
    let cases = [
        ("", "body"),
        (r#"{"model": "m", "query": "q"}"#, "documents"),
        (r#"{"model": "m", "query": "q", "documents": []}"#, "documents"),
        (
            r#"{"model": "m", "query": "q", "documents": ["a", {"image": "x"}]}"#,
            "documents[1]",
        ),
        (r#"{"model": "m", "documents": ["a"]}"#, "query"),
        (r#"{"query": "q", "documents": ["a"]}"#, "model"),
        (
            r#"{"model": "m", "query": "q", "documents": ["a"], "top_n": 0}"#,
            "top_n",
        ),
        (
            r#"{"model": "m", "query": "q", "documents": ["a"], "top_n": -1}"#,
            "top_n",
        ),
    ];
    for (body, param) in cases {
        assert_eq!(Request::read(body.as_bytes()).unwrap_err().param, param, "{body}");
    }
}

#[test]
fn what_is_no_answer_is_an_error_and_never_a_panic() {
    let (request, _) = asked(&json!({}));
    let bodies = [
        "",
        "{}",
        "[]x",
        r#"{"results": [{"index": 3, "relevance_score": 1}]}"#,
        r#"{"results": [{"relevance_score": 1}]}"#,
        r#"{"results": [{"index": 0}]}"#,
        r#"[{"index": -1, "score": 0.5}]"#,
        r#"{"error": "overloaded", "error_type": "Overloaded"}"#,
    ];
    for dialect in [Dialect::Cohere, Dialect::Jina, Dialect::Tei] {
        for body in bodies {
            assert!(
                dialect.answer(&request, body.as_bytes()).is_err(),
                "{dialect:?} {body}"
            );
        }
    }
}
