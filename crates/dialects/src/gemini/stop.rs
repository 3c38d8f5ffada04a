//! Why answers end.
//! <https://ai.google.dev/api/generate-content#FinishReason>,
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#FinishReason>

use crate::chat::Stop;

/// Each reason and what it means; ends that nobody can act on count as ends.
const REASONS: &[(&str, Stop)] = &[
    ("STOP", Stop::End),
    ("MAX_TOKENS", Stop::Length),
    ("CONTINUATION", Stop::Pause),
    ("SAFETY", Stop::ContentFilter),
    ("RECITATION", Stop::ContentFilter),
    ("LANGUAGE", Stop::ContentFilter),
    ("BLOCKLIST", Stop::ContentFilter),
    ("PROHIBITED_CONTENT", Stop::ContentFilter),
    ("SPII", Stop::ContentFilter),
    ("MODEL_ARMOR", Stop::ContentFilter),
    ("ESCALATION", Stop::ContentFilter),
    ("PUP_LIMITED_DISABLED", Stop::ContentFilter),
    ("IMAGE_SAFETY", Stop::ContentFilter),
    ("IMAGE_PROHIBITED_CONTENT", Stop::ContentFilter),
    ("IMAGE_RECITATION", Stop::ContentFilter),
    ("MALFORMED_FUNCTION_CALL", Stop::MalformedToolCall),
    ("UNEXPECTED_TOOL_CALL", Stop::MalformedToolCall),
    ("TOO_MANY_TOOL_CALLS", Stop::MalformedToolCall),
    ("MISSING_THOUGHT_SIGNATURE", Stop::MalformedToolCall),
    ("MALFORMED_RESPONSE", Stop::MalformedToolCall),
];

/// Reads a `finishReason`; `None` for one that says nothing. Gemini names calls of functions no reason of its own.
pub(super) fn read(reason: &str, calls: usize) -> Option<Stop> {
    if reason.is_empty() || reason == "FINISH_REASON_UNSPECIFIED" {
        return None;
    }
    let stop = REASONS
        .iter()
        .find(|(name, _)| *name == reason)
        .map_or(Stop::End, |(_, stop)| stop.clone());
    Some(match stop {
        Stop::End if calls > 0 => Stop::ToolCalls,
        other => other,
    })
}

/// The `finishReason` of a stop.
pub(super) const fn write(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::ToolCalls | Stop::Pause => "STOP",
        Stop::Length | Stop::ContextWindow => "MAX_TOKENS",
        Stop::ContentFilter | Stop::Refusal => "SAFETY",
        Stop::MalformedToolCall => "MALFORMED_FUNCTION_CALL",
    }
}
