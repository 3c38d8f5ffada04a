//! The routes against events in memory.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::{
    Authorizer, Credential, groups,
    ports::{
        NanoUsd,
        events::{Event, Outcome},
    },
};
use stead_testkit::{FakePorts, ManualClock};
use tower::ServiceExt;

use super::*;

/// Users may list in their own projects, admins everywhere, keys nowhere.
struct OwnProjects;

impl Authorizer for OwnProjects {
    fn authorize(&self, principal: &Principal, request: &AccessRequest<'_>) -> Result<()> {
        assert!(request.group.is_empty() && request.verb == Verb::List);
        let key = matches!(principal.credential, Credential::ApiKey { .. });
        let own = request.project.is_some_and(|project| principal.owns(project));
        if !key && (own || principal.is_admin()) {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "{} may not list {}",
            principal.user, request.resource
        )))
    }
}

fn user(name: &str, projects: &[&str]) -> Principal {
    Principal {
        user: name.into(),
        groups: vec![groups::AUTHENTICATED.into()],
        projects: projects.iter().map(|&project| project.to_owned()).collect(),
        credential: Credential::Token,
    }
}

async fn router() -> Router {
    let fakes = FakePorts::default();
    let row = |number: u64, project: &str, outcome: Outcome| RequestRow {
        id: format!("r{number}"),
        started: format!("2026-11-21T11:0{number}:00Z").parse().unwrap(),
        project: project.into(),
        model: "chat".into(),
        outcome,
        cost: Some(NanoUsd(5)),
        input: Some("hello".into()),
        ..RequestRow::default()
    };
    let events = [
        row(1, "default", Outcome::Ok),
        row(2, "research", Outcome::Error),
        row(3, "default", Outcome::Cancelled),
    ];
    let events = events.map(|row| Event::Request(Box::new(row)));
    let audit = AuditRow {
        id: "a".into(),
        project: "research".into(),
        ..AuditRow::default()
    };
    let mut ports = fakes.ports();
    ports.clock = Arc::new(ManualClock::at("2026-11-21T12:00:00Z".parse().unwrap()));
    ports.authorizer = Arc::new(OwnProjects);
    ports.events.append(events.into()).await.unwrap();
    ports
        .events
        .append(vec![Event::Audit(Box::new(audit))])
        .await
        .unwrap();
    let mut context = stead_testkit::World::new().context();
    context.ports = ports;
    routes(&crate::opik::opik(&context))
}

async fn get_as(principal: Principal, path: &str) -> (StatusCode, Value) {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request
        .extensions_mut()
        .insert(Identity::Known(Arc::new(principal)));
    send(request).await
}

