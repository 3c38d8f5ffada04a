//! Policies over a real store of traces.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use stead_kernel::ports::events::{Event, RequestRow};

use super::{RetentionPolicy, controller::reconcile};
use crate::{evaluation::tests::Stand, opik::Opik};

const POLICY: &str = "/apis/stead.dev/v1alpha1/namespaces/default/retentionpolicies/p";

struct Keep {
    stand: Stand,
    opik: Arc<Opik>,
}

impl Keep {
    async fn new(spec: Value) -> Self {
        let stand = Stand::new().await;
        let opik = Arc::new(crate::opik::opik(&stand.context));
        let object: RetentionPolicy = serde_json::from_value(json!({
            "apiVersion": "stead.dev/v1alpha1", "kind": "RetentionPolicy",
            "metadata": {"name": "p", "namespace": "default"}, "spec": spec,
        }))
        .unwrap();
        let api: kube::Api<RetentionPolicy> = kube::Api::namespaced(stand.context.client.clone(), "default");
        api.create(&kube::api::PostParams::default(), &object)
            .await
            .unwrap();
        Self { stand, opik }
    }

    async fn look(&self) -> Value {
        let object: RetentionPolicy =
            serde_json::from_value(self.stand.world.api.get(POLICY).unwrap()).unwrap();
        reconcile(Arc::new(object), Arc::clone(&self.opik)).await.unwrap();
        self.stand.world.api.get(POLICY).unwrap()["status"].clone()
    }

    fn later(&self, hours: u64) {
        self.stand.world.ports.clock.advance(Duration::from_hours(hours));
    }

    async fn trace(&self, project: &str) {
        let now = self.opik.ports.clock.now();
        let trace = json!({"id": crate::opik::wire::new_id(now).to_string(), "project_name": project, "name": "t",
            "start_time": now, "end_time": now});
        let path = "/opik/api/v1/private/traces";
        let (status, body) = self.stand.send(Method::POST, path, Some(trace)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }

    async fn traces(&self, project: &str) -> Value {
        let path = format!("/opik/api/v1/private/traces?project_name={project}");
        self.stand.get(&path).await["total"].clone()
    }
}

#[tokio::test]
async fn what_is_older_than_a_project_keeps_is_removed_every_hour_and_the_status_says_so() {
    let keep = Keep::new(json!({"traceDays": 2, "requestDays": 2})).await;
    keep.trace("a").await;
    let request = RequestRow {
        id: "r".into(),
        project: "default".into(),
        started: keep.opik.ports.clock.now(),
        ..RequestRow::default()
    };
    let events = &keep.opik.ports.events;
    events
        .append(vec![Event::Request(Box::new(request))])
        .await
        .unwrap();
    let first = keep.look().await;
    assert_eq!(first["removed"]["traces"], 0, "{first}");
    assert_eq!(first["conditions"][0]["status"], "True", "{first}");
    keep.later(47);
    keep.trace("a").await;
    assert_eq!(keep.look().await["removed"]["traces"], 0);
    keep.later(2);
    let status = keep.look().await;
    assert_eq!(
        (&status["removed"]["traces"], &status["removed"]["requests"]),
        (&json!(1), &json!(1)),
        "{status}"
    );
    assert_eq!(keep.traces("a").await, 1);
    // Within the hour nothing is done.
    assert_eq!(keep.look().await, status);
    keep.later(1);
    let status = keep.look().await;
    assert_eq!(
        (&status["removed"]["traces"], &status["removedInAll"]["traces"]),
        (&json!(0), &json!(1)),
        "{status}"
    );
}

#[tokio::test]
async fn a_policy_for_some_projects_leaves_the_others_and_one_that_fails_says_why() {
    let keep = Keep::new(json!({"opikProjects": ["short", "not there"], "traceDays": 1})).await;
    keep.trace("short").await;
    keep.trace("long").await;
    keep.later(25);
    let status = keep.look().await;
    assert_eq!(status["removed"]["traces"], 1, "{status}");
    assert_eq!(
        (keep.traces("short").await, keep.traces("long").await),
        (json!(0), json!(1))
    );
    // This world keeps no logs.
    let failing = Keep::new(json!({"logDays": 1})).await;
    let status = failing.look().await;
    assert_eq!(status["conditions"][0]["reason"], "Failed", "{status}");
    assert!(!status["lastError"].as_str().unwrap().is_empty());
    let off = Keep::new(json!({"logDays": 1, "disabled": true})).await;
    assert_eq!(off.look().await["conditions"][0]["reason"], "Disabled");
}
