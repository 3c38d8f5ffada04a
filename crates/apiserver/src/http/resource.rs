//! Requests for objects and collections.

use std::{convert::Infallible, sync::Arc};

use axum::{
    http::{HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use stead_kernel::{Body, Credential, Error, Verb};
use tokio::time::timeout;

use super::{
    Query, Representation, answer, body, fairness::Turn, negotiate, partial, path::ResourcePath, query,
    review, scale, token, warn, watch,
};
use crate::{
    engine::{Caller, Deleted, Engine, Items, Listed, Part, PatchKind, Target, Written, gone_status},
    failure::{Failure, Outcome},
    kinds::{ResourceType, rules::Rules},
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
    /// The client's turn, until all is answered.
    turn: Option<Turn>,
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
        return review::answer_review(engine, &caller, (review, path.namespace.as_deref()), request).await;
    }
    if token::is_request(&path) {
        *label = "create";
        return token::handle(engine, &caller, &path, request).await;
    }
    let watched = path.watched;
    let target = find(engine, path)?;
    let by_path = watched;
    let mut query = Query::parse(request.uri().query());
    if watched {
        query.set("watch", "true");
    }
    let everywhere = target.kind.namespaced && target.namespace.is_empty();
    if target.kind.defined && everywhere && matches!(*request.method(), Method::DELETE | Method::POST) {
        return Err(Failure::no_such_page());
    }
    // The original watches one object by the old path only, and gets it by any other.
    let watches = query.flag("watch") && (by_path || target.name.is_empty());
    let asked = Asked {
        method: request.method(),
        watches,
    };
    let verb = verb(&asked, &target)?;
    *label = verb.as_str();
    engine.authorize(&caller, verb, &asked_about(&target, verb, &query))?;
    let turn = engine.fairness.turn(&caller, verb).await?;
    if target.part == Part::Scale {
        let agent = agent(&request);
        let form = representation(&request, verb, &target.kind)?;
        let scale = scale::handle(engine, &caller, &target, (verb, &query, &agent), request).await?;
        return Ok(answer(StatusCode::OK, &scale::shown(engine, scale, form)));
    }
    let call = Call {
        engine: Arc::clone(engine),
        caller,
        representation: representation(&request, verb, &target.kind)?,
        agent: agent(&request),
        target,
        query,
        turn,
    };
    let core = !call.target.kind.defined;
    let answered = in_time(call, verb, request).await;
    answered.map_err(|failure| {
        if core && verb == Verb::Patch {
            failure.of_core()
        } else {
            failure
        }
    })
}

fn representation(request: &Request<Body>, verb: Verb, kind: &ResourceType) -> Outcome<Representation> {
    let accept = negotiate::accept(request.headers());
    if verb == Verb::Watch {
        accept.representation_of_watch()
    } else {
        accept.representation_of(kind, verb)
    }
}

/// Answers within the time that the client gives, and at most the server's; a watch has its own.
async fn in_time(call: Call, verb: Verb, request: Request<Body>) -> Outcome<Response> {
    if verb == Verb::Watch {
        return call.answer(verb, request).await;
    }
    let limit = call.query.timeout()?;
    let late = |_| Failure::timed_out();
    if !call.target.kind.rules.has_aftermath() {
        return timeout(limit, call.answer(verb, request)).await.map_err(late)?;
    }
    // What follows from such a write must follow, whether its writer waits for it or not.
    let tasks = call.engine.tasks.clone();
    let answering = tasks.spawn("write", async move { call.answer(verb, request).await });
    let broken = |error| Failure::from(Error::internal("the request broke off").because(error));
    timeout(limit, answering).await.map_err(late)?.map_err(broken)?
}

/// The kind and the place that a path names.
fn find(engine: &Engine, path: ResourcePath) -> Outcome<Target> {
    let registry = engine.registry.load();
    let kind = registry.find(&path.group, &path.version, &path.resource);
    let kind = kind.map(Arc::clone).ok_or_else(|| {
        let is_core = |kind: &Arc<ResourceType>| !kind.defined;
        if registry.of_version(&path.group, &path.version).all(is_core) {
            Failure::no_such_path()
        } else {
            Failure::no_such_page()
        }
    })?;
    let part = match path.subresource.as_str() {
        "" => Part::Main,
        "status" if kind.status => Part::Status,
        "scale" if kind.scale.is_some() => Part::Scale,
        "finalize" if *kind.storage == *crate::kinds::NAMESPACES => Part::Finalize,
        _ if kind.defined => return Err(Failure::not_found(&kind, &path.name)),
        _ => return Err(Failure::no_such_path()),
    };
    if path.name.contains('/') {
        return Err(Failure::no_such_path());
    }
    if matches!(path.name.as_str(), "." | "..") {
        let name = &path.name;
        let message = format!("Name parameter invalid: {name:?}: may not be '{name}'");
        return Err(Failure::bad_request(message));
    }
    let fits = if kind.namespaced {
        path.namespace.is_some() || path.name.is_empty()
    } else {
        path.namespace.is_none()
    };
    if !fits {
        return Err(if kind.defined {
            Failure::no_such_page()
        } else {
            Failure::no_such_path()
        });
    }
    Ok(Target {
        kind,
        namespace: path.namespace.unwrap_or_default(),
        name: path.name,
        part,
    })
}

/// What a request says that it wants done.
struct Asked<'a> {
    method: &'a Method,
    watches: bool,
}

