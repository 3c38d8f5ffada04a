use http::HeaderValue;

use super::*;
use crate::snapshot::testing;

#[test]
fn each_status_has_an_answer_and_a_policy() {
    let provider = testing::provider("openai", Some("sk-secret"));
    let again = Retry::Again;
    let cases = [
        (400, 400, Retry::Never),
        (401, 502, Retry::Elsewhere),
        (403, 502, Retry::Elsewhere),
        (404, 404, Retry::Elsewhere),
        (413, 413, Retry::Elsewhere),
        (422, 422, Retry::Never),
        (429, 429, again),
        (500, 502, again),
        (503, 502, again),
        (504, 504, again),
        (529, 502, again),
    ];
    for (given, told, retry) in cases {
        let body = Bytes::from_static(br#"{"error":{"message":"bad sk-secret"}}"#);
        let status = StatusCode::from_u16(given).unwrap();
        let failure = Failure::of_answer(&provider, status, &HeaderMap::new(), &body, Timestamp::UNIX_EPOCH);
        assert_eq!(
            (failure.error.status.as_u16(), failure.retry),
            (told, retry),
            "{given}"
        );
        let text = String::from_utf8_lossy(&failure.error.body()).into_owned();
        assert!(!text.contains("sk-secret"), "{text}");
        assert!(!failure.error.message.contains("sk-secret"));
        assert!(
            failure.error.message.contains("`openai`"),
            "{}",
            failure.error.message
        );
    }
}

#[test]
fn a_failure_is_of_a_class_and_blames_who_is_at_fault() {
    let provider = testing::provider("p", None);
    let length = r#"{"error":{"message":"This model's maximum context length is 8 tokens"}}"#;
    let filter = r#"{"error":{"message":"no","code":"content_filter"}}"#;
    let quota = r#"{"error":{"message":"no","code":"insufficient_quota"}}"#;
    let (target, request) = (Blame::Target, Blame::Request);
    let cases = [
        (400, "{}", Class::Request, Retry::Never, request),
        (400, length, Class::ContextLength, Retry::Elsewhere, request),
        (413, "{}", Class::ContextLength, Retry::Elsewhere, request),
        (400, filter, Class::ContentFilter, Retry::Elsewhere, request),
        (403, filter, Class::ContentFilter, Retry::Elsewhere, request),
        (429, "{}", Class::RateLimit, Retry::Again, target),
        (429, quota, Class::RateLimit, Retry::Elsewhere, target),
        (401, "{}", Class::Error, Retry::Elsewhere, target),
        (404, "{}", Class::Error, Retry::Elsewhere, target),
        (500, length, Class::Error, Retry::Again, target),
        (503, "{}", Class::Error, Retry::Again, target),
    ];
    for (status, body, class, retry, blame) in cases {
        let code = StatusCode::from_u16(status).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        let now = Timestamp::UNIX_EPOCH;
        let failure = Failure::of_answer(&provider, code, &HeaderMap::new(), &body, now);
        let found = (failure.class(), failure.retry, failure.blame());
        assert_eq!(found, (class, retry, blame), "{status} {body:?}");
    }
    let event = Failure::of_event(&provider, length.as_bytes());
    assert_eq!(
        (event.class(), event.error.status.as_u16()),
        (Class::ContextLength, 400)
    );
    let unsupported = Failure::unsupported(&provider, "speech");
    assert_eq!(
        (unsupported.class(), unsupported.blame()),
        (Class::Error, Blame::Nobody)
    );
}

#[test]
fn a_wait_is_read_in_every_form() {
    let now = "2026-11-21T10:00:00Z".parse::<Timestamp>().unwrap();
    let cases = [
        ("retry-after", "7", Some(7_000)),
        ("retry-after", "0.5", Some(500)),
        ("retry-after-ms", "1200", Some(1_200)),
        ("retry-after", "Sat, 21 Nov 2026 10:00:30 GMT", Some(30_000)),
        ("retry-after", "Sat, 21 Nov 2026 09:00:00 GMT", Some(0)),
        ("retry-after", "soon", None),
        ("retry-after", "-1", None),
    ];
    for (name, value, expected) in cases {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let found = retry_after(&headers, now).map(|wait| wait.as_millis());
        assert_eq!(found, expected, "{name}: {value}");
    }
}

#[test]
fn an_error_page_is_not_repeated() {
    assert_eq!(words(b"<html>oops</html>"), None);
    assert_eq!(words(b"  too   busy\n"), Some("too busy".into()));
    assert_eq!(words(br#"{"detail":"no"}"#), Some("no".into()));
    assert_eq!(words(b"{}"), None);
}
