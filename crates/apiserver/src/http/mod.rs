//! The HTTP surface: paths, methods, bodies and media types of the Kubernetes API.

mod body;
mod discovery;
mod fairness;
mod impersonate;
mod json;
mod negotiate;
mod openapi;
mod path;
mod protobuf;
mod query;
mod resource;
mod review;
mod scale;
mod swagger;
mod token;
mod watch;
mod written;

use std::sync::Arc;

use axum::{
    http::{HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use stead_kernel::{Body, Credential, Error, Identity};

use crate::{
    engine::Engine,
    failure::{Failure, Outcome},
    metrics::Flight,
};
pub(crate) use fairness::Fairness;
use negotiate::Representation;
pub(crate) use openapi::{Document, Documents};
use path::Route;
use query::Query;

/// Answers one request.
pub(crate) async fn serve(engine: Arc<Engine>, request: Request<Body>) -> Response {
    let mut label = "other";
    let flight = Flight::begin(&engine, request.method());
    let format = negotiate::accept(request.headers()).format();
    let response = match handle(&engine, request, &mut label).await {
        Ok(response) => response,
        Err(failure) => {
            let warnings = failure.warnings().to_vec();
            let mut response = failure.into_response();
            warn(&mut response, &warnings);
            response
        }
    };
    let response = written::written(response, format).await;
    engine
        .metrics
        .request(label, response.status().as_u16(), flight.took());
    response
}

async fn handle(engine: &Arc<Engine>, request: Request<Body>, label: &mut &'static str) -> Outcome<Response> {
    let caller = impersonate::caller(
        engine,
        Identity::require(request.extensions())?,
        request.headers(),
    )?;
    // Here, because discovery and questions about oneself ask no authorizer.
    if matches!(caller.principal.credential, Credential::ApiKey { .. }) {
        return Err(Error::forbidden("an API key is good for model APIs only")
            .hint("sign in, or use the admin token")
            .into());
    }
    let route = path::parse(request.uri().path());
    if is_nowhere(&engine.registry.load(), &route) {
        return Err(Failure::no_such_page());
    }
    if let Route::Resource(path) = route {
        return resource::handle(engine, caller, path, request, label).await;
    }
    if matches!(caller.principal.credential, Credential::Gateway { .. }) {
        return Err(Error::forbidden("a gateway knows its kinds").into());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Failure::method_not_allowed());
    }
    *label = "discovery";
    let accept = negotiate::accept(request.headers());
    if !accept.wants_discovery() && route != Route::Swagger {
        accept.representation()?;
    }
    let registry = engine.registry.load();
    match route {
        Route::Version => Ok(answer(StatusCode::OK, &discovery::version(engine.version))),
        Route::Api if accept.wants_discovery() => Ok(discovery::aggregated(&registry, true)),
        Route::Apis if accept.wants_discovery() => Ok(discovery::aggregated(&registry, false)),
        Route::Api => Ok(answer(
            StatusCode::OK,
            &discovery::core_versions(&address(&request)),
        )),
        Route::Apis => Ok(answer(StatusCode::OK, &discovery::groups(&registry))),
        Route::Group(group) => discovery::group(&registry, &group)
            .map(|group| answer(StatusCode::OK, &group))
            .ok_or_else(Failure::no_such_path),
        Route::GroupVersion(group, version) => discovery::resources(&registry, &group, &version)
            .map(|list| answer(StatusCode::OK, &list))
            .ok_or_else(Failure::no_such_path),
        Route::Swagger => swagger::document(&registry, request.headers()),
        Route::OpenApiIndex => Ok(answer(StatusCode::OK, &openapi::index(&registry))),
        Route::OpenApi(group, version) => {
            openapi::document(&registry, &group, &version).ok_or_else(Failure::no_such_path)
        }
        Route::Resource(_) | Route::Unknown => Err(Failure::no_such_path()),
    }
}

/// The address by which the client has reached the server; empty when it did not tell.
fn address(request: &Request<Body>) -> String {
    let authority = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    authority.or(host).unwrap_or_default().to_owned()
}

/// Whether the path is in no group and version that is served; the original answers such with a plain text.
fn is_nowhere(registry: &crate::kinds::Registry, route: &Route) -> bool {
    match route {
        Route::Unknown => true,
        Route::Resource(path) => !discovery::is_served(registry, &path.group, &path.version),
        Route::GroupVersion(group, version) => !discovery::is_served(registry, group, version),
        Route::Group(group) => discovery::group(registry, group).is_none(),
        Route::Version
        | Route::Api
        | Route::Apis
        | Route::Swagger
        | Route::OpenApiIndex
        | Route::OpenApi(..) => false,
    }
}

/// A JSON answer.
fn answer(code: StatusCode, body: &Value) -> Response {
    let mut response = (code, body.to_string()).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Adds what the writer should know, as the Kubernetes API does.
fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning
            .chars()
            .map(|letter| match letter {
                '"' => "\\\"".into(),
                '\\' => "\\\\".into(),
                letter if letter.is_control() => " ".into(),
                letter => letter.to_string(),
            })
            .collect();
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// An object with its metadata only.
fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata"),
    })
}
