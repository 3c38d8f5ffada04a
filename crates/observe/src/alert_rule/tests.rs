//! Alerts over a real store of traces and a webhook in memory.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, routing::post};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::{AlertRule, controller::reconcile};
use crate::{evaluation::tests::Stand, opik::Opik};

const RULE: &str = "/apis/stead.dev/v1alpha1/namespaces/default/alertrules/a";

type Received = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

struct Watch {
    stand: Stand,
    opik: Arc<Opik>,
    received: Received,
    answer: Arc<Mutex<StatusCode>>,
}

impl Watch {
    async fn new(spec: Value) -> Self {
        let stand = Stand::new().await;
        let opik = Arc::new(crate::opik::opik(&stand.context));
        let received = Received::default();
        let answer = Arc::new(Mutex::new(StatusCode::NO_CONTENT));
        let (log, status) = (Arc::clone(&received), Arc::clone(&answer));
        let hook = Router::new().route(
            "/hook",
            post(move |headers: HeaderMap, body: Bytes| async move {
                log.lock()
                    .unwrap()
                    .push((headers, serde_json::from_slice(&body).unwrap()));
                *status.lock().unwrap()
            }),
        );
        stand.world.ports.web.host("hooks.example.com", hook);
        let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
            kube::Api::namespaced(stand.context.client.clone(), "default");
        let secret = serde_json::from_value(json!({"metadata": {"name": "hook", "namespace": "default"},
            "data": {"secret": "d2hzZWNfTWZLUTlyOEdLWXFyVHdqVVBEOElMUFpJbzJMYUxhU3c="}}));
        secrets
            .create(&kube::api::PostParams::default(), &secret.unwrap())
            .await
            .unwrap();
        let object: AlertRule = serde_json::from_value(json!({
            "apiVersion": "stead.dev/v1alpha1", "kind": "AlertRule",
            "metadata": {"name": "a", "namespace": "default"}, "spec": spec,
        }))
        .unwrap();
        let api: kube::Api<AlertRule> = kube::Api::namespaced(stand.context.client.clone(), "default");
        api.create(&kube::api::PostParams::default(), &object)
            .await
            .unwrap();
        Self {
            stand,
            opik,
            received,
            answer,
        }
    }

    async fn look(&self) -> Value {
        let object: AlertRule = serde_json::from_value(self.stand.world.api.get(RULE).unwrap()).unwrap();
        reconcile(Arc::new(object), Arc::clone(&self.opik)).await.unwrap();
        self.stand.world.api.get(RULE).unwrap()["status"].clone()
    }

    fn later(&self, seconds: u64) {
        self.stand.world.ports.clock.advance(Duration::from_secs(seconds));
    }

    async fn trace(&self, failed: bool) {
        let now = self.opik.ports.clock.now();
        let error = failed.then(|| json!({"exception_type": "E", "message": "m", "traceback": "t"}));
        let trace = json!({"id": crate::opik::wire::new_id(now).to_string(), "project_name": "p", "name": "t",
            "start_time": now, "end_time": now, "error_info": error});
        let (status, body) = self
            .stand
            .send(Method::POST, "/opik/api/v1/private/traces", Some(trace))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }

