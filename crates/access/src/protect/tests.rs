use ::http::{Method, StatusCode};
use axum::{body::Body, routing::any};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::{Credential, Principal};
use tower::ServiceExt;

use super::*;

/// Knows one credential, by the header `x-test`.
struct Known(&'static str, Identity);

impl Authenticator for Known {
    fn authenticate(&self, parts: &Parts) -> Option<Identity> {
        (parts.headers.get("x-test")? == self.0).then(|| self.1.clone())
    }
}

fn session() -> Identity {
    Identity::Known(Arc::new(Principal {
        user: "ada".into(),
        groups: Vec::new(),
        projects: Vec::new(),
        credential: Credential::Session,
    }))
}

fn server() -> Protected {
    let who = |request: Request| async move {
        match request.extensions().get::<Identity>() {
            Some(Identity::Known(who)) => who.user.clone(),
            Some(Identity::Anonymous) => "nobody".into(),
            Some(Identity::Rejected(why)) => format!("rejected: {why}"),
            None => "unprotected".into(),
        }
    };
    let router = Router::new().fallback(any(who));
    protect(
        router,
        Protection {
            authenticators: vec![
                Arc::new(Known("bad", Identity::Rejected("first".into()))),
                Arc::new(Known("bad", Identity::Rejected("second".into()))),
                Arc::new(Known("both", Identity::Rejected("first".into()))),
                Arc::new(Known("both", session())),
                Arc::new(Known("session", session())),
                Arc::new(Known("admin", Identity::Known(Arc::new(Principal::admin())))),
            ],
            hosts: vec!["ai.example.com".into()],
            listen: SocketAddr::from(([127, 0, 0, 1], 7832)),
            cors_origins: vec!["https://app.example/".into()],
            reveals: false,
        },
    )
}

/// Sends a request; answers with the status, the headers and the body.
async fn send(method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:7832");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = server().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("whole").to_bytes();
    (
        parts.status,
        parts.headers,
        String::from_utf8_lossy(&bytes).into_owned(),
    )
}

async fn status(method: Method, path: &str, headers: &[(&str, &str)]) -> StatusCode {
    send(method, path, headers).await.0
}

#[tokio::test]
async fn each_api_tells_a_wrong_host_in_its_own_way() {
    let message =
        "\"evil.example\" is not a name of this server (an admin can add it to `hosts` in the configuration)";
    for (path, body) in [
        (
            "/v1/models",
            json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "forbidden"}}),
        ),
        (
            "/v1/messages",
            json!({"type": "error", "error": {"type": "permission_error", "message": message}}),
        ),
        (
            "/v1beta/models",
            json!({"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED"}}),
        ),
        ("/ollama/api/tags", json!({"error": message})),
        (
            "/opik/api/v1/private/traces",
            json!({"code": 403, "message": message}),
        ),
        (
            "/k8s/api",
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": "Forbidden", "code": 403}),
        ),
        (
            "/api/session",
            json!({"error": {"reason": "forbidden", "message": "\"evil.example\" is not a name of this server",
                "hint": "an admin can add it to `hosts` in the configuration"}}),
        ),
    ] {
        let (status, _, text) = send(Method::GET, path, &[("host", "evil.example:7832")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(
            serde_json::from_str::<Value>(&text).expect("JSON"),
            body,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_rebound_name_gets_nowhere_whatever_it_carries() {
    for headers in [
        &[("host", "evil.example")][..],
        &[("host", "evil.example"), ("x-test", "admin")],
        &[("host", "evil.example"), ("origin", "http://evil.example")],
        &[("host", "")],
        &[("host", "localhost.evil.example")],
    ] {
        assert_eq!(
            status(Method::GET, "/", headers).await,
            StatusCode::FORBIDDEN,
            "{headers:?}"
        );
    }
    // The URI of HTTP/2 counts more than a Host header beside it.
    let headers = [("host", "localhost")];
    assert_eq!(
        status(Method::GET, "http://evil.example/", &headers).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        status(Method::GET, "http://localhost/", &headers).await,
        StatusCode::OK
    );
    let none = Request::get("/").body(Body::empty()).expect("a request");
    let response = server().oneshot(none).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn probes_are_answered_under_every_name() {
    for path in ["/livez", "/readyz"] {
        assert_eq!(
            status(Method::GET, path, &[("host", "10.0.0.9:7832")]).await,
            StatusCode::OK
        );
    }
    assert_eq!(
        status(Method::GET, "/metrics", &[("host", "evil.example")]).await,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn the_first_authenticator_that_knows_the_caller_counts() {
    for (headers, who) in [
        (&[("x-test", "admin")][..], "admin"),
        (&[("x-test", "both")], "ada"),
        (&[("x-test", "bad")], "rejected: first"),
        (&[("x-test", "unknown")], "nobody"),
        (&[], "nobody"),
        (
            &[("authorization", "Bearer x")],
            "rejected: the key is none of this server's",
        ),
        (
            &[("x-api-key", "x")],
            "rejected: the key is none of this server's",
        ),
    ] {
        assert_eq!(send(Method::GET, "/", headers).await.2, who, "{headers:?}");
    }
}

#[tokio::test]
async fn where_traces_are_exported_to_a_key_may_be_a_password_or_stand_alone() {
    // `pk-lf-1:sk-stead-x`
    let basic = [("authorization", "Basic cGstbGYtMTpzay1zdGVhZC14")];
    let bare = [("authorization", "sk-stead-x")];
    let seen = "rejected: the key is none of this server's";
    for (path, headers, expected) in [
        ("/api/public/otel/v1/traces", &basic, seen),
        ("/otlp/v1/traces", &basic, seen),
        ("/otlp/v1/traces", &bare, seen),
        ("/opik/api/v1/private/otel/v1/traces", &bare, seen),
        ("/opik/api/v1/private/traces", &basic, "nobody"),
        ("/api/session", &basic, "nobody"),
        ("/v1/models", &basic, "nobody"),
        ("/otlp/v1/traces", &[("authorization", "Basic !")], "nobody"),
    ] {
        let (_, _, body) = send(Method::POST, path, headers).await;
        assert_eq!(body, expected, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn a_session_changes_nothing_without_proof_from_our_own_page() {
    let id = "the-session-id";
    let (cookie, proof) = (format!("stead_session={id}"), crate::secret::csrf(id));
    let base = [("x-test", "session"), ("cookie", cookie.as_str())];
    let with = |more: &[(&'static str, &'static str)]| {
        let mut headers = base.to_vec();
        headers.extend_from_slice(more);
        headers
    };
    let own = ("origin", "http://localhost:7832");
    assert_eq!(status(Method::GET, "/api/session", &base).await, StatusCode::OK);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for path in ["/api/x", "/v1/chat/completions", "/k8s/api/v1/namespaces"] {
            assert_eq!(status(method.clone(), path, &base).await, StatusCode::FORBIDDEN);
            assert_eq!(
                status(method.clone(), path, &with(&[own])).await,
                StatusCode::FORBIDDEN
            );
            let wrong = with(&[own, ("x-stead-csrf", "wrong")]);
            assert_eq!(status(method.clone(), path, &wrong).await, StatusCode::FORBIDDEN);
            let mut right = with(&[own]);
            right.push(("x-stead-csrf", &proof));
            assert_eq!(
                status(method.clone(), path, &right).await,
                StatusCode::OK,
                "{method} {path}"
            );
        }
    }
    // Proof or not, other sites change nothing; those that may call model APIs neither, for they bring a key.
    for origin in [
        "http://evil.example",
        "http://localhost:3000",
        "https://localhost",
        "https://localhost:7832.evil.example",
        "https://app.example",
        "null",
        "",
    ] {
        let mut headers = with(&[]);
        headers.extend([("x-stead-csrf", proof.as_str()), ("origin", origin)]);
        assert_eq!(
            status(Method::POST, "/v1/x", &headers).await,
            StatusCode::FORBIDDEN,
            "{origin}"
        );
    }
    let upgrade = with(&[("upgrade", "websocket"), ("origin", "http://evil.example")]);
    assert_eq!(
        status(Method::GET, "/api/x", &upgrade).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        status(Method::GET, "/api/x", &with(&[("upgrade", "websocket"), own])).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn other_sites_send_nothing_without_a_key() {
    for (headers, allowed) in [
        (&[][..], true),
        (&[("origin", "http://localhost:7832")], true),
        (&[("origin", "http://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("origin", "http://evil.example"), ("x-test", "admin")], true),
        (
            &[("origin", "app://desktop"), ("authorization", "Bearer x")],
            true,
        ),
    ] {
        let expected = if allowed {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(
            status(Method::POST, "/api/session", headers).await,
            expected,
            "{headers:?}"
        );
        assert_eq!(
            status(Method::GET, "/api/session", headers).await,
            StatusCode::OK,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn a_proxy_before_us_may_have_another_name_for_us() {
    for (host, origin, own) in [
        ("ai.example.com", "https://ai.example.com", true),
        ("ai.example.com:443", "https://ai.example.com", true),
        ("ai.example.com", "https://ai.example.com:443", true),
        ("127.0.0.1:7832", "https://ai.example.com", true),
        ("127.0.0.1:7832", "https://ai.example.com:8443", false),
        ("127.0.0.1:7832", "http://ai.example.com", false),
        ("127.0.0.1:7832", "http://localhost:7832", false),
    ] {
        let headers = [("host", host), ("origin", origin)];
        let expected = if own {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(
            status(Method::POST, "/api/session", &headers).await,
            expected,
            "{host} {origin}"
        );
    }
}

#[tokio::test]
async fn pages_of_configured_origins_may_call_model_apis_only() {
    let preflight = |origin: &'static str| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, content-type"),
            ("access-control-request-private-network", "true"),
        ]
    };
    for path in [
        "/v1/chat/completions",
        "/v1/messages",
        "/v1beta/models",
        "/ollama/api/chat",
    ] {
        let (status, headers, _) = send(Method::OPTIONS, path, &preflight("https://app.example")).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{path}");
        for (name, value) in [
            ("access-control-allow-origin", "https://app.example"),
            ("access-control-allow-methods", "GET, POST, DELETE"),
            ("access-control-allow-headers", "authorization, content-type"),
            ("access-control-allow-private-network", "true"),
            ("vary", "origin"),
        ] {
            assert_eq!(
                headers.get(name).map(HeaderValue::as_bytes),
                Some(value.as_bytes()),
                "{path} {name}"
            );
        }
        assert!(!headers.contains_key("access-control-allow-credentials"));
        let (status, headers, _) = send(Method::OPTIONS, path, &preflight("https://evil.example")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
    let origin = [("origin", "https://app.example")];
    let (_, headers, _) = send(Method::POST, "/v1/chat/completions", &origin).await;
    assert_eq!(headers["access-control-allow-origin"], "https://app.example");
    for path in ["/api/session", "/k8s/api"] {
        let (status, headers, _) = send(Method::POST, path, &origin).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"));
        let (_, headers, _) = send(Method::OPTIONS, path, &preflight("https://app.example")).await;
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test]
async fn answers_are_not_for_frames_and_are_what_they_say() {
    let (_, headers, _) = send(Method::GET, "/", &[]).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(headers[name], value);
    }
    let (_, headers, _) = send(Method::GET, "/v1/models", &[]).await;
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_key_without_a_scheme_is_one_in_opiks_api_and_nowhere_else() {
    let key = [("authorization", "stead-admin-wrong")];
    let (_, _, known) = send(Method::GET, "/opik/api/v1/private/projects", &key).await;
    assert_eq!(known, "rejected: the key is none of this server's");
    let (_, _, unknown) = send(Method::GET, "/v1/models", &key).await;
    assert_eq!(unknown, "nobody");
    let (_, _, none) = send(Method::GET, "/opik/api/is-alive/ping", &[]).await;
    assert_eq!(none, "nobody");
}

#[tokio::test]
async fn each_failure_has_an_id_of_its_own_and_what_is_well_has_none() {
    let failing = || send(Method::GET, "/api/x", &[("host", "evil.example")]);
    let (first, second) = (failing().await, failing().await);
    assert!(first.0.is_client_error());
    let id = |headers: &HeaderMap| headers["x-stead-request-id"].to_str().unwrap().to_owned();
    assert_eq!(id(&first.1).len(), 32);
    assert_ne!(id(&first.1), id(&second.1));
    let (status, headers, _) = send(Method::GET, "/api/x", &[("x-test", "admin")]).await;
    assert!(status.is_success() && !headers.contains_key("x-stead-request-id"));
}
