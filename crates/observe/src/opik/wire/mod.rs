//! What all of Opik's resources share on the wire.

mod body;
mod error;
mod filters;
mod ids;
mod page;
mod query;
mod stream;
mod times;

pub(crate) use body::{Json, inflate, plain_body};
pub(crate) use error::OpikError;
pub(crate) use filters::{Written, filters, order, typed};
pub(crate) use ids::{IdList, id_of, new_id};
pub(crate) use page::{PageOf, Paging};
pub(crate) use query::Query;
pub(crate) use stream::ndjson;
pub(crate) use times::{from_text, text};

/// The version of Opik whose API this is.
pub(crate) const OPIK_VERSION: &str = "2.1.24";
/// How many items a batch may have (Opik's `@Size(min = 1, max = 1000)`).
pub(crate) const BATCH: usize = 1_000;
/// Where the routes begin, as `Location` headers name them.
pub(crate) const PREFIX: &str = "/opik/api";

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// `201` with the address of what was made.
pub(crate) fn created(path: &str) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    if let Ok(value) = HeaderValue::try_from(format!("{PREFIX}{path}")) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}