    fn types(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        received
            .iter()
            .map(|(_, body)| body["type"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn spec() -> Value {
    json!({"opikProjects": ["p"], "thresholds": [{"measure": "ErrorRate", "windowSeconds": 600, "above": 0.5, "until": 0.2}],
        "everySeconds": 10, "clearSeconds": 30,
        "webhook": {"url": "https://hooks.example.com/hook", "secretRef": {"name": "hook"}, "headers": {"x-team": "support"}}})
}

#[tokio::test]
async fn an_alert_fires_once_stays_until_it_is_clear_and_says_so() {
    let watch = Watch::new(spec()).await;
    assert_eq!(watch.look().await["state"], "Ok");
    for failed in [true, true, false] {
        watch.trace(failed).await;
    }
    watch.later(10);
    let status = watch.look().await;
    assert_eq!(
        (&status["state"], &status["waiting"]),
        (&json!("Firing"), &json!(0)),
        "{status}"
    );
    watch.later(10);
    watch.look().await;
    assert_eq!(watch.types(), ["alert.firing"]);
    let (headers, body) = watch.received.lock().unwrap()[0].clone();
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    assert_eq!(headers["x-team"], "support");
    assert_eq!(
        (&body["data"]["alert"], &body["data"]["thresholds"][0]["crossed"]),
        (&json!("a"), &json!(true))
    );
    // A third of four is below the threshold and above where it ends.
    for _ in 0..2 {
        watch.trace(false).await;
    }
    watch.later(10);
    assert_eq!(watch.look().await["state"], "Firing");
    for _ in 0..10 {
        watch.trace(false).await;
    }
    watch.later(10);
    assert_eq!(watch.look().await["state"], "Clearing");
    watch.later(30);
    assert_eq!(watch.look().await["state"], "Ok");
    assert_eq!(watch.types(), ["alert.firing", "alert.resolved"]);
}

#[tokio::test]
async fn a_webhook_that_is_down_is_told_later_with_the_same_id() {
    let watch = Watch::new(spec()).await;
    watch.trace(true).await;
    watch.later(1);
    *watch.answer.lock().unwrap() = StatusCode::BAD_GATEWAY;
    let status = watch.look().await;
    assert_eq!(
        (&status["waiting"], &status["conditions"][0]["reason"]),
        (&json!(1), &json!("Undelivered"))
    );
    assert_eq!(status["lastError"], "the webhook answered HTTP 502");
    watch.later(3);
    watch.look().await;
    assert_eq!(watch.types().len(), 1);
    *watch.answer.lock().unwrap() = StatusCode::OK;
    watch.later(3);
    let status = watch.look().await;
    assert_eq!(
        (&status["waiting"], &status["conditions"][0]["reason"]),
        (&json!(0), &json!("Watching"))
    );
    let received = watch.received.lock().unwrap();
    assert_eq!(received[0].0["webhook-id"], received[1].0["webhook-id"]);
    assert_eq!(received[0].1, received[1].1);
}

#[tokio::test]
async fn absence_is_noticed_and_a_private_address_is_not_reached() {
    let mut absent = spec();
    absent["thresholds"] = json!([{"measure": "Absence", "windowSeconds": 60}]);
    absent["webhook"] = json!({"url": "http://inside.example.com/hook"});
    let watch = Watch::new(absent).await;
    watch
        .stand
        .world
        .ports
        .web
        .private_host("inside.example.com", Router::new());
    watch.trace(false).await;
    watch.later(30);
    assert_eq!(watch.look().await["state"], "Ok");
    watch.later(60);
    let status = watch.look().await;
    assert_eq!(
        (&status["state"], &status["waiting"]),
        (&json!("Firing"), &json!(1))
    );
    assert!(
        status["lastError"].as_str().unwrap().contains("private address"),
        "{status}"
    );
}

#[tokio::test]
async fn a_test_is_sent_at_once_and_says_what_came_of_it() {
    let watch = Watch::new(spec()).await;
    let sent = watch.stand.post("/api/alerts/a/test", json!({})).await;
    assert_eq!(
        (&sent["status"], &sent["statusCode"]),
        (&json!("success"), &json!(204))
    );
    assert_eq!(watch.types(), ["alert.test"]);
    *watch.answer.lock().unwrap() = StatusCode::GONE;
    let sent = watch.stand.post("/api/alerts/a/test", json!({})).await;
    assert_eq!(
        (&sent["status"], &sent["error"]),
        (&json!("failure"), &json!("the webhook answered HTTP 410"))
    );
    let (status, _) = watch
        .stand
        .send(Method::POST, "/api/alerts/nobody/test", Some(json!({})))
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn opiks_alerts_are_rules_whose_secret_lies_apart() {
    let watch = Watch::new(spec()).await;
    let stand = &watch.stand;
    let base = "/opik/api/v1/private/alerts";
    let alert = json!({"name": "errors", "enabled": true, "alert_type": "general",
        "webhook": {"url": "https://hooks.example.com/hook", "secret_token": "very secret"},
        "triggers": [{"event_type": "trace:errors", "trigger_configs": [
            {"type": "threshold:errors", "config_value": {"threshold": "3", "window": "600"}}]}]});
    let (status, body) = stand.send(Method::POST, base, Some(alert.clone())).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let listed = stand.get(base).await;
    assert_eq!(
        (&listed["total"], &listed["content"][0]["name"]),
        (&json!(1), &json!("errors"))
    );
    assert!(!listed.to_string().contains("very secret"));
    let id = listed["content"][0]["id"].as_str().unwrap().to_owned();
    let rule = stand
        .world
        .api
        .get(&format!(
            "/apis/stead.dev/v1alpha1/namespaces/default/alertrules/opik-{id}"
        ))
        .unwrap();
    assert_eq!(rule["spec"]["thresholds"][0]["above"], 3.0);
    assert!(!rule.to_string().contains("very secret"));
    assert!(
        stand
            .world
            .api
            .get(&format!("/api/v1/namespaces/default/secrets/opik-alert-{id}"))
            .is_some()
    );
    let mut changed = alert.clone();
    changed["enabled"] = false.into();
    let (status, body) = stand
        .send(Method::PUT, &format!("{base}/{id}"), Some(changed))
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    assert_eq!(stand.get(&format!("{base}/{id}")).await["enabled"], false);
    let sent = stand.post(&format!("{base}/webhooks/tests"), alert).await;
    assert_eq!(
        (&sent["status"], &sent["status_code"]),
        (&json!("success"), &json!(204))
    );
    let (status, _) = stand
        .send(
            Method::POST,
            &format!("{base}/delete"),
            Some(json!({"ids": [id]})),
        )
        .await;
    assert_eq!(
        (status, &stand.get(base).await["total"]),
        (StatusCode::NO_CONTENT, &json!(0))
    );
    assert!(
        stand
            .world
            .api
            .get(&format!("/api/v1/namespaces/default/secrets/opik-alert-{id}"))
            .is_none()
    );
}
