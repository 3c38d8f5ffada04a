//! The control process as a gateway that runs on its own reaches it: resources, journals, leases of quotas.
//!
//! *Invariant:* the token goes over TLS only, or stays on this machine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use stead_kernel::{
    Body, DEFAULT_PROJECT, Error, Reason, Result,
    ports::{Control, Outbound, Reach, SendOptions},
};
use stead_net::{OutboundClient, OutboundOptions, ProxySettings};
use url::{Host, Url};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a call, other than a watch, may take.
const CALL: Duration = Duration::from_mins(1);
/// The largest answer of a call, in bytes.
const ANSWER: usize = 8 << 20;

/// Where the control process is, and by what this gateway signs in.
pub(crate) struct LinkOptions {
    /// `https://HOST:7832`; plain HTTP on this machine only.
    pub(crate) url: String,
    /// The token.
    pub(crate) token: String,
    /// Certificates to trust besides the system's, as PEM text.
    pub(crate) ca: Option<String>,
    /// Proxies.
    pub(crate) proxy: ProxySettings,
}

/// A connection to the control process.
pub(super) struct Link {
    /// For watches, which hold their connections.
    watches: OutboundClient,
    /// For calls, which must not wait behind watches.
    calls: OutboundClient,
    /// Without a slash at its end.
    base: String,
    authorization: HeaderValue,
    /// Whether the token was refused at the last answer.
    refused: AtomicBool,
}

impl Link {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// `Invalid` for an address or token that is none; `Forbidden` for plain HTTP to another machine.
    pub(super) fn new(options: &LinkOptions) -> Result<Self> {
        let client = || {
            OutboundClient::new(OutboundOptions {
                allow_networks: Vec::new(),
                proxy: options.proxy.clone(),
                extra_roots: options.ca.clone(),
            })
        };
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", options.token))
            .map_err(|_| Error::invalid("the gateway's token holds characters that no token has"))?;
        authorization.set_sensitive(true);
        Ok(Self {
            watches: client()?,
            calls: client()?,
            base: base(&options.url)?,
            authorization,
            refused: AtomicBool::new(false),
        })
    }

    /// The address, for messages.
    pub(super) fn address(&self) -> &str {
        &self.base
    }

    /// Whether the control process refused the token the last time it was asked.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// A client for the resource API.
    pub(super) fn client(self: &Arc<Self>) -> kube::Client {
        let link = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let link = Arc::clone(&link);
            async move {
                let request = request.map(Body::new);
                link.send(&link.watches, "/k8s", request).await
            }
        });
        kube::Client::new(service, DEFAULT_PROJECT)
    }

    /// Sends a request whose URI is a path, and reads the answer whole.
    ///
    /// # Errors
    /// `Unavailable` when the control process does not answer or breaks off, `Timeout` when it takes too long; else
    /// what its answer tells.
    pub(super) async fn call(&self, request: Request<Body>) -> Result<Value> {
        let answer = async {
            let response = self.send(&self.calls, "", request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER).collect().await;
            let body = body.map_err(|error| {
                Error::unavailable("the control process broke off in the middle of its answer").because(error)
            })?;
            read(status, &body.to_bytes())
        };
        tokio::time::timeout(CALL, answer)
            .await
            .map_err(|_| Error::new(Reason::Timeout, "the control process did not answer in time"))?
    }

    async fn send(
        &self,
        client: &OutboundClient,
        prefix: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Body>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = Uri::try_from(format!("{}{prefix}{path}", self.base))
            .map_err(|error| Error::invalid("the path is malformed").because(error))?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("stead-gateway/", env!("CARGO_PKG_VERSION"))),
        );
        let options = SendOptions {
            reach: Reach::Private,
            connect_timeout: CONNECT,
        };
        let response = client.send(request, options).await?;
        let refused = response.status() == StatusCode::UNAUTHORIZED;
        if refused != self.refused.swap(refused, Ordering::Relaxed) && refused {
            tracing::error!("the control process refuses this gateway's token; was it revoked?");
        }
        Ok(response)
    }
}

#[async_trait]
impl Control for Link {
    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .map_err(|error| Error::invalid("the path is malformed").because(error))?;
        self.call(request).await
    }
}

/// The JSON of an answer, or the error that it tells: `{"error": {"reason", "message"}}`.
fn read(status: StatusCode, body: &[u8]) -> Result<Value> {
    if status.is_success() {
        return if body.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_slice(body).map_err(|error| {
                Error::unavailable("the answer of the control process is no JSON").because(error)
            })
        };
    }
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |path: &str| told.pointer(path).and_then(Value::as_str);
    let reason = text("/error/reason").and_then(Reason::parse);
    let message = text("/error/message").map_or_else(
        || format!("the control process answered with HTTP {}", status.as_u16()),
        |message| format!("the control process refused: {message}"),
    );
    // What something on the way answers is no word of the control process.
    Err(Error::new(reason.unwrap_or(Reason::Unavailable), message))
}

/// Checks the address, and brings it to the form that paths are appended to.
fn base(text: &str) -> Result<String> {
    let refuse = |why: &str| Error::invalid(format!("--control {text:?}: {why}"));
    let url = Url::parse(text).map_err(|error| refuse("this is no URL").because(error))?;
    let local = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(refuse("it names no host")),
    };
    match url.scheme() {
        "https" => {}
        "http" if local => {}
        "http" => {
            return Err(Error::forbidden(format!(
                "--control {text:?}: a token is not sent unencrypted to another machine"
            ))
            .hint("give the https address, with the server's CA: --ca FILE"));
        }
        _ => return Err(refuse("only http and https are spoken")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            Error::invalid("--control: an address holds no credentials").hint("use --token-file FILE")
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it ends with the path"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_encrypted_or_of_this_machine() {
        for (text, expected) in [
            ("https://control:7832", Ok("https://control:7832")),
            ("https://control:7832/", Ok("https://control:7832")),
            ("https://example.com/stead/", Ok("https://example.com/stead")),
            ("http://127.0.0.1:7832", Ok("http://127.0.0.1:7832")),
            ("http://[::1]:7832", Ok("http://[::1]:7832")),
            ("http://10.0.0.1:7832", Err(Reason::Forbidden)),
            ("control:7832", Err(Reason::Invalid)),
            ("ftp://control", Err(Reason::Invalid)),
            ("https://u:p@control", Err(Reason::Invalid)),
            ("https://control/?a=b", Err(Reason::Invalid)),
        ] {
            let found = base(text).map_err(|error| error.reason());
            assert_eq!(found, expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn an_answer_is_its_json_or_the_error_that_it_tells() {
        let ok = StatusCode::OK;
        assert_eq!(read(ok, b"").unwrap(), Value::Null);
        assert_eq!(read(ok, b"{\"a\":1}").unwrap()["a"], 1);
        assert_eq!(read(ok, b"<html>").unwrap_err().reason(), Reason::Unavailable);
        let told = br#"{"error":{"reason":"invalid","message":"no id"}}"#;
        let error = read(StatusCode::BAD_REQUEST, told).unwrap_err();
        assert_eq!(error.reason(), Reason::Invalid);
        assert_eq!(error.message(), "the control process refused: no id");
        let other = read(StatusCode::BAD_REQUEST, b"<html>").unwrap_err();
        assert_eq!(other.reason(), Reason::Unavailable);
    }
}
