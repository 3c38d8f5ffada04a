//! The HTTP surface: paths, methods, bodies and media types of the Kubernetes API.

mod body;
mod discovery;
mod negotiate;
mod openapi;
mod path;
mod protobuf;
mod query;
mod resource;
mod review;
mod watch;

use std::sync::Arc;

use axum::{
    http::{HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use stead_kernel::{Body, Credential, Error, Identity};

use crate::{
    engine::{Caller, Engine},
    failure::{Failure, Outcome},
};
use negotiate::Representation;
pub(crate) use openapi::Documents;
use path::Route;
use query::Query;

/// Answers one request.
pub(crate) async fn serve(engine: Arc<Engine>, request: Request<Body>) -> Response {
    let mut label = "other";
    let response = match handle(&engine, request, &mut label).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    };
    engine.metrics.request(label, response.status().as_u16());
    response
}

async fn handle(engine: &Arc<Engine>, request: Request<Body>, label: &mut &'static str) -> Outcome<Response> {
    let caller = Caller {
        principal: Identity::require(request.extensions())?,
    };
    // Here, because discovery and questions about oneself ask no authorizer.
    if matches!(caller.principal.credential, Credential::ApiKey { .. }) {
        return Err(Error::forbidden("an API key is good for model APIs only")
            .hint("sign in, or use the admin token")
            .into());
    }
    let route = path::parse(request.uri().path());
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
    let registry = engine.registry.load();
    match route {
        Route::Version => Ok(answer(StatusCode::OK, &discovery::version(engine.version))),
        Route::Api if accept.wants_discovery() => Ok(discovery::aggregated(&registry, true)),
        Route::Apis if accept.wants_discovery() => Ok(discovery::aggregated(&registry, false)),
        Route::Api => Ok(answer(StatusCode::OK, &discovery::core_versions())),
        Route::Apis => Ok(answer(StatusCode::OK, &discovery::groups(&registry))),
        Route::Group(group) => discovery::group(&registry, &group)
            .map(|group| answer(StatusCode::OK, &group))
            .ok_or_else(Failure::no_such_path),
        Route::GroupVersion(group, version) => discovery::resources(&registry, &group, &version)
            .map(|list| answer(StatusCode::OK, &list))
            .ok_or_else(Failure::no_such_path),
        Route::OpenApiIndex => Ok(answer(StatusCode::OK, &openapi::index(&registry))),
        Route::OpenApi(group, version) => {
            accept.representation()?;
            openapi::document(&registry, &group, &version).ok_or_else(Failure::no_such_path)
        }
        Route::Resource(_) | Route::Unknown => Err(Failure::no_such_path()),
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
