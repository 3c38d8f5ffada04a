//! Signing in and out, and who is signed in.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use stead_kernel::{Credential, Error, Principal, Result, Timestamp, http::ApiError};

use super::{
    Access,
    caller::{Caller, Json, Visitor},
};
use crate::{
    audit::Act,
    secret,
    session::Holder,
    user::{User, is_name, principal},
};

/// What `POST /api/session` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    user: String,
    password: String,
}

/// What `POST /api/session/link` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    token: String,
}

/// Who is signed in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Me<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    display_name: String,
    admin: bool,
    /// The user's own projects; an admin's are all there are.
    projects: &'a [String],
    /// `session` or `token`.
    credential: &'static str,
    /// What changes by a session must carry in `x-stead-csrf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf: Option<String>,
    /// When the session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// `POST /api/session`: begins a session by name and password.
pub(super) async fn by_password(
    State(access): State<Arc<Access>>,
    visitor: Visitor,
    Json(Password { user, password }): Json<Password>,
) -> Result<Response, ApiError> {
    // What cannot be a name is counted as one, so that it takes no room.
    let counted = if is_name(&user) { user.as_str() } else { "" };
    access
        .limiter
        .attempt(counted, visitor.address(), access.clock.now())?;
    let found = access.user(&user).await?;
    let uid = found
        .as_ref()
        .and_then(|found| found.metadata.uid.as_deref())
        .unwrap_or_default();
    let known = found.as_ref().map(|_| (user.as_str(), uid));
    let right = access.passwords.verify(known, password).await?;
    let Some(found) = found.as_ref().filter(|_| right) else {
        // What was given as a name may be a password by mistake, so only names of users are recorded.
        let name = if found.is_some() { user.as_str() } else { "" };
        access
            .audit
            .record(Act::SignInFailed, name, name, visitor.peer)
            .await;
        return Err(Error::unauthenticated("the user name or the password is wrong").into());
    };
    access.limiter.succeeded(counted, visitor.address());
    if found.spec.disabled {
        access
            .audit
            .record(Act::SignInFailed, &user, &user, visitor.peer)
            .await;
        return Err(disabled(&user).into());
    }
    let holder = Holder::User {
        name: user.clone(),
        uid: uid.to_owned(),
    };
    Ok(begin(&access, &visitor, holder, &principal(found), Some(found)).await?)
}

/// `POST /api/session/link`: begins a session by a link that an admin made.
pub(super) async fn by_link(
    State(access): State<Arc<Access>>,
    visitor: Visitor,
    Json(Link { token }): Json<Link>,
) -> Result<Response, ApiError> {
    let now = access.clock.now();
    access.limiter.attempt("", visitor.address(), now)?;
    let Some(holder) = access.links.redeem(&token, now) else {
        access
            .audit
            .record(Act::SignInFailed, "", "link", visitor.peer)
            .await;
        return Err(Error::unauthenticated("the link is used up or too old")
            .hint("make a new one: stead login-link")
            .into());
    };
    access.limiter.succeeded("", visitor.address());
    let Holder::User { name, uid } = &holder else {
        return Ok(begin(&access, &visitor, holder, &Principal::admin(), None).await?);
    };
    let user = access.user(name).await?;
    let Some(user) = user.filter(|user| user.metadata.uid.as_deref() == Some(uid)) else {
        return Err(Error::unauthenticated("the link's user is no more").into());
    };
    if user.spec.disabled {
        return Err(disabled(name).into());
    }
    Ok(begin(&access, &visitor, holder.clone(), &principal(&user), Some(&user)).await?)
}

/// `GET /api/session`: who is signed in.
pub(super) async fn who_am_i(
    State(access): State<Arc<Access>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let principal = &caller.principal;
    let id = caller
        .visitor
        .session
        .as_deref()
        .filter(|_| principal.credential == Credential::Session);
    let user = access.user(&principal.user).await?;
    let me = Me {
        csrf: id.map(secret::csrf),
        expires: id
            .and_then(|id| access.sessions.find(id, access.clock.now()))
            .map(|session| session.expires),
        ..Me::new(principal, user.as_ref())
    };
    Ok(answer(&me))
}

/// `DELETE /api/session`: ends the session. Without one, nothing happens.
pub(super) async fn out(State(access): State<Arc<Access>>, caller: Caller) -> Result<Response, ApiError> {
    let Caller { principal, visitor } = caller;
    if let Some(id) = visitor
        .session
        .as_deref()
        .filter(|_| principal.credential == Credential::Session)
    {
        access.sessions.end(id).await?;
        access
            .audit
            .record(Act::SignOut, &principal.user, &principal.user, visitor.peer)
            .await;
    }
    Ok((
        StatusCode::NO_CONTENT,
        [(header::SET_COOKIE, visitor.clear_cookie())],
    )
        .into_response())
}

async fn begin(
    access: &Access,
    visitor: &Visitor,
    holder: Holder,
    principal: &Principal,
    user: Option<&User>,
) -> Result<Response> {
    if let Some(old) = &visitor.session {
        access.sessions.end(old).await?;
    }
    let (id, expires) = access.sessions.begin(holder, access.clock.now()).await?;
    access
        .audit
        .record(Act::SignIn, &principal.user, &principal.user, visitor.peer)
        .await;
    let me = Me {
        credential: "session",
        csrf: Some(secret::csrf(&id)),
        expires: Some(expires),
        ..Me::new(principal, user)
    };
    let mut response = answer(&me);
    response
        .headers_mut()
        .insert(header::SET_COOKIE, visitor.set_cookie(&id));
    Ok(response)
}

impl<'a> Me<'a> {
    fn new(principal: &'a Principal, user: Option<&User>) -> Self {
        Self {
            user: &principal.user,
            display_name: user
                .map(|user| user.spec.display_name.clone())
                .unwrap_or_default(),
            admin: principal.is_admin(),
            projects: &principal.projects,
            credential: match principal.credential {
                Credential::Session => "session",
                Credential::Process
                | Credential::Token
                | Credential::ApiKey { .. }
                | Credential::Gateway { .. } => "token",
            },
            csrf: None,
            expires: None,
        }
    }
}

fn answer(me: &Me<'_>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(me)).into_response()
}

fn disabled(user: &str) -> Error {
    Error::forbidden(format!("the user {user} is disabled")).hint("ask an admin")
}
