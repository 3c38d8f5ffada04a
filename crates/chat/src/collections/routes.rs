//! `/api/collections`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{Extensions, HeaderValue, Method, StatusCode, header},
    routing::{delete, get, post},
};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::{Body, Error, Identity, PROJECT_HEADER, Result, Verb, http::ApiError, ports::Models};

use super::{
    passages,
    store::{Collection, Document, Hit, Store},
};
use crate::{
    caller::{Door, Parameters, body_of},
    threads::Owner,
};

/// The largest request body, in bytes.
const BODY: usize = 32 << 20;
/// The largest answer of an embedding model that is read, in bytes.
const ANSWER: usize = 64 << 20;
/// How many passages are embedded by one request.
const BATCH: usize = 32;
/// How many passages a document has at most.
const PASSAGES: usize = 5_000;
/// How many passages are found at most, and when nobody says.
const MOST: usize = 50;
const USUAL: usize = 6;

#[derive(Clone)]
struct Library {
    store: Store,
    door: Door,
    models: Arc<dyn Models>,
}

/// The routes.
pub(crate) fn routes(ports: &stead_kernel::Ports) -> Router {
    let library = Library {
        store: Store::new(ports.records.clone()),
        door: Door::new(ports),
        models: ports.models.clone(),
    };
    Router::new()
        .route("/api/collections", get(list).post(create))
        .route("/api/collections/search", post(search))
        .route("/api/collections/{id}", delete(remove))
        .route("/api/collections/{id}/documents", get(documents).post(add))
        .route(
            "/api/collections/{id}/documents/{document}",
            delete(remove_document),
        )
        .with_state(library)
}

