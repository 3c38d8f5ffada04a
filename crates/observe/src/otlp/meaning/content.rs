//! What went into a span and what came out of it. Pure.
//!
//! A value that a convention gives as a whole is the input as it is. Messages, tools and the like that are told beside
//! it, or alone, make an object: `{"messages": [...], "tools": [...]}`.

use serde_json::{Map, Value};

use super::nested::nested;
use crate::otlp::attributes::{Attributes, parsed};

/// `OpenInference`'s values, which name their media type beside them.
const INPUT_VALUE: &str = "input.value";
const OUTPUT_VALUE: &str = "output.value";

/// Where one side of a span is told.
pub(super) struct Side {
    /// As a whole; the first that there is.
    whole: &'static [&'static str],
    /// Parts: their name in the object, and where they are told.
    parts: &'static [(&'static str, &'static str)],
    /// Parts that were flattened into names: their name in the object, and how the names begin.
    flattened: &'static [(&'static str, &'static str)],
    /// Attributes that are parts by their own name when they are or begin so, as Opik reads them.
    own: &'static str,
}

/// The input.
pub(super) const INPUT: Side = Side {
    whole: &[
        // https://langfuse.com/integrations/native/opentelemetry#property-mapping
        "langfuse.observation.input",
        // https://arize-ai.github.io/openinference/spec/semantic_conventions.html
        INPUT_VALUE,
        // https://github.com/traceloop/openllmetry (SpanAttributes)
        "traceloop.entity.input",
        // https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
        "gen_ai.tool.call.arguments",
        // Of other instrumentations: MLflow, Google's ADK, Vercel's AI SDK, Pydantic AI.
        "mlflow.spanInputs",
        "gcp.vertex.agent.llm_request",
        "gcp.vertex.agent.tool_call_args",
        "ai.prompt.messages",
        "ai.prompt",
        "ai.toolCall.args",
        "tool_arguments",
    ],
    parts: &[
        ("system", "gen_ai.system_instructions"),
        ("messages", "gen_ai.input.messages"),
        ("tools", "gen_ai.tool.definitions"),
        ("prompt", "gen_ai.prompt"),
        ("invocation_parameters", "llm.invocation_parameters"),
        ("model_parameters", "langfuse.observation.model.parameters"),
    ],
    flattened: &[
        ("messages", "gen_ai.prompt."),
        ("messages", "llm.input_messages."),
        ("prompts", "llm.prompts."),
        ("tools", "llm.tools."),
        ("functions", "llm.request.functions."),
        ("prompt_template", "llm.prompt_template."),
    ],
    own: "input",
};

/// The output.
pub(super) const OUTPUT: Side = Side {
    whole: &[
        "langfuse.observation.output",
        OUTPUT_VALUE,
        "traceloop.entity.output",
        "gen_ai.tool.call.result",
        "mlflow.spanOutputs",
        "gcp.vertex.agent.llm_response",
        "gcp.vertex.agent.tool_response",
        "ai.response.text",
        "ai.response.object",
        "ai.toolCall.result",
        "tool_response",
    ],
    parts: &[
        ("messages", "gen_ai.output.messages"),
        ("completion", "gen_ai.completion"),
        ("finish_reasons", "gen_ai.response.finish_reasons"),
        ("finish_reason", "llm.finish_reason"),
        ("function_call", "llm.function_call"),
        ("tool_calls", "ai.response.toolCalls"),
    ],
    flattened: &[
        ("messages", "gen_ai.completion."),
        ("messages", "llm.output_messages."),
        ("choices", "llm.choices."),
        ("documents", "retrieval.documents."),
    ],
    own: "output",
};

/// What is told of one side; `messages` are those that events told of.
pub(super) fn content(side: &Side, told: &mut Attributes, messages: Vec<Value>) -> Option<Value> {
    let whole = whole(side, told);
    let mut parts = Map::new();
    for (name, attribute) in side.parts {
        if let Some(value) = told.take(attribute) {
            parts.insert((*name).to_owned(), parsed(value));
        }
    }
    for (name, prefix) in side.flattened {
        let flattened = told.take_below(prefix);
        if parts.contains_key(*name) {
            // The same in an older form.
            for (rest, value) in flattened {
                told.put(format!("{prefix}{rest}"), value);
            }
        } else if let Some(value) = nested(flattened) {
            parts.insert((*name).to_owned(), value);
        }
    }
    if !messages.is_empty() {
        parts.entry("messages").or_insert_with(|| Value::Array(messages));
    }
    if let Some(value) = told.take(side.own) {
        parts.insert(side.own.to_owned(), parsed(value));
    }
    for (rest, value) in told.take_below(&format!("{}.", side.own)) {
        parts.insert(format!("{}.{rest}", side.own), parsed(value));
    }
    compose(whole, parts)
}

