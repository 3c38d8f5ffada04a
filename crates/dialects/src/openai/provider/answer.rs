//! Reading whole answers.

use crate::{
    Usage,
    chat::{Answer, Choice, Content, Part, Source, Stop, TokenLogprob},
    json::{Fault, Json},
    openai::{
        client::{citation, signature},
        reasoning,
    },
};

/// Reads a `chat.completion`.
pub(super) fn read(root: &Json<'_>) -> Result<Answer, Fault> {
    if let Some(error) = root.get("error") {
        return Err(error.fault("the provider answered with an error in place of an answer"));
    }
    let choices = root.require("choices")?.list()?;
    Ok(Answer {
        id: root.str_of("id").unwrap_or_default().to_owned(),
        model: root.str_of("model").unwrap_or_default().to_owned(),
        choices: choices.iter().map(choice).collect::<Result<_, _>>()?,
        usage: root.get("usage").and_then(usage),
        service_tier: root.str_of("service_tier").map(ToOwned::to_owned),
    })
}

fn choice(choice: &Json<'_>) -> Result<Choice, Fault> {
    let message = choice.require("message")?;
    let mut parts = Vec::new();
    reasoning::read(message, &mut parts)?;
    content(message, &mut parts);
    if let Some(refusal) = message.str_of("refusal").filter(|text| !text.is_empty()) {
        parts.push(Part::new(Content::Refusal(refusal.to_owned())));
    }
    media(message, &mut parts);
    for (index, call) in message.items_of("tool_calls").iter().enumerate() {
        parts.push(tool_call(index, call));
    }
    Ok(Choice {
        parts,
        stop: choice.str_of("finish_reason").map(|reason| stop(reason, choice)),
        logprobs: choice.get("logprobs").map(logprobs).unwrap_or_default(),
    })
}

fn content(message: &Json<'_>, parts: &mut Vec<Part>) {
    let text = match message.get("content") {
        Some(Json::Text(text)) => text.as_ref().to_owned(),
        // Some servers answer with a list of parts.
        Some(list) => list
            .items()
            .iter()
            .filter_map(|part| part.str_of("text"))
            .collect(),
        None => String::new(),
    };
    let citations: Vec<_> = message
        .items_of("annotations")
        .iter()
        .filter_map(citation)
        .collect();
    if !text.is_empty() || !citations.is_empty() {
        parts.push(Part::new(Content::Text { text, citations }));
    }
}

fn media(message: &Json<'_>, parts: &mut Vec<Part>) {
    for image in message.items_of("images") {
        parts.extend(picture(image));
    }
    if let Some(audio) = message.get("audio") {
        parts.extend(sound(audio));
    }
}

/// One of OpenRouter's `images`.
pub(super) fn picture(image: &Json<'_>) -> Option<Part> {
    let url = image.get("image_url")?.str_of("url")?;
    Some(Part::new(Content::Image {
        source: Source::from_url(url),
        detail: None,
    }))
}

/// OpenAI's `audio`; its form is the one that was asked for, WAV when nobody says.
fn sound(audio: &Json<'_>) -> Option<Part> {
    Some(Part::new(Content::Audio {
        source: Source::Base64 {
            media_type: "audio/wav".to_owned(),
            data: audio.str_of("data")?.to_owned(),
        },
        transcript: audio.str_of("transcript").map(ToOwned::to_owned),
    }))
}

fn tool_call(index: usize, call: &Json<'_>) -> Part {
    let function = call.get("function");
    let arguments = function.and_then(|function| function.get("arguments"));
    let arguments = match arguments {
        Some(Json::Text(text)) if !text.trim().is_empty() => text.as_ref().to_owned(),
        // Some servers answer with the object itself.
        Some(object @ Json::Object(_)) => object.to_string(),
        _ => "{}".to_owned(),
    };
    Part::new(Content::ToolCall {
        id: call
            .str_of("id")
            .filter(|id| !id.is_empty())
            .map_or_else(|| format!("call_{index}"), ToOwned::to_owned),
        name: function
            .and_then(|function| function.str_of("name"))
            .unwrap_or_default()
            .to_owned(),
        arguments,
        signature: signature(call),
    })
}

/// `finish_reason`; vLLM and SGLang tell the stop text beside it.
pub(super) fn stop(reason: &str, choice: &Json<'_>) -> Stop {
    match reason {
        "length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::ToolCalls,
        "content_filter" => Stop::ContentFilter,
        _ => match choice
            .str_of("stop_reason")
            .or_else(|| choice.str_of("matched_stop"))
        {
            Some(text) => Stop::Sequence(Some(text.to_owned())),
            None => Stop::End,
        },
    }
}

/// Reads `logprobs`: `{"content": [{"token", "logprob", "bytes", "top_logprobs"}]}`.
pub(super) fn logprobs(logprobs: &Json<'_>) -> Vec<TokenLogprob> {
    tokens(logprobs.items_of("content"))
}

/// Reads a list of tokens with their log probabilities.
pub(crate) fn tokens(list: &[Json<'_>]) -> Vec<TokenLogprob> {
    list.iter().map(token).collect()
}

fn token(token: &Json<'_>) -> TokenLogprob {
    let bytes = token.get("bytes").map(|bytes| {
        bytes
            .items()
            .iter()
            .filter_map(|byte| u8::try_from(byte.as_u64()?).ok())
            .collect()
    });
    TokenLogprob {
        token: token.str_of("token").unwrap_or_default().to_owned(),
        logprob: token
            .get("logprob")
            .and_then(|logprob| logprob.number().ok())
            .unwrap_or(0.0),
        bytes,
        top: token.items_of("top_logprobs").iter().map(self::token).collect(),
    }
}

/// Reads a `usage` object; `None` when it counts nothing.
pub(crate) fn usage(usage: &Json<'_>) -> Option<Usage> {
    Usage::from_openai(&usage.to_value())
}
