//! Requests for objects and collections.

use std::sync::Arc;

use axum::{
    http::{Method, Request, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};
use stead_kernel::{Body, Credential, Error, Verb};

use super::{
    Query, Representation, answer, body, negotiate, partial, path::ResourcePath, query, review, warn, watch,
};
use crate::{
    engine::{Caller, Deleted, Engine, Listed, Part, PatchKind, Target, gone_status},
    failure::{Failure, Outcome},
    kinds::ResourceType,
    object::{self, root_mut},
};

/// A request that has been understood.
struct Call {
    engine: Arc<Engine>,
    caller: Caller,
    target: Target,
    query: Query,
    representation: Representation,
    /// The client's program, which owns fields if nobody else is named.
    agent: String,
}

pub(super) async fn handle(
    engine: &Arc<Engine>,
    caller: Caller,
    path: ResourcePath,
    request: Request<Body>,
    label: &mut &'static str,
) -> Outcome<Response> {
    if let Some(review) = review::find(&path) {
        *label = "review";
        // Questions about oneself ask no authorizer.
        if matches!(caller.principal.credential, Credential::Gateway { .. }) {
            return Err(Error::forbidden("a gateway knows what it may do").into());
        }
        return review::answer_review(engine, &caller, review, request).await;
    }
    let target = find(engine, path)?;
    let query = Query::parse(request.uri().query());
    let verb = verb(request.method(), &target, &query)?;
    *label = verb.as_str();
    engine.authorize(&caller, verb, &asked_about(&target, verb, &query))?;
    let call = Call {
        engine: Arc::clone(engine),
        caller,
        representation: negotiate::accept(request.headers()).representation()?,
        agent: agent(&request),
        target,
        query,
    };
    match verb {
        Verb::Get => call.get(),
        Verb::List => call.list().await,
        Verb::Watch => call.watch().await,
        Verb::Create => call.create(request).await,
        Verb::Update => call.update(request).await,
        Verb::Patch => call.patch(request).await,
        Verb::Delete => call.delete(request).await,
        Verb::DeleteCollection => call.delete_collection(request).await,
    }
}

/// The kind and the place that a path names.
fn find(engine: &Engine, path: ResourcePath) -> Outcome<Target> {
    let registry = engine.registry.load();
    let kind = registry
        .find(&path.group, &path.version, &path.resource)
        .map(Arc::clone)
        .ok_or_else(Failure::no_such_path)?;
    let part = match path.subresource.as_str() {
        "" => Part::Main,
        "status" if kind.status => Part::Status,
        "finalize" if *kind.storage == *crate::kinds::NAMESPACES => Part::Finalize,
        _ => return Err(Failure::no_such_path()),
    };
    let fits = if kind.namespaced {
        path.namespace.is_some() || path.name.is_empty()
    } else {
        path.namespace.is_none()
    };
    if !fits {
        return Err(Failure::no_such_path());
    }
    Ok(Target {
        kind,
        namespace: path.namespace.unwrap_or_default(),
        name: path.name,
        part,
    })
}

fn verb(method: &Method, target: &Target, query: &Query) -> Outcome<Verb> {
    let whole = target.part == Part::Main;
    match (method, target.name.is_empty()) {
        (&Method::GET, _) if query.flag("watch") && whole => Ok(Verb::Watch),
        (&Method::GET, true) => Ok(Verb::List),
        (&Method::GET, false) => Ok(Verb::Get),
        (&Method::POST, true) if !target.namespace.is_empty() || !target.kind.namespaced => Ok(Verb::Create),
        (&Method::PUT, false) => Ok(Verb::Update),
        (&Method::PATCH, false) => Ok(Verb::Patch),
        (&Method::DELETE, false) if whole => Ok(Verb::Delete),
        (&Method::DELETE, true) if !target.namespace.is_empty() || !target.kind.namespaced => {
            Ok(Verb::DeleteCollection)
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

/// What the authorizer is asked about: a list or watch that a field selector narrows to one name is about that object,
/// as it is for Kubernetes.
fn asked_about(target: &Target, verb: Verb, query: &Query) -> Target {
    let many = matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection);
    let selectors = query
        .selectors(&target.kind)
        .ok()
        .filter(|_| many && target.name.is_empty());
    let name = selectors.and_then(|selectors| selectors.fields.exact("metadata.name").map(str::to_owned));
    match name {
        Some(name) => Target {
            name,
            ..target.clone()
        },
        None => target.clone(),
    }
}

/// The first word of the user agent.
fn agent(request: &Request<Body>) -> String {
    let header = request.headers().get(header::USER_AGENT);
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let word = text.split(['/', ' ']).next().unwrap_or_default();
    let printable: String = word.chars().take(128).collect();
    if printable.is_empty() {
        "unknown".into()
    } else {
        printable
    }
}

impl Call {
    fn get(self) -> Outcome<Response> {
        let object = self.engine.get(&self.target)?;
        Ok(self.one(StatusCode::OK, object, &[]))
    }

    async fn list(self) -> Outcome<Response> {
        let options = self.query.list_options(&self.target.kind)?;
        let listed = self.engine.list(&self.target, options).await?;
        Ok(answer(StatusCode::OK, &self.collection(listed)))
    }

    async fn watch(self) -> Outcome<Response> {
        let mut selectors = self.query.selectors(&self.target.kind)?;
        if !self.target.name.is_empty() {
            let only = format!("metadata.name={}", self.target.name);
            selectors = crate::engine::Selectors::parse(&self.target.kind, "", &only)?;
        }
        let request = watch::WatchRequest {
            target: self.target.named(&self.target.namespace, ""),
            selectors,
            representation: self.representation,
            include: Include::parse(self.query.get("includeObject")),
            from: self.query.get("resourceVersion").into(),
            initial: self.query.flag("sendInitialEvents"),
            bookmarks: self.query.flag("allowWatchBookmarks"),
            timeout: self.query.number("timeoutSeconds")?,
            asked: (
                self.caller.clone(),
                asked_about(&self.target, Verb::Watch, &self.query),
            ),
        };
        watch::start(self.engine, request).await
    }

    async fn create(self, request: Request<Body>) -> Outcome<Response> {
        let options = self.query.write_options(&self.agent)?;
        let object = body::object(request, self.engine.body_limit).await?;
        let written = self
            .engine
            .create(&self.caller, &self.target, object, &options)
            .await?;
        Ok(self.one(StatusCode::CREATED, written.object, &written.warnings))
    }

    async fn update(self, request: Request<Body>) -> Outcome<Response> {
        let options = self.query.write_options(&self.agent)?;
        let object = body::object(request, self.engine.body_limit).await?;
        let written = self
            .engine
            .update(&self.caller, &self.target, object, &options)
            .await?;
        Ok(self.one(StatusCode::OK, written.object, &written.warnings))
    }

    async fn patch(self, request: Request<Body>) -> Outcome<Response> {
        let Some(kind) = PatchKind::from_media_type(&body::media_type(&request)) else {
            return Err(Failure::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, \
                 application/strategic-merge-patch+json, application/apply-patch+yaml",
            ));
        };
        let apply = kind == PatchKind::Apply;
        let agent = if apply { "" } else { &self.agent };
        let options = self.query.write_options(agent)?;
        if options.force && !apply {
            return Err(Failure::bad_request(
                "force: may not be specified for non-apply patch",
            ));
        }
        let bytes = body::bytes(request, self.engine.body_limit).await?;
        let patch = if apply {
            body::yaml(&bytes)?
        } else {
            body::json(&bytes)?
        };
        let written = self
            .engine
            .patch(&self.caller, &self.target, kind, patch, &options)
            .await?;
        let code = if written.created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Ok(self.one(code, written.object, &written.warnings))
    }

    async fn delete(self, request: Request<Body>) -> Outcome<Response> {
        let options = self.delete_options(request).await?;
        let deleted = self.engine.delete(&self.caller, &self.target, &options).await?;
        Ok(match deleted {
            Deleted::Gone(object) => answer(StatusCode::OK, &gone_status(&self.target, &object)),
            Deleted::Waiting(object) => self.one(StatusCode::OK, object, &[]),
        })
    }

    async fn delete_collection(self, request: Request<Body>) -> Outcome<Response> {
        let list = self.query.list_options(&self.target.kind)?;
        let options = self.delete_options(request).await?;
        let items = self
            .engine
            .delete_collection(&self.caller, &self.target, list, &options)
            .await?;
        let listed = Listed {
            items,
            version: self.engine.store.window().latest(),
            next: String::new(),
        };
        Ok(answer(StatusCode::OK, &self.collection(listed)))
    }

    async fn delete_options(&self, request: Request<Body>) -> Outcome<crate::engine::DeleteOptions> {
        let mut options = self.query.delete_options()?;
        let given = body::object(request, self.engine.body_limit).await?;
        let policy = object::top(&given, "propagationPolicy");
        let orphan = given.get("orphanDependents").and_then(Value::as_bool) == Some(true);
        if !policy.is_empty() || orphan {
            options.propagation = query::propagation(policy, orphan)?;
        }
        if let Some(conditions) = given.get("preconditions") {
            options.preconditions.uid = object::top(conditions, "uid").into();
            options.preconditions.version = object::top(conditions, "resourceVersion").into();
        }
        let dry = given.get("dryRun").and_then(Value::as_array);
        options.dry_run |= dry.is_some_and(|list| !list.is_empty());
        Ok(options)
    }

    /// One object in the form that the client wants.
    fn one(&self, code: StatusCode, object: Value, warnings: &[String]) -> Response {
        let body = match self.representation {
            Representation::Whole => object,
            Representation::Metadata => partial(&object),
            Representation::Table => {
                let version = object::text(&object, "resourceVersion").to_owned();
                let mut table = self.table(&[object]);
                object::metadata_mut(&mut table).insert("resourceVersion".into(), version.into());
                table
            }
        };
        let mut response = answer(code, &body);
        warn(&mut response, warnings);
        response
    }

    fn table(&self, objects: &[Value]) -> Value {
        let include = Include::parse(self.query.get("includeObject"));
        let now = self.engine.clock.now().as_second();
        let mut table = table(&self.target.kind, objects, include, now);
        root_mut(&mut table).insert("columnDefinitions".into(), self.target.kind.columns.definitions());
        table
    }

    /// A list in the form that the client wants.
    fn collection(&self, listed: Listed) -> Value {
        let kind = &self.target.kind;
        let mut list = match self.representation {
            Representation::Table => self.table(&listed.items),
            Representation::Whole => json!({
                "kind": kind.list_kind,
                "apiVersion": kind.api_version(),
                "metadata": {},
                "items": listed.items,
            }),
            Representation::Metadata => json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {},
                "items": listed.items.iter().map(partial).collect::<Vec<_>>(),
            }),
        };
        let metadata = object::metadata_mut(&mut list);
        metadata.insert("resourceVersion".into(), listed.version.to_string().into());
        if !listed.next.is_empty() {
            metadata.insert("continue".into(), listed.next.into());
        }
        list
    }
}

/// What of its object a table's row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Whole,
}

impl Include {
    fn parse(text: &str) -> Self {
        match text {
            "None" => Self::Nothing,
            "Object" => Self::Whole,
            _ => Self::Metadata,
        }
    }
}

/// A table without its columns' definitions; `now` in seconds since 1970.
pub(super) fn table(kind: &ResourceType, objects: &[Value], include: Include, now: i64) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = match kind.view {
                Some(view) => kind.columns.cells(&view(object), now),
                None => kind.columns.cells(object, now),
            };
            let object = match include {
                Include::Nothing => Value::Null,
                Include::Metadata => partial(object),
                Include::Whole => object.clone(),
            };
            json!({"cells": cells, "object": object})
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [],
        "rows": rows,
    })
}
