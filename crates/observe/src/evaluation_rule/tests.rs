//! Rules over a real store of traces, with scripted models.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use stead_kernel::Timestamp;

use super::{EvaluationRule, controller::reconcile};
use crate::{
    evaluation::tests::{Stand, said},
    opik::Opik,
};

const RULE: &str = "/apis/stead.dev/v1alpha1/namespaces/default/evaluationrules/r";

struct Rule {
    stand: Stand,
    opik: Arc<Opik>,
}

impl Rule {
    async fn new(spec: Value) -> Self {
        let stand = Stand::new().await;
        let opik = Arc::new(crate::opik::opik(&stand.context));
        let rule = Self { stand, opik };
        rule.put(spec).await;
        rule
    }

    async fn put(&self, spec: Value) {
        let object: EvaluationRule = serde_json::from_value(json!({
            "apiVersion": "stead.dev/v1alpha1", "kind": "EvaluationRule",
            "metadata": {"name": "r", "namespace": "default"}, "spec": spec,
        }))
        .unwrap();
        let api: kube::Api<EvaluationRule> =
            kube::Api::namespaced(self.stand.context.client.clone(), "default");
        api.create(&kube::api::PostParams::default(), &object)
            .await
            .unwrap();
    }

    /// One look; returns the status.
    async fn look(&self) -> Value {
        let mut object: EvaluationRule =
            serde_json::from_value(self.stand.world.api.get(RULE).unwrap()).unwrap();
        // What was traced in this test began after it.
        let made: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
        object.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(made));
        reconcile(Arc::new(object), Arc::clone(&self.opik)).await.unwrap();
        self.stand.world.api.get(RULE).unwrap()["status"].clone()
    }

    /// Traces something that ended, and waits until all must have been told.
    async fn trace(&self, output: &str, more: Value) -> String {
        let id = crate::opik::wire::new_id(self.opik.ports.clock.now()).to_string();
        let mut trace = json!({"id": id, "project_name": "p", "name": "t", "start_time": "2026-11-21T06:53:00Z",
            "end_time": "2026-11-21T06:53:01Z", "input": {"q": "why"}, "output": {"a": output}});
        trace
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        let (status, body) = self
            .stand
            .send(Method::POST, "/opik/api/v1/private/traces", Some(trace))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        self.stand
            .world
            .ports
            .clock
            .advance(std::time::Duration::from_secs(10));
        id
    }

    async fn scores(&self, id: &str) -> Value {
        let trace = self.stand.get(&format!("/opik/api/v1/private/traces/{id}")).await;
        trace.get("feedback_scores").cloned().unwrap_or_default()
    }
}

fn ready(status: &Value) -> (&str, &str) {
    let condition = &status["conditions"][0];
    (
        condition["status"].as_str().unwrap(),
        condition["reason"].as_str().unwrap(),
    )
}

#[tokio::test]
async fn what_is_traced_is_scored_once_and_what_does_not_match_is_not() {
    let rule = Rule::new(json!({"opikProjects": ["p"], "metrics": [{"type": "pii"}],
        "filters": [{"field": "tags", "operator": "contains", "value": "live"}]}))
    .await;
    let clean = rule.trace("fine", json!({"tags": ["live"]})).await;
    let leaky = rule.trace("ask ada@example.com", json!({"tags": ["live"]})).await;
    let other = rule.trace("ask ada@example.com", json!({})).await;
    let open = rule
        .trace("fine", json!({"tags": ["live"], "end_time": null}))
        .await;
    let status = rule.look().await;
    assert_eq!(ready(&status), ("True", "Scoring"));
    assert_eq!((&status["scored"], &status["backlog"]), (&json!(2), &json!(0)));
    let scores = rule.scores(&leaky).await;
    assert_eq!(
        (&scores[0]["name"], &scores[0]["value"], &scores[0]["source"]),
        (&json!("pii"), &json!(0.0), &json!("online_scoring"))
    );
    assert_eq!(scores[0]["reason"], "found: EMAIL");
    assert_eq!(rule.scores(&clean).await[0]["value"], 1.0);
    for unscored in [other, open] {
        assert!(rule.scores(&unscored).await.as_array().is_none_or(Vec::is_empty));
    }
    let again = rule.look().await;
    assert_eq!(again["scored"], 2);
}

