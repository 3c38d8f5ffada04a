//! What a streamed answer consists of.

use super::{Citation, ErrorBody, Part, Stop, TokenLogprob};
use crate::Usage;

/// A piece of a streamed answer. Of one choice, deltas come in the order of the answer's parts, then its `Stop`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The beginning. At most once, before everything else.
    Start {
        /// The provider's id; empty when it gave none.
        id: String,
        /// The model as the provider names it; empty when it does not say.
        model: String,
    },
    /// More of a choice.
    Delta {
        /// Which choice, from 0.
        choice: u32,
        /// What.
        delta: Delta,
    },
    /// A choice is complete.
    Stop {
        /// Which choice, from 0.
        choice: u32,
        /// Why.
        stop: Stop,
    },
    /// What the whole answer took so far; a later one replaces an earlier one.
    Usage(Usage),
    /// The provider failed in the middle. Nothing follows.
    Error(ErrorBody),
    /// The answer is complete. Nothing follows.
    End,
}

/// More of a choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// Text.
    Text(String),
    /// Reasoning.
    Reasoning(String),
    /// The opaque token of the reasoning that came just before (or of none, when there was none), marked with its
    /// [`Vendor`](super::Vendor).
    Signature(String),
    /// Reasoning that nobody but the provider can read, marked with its [`Vendor`](super::Vendor).
    Redacted(String),
    /// A refusal.
    Refusal(String),
    /// A tool call begins.
    ToolCall {
        /// Its place among the choice's tool calls, from 0.
        index: u32,
        /// Its id.
        id: String,
        /// The function's name.
        name: String,
        /// An opaque token that the provider wants back with it, marked with its [`Vendor`](super::Vendor).
        signature: Option<String>,
    },
    /// More of a tool call's arguments.
    Arguments {
        /// Its place among the choice's tool calls, from 0.
        index: u32,
        /// JSON text.
        text: String,
    },
    /// A source of the text so far.
    Citation(Citation),
    /// Log probabilities of tokens.
    Logprobs(Vec<TokenLogprob>),
    /// A part that comes whole: a picture, sound.
    Part(Part),
}
