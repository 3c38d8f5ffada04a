//! The built pages, as they lie in `console/dist`: which file answers a request, and how it may be kept. Pure.
//!
//! Names carry no hash, so that a new build changes few lines; what a hash would do, the `ETag` does: everything is
//! asked for again, and is answered with `304` while it is what the browser has.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use rust_embed::{EmbeddedFile, RustEmbed};
use stead_kernel::Body;

#[derive(RustEmbed)]
#[folder = "../../console/dist"]
struct Files;

/// The page that all addresses of the console are shown by.
const PAGE: &str = "index.html";

/// What belongs to the APIs: a mistaken address there is told as JSON, to a browser too.
const APIS: [&str; 10] = [
    "api", "k8s", "v1", "v1beta", "v2", "opik", "otlp", "ollama", "metrics", "version",
];

/// No script and no style but the built files, nothing from another host, in nobody's frame. Attributes of style are
/// let in for what is set by scripts (widths of bars, places of menus); texts of others lose them before they are shown.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; \
                      img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self'; \
                      connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// Types by the end of a name.
const TYPES: [(&str, &str); 8] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("json", "application/json"),
    ("woff2", "font/woff2"),
    ("png", "image/png"),
];

/// The console's answer to a request that no route knows: one of its files, or its page when a browser goes to an
/// address; `None` for everything else.
pub fn answer(parts: &Parts) -> Option<Response> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return None;
    }
    let path = parts.uri.path().trim_start_matches('/');
    let apart = path == PAGE || path.rsplit('.').next() == Some("br");
    if let Some(file) = Files::get(path).filter(|_| !apart) {
        return Some(serve(path, &file, &parts.headers));
    }
    if !is_page(path) || !is_navigation(&parts.headers) {
        return None;
    }
    Some(serve(PAGE, &Files::get(PAGE)?, &parts.headers))
}

/// Whether an address can be one of the console's.
fn is_page(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    first != "assets" && !APIS.contains(&first)
}

/// Whether a person goes there, rather than a program asks.
fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text(HeaderName::from_static("sec-fetch-mode")) {
        Some(mode) => mode == "navigate",
        None => text(header::ACCEPT).is_some_and(|accepted| accepted.contains("text/html")),
    }
}

fn serve(path: &str, file: &EmbeddedFile, asked: &HeaderMap) -> Response {
    let compressed = accepts_brotli(asked)
        .then(|| Files::get(&format!("{path}.br")))
        .flatten();
    let tag = tag_of(file, compressed.is_some());
    let mut response = if has(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let file = compressed.as_ref().unwrap_or(file);
        Body::from(file.data.clone().into_owned()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, type_of(path));
    if compressed.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// The beginning of the content's SHA-256; each coding of it has its own (RFC 9110, section 8.8.3.3).
fn tag_of(file: &EmbeddedFile, compressed: bool) -> HeaderValue {
    use std::fmt::Write as _;
    let hash = file.metadata.sha256_hash();
    let mut text = String::from("\"");
    for byte in hash.iter().take(12) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str(if compressed { "-br\"" } else { "\"" });
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether the browser has what this tag names (RFC 9110, section 13.1.2).
fn has(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|given| given.trim().trim_start_matches("W/") == tag || given.trim() == "*")
}

fn accepts_brotli(asked: &HeaderMap) -> bool {
    asked
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
            named && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
}

fn type_of(path: &str) -> HeaderValue {
    let end = path.rsplit('.').next().unwrap_or_default();
    let found = TYPES.iter().find(|(known, _)| *known == end);
    HeaderValue::from_static(found.map_or("application/octet-stream", |(_, kind)| kind))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Response> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(&request.body(()).expect("a request").into_parts().0)
    }

    fn header(response: &Response, name: &str) -> String {
        let value = response.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    }

    const BROWSER: [(&str, &str); 2] = [("accept", "text/html,*/*;q=0.8"), ("sec-fetch-mode", "navigate")];

    #[test]
    fn whoever_goes_to_an_address_gets_the_page_and_a_program_does_not() {
        for path in ["/", "/chat", "/chat/0190-x?model=a", "/kinds/anything/at.all"] {
            let response = ask("GET", path, &BROWSER).expect(path);
            assert_eq!(
                header(&response, "content-type"),
                "text/html; charset=utf-8",
                "{path}"
            );
            assert!(
                ask("GET", path, &[("sec-fetch-mode", "cors"), ("accept", "*/*")]).is_none(),
                "{path}"
            );
            assert!(ask("GET", path, &[]).is_none(), "{path}");
        }
        for path in ["/api/nothing", "/v1/nothing", "/k8s/nothing", "/assets/gone.js"] {
            assert!(ask("GET", path, &BROWSER).is_none(), "{path}");
        }
        assert!(ask("POST", "/chat", &BROWSER).is_none());
    }

    #[test]
    fn a_file_comes_compressed_to_whoever_takes_that_and_is_asked_for_again_by_its_tag() {
        let plain = ask("GET", "/assets/index.js", &[]).expect("a file");
        let brotli = ask("GET", "/assets/index.js", &[("accept-encoding", "gzip, br")]).expect("a file");
        assert_eq!(header(&plain, "content-encoding"), "");
        assert_eq!(header(&brotli, "content-encoding"), "br");
        assert_eq!(header(&brotli, "content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header(&brotli, "cache-control"), "no-cache");
        let tag = header(&brotli, "etag");
        assert_ne!(tag, header(&plain, "etag"));
        let again = ask(
            "GET",
            "/assets/index.js",
            &[("accept-encoding", "br"), ("if-none-match", &tag)],
        );
        assert_eq!(again.expect("an answer").status(), StatusCode::NOT_MODIFIED);
        let refused = ask("GET", "/assets/index.js", &[("accept-encoding", "br;q=0")]).expect("a file");
        assert_eq!(header(&refused, "content-encoding"), "");
    }

    #[test]
    fn the_policy_lets_no_inline_script_and_no_other_host_in() {
        let page = ask("GET", "/", &BROWSER).expect("the page");
        let policy = header(&page, "content-security-policy");
        assert!(
            policy.contains("script-src 'self';") && policy.contains("connect-src 'self';"),
            "{policy}"
        );
        assert!(
            !policy.contains("http") && !policy.contains("unsafe-eval"),
            "{policy}"
        );
        let text = Files::get(PAGE).expect("the page").data;
        let text = std::str::from_utf8(&text).expect("text");
        for script in text.split("<script").skip(1) {
            assert!(script.contains(" src=\"/"), "an inline script: {script}");
        }
    }
}
