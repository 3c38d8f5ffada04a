//! Passwords, sign-in links and the admin token.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use stead_kernel::{Error, Principal, Result, http::ApiError};

use super::{
    Access,
    caller::{Caller, Json},
};
use crate::{audit::Act, session::Holder, user::User};

/// What `POST /api/session/links` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkFor {
    /// Whom the link signs in; the administrator when absent.
    user: Option<String>,
}

/// What `PUT /api/users/NAME/password` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: String,
    /// The present password, which users prove who they are by; admins need none.
    old: Option<String>,
}

/// `POST /api/session/links`: makes a link that signs in once.
pub(super) async fn make_link(
    State(access): State<Arc<Access>>,
    caller: Caller,
    Json(LinkFor { user }): Json<LinkFor>,
) -> Result<Response, ApiError> {
    caller.require_admin()?;
    let holder = match &user {
        None => Holder::Administrator,
        Some(name) => holder(&existing(&access, name).await?, name),
    };
    let (secret, expires) = access.links.make(holder, access.clock.now());
    let name = user.as_deref().unwrap_or("admin");
    access
        .audit
        .record(Act::MakeLink, &caller.principal.user, name, caller.visitor.peer)
        .await;
    // Behind the number sign, it reaches no log of a server on the way.
    Ok(uncached(
        &json!({"path": format!("/sign-in#{secret}"), "expires": expires}),
    ))
}

/// `PUT /api/users/NAME/password`: sets a password, and ends the user's other sessions.
pub(super) async fn set_password(
    State(access): State<Arc<Access>>,
    Path(name): Path<String>,
    caller: Caller,
    Json(NewPassword { password, old }): Json<NewPassword>,
) -> Result<StatusCode, ApiError> {
    let Caller { principal, visitor } = &caller;
    if !principal.is_admin() && principal.user != name {
        return Err(Error::forbidden(format!(
            "user {:?} may change their own password only",
            principal.user
        ))
        .into());
    }
    let user = existing(&access, &name).await?;
    let uid = user.metadata.uid.clone().unwrap_or_default();
    if !principal.is_admin() {
        prove(&access, principal, &caller, &uid, old).await?;
    }
    access.passwords.set(&name, &uid, password).await?;
    let own = visitor.session.as_deref().filter(|_| principal.user == name);
    access.sessions.end_all_of(&holder(&user, &name), own).await?;
    access.poke.send_replace(());
    access
        .audit
        .record(Act::SetPassword, &principal.user, &name, visitor.peer)
        .await;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a user show the present password, lest an unwatched browser change it.
async fn prove(
    access: &Access,
    principal: &Principal,
    caller: &Caller,
    uid: &str,
    old: Option<String>,
) -> Result<()> {
    let Some(old) = old else {
        return Err(Error::invalid("the present password is missing").hint("send it as `old`"));
    };
    let (user, peer) = (principal.user.as_str(), caller.visitor.address());
    access.limiter.attempt(user, peer, access.clock.now())?;
    if !access.passwords.verify(Some((user, uid)), old).await? {
        return Err(Error::forbidden("the present password is wrong"));
    }
    access.limiter.succeeded(user, peer);
    Ok(())
}

/// `POST /api/admin-token/rotate`: replaces the admin token, and ends what the old one began.
pub(super) async fn rotate_token(
    State(access): State<Arc<Access>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.require_admin()?;
    let token = access.token.clone();
    let rotated = tokio::task::spawn_blocking(move || token.rotate()).await;
    let text = rotated
        .map_err(|error| Error::internal("the admin token could not be replaced").because(error))??;
    access.links.clear();
    access.sessions.end_all_of(&Holder::Administrator, None).await?;
    access
        .audit
        .record(
            Act::RotateToken,
            &caller.principal.user,
            "admin",
            caller.visitor.peer,
        )
        .await;
    Ok(uncached(&json!({"token": text})))
}

async fn existing(access: &Access, name: &str) -> Result<User> {
    let user = access.user(name).await?;
    user.ok_or_else(|| {
        Error::not_found(format!("there is no user {name:?}")).hint("list them: stead get users")
    })
}

fn holder(user: &User, name: &str) -> Holder {
    Holder::User {
        name: name.to_owned(),
        uid: user.metadata.uid.clone().unwrap_or_default(),
    }
}

fn uncached(body: &serde_json::Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}
