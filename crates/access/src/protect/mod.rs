//! The outermost layers of the server: what every request from outside goes through.
//!
//! *Invariant:* nothing here waits, but for the request itself.

mod cors;
mod dialect;
mod hosts;
mod site;

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, HeaderName, HeaderValue, header, header::Entry, request::Parts};
use axum::{Router, extract::Request, response::Response, routing::future::RouteFuture};
use base64::{Engine, engine::general_purpose::STANDARD};
use stead_kernel::{Authenticator, Credential, Error, Identity};
use tower::Service;
use uuid::Uuid;

use self::{cors::Cors, dialect::Dialect, hosts::Hosts};
use crate::token;

/// Under which name an answer tells its request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-stead-request-id");

/// What protects a server.
pub struct Protection {
    /// What recognises callers. The first that knows one counts; else the first that rejects.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// Host names and addresses under which this server is reached, besides loopback and `stead.internal`.
    pub hosts: Vec<String>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Origins of web pages that may call the model APIs; `*` for any.
    pub cors_origins: Vec<String>,
    /// Whether answers carry the [`Identity`] of who asked in their extensions, for layers outside these.
    pub reveals: bool,
}

struct Guard {
    reveals: bool,
    authenticators: Vec<Arc<dyn Authenticator>>,
    hosts: Hosts,
    cors: Cors,
}

/// Puts the layers around `router`, whose handlers find the caller as [`Identity`] in the request's extensions. They
/// decide themselves whether they need one.
pub fn protect(router: Router, protection: Protection) -> Protected {
    let guard = Guard {
        reveals: protection.reveals,
        authenticators: protection.authenticators,
        hosts: Hosts::new(&protection.hosts, protection.listen),
        cors: Cors::new(&protection.cors_origins),
    };
    Protected {
        guard: Arc::new(guard),
        router,
    }
}

/// A router behind the layers. Cheap to clone.
#[derive(Clone)]
pub struct Protected {
    guard: Arc<Guard>,
    router: Router,
}

impl Service<Request> for Protected {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router always is.
        Poll::Ready(Ok(()))
    }

    /// The layers, outermost first.
    fn call(&mut self, request: Request) -> Answering {
        let (parts, body) = request.into_parts();
        let dialect = Dialect::of(parts.uri.path());
        let welcome = dialect
            .is_model_api()
            .then(|| self.guard.cors.welcome(&parts.headers))
            .flatten();
        let mut identity = None;
        let answer = match self.guard.admit(parts, dialect, welcome.is_some()) {
            Ok(parts) => {
                if self.guard.reveals {
                    identity = parts.extensions.get::<Identity>().cloned();
                }
                Answer::Routed(self.router.call(Request::from_parts(parts, body)))
            }
            Err(response) => Answer::Refused(Some(response)),
        };
        Answering {
            answer,
            identity,
            welcome,
            dialect,
        }
    }
}

