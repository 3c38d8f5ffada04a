//! Questions that are answered and not stored: who is this, and may they?

use std::sync::Arc;

use axum::{
    http::{Method, Request, StatusCode},
    response::Response,
};
use serde_json::{Value, json};
use stead_kernel::{AccessRequest, Body, Credential, Principal, Verb};

use super::{answer, body, path::ResourcePath};
use crate::{
    engine::{Caller, Engine},
    failure::{Failure, Outcome},
    object::{map_mut, root_mut, top},
    rbac::Ask,
};

/// A question that is answered and not stored.
pub(super) struct Review {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) kind: &'static str,
    pub(super) scope: Scope,
    answer: fn(&Engine, &Caller, &mut Value) -> Outcome<()>,
}

/// Whom and where a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Who asks; everyone may.
    Oneself,
    /// Others; who may `create` it.
    Others,
    /// Others, in one namespace.
    Namespaced,
}

/// The questions that are answered.
pub(super) const REVIEWS: &[Review] = &[
    Review {
        group: "authentication.k8s.io",
        resource: "selfsubjectreviews",
        kind: "SelfSubjectReview",
        scope: Scope::Oneself,
        answer: who_am_i,
    },
    Review {
        group: "authentication.k8s.io",
        resource: "tokenreviews",
        kind: "TokenReview",
        scope: Scope::Others,
        answer: whose_token,
    },
    Review {
        group: "authorization.k8s.io",
        resource: "selfsubjectaccessreviews",
        kind: "SelfSubjectAccessReview",
        scope: Scope::Oneself,
        answer: may_i,
    },
    Review {
        group: "authorization.k8s.io",
        resource: "selfsubjectrulesreviews",
        kind: "SelfSubjectRulesReview",
        scope: Scope::Oneself,
        answer: what_may_i,
    },
    Review {
        group: "authorization.k8s.io",
        resource: "subjectaccessreviews",
        kind: "SubjectAccessReview",
        scope: Scope::Others,
        answer: may_they,
    },
    Review {
        group: "authorization.k8s.io",
        resource: "localsubjectaccessreviews",
        kind: "LocalSubjectAccessReview",
        scope: Scope::Namespaced,
        answer: may_they,
    },
];

/// The question that a path asks.
pub(super) fn find(path: &ResourcePath) -> Option<&'static Review> {
    REVIEWS.iter().find(|review| {
        review.group == path.group
            && review.resource == path.resource
            && path.version == "v1"
            && path.name.is_empty()
            && path.namespace.is_some() == (review.scope == Scope::Namespaced)
    })
}

pub(super) async fn answer_review(
    engine: &Arc<Engine>,
    caller: &Caller,
    (review, namespace): (&Review, Option<&str>),
    request: Request<Body>,
) -> Outcome<Response> {
    if request.method() != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    if review.scope != Scope::Oneself {
        engine.authorizer.authorize(
            &caller.principal,
            &AccessRequest {
                verb: Verb::Create,
                group: review.group,
                resource: review.resource,
                subresource: "",
                project: namespace,
                name: None,
            },
        )?;
    }
    let mut question = body::object(request, engine.body_limit).await?.value;
    let root = root_mut(&mut question);
    root.insert("kind".into(), review.kind.into());
    root.insert("apiVersion".into(), format!("{}/v1", review.group).into());
    let asked = question
        .pointer("/spec/resourceAttributes/namespace")
        .and_then(Value::as_str);
    if let Some(namespace) = namespace.filter(|namespace| asked != Some(*namespace)) {
        return Err(Failure::bad_request(format!(
            "spec.resourceAttributes.namespace: Invalid value: {:?}: must match metadata.namespace {namespace:?}",
            asked.unwrap_or_default()
        )));
    }
    (review.answer)(engine, caller, &mut question)?;
    Ok(answer(StatusCode::CREATED, &question))
}

#[allow(clippy::unnecessary_wraps, reason = "the form that all answers have")]
fn who_am_i(engine: &Engine, caller: &Caller, review: &mut Value) -> Outcome<()> {
    let principal = &caller.principal;
    let mut user = json!({"username": principal.user, "groups": principal.groups});
    let map = root_mut(&mut user);
    if let Some(acting) = &caller.acting {
        if !acting.uid.is_empty() {
            map.insert("uid".into(), acting.uid.clone().into());
        }
        if acting.extra.as_object().is_some_and(|extra| !extra.is_empty()) {
            map.insert("extra".into(), acting.extra.clone());
        }
    } else if let Some(uid) = engine.account_uid(principal) {
        map.insert("uid".into(), uid.into());
    }
    map_mut(review, "status").insert("userInfo".into(), user);
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "the form that all answers have")]
fn whose_token(engine: &Engine, _: &Caller, review: &mut Value) -> Outcome<()> {
    let token = review
        .pointer("/spec/token")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let audiences = review.pointer("/spec/audiences").and_then(Value::as_array);
    let audiences: Vec<&str> = audiences
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let status = engine.review_token(token, &audiences);
    root_mut(review).insert("status".into(), status);
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "the form that all answers have")]
fn may_i(engine: &Engine, caller: &Caller, review: &mut Value) -> Outcome<()> {
    decide(engine, &caller.principal, review);
    Ok(())
}

