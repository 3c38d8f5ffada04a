//! What goes wrong on the way to another machine, in words. Never a header, a path or a query, which hold secrets.

use std::{error::Error as StdError, io, net::IpAddr, time::Duration};

use stead_kernel::{Error, Reason};

use super::address::{Class, classify};

type Source = Box<dyn StdError + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    reason: Reason,
    message: String,
    hint: Option<&'static str>,
    source: Option<Source>,
}

impl Failure {
    fn new(reason: Reason, message: String, source: Option<Source>) -> Self {
        Self {
            reason,
            message,
            hint: None,
            source,
        }
    }

    /// The address may not be reached.
    pub(super) fn forbidden(host: &str, address: IpAddr) -> Self {
        let place = if host.trim_matches(['[', ']']) == address.to_string() {
            host.to_owned()
        } else {
            format!("{host} ({address})")
        };
        let (why, hint) = match classify(address) {
            Class::Public | Class::Private => (
                "is on a private network, which this may not reach",
                "an admin can permit it: network: Private on the object, or allowNetworks in the configuration",
            ),
            Class::Never => (
                "is a link-local, metadata or reserved address, which nothing may reach",
                "use the service's own address",
            ),
        };
        Self {
            hint: Some(hint),
            ..Self::new(Reason::Forbidden, format!("{place} {why}"), None)
        }
    }

    /// The name has no address.
    pub(super) fn unresolved(host: &str, source: Option<io::Error>) -> Self {
        Self {
            hint: Some("check the spelling, and this machine's name service"),
            ..Self::new(
                Reason::Unavailable,
                format!("the name {host} cannot be resolved"),
                source.map(Into::into),
            )
        }
    }

    /// The host does not accept the connection.
    pub(super) fn unreachable(host: &str, port: u16, source: io::Error) -> Self {
        let message = match source.kind() {
            io::ErrorKind::ConnectionRefused => format!("{host} refuses connections on port {port}"),
            _ => format!("{host} cannot be reached on port {port}"),
        };
        Self {
            hint: Some("check that the service runs there and that the port is right"),
            ..Self::new(Reason::Unavailable, message, Some(source.into()))
        }
    }

    /// Connecting took too long.
    pub(super) fn timeout(host: &str, after: Duration) -> Self {
        let seconds = after.as_secs_f64();
        let message = format!("{host} did not accept a connection within {seconds} s");
        Self::new(Reason::Timeout, message, None)
    }

    /// The TLS handshake failed.
    pub(super) fn tls(host: &str, source: io::Error) -> Self {
        Self {
            hint: Some("if the server's CA is your own, add it to this system's certificate store"),
            ..Self::new(
                Reason::Unavailable,
                format!("no secure connection with {host}"),
                Some(source.into()),
            )
        }
    }

    /// The proxy does not let the connection through.
    pub(super) fn proxy(proxy: &str, source: impl Into<Source>) -> Self {
        Self {
            hint: Some("check the proxy settings (HTTPS_PROXY, NO_PROXY)"),
            ..Self::new(
                Reason::Unavailable,
                format!("the proxy {proxy} does not connect"),
                Some(source.into()),
            )
        }
    }

    /// The host of the URL is no name that TLS knows.
    pub(super) fn invalid_name(host: &str) -> Self {
        Self::new(Reason::Invalid, format!("{host:?} is no host name"), None)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let mut error = Self::new(failure.reason, failure.message);
        if let Some(hint) = failure.hint {
            error = error.hint(hint);
        }
        match failure.source {
            Some(source) => error.because(source),
            None => error,
        }
    }
}

/// What the pool reports, in words; `target` is host and port.
pub(super) fn explain(error: &hyper_util::client::legacy::Error, target: &str) -> Error {
    let connecting = error.is_connect();
    match failure_in(error) {
        Ok(failure) => failure.into(),
        Err(Some(source)) if connecting => {
            Error::unavailable(format!("no connection with {target}")).because(source)
        }
        Err(Some(source)) => broken(target).because(source),
        Err(None) => Error::unavailable(format!("{target} cannot be asked")),
    }
}

/// What a connection of our own reports, in words.
pub(super) fn broke(error: &io::Error, target: &str) -> Error {
    broken(target).because(chain(error))
}

fn broken(target: &str) -> Error {
    Error::unavailable(format!(
        "the connection with {target} broke before an answer came"
    ))
}

/// Finds our own failure in the pool's error; else the cause as text, whose type is of no use to anyone.
fn failure_in(error: &hyper_util::client::legacy::Error) -> Result<Failure, Option<Source>> {
    let mut cause = StdError::source(error);
    while let Some(inner) = cause {
        if let Some(failure) = inner.downcast_ref::<Failure>() {
            return Ok(Failure {
                reason: failure.reason,
                message: failure.message.clone(),
                hint: failure.hint,
                source: failure
                    .source
                    .as_ref()
                    .map(|source| chain(source.as_ref()).into()),
            });
        }
        cause = inner.source();
    }
    Err(StdError::source(error).map(|source| chain(source).into()))
}

/// All messages of a chain of errors on one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        // Some libraries repeat their causes.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}
