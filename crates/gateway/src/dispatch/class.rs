//! What sort of failure a provider's words mean. Nothing here performs I/O.
//!
//! Statuses do not tell: a prompt that is too long and one that a filter refused are a 400 like any other mistake.

use serde_json::Value;
use stead_dialects::chat::ErrorKind;

use crate::route::policy::FallbackOn;

/// A sort of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The target failed.
    Error,
    /// It has too many requests, or was used up.
    RateLimit,
    /// The request is too long for it.
    ContextLength,
    /// Its filter refused the request.
    ContentFilter,
    /// The request is at fault in another way.
    Request,
}

/// The code of errors about length, in OpenAI's words.
pub(super) const CONTEXT_LENGTH: &str = "context_length_exceeded";
/// The code of errors of filters, in the words of Azure's API.
pub(super) const CONTENT_FILTER: &str = "content_filter";
/// The code of accounts that are used up, in OpenAI's words.
pub(super) const QUOTA: &str = "insufficient_quota";

impl Class {
    /// Whether a fallback is meant for it.
    pub(crate) const fn is(self, on: FallbackOn) -> bool {
        matches!(
            (self, on),
            (Self::Error, FallbackOn::Error)
                | (Self::RateLimit, FallbackOn::RateLimit)
                | (Self::ContextLength, FallbackOn::ContextLength)
                | (Self::ContentFilter, FallbackOn::ContentFilter)
        )
    }

    /// The sort that an error's code means, where it means one.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        let code = code.to_ascii_lowercase();
        let found = CODES.iter().find(|(known, _)| *known == code);
        found.map(|(_, class)| *class)
    }

    /// The sort that a dialect found.
    pub(super) const fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::ContextLength | ErrorKind::TooLarge => Self::ContextLength,
            ErrorKind::ContentFilter => Self::ContentFilter,
            ErrorKind::RateLimit | ErrorKind::Billing => Self::RateLimit,
            ErrorKind::Invalid | ErrorKind::Unsupported => Self::Request,
            ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::NotFound
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Api => Self::Error,
        }
    }

    /// The sort that the body of an error means, where it means one of those that a status does not tell.
    pub(super) fn of_body(body: &[u8]) -> Option<Self> {
        let value = serde_json::from_slice::<Value>(body).ok()?;
        // Gemini's streams fail as arrays of one error.
        let value = value.get(0).unwrap_or(&value);
        let codes = PLACES.iter().filter_map(|place| value.pointer(place)?.as_str());
        if let Some(class) = codes.clone().find_map(Self::of_code) {
            return Some(class);
        }
        let message = MESSAGES.iter().find_map(|place| value.pointer(place)?.as_str())?;
        Self::of_words(message)
    }

    /// The sort that a message means, for APIs that tell it in no other way.
    pub(super) fn of_words(message: &str) -> Option<Self> {
        let message = message.to_ascii_lowercase();
        let found = WORDS.iter().find(|(words, _)| message.contains(words));
        found.map(|(_, class)| *class)
    }
}

/// Where bodies of errors have codes.
const PLACES: [&str; 7] = [
    "/error/code",
    "/error/innererror/code",
    "/error/type",
    "/code",
    "/type",
    "/error_type",
    "/__type",
];

/// Where bodies of errors have their message.
const MESSAGES: [&str; 6] = [
    "/error/message",
    "/message",
    "/detail",
    "/error",
    "/error/error/message",
    "/object/message",
];

/// Codes, in lower case.
const CODES: [(&str, Class); 12] = [
    // OpenAI, Azure, Groq, DeepSeek: <https://platform.openai.com/docs/guides/error-codes>.
    (CONTEXT_LENGTH, Class::ContextLength),
    ("string_above_max_length", Class::ContextLength),
    (QUOTA, Class::RateLimit),
    ("rate_limit_exceeded", Class::RateLimit),
    ("content_policy_violation", Class::ContentFilter),
    // Azure: <https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter>.
    (CONTENT_FILTER, Class::ContentFilter),
    ("responsibleaipolicyviolation", Class::ContentFilter),
    // Anthropic: <https://docs.anthropic.com/en/api/errors>.
    ("rate_limit_error", Class::RateLimit),
    ("request_too_large", Class::ContextLength),
    // llama.cpp: <https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md>.
    ("exceed_context_size_error", Class::ContextLength),
    // Bedrock: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.
    ("throttlingexception", Class::RateLimit),
    ("servicequotaexceededexception", Class::RateLimit),
];

