//! What is answered.

use super::Part;
use crate::Usage;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The provider's id of it; empty when it gave none.
    pub id: String,
    /// The model as the provider names it; empty when it does not say.
    pub model: String,
    /// One for each answer that was asked for, in order.
    pub choices: Vec<Choice>,
    /// What it took; `None` when the provider did not count.
    pub usage: Option<Usage>,
    /// The service tier that was used.
    pub service_tier: Option<String>,
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// Reasoning, texts and tool calls in order.
    pub parts: Vec<Part>,
    /// Why it ended; `None` when the provider did not say.
    pub stop: Option<Stop>,
    /// Log probabilities of its tokens.
    pub logprobs: Vec<TokenLogprob>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The model was done.
    End,
    /// One of the stop texts came; which one, where the dialect says it.
    Sequence(Option<String>),
    /// The limit of tokens.
    Length,
    /// The context is full.
    ContextWindow,
    /// It waits for results of tools.
    ToolCalls,
    /// A filter of the provider.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// A long turn was paused; to go on, send it back (Anthropic's `pause_turn`).
    Pause,
    /// The model's tool call was malformed (Gemini's `MALFORMED_FUNCTION_CALL`).
    MalformedToolCall,
}

/// What a text is based on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Citation {
    /// Where the source is.
    pub url: Option<String>,
    /// What the source is called.
    pub title: Option<String>,
    /// The words of the source.
    pub quote: Option<String>,
    /// From where in the answer's text, in characters.
    pub start: Option<u64>,
    /// Up to where, exclusive.
    pub end: Option<u64>,
}

/// A token with its log probability (natural logarithm).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// Its log probability.
    pub logprob: f64,
    /// Its bytes, where known.
    pub bytes: Option<Vec<u8>>,
    /// The likeliest alternatives.
    pub top: Vec<TokenLogprob>,
}
