//! How many tokens a prompt has: the provider's own count where it has one for the client's dialect, an estimate that
//! says so where not.

use ::http::{StatusCode, Uri};
use serde_json::{Value, json};
use stead_dialects::{
    chat::{Content, Part, Request, Target as Wanted, Wire},
    gemini,
};
use stead_kernel::ports::TokenUsage;

use super::{
    Answer, JSON,
    http::{ANSWER_LIMIT, Outgoing, collect, refusal, send},
};
use crate::{
    dispatch::{Call, Failure},
    ledger::Ledger,
    snapshot::{HttpApi, Target},
    tally::Tally,
};

/// About how many bytes of text a token has.
const BYTES_PER_TOKEN: usize = 4;
/// Tokens of a picture or document whose size is not known: about those of a page.
const MEDIA_TOKENS: usize = 1_500;
/// Tokens around each message.
const MESSAGE_TOKENS: usize = 4;

/// Asks the provider, or estimates.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    api: &HttpApi,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let client = call.request.wire;
    let Some(spoken) = api.chats.iter().find(|spoken| spoken.wire == client) else {
        return estimate(call, ledger);
    };
    let provider = &target.provider;
    let path = match client {
        Wire::Gemini => {
            let wanted = Wanted {
                model: &target.model,
                default_max_tokens: 0,
                flavor: provider.kind.as_str(),
            };
            format!("{}:countTokens", gemini::model_path(wanted))
        }
        _ => call.operation.facts().path.to_owned(),
    };
    let uri = Uri::try_from(format!("{}/{path}", spoken.base))
        .map_err(|_| Failure::unusable(provider, "its address is none for this model"))?;
    let body = call
        .request
        .body_for(&target.model, target.provider.kind, call.operation);
    let mut outgoing = Outgoing::plain(api, uri, body);
    outgoing.headers.extend_from_slice(call.passed);
    let response = send(call, target, outgoing).await?;
    if !response.status().is_success() {
        return Err(refusal(call, provider, response).await);
    }
    let status = response.status();
    let body = collect(call, provider, response.into_body(), ANSWER_LIMIT).await?;
    if serde_json::from_slice::<Value>(&body).is_err() {
        return Err(Failure::garbage(provider, "it is no JSON of the expected form"));
    }
    Ok(answer(status, body, ledger))
}

/// Counts by the length of the texts, and says that it did.
pub(super) fn estimate(call: &Call<'_>, ledger: &mut Ledger) -> Result<Answer, Failure> {
    let body = &call.request.body;
    let tokens = match call.request.wire {
        Wire::Gemini => {
            let request = gemini::count_tokens_request(body, &call.request.fields.model);
            count(&request.map_err(|error| Failure::inexpressible(&error))?)
        }
        _ => count(call.request.request().map_err(Failure::inexpressible)?),
    };
    ledger.warn(vec![
        "the count is an estimate: the provider of this model counts no tokens in this dialect".into(),
    ]);
    let body = match call.request.wire {
        Wire::Gemini => gemini::count_tokens_answer(tokens),
        _ => json!({"input_tokens": tokens}).to_string().into_bytes(),
    };
    Ok(answer(StatusCode::OK, body.into(), ledger))
}

/// Counting costs nothing.
fn answer(status: StatusCode, body: bytes::Bytes, ledger: &Ledger) -> Answer {
    let mut tally = Tally::new(ledger.keeps_output());
    tally.usage = Some(TokenUsage::default());
    tally.finished = true;
    tally.whole(&body);
    Answer::Whole {
        status,
        sort: JSON,
        body,
        tally,
    }
}

fn count(request: &Request) -> u64 {
    let messages = request.messages.iter();
    let spoken: usize = messages
        .map(|message| MESSAGE_TOKENS + message.parts.iter().map(part).sum::<usize>())
        .sum();
    let tools: usize = request
        .functions()
        .map(|function| {
            let schema = function
                .parameters
                .as_ref()
                .map_or(0, |schema| schema.to_string().len());
            let described = function.description.as_ref().map_or(0, String::len);
            (function.name.len() + described + schema).div_ceil(BYTES_PER_TOKEN)
        })
        .sum();
    u64::try_from(spoken + tools).unwrap_or(u64::MAX)
}

fn part(part: &Part) -> usize {
    let bytes = match &part.content {
        Content::Text { text, .. } | Content::Reasoning { text, .. } | Content::Refusal(text) => text.len(),
        Content::ToolCall { name, arguments, .. } => name.len() + arguments.len(),
        Content::ToolResult { content, .. } => return content.iter().map(self::part).sum(),
        Content::RedactedReasoning { data } => data.len(),
        Content::Native { item, .. } => item.to_string().len(),
        Content::Image { .. } | Content::Document { .. } | Content::Audio { .. } | Content::Video { .. } => {
            return MEDIA_TOKENS;
        }
    };
    bytes.div_ceil(BYTES_PER_TOKEN)
}