type Answer<T> = std::result::Result<T, ApiError>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCollection {
    name: String,
    model: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDocument {
    name: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    collections: Vec<String>,
    query: String,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Items<T> {
    items: Vec<T>,
}

async fn list(
    State(library): State<Library>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Items<Collection>>> {
    let (_, owner) = library.door.who(query, request.extensions(), Verb::List, None)?;
    let items = library.store.list(&owner).await?;
    Ok(Json(Items { items }))
}

async fn create(
    State(library): State<Library>,
    query: Parameters,
    request: Request,
) -> Answer<(StatusCode, Json<Collection>)> {
    let (_, owner) = library
        .door
        .who(query, request.extensions(), Verb::Create, None)?;
    let new: NewCollection = body_of(request, BODY).await?;
    let made = library.store.create(&owner, &new.name, &new.model).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn remove(
    State(library): State<Library>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<StatusCode> {
    let (_, owner) = library
        .door
        .who(query, request.extensions(), Verb::Delete, Some(&id))?;
    library.store.delete(&owner, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn documents(
    State(library): State<Library>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Items<Document>>> {
    let (_, owner) = library
        .door
        .who(query, request.extensions(), Verb::Get, Some(&id))?;
    let items = library.store.documents(&owner, &id).await?;
    Ok(Json(Items { items }))
}

async fn add(
    State(library): State<Library>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<(StatusCode, Json<Document>)> {
    let (_, owner) = library
        .door
        .who(query, request.extensions(), Verb::Update, Some(&id))?;
    let identity = identity(request.extensions());
    let new: NewDocument = body_of(request, BODY).await?;
    let collection = library.store.get(&owner, &id).await?;
    let texts = passages::cut(&new.text);
    if texts.is_empty() {
        return Err(Error::invalid("text: there is nothing in it").into());
    }
    if texts.len() > PASSAGES {
        return Err(Error::too_large(format!("text: more than {PASSAGES} passages"))
            .hint("add it in parts")
            .into());
    }
    let mut vectors = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        vectors.extend(library.embed(&identity, &owner, &collection.model, batch).await?);
    }
    let passages = texts.into_iter().zip(vectors).collect();
    let document = library.store.add(&owner, &id, &new.name, passages).await?;
    Ok((StatusCode::CREATED, Json(document)))
}

async fn remove_document(
    State(library): State<Library>,
    Path((id, document)): Path<(String, String)>,
    query: Parameters,
    request: Request,
) -> Answer<StatusCode> {
    let (_, owner) = library
        .door
        .who(query, request.extensions(), Verb::Update, Some(&id))?;
    library.store.remove(&owner, &id, &document).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn search(
    State(library): State<Library>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Items<Hit>>> {
    let (_, owner) = library.door.who(query, request.extensions(), Verb::Get, None)?;
    let identity = identity(request.extensions());
    let asked: Question = body_of(request, BODY).await?;
    let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    let mut items: Vec<Hit> = Vec::new();
    let mut known: Vec<(String, Vec<f32>)> = Vec::new();
    for id in &asked.collections {
        let collection = library.store.get(&owner, id).await?;
        // Collections of one model are asked with one vector.
        let vector = if let Some((_, vector)) = known.iter().find(|(model, _)| *model == collection.model) {
            vector.clone()
        } else {
            let text = std::slice::from_ref(&asked.query);
            let mut vectors = library.embed(&identity, &owner, &collection.model, text).await?;
            let vector = vectors.pop().unwrap_or_default();
            known.push((collection.model.clone(), vector.clone()));
            vector
        };
        items.extend(library.store.search(&owner, id, &vector, limit).await?);
    }
    items.sort_by(|one, two| two.score.total_cmp(&one.score));
    items.truncate(limit);
    Ok(Json(Items { items }))
}

fn identity(extensions: &Extensions) -> Identity {
    extensions
        .get::<Identity>()
        .cloned()
        .unwrap_or(Identity::Anonymous)
}

impl Library {
    /// The vectors of texts, in their order, by a model that is asked as the caller.
    async fn embed(
        &self,
        identity: &Identity,
        owner: &Owner,
        model: &str,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>> {
        let body = json!({"model": model, "input": texts, "encoding_format": "float"});
        let project = HeaderValue::try_from(&owner.project)
            .map_err(|error| Error::invalid("project: no name").because(error))?;
        let request = http::Request::builder()
            .method(Method::POST)
            .uri("/v1/embeddings")
            .header(header::CONTENT_TYPE, "application/json")
            .header(PROJECT_HEADER, project)
            .body(Body::from(body.to_string()))
            .map_err(|error| Error::internal("a request could not be written").because(error))?;
        let (parts, body) = self.models.call(identity.clone(), request).await.into_parts();
        let read = Limited::new(body, ANSWER).collect().await;
        let bytes = read
            .map_err(|error| Error::unavailable("the embedding model's answer broke off").because(error))?
            .to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if !parts.status.is_success() {
            let told = answer.pointer("/error/message").and_then(Value::as_str);
            return Err(Error::unavailable(format!(
                "the embedding model {model} did not answer: {}",
                told.unwrap_or("no reason given")
            ))
            .hint("serve an embedding model, for example minilm, and name its route"));
        }
        let vectors = vectors(&answer);
        if vectors.len() != texts.len() || vectors.iter().any(Vec::is_empty) {
            return Err(Error::unavailable(format!(
                "the model {model} answered no vector for each text"
            )));
        }
        Ok(vectors)
    }
}

/// The vectors of an answer in OpenAI's form (<https://platform.openai.com/docs/api-reference/embeddings/object>), by
/// their `index`.
fn vectors(answer: &Value) -> Vec<Vec<f32>> {
    let data = answer.get("data").and_then(Value::as_array);
    let mut found: Vec<(u64, Vec<f32>)> = data
        .into_iter()
        .flatten()
        .map(|item| {
            let index = item.get("index").and_then(Value::as_u64).unwrap_or(0);
            let numbers = item.get("embedding").and_then(Value::as_array);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "vectors of models have no more precision"
            )]
            let vector = numbers
                .into_iter()
                .flatten()
                .filter_map(Value::as_f64)
                .map(|number| number as f32);
            (index, vector.collect())
        })
        .collect();
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, vector)| vector).collect()
}

#[cfg(test)]
mod tests;
