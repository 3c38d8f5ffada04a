//! The cookie that carries a session's id.

use ::http::{HeaderMap, HeaderValue, header};
use stead_kernel::http::Connection;

use super::LIFETIME;

/// The cookie's name.
const NAME: &str = "stead_session";

/// The session id that a request carries.
pub(crate) fn read(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == NAME && !value.is_empty())
        .map(|(_, value)| value)
}

/// What makes the browser keep the id: out of reach of scripts, and sent with requests of our own pages only.
pub(crate) fn set(id: &str, secure: bool) -> HeaderValue {
    write(id, LIFETIME.as_secs(), secure)
}

/// What makes the browser forget the id.
pub(crate) fn clear(secure: bool) -> HeaderValue {
    write("", 0, secure)
}

fn write(id: &str, seconds: u64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{NAME}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(text).expect("ids are base64url")
}

/// Whether the browser reached us by https: directly, or through a proxy on this machine that says so.
pub(crate) fn is_secure(connection: Option<&Connection>, headers: &HeaderMap) -> bool {
    let Some(connection) = connection else {
        return false;
    };
    let forwarded = headers
        .get("x-forwarded-proto")
        .is_some_and(|value| value == "https");
    connection.tls || (forwarded && connection.peer.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_among_other_cookies() {
        for (cookie, id) in [
            ("stead_session=abc", Some("abc")),
            ("a=b; stead_session=abc; c=d", Some("abc")),
            ("a=b;stead_session=abc", Some("abc")),
            ("stead_session=", None),
            ("xstead_session=abc", None),
            ("stead_session", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(cookie))]);
            assert_eq!(read(&headers), id, "{cookie}");
        }
    }

    #[test]
    fn https_is_believed_from_the_connection_or_a_proxy_on_this_machine() {
        let headers = HeaderMap::from_iter([(
            header::HeaderName::from_static("x-forwarded-proto"),
            HeaderValue::from_static("https"),
        )]);
        for (peer, tls, headers, secure) in [
            ("127.0.0.1:1", false, &HeaderMap::new(), false),
            ("10.0.0.1:1", true, &HeaderMap::new(), true),
            ("127.0.0.1:1", false, &headers, true),
            ("10.0.0.1:1", false, &headers, false),
        ] {
            let connection = Connection {
                peer: peer.parse().expect("an address"),
                tls,
            };
            assert_eq!(is_secure(Some(&connection), headers), secure, "{peer} {tls}");
        }
    }
}