fn whole(side: &Side, told: &mut Attributes) -> Option<Value> {
    let mime = format!("{}.mime_type", side.own);
    let (name, value) = told.take_first(side.whole)?;
    if ![INPUT_VALUE, OUTPUT_VALUE].contains(&name) {
        return Some(parsed(value));
    }
    // A text that is JSON by accident is a text where the span says so.
    let is_text = told.text(&mime).is_some_and(|mime| mime.starts_with("text/"));
    told.take(&mime);
    Some(if is_text { value } else { parsed(value) })
}

/// One value of a whole and of parts.
fn compose(whole: Option<Value>, parts: Map<String, Value>) -> Option<Value> {
    match whole {
        None if parts.is_empty() => None,
        None => Some(Value::Object(parts)),
        Some(whole) if parts.is_empty() => Some(whole),
        Some(Value::Object(mut whole)) => {
            whole.extend(parts);
            Some(Value::Object(whole))
        }
        Some(whole) => {
            let mut all = Map::from_iter([("value".to_owned(), whole)]);
            all.extend(parts);
            Some(Value::Object(all))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_convention_tells_what_went_in() {
        let hello = json!([{"role": "user", "content": "hello"}]);
        for (told, expected) in [
            (json!({}), None),
            (json!({"http.route": "/"}), None),
            (
                json!({"gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"hello\"}]}]",
                    "gen_ai.system_instructions": "[{\"type\":\"text\",\"content\":\"be brief\"}]"}),
                Some(json!({
                    "messages": [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}],
                    "system": [{"type": "text", "content": "be brief"}],
                })),
            ),
            (
                json!({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hello"}),
                Some(json!({"messages": hello})),
            ),
            (
                json!({"llm.input_messages.0.message.role": "user",
                    "llm.input_messages.0.message.content": "hello"}),
                Some(json!({"messages": hello})),
            ),
            (
                json!({"input.value": "{\"a\": 1}", "input.mime_type": "application/json"}),
                Some(json!({"a": 1})),
            ),
            (
                json!({"input.value": "{\"a\": 1}", "input.mime_type": "text/plain"}),
                Some(json!("{\"a\": 1}")),
            ),
            (
                json!({"input.value": "hi", "llm.input_messages.0.message.role": "user",
                    "llm.input_messages.0.message.content": "hello"}),
                Some(json!({"value": "hi", "messages": hello})),
            ),
            (
                json!({"traceloop.entity.input": "{\"args\": [1]}"}),
                Some(json!({"args": [1]})),
            ),
            (
                json!({"langfuse.observation.input": "\"text\""}),
                Some(json!("text")),
            ),
            (
                json!({"gen_ai.tool.call.arguments": "{\"q\": 1}"}),
                Some(json!({"q": 1})),
            ),
            (
                json!({"input": "question", "input.more": "[1]"}),
                Some(json!({"input": "question", "input.more": [1]})),
            ),
        ] {
            assert_eq!(
                content(&INPUT, &mut Attributes::of(told.clone()), Vec::new()),
                expected,
                "{told}"
            );
        }
    }

    #[test]
    fn every_convention_tells_what_came_out() {
        let hi = json!([{"role": "assistant", "content": "hi"}]);
        for (told, messages, expected) in [
            (
                json!({"gen_ai.output.messages": hi.to_string(), "gen_ai.response.finish_reasons": ["stop"]}),
                vec![],
                json!({"messages": hi, "finish_reasons": ["stop"]}),
            ),
            (
                json!({"gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "hi"}),
                vec![],
                json!({"messages": hi}),
            ),
            (
                json!({"llm.output_messages.0.message.role": "assistant",
                    "llm.output_messages.0.message.content": "hi"}),
                vec![],
                json!({"messages": hi}),
            ),
            (json!({"output.value": "text"}), vec![], json!("text")),
            (json!({"ai.response.text": "text"}), vec![], json!("text")),
            (
                json!({}),
                vec![json!({"role": "assistant"})],
                json!({"messages": [{"role": "assistant"}]}),
            ),
            (
                json!({"retrieval.documents.0.document.content": "d", "retrieval.documents.0.document.score": 0.5}),
                vec![],
                json!({"documents": [{"content": "d", "score": 0.5}]}),
            ),
        ] {
            assert_eq!(
                content(&OUTPUT, &mut Attributes::of(told.clone()), messages),
                Some(expected),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_told_twice_in_two_forms_counts_once_and_the_other_form_is_left() {
        let mut told =
            Attributes::of(json!({"gen_ai.input.messages": "[1]", "gen_ai.prompt.0.role": "user"}));
        assert_eq!(
            content(&INPUT, &mut told, vec![json!(2)]),
            Some(json!({"messages": [1]}))
        );
        assert!(told.has("gen_ai.prompt.0.role"));
    }
}
