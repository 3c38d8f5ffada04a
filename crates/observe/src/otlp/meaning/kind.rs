//! What sort of span it is, in Opik's words: `llm`, `tool`, `guardrail` or `general`. Pure.

use serde_json::Value;

use crate::otlp::attributes::Attributes;

/// A sort of span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sort {
    /// In Opik's words.
    pub(super) name: &'static str,
    /// Whether what it counts is the sum of what the spans below it count, and is not counted again.
    pub(super) is_whole: bool,
}

const fn plain(name: &'static str) -> Sort {
    Sort {
        name,
        is_whole: false,
    }
}

/// A span around others, some of which ask models.
const WHOLE: Sort = Sort {
    name: "general",
    is_whole: true,
};
const LLM: Sort = plain("llm");
const TOOL: Sort = plain("tool");
const GENERAL: Sort = plain("general");
const GUARDRAIL: Sort = plain("guardrail");

/// A convention: the attribute, and what its values mean, in lower case; any other value tells nothing.
type Convention = (&'static str, &'static [(&'static str, Sort)]);

/// The first that says something counts.
const CONVENTIONS: [Convention; 6] = [
    // Opik's own spans.
    (
        "opik.span.type",
        &[
            ("llm", LLM),
            ("tool", TOOL),
            ("general", GENERAL),
            ("guardrail", GUARDRAIL),
        ],
    ),
    // https://langfuse.com/integrations/native/opentelemetry#property-mapping
    (
        "langfuse.observation.type",
        &[
            ("generation", LLM),
            ("embedding", LLM),
            ("tool", TOOL),
            ("guardrail", GUARDRAIL),
            ("agent", WHOLE),
            ("chain", WHOLE),
            ("span", GENERAL),
            ("event", GENERAL),
            ("retriever", GENERAL),
            ("evaluator", GENERAL),
        ],
    ),
    // https://arize-ai.github.io/openinference/spec/semantic_conventions.html
    (
        "openinference.span.kind",
        &[
            ("llm", LLM),
            ("embedding", LLM),
            ("tool", TOOL),
            ("guardrail", GUARDRAIL),
            ("agent", WHOLE),
            ("chain", WHOLE),
            ("retriever", GENERAL),
            ("reranker", GENERAL),
            ("evaluator", GENERAL),
        ],
    ),
    // https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/ (gen_ai.operation.name)
    (
        "gen_ai.operation.name",
        &[
            ("chat", LLM),
            ("generate_content", LLM),
            ("text_completion", LLM),
            ("embeddings", LLM),
            ("execute_tool", TOOL),
            ("invoke_agent", WHOLE),
            ("invoke_workflow", WHOLE),
            ("create_agent", WHOLE),
        ],
    ),
    // https://github.com/traceloop/openllmetry (SpanAttributes.TRACELOOP_SPAN_KIND)
    (
        "traceloop.span.kind",
        &[
            ("tool", TOOL),
            ("workflow", WHOLE),
            ("task", WHOLE),
            ("agent", WHOLE),
        ],
    ),
    // The same (SpanAttributes.LLM_REQUEST_TYPE)
    (
        "llm.request.type",
        &[
            ("chat", LLM),
            ("completion", LLM),
            ("embedding", LLM),
            ("rerank", LLM),
        ],
    ),
];

/// Names that only spans have which ask a model.
const OF_MODELS: [&str; 8] = [
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.provider.name",
    "gen_ai.system",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.model_name",
    "langfuse.observation.model.name",
];

/// The sort of a span with these attributes.
pub(super) fn sort(told: &Attributes) -> Sort {
    for (name, values) in CONVENTIONS {
        let Some(word) = told.get(name).and_then(Value::as_str) else {
            continue;
        };
        let known = values.iter().find(|(value, _)| value.eq_ignore_ascii_case(word));
        if let Some((_, sort)) = known {
            return *sort;
        }
    }
    if told.has("gen_ai.tool.name") && !told.has("gen_ai.request.model") {
        return TOOL;
    }
    if OF_MODELS.iter().any(|name| told.has(name)) {
        return LLM;
    }
    GENERAL
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_convention_says_what_sort_of_span_it_is() {
        for (told, expected) in [
            (json!({}), GENERAL),
            (json!({"http.route": "/"}), GENERAL),
            (json!({"gen_ai.operation.name": "chat"}), LLM),
            (
                json!({"gen_ai.operation.name": "execute_tool", "gen_ai.system": "x"}),
                TOOL,
            ),
            (
                json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}),
                WHOLE,
            ),
            (
                json!({"gen_ai.operation.name": "something", "gen_ai.request.model": "m"}),
                LLM,
            ),
            (json!({"gen_ai.tool.name": "search"}), TOOL),
            (json!({"openinference.span.kind": "LLM"}), LLM),
            (
                json!({"openinference.span.kind": "CHAIN", "llm.model_name": "m"}),
                WHOLE,
            ),
            (json!({"openinference.span.kind": "GUARDRAIL"}), GUARDRAIL),
            (json!({"openinference.span.kind": "RETRIEVER"}), GENERAL),
            (json!({"traceloop.span.kind": "workflow"}), WHOLE),
            (json!({"traceloop.span.kind": "tool"}), TOOL),
            (json!({"llm.request.type": "chat"}), LLM),
            (json!({"langfuse.observation.type": "generation"}), LLM),
            (json!({"langfuse.observation.type": "guardrail"}), GUARDRAIL),
            (json!({"opik.span.type": "tool", "gen_ai.system": "x"}), TOOL),
        ] {
            assert_eq!(sort(&Attributes::of(told.clone())), expected, "{told}");
        }
    }
}
