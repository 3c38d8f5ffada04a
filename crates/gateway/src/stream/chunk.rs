//! Chunks of `OpenAI`'s streams: the few fields that matter
//! (<https://platform.openai.com/docs/api-reference/chat-streaming>).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use stead_kernel::ports::TokenUsage;

use crate::tally::{Tally, ToolPiece, WireUsage};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    /// Of the completions API.
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "reasoning")]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolPiece<'a>>>,
}

/// What a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A part of the answer.
    Part,
    /// Only the usage, after the last part.
    Usage,
    /// The provider failed.
    Error,
}

/// Reads a chunk into the tally.
pub(super) fn read(payload: &[u8], tally: &mut Tally) -> Result<Sort, serde_json::Error> {
    let chunk: Chunk<'_> = serde_json::from_slice(payload)?;
    if chunk.error.is_some() {
        return Ok(Sort::Error);
    }
    if tally.model.is_none() {
        tally.model(chunk.model.as_deref().unwrap_or_default());
    }
    let counted = chunk.usage.map(TokenUsage::from);
    let has_usage = counted.is_some();
    if has_usage {
        tally.usage = counted;
    }
    if chunk.choices.is_empty() && has_usage {
        return Ok(Sort::Usage);
    }
    for choice in chunk.choices {
        take(&choice, tally);
    }
    Ok(Sort::Part)
}

fn take(choice: &Choice<'_>, tally: &mut Tally) {
    tally.finished |= choice.finish_reason.is_some();
    tally.filtered |= choice.finish_reason.as_deref() == Some("content_filter");
    let before = tally.pieces;
    let keeps = choice.index == 0;
    let mut text = |piece: Option<&Cow<'_, str>>, keep: bool| match piece {
        Some(piece) if keep => tally.text(piece),
        Some(piece) if !piece.is_empty() => tally.pieces += 1,
        Some(_) | None => {}
    };
    text(choice.text.as_ref(), keeps);
    let Some(delta) = &choice.delta else { return };
    text(delta.content.as_ref(), keeps);
    text(delta.reasoning_content.as_ref(), false);
    text(delta.refusal.as_ref(), keeps);
    for piece in delta.tool_calls.iter().flatten() {
        tally.tool(piece);
    }
    // A chunk is about a token, however many fields it has.
    tally.pieces = tally.pieces.min(before + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_told_apart() {
        let cases = [
            (
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
                Sort::Part,
                0,
                false,
            ),
            (
                r#"{"choices":[{"index":0,"delta":{"content":"h\u00e9"}}],"usage":null}"#,
                Sort::Part,
                1,
                false,
            ),
            (
                r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#,
                Sort::Part,
                1,
                false,
            ),
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]}"#,
                Sort::Part,
                1,
                false,
            ),
            (r#"{"choices":[{"text":"x"}]}"#, Sort::Part, 1, false),
            (
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                Sort::Part,
                0,
                true,
            ),
            (
                r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
                Sort::Usage,
                0,
                false,
            ),
            (r#"{"error":{"message":"x"}}"#, Sort::Error, 0, false),
            (r#"{"choices":[]}"#, Sort::Part, 0, false),
        ];
        for (text, sort, pieces, finished) in cases {
            let mut tally = Tally::new(true);
            assert_eq!(read(text.as_bytes(), &mut tally).ok(), Some(sort), "{text}");
            assert_eq!((tally.pieces, tally.finished), (pieces, finished), "{text}");
        }
        for garbage in ["", "<html>", "[1]", "{\"choices\":3}"] {
            assert!(
                read(garbage.as_bytes(), &mut Tally::new(false)).is_err(),
                "{garbage}"
            );
        }
    }
}
