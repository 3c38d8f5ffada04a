//! Stopping under load: readiness first, then no new requests, and every one under way to its end.

use std::time::Duration;

use serde_json::json;
use stead_testkit::poll_until;

use crate::{
    provider::{Mood, Provider},
    support::{Installation, SOON},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_is_unready_first_and_finishes_every_request_and_stream() {
    let mut installation = Installation::new();
    let log = installation.path("access.log");
    let log_flag = format!("--access-log=json:{}", log.display());
    installation
        .up(&[
            "--no-discover",
            "--no-default-model",
            "--set",
            "drainDelay=2",
            "--set",
            "drain=30",
            &log_flag,
        ])
        .await;
    let provider = Provider::start().await;
    installation
        .stead_reading(&["apply", "-f", "-"], &provider.manifest())
        .await
        .ok();
    provider.behave(Mood::Drips);
    let token = installation.token();
    let ask = async |stream: bool| {
        let body = json!({"model": "stand-in/stand-in", "stream": stream, "messages": [{"role": "user", "content": "?"}]});
        installation
            .send_as("POST", "/v1/chat/completions", &body, &token)
            .await
    };
    let first = poll_until(SOON, "the provider to be known", async || {
        let (status, text) = ask(true).await;
        (status == 200).then_some(text)
    })
    .await;
    assert!(first.ends_with("data: [DONE]\n\n"), "{first}");

    let requests = futures::future::join_all((0..20).map(|number| ask(number % 2 == 0)));
    let stopping = async {
        poll_until(SOON, "all requests to be under way", async || {
            (provider.served() >= 21).then_some(())
        })
        .await;
        installation.signal();
        // Before the listener closes, it says so.
        let unready = async || {
            let (status, _) = installation.send_as("GET", "/readyz", &json!(null), &token).await;
            (status == 503).then_some(())
        };
        poll_until(Duration::from_secs(2), "the server to be unready", unready).await;
        // And still takes what comes from load balancers that have not noticed yet.
        ask(false).await
    };
    let (answers, late) = tokio::join!(requests, stopping);
    for (status, text) in answers.iter().chain([&late]) {
        assert_eq!(*status, 200, "{text}");
        assert!(
            text.ends_with("data: [DONE]\n\n") || text.contains("\"Paris\""),
            "{text}"
        );
    }
    assert_eq!(installation.ends().await, Some(0), "{}", installation.output());
    let lines = std::fs::read_to_string(&log).expect("an access log");
    let asked = lines
        .lines()
        .filter(|line| line.contains("/v1/chat/completions") && line.contains("\"status\":200"));
    assert_eq!(asked.count(), 22);
    assert!(lines.contains("\"user\":\"admin\"") && !lines.contains(&token));
}
