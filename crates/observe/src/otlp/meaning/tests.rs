//! Spans as the instrumentations in use write them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value as Any};

use super::*;

fn any(value: &Value) -> AnyValue {
    let value = match value {
        Value::String(text) => Any::StringValue(text.clone()),
        Value::Bool(value) => Any::BoolValue(*value),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Any::DoubleValue(number.as_f64().unwrap()), Any::IntValue),
        Value::Array(items) => Any::ArrayValue(ArrayValue {
            values: items.iter().map(any).collect(),
        }),
        other => panic!("{other}"),
    };
    AnyValue { value: Some(value) }
}

fn span(attributes: &Value) -> Meaning {
    let pair = |(key, value): (&String, &Value)| KeyValue {
        key: key.clone(),
        value: Some(any(value)),
        key_strindex: 0,
    };
    let span = Span {
        attributes: attributes.as_object().unwrap().iter().map(pair).collect(),
        kind: SpanKind::Client.into(),
        ..Span::default()
    };
    read(span, "2026-11-21T06:54:44Z".parse().unwrap())
}

#[test]
fn a_span_of_the_current_genai_conventions() {
    let meaning = span(&json!({
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06", "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.conversation.id": "c1",
        "gen_ai.input.messages": "[{\"role\": \"user\"}]", "gen_ai.output.messages": "[{\"role\": \"assistant\"}]",
        "gen_ai.request.temperature": 0.5, "gen_ai.response.time_to_first_chunk": 0.25,
    }));
    assert_eq!(meaning.sort, "llm");
    assert_eq!(meaning.model.as_deref(), Some("gpt-4o-2024-08-06"));
    assert_eq!(meaning.provider.as_deref(), Some("openai"));
    assert_eq!(meaning.input, Some(json!({"messages": [{"role": "user"}]})));
    assert_eq!(meaning.output, Some(json!({"messages": [{"role": "assistant"}]})));
    assert_eq!(meaning.of_trace.thread.as_deref(), Some("c1"));
    assert_eq!(meaning.first_token_ms, Some(250.0));
    assert_eq!(
        json!(meaning.usage),
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cache_read_input_tokens": 4})
    );
    assert_eq!(
        Value::Object(meaning.metadata),
        json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.request.temperature": 0.5,
            "otel.kind": "client"})
    );
}

#[test]
fn a_span_of_openinference() {
    let meaning = span(&json!({
        "openinference.span.kind": "LLM", "llm.model_name": "claude-sonnet-4-5", "llm.provider": "anthropic",
        "input.value": "{\"q\": 1}", "input.mime_type": "application/json", "output.value": "plain",
        "llm.token_count.prompt": 3, "llm.token_count.completion": 2, "session.id": "s",
        "llm.invocation_parameters": "{\"temperature\": 0}", "tag.tags": ["a", "b", "a"],
        "metadata": "{\"team\": \"x\"}", "llm.cost.total": 0.125, "user.id": "u",
    }));
    assert_eq!(meaning.sort, "llm");
    assert_eq!(
        meaning.input,
        Some(json!({"q": 1, "invocation_parameters": {"temperature": 0}}))
    );
    assert_eq!(meaning.output, Some(json!("plain")));
    assert_eq!(meaning.cost, Some(0.125));
    assert_eq!(meaning.tags, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(meaning.metadata["team"], "x");
    assert_eq!(meaning.metadata["user.id"], "u");
}

#[test]
fn spans_of_openllmetry() {
    let meaning = span(&json!({
        "traceloop.span.kind": "workflow", "traceloop.workflow.name": "joke", "traceloop.entity.input": "{\"a\": 1}",
        "traceloop.entity.output": "\"done\"", "traceloop.association.properties.session_id": "s",
    }));
    assert_eq!((meaning.sort, meaning.input), ("general", Some(json!({"a": 1}))));
    assert_eq!(meaning.output, Some(json!("done")));
    assert_eq!(meaning.of_trace.thread.as_deref(), Some("s"));
    let meaning = span(&json!({
        "llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "gpt-4o",
        "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi", "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "ho", "llm.usage.total_tokens": 30, "gen_ai.usage.prompt_tokens": 10,
        "gen_ai.usage.completion_tokens": 20,
    }));
    assert_eq!(
        (meaning.sort, meaning.provider.as_deref()),
        ("llm", Some("openai"))
    );
    assert_eq!(
        (meaning.input, meaning.output),
        (
            Some(json!({"messages": [{"role": "user", "content": "hi"}]})),
            Some(json!({"messages": [{"role": "assistant", "content": "ho"}]}))
        )
    );
    assert_eq!(meaning.usage.unwrap()["total_tokens"], 30);
}

#[test]
fn a_span_of_langfuse() {
    let meaning = span(&json!({
        "langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-4o",
        "langfuse.observation.input": "{\"q\": 1}", "langfuse.observation.output": "{\"a\": 2}",
        "langfuse.observation.usage_details": "{\"input\": 1, \"output\": 2}",
        "langfuse.observation.cost_details": "{\"total\": 0.5}", "langfuse.trace.name": "the trace",
        "langfuse.observation.model.parameters": "{\"temperature\": 1}",
        "langfuse.trace.tags": ["t"], "langfuse.trace.input": "\"in\"", "langfuse.environment": "prod",
        "langfuse.observation.metadata.step": "1", "langfuse.session.id": "s", "langfuse.trace.metadata.team": "x",
        "langfuse.observation.completion_start_time": "\"2026-11-21T06:54:44.500Z\"",
    }));
    assert_eq!(meaning.sort, "llm");
    assert_eq!(
        meaning.input,
        Some(json!({"q": 1, "model_parameters": {"temperature": 1}}))
    );
    assert_eq!((meaning.cost, meaning.first_token_ms), (Some(0.5), Some(500.0)));
    assert_eq!(meaning.environment.as_deref(), Some("prod"));
    assert_eq!(
        meaning.of_trace,
        OfTrace {
            thread: Some("s".into()),
            name: Some("the trace".into()),
            input: Some(json!("in")),
            output: None,
            tags: Some(vec!["t".into()]),
        }
    );
    assert_eq!(meaning.metadata["step"], "1");
    assert_eq!(meaning.metadata["team"], "x");
}

#[test]
fn a_span_that_sums_up_others_counts_and_costs_nothing_itself_and_loses_nothing() {
    let meaning = span(&json!({
        "gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.cost": 1.5,
    }));
    assert_eq!((meaning.usage, meaning.cost), (None, None));
    assert_eq!(meaning.metadata["gen_ai.usage.input_tokens"], 10);
    assert_eq!(meaning.metadata["gen_ai.usage.cost"], 1.5);
}

#[test]
fn opiks_own_ids_and_labels_are_taken_where_they_are_what_they_should_be() {
    let id = "01a1fce2-ce78-765d-a902-9bc62616e36b";
    let meaning = span(&json!({
        "opik.trace_id": id, "opik.parent_span_id": "6f1b9c1e-0a1d-4a57-9a0e-000000000000", "opik.span_id": "none",
        "opik.tags": "a, b", "opik.metadata": "{\"k\": 1}", "opik.metadata.own": "v", "thread_id": " t ",
    }));
    assert_eq!(
        meaning.ids,
        Ids {
            trace: Some(id.parse().unwrap()),
            parent: None,
            own: None,
        }
    );
    assert_eq!(meaning.tags, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(meaning.of_trace.thread.as_deref(), Some("t"));
    assert_eq!(
        (&meaning.metadata["k"], &meaning.metadata["own"]),
        (&json!(1), &json!("v"))
    );
}
