//! Following redirects by hand, so that every hop is checked.

use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode, header};
use stead_kernel::{
    Body, Error, Result,
    ports::{Outbound, Reach, SendOptions},
};
use url::Url;

/// How long a host may take to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a host may take to begin its answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How many redirects are followed.
const MOST_REDIRECTS: usize = 5;

/// An answer that is no redirect, and what the redirects before it announced.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    /// The SHA-256 of the file, in hex, where Hugging Face announced it.
    pub(super) announced: Option<String>,
}

/// Sends a GET and follows its redirects; each address goes through `outbound` and is checked there.
pub(super) async fn get(
    outbound: &dyn Outbound,
    reach: Reach,
    url: &Url,
    headers: &HeaderMap,
) -> Result<Answer> {
    let mut url = url.clone();
    let mut announced = None;
    for _ in 0..=MOST_REDIRECTS {
        let response = send(outbound, reach, &url, headers).await?;
        announced = announced.or_else(|| announced_digest(&url, response.headers()));
        if !is_redirect(response.status()) {
            return Ok(Answer { response, announced });
        }
        url = next(&url, response.headers())?;
    }
    Err(Error::unavailable(format!(
        "it redirects more than {MOST_REDIRECTS} times"
    )))
}

async fn send(
    outbound: &dyn Outbound,
    reach: Reach,
    url: &Url,
    headers: &HeaderMap,
) -> Result<Response<Body>> {
    let mut request = Request::get(url.as_str())
        .body(Body::empty())
        .map_err(|error| Error::invalid("it is no valid web address").because(error))?;
    *request.headers_mut() = headers.clone();
    let options = SendOptions {
        reach,
        connect_timeout: CONNECT_TIMEOUT,
    };
    let limit = CONNECT_TIMEOUT + HEAD_TIMEOUT;
    match tokio::time::timeout(limit, outbound.send(request, options)).await {
        Ok(response) => response,
        Err(_) => Err(Error::timeout(format!("no answer within {} s", limit.as_secs()))),
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn next(url: &Url, headers: &HeaderMap) -> Result<Url> {
    let location = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    let next = location.and_then(|location| url.join(location).ok());
    let Some(next) = next.filter(|next| matches!(next.scheme(), "http" | "https")) else {
        return Err(Error::unavailable("it redirects to no valid web address"));
    };
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(Error::forbidden(
            "it redirects from https to plain http, which is refused",
        ));
    }
    Ok(next)
}

/// Hugging Face names the SHA-256 of large files in the answer that redirects to its storage.
fn announced_digest(url: &Url, headers: &HeaderMap) -> Option<String> {
    if url.host_str() != Some("huggingface.co") {
        return None;
    }
    let tag = headers.get("x-linked-etag")?.to_str().ok()?.trim_matches('"');
    crate::source::is_sha256(tag).then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved_and_never_leave_https() {
        let cases = [
            ("https://a.example/x/y", "/z", Some("https://a.example/z")),
            (
                "https://a.example/x/y",
                "z?q=1",
                Some("https://a.example/x/z?q=1"),
            ),
            (
                "https://a.example/x",
                "https://b.example/z",
                Some("https://b.example/z"),
            ),
            (
                "http://a.example/x",
                "https://b.example/z",
                Some("https://b.example/z"),
            ),
            ("https://a.example/x", "http://b.example/z", None),
            ("https://a.example/x", "file:///etc/passwd", None),
        ];
        for (from, location, to) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, location.parse().unwrap());
            let next = next(&Url::parse(from).unwrap(), &headers);
            assert_eq!(next.ok().map(String::from).as_deref(), to, "{from} -> {location}");
        }
        assert!(next(&Url::parse("https://a.example").unwrap(), &HeaderMap::new()).is_err());
    }
}
