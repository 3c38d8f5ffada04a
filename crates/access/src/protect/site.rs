//! Requests that other web sites make a browser send. Pure.
//!
//! A key or token in a header was put there by its holder; a cookie, and the way to a machine behind a firewall, the
//! browser adds for any page. So only requests without a key are looked at.

use ::http::{HeaderMap, HeaderName, header, request::Parts};
use stead_kernel::{Credential, Error, Identity, Result};

use super::hosts::{Hosts, authority_of};
use crate::{secret, session::cookie, token};

/// Proof that a page of ours sends a request: the session's token.
const CSRF: HeaderName = HeaderName::from_static("x-stead-csrf");

/// Refuses what another site may have made the browser send. `welcome` says that the site may call model APIs.
pub(super) fn check(parts: &Parts, identity: &Identity, hosts: &Hosts, welcome: bool) -> Result<()> {
    let changes = !parts.method.is_safe();
    // An upgraded connection (WebSocket) is not bound by what pages of other origins may read.
    if !changes && !parts.headers.contains_key(header::UPGRADE) {
        return Ok(());
    }
    let session = matches!(identity, Identity::Known(who) if who.credential == Credential::Session);
    let explicit = matches!(identity, Identity::Known(_)) || token::credential(&parts.headers).is_some();
    if !session && (explicit || welcome) {
        return Ok(());
    }
    if is_foreign(parts, hosts) {
        return Err(
            Error::forbidden("this request comes from a web page of another site")
                .hint("send it from this server's own pages, or with a key"),
        );
    }
    if session && changes && !is_proven(&parts.headers) {
        return Err(Error::forbidden(
            "this change by a session lacks the proof that a page of ours sends it",
        )
        .hint("send the header x-stead-csrf with the value of `csrf` from GET /api/session"));
    }
    Ok(())
}

/// Whether the browser says that the request comes from another site. Other clients say nothing.
fn is_foreign(parts: &Parts, hosts: &Hosts) -> bool {
    let text = |name| {
        parts
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    if let Some(origin) = text(header::ORIGIN) {
        return !is_own(origin, authority_of(parts).unwrap_or_default(), hosts);
    }
    let site = text(HeaderName::from_static("sec-fetch-site"));
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// Whether an origin is the host that the request is for, or one of our names as a proxy before us has it.
fn is_own(origin: &str, authority: &str, hosts: &Hosts) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let bare = |authority: &'_ str| {
        authority
            .strip_suffix(port)
            .unwrap_or(authority)
            .to_ascii_lowercase()
    };
    bare(host) == bare(authority) || (scheme == "https" && hosts.is_configured(host))
}

fn is_proven(headers: &HeaderMap) -> bool {
    let (Some(given), Some(session)) = (headers.get(CSRF), cookie::read(headers)) else {
        return false;
    };
    secret::same(given.as_bytes(), secret::csrf(session).as_bytes())
}