fn verb(asked: &Asked<'_>, target: &Target) -> Outcome<Verb> {
    let whole = target.part == Part::Main;
    match (asked.method, target.name.is_empty()) {
        (&Method::GET, _) if asked.watches && whole => Ok(Verb::Watch),
        (&Method::GET, true) => Ok(Verb::List),
        (&Method::GET, false) => Ok(Verb::Get),
        (&Method::POST, true) if !target.namespace.is_empty() || !target.kind.namespaced => Ok(Verb::Create),
        (&Method::PUT, false) => Ok(Verb::Update),
        (&Method::PATCH, false) => Ok(Verb::Patch),
        (&Method::DELETE, false) if whole => Ok(Verb::Delete),
        (&Method::DELETE, true) if target.kind.rules == Rules::Namespace => {
            Err(Failure::method_not_allowed())
        }
        (&Method::DELETE, true) if !target.namespace.is_empty() || !target.kind.namespaced => {
            Ok(Verb::DeleteCollection)
        }
        (&Method::DELETE, false) if target.kind.defined => {
            Err(Failure::not_supported(&target.kind, "delete"))
        }
        (&Method::POST, false) if target.kind.defined && !whole => {
            Err(Failure::not_supported(&target.kind, "create"))
        }
        (&Method::PUT | &Method::PATCH, true) if target.kind.defined => {
            Err(Failure::bad_request("name must be provided"))
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

/// The program that the user agent names.
fn agent(request: &Request<Body>) -> String {
    let header = request.headers().get(header::USER_AGENT);
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let word = text.split('/').next().unwrap_or_default().trim();
    let printable: String = word
        .chars()
        .filter(|letter| !letter.is_control())
        .take(128)
        .collect();
    if printable.is_empty() {
        "unknown".into()
    } else {
        printable
    }
}

impl Call {
    async fn answer(self, verb: Verb, request: Request<Body>) -> Outcome<Response> {
        match verb {
            Verb::Get => self.get().await,
            Verb::List => self.list().await,
            Verb::Watch => self.watch().await,
            Verb::Create => self.create(request).await,
            Verb::Update => self.update(request).await,
            Verb::Patch => self.patch(request).await,
            Verb::Delete => self.delete(request).await,
            Verb::DeleteCollection => self.delete_collection(request).await,
        }
    }

    async fn get(self) -> Outcome<Response> {
        self.check_form(false)?;
        match self.query.get("resourceVersion") {
            "" => {}
            text => match text.parse() {
                Ok(version) => self.engine.reach(version).await?,
                Err(_) => return Err(Failure::plain(query::not_a_version(text))),
            },
        }
        let object = self.engine.get(&self.target)?;
        Ok(self.one(StatusCode::OK, object, &[]))
    }

    /// Refuses a form that an object has and a list has not, or the other way round, and a table of nothing known.
    fn check_form(&self, is_list: bool) -> Outcome<()> {
        match self.representation {
            Representation::Metadata if is_list => Err(Failure::unacceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list ({})",
                self.target.kind.list_kind
            ))),
            Representation::MetadataList if !is_list => Err(Failure::unacceptable(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
                self.target.kind.kind
            ))),
            Representation::Table => Include::check(self.query.get("includeObject")),
            Representation::Whole | Representation::Metadata | Representation::MetadataList => Ok(()),
        }
    }

    async fn list(self) -> Outcome<Response> {
        self.check_form(true)?;
        let options = self.query.list_options(&self.target.kind)?;
        if self.representation == Representation::Whole {
            let items = if self.target.kind.defined {
                Items::Typed
            } else {
                Items::Bare
            };
            let written = self.engine.list_as_text(&self.target, &options, items).await?;
            if let Some((items, listed)) = written {
                let rest = Listed {
                    items: Vec::new(),
                    version: listed.version,
                    next: listed.next,
                    remaining: listed.remaining,
                };
                return Ok(with_items(self.collection(rest), items));
            }
        }
        let listed = self.engine.list(&self.target, options).await?;
        Ok(answer(StatusCode::OK, &self.collection(listed)))
    }

    async fn watch(self) -> Outcome<Response> {
        self.query.check_versions()?;
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
            initial: self.query.initial(),
            bookmarks: self.query.flag("allowWatchBookmarks"),
            timeout: self.query.number("timeoutSeconds")?,
            _turn: self.turn,
            asked: (
                self.caller.clone(),
                asked_about(&self.target, Verb::Watch, &self.query),
            ),
        };
        watch::start(self.engine, request).await
    }

    async fn create(self, request: Request<Body>) -> Outcome<Response> {
        let mut options = self.query.write_options(&self.agent, "CreateOptions")?;
        let parsed = body::object(request, self.engine.body_limit).await?;
        options.duplicates = parsed.duplicates;
        let written = self
            .engine
            .create(&self.caller, &self.target, parsed.value, &options)
            .await?;
        Ok(self.one(StatusCode::CREATED, written.object, &written.warnings))
    }

    async fn update(self, request: Request<Body>) -> Outcome<Response> {
        let mut options = self.query.write_options(&self.agent, "UpdateOptions")?;
        let parsed = body::object(request, self.engine.body_limit).await?;
        options.duplicates = parsed.duplicates;
        let written = self
            .engine
            .update(&self.caller, &self.target, parsed.value, &options)
            .await?;
        Ok(self.written(written))
    }

    async fn patch(self, request: Request<Body>) -> Outcome<Response> {
        let Some(kind) = PatchKind::from_media_type(&body::media_type(&request)) else {
            return Err(Failure::unsupported_media_type(PatchKind::accepted(&self.target)));
        };
        let apply = kind == PatchKind::Apply;
        let agent = if apply { "" } else { &self.agent };
        let mut options = self.query.write_options(agent, "PatchOptions")?;
        let bytes = body::bytes(request, self.engine.body_limit).await?;
        let parsed = if apply {
            let parsed = body::yaml(&bytes)?;
            if !parsed.value.is_object() {
                return Err(Failure::bad_request(format!(
                    "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into \
                     Go value of type map[string]interface {{}}",
                    stead_resource::patch::type_name(&parsed.value)
                )));
            }
            parsed
        } else {
            body::json(&bytes)?
        };
        options.duplicates = parsed.duplicates;
        let written = self
            .engine
            .patch(&self.caller, &self.target, kind, parsed.value, &options)
            .await?;
        Ok(self.written(written))
    }

    fn written(&self, written: Written) -> Response {
        let code = if written.created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        self.one(code, written.object, &written.warnings)
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
            remaining: None,
        };
        Ok(answer(StatusCode::OK, &self.collection(listed)))
    }

    /// The options in the body, if there is one; else those among the parameters.
    async fn delete_options(&self, request: Request<Body>) -> Outcome<crate::engine::DeleteOptions> {
        let given = body::object(request, self.engine.body_limit).await?.value;
        if given.is_null() {
            return self.query.delete_options();
        }
        let (kind, version) = (object::top(&given, "kind"), object::top(&given, "apiVersion"));
        if !matches!(kind, "" | "DeleteOptions") || !given.is_object() {
            let message = format!("no kind {kind:?} is registered for version {version:?}");
            return Err(Failure::bad_request(message));
        }
        let mut errors = Vec::new();
        let dry_run: Vec<&str> = given
            .get("dryRun")
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        errors.extend(query::check_dry_run(&dry_run));
        let orphan = given.get("orphanDependents").and_then(Value::as_bool);
        let policy = object::top(&given, "propagationPolicy");
        let propagation = query::propagation(policy, orphan, &mut errors);
        if !errors.is_empty() {
            return Err(Failure::invalid_options("DeleteOptions", &errors));
        }
        let condition = |name: &str| {
            let conditions = given.get("preconditions");
            conditions
                .map(|conditions| object::top(conditions, name).to_owned())
                .unwrap_or_default()
        };
        Ok(crate::engine::DeleteOptions {
            dry_run: !dry_run.is_empty(),
            propagation,
            preconditions: crate::engine::Preconditions {
                uid: condition("uid"),
                version: condition("resourceVersion"),
            },
        })
    }

    /// One object in the form that the client wants.
    fn one(&self, code: StatusCode, object: Value, warnings: &[String]) -> Response {
        let body = match self.representation {
            Representation::Whole => object,
            Representation::Metadata | Representation::MetadataList => partial(&object),
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
    fn collection(&self, mut listed: Listed) -> Value {
        let kind = &self.target.kind;
        if !kind.defined && self.representation == Representation::Whole {
            // The items of a list of a core kind do not repeat what they are.
            for item in &mut listed.items {
                let item = root_mut(item);
                item.shift_remove("apiVersion");
                item.shift_remove("kind");
            }
        }
        let mut list = match self.representation {
            Representation::Table => self.table(&listed.items),
            Representation::Whole => json!({
                "kind": kind.list_kind,
                "apiVersion": kind.api_version(),
                "metadata": {},
                "items": listed.items,
            }),
            Representation::Metadata | Representation::MetadataList => json!({
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
        } else if kind.defined && self.representation == Representation::Whole {
            metadata.insert("continue".into(), "".into());
        }
        if let Some(remaining) = listed.remaining {
            metadata.insert("remainingItemCount".into(), remaining.into());
        }
        list
    }
}

/// The answer that a list without items is, with the text of its items.
fn with_items(mut list: Value, items: Vec<u8>) -> Response {
    root_mut(&mut list).shift_remove("items");
    let mut head = list.to_string();
    head.pop();
    head.push_str(",\"items\":[");
    let parts = [Bytes::from(head), items.into(), Bytes::from_static(b"]}")];
    let body = Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>)));
    let mut response = (StatusCode::OK, body).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// What of its object a table's row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Whole,
}

impl Include {
    fn check(text: &str) -> Outcome<()> {
        if matches!(text, "" | "None" | "Metadata" | "Object") {
            return Ok(());
        }
        Err(Failure::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {text:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        )))
    }

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
