//! What an answer has produced so far.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use stead_dialects::Usage;
use stead_kernel::ports::TokenUsage;

/// The most of a body that is kept, in bytes.
pub(crate) const CAPTURE_LIMIT: usize = 1 << 20;
/// The most bytes of a model's name.
const MODEL_LIMIT: usize = 200;
/// What ends a body that was too long to be kept whole.
const CUT: &str = "… [cut]";

/// What an answer has produced so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// As the provider counted, once it said.
    pub(crate) usage: Option<TokenUsage>,
    /// The model that answers, as the provider names it.
    pub(crate) model: Option<Box<str>>,
    /// Pieces with content: about a token each.
    pub(crate) pieces: u64,
    /// Whether the answer said that it is complete.
    pub(crate) finished: bool,
    /// Labels for the record.
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether a filter of the provider ended it; of a whole answer, only when the filter left nothing.
    pub(crate) filtered: bool,
    /// The text put together, if somebody wants it.
    pub(crate) output: Option<Output>,
}

/// An answer put together from its pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output {
    text: String,
    cut: bool,
    tools: Vec<ToolCall>,
    /// A whole body, which is kept instead.
    whole: Option<Bytes>,
}

#[derive(Debug, Clone, Default)]
struct ToolCall {
    id: String,
    name: String,
    arguments: String,
}

/// A piece of a tool call, as chunks carry it.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolPiece<'a> {
    #[serde(default)]
    index: usize,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<FunctionPiece<'a>>,
}

#[derive(Debug, Deserialize)]
struct FunctionPiece<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

impl Tally {
    /// An empty tally, which keeps the output if asked to.
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            output: keep.then(Output::default),
            ..Self::default()
        }
    }

    /// The provider says which model answers; what it says first holds.
    pub(crate) fn model(&mut self, name: &str) {
        if self.model.is_none() && !name.is_empty() {
            let end = name.floor_char_boundary(MODEL_LIMIT);
            self.model = name.get(..end).map(Into::into);
        }
    }

    /// Takes in a piece of text.
    pub(crate) fn text(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        self.pieces += 1;
        if let Some(output) = &mut self.output {
            output.text(piece);
        }
    }

    /// Takes in a piece of a tool call.
    pub(crate) fn tool(&mut self, piece: &ToolPiece<'_>) {
        self.pieces += 1;
        if let Some(output) = &mut self.output {
            output.tool(piece);
        }
    }

    /// Takes in the beginning of a tool call.
    pub(crate) fn call(&mut self, index: u32, id: &str, name: &str) {
        self.tool(&ToolPiece {
            index: usize::try_from(index).unwrap_or(usize::MAX),
            id: Some(id.into()),
            function: Some(FunctionPiece {
                name: Some(name.into()),
                arguments: None,
            }),
        });
    }

    /// Takes in more of a tool call's arguments.
    pub(crate) fn arguments(&mut self, index: u32, text: &str) {
        self.tool(&ToolPiece {
            index: usize::try_from(index).unwrap_or(usize::MAX),
            id: None,
            function: Some(FunctionPiece {
                name: None,
                arguments: Some(text.into()),
            }),
        });
    }

    /// Takes in a whole body.
    pub(crate) fn whole(&mut self, body: &Bytes) {
        if let Some(output) = &mut self.output {
            output.whole = Some(body.clone());
        }
    }
}

impl Output {
    fn text(&mut self, piece: &str) {
        if self.cut {
            return;
        }
        if self.text.len() + piece.len() <= CAPTURE_LIMIT {
            self.text.push_str(piece);
            return;
        }
        self.cut = true;
        self.text.push_str(CUT);
    }

    fn tool(&mut self, piece: &ToolPiece<'_>) {
        // A model that calls more tools at once than this is not described in full.
        if piece.index >= 128 {
            return;
        }
        if self.tools.len() <= piece.index {
            self.tools.resize_with(piece.index + 1, ToolCall::default);
        }
        let Some(call) = self.tools.get_mut(piece.index) else {
            return;
        };
        let function = piece.function.as_ref();
        let name = function.and_then(|function| function.name.as_deref());
        let arguments = function.and_then(|function| function.arguments.as_deref());
        call.id.push_str(piece.id.as_deref().unwrap_or_default());
        call.name.push_str(name.unwrap_or_default());
        if call.arguments.len() < CAPTURE_LIMIT {
            call.arguments.push_str(arguments.unwrap_or_default());
        }
    }

    /// The whole as one text: the answer's text, or its message when it calls tools.
    pub(crate) fn into_text(self) -> String {
        if let Some(whole) = self.whole {
            return captured(&whole);
        }
        if self.tools.is_empty() {
            return self.text;
        }
        let calls: Vec<Value> = self
            .tools
            .into_iter()
            .map(|call| {
                json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}})
            })
            .collect();
        json!({"role": "assistant", "content": self.text, "tool_calls": calls}).to_string()
    }
}

