//! Who is let in, and what is refused.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use stead_kernel::OpikLocal;

use super::{Answered, Stand, Who, request, stand};

const TRACE: &str = "01a1fce2-ce78-765d-a902-9bc62616e36b";
const SPAN: &str = "01a1fce2-ce79-71a0-927b-112963103fc5";
const BASE: &str = "/opik/api/v1/private";

async fn ping(stand: &Stand, who: Who, headers: &[(&str, &str)]) -> StatusCode {
    let mut builder = request(who, &Method::POST, &format!("{BASE}/auth"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    stand.send(builder.body(Body::empty()).unwrap()).await.status
}

#[tokio::test]
async fn without_a_key_only_programs_of_this_machine_are_let_in_and_only_to_the_default_workspace() {
    let on = stand(OpikLocal::On);
    assert_eq!(ping(&on, Who::Local, &[]).await, StatusCode::NO_CONTENT);
    assert_eq!(
        ping(&on, Who::Local, &[("comet-workspace", "default")]).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(ping(&on, Who::Key, &[]).await, StatusCode::NO_CONTENT);
    for headers in [
        [("origin", "https://evil.example")],
        [("x-forwarded-for", "203.0.113.9")],
        [("forwarded", "for=203.0.113.9")],
        [("x-real-ip", "203.0.113.9")],
        [("via", "1.1 proxy")],
        [("comet-workspace", "research")],
    ] {
        assert_eq!(
            ping(&on, Who::Local, &headers).await,
            StatusCode::UNAUTHORIZED,
            "{headers:?}"
        );
    }
    assert_eq!(ping(&on, Who::Stranger, &[]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        ping(&on, Who::Key, &[("comet-workspace", "research")]).await,
        StatusCode::NOT_FOUND
    );
    for off in [OpikLocal::Off, OpikLocal::Auto] {
        let off = stand(off);
        assert_eq!(ping(&off, Who::Local, &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(ping(&off, Who::Key, &[]).await, StatusCode::NO_CONTENT);
        off.store.close().await;
    }
    on.store.close().await;
}

async fn tell(stand: &Stand) -> Answered {
    let trace = json!({"id": TRACE, "project_name": "p", "name": "t", "start_time": "2026-11-21T06:54:44Z",
        "thread_id": "chat", "input": {"q": 1}});
    let span = json!({"id": SPAN, "project_name": "p", "trace_id": TRACE, "type": "llm", "name": "s",
        "start_time": "2026-11-21T06:54:44Z", "end_time": "2026-11-21T06:54:45Z", "usage": {"total_tokens": 7},
        "total_estimated_cost": 0.25});
    let traces = stand
        .ask(
            Method::POST,
            &format!("{BASE}/traces/batch"),
            Some(json!({"traces": [trace]})),
        )
        .await;
    assert_eq!(traces.status, StatusCode::NO_CONTENT, "{}", traces.text());
    stand
        .ask(
            Method::POST,
            &format!("{BASE}/spans/batch"),
            Some(json!({"spans": [span]})),
        )
        .await
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
async fn what_breaks_a_rule_is_refused_in_the_forms_of_opik() {
    let stand = stand(OpikLocal::On);
    assert_eq!(tell(&stand).await.status, StatusCode::NO_CONTENT);
    let v4 = "6f1b9c1e-0a1d-4a57-9a0e-000000000000";
    let span = |more: Value| {
        let mut span =
            json!({"id": SPAN, "trace_id": TRACE, "project_name": "p", "start_time": "2026-11-21T06:54:44Z"});
        span.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        span
    };
    for (method, path, body, status) in [
        (
            Method::POST,
            "/spans",
            span(json!({"project_name": "other"})),
            409,
        ),
        (Method::POST, "/spans", span(json!({"trace_id": SPAN})), 409),
        (Method::POST, "/spans", span(json!({"id": v4})), 400),
        (
            Method::POST,
            "/spans",
            json!({"id": SPAN, "trace_id": TRACE}),
            422,
        ),
        (Method::POST, "/traces/batch", json!({"traces": []}), 422),
        (
            Method::POST,
            "/traces/search",
            json!({"project_name": "p", "limit": 0}),
            422,
        ),
        (
            Method::POST,
            "/traces/search",
            json!({"project_name": "unknown"}),
            404,
        ),
        (
            Method::POST,
            "/traces/search",
            json!({"project_name": "p", "filters": [{"field": "x", "operator": "="}]}),
            400,
        ),
        (Method::POST, "/traces/search", json!({}), 400),
        (Method::POST, "/projects", json!({"name": "p"}), 409),
        (
            Method::PUT,
            "/traces/feedback-scores",
            json!({"scores": [{"id": TRACE, "name": "a", "value": 1e12, "source": "sdk"}]}),
            422,
        ),
        (Method::POST, "/nothing/of/opik", json!({}), 501),
        (
            Method::PATCH,
            &format!("/traces/comments/{SPAN}"),
            json!({"text": "x"}),
            404,
        ),
    ] {
        let answered = stand
            .ask(method.clone(), &format!("{BASE}{path}"), Some(body))
            .await;
        assert_eq!(
            answered.status.as_u16(),
            status,
            "{method} {path}: {}",
            answered.text()
        );
        let body = answered.json();
        assert!(body["errors"].is_array() || body["message"].is_string(), "{body}");
    }
    let gone = stand
        .ask(Method::GET, &format!("{BASE}/traces/{SPAN}"), None)
        .await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    stand.store.close().await;
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told once and read back in every form"
)]
async fn lists_statistics_metrics_threads_and_comments_tell_what_was_told() {
    let stand = stand(OpikLocal::On);
    tell(&stand).await;
    let get = async |path: &str| {
        stand
            .ask(Method::GET, &format!("{BASE}{path}"), None)
            .await
            .json()
    };
    let page =
        get("/traces?project_name=p&size=5&sorting=%5B%7B%22field%22%3A%22total_estimated_cost%22%7D%5D")
            .await;
    assert_eq!(
        (&page["total"], &page["content"][0]["usage"]["total_tokens"]),
        (&json!(1), &json!(7))
    );
    assert_eq!(page["content"][0]["span_count"], 1);
    let stats = get("/spans/stats?project_name=p").await;
    let stats = stats["stats"].as_array().unwrap();
    let value = |name: &str| &stats.iter().find(|stat| stat["name"] == name).unwrap()["value"];
    assert_eq!(
        (value("span_count"), value("total_estimated_cost")),
        (&json!(1), &json!(0.25))
    );
    assert_eq!(value("duration")["p50"], 1_000.0);
    let project = get("/projects?name=p").await["content"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let asked = json!({"metric_type": "TRACE_COUNT", "interval": "HOURLY",
        "interval_start": "2026-11-21T05:00:00Z", "interval_end": "2026-11-21T07:00:00Z"});
    let metrics = stand
        .ask(
            Method::POST,
            &format!("{BASE}/projects/{project}/metrics"),
            Some(asked),
        )
        .await
        .json();
    let values: Vec<&Value> = metrics["results"][0]["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| &point["value"])
        .collect();
    assert_eq!(values, [&Value::Null, &json!(1.0), &Value::Null]);
    let comment = stand
        .ask(
            Method::POST,
            &format!("{BASE}/traces/{TRACE}/comments"),
            Some(json!({"text": "good"})),
        )
        .await;
    assert_eq!(comment.status, StatusCode::CREATED);
    let address = comment.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(
        stand.ask(Method::GET, &address, None).await.json()["text"],
        "good"
    );
    let named = json!({"project_name": "p", "thread_id": "chat"});
    let thread = stand
        .ask(
            Method::POST,
            &format!("{BASE}/traces/threads/retrieve"),
            Some(named),
        )
        .await
        .json();
    assert_eq!(
        (&thread["number_of_messages"], &thread["status"]),
        (&json!(2), &json!("active"))
    );
    let named = json!({"project_name": "p", "thread_ids": ["chat"]});
    let shut = stand
        .ask(Method::PUT, &format!("{BASE}/traces/threads/close"), Some(named))
        .await;
    assert_eq!(shut.status, StatusCode::NO_CONTENT);
    assert_eq!(
        get("/traces/threads?project_name=p").await["content"][0]["status"],
        "inactive"
    );
    let removed = stand
        .ask(Method::DELETE, &format!("{BASE}/projects/{project}"), None)
        .await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(
        stand
            .ask(Method::GET, &format!("{BASE}/traces/{TRACE}"), None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    stand.store.close().await;
}

#[tokio::test]
async fn a_search_goes_on_where_it_stopped_and_leaves_out_what_is_not_wanted() {
    let stand = stand(OpikLocal::On);
    let traces: Vec<Value> = (0..25)
        .map(|number| {
            json!({"id": format!("01a1fce2-ce78-7000-8000-{number:012}"), "project_name": "p",
                "start_time": "2026-11-21T06:54:44Z", "input": "x".repeat(20_000)})
        })
        .collect();
    stand
        .ask(
            Method::POST,
            &format!("{BASE}/traces/batch"),
            Some(json!({"traces": traces})),
        )
        .await;
    let mut seen = Vec::new();
    loop {
        let asked = json!({"project_name": "p", "limit": 10, "last_retrieved_id": seen.last(), "exclude": ["source"]});
        let lines = stand
            .ask(Method::POST, &format!("{BASE}/traces/search"), Some(asked))
            .await
            .lines();
        if lines.is_empty() {
            break;
        }
        assert!(
            lines[0]["input"].as_str().unwrap().len() <= 10_000,
            "a search is slim unless it is asked not to be"
        );
        seen.extend(lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()));
    }
    let mut newest_first = seen.clone();
    newest_first.sort_unstable_by(|left, right| right.cmp(left));
    newest_first.dedup();
    assert_eq!((seen.len(), &newest_first), (25, &seen));
    let whole = json!({"project_name": "p", "limit": 1, "truncate": false});
    let line = stand
        .ask(Method::POST, &format!("{BASE}/traces/search"), Some(whole))
        .await
        .lines()
        .remove(0);
    assert_eq!(line["input"].as_str().unwrap().len(), 20_000);
    stand.store.close().await;
}

#[tokio::test]
async fn links_that_the_sdks_print_lead_to_the_trace() {
    let stand = stand(OpikLocal::On);
    tell(&stand).await;
    for end in ["", "/"] {
        let link = format!("/opik/api/v1/session/redirect/projects{end}?trace_id={TRACE}&path=eA==");
        let answered = stand.ask(Method::GET, &link, None).await;
        assert_eq!(answered.status, StatusCode::SEE_OTHER, "{}", answered.text());
        let address = answered.headers["location"].to_str().unwrap();
        let trace = stand.ask(Method::GET, address, None).await.json();
        assert_eq!(trace["name"], "t");
    }
    let unknown = format!("/opik/api/v1/session/redirect/projects/?trace_id={SPAN}&path=eA==");
    let answered = stand.ask(Method::GET, &unknown, None).await;
    assert_eq!(answered.status, StatusCode::NOT_FOUND);
    stand.store.close().await;
}