/// Parts of messages, in lower case.
const WORDS: [(&str, Class); 18] = [
    // OpenAI, vLLM, Mistral, DeepSeek: "This model's maximum context length is 4096 tokens. However, you requested …".
    ("maximum context length", Class::ContextLength),
    // OpenAI's responses: "Your input exceeds the context window of this model."
    ("exceeds the context window", Class::ContextLength),
    // OpenAI, Groq: "Please reduce the length of the messages or completion."
    ("reduce the length of", Class::ContextLength),
    // Anthropic: "prompt is too long: 210000 tokens > 200000 maximum".
    ("prompt is too long", Class::ContextLength),
    // Anthropic: "input length and `max_tokens` exceed context limit: …".
    ("exceed context limit", Class::ContextLength),
    // Gemini: "The input token count (…) exceeds the maximum number of tokens allowed (…)."
    ("exceeds the maximum number of tokens", Class::ContextLength),
    // vLLM: "The decoder prompt (length …) is longer than the maximum model length of …".
    ("longer than the maximum model length", Class::ContextLength),
    // SGLang: "The input (… tokens) is longer than the model's context length (… tokens)."
    ("longer than the model's context length", Class::ContextLength),
    // llama.cpp: "the request exceeds the available context size".
    ("exceeds the available context size", Class::ContextLength),
    // Bedrock: "Input is too long for requested model."
    ("input is too long for requested model", Class::ContextLength),
    // xAI: "This model's maximum prompt length is 131072 but the request contains … tokens."
    ("maximum prompt length", Class::ContextLength),
    // Text generation inference: "`inputs` tokens + `max_new_tokens` must be <= 4096".
    ("tokens + `max_new_tokens` must be", Class::ContextLength),
    // Text embeddings inference: "`inputs` must have less than 512 tokens".
    ("`inputs` must have less than", Class::ContextLength),
    // Cohere: "too many tokens: total number of tokens in the prompt cannot exceed …".
    ("too many tokens: ", Class::ContextLength),
    // Azure: "The response was filtered due to the prompt triggering … content management policy."
    ("content management policy", Class::ContentFilter),
    // Anthropic: "Output blocked by content filtering policy".
    ("blocked by content filtering", Class::ContentFilter),
    // OpenAI: "Your request was rejected as a result of our safety system."
    ("as a result of our safety system", Class::ContentFilter),
    // DeepSeek: "Content Exists Risk".
    ("content exists risk", Class::ContentFilter),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_every_provider_are_understood() {
        let length = Some(Class::ContextLength);
        let filter = Some(Class::ContentFilter);
        let rate = Some(Class::RateLimit);
        let cases = [
            (
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
                length,
            ),
            (
                r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                filter,
            ),
            (
                r#"{"error":{"message":"no","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                filter,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                length,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}}"#,
                length,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
                filter,
            ),
            (
                r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#,
                rate,
            ),
            (
                r#"[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
                length,
            ),
            (
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.","type":"BadRequestError","code":400}"#,
                length,
            ),
            (
                r#"{"object":"error","message":"The decoder prompt (length 5000) is longer than the maximum model length of 4096.","type":"BadRequestError","code":400}"#,
                length,
            ),
            (
                r#"{"object":"error","message":"The input (9000 tokens) is longer than the model's context length (8192 tokens).","code":400}"#,
                length,
            ),
            (
                r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it","n_ctx":8192}}"#,
                length,
            ),
            (r#"{"message":"Input is too long for requested model."}"#, length),
            (
                r#"{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081"}"#,
                length,
            ),
            (
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                rate,
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(Class::of_body(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn other_mistakes_mean_nothing_special() {
        for body in [
            r#"{"error":{"message":"max_tokens is too large","code":"c"}}"#,
            r#"{"error":"bad"}"#,
            "oops",
        ] {
            assert_eq!(Class::of_body(body.as_bytes()), None, "{body}");
        }
    }
}
