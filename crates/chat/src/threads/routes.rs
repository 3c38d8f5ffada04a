//! `/api/threads`: each user's own conversations.
//!
//! Every route takes `?project=NAME`; without it, it is the caller's first project, and `default` for an admin.

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use stead_kernel::{Result, Verb, http::ApiError, ports::Page};
use uuid::Uuid;

use super::{
    Message, Role, Said, Thread,
    search::Found,
    store::{Parent, Part, Place, ThreadChange, Threads},
};
use crate::caller::{Door, Parameters, body_of};

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 32 << 20;
/// The largest file of conversations, in bytes.
const IMPORT_LIMIT: usize = 256 << 20;

#[derive(Clone)]
struct Chat {
    threads: Threads,
    door: Door,
}

/// The routes, for the router that holds all domains' routes.
pub(crate) fn routes(ports: &stead_kernel::Ports) -> Router {
    let chat = Chat {
        threads: Threads::new(ports.records.clone()),
        door: Door::new(ports),
    };
    Router::new()
        .route("/api/threads", get(list).post(create))
        .route("/api/threads/search", get(search))
        .route("/api/threads/import", post(import))
        .route("/api/threads/{id}", get(read).patch(change).delete(remove))
        .route("/api/threads/{id}/messages", get(messages).post(append))
        .with_state(chat)
}

type Answer<T> = std::result::Result<T, ApiError>;

/// A new message. Without `parent` it follows the newest one; with `null` it begins anew.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewMessage {
    /// A UUID; given twice, it is one message.
    #[serde(default)]
    id: Option<Uuid>,
    #[serde(default)]
    parent: Parent,
    role: Role,
    content: Value,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    finish: Option<String>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    details: Option<Value>,
    /// The version that the thread must still have.
    #[serde(default)]
    version: Option<u64>,
}

async fn list(State(chat): State<Chat>, query: Parameters, request: Request) -> Answer<Json<Page<Thread>>> {
    let (options, owner) = chat.door.who(query, request.extensions(), Verb::List, None)?;
    Ok(Json(
        chat.threads
            .list(
                &owner,
                Part {
                    limit: options.limit,
                    after: options.after,
                },
            )
            .await?,
    ))
}

/// `GET /api/threads/search?q=TEXT`: threads in whose title or messages the text occurs.
async fn search(State(chat): State<Chat>, query: Parameters, request: Request) -> Answer<Json<Found>> {
    let (options, owner) = chat.door.who(query, request.extensions(), Verb::List, None)?;
    let text = options.q.unwrap_or_default();
    Ok(Json(chat.threads.search(&owner, &text).await?))
}

/// `POST /api/threads/import`: conversations that Open WebUI or this server exported.
async fn import(State(chat): State<Chat>, query: Parameters, request: Request) -> Answer<Json<Vec<Thread>>> {
    let (_, owner) = chat.door.who(query, request.extensions(), Verb::Create, None)?;
    let conversations = crate::import::read(&body_of::<Value>(request, IMPORT_LIMIT).await?)?;
    let mut threads = Vec::with_capacity(conversations.len());
    for conversation in conversations {
        threads.push(chat.threads.import(&owner, conversation).await?);
    }
    Ok(Json(threads))
}

async fn create(
    State(chat): State<Chat>,
    query: Parameters,
    request: Request,
) -> Answer<(StatusCode, Json<Thread>)> {
    let (_, owner) = chat.door.who(query, request.extensions(), Verb::Create, None)?;
    let thread = chat.threads.create(&owner, body(request).await?).await?;
    Ok((StatusCode::CREATED, Json(thread)))
}

async fn read(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Thread>> {
    let (_, owner) = chat.door.who(query, request.extensions(), Verb::Get, Some(&id))?;
    Ok(Json(chat.threads.get(&owner, &id).await?))
}

async fn change(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Thread>> {
    let (_, owner) = chat
        .door
        .who(query, request.extensions(), Verb::Patch, Some(&id))?;
    let change: ThreadChange = body(request).await?;
    Ok(Json(chat.threads.change(&owner, &id, change).await?))
}

async fn remove(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<StatusCode> {
    let (_, owner) = chat
        .door
        .who(query, request.extensions(), Verb::Delete, Some(&id))?;
    chat.threads.delete(&owner, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn messages(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Page<Message>>> {
    let (options, owner) = chat.door.who(query, request.extensions(), Verb::Get, Some(&id))?;
    Ok(Json(
        chat.threads
            .messages(
                &owner,
                &id,
                Part {
                    limit: options.limit,
                    after: options.after,
                },
            )
            .await?,
    ))
}

async fn append(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<(StatusCode, Json<Message>)> {
    let (_, owner) = chat
        .door
        .who(query, request.extensions(), Verb::Update, Some(&id))?;
    let new: NewMessage = body(request).await?;
    let said = Said {
        parent: None,
        role: new.role,
        content: new.content,
        model: new.model,
        finish: new.finish,
        usage: new.usage,
        details: new.details,
    };
    let place = Place {
        id: new.id.map(|id| id.to_string()),
        parent: new.parent,
        version: new.version,
    };
    let message = chat.threads.append(&owner, &id, place, said).await?;
    Ok((StatusCode::CREATED, Json(message)))
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T> {
    body_of(request, BODY_LIMIT).await
}

#[cfg(test)]
mod tests;
