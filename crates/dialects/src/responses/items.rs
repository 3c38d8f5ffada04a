//! Output items: what an answer consists of.

use serde_json::Value;

use super::input::REDACTED;
use crate::{
    chat::{Answer, Citation, Content, Part, Source, TokenLogprob, Vendor},
    json::{List, Object},
    openai::{tool_extra_content, write_logprobs},
};

/// One item of the output.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Reasoning {
        text: String,
        /// What `encrypted_content` says.
        token: Option<String>,
    },
    Message {
        text: String,
        citations: Vec<Citation>,
        logprobs: Vec<TokenLogprob>,
        refusal: String,
    },
    Call {
        id: String,
        name: String,
        arguments: String,
        signature: Option<String>,
    },
    /// A picture, base64.
    Picture(String),
    /// A step of one of OpenAI's own tools, as it is.
    Native(Value),
}

impl Item {
    /// A message without words.
    pub(super) fn message() -> Self {
        Self::Message {
            text: String::new(),
            citations: Vec::new(),
            logprobs: Vec::new(),
            refusal: String::new(),
        }
    }

    /// Thoughts without words.
    pub(super) fn reasoning() -> Self {
        Self::Reasoning {
            text: String::new(),
            token: None,
        }
    }

    /// The id of the item at a place of the output, made from the response's.
    pub(super) fn id(&self, response: &str, place: usize) -> String {
        let kind = match self {
            Self::Reasoning { .. } => "rs",
            Self::Message { .. } => "msg",
            Self::Call { .. } => "fc",
            Self::Picture(_) => "ig",
            Self::Native(item) => match item.get("id").and_then(Value::as_str) {
                Some(id) => return id.to_owned(),
                None => "item",
            },
        };
        let id = response.strip_prefix("resp_").unwrap_or(response);
        format!("{kind}_{id}_{place}")
    }
}

/// What `encrypted_content` says of a signature.
pub(super) fn token(signature: &str) -> String {
    Vendor::OpenAi.show(signature).to_owned()
}

/// What `encrypted_content` says of reasoning that nobody but its vendor can read.
pub(super) fn redacted(data: &str) -> String {
    format!("{REDACTED}{data}")
}

/// The items of a whole answer's first choice: nobody can ask for more in this dialect.
pub(super) fn of_answer(answer: &Answer) -> Vec<Item> {
    let mut items = Vec::new();
    let Some(choice) = answer.choices.first() else {
        return items;
    };
    for part in &choice.parts {
        add(&mut items, part);
    }
    let message = items.iter_mut().find_map(|item| match item {
        Item::Message { logprobs, .. } => Some(logprobs),
        _ => None,
    });
    if let Some(logprobs) = message {
        logprobs.clone_from(&choice.logprobs);
    }
    items
}

fn add(items: &mut Vec<Item>, part: &Part) {
    match &part.content {
        Content::Reasoning { text, signature } => items.push(Item::Reasoning {
            text: text.clone(),
            token: signature.as_deref().map(token),
        }),
        Content::RedactedReasoning { data } => items.push(Item::Reasoning {
            text: String::new(),
            token: Some(redacted(data)),
        }),
        Content::ToolCall {
            id,
            name,
            arguments,
            signature,
        } => items.push(Item::Call {
            id: id.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
            signature: signature.clone(),
        }),
        Content::Image {
            source: Source::Base64 { data, .. },
            ..
        } => items.push(Item::Picture(data.clone())),
        Content::Native { item, .. } => items.push(Item::Native(item.clone())),
        content => {
            if !matches!(items.last(), Some(Item::Message { .. })) {
                items.push(Item::message());
            }
            if let Some(Item::Message {
                text,
                citations,
                refusal,
                ..
            }) = items.last_mut()
            {
                say(content, text, citations, refusal);
            }
        }
    }
}

fn say(content: &Content, text: &mut String, citations: &mut Vec<Citation>, refusal: &mut String) {
    match content {
        Content::Text {
            text: more,
            citations: sources,
        } => {
            text.push_str(more);
            citations.extend_from_slice(sources);
        }
        Content::Refusal(more) => refusal.push_str(more),
        content => text.push_str(&words(content)),
    }
}

/// Media that this dialect does not answer with.
pub(super) fn words(content: &Content) -> String {
    match content {
        Content::Image {
            source: Source::Url { url, .. },
            ..
        } => url.clone(),
        Content::Audio {
            transcript: Some(text),
            ..
        } => text.clone(),
        _ => "[something that this API cannot show]".to_owned(),
    }
}

/// Writes an item. One that is still being made has `in_progress` as its `status`.
pub(super) fn write(mut object: Object<'_>, item: &Item, id: &str, status: &str) {
    object.text("id", id);
    match item {
        Item::Native(item) => {
            let members = item.as_object().into_iter().flatten();
            for (name, value) in members.filter(|(name, _)| *name != "id") {
                object.entry(name, value);
            }
        }
        Item::Reasoning { text, token } => {
            object.text("type", "reasoning");
            let mut list = object.list("summary");
            if !text.is_empty() {
                list.object().text("type", "summary_text").text("text", text);
            }
            drop(list);
            object.text_if("encrypted_content", token.as_deref());
        }
        Item::Message { text, refusal, .. } => {
            object
                .text("type", "message")
                .text("status", status)
                .text("role", "assistant");
            let mut list = object.list("content");
            if !text.is_empty() {
                text_part(list.object(), item);
            }
            if !refusal.is_empty() {
                refusal_part(list.object(), refusal);
            }
        }
        Item::Call {
            id,
            name,
            arguments,
            signature,
        } => {
            object
                .text("type", "function_call")
                .text("status", status)
                .text("call_id", id)
                .text("name", name)
                .text("arguments", arguments);
            if let Some(signature) = signature {
                tool_extra_content(object.object("extra_content"), signature);
            }
        }
        Item::Picture(data) => {
            object
                .text("type", "image_generation_call")
                .text("status", status)
                .text("result", data);
        }
    }
}

/// An `output_text` of a message.
pub(super) fn text_part(mut object: Object<'_>, item: &Item) {
    let Item::Message {
        text,
        citations,
        logprobs,
        ..
    } = item
    else {
        return;
    };
    object.text("type", "output_text").text("text", text);
    let mut list = object.list("annotations");
    for each in citations {
        annotation(list.object(), each);
    }
    drop(list);
    log_probabilities(object.list("logprobs"), logprobs);
}

/// `[{"token", "logprob", "bytes", "top_logprobs"}]`.
pub(super) fn log_probabilities(list: List<'_>, tokens: &[TokenLogprob]) {
    write_logprobs(list, tokens);
}

/// A `refusal` of a message.
pub(super) fn refusal_part(mut object: Object<'_>, refusal: &str) {
    object.text("type", "refusal").text("refusal", refusal);
}

/// `{"type": "url_citation", "url", "title", "start_index", "end_index"}`.
pub(super) fn annotation(mut object: Object<'_>, citation: &Citation) {
    object
        .text("type", "url_citation")
        .text("url", citation.url.as_deref().unwrap_or_default())
        .text("title", citation.title.as_deref().unwrap_or_default())
        .count("start_index", citation.start.unwrap_or(0))
        .count("end_index", citation.end.unwrap_or(0));
}
