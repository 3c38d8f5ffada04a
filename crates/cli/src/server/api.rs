//! Requests to the resource API, as the generic verbs make them.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use http::{Method, Request, header};
use serde_json::Value;
use stead_kernel::{Body, Error, Result, command::Server};

use super::{failure, remote};
use crate::json::at;

/// In which form objects are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    /// As they are.
    Objects,
    /// As rows of a table that the server lays out.
    Table,
}

impl Accept {
    const fn header(self) -> &'static str {
        match self {
            Self::Objects => "application/json",
            Self::Table => "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        }
    }
}

/// The resource API of a server. Paths begin below `/k8s`, unless said otherwise. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<dyn Server>);

impl Api {
    pub(crate) fn new(server: Arc<dyn Server>) -> Self {
        Self(server)
    }

    pub(crate) fn server(&self) -> &dyn Server {
        self.0.as_ref()
    }

    /// Reads JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.get_as(path, Accept::Objects).await
    }

    /// Reads JSON in the given form.
    pub(crate) async fn get_as(&self, path: &str, accept: Accept) -> Result<Value> {
        let request = self.request(Method::GET, path, accept, None)?;
        remote::read_json(self.0.send(request).await?).await
    }

    /// Reads JSON; `None` when it does not exist.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.reason() == stead_kernel::Reason::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a patch of the given media type.
    pub(crate) async fn patch(&self, path: &str, media_type: &'static str, patch: &Value) -> Result<Value> {
        let request = self.request(Method::PATCH, path, Accept::Objects, Some((media_type, patch)))?;
        remote::read_json(self.0.send(request).await?).await
    }

    /// Deletes.
    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Result<Value> {
        let request = self.request(
            Method::DELETE,
            path,
            Accept::Objects,
            Some(("application/json", options)),
        )?;
        remote::read_json(self.0.send(request).await?).await
    }

    /// Reads a list page by page and returns it as one.
    pub(crate) async fn list(&self, path: &str, query: &Query, accept: Accept) -> Result<Value> {
        let mut query = query.clone();
        query.set("limit", "500");
        let mut whole = self.get_as(&query.on(path), accept).await?;
        while let Some(next) = at(&whole, "/metadata/continue")
            .as_str()
            .filter(|next| !next.is_empty())
        {
            query.set("continue", next);
            let mut page = self.get_as(&query.on(path), accept).await?;
            for part in ["items", "rows"] {
                let more = page.get_mut(part).and_then(Value::as_array_mut);
                if let (Some(all), Some(more)) = (whole.get_mut(part).and_then(Value::as_array_mut), more) {
                    all.append(more);
                }
            }
            let metadata = page.get_mut("metadata").map(Value::take);
            if let Some(whole) = whole.as_object_mut() {
                whole.insert("metadata".into(), metadata.unwrap_or_default());
            }
        }
        Ok(whole)
    }

    /// Opens a stream of bytes, such as a watch.
    pub(crate) async fn stream(
        &self,
        path: &str,
        accept: Accept,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let response = self
            .0
            .send(self.request(Method::GET, path, accept, None)?)
            .await?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = failure::retry_after(response.headers());
            return Err(failure::from_answer(
                status,
                retry_after,
                &remote::read(response).await?,
            ));
        }
        let chunks = response.into_body().into_data_stream();
        let broken = |error| Error::unavailable("the server broke off").because(error);
        Ok(chunks.map(move |chunk| chunk.map_err(broken)).boxed())
    }

    #[expect(clippy::unused_self, reason = "reads as a request of this API")]
    fn request(
        &self,
        method: Method,
        path: &str,
        accept: Accept,
        body: Option<(&'static str, &Value)>,
    ) -> Result<Request<Body>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", remote::RESOURCES))
            .header(header::ACCEPT, accept.header());
        if let Some((media_type, _)) = body {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let body = body.map_or_else(Body::empty, |(_, body)| Body::from(body.to_string()));
        request
            .body(body)
            .map_err(|error| Error::invalid("the request is malformed").because(error))
    }
}

/// A query string in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Sets a parameter, replacing its former value.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.into()));
    }

    /// The path with this query.
    pub(crate) fn on(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let pairs = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish();
        format!("{path}?{pairs}")
    }
}

/// A name as one segment of a path, whatever it holds.
pub(crate) fn segment(name: &str) -> String {
    match name {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => url::form_urlencoded::byte_serialize(name.as_bytes())
            .collect::<String>()
            .replace('+', "%20"),
    }
}
