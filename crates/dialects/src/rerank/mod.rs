//! Ranking documents by how well they answer a query.
//!
//! Clients speak the form that Cohere and Jina began and vLLM, llama.cpp and Together took over (`POST /v1/rerank`):
//! `model`, `query`, `documents`, `top_n`, `return_documents`; answered by `results` of `index`, `relevance_score` and
//! `document`. Each provider has a file that translates it.
//!
//! *Invariants:* results are in order of their score and at most `top_n`, whatever a provider does; documents that were
//! asked for are those of the request.

mod cohere;
mod jina;
mod tei;

use serde_json::{Map, Value, json};

use crate::{
    Usage,
    chat::{Sent, TranslateError, refuse},
    fields::Fields,
};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The model as the client named it.
    pub model: String,
    /// The query.
    pub query: String,
    /// The documents' texts.
    pub documents: Vec<String>,
    /// The most results; all when absent.
    pub top_n: Option<u64>,
    /// Whether results shall have their documents.
    pub return_documents: bool,
    /// To how many tokens each document may be cut.
    pub max_tokens_per_doc: Option<u64>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The provider's id of it; empty when it gave none.
    pub id: String,
    /// The documents in order of their score, best first.
    pub results: Vec<Ranked>,
    /// What it took; `None` when the provider did not count tokens.
    pub usage: Option<Usage>,
    /// Searches that Cohere bills: a query with up to 100 documents is one.
    pub search_units: Option<u64>,
}

/// A document's score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Which document of the request, from 0.
    pub index: usize,
    /// Higher is better; most models give 0 to 1.
    pub score: f64,
}

/// A form of ranking on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Cohere's, version 2.
    Cohere,
    /// Jina's, which vLLM, SGLang, llama.cpp, Together and Fireworks speak too.
    Jina,
    /// Hugging Face's text-embeddings-inference.
    Tei,
}

impl Dialect {
    /// The form that providers of a type speak, by the type's name in resources.
    pub fn of(name: &str) -> Self {
        match name {
            "cohere" => Self::Cohere,
            "tei" => Self::Tei,
            _ => Self::Jina,
        }
    }

    /// Whether the path of [`request`](Self::request) begins at the server's root rather than at its base address: text-embeddings-inference
    /// serves OpenAI's paths below `/v1`, but its own not.
    pub const fn is_at_root(self) -> bool {
        matches!(self, Self::Tei)
    }

    /// Writes a request to `model`.
    pub fn request(self, request: &Request, model: &str) -> Sent {
        match self {
            Self::Cohere => cohere::request(request, model),
            Self::Jina => jina::request(request, model),
            Self::Tei => tei::request(request),
        }
    }

    /// Reads the answer to a request.
    ///
    /// # Errors
    /// When it is none, or ranks documents that the request does not have.
    pub fn answer(self, request: &Request, body: &[u8]) -> Result<Answer, TranslateError> {
        let body: Value =
            serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
        let mut answer = match self {
            Self::Cohere => cohere::answer(&body)?,
            Self::Jina => jina::answer(&body)?,
            Self::Tei => tei::answer(&body)?,
        };
        if let Some(strange) = answer
            .results
            .iter()
            .find(|ranked| ranked.index >= request.documents.len())
        {
            return refuse(
                "results.index",
                format!(
                    "the provider ranked a document {} that is not there",
                    strange.index
                ),
            );
        }
        answer
            .results
            .sort_by(|left, right| right.score.total_cmp(&left.score));
        if let Some(most) = request.top_n.and_then(|most| usize::try_from(most).ok()) {
            answer.results.truncate(most);
        }
        Ok(answer)
    }
}

impl Request {
    /// Reads a client's request; the notes tell what was left out.
    ///
    /// # Errors
    /// Names the field that is malformed, or documents that are no texts.
    pub fn read(body: &[u8]) -> Result<(Self, Vec<String>), TranslateError> {
        let body: Value =
            serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
        let fields = Fields::new(&body, "")?;
        let Some(Value::Array(documents)) = fields.get("documents") else {
            return refuse("documents", "must be a list of texts");
        };
        let documents: Vec<String> = documents
            .iter()
            .enumerate()
            .map(|(index, each)| document(index, each))
            .collect::<Result<_, _>>()?;
        if documents.is_empty() {
            return refuse("documents", "must not be empty");
        }
        let known = [
            "model",
            "query",
            "documents",
            "top_n",
            "return_documents",
            "max_tokens_per_doc",
        ];
        let notes = fields
            .others(&known)
            .map(|(name, _)| format!("{name} was left out: it is no parameter of ranking in common"))
            .collect();
        let request = Self {
            model: fields.required("model")?.to_owned(),
            query: fields.required("query")?.to_owned(),
            documents,
            top_n: fields.count("top_n")?,
            return_documents: fields.flag("return_documents")?.unwrap_or(false),
            max_tokens_per_doc: fields.count("max_tokens_per_doc")?,
        };
        if request.top_n == Some(0) {
            return refuse("top_n", "must be above 0");
        }
        Ok((request, notes))
    }
}

/// A document is a text, or an object with its `text`.
fn document(index: usize, document: &Value) -> Result<String, TranslateError> {
    let text = document.as_str().or_else(|| document.get("text")?.as_str());
    text.map_or_else(
        || {
            refuse(
                format!("documents[{index}]"),
                "must be a text, or an object with a text",
            )
        },
        |text| Ok(text.to_owned()),
    )
}

impl Answer {
    /// Writes the answer for a client; `model` is the name that it knows, `id` the gateway's id of the request, which
    /// is used when the provider gave none.
    pub fn write(&self, request: &Request, model: &str, id: &str) -> Value {
        let results: Vec<Value> = self
            .results
            .iter()
            .map(|ranked| {
                let mut out = json!({"index": ranked.index, "relevance_score": ranked.score});
                let document = request.documents.get(ranked.index);
                if let (Value::Object(members), Some(text), true) =
                    (&mut out, document, request.return_documents)
                {
                    members.insert("document".to_owned(), json!({"text": text}));
                }
                out
            })
            .collect();
        let mut out = Map::new();
        let id = if self.id.is_empty() { id } else { &self.id };
        out.insert("id".to_owned(), id.into());
        out.insert("model".to_owned(), model.into());
        out.insert("results".to_owned(), Value::Array(results));
        if let Some(usage) = &self.usage {
            let total = usage.input.saturating_add(usage.output);
            out.insert(
                "usage".to_owned(),
                json!({"prompt_tokens": usage.input, "total_tokens": total}),
            );
        }
        if let Some(units) = self.search_units {
            // Where Cohere's SDK looks.
            out.insert(
                "meta".to_owned(),
                json!({"billed_units": {"search_units": units}}),
            );
        }
        Value::Object(out)
    }
}

/// Results as a list of `index` and a score.
fn ranked(results: Option<&Value>, score: &str) -> Result<Vec<Ranked>, TranslateError> {
    let Some(results) = results.and_then(Value::as_array) else {
        return refuse("results", "the provider's answer has no results");
    };
    let read = |result: &Value| {
        Some(Ranked {
            index: usize::try_from(result.get("index")?.as_u64()?).ok()?,
            score: result.get(score)?.as_f64()?,
        })
    };
    let all: Option<Vec<Ranked>> = results.iter().map(read).collect();
    all.map_or_else(
        || refuse("results", "the provider's results lack their index or score"),
        Ok,
    )
}

/// A request as it is sent.
fn sent(body: &Value, notes: Vec<String>) -> Sent {
    Sent {
        path: "rerank".to_owned(),
        body: body.to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    }
}
