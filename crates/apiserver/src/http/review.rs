//! Questions about oneself: who am I, and may I?

use std::sync::Arc;

use axum::{
    http::{Method, Request, StatusCode},
    response::Response,
};
use serde_json::{Value, json};
use stead_kernel::{AccessRequest, Body, Verb};

use super::{answer, body, path::ResourcePath};
use crate::{
    engine::{Caller, Engine},
    failure::{Failure, Outcome},
    object::{map_mut, root_mut, top},
};

/// A question that is answered and not stored.
pub(super) struct Review {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) kind: &'static str,
    answer: fn(&Engine, &Caller, &mut Value),
}

/// The questions that are answered.
pub(super) const REVIEWS: &[Review] = &[
    Review {
        group: "authentication.k8s.io",
        resource: "selfsubjectreviews",
        kind: "SelfSubjectReview",
        answer: who_am_i,
    },
    Review {
        group: "authorization.k8s.io",
        resource: "selfsubjectaccessreviews",
        kind: "SelfSubjectAccessReview",
        answer: may_i,
    },
    Review {
        group: "authorization.k8s.io",
        resource: "selfsubjectrulesreviews",
        kind: "SelfSubjectRulesReview",
        answer: what_may_i,
    },
];

/// The question that a path asks.
pub(super) fn find(path: &ResourcePath) -> Option<&'static Review> {
    REVIEWS.iter().find(|review| {
        review.group == path.group
            && review.resource == path.resource
            && path.version == "v1"
            && path.name.is_empty()
            && path.namespace.is_none()
    })
}

pub(super) async fn answer_review(
    engine: &Arc<Engine>,
    caller: &Caller,
    review: &Review,
    request: Request<Body>,
) -> Outcome<Response> {
    if request.method() != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let mut question = body::object(request, engine.body_limit).await?;
    let root = root_mut(&mut question);
    root.insert("kind".into(), review.kind.into());
    root.insert("apiVersion".into(), format!("{}/v1", review.group).into());
    (review.answer)(engine, caller, &mut question);
    Ok(answer(StatusCode::CREATED, &question))
}

fn who_am_i(_: &Engine, caller: &Caller, review: &mut Value) {
    let user = json!({"username": caller.principal.user, "groups": caller.principal.groups});
    map_mut(review, "status").insert("userInfo".into(), user);
}

fn may_i(engine: &Engine, caller: &Caller, review: &mut Value) {
    let attributes = review.pointer("/spec/resourceAttributes").unwrap_or(&Value::Null);
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
    let refusal = if attributes.is_null() || asked.is_empty() {
        (!caller.principal.is_admin()).then(|| "only admins may do what names no resource".to_owned())
    } else {
        let known: Vec<Verb> = Verb::ALL
            .into_iter()
            .filter(|verb| asked == "*" || verb.as_str() == asked)
            .collect();
        if known.is_empty() && !caller.principal.is_admin() {
            Some(format!("nobody but admins may {asked:?}"))
        } else {
            let refused = known.into_iter().find_map(|verb| {
                engine
                    .authorizer
                    .authorize(&caller.principal, &request(verb))
                    .err()
            });
            refused.map(|error| error.message().to_owned())
        }
    };
    let status = map_mut(review, "status");
    status.insert("allowed".into(), refusal.is_none().into());
    if let Some(why) = refusal {
        status.insert("reason".into(), why.into());
    }
}

fn what_may_i(engine: &Engine, caller: &Caller, review: &mut Value) {
    let project = review.pointer("/spec/namespace").and_then(Value::as_str);
    let registry = engine.registry.load();
    let mut rules = Vec::new();
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
                engine.authorizer.authorize(&caller.principal, &request).is_ok()
            })
            .map(Verb::as_str)
            .collect();
        if !allowed.is_empty() {
            rules.push(json!({"verbs": allowed, "apiGroups": [kind.group], "resources": [kind.plural]}));
        }
    }
    let status = map_mut(review, "status");
    status.insert("resourceRules".into(), rules.into());
    status.insert("nonResourceRules".into(), json!([]));
    status.insert("incomplete".into(), false.into());
}