async fn send(request: Request<Body>) -> (StatusCode, Value) {
    let response = router().await.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_request_without_a_credential_is_refused() {
    for path in ["/api/requests", "/api/requests/r1", "/api/usage", "/api/audit"] {
        let (status, body) = send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(
            (status, &body["error"]["reason"]),
            (StatusCode::UNAUTHORIZED, &json!("unauthenticated"))
        );
    }
}

#[tokio::test]
async fn everyone_sees_their_own_projects_and_admins_see_all() {
    let key = Principal {
        credential: Credential::ApiKey {
            project: "default".into(),
            name: "ci".into(),
        },
        ..user("ada", &["default"])
    };
    let cases: [(Principal, &str, Option<Vec<&str>>); 9] = [
        (Principal::admin(), "", Some(vec!["r3", "r2", "r1"])),
        (Principal::admin(), "?projects=research", Some(vec!["r2"])),
        (user("ada", &["default"]), "", Some(vec!["r3", "r1"])),
        (user("ada", &["default"]), "?projects=research", None),
        (user("ada", &["default"]), "?projects=default,research", None),
        (
            user("ada", &["default", "research"]),
            "?projects=research&projects=default",
            Some(vec!["r3", "r2", "r1"]),
        ),
        (user("ada", &["empty"]), "", Some(vec![])),
        (user("eve", &[]), "", None),
        (key, "", None),
    ];
    for (principal, query, expected) in cases {
        let (status, body) = get_as(principal.clone(), &format!("/api/requests{query}")).await;
        match expected {
            Some(expected) => assert_eq!(
                (status, ids(&body)),
                (StatusCode::OK, expected),
                "{principal:?} {query}"
            ),
            None => assert_eq!(status, StatusCode::FORBIDDEN, "{principal:?} {query}"),
        }
    }
}

#[tokio::test]
async fn a_request_of_another_project_does_not_exist() {
    let cases = [
        (Principal::admin(), "r2", StatusCode::OK),
        (user("ada", &["default"]), "r1", StatusCode::OK),
        (user("ada", &["default"]), "r2", StatusCode::NOT_FOUND),
        (user("ada", &["default"]), "r9", StatusCode::NOT_FOUND),
        (user("eve", &[]), "r1", StatusCode::FORBIDDEN),
    ];
    for (principal, id, expected) in cases {
        let (status, body) = get_as(principal, &format!("/api/requests/{id}")).await;
        assert_eq!(status, expected, "{id}");
        if status == StatusCode::OK {
            assert_eq!(body["input"], "hello");
        }
    }
}

#[tokio::test]
async fn requests_are_chosen_by_outcome_time_and_page() {
    let cases = [
        ("?outcome=error", vec!["r2"]),
        ("?since=58m", vec!["r3", "r2"]),
        (
            "?since=2026-11-21T11:02:00Z&until=2026-11-21T11:03:00Z",
            vec!["r2"],
        ),
        ("?limit=2", vec!["r3", "r2"]),
        ("?limit=2&after=2", vec!["r1"]),
        ("?model=other", vec![]),
        ("?key=", vec!["r3", "r2", "r1"]),
    ];
    for (query, expected) in cases {
        let (status, body) = get_as(Principal::admin(), &format!("/api/requests{query}")).await;
        assert_eq!((status, ids(&body)), (StatusCode::OK, expected), "{query}");
    }
}

#[tokio::test]
async fn a_parameter_that_makes_no_sense_is_refused_by_its_name() {
    let cases = [
        ("/api/requests?sinc=1h", "sinc: there is no such parameter"),
        ("/api/requests?since=yesterday", "since: \"yesterday\" is no time"),
        ("/api/requests?until=", "until: \"\" is no time"),
        (
            "/api/requests?limit=0",
            "limit: \"0\" is no number from 1 to 1000",
        ),
        (
            "/api/requests?limit=ten",
            "limit: \"ten\" is no number from 1 to 1000",
        ),
        ("/api/requests?model=a&model=b", "model: it is given 2 times"),
        (
            "/api/requests?outcome=failed",
            "outcome: unknown variant `failed`, expected one of `ok`, `error`, `cancelled`, `interrupted`",
        ),
        ("/api/audit?outcome=ok", "outcome: there is no such parameter"),
        ("/api/usage?limit=1", "limit: there is no such parameter"),
    ];
    for (path, message) in cases {
        let (status, body) = get_as(Principal::admin(), path).await;
        assert_eq!(
            (status, body["error"]["message"].as_str()),
            (StatusCode::BAD_REQUEST, Some(message))
        );
    }
    let (status, body) = get_as(Principal::admin(), "/api/usage?by=model,colour").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("by: unknown variant `colour`")
    );
}

#[tokio::test]
async fn usage_has_a_total_over_what_may_be_seen() {
    let (_, body) = get_as(Principal::admin(), "/api/usage?by=project,model").await;
    assert_eq!(body["by"], json!(["project", "model"]));
    assert_eq!(body["items"][0]["group"], json!(["default", "chat"]));
    assert_eq!(
        (&body["items"][0]["cost"], &body["total"]["cost"]),
        (&json!(10), &json!(15))
    );
    let (_, body) = get_as(user("ada", &["research"]), "/api/usage").await;
    assert_eq!(
        (&body["total"]["requests"], &body["total"]["errors"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn audit_records_are_seen_by_project() {
    let (_, body) = get_as(user("ada", &["research"]), "/api/audit").await;
    assert_eq!(ids(&body), ["a"]);
    let (_, body) = get_as(user("ada", &["default"]), "/api/audit").await;
    assert_eq!(ids(&body), Vec::<&str>::new());
}
