//! Providers that speak responses: OpenAI, Azure, and servers that offer the same API.
//!
//! *Invariant:* nothing is kept by the provider unless the client asked for it (`store`): what a later request needs of
//! an answer travels in it, encrypted where only the provider may read it.

mod answer;
mod conversation;
mod request;
mod stream;
mod tools;

use serde_json::Value;

use crate::{
    chat::{
        Answer, Content, Decoder, ErrorBody, ProviderDialect, Request, Sent, Target, Tool, TranslateError,
        Vendor, Wire,
    },
    json::read,
    openai,
};

/// How the API is called in notes and errors.
const NAME: &str = "OpenAI's responses API";

/// Responses, as providers speak them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Provider;

impl ProviderDialect for Provider {
    fn wire(&self) -> Wire {
        Wire::Responses
    }

    fn request(&self, request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
        request::write(request, target)
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, TranslateError> {
        read(body, answer::read)
    }

    fn stream(&self) -> Box<dyn Decoder> {
        Box::new(stream::Reader::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorBody {
        openai::Provider.error(status, body)
    }
}

/// Tools that OpenAI runs itself and that ask nothing of the caller, so that clients of any dialect can have them.
const HOSTED: [&str; 8] = [
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "file_search",
    "code_interpreter",
    "image_generation",
    "mcp",
];

/// Whether a definition is one of a tool that OpenAI runs itself in its responses API alone.
fn is_hosted(definition: &Value) -> bool {
    let kind = definition.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| HOSTED.contains(&kind))
}

/// Whether a request asks for what OpenAI's responses API can say and its chat completions cannot: tools that OpenAI
/// runs itself, steps of theirs, reasoning that it encrypted, or thoughts in the answer.
pub fn is_needed(request: &Request) -> bool {
    let has_tools = request.tools.iter().any(|tool| match tool {
        Tool::Native { wire, definition } => {
            *wire == Wire::Responses || (*wire == Wire::OpenAi && is_hosted(definition))
        }
        Tool::Function(_) => false,
    });
    let wants_thoughts = request.reasoning.as_ref().and_then(|reasoning| reasoning.include) == Some(true);
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    has_tools || wants_thoughts || parts.any(|part| is_own(&part.content))
}

/// Whether only this API can say a part.
fn is_own(content: &Content) -> bool {
    match content {
        Content::Native { wire, .. } => *wire == Wire::Responses,
        Content::Reasoning {
            signature: Some(token),
            ..
        }
        | Content::RedactedReasoning { data: token } => Vendor::OpenAi.own(token).is_some(),
        _ => false,
    }
}

/// Words of which one stands in every request of OpenAI's chat dialect that [`is_needed`] may be true for; to look for
/// them is cheaper than to read the request.
pub const SIGNS: [&str; 7] = [
    "\"web_search",
    "\"file_search\"",
    "\"code_interpreter\"",
    "\"image_generation\"",
    "\"mcp\"",
    "\"openai-responses-v1\"",
    "\"exclude\"",
];