fn may_they(engine: &Engine, _: &Caller, review: &mut Value) -> Outcome<()> {
    let spec = review.get("spec").unwrap_or(&Value::Null);
    let listed = spec.get("groups").and_then(Value::as_array);
    let groups: Vec<String> = listed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let user = top(spec, "user").to_owned();
    if user.is_empty() && groups.is_empty() {
        return Err(Failure::bad_request(
            "spec.user: Required value: at least one of user or group must be specified",
        ));
    }
    let who = Principal {
        user,
        groups,
        projects: Vec::new(),
        credential: Credential::Token,
    };
    decide(engine, &who, review);
    Ok(())
}

/// Answers whether someone may do what a review asks.
fn decide(engine: &Engine, who: &Principal, review: &mut Value) {
    let resource = review
        .pointer("/spec/resourceAttributes")
        .filter(|attributes| attributes.is_object());
    let path = review
        .pointer("/spec/nonResourceAttributes")
        .filter(|attributes| attributes.is_object());
    let (allowed, reason) = match (resource, path) {
        (Some(attributes), _) => may_do(engine, who, attributes),
        (None, Some(path)) => {
            let allowed = who.is_admin()
                || engine
                    .rbac
                    .policy()
                    .allows_path(who, top(path, "verb"), top(path, "path"));
            (allowed, String::new())
        }
        (None, None) if who.is_admin() => (true, String::new()),
        (None, None) => (false, "only admins may do what names no resource".into()),
    };
    let status = map_mut(review, "status");
    status.insert("allowed".into(), allowed.into());
    if !reason.is_empty() {
        status.insert("reason".into(), reason.into());
    }
}

fn may_do(engine: &Engine, who: &Principal, attributes: &Value) -> (bool, String) {
    let asked = top(attributes, "verb");
    let optional = |field| Some(top(attributes, field)).filter(|text| !text.is_empty());
    let request = |verb| AccessRequest {
        verb,
        group: top(attributes, "group"),
        resource: top(attributes, "resource"),
        subresource: top(attributes, "subresource"),
        project: optional("namespace"),
        name: optional("name"),
    };
    let ask = Ask {
        verb: asked,
        group: top(attributes, "group"),
        resource: top(attributes, "resource"),
        subresource: top(attributes, "subresource"),
        name: optional("name"),
    };
    let by_role = engine.rbac.policy().why(who, optional("namespace"), &ask);
    let known: Vec<Verb> = Verb::ALL
        .into_iter()
        .filter(|verb| asked == "*" || verb.as_str() == asked)
        .collect();
    if who.is_admin() {
        return (true, by_role.unwrap_or_default());
    }
    if let Some(why) = by_role {
        return (true, why);
    }
    if known.is_empty() || ask.resource == "*" || ask.group == "*" {
        return (false, String::new());
    }
    let mut refused = known.into_iter();
    let refused = refused.find_map(|verb| engine.authorizer.authorize(who, &request(verb)).err());
    refused.map_or((true, String::new()), |error| (false, error.message().to_owned()))
}

#[allow(clippy::unnecessary_wraps, reason = "the form that all answers have")]
fn what_may_i(engine: &Engine, caller: &Caller, review: &mut Value) -> Outcome<()> {
    let who = &caller.principal;
    let project = review.pointer("/spec/namespace").and_then(Value::as_str);
    let registry = engine.registry.load();
    let by_roles = engine.rbac.policy().rules(who, project);
    let mut rules: Vec<Value> = Vec::new();
    let mut paths: Vec<Value> = Vec::new();
    for rule in &by_roles {
        let list = if rule.paths.is_empty() {
            &mut rules
        } else {
            &mut paths
        };
        list.push(rule.show());
    }
    for kind in registry.types() {
        let allowed: Vec<&str> = Verb::ALL
            .into_iter()
            .filter(|verb| {
                let request = AccessRequest {
                    verb: *verb,
                    group: &kind.group,
                    resource: &kind.plural,
                    subresource: "",
                    project: project.filter(|_| kind.namespaced),
                    name: None,
                };
                engine.rbac.below().authorize(who, &request).is_ok()
            })
            .map(Verb::as_str)
            .collect();
        if !allowed.is_empty() {
            rules.push(json!({"verbs": allowed, "apiGroups": [kind.group], "resources": [kind.plural]}));
        }
    }
    let status = map_mut(review, "status");
    status.insert("resourceRules".into(), rules.into());
    status.insert("nonResourceRules".into(), paths.into());
    status.insert("incomplete".into(), false.into());
    Ok(())
}
