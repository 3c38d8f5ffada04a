//! HTTP to the server, with connections kept alive.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::Value;
use stead_kernel::{Body, DEFAULT_PROJECT, Error, Result, command::Server};

use super::{Finder, Target, failure, find::START};

/// How long connecting may take; answers may take as long as they need.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read as one, in bytes.
pub(super) const LARGEST_ANSWER: usize = 256 << 20;
/// Where the resource API is.
pub(super) const RESOURCES: &str = "/k8s";

/// A server that was found.
#[derive(Clone)]
pub(super) struct Remote(Arc<Inner>);

struct Inner {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    target: Target,
    authorization: Option<HeaderValue>,
    user_agent: HeaderValue,
}

impl Remote {
    /// Prepares to speak to the server; nothing is sent yet.
    pub(super) fn new(target: Target, version: &str) -> Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = trust(&target)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let authorization = target.token.as_deref().map(bearer).transpose()?;
        let user_agent = HeaderValue::try_from(format!("stead-cli/{version}"))
            .unwrap_or_else(|_| HeaderValue::from_static("stead-cli"));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self(Arc::new(Inner {
            client,
            target,
            authorization,
            user_agent,
        })))
    }

    async fn dispatch(&self, mut request: Request<Body>) -> Result<Response<Body>> {
        let inner = &self.0;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let full = format!("{}{}", inner.target.base, path.trim_start_matches('/'));
        *request.uri_mut() =
            Uri::try_from(full).map_err(|error| Error::invalid("the path is malformed").because(error))?;
        let headers = request.headers_mut();
        if let Some(authorization) = &inner.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        headers.insert(header::USER_AGENT, inner.user_agent.clone());
        let answer = inner.client.request(request).await;
        answer
            .map(|response| response.map(Body::new))
            .map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> Error {
        let target = &self.0.target;
        let root = root_cause(error);
        let text = if error.is_connect() {
            format!("no server answers at {}", self.address())
        } else {
            format!("the server at {} broke off", self.address())
        };
        let known = Error::unavailable(text);
        let known = if root.contains("certificate") {
            known.hint("name the file with its CA: STEAD_CA=ca.pem")
        } else if target.own && error.is_connect() {
            known.hint(START)
        } else {
            known
        };
        known.because(root)
    }
}

/// The innermost cause; the ones around it only say that connecting failed.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn bearer(token: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Error::invalid("the token holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The certificates to trust; read only where they are needed, since reading the system's takes milliseconds.
fn trust(target: &Target) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if target.base.scheme() == "https" {
        match &target.ca {
            Some(file) => add_file(&mut roots, file)?,
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("TLS could not be set up").because(error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<()> {
    let unreadable = |why: String| {
        Error::invalid(format!("the CA certificate in {} cannot be used", file.display())).because(why)
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("there is none".into()));
    }
    Ok(())
}

#[async_trait]
impl Server for Remote {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>> {
        self.dispatch(request).await
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request
            .body(body)
            .map_err(|error| Error::invalid("the request is malformed").because(error))?;
        read_json(self.dispatch(request).await?).await
    }

    fn client(&self) -> kube::Client {
        let remote = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let remote = remote.clone();
            async move { remote.dispatch(below_resources(request.map(Body::new))?).await }
        });
        kube::Client::new(service, DEFAULT_PROJECT)
    }

    fn address(&self) -> String {
        self.0.target.base.as_str().trim_end_matches('/').to_owned()
    }
}

fn below_resources(mut request: Request<Body>) -> Result<Request<Body>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(format!("{RESOURCES}{path}"))
        .map_err(|error| Error::invalid("the path is malformed").because(error))?;
    Ok(request)
}

/// Reads an answer whole: its JSON, or the error that it tells.
pub(super) async fn read_json(response: Response<Body>) -> Result<Value> {
    let status = response.status();
    let retry_after = failure::retry_after(response.headers());
    let bytes = read(response).await?;
    if !status.is_success() {
        return Err(failure::from_answer(status, retry_after, &bytes));
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::internal("the server's answer is no JSON").because(error))
}

/// Reads an answer's body whole.
pub(super) async fn read(response: Response<Body>) -> Result<bytes::Bytes> {
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| {
        Error::unavailable("the server broke off in the middle of its answer").because(error)
    })
}

/// Stands in for a server that was not found.
pub(super) struct Absent(pub(super) Finder);

impl Absent {
    fn why(&self) -> Error {
        match self
            .0
            .find()
            .and_then(|target| Remote::new(target, self.0.version))
        {
            Err(error) => error,
            Ok(_) => Error::unavailable("the server has only just started").hint("try again"),
        }
    }
}

#[async_trait]
impl Server for Absent {
    async fn send(&self, _request: Request<Body>) -> Result<Response<Body>> {
        Err(self.why())
    }

    async fn json(&self, _method: Method, _path: &str, _body: Option<Value>) -> Result<Value> {
        Err(self.why())
    }

    fn client(&self) -> kube::Client {
        let finder = self.0.clone();
        let service = tower::service_fn(move |_request: Request<kube::client::Body>| {
            let error = Self(finder.clone()).why();
            async move { Err::<Response<Body>, Error>(error) }
        });
        kube::Client::new(service, DEFAULT_PROJECT)
    }

    fn address(&self) -> String {
        self.0.server.clone().unwrap_or_default()
    }
}