#[tokio::test]
async fn a_judge_that_is_down_is_waited_for_and_nothing_is_lost() {
    let rule = Rule::new(
        json!({"metrics": [{"type": "answer-relevance", "model": "judge"}],
        "fields": {"input": "input.q", "output": "output.a"}}),
    )
    .await;
    let ids = [rule.trace("a", json!({})).await, rule.trace("b", json!({})).await];
    rule.stand.models(|_| Err(503));
    tokio::time::pause();
    let status = rule.look().await;
    tokio::time::resume();
    assert_eq!(
        (ready(&status), &status["scored"], &status["backlog"]),
        (("False", "Waiting"), &json!(0), &json!(2))
    );
    assert_eq!(status["lastError"], "not so");
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    rule.stand.models(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(said("{\"reason\": \"ok\", \"answer_relevance_score\": 0.9}"))
    });
    let status = rule.look().await;
    assert_eq!(
        (ready(&status), &status["scored"], &status["backlog"]),
        (("True", "Scoring"), &json!(2), &json!(0))
    );
    assert!((status["spentUsd"].as_f64().unwrap() - 0.000_004).abs() < 1e-12);
    for id in &ids {
        assert_eq!(rule.scores(id).await[0]["value"], 0.9);
    }
    rule.look().await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_budget_holds_until_the_next_hour() {
    let rule =
        Rule::new(json!({"metrics": [{"type": "pii"}], "budget": {"maxScored": 2, "per": "Hour"}})).await;
    for output in ["a", "b", "c"] {
        rule.trace(output, json!({})).await;
    }
    let status = rule.look().await;
    assert_eq!(
        (ready(&status), &status["scored"], &status["backlog"]),
        (("False", "BudgetSpent"), &json!(2), &json!(1))
    );
    rule.stand
        .world
        .ports
        .clock
        .advance(std::time::Duration::from_hours(1));
    let status = rule.look().await;
    assert_eq!(
        (ready(&status), &status["scored"], &status["backlog"]),
        (("True", "Scoring"), &json!(3), &json!(0))
    );
}

#[tokio::test]
async fn a_thread_is_judged_by_its_conversation_once_it_is_inactive() {
    let rule = Rule::new(json!({"target": "Threads", "metrics": [{"type": "prompt", "model": "judge",
        "messages": [{"role": "user", "content": "{{context}}"}], "scores": [{"name": "calm", "type": "boolean"}]}]}))
    .await;
    rule.stand.models(|body| {
        let told = body["messages"][0]["content"].as_str().unwrap();
        assert!(
            told.contains("\"role\":\"assistant\",\"content\":\"second\""),
            "{told}"
        );
        Ok(said("{\"calm\": {\"score\": true, \"reason\": \"r\"}}"))
    });
    rule.trace("first", json!({"thread_id": "t"})).await;
    rule.trace("second", json!({"thread_id": "t"})).await;
    assert_eq!(rule.look().await["scored"], 0);
    rule.stand
        .world
        .ports
        .clock
        .advance(std::time::Duration::from_secs(1_000));
    let status = rule.look().await;
    assert_eq!(
        (&status["scored"], &status["failed"]),
        (&json!(1), &json!(0)),
        "{status}"
    );
    let threads = rule
        .stand
        .get("/opik/api/v1/private/traces/threads?project_name=p")
        .await;
    assert_eq!(
        threads["content"][0]["feedback_scores"][0]["name"], "calm",
        "{threads}"
    );
}

#[tokio::test]
async fn opiks_evaluators_are_rules_with_logs() {
    let rule = Rule::new(json!({"metrics": [{"type": "pii"}]})).await;
    let stand = &rule.stand;
    let base = "/opik/api/v1/private/automations/evaluators";
    let evaluator = json!({"name": "Tone", "type": "llm_as_judge", "action": "evaluator", "sampling_rate": 1.0, "enabled": true,
        "code": {"model": {"name": "judge"}, "messages": [{"role": "USER", "content": "{{input}}"}],
            "variables": {"input": "input.q"}, "schema": [{"name": "tone", "type": "DOUBLE", "description": "d"}]}});
    let (status, _) = stand.send(Method::POST, base, Some(evaluator.clone())).await;
    assert_eq!(status, StatusCode::CREATED);
    let listed = stand.get(base).await;
    // A rule with metrics that Opik has not is none of its evaluators.
    assert_eq!(listed["total"], 1);
    let id = listed["content"][0]["id"].as_str().unwrap().to_owned();
    let mut changed = evaluator.clone();
    changed["enabled"] = false.into();
    let (status, body) = stand
        .send(Method::PATCH, &format!("{base}/{id}"), Some(changed))
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    let one = stand.get(&format!("{base}/{id}")).await;
    assert_eq!(
        (&one["enabled"], &one["code"]["variables"]),
        (&json!(false), &json!({"input": "input.q"}))
    );
    assert_eq!(stand.get(&format!("{base}/{id}/logs")).await["total"], 0);
    let mut python = evaluator;
    python["type"] = "user_defined_metric_python".into();
    let (status, _) = stand.send(Method::POST, base, Some(python)).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
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
}
