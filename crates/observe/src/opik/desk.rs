//! What handlers of records share: on whose behalf they work, which Opik project is meant, and checks of bodies.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts, Path},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use stead_kernel::{Error, Reason};
use uuid::Uuid;

use super::{
    Caller, Opik,
    shelf::Who,
    wire::{BATCH, IdList, OpikError, Query},
};

/// On whose behalf a request is worked on.
pub(crate) fn who(opik: &Opik, caller: &Caller) -> Who {
    Who::new(
        caller.workspace.clone(),
        caller.user.clone(),
        opik.ports.clock.now(),
    )
}

/// The Opik project that a list is of: the one of its address, else the one of `project_id`, else none in particular.
pub(crate) struct ProjectOf(pub(crate) Option<Uuid>);

impl FromRequestParts<Opik> for ProjectOf {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Opik) -> Result<Self, Response> {
        let named = <Path<Uuid> as OptionalFromRequestParts<()>>::from_request_parts(parts, &()).await;
        if let Some(Path(project)) = named.map_err(IntoResponse::into_response)? {
            return Ok(Self(Some(project)));
        }
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let project = query.id("project_id");
        project.map(Self).map_err(IntoResponse::into_response)
    }
}

/// The id of the Opik project that something is written to, when it names one by id or name; a name that there is not
/// yet makes one. Without either it is written to the workspace itself.
///
/// # Errors
/// `NotFound` when there is no project with the id.
pub(crate) async fn project_to_write(
    opik: &Opik,
    caller: &Caller,
    name: Option<&str>,
    id: Option<&str>,
) -> Result<Option<String>, OpikError> {
    let name = name.filter(|name| !name.trim().is_empty());
    let id = id
        .filter(|id| !id.is_empty())
        .map(|id| uuid(id, "project"))
        .transpose()?;
    if name.is_none() && id.is_none() {
        return Ok(None);
    }
    let project = opik.projects.to_write(caller, name, id).await?;
    Ok(Some(project.to_string()))
}

/// The id of the Opik project that something is looked for in; one that is not there has an id that nothing has.
pub(crate) async fn project_to_read(
    opik: &Opik,
    caller: &Caller,
    name: Option<&str>,
) -> Result<Option<String>, OpikError> {
    let Some(name) = name.filter(|name| !name.trim().is_empty()) else {
        return Ok(None);
    };
    let found = opik.projects.find(&caller.workspace, name).await?;
    Ok(Some(found.map_or(Uuid::nil(), |project| project.id).to_string()))
}

/// An id as it is stored: a UUID in lower case with hyphens.
pub(crate) fn uuid(text: &str, what: &str) -> Result<Uuid, OpikError> {
    text.parse()
        .map_err(|_| OpikError::invalid(format!("{what} id {text:?} is no UUID")))
}

/// Ids of a batch as they are stored.
pub(crate) fn uuids(texts: &[String], what: &str) -> Result<Vec<String>, OpikError> {
    checked_batch(texts.len(), what)?;
    let ids = texts.iter().map(|text| uuid(text, what).map(|id| id.to_string()));
    ids.collect()
}

/// Checks how much a batch holds: 1 to 1,000.
pub(crate) fn checked_batch(length: usize, what: &str) -> Result<(), OpikError> {
    if (1..=BATCH).contains(&length) {
        return Ok(());
    }
    Err(OpikError::unprocessable(format!(
        "{what} size must be between 1 and {BATCH}"
    )))
}

/// A text that must say something.
pub(crate) fn filled<'a>(text: &'a str, what: &str) -> Result<&'a str, OpikError> {
    if text.trim().is_empty() {
        return Err(OpikError::unprocessable(format!("{what} must not be blank")));
    }
    Ok(text)
}

/// An error about what a body says: such a body can be read, and breaks a rule.
pub(crate) fn entity(error: Error) -> OpikError {
    match error.reason() {
        Reason::Invalid => OpikError::unprocessable(error.message()),
        _ => error.into(),
    }
}

/// The ids of a batch.
pub(crate) fn ids(asked: &IdList) -> Result<Vec<String>, OpikError> {
    checked_batch(asked.ids.len(), "ids")?;
    Ok(asked.ids.iter().map(Uuid::to_string).collect())
}
