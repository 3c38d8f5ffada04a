//! Reading whole answers ("The response object"), and what answers and streams have in common.

use crate::{
    chat::{Answer, Choice, Citation, Content, ErrorBody, Part, Source, Stop, TokenLogprob, Wire},
    json::{Fault, Json},
    openai::{read_error, read_tokens, read_usage},
    responses::input,
};

/// Reads a response.
pub(super) fn read(root: &Json<'_>) -> Result<Answer, Fault> {
    if let Some(error) = root.get("error") {
        return Err(error.fault("the provider answered with an error in place of an answer"));
    }
    if !matches!(root.str_of("status"), None | Some("completed" | "incomplete")) {
        return Err(Fault::member(
            root,
            "status",
            "the provider's answer is not complete",
        ));
    }
    let (mut parts, mut logprobs, mut calls) = (Vec::new(), Vec::new(), 0);
    for item in root.require("output")?.list()? {
        logprobs.extend(tokens(item));
        add(item, &mut calls, &mut parts);
    }
    Ok(Answer {
        id: root.str_of("id").unwrap_or_default().to_owned(),
        model: root.str_of("model").unwrap_or_default().to_owned(),
        choices: vec![Choice {
            stop: Some(stop(root, calls > 0)),
            parts,
            logprobs,
        }],
        usage: root.get("usage").and_then(read_usage),
        service_tier: root.str_of("service_tier").map(ToOwned::to_owned),
    })
}

/// Adds what an item says; `calls` counts the calls of functions.
fn add(item: &Json<'_>, calls: &mut u32, parts: &mut Vec<Part>) {
    match item.str_of("type") {
        Some("message") => {
            for part in item.items_of("content") {
                parts.extend(said(part));
            }
        }
        Some("reasoning") => parts.extend(input::reasoning(item).unwrap_or_default()),
        Some("function_call") => {
            parts.push(Part::new(Content::ToolCall {
                id: call_id(item, *calls),
                name: item.str_of("name").unwrap_or_default().to_owned(),
                arguments: arguments(item).unwrap_or("{}").to_owned(),
                signature: None,
            }));
            *calls = calls.saturating_add(1);
        }
        _ => parts.push(whole(item)),
    }
}

/// A part of a message.
fn said(part: &Json<'_>) -> Option<Part> {
    let content = match part.str_of("type") {
        Some("refusal") => Content::Refusal(part.str_of("refusal")?.to_owned()),
        _ => Content::Text {
            text: part.str_of("text")?.to_owned(),
            citations: part.items_of("annotations").iter().filter_map(citation).collect(),
        },
    };
    Some(Part::new(content))
}

/// Log probabilities of a message's texts.
pub(super) fn tokens(item: &Json<'_>) -> Vec<TokenLogprob> {
    let texts = item.items_of("content").iter();
    texts
        .flat_map(|part| read_tokens(part.items_of("logprobs")))
        .collect()
}

/// `url_citation`, or one of the files that OpenAI looked into.
pub(super) fn citation(annotation: &Json<'_>) -> Option<Citation> {
    match annotation.str_of("type")? {
        "file_citation" | "container_file_citation" => Some(Citation {
            title: annotation
                .str_of("filename")
                .or_else(|| annotation.str_of("file_id"))
                .map(ToOwned::to_owned),
            start: annotation.u64_of("start_index"),
            end: annotation.u64_of("end_index"),
            ..Citation::default()
        }),
        _ => input::citation(annotation),
    }
}

/// The id of a call, which its result names; made from its place where the provider gives none.
pub(super) fn call_id(item: &Json<'_>, place: u32) -> String {
    let given = ["call_id", "id"].iter().find_map(|key| item.str_of(key));
    given
        .filter(|id| !id.is_empty())
        .map_or_else(|| format!("call_{place}"), ToOwned::to_owned)
}

/// The arguments of a call that has some.
pub(super) fn arguments<'j>(item: &'j Json<'_>) -> Option<&'j str> {
    item.str_of("arguments").filter(|text| !text.trim().is_empty())
}

/// An item that comes whole: a picture, or a step of one of OpenAI's own tools.
pub(super) fn whole(item: &Json<'_>) -> Part {
    if item.str_of("type") == Some("image_generation_call")
        && let Some(data) = item.str_of("result")
    {
        let format = item.str_of("output_format").unwrap_or("png");
        return Part::new(Content::Image {
            source: Source::Base64 {
                media_type: format!("image/{format}"),
                data: data.to_owned(),
            },
            detail: None,
        });
    }
    Part::new(Content::Native {
        wire: Wire::Responses,
        item: item.to_value(),
    })
}

/// Why a response ended. Reasons that may come later have no word here: the turn can be gone on with.
pub(super) fn stop(response: &Json<'_>, has_calls: bool) -> Stop {
    let is_incomplete = response.str_of("status") == Some("incomplete");
    let details = response.get("incomplete_details");
    match details.and_then(|details| details.str_of("reason")) {
        Some("max_output_tokens") => Stop::Length,
        Some("content_filter") => Stop::ContentFilter,
        Some(_) => Stop::Pause,
        None if is_incomplete => Stop::Pause,
        None if has_calls => Stop::ToolCalls,
        None => Stop::End,
    }
}

/// The error of a response that failed, or of an `error` event.
pub(super) fn failure(error: &Json<'_>) -> ErrorBody {
    let code = error.str_of("code").unwrap_or_default();
    let status = match code {
        "rate_limit_exceeded" => 429,
        code if code.starts_with("invalid_") || code.starts_with("image_") => 400,
        _ => 500,
    };
    read_error(status, error)
}
