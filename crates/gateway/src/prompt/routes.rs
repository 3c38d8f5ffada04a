//! `/api/prompts`: prompts of a project.
//!
//! Every route takes `?project=NAME`; without it, it is the caller's first project, and `default` for an admin.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    routing::{get, put},
};
use http::{Extensions, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stead_kernel::{
    AccessRequest, Authorizer, Credential, DEFAULT_PROJECT, Error, GROUP, Identity, Result, Verb,
    http::{ApiError, BodyError, read_body},
};

use super::{
    Prompt, Template, TemplateMessage, Version,
    book::{Book, Draft},
    render,
    shelves::{Choice, Entry},
};

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 256 << 10;

#[derive(Clone)]
struct Shelf {
    book: Arc<Book>,
    authorizer: Arc<dyn Authorizer>,
}

/// The routes.
pub(crate) fn routes(book: Arc<Book>, authorizer: Arc<dyn Authorizer>) -> Router {
    Router::new()
        .route("/api/prompts", get(list).post(create))
        .route("/api/prompts/{name}", get(read).delete(remove))
        .route("/api/prompts/{name}/versions/{version}", get(version))
        .route("/api/prompts/{name}/labels/{label}", put(label).delete(unlabel))
        .with_state(Shelf { book, authorizer })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    project: Option<String>,
}

type Parameters = std::result::Result<Query<Options>, QueryRejection>;
type Answer<T> = std::result::Result<T, ApiError>;

/// A list.
#[derive(Debug, Serialize)]
struct List<T> {
    items: Vec<T>,
}

/// A prompt with what is known of its versions.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    prompt: Prompt,
    versions: Vec<Version>,
}

/// A version with the variables that it needs.
#[derive(Debug, Serialize)]
struct ShownVersion {
    #[serde(flatten)]
    version: Version,
    variables: BTreeSet<String>,
}

/// A new version: `messages` or `text`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct New {
    name: String,
    #[serde(default)]
    messages: Option<Vec<TemplateMessage>>,
    #[serde(default)]
    text: Option<String>,
    /// What the prompt is for.
    #[serde(default)]
    purpose: Option<String>,
    /// What is different in this version.
    #[serde(default)]
    description: String,
}

/// Where a label shall point.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointed {
    version: u64,
}

async fn list(State(shelf): State<Shelf>, query: Parameters, request: Request) -> Answer<Json<List<Prompt>>> {
    let (project, _) = shelf.who(query, request.extensions(), Verb::List, None)?;
    Ok(Json(List {
        items: shelf.book.list(&project),
    }))
}

async fn create(
    State(shelf): State<Shelf>,
    query: Parameters,
    request: Request,
) -> Answer<(StatusCode, Json<ShownVersion>)> {
    let (project, author) = shelf.who(query, request.extensions(), Verb::Create, None)?;
    let new: New = body(request).await?;
    let template = match (new.messages, new.text) {
        (Some(messages), None) if !messages.is_empty() => Template::Messages(messages),
        (None, Some(text)) => Template::Text(text),
        _ => return Err(Error::invalid("a prompt has either messages or a text").into()),
    };
    let draft = Draft {
        name: new.name,
        purpose: new.purpose,
        template,
        description: new.description,
        author,
    };
    let version = shelf.book.add(&project, draft).await?;
    Ok((StatusCode::CREATED, Json(shown(&version))))
}

async fn read(
    State(shelf): State<Shelf>,
    Path(name): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Shown>> {
    let (project, _) = shelf.who(query, request.extensions(), Verb::Get, Some(&name))?;
    let entry = shelf.entry(&project, &name)?;
    Ok(Json(Shown {
        prompt: entry.prompt.clone(),
        versions: entry
            .versions
            .values()
            .rev()
            .map(|version| Version::clone(version))
            .collect(),
    }))
}

async fn version(
    State(shelf): State<Shelf>,
    Path((name, version)): Path<(String, String)>,
    query: Parameters,
    request: Request,
) -> Answer<Json<ShownVersion>> {
    let (project, _) = shelf.who(query, request.extensions(), Verb::Get, Some(&name))?;
    let found = shelf.book.find(&project, &name, &Choice::parse(&version));
    let found =
        found.ok_or_else(|| Error::not_found(format!("there is no prompt {name} of version {version}")))?;
    Ok(Json(shown(&found)))
}

async fn remove(
    State(shelf): State<Shelf>,
    Path(name): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<StatusCode> {
    let (project, _) = shelf.who(query, request.extensions(), Verb::Delete, Some(&name))?;
    shelf.book.remove(&project, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn label(
    State(shelf): State<Shelf>,
    Path((name, label)): Path<(String, String)>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Prompt>> {
    let (project, _) = shelf.who(query, request.extensions(), Verb::Update, Some(&name))?;
    let pointed: Pointed = body(request).await?;
    Ok(Json(
        shelf
            .book
            .label(&project, &name, &label, Some(pointed.version))
            .await?,
    ))
}

async fn unlabel(
    State(shelf): State<Shelf>,
    Path((name, label)): Path<(String, String)>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Prompt>> {
    let (project, _) = shelf.who(query, request.extensions(), Verb::Update, Some(&name))?;
    Ok(Json(shelf.book.label(&project, &name, &label, None).await?))
}

fn shown(version: &Version) -> ShownVersion {
    ShownVersion {
        variables: render::variables(&version.template),
        version: version.clone(),
    }
}

impl Shelf {
    fn entry(&self, project: &str, name: &str) -> Result<Arc<Entry>> {
        let entry = self.book.entry(project, name);
        entry.ok_or_else(|| Error::not_found(format!("there is no prompt {name}")))
    }

    /// In which project somebody asks, who it is, and whether they may.
    fn who(
        &self,
        query: Parameters,
        extensions: &Extensions,
        verb: Verb,
        name: Option<&str>,
    ) -> Result<(String, String)> {
        let principal = Identity::require(extensions)?;
        let Query(options) = query.map_err(|error| Error::invalid(error.body_text()))?;
        if let Credential::ApiKey { .. } = principal.credential {
            return Err(Error::forbidden(
                "an API key is good for the model APIs only, not for changing prompts",
            )
            .hint("sign in, or use the admin token"));
        }
        let own = principal.projects.first().map_or(DEFAULT_PROJECT, String::as_str);
        let project = options.project.unwrap_or_else(|| own.to_owned());
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
                resource: "prompts",
                subresource: "",
                project: Some(&project),
                name,
            },
        )?;
        Ok((project, principal.user.clone()))
    }
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T> {
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, BODY_LIMIT)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge => {
                Error::too_large(format!("the request body has more than {BODY_LIMIT} bytes"))
            }
            BodyError::Incomplete => Error::invalid("the request body ended before it was complete"),
        })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::invalid(format!("the request body is not right: {error}")))
}
