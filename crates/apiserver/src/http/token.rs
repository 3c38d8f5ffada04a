//! `serviceaccounts/NAME/token`: tokens on request (`authentication.k8s.io/v1`, `TokenRequest`).

use std::sync::Arc;

use axum::{
    http::{Method, Request, StatusCode},
    response::Response,
};
use serde_json::{Value, json};
use stead_kernel::{AccessRequest, Body, Timestamp, Verb};
use stead_resource::{FieldError, FieldErrorKind};

use super::{answer, body, path::ResourcePath};
use crate::{
    accounts::{ISSUER, TOKEN_LIFE, TokenOrder},
    engine::{Caller, Engine, Part, Target},
    failure::{Failure, Outcome},
    kinds::ACCOUNTS,
    object::{self, root_mut, top},
};

/// How long a token is good when nobody says, in seconds.
const LIFE: i64 = 3600;
/// How long it is good at least, in seconds.
const SHORTEST: i64 = 600;

/// Whether a path asks for a token.
pub(super) fn is_request(path: &ResourcePath) -> bool {
    path.group.is_empty()
        && path.version == "v1"
        && path.resource == "serviceaccounts"
        && path.subresource == "token"
}

pub(super) async fn handle(
    engine: &Arc<Engine>,
    caller: &Caller,
    path: &ResourcePath,
    request: Request<Body>,
) -> Outcome<Response> {
    if request.method() != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let namespace = path.namespace.as_deref().ok_or_else(Failure::no_such_path)?;
    engine.authorizer.authorize(
        &caller.principal,
        &AccessRequest {
            verb: Verb::Create,
            group: "",
            resource: "serviceaccounts",
            subresource: "token",
            project: Some(namespace),
            name: Some(&path.name),
        },
    )?;
    let kind = engine.registry.load().stored_at(ACCOUNTS).map(Arc::clone);
    let target = Target {
        kind: kind.ok_or_else(Failure::no_such_path)?,
        namespace: namespace.into(),
        name: path.name.clone(),
        part: Part::Main,
    };
    let account = engine.get(&target)?;
    let mut question = body::object(request, engine.body_limit).await?.value;
    if !question.is_object() {
        question = json!({});
    }
    let spec = question.get("spec").cloned().unwrap_or(Value::Null);
    let order = order(engine, &target, &account, &spec)?;
    let (audiences, life) = (order.audiences.clone(), order.life);
    let (token, until) = engine.issue(order).await?;
    // Nobody has a token of which there is no record.
    let about = json!({"audiences": audiences, "expires": until});
    engine.note_token(caller, &target, about).await?;
    let until = Timestamp::from_second(until)
        .map(object::time)
        .unwrap_or_default();
    let mut spec = spec;
    let fields = root_mut(&mut spec);
    fields.insert("audiences".into(), json!(audiences));
    fields.insert("expirationSeconds".into(), life.into());
    let answered = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": path.name, "namespace": namespace, "creationTimestamp": engine.now()},
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": until},
    });
    Ok(answer(StatusCode::CREATED, &answered))
}

/// What a request asks for, checked.
fn order<'a>(
    engine: &Engine,
    target: &'a Target,
    account: &'a Value,
    spec: &Value,
) -> Outcome<TokenOrder<'a>> {
    let life = spec
        .get("expirationSeconds")
        .and_then(Value::as_i64)
        .unwrap_or(LIFE);
    if life < SHORTEST {
        let detail = "may not specify a duration less than 10 minutes";
        let error =
            FieldError::new("spec.expirationSeconds", FieldErrorKind::Invalid, detail).with_value(life);
        return Err(Failure::invalid_token_request(&[error]));
    }
    let listed = spec
        .get("audiences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut audiences: Vec<String> = listed.filter_map(Value::as_str).map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.into());
    }
    let bound = spec.get("boundObjectRef").filter(|bound| bound.is_object());
    let secret = match bound {
        None => None,
        Some(bound) if top(bound, "kind") == "Secret" => {
            let (name, uid) = (top(bound, "name"), top(bound, "uid"));
            let kind = engine.registry.load().stored_at("secrets").map(Arc::clone);
            let place = Target {
                kind: kind.ok_or_else(Failure::no_such_path)?,
                name: name.into(),
                ..target.clone()
            };
            let found = engine.get(&place)?;
            let own = object::uid(&found);
            if !uid.is_empty() && uid != own {
                let why = format!(
                    "the UID in the bound object reference ({uid}) does not match the UID in record ({own})"
                );
                return Err(Failure::conflict(&target.kind, &target.name, &why));
            }
            Some((name.to_owned(), own.to_owned()))
        }
        Some(bound) => {
            return Err(Failure::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to object type {:?}: only Secrets are here",
                target.name,
                top(bound, "kind")
            )));
        }
    };
    Ok(TokenOrder {
        namespace: &target.namespace,
        name: &target.name,
        uid: object::uid(account),
        audiences,
        life: life.min(TOKEN_LIFE),
        secret,
    })
}
