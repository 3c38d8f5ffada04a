//! A try at a provider's embeddings: forwarded between ends of `OpenAI`'s dialect, translated otherwise.

use ::http::{StatusCode, Uri};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use stead_dialects::{
    bedrock::embeddings as bedrock,
    chat::{Sent, Target as Wanted, TranslateError, Wire},
    cohere::embeddings as cohere,
    embeddings::{Answer as Vectors, Encoding, Request},
    gemini::embeddings as gemini,
    ollama::embeddings as ollama,
};

use super::{
    Answer, JSON,
    http::{self, ANSWER_LIMIT, Outgoing, collect, refusal, send},
};
use crate::{
    api::surface::Form,
    dispatch::{Call, Failure},
    ledger::Ledger,
    snapshot::{HttpApi, Target},
    tally::{Tally, from_wire},
};

/// How many calls of one request are under way at once, where a provider takes one text a call.
const AT_ONCE: usize = 8;

/// Asks the provider, translating where the two ends differ.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    api: &HttpApi,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let wire = target.provider.wire();
    let is_openai = matches!(wire, Wire::OpenAi | Wire::Mistral);
    if is_openai && call.surface.wire == Wire::OpenAi {
        return http::ask(call, target, api, ledger).await;
    }
    let provider = &target.provider;
    let (request, mut notes) = read(call).map_err(|error| Failure::inexpressible(&error))?;
    let wanted = Wanted {
        model: &target.model,
        default_max_tokens: 0,
        flavor: provider.kind.as_str(),
    };
    let sent = written(wire, &request, wanted).map_err(|error| Failure::inexpressible(&error))?;
    let Some(sent) = sent else {
        return Err(Failure::unsupported(provider, call.operation.describe()));
    };
    notes.extend(sent.iter().flat_map(|sent| sent.notes.iter().cloned()));
    ledger.warn(notes);
    let answers = stream::iter(sent)
        .map(|sent| one(call, target, api, sent))
        .buffered(AT_ONCE)
        .try_collect::<Vec<_>>();
    let vectors = bedrock::joined(answers.await?);
    let mut tally = Tally::new(ledger.keeps_output());
    tally.usage = vectors.usage.map(from_wire);
    tally.finished = true;
    let body = Bytes::from(write(call, &vectors, request.encoding));
    tally.whole(&body);
    Ok(Answer::Whole {
        status: StatusCode::OK,
        sort: JSON,
        body,
        tally,
    })
}

/// The calls that a request needs, one for most providers; `None` for those without embeddings.
fn written(wire: Wire, request: &Request, wanted: Wanted<'_>) -> Result<Option<Vec<Sent>>, TranslateError> {
    Ok(Some(match wire {
        Wire::OpenAi | Wire::Mistral => vec![Sent {
            path: "embeddings".into(),
            body: request.to_openai(wanted.model).to_string().into_bytes(),
            headers: Vec::new(),
            notes: Vec::new(),
        }],
        Wire::Gemini => vec![gemini::provider_request(request, wanted)],
        Wire::Cohere => vec![cohere::request(request, wanted)?],
        Wire::Bedrock => bedrock::requests(request, wanted)?,
        Wire::Responses | Wire::Anthropic | Wire::Ollama | Wire::OllamaGenerate => return Ok(None),
    }))
}

/// Makes one call.
async fn one(call: &Call<'_>, target: &Target, api: &HttpApi, sent: Sent) -> Result<Vectors, Failure> {
    let provider = &target.provider;
    let uri = Uri::try_from(format!("{}/{}", api.base, sent.path))
        .map_err(|_| Failure::unusable(provider, "its address is none for this model"))?;
    let response = send(call, target, Outgoing::plain(api, uri, sent.body.into())).await?;
    if !response.status().is_success() {
        return Err(refusal(call, provider, response).await);
    }
    let counted = response.headers().get(bedrock::INPUT_TOKENS);
    let counted = counted.and_then(|count| count.to_str().ok()?.parse().ok());
    let body = collect(call, provider, response.into_body(), ANSWER_LIMIT).await?;
    let vectors = match provider.wire() {
        Wire::Gemini => gemini::provider_answer(&body),
        Wire::Cohere => cohere::answer(&body),
        Wire::Bedrock => bedrock::answer(&body, counted),
        _ => Vectors::from_openai(&body),
    };
    vectors.map_err(|error| Failure::garbage(provider, &error.message))
}

/// The client's request.
pub(super) fn read(call: &Call<'_>) -> Result<(Request, Vec<String>), TranslateError> {
    let body = &call.request.body;
    match call.surface.wire {
        Wire::Gemini => gemini::request(body, &call.request.fields.model, gemini_form(call)),
        Wire::Ollama => ollama::request(body, ollama_form(call)),
        _ => Request::from_openai(body).map(|request| (request, Vec::new())),
    }
}

/// The answer in the client's dialect.
pub(super) fn write(call: &Call<'_>, vectors: &Vectors, encoding: Encoding) -> Vec<u8> {
    let model = &call.request.fields.model;
    match call.surface.wire {
        Wire::Gemini => gemini::answer(vectors, gemini_form(call)),
        Wire::Ollama => ollama::answer(vectors, model, ollama_form(call)),
        _ => vectors.to_openai(model, encoding).to_string().into_bytes(),
    }
}

fn gemini_form(call: &Call<'_>) -> gemini::Form {
    match call.surface.form {
        Form::Batch => gemini::Form::Batch,
        Form::Usual | Form::Array | Form::Single => gemini::Form::One,
    }
}

fn ollama_form(call: &Call<'_>) -> ollama::Form {
    match call.surface.form {
        Form::Single => ollama::Form::Embeddings,
        Form::Usual | Form::Array | Form::Batch => ollama::Form::Embed,
    }
}
