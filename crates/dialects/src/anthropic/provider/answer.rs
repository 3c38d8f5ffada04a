//! Reading whole answers.

use crate::{
    Usage,
    chat::{Answer, Choice, Citation, Content, Part, Stop, Vendor},
    json::{Fault, Json},
};

/// Reads a message.
pub(super) fn read(root: &Json<'_>) -> Result<Answer, Fault> {
    if let Some(error) = root.get("error") {
        return Err(error.fault("the provider answered with an error in place of an answer"));
    }
    let Some(blocks) = root.get("content") else {
        return Err(Fault::member(
            root,
            "content",
            "the provider's answer has no content list",
        ));
    };
    let mut parts: Vec<Part> = blocks.list()?.iter().filter_map(block).collect();
    parts.extend(refusal(root));
    let mut counts = Counts::default();
    let usage = root.get("usage");
    if let Some(usage) = usage {
        counts.take(usage);
    }
    Ok(Answer {
        id: root.str_of("id").unwrap_or_default().to_owned(),
        model: root.str_of("model").unwrap_or_default().to_owned(),
        choices: vec![Choice {
            parts,
            stop: root.str_of("stop_reason").map(|reason| stop(reason, root)),
            logprobs: Vec::new(),
        }],
        usage: usage.map(|_| counts.usage()),
        service_tier: usage.and_then(|usage| usage.str_of("service_tier")).map(tier),
    })
}

/// The tier in OpenAI's words.
fn tier(tier: &str) -> String {
    match tier {
        "standard" => "default".to_owned(),
        other => other.to_owned(),
    }
}

/// Blocks of tools that Anthropic runs itself have no place: only its own clients ask for them, and get them as they
/// are.
fn block(block: &Json<'_>) -> Option<Part> {
    let field = |name: &str| block.str_of(name).unwrap_or_default().to_owned();
    let content = match block.str_of("type")? {
        "text" => Content::Text {
            text: field("text"),
            citations: block.items_of("citations").iter().map(citation).collect(),
        },
        "thinking" => Content::Reasoning {
            text: field("thinking"),
            signature: block
                .str_of("signature")
                .filter(|text| !text.is_empty())
                .map(|text| Vendor::Anthropic.mark(text)),
        },
        "redacted_thinking" => Content::RedactedReasoning {
            data: Vendor::Anthropic.mark(&field("data")),
        },
        "tool_use" => Content::ToolCall {
            id: field("id"),
            name: field("name"),
            arguments: input(block),
            signature: None,
        },
        _ => return None,
    };
    Some(Part::new(content))
}

/// A call's input as text.
pub(super) fn input(block: &Json<'_>) -> String {
    block
        .get("input")
        .filter(|input| input.is_object())
        .map_or_else(|| "{}".to_owned(), ToString::to_string)
}

/// Any of the kinds of "Citations": of characters, pages, blocks, search results and the web.
pub(super) fn citation(citation: &Json<'_>) -> Citation {
    let text = |name: &str| citation.str_of(name).map(ToOwned::to_owned);
    Citation {
        url: text("url").or_else(|| text("source")),
        title: text("document_title").or_else(|| text("title")),
        quote: text("cited_text"),
        // Anthropic's places are in the source, not in the answer.
        start: None,
        end: None,
    }
}

/// Why the model refused, when it says so.
fn refusal(root: &Json<'_>) -> Option<Part> {
    let details = root.get("stop_details")?;
    let text = details.str_of("explanation")?;
    (details.str_of("type") == Some("refusal")).then(|| Part::new(Content::Refusal(text.to_owned())))
}

/// `stop_reason`, with `stop_sequence` beside it.
pub(super) fn stop(reason: &str, beside: &Json<'_>) -> Stop {
    match reason {
        "stop_sequence" => Stop::Sequence(beside.str_of("stop_sequence").map(ToOwned::to_owned)),
        "max_tokens" => Stop::Length,
        "model_context_window_exceeded" => Stop::ContextWindow,
        "tool_use" => Stop::ToolCalls,
        "refusal" => Stop::Refusal,
        "pause_turn" => Stop::Pause,
        // `end_turn`, and reasons that may come later.
        _ => Stop::End,
    }
}

/// The latest value of each count: the events of a stream carry parts of them, and all are totals.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    input: u64,
    cached: u64,
    written: u64,
    /// Of those that were written, as far as it is told: for five minutes and for an hour.
    kept: Option<(u64, u64)>,
    output: u64,
    thinking: u64,
}

impl Counts {
    /// Takes what a `usage` object has.
    pub(super) fn take(&mut self, usage: &Json<'_>) {
        let fields = [
            ("input_tokens", &mut self.input),
            ("cache_read_input_tokens", &mut self.cached),
            ("cache_creation_input_tokens", &mut self.written),
            ("output_tokens", &mut self.output),
        ];
        for (name, count) in fields {
            if let Some(given) = usage.u64_of(name) {
                *count = given;
            }
        }
        if let Some(kept) = usage.get("cache_creation") {
            let count = |name: &str| kept.u64_of(name).unwrap_or(0);
            self.kept = Some((
                count("ephemeral_5m_input_tokens"),
                count("ephemeral_1h_input_tokens"),
            ));
        }
        let details = usage.get("output_tokens_details");
        if let Some(given) = details.and_then(|details| details.u64_of("thinking_tokens")) {
            self.thinking = given;
        }
    }

    /// Where Anthropic's own tools run, only the first round's tokens may be told apart
    /// (<https://platform.claude.com/docs/en/build-with-claude/prompt-caching#1-hour-cache-duration>): the rest is what
    /// all of the first round was, or of the usual sort.
    fn written_for_an_hour(self) -> u64 {
        match self.kept {
            Some((0, 1..)) => self.written,
            Some((_, hour)) => hour.min(self.written),
            None => 0,
        }
    }

    /// Anthropic counts tokens read from and written to its cache apart from `input_tokens`; here they are part of the
    /// input.
    pub(super) fn usage(self) -> Usage {
        Usage {
            input: self
                .input
                .saturating_add(self.cached)
                .saturating_add(self.written),
            output: self.output,
            cached_input: self.cached,
            cache_write: self.written,
            cache_write_hour: self.written_for_an_hour(),
            reasoning: self.thinking,
            ..Usage::default()
        }
    }
}
