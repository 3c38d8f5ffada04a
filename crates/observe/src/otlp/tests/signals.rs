//! Logs and metrics through the doors, read back.

use axum::body::Body;
use futures::StreamExt;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use stead_kernel::{
    OpikLocal, Principal,
    command::{Command, Format},
};
use stead_testkit::{FakeTerminal, LocalServer, World};
use tower::ServiceExt;

use super::{JSON, PROTOBUF, send};
use crate::{
    opik::tests::{Stand, gzip, stand},
    traces::tests::get,
};

fn line(time: &str, severity: u8, text: &str, more: &Value) -> Value {
    let mut line = json!({"timeUnixNano": time, "severityNumber": severity, "body": {"stringValue": text}});
    line.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    line
}

async fn log(stand: &Stand, lines: &[Value]) {
    let told = json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeLogs": [{"scope": {"name": "app"}, "logRecords": lines}]}]});
    let headers = [("content-type", JSON), ("content-encoding", "gzip")];
    let answered = send(
        stand,
        "/otlp/v1/logs",
        &headers,
        gzip(told.to_string().as_bytes()),
    )
    .await;
    assert_eq!(
        (answered.status, answered.json()),
        (StatusCode::OK, json!({})),
        "{}",
        answered.text()
    );
}

/// 06:54 and some seconds of the day on which tests are.
fn at(second: u64) -> String {
    (super::BEGAN + second * super::SECOND).to_string()
}

async fn some_lines(stand: &Stand) {
    let trace = json!({"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174"});
    log(
        stand,
        &[
            line(&at(1), 9, "began", &json!({})),
            line(&at(2), 17, "it broke", &trace),
            line(
                &at(3),
                5,
                "details",
                &json!({"attributes": [{"key": "user", "value": {"stringValue": "Ada"}}]}),
            ),
        ],
    )
    .await;
}