/// A body as it is kept: text, and not more than the limit.
pub(crate) fn captured(body: &[u8]) -> String {
    match body.get(..CAPTURE_LIMIT) {
        Some(beginning) if body.len() > CAPTURE_LIMIT => {
            let mut text = String::from_utf8_lossy(beginning).into_owned();
            text.push_str(CUT);
            text
        }
        Some(_) | None => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Usage as `OpenAI` writes it
/// (<https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage>).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireUsage {
    #[serde(deserialize_with = "or_zero")]
    prompt_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct PromptDetails {
    #[serde(deserialize_with = "or_zero")]
    cached_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    cache_write_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    audio_tokens: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    #[serde(deserialize_with = "or_zero")]
    reasoning_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    audio_tokens: u64,
}

/// A number, or nothing in its place.
pub(crate) fn or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Option::<u64>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl From<WireUsage> for TokenUsage {
    fn from(usage: WireUsage) -> Self {
        let prompt = usage.prompt_tokens_details.unwrap_or_default();
        let completion = usage.completion_tokens_details.unwrap_or_default();
        Self {
            input: usage.prompt_tokens,
            output: usage.completion_tokens,
            cached_input: prompt.cached_tokens,
            cache_write: prompt.cache_write_tokens,
            audio_input: prompt.audio_tokens,
            reasoning: completion.reasoning_tokens,
            audio_output: completion.audio_tokens,
            ..Self::default()
        }
    }
}

/// Usage as the dialects count it.
pub(crate) fn to_wire(usage: &TokenUsage) -> Usage {
    Usage {
        input: usage.input,
        output: usage.output,
        cached_input: usage.cached_input,
        cache_write: usage.cache_write,
        cache_write_hour: usage.cache_write_hour,
        reasoning: usage.reasoning,
        audio_input: usage.audio_input,
        audio_output: usage.audio_output,
    }
}

/// Usage as the dialects count it.
pub(crate) fn from_wire(usage: Usage) -> TokenUsage {
    TokenUsage {
        input: usage.input,
        output: usage.output,
        cached_input: usage.cached_input,
        cache_write: usage.cache_write,
        cache_write_hour: usage.cache_write_hour,
        reasoning: usage.reasoning,
        audio_input: usage.audio_input,
        audio_output: usage.audio_output,
        ..TokenUsage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_put_together_and_not_without_bound() {
        let mut tally = Tally::new(true);
        tally.text("a");
        tally.text("");
        tally.text("b");
        assert_eq!(tally.pieces, 2);
        assert_eq!(tally.output.clone().unwrap().into_text(), "ab");
        for _ in 0..40 {
            tally.text(&"x".repeat(CAPTURE_LIMIT / 32));
        }
        let text = tally.output.unwrap().into_text();
        assert!(text.ends_with(CUT) && text.len() <= CAPTURE_LIMIT + CUT.len());
        assert!(captured(&vec![b'x'; CAPTURE_LIMIT + 1]).ends_with(CUT));
        assert_eq!(captured(b"abc"), "abc");
    }

    #[test]
    fn tool_calls_are_put_together_by_their_index() {
        let mut tally = Tally::new(true);
        for piece in [
            r#"{"index":0,"id":"c1","function":{"name":"f","arguments":""}}"#,
            r#"{"index":1,"id":"c2","function":{"name":"g"}}"#,
            r#"{"index":0,"function":{"arguments":"{\"a\""}}"#,
            r#"{"index":0,"function":{"arguments":":1}"}}"#,
            r#"{"index":100000000}"#,
        ] {
            tally.tool(&serde_json::from_str(piece).unwrap());
        }
        let message: Value = serde_json::from_str(&tally.output.unwrap().into_text()).unwrap();
        assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
        assert_eq!(message["tool_calls"][1]["function"]["name"], "g");
    }

    #[test]
    fn usage_is_read_with_and_without_details() {
        let full = r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,
            "prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":1}}"#;
        let usage: TokenUsage = serde_json::from_str::<WireUsage>(full).unwrap().into();
        assert_eq!(
            (usage.input, usage.output, usage.cached_input, usage.reasoning),
            (9, 2, 3, 1)
        );
        let bare = r#"{"prompt_tokens":9,"prompt_tokens_details":null,"completion_tokens":null}"#;
        let usage: TokenUsage = serde_json::from_str::<WireUsage>(bare).unwrap().into();
        assert_eq!((usage.input, usage.output), (9, 0));
    }
}
