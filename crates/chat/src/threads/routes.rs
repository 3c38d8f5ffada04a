//! `/api/threads`: each user's own conversations.
//!
//! Every route takes `?project=NAME`; without it, it is the caller's first project, and `default` for an admin.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{Extensions, StatusCode},
    routing::get,
};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use stead_kernel::{
    AccessRequest, Authorizer, Credential, DEFAULT_PROJECT, Error, GROUP, Identity, Result, Verb,
    http::ApiError, ports::Page,
};

use super::{
    Message, Role, Said, Thread,
    store::{Owner, Parent, Part, ThreadChange, Threads},
};

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 8 << 20;

#[derive(Clone)]
struct Chat {
    threads: Threads,
    authorizer: Arc<dyn Authorizer>,
}

/// The routes, for the router that holds all domains' routes.
pub(crate) fn routes(ports: &stead_kernel::Ports) -> Router {
    let chat = Chat {
        threads: Threads::new(ports.records.clone()),
        authorizer: ports.authorizer.clone(),
    };
    Router::new()
        .route("/api/threads", get(list).post(create))
        .route("/api/threads/{id}", get(read).patch(change).delete(remove))
        .route("/api/threads/{id}/messages", get(messages).post(append))
        .with_state(chat)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    project: Option<String>,
    limit: usize,
    after: Option<String>,
}

impl Options {
    fn part(self) -> Part {
        Part {
            limit: self.limit,
            after: self.after,
        }
    }
}

type Parameters = std::result::Result<Query<Options>, axum::extract::rejection::QueryRejection>;
type Answer<T> = std::result::Result<T, ApiError>;

/// A new message. Without `parent` it follows the newest one; with `null` it begins anew.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewMessage {
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
    /// The version that the thread must still have.
    #[serde(default)]
    version: Option<u64>,
}

async fn list(State(chat): State<Chat>, query: Parameters, request: Request) -> Answer<Json<Page<Thread>>> {
    let (options, owner) = chat.who(query, request.extensions(), Verb::List, None)?;
    Ok(Json(chat.threads.list(&owner, options.part()).await?))
}

async fn create(
    State(chat): State<Chat>,
    query: Parameters,
    request: Request,
) -> Answer<(StatusCode, Json<Thread>)> {
    let (_, owner) = chat.who(query, request.extensions(), Verb::Create, None)?;
    let thread = chat.threads.create(&owner, body(request).await?).await?;
    Ok((StatusCode::CREATED, Json(thread)))
}

async fn read(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Thread>> {
    let (_, owner) = chat.who(query, request.extensions(), Verb::Get, Some(&id))?;
    Ok(Json(chat.threads.get(&owner, &id).await?))
}

async fn change(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Thread>> {
    let (_, owner) = chat.who(query, request.extensions(), Verb::Patch, Some(&id))?;
    let change: ThreadChange = body(request).await?;
    Ok(Json(chat.threads.change(&owner, &id, change).await?))
}

async fn remove(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<StatusCode> {
    let (_, owner) = chat.who(query, request.extensions(), Verb::Delete, Some(&id))?;
    chat.threads.delete(&owner, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn messages(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Page<Message>>> {
    let (options, owner) = chat.who(query, request.extensions(), Verb::Get, Some(&id))?;
    Ok(Json(chat.threads.messages(&owner, &id, options.part()).await?))
}

async fn append(
    State(chat): State<Chat>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<(StatusCode, Json<Message>)> {
    let (_, owner) = chat.who(query, request.extensions(), Verb::Update, Some(&id))?;
    let new: NewMessage = body(request).await?;
    let said = Said {
        parent: None,
        role: new.role,
        content: new.content,
        model: new.model,
        finish: new.finish,
        usage: new.usage,
    };
    let message = chat
        .threads
        .append(&owner, &id, &new.parent, new.version, said)
        .await?;
    Ok((StatusCode::CREATED, Json(message)))
}

impl Chat {
    /// Who asks, in which project, and whether they may.
    fn who(
        &self,
        query: Parameters,
        extensions: &Extensions,
        verb: Verb,
        name: Option<&str>,
    ) -> Result<(Options, Owner)> {
        let principal = Identity::require(extensions)?;
        let Query(options) = query.map_err(|error| Error::invalid(error.body_text()))?;
        if let Credential::ApiKey { .. } = principal.credential {
            return Err(Error::forbidden(
                "an API key is good for the model APIs only, not for conversations",
            )
            .hint("sign in, or use the admin token"));
        }
        let own = principal.projects.first().map_or(DEFAULT_PROJECT, String::as_str);
        let project = options.project.clone().unwrap_or_else(|| own.to_owned());
        if !principal.owns(&project) {
            return Err(Error::forbidden(format!(
                "project {project} is none of {}'s",
                principal.user
            )));
        }
        self.authorizer.authorize(
            &principal,
            &AccessRequest {
                verb,
                group: GROUP,
                resource: "threads",
                subresource: "",
                project: Some(&project),
                name,
            },
        )?;
        let user = principal.user.clone();
        Ok((options, Owner { user, project }))
    }
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T> {
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
    let bytes = body
        .map_err(|_| {
            Error::too_large(format!(
                "the request body is broken off or has more than {BODY_LIMIT} bytes"
            ))
        })?
        .to_bytes();
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("the request body is not right: {error}")))
}

#[cfg(test)]
mod tests;
