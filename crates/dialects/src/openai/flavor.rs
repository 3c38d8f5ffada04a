//! How servers that speak OpenAI's dialect differ from OpenAI.

/// How the thoughts of earlier turns go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thoughts {
    /// Not at all.
    Omitted,
    /// As `reasoning_content`.
    Content,
    /// As OpenRouter's `reasoning_details`, signatures included.
    Details,
}

/// What one server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flavor {
    /// How it is called in notes.
    pub(super) vendor: &'static str,
    /// The name of the limit of the answer's tokens.
    pub(super) limit: &'static str,
    /// It knows the role `developer`.
    pub(super) has_developer: bool,
    /// It takes `top_k`, `min_p` and `repetition_penalty`.
    pub(super) has_samplers: bool,
    /// It takes `tool_choice` of the type `allowed_tools`.
    pub(super) has_allowed_tools: bool,
    /// It takes `cache_control` on parts and tools.
    pub(super) has_cache_marks: bool,
    /// It takes `video_url`, and addresses of documents.
    pub(super) has_more_media: bool,
    /// How thoughts go back.
    pub(super) thoughts: Thoughts,
}

const OPENAI: Flavor = Flavor {
    vendor: "OpenAI's API",
    limit: "max_completion_tokens",
    has_developer: true,
    has_samplers: false,
    has_allowed_tools: true,
    has_cache_marks: false,
    has_more_media: false,
    thoughts: Thoughts::Omitted,
};

const COMPATIBLE: Flavor = Flavor {
    vendor: "the provider",
    limit: "max_tokens",
    has_developer: false,
    has_allowed_tools: false,
    ..OPENAI
};

const SELF_HOSTED: Flavor = Flavor {
    has_samplers: true,
    has_more_media: true,
    thoughts: Thoughts::Content,
    ..COMPATIBLE
};

const OPENROUTER: Flavor = Flavor {
    vendor: "OpenRouter's API",
    has_samplers: true,
    has_cache_marks: true,
    has_more_media: true,
    thoughts: Thoughts::Details,
    ..COMPATIBLE
};

/// What the server of a flavour takes; one that is not known gets what every server takes.
pub(super) fn of(name: &str) -> Flavor {
    match name {
        "" | "openai" | "azure-openai" => OPENAI,
        "vllm" | "sglang" | "llama-cpp" => SELF_HOSTED,
        "openrouter" => OPENROUTER,
        _ => COMPATIBLE,
    }
}