/// The answer to one request, on its way out through the layers.
pub struct Answering {
    answer: Answer,
    /// Who asked, for layers outside this one.
    identity: Option<Identity>,
    /// The origin whose pages may read it.
    welcome: Option<HeaderValue>,
    dialect: Dialect,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every request is routed, and a box for each would cost more than the space"
)]
enum Answer {
    Routed(RouteFuture<Infallible>),
    /// `None` after it was given.
    Refused(Option<Box<Response>>),
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut response = match &mut this.answer {
            Answer::Routed(routed) => ready!(Pin::new(routed).poll(context))?,
            Answer::Refused(response) => match response.take() {
                Some(response) => *response,
                // Whoever polls a future after its end waits for ever.
                None => return Poll::Pending,
            },
        };
        if let Some(identity) = this.identity.take() {
            response.extensions_mut().insert(identity);
        }
        // Pages of configured origins may read answers of model APIs, errors included.
        if let Some(origin) = this.welcome.take() {
            cors::add_headers(response.headers_mut(), origin);
        }
        // Answers are what they say they are, and not for frames of other sites.
        add_security_headers(response.headers_mut(), this.dialect);
        if response.status().as_u16() >= 400 {
            name_failure(response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

impl Guard {
    /// Lets a request in, completed with who makes it, or answers it.
    fn admit(&self, mut parts: Parts, dialect: Dialect, welcome: bool) -> Result<Parts, Box<Response>> {
        let refuse = |error| Box::new(dialect.refuse(&error));
        // 1. Before anything is looked at: a page whose name was rebound to this machine's address is no client.
        if dialect != Dialect::Probe {
            self.hosts.check(&parts).map_err(refuse)?;
        }
        // 2. Preflights carry no credential, so they are answered before one is looked for.
        if dialect.is_model_api() && cors::is_preflight(&parts) {
            return Err(Box::new(cors::preflight(&parts, dialect, welcome)));
        }
        // 3. Who is it? Opik's SDKs show a key without saying what sort of credential it is, Langfuse's as a password.
        if matches!(dialect, Dialect::Opik | Dialect::Otlp | Dialect::Grpc) {
            name_scheme(&mut parts.headers);
        }
        if dialect == Dialect::Otlp {
            open_basic(&mut parts.headers);
        }
        let identity = self.identify(&parts);
        // 4. A gateway's token opens nothing but what a gateway needs, whatever else the other handlers would allow.
        check_gateway(&identity, parts.uri.path()).map_err(refuse)?;
        // 5. What a browser adds by itself (the cookie, the way to this machine) must not serve other sites.
        site::check(&parts, &identity, &self.hosts, welcome).map_err(refuse)?;
        parts.extensions.insert(identity);
        Ok(parts)
    }

    fn identify(&self, parts: &Parts) -> Identity {
        let mut rejected = None;
        for authenticator in &self.authenticators {
            match authenticator.authenticate(parts) {
                Some(known @ Identity::Known(_)) => return known,
                Some(other) => rejected = rejected.or(Some(other)),
                None => {}
            }
        }
        rejected.unwrap_or_else(|| {
            if token::credential(&parts.headers).is_some() {
                Identity::Rejected("the key is none of this server's".into())
            } else {
                Identity::Anonymous
            }
        })
    }
}

/// Says of a credential without a scheme that it is a bearer's.
fn name_scheme(headers: &mut HeaderMap) {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return;
    };
    let bytes = value.as_bytes();
    if bytes.is_empty() || bytes.contains(&b' ') {
        return;
    }
    if let Ok(mut named) = HeaderValue::from_bytes(&[b"Bearer ", bytes].concat()) {
        named.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, named);
    }
}

/// Turns a key that is the password of basic authentication (RFC 7617) into a bearer's; whose name stands before it is
/// not asked: Langfuse's is a public key.
fn open_basic(headers: &mut HeaderMap) {
    let password = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        let decoded = scheme
            .eq_ignore_ascii_case("basic")
            .then(|| STANDARD.decode(encoded.trim()).ok())??;
        let text = String::from_utf8(decoded).ok()?;
        text.split_once(':').map(|(_, password)| password.to_owned())
    });
    let Some(password) = password else { return };
    if let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {password}")) {
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
    }
}

/// Where gateways have business.
const GATEWAY_PATHS: [&str; 2] = ["/k8s/", "/api/gateway/"];

fn check_gateway(identity: &Identity, path: &str) -> stead_kernel::Result<()> {
    let is_gateway =
        matches!(identity, Identity::Known(who) if matches!(who.credential, Credential::Gateway { .. }));
    if !is_gateway || GATEWAY_PATHS.iter().any(|prefix| path.starts_with(prefix)) {
        return Ok(());
    }
    Err(Error::forbidden("this is nothing that a gateway needs"))
}

/// Gives a failure an id, unless it has one: who reports it names it, and the access log has it.
fn name_failure(headers: &mut HeaderMap) {
    if let Entry::Vacant(place) = headers.entry(REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(&Uuid::now_v7().simple().to_string())
    {
        place.insert(id);
    }
}

fn add_security_headers(headers: &mut HeaderMap, dialect: Dialect) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if dialect == Dialect::Own {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}