async fn texts(stand: &Stand, query: &str) -> Vec<String> {
    let page = get(stand, &format!("/api/logs?{query}")).await;
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|row| row["body"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn lines_come_in_by_every_door_and_are_read_by_what_is_asked() {
    let stand = stand(OpikLocal::On);
    some_lines(&stand).await;
    for (query, expected) in [
        ("", vec!["details", "it broke", "began"]),
        ("level=info", vec!["it broke", "began"]),
        ("level=error", vec!["it broke"]),
        ("service=shop&q=ada", vec!["details"]),
        ("service=other", vec![]),
        ("trace=5b8efff7-9803-8103-d269-b633813fc60c", vec!["it broke"]),
        ("span=EEE19B7EC3C1B174", vec!["it broke"]),
        (
            "since=2026-11-21T06:54:02Z&until=2026-11-21T06:54:03Z",
            vec!["it broke"],
        ),
        ("limit=1", vec!["details"]),
        ("projects=research", vec![]),
    ] {
        assert_eq!(texts(&stand, query).await, expected, "{query}");
    }
    let page = get(&stand, "/api/logs?limit=2").await;
    let next = page["next"].as_str().unwrap();
    assert_eq!(texts(&stand, &format!("limit=2&after={next}")).await, ["began"]);
    let row = &page["items"][1];
    assert_eq!(
        json!([
            row["severity"],
            row["service"],
            row["scope"],
            row["traceId"],
            row["project"],
            row["resource"]
        ]),
        json!([17, "shop", "app", "5b8efff798038103d269b633813fc60c", "default", {"service.name": "shop"}])
    );
    for path in ["/opik/api/v1/private/otel/v1/logs", "/api/public/otel/v1/logs"] {
        let answered = send(&stand, path, &[("content-type", PROTOBUF)], Vec::new()).await;
        assert_eq!(
            (answered.status, answered.body.len()),
            (StatusCode::OK, 0),
            "{path}"
        );
    }
    let bad = send(
        &stand,
        "/otlp/v1/logs",
        &[("content-type", PROTOBUF)],
        vec![0x0a, 0xff],
    )
    .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    stand.store.close().await;
    stand.signals.close().await;
}

/// The events of a stream so far, as their bodies and the last id.
async fn events(body: &mut axum::body::BodyDataStream, count: usize) -> (Vec<String>, String) {
    let (mut text, mut bodies, mut last) = (String::new(), Vec::new(), String::new());
    while bodies.len() < count {
        let piece = body.next().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
        bodies.clear();
        for line in text.lines() {
            if let Some(data) = line.strip_prefix("data:") {
                let row: Value = serde_json::from_str(data).unwrap();
                bodies.push(row["body"].as_str().unwrap().to_owned());
            } else if let Some(id) = line.strip_prefix("id:") {
                id.trim().clone_into(&mut last);
            }
        }
    }
    (bodies, last)
}

#[tokio::test]
async fn lines_are_followed_and_who_comes_back_goes_on_where_it_was() {
    let stand = stand(OpikLocal::On);
    some_lines(&stand).await;
    let follow = async |last: &str| {
        let mut request = Request::get(format!("/api/logs/tail?level=info&lastEventId={last}"))
            .body(Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(stead_kernel::Identity::Known(Principal::admin().into()));
        let answer = stand.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        answer.into_body().into_data_stream()
    };
    let mut body = follow("").await;
    log(
        &stand,
        &[
            line(&at(9), 9, "live", &json!({})),
            line(&at(9), 5, "too fine", &json!({})),
        ],
    )
    .await;
    let (found, id) = events(&mut body, 1).await;
    assert_eq!(found, ["live"]);
    drop(body);
    log(&stand, &[line(&at(1), 9, "missed", &json!({}))]).await;
    let mut body = follow(&id).await;
    log(&stand, &[line(&at(10), 9, "later", &json!({}))]).await;
    assert_eq!(events(&mut body, 2).await.0, ["missed", "later"]);
    stand.world.ports.feed.close();
    assert!(body.next().await.is_none());
    let page = get(&stand, "/api/logs").await;
    assert!(page["place"].as_str().unwrap().starts_with("f."));
    stand.signals.close().await;
    stand.store.close().await;
}

async fn measure(stand: &Stand, metrics: &Value) -> Value {
    let told = json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeMetrics": [{"metrics": metrics}]}]});
    let body = told.to_string().into_bytes();
    let answered = send(stand, "/otlp/v1/metrics", &[("content-type", JSON)], body).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    answered.json()
}

fn point(second: u64, path: &str, value: &Value) -> Value {
    let mut point = json!({"timeUnixNano": at(second), "startTimeUnixNano": at(0),
        "attributes": [{"key": "path", "value": {"stringValue": path}}]});
    point
        .as_object_mut()
        .unwrap()
        .extend(value.as_object().unwrap().clone());
    point
}

async fn some_points(stand: &Stand) {
    let counts = |second, path, count: u64| point(second, path, &json!({"asInt": count.to_string()}));
    let times = |second, counts: [u64; 4]| {
        point(
            second,
            "/a",
            &json!({"count": counts.iter().sum::<u64>().to_string(), "sum": 10.0,
            "bucketCounts": counts.map(|count| count.to_string()), "explicitBounds": [1.0, 2.0, 4.0]}),
        )
    };
    let powers = |second, offset: i32| {
        point(
            second,
            "/a",
            &json!({"count": "4", "sum": 10.0, "scale": 0, "zeroCount": "0",
            "positive": {"offset": offset, "bucketCounts": ["1", "1", "2"]}}),
        )
    };
    let answered = measure(
        stand,
        &json!([
            {"name": "requests", "unit": "1", "description": "Requests.", "sum": {"isMonotonic": true, "aggregationTemporality": 2,
                "dataPoints": [counts(0, "/a", 5), counts(60, "/a", 65), counts(120, "/a", 10), counts(60, "/b", 30)]}},
            {"name": "time", "unit": "s", "histogram": {"aggregationTemporality": 2,
                "dataPoints": [times(0, [0, 0, 0, 0]), times(60, [2, 4, 4, 0])]}},
            {"name": "powers", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [powers(60, 0)]}},
            {"name": "memory", "gauge": {"dataPoints": [point(60, "/a", &json!({"asDouble": 0.5})), {"timeUnixNano": at(60)}]}}
        ]),
    )
    .await;
    assert_eq!(answered["partialSuccess"]["rejectedDataPoints"], "1");
}

#[tokio::test]
async fn points_come_in_and_are_rates_sums_and_quantiles() {
    let stand = stand(OpikLocal::On);
    // Twice is as once.
    for _ in 0..2 {
        some_points(&stand).await;
    }
    stand.clock.set("2026-11-21T07:00:00Z".parse().unwrap());
    let known = get(&stand, "/api/metrics").await;
    let names: Vec<&Value> = known["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["memory", "powers", "requests", "time"]);
    let requests = &known["items"][2];
    assert_eq!(
        json!([
            requests["kind"],
            requests["unit"],
            requests["series"],
            requests["labels"]["path"]
        ]),
        json!(["counter", "1", 2, ["/a", "/b"]])
    );
    let values = async |query: &str| {
        let told = get(
            &stand,
            &format!("/api/metrics/query?since=2026-11-21T06:54:00Z&step=60&{query}"),
        )
        .await;
        let items = told["items"].as_array().unwrap();
        let lines = items.iter().map(|line| {
            let points = line["points"].as_array().unwrap();
            points
                .iter()
                .map(|point| point[1].as_f64().unwrap())
                .collect::<Vec<f64>>()
        });
        lines.collect::<Vec<_>>()
    };
    for (query, expected) in [
        // The first point began to count in the range, and counts whole; the last one began anew.
        (
            "name=requests&match=path=/a&agg=increase",
            vec![vec![5.0, 60.0, 10.0]],
        ),
        (
            "name=requests&by=&agg=rate",
            vec![vec![5.0 / 60.0, 1.5, 10.0 / 60.0]],
        ),
        (
            "name=requests&by=path&agg=sum",
            vec![vec![5.0, 65.0, 10.0], vec![30.0]],
        ),
        ("name=time&agg=p50", vec![vec![1.75]]),
        ("name=time&agg=quantile:0.6", vec![vec![2.0]]),
        ("name=time&agg=count", vec![vec![0.0, 10.0]]),
        ("name=memory", vec![vec![0.5]]),
        ("name=nothing", vec![]),
    ] {
        assert_eq!(values(query).await, expected, "{query}");
    }
    stand.signals.close().await;
    stand.store.close().await;
}

#[tokio::test]
async fn exponential_histograms_have_quantiles_and_what_makes_no_sense_is_refused() {
    let stand = stand(OpikLocal::On);
    some_points(&stand).await;
    stand.clock.set("2026-11-21T07:00:00Z".parse().unwrap());
    let path = "/api/metrics/query?since=2026-11-21T06:54:00Z&step=60&name=powers&agg=p50";
    let powers = get(&stand, path).await["items"][0]["points"][0][1]
        .as_f64()
        .unwrap();
    assert!((powers - 4.0).abs() < 1e-9, "{powers}");
    for bad in [
        "name=memory&agg=rate",
        "agg=avg",
        "name=memory&agg=x",
        "name=memory&step=0",
        "name=memory&match=x",
    ] {
        let path = format!("/api/metrics/query?since=1h&{bad}");
        let answered = crate::traces::tests::send(&stand, Method::GET, &path, Body::empty());
        assert_eq!(answered.await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    stand.signals.close().await;
    stand.store.close().await;
}

/// Runs `stead …` against the stand and returns what was shown.
async fn stead(stand: &Stand, command: &Command, arguments: &[&str]) -> std::sync::Arc<FakeTerminal> {
    let server = LocalServer::new(stand.router.clone(), Principal::admin(), World::new().api);
    let terminal = std::sync::Arc::new(FakeTerminal::default());
    let matches = command
        .spec
        .clone()
        .no_binary_name(true)
        .try_get_matches_from(arguments)
        .unwrap();
    (command.run)(matches, terminal.session(server, Format::Table))
        .await
        .unwrap();
    terminal
}

#[tokio::test]
async fn logs_and_metrics_are_shown_in_the_terminal() {
    let stand = stand(OpikLocal::On);
    some_lines(&stand).await;
    some_points(&stand).await;
    let (logs, metrics) = (crate::command::logs(), crate::command::metrics());
    for command in [&logs, &metrics] {
        command.spec.clone().debug_assert();
    }
    let terminal = stead(&stand, &logs, &["--level", "info", "--service", "shop"]).await;
    assert_eq!(
        terminal.written(),
        "2026-11-21T06:54:01.000Z INFO  shop: began\n\
         2026-11-21T06:54:02.000Z ERROR shop: it broke trace=5b8efff798038103d269b633813fc60c\n"
    );
    let terminal = stead(&stand, &logs, &["ada"]).await;
    assert_eq!(
        terminal.written(),
        "2026-11-21T06:54:03.000Z DEBUG shop: details user=Ada\n"
    );
    let terminal = stead(&stand, &metrics, &[]).await;
    let view = &terminal.printed()[0];
    assert_eq!(view.names, ["memory", "powers", "requests", "time"]);
    assert_eq!(
        view.rows[2],
        ["requests", "counter", "1", "2", "path,service.name", "Requests."]
    );
    let arguments = [
        "requests",
        "--label",
        "path=/b",
        "--agg",
        "sum",
        "--by",
        "path",
        "--since",
        "2026-11-21",
        "--until",
        "2026-11-22",
        "--step",
        "60",
    ];
    let terminal = stead(&stand, &metrics, &arguments).await;
    assert_eq!(
        terminal.printed()[0].rows,
        [["2026-11-21T06:55:00Z", "path=/b", "30", "1"]]
    );
    stand.signals.close().await;
    stand.store.close().await;
}

/// Calls a method over gRPC: the status, the message that comes back, and the text of an error.
async fn call(
    stand: &Stand,
    who: crate::opik::tests::Who,
    service: &str,
    body: Vec<u8>,
) -> (String, Vec<u8>, String) {
    let path = format!("/opentelemetry.proto.collector.{service}/Export");
    let request = crate::opik::tests::request(who, &Method::POST, &path)
        .header("content-type", "application/grpc+proto")
        .header("grpc-encoding", "gzip")
        .header("te", "trailers")
        .body(Body::from(body))
        .unwrap();
    let answer = stand.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let text = |headers: &http::HeaderMap, name: &str| {
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let (early, message) = (
        text(answer.headers(), "grpc-status"),
        text(answer.headers(), "grpc-message"),
    );
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap();
    let late = body.trailers().and_then(|trailers| text(trailers, "grpc-status"));
    let status = early.or(late).unwrap();
    (status, body.to_bytes().to_vec(), message.unwrap_or_default())
}

fn framed(message: &[u8], compressed: bool) -> Vec<u8> {
    let message = if compressed {
        gzip(message)
    } else {
        message.to_vec()
    };
    let mut framed = vec![u8::from(compressed)];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed
}

#[tokio::test]
async fn grpc_takes_all_three_compressed_or_not_with_the_same_sign_in() {
    use opentelemetry_proto::tonic::{
        collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data},
    };
    use prost::Message as _;

    use crate::opik::tests::Who;
    let stand = stand(OpikLocal::On);
    let traces = super::export(Vec::new(), vec![super::span(7, 1, 0, 0, Vec::new())]).encode_to_vec();
    let logs = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![LogRecord {
                    body: super::pair("x", "by gRPC").value,
                    ..LogRecord::default()
                }],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let points = |count: usize| vec![NumberDataPoint::default(); count];
    let metrics = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![Metric {
                    name: "m".into(),
                    data: Some(Data::Gauge(Gauge {
                        data_points: points(2),
                    })),
                    ..Metric::default()
                }],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    for compressed in [false, true] {
        for (service, message, rejected) in [
            ("trace.v1.TraceService", traces.clone(), 0),
            ("logs.v1.LogsService", logs.encode_to_vec(), 0),
            ("metrics.v1.MetricsService", metrics.encode_to_vec(), 2),
        ] {
            let (status, body, error) = call(&stand, Who::Local, service, framed(&message, compressed)).await;
            assert_eq!((status.as_str(), error.as_str()), ("0", ""), "{service}");
            let answer = super::ExportTraceServiceResponse::decode(&body[5..]).unwrap();
            assert_eq!(
                answer.partial_success.map_or(0, |partial| partial.rejected_spans),
                rejected
            );
        }
    }
    assert_eq!(texts(&stand, "").await, ["by gRPC", "by gRPC"]);
    assert_eq!(super::all(&stand, "Default%20Project").await.0.len(), 1);
    let service = "trace.v1.TraceService";
    for (who, body, status) in [
        (Who::Stranger, framed(&traces, false), "16"),
        (Who::Key, framed(&traces, true), "0"),
        (Who::Local, b"\x01\0\0\0\x01x".to_vec(), "3"),
        (Who::Local, framed(b"\x0a\xff", false), "3"),
        (Who::Local, Vec::new(), "3"),
    ] {
        let (found, _, error) = call(&stand, who, service, body).await;
        assert_eq!(found, status, "{error}");
        assert_eq!(error.is_empty(), status == "0");
    }
    stand.signals.close().await;
    stand.store.close().await;
}
