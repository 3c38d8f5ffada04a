//! Gateways as processes of their own: they live from the control process's state, survive its absence, and may do
//! nothing else.

use serde_json::{Value, json};
use stead_testkit::poll_until;

use crate::{
    provider::{Mood, Provider},
    support::{Installation, SOON, Served, binary, run},
};

/// A control process without the gateway role, with a provider that wants a credential, a route and a key.
struct Site {
    control: Installation,
    provider: Provider,
    key: String,
}

impl Site {
    async fn new() -> Self {
        let mut control = Installation::new();
        control.serve(&["--roles", "control,telemetry"]).await;
        let provider = Provider::start().await;
        let manifest = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: stand-in}}\nstringData: {{api-key: sk-provider}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: private}}\nstringData: {{word: sesame}}\n---\n{}\n---\n\
             apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\nmetadata: {{name: local}}\nspec: {{type: embedded}}\n---\n\
             apiVersion: stead.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: chat}}\n\
             spec: {{targets: [{{provider: stand-in, model: stand-in}}]}}\n---\n\
             apiVersion: stead.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: own}}\n\
             spec: {{targets: [{{provider: local, model: tiny}}]}}\n",
            provider.manifest().replace(
                "network: Private}",
                "network: Private, credential: {secretRef: {name: stand-in}}}"
            )
        );
        control.stead_reading(&["apply", "-f", "-"], &manifest).await.ok();
        let made = control.stead(&["key", "create", "app", "-o", "json"]).await.ok();
        let made: Value = serde_json::from_str(&made).expect("JSON");
        let key = made["key"].as_str().expect("a key").to_owned();
        Self {
            control,
            provider,
            key,
        }
    }

    /// Makes a token for a gateway; its text.
    async fn token(&self, name: &str) -> String {
        let made = self
            .control
            .stead(&["gateway", "token", "create", name, "-o", "json"])
            .await
            .ok();
        let made: Value = serde_json::from_str(&made).expect("JSON");
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Starts a gateway with the token and waits until it is ready.
    async fn gateway(&self, token: &str) -> Served {
        let mut gateway = Served::new();
        gateway.start(&self.arguments(&gateway, token)).await;
        gateway.ready().await;
        gateway
    }

    fn arguments(&self, gateway: &Served, token: &str) -> Vec<String> {
        let file = gateway.path("token");
        std::fs::write(&file, token).expect("writable");
        let control = format!("https://127.0.0.1:{}", self.control.port);
        let ca = self.control.data().join("keys/ca.crt");
        let words = [
            "serve",
            "--roles",
            "gateway",
            "--control",
            &control,
            "--ca",
            &ca.to_string_lossy(),
            "--token-file",
            &file.to_string_lossy(),
        ];
        words.map(str::to_owned).to_vec()
    }

    /// Waits until the control process counts so many requests; the rows.
    async fn rows(&self, count: usize) -> Vec<Value> {
        poll_until(SOON, "the rows of the gateways", async || {
            let (_, page) = self
                .control
                .json("GET", "/api/requests?limit=500", Value::Null)
                .await;
            let rows = page["items"].as_array()?.clone();
            (rows.len() >= count).then_some(rows)
        })
        .await
    }
}

fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "The capital of France?"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_of_its_own_answers_and_what_it_answered_is_counted_once_whoever_was_killed() {
    let mut site = Site::new().await;
    let token = site.token("eu-1").await;
    let mut gateway = site.gateway(&token).await;
    let key = site.key.clone();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("traceparent", parent)];
    let (status, answer) = gateway
        .ask_with(&key, "/v1/chat/completions", &question("chat"), &headers)
        .await;
    assert_eq!(
        (status, &answer["choices"][0]["message"]["content"]),
        (200, &json!("Paris"))
    );
    let rows = site.rows(1).await;
    assert_eq!(rows[0]["replica"], "eu-1");
    assert_eq!(rows[0]["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(rows[0]["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(rows[0]["spanId"].as_str().map(str::len), Some(16));

    // The control process has no model API, and dies; the gateway goes on.
    let (status, _) = site.control.json("GET", "/v1/models", Value::Null).await;
    assert_eq!(status, 404);
    site.control.kill().await;
    for _ in 0..20 {
        assert_eq!(
            gateway
                .ask(&key, "/v1/chat/completions", &question("chat"))
                .await
                .0,
            200
        );
    }
    // The gateway dies too, and what it has not sent lies in its journal.
    gateway.kill().await;
    site.control.serve(&["--roles", "control,telemetry"]).await;
    gateway.start(&site.arguments(&gateway, &token)).await;
    gateway.ready().await;
    assert_eq!(
        gateway
            .ask(&key, "/v1/chat/completions", &question("chat"))
            .await
            .0,
        200
    );
    assert_eq!(site.rows(22).await.len(), 22);
    let (_, usage) = site.control.json("GET", "/api/usage", Value::Null).await;
    assert_eq!(usage["total"]["requests"], 22);
    assert_eq!(site.provider.served(), 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_gateways_and_embedded_models_are_said_to_be_elsewhere() {
    let site = Site::new().await;
    let gateway = site.gateway(&site.token("eu-1").await).await;
    let (status, answer) = gateway
        .ask(&site.key, "/v1/chat/completions", &question("own"))
        .await;
    assert_ne!(status, 200);
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("lie with the control"), "{answer}");

    let route = "apiVersion: stead.dev/v1alpha1\nkind: ModelRoute\nmetadata: {name: later}\n\
                 spec: {targets: [{provider: stand-in, model: stand-in}]}\n";
    site.control
        .stead_reading(&["apply", "-f", "-"], route)
        .await
        .ok();
    poll_until(SOON, "the new route", async || {
        let (status, _) = gateway
            .ask(&site.key, "/v1/chat/completions", &question("later"))
            .await;
        (status == 200).then_some(())
    })
    .await;
    site.control.stead(&["delete", "apikey", "app"]).await.ok();
    poll_until(SOON, "the key to be worthless", async || {
        let (status, _) = gateway
            .ask(&site.key, "/v1/chat/completions", &question("later"))
            .await;
        (status == 401).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_quota_is_spent_over_several_gateways_to_the_last_request_and_not_beyond() {
    let site = Site::new().await;
    let quota = "apiVersion: stead.dev/v1alpha1\nkind: Quota\nmetadata: {name: app}\n\
                 spec: {subject: {kind: Key, name: app}, limits: [{per: month, requests: 30}]}\n";
    site.control
        .stead_reading(&["apply", "-f", "-"], quota)
        .await
        .ok();
    let one = site.gateway(&site.token("eu-1").await).await;
    let two = site.gateway(&site.token("eu-2").await).await;
    let body = question("chat");
    let asks = (0..60).map(|number| {
        let gateway = if number % 2 == 0 { &one } else { &two };
        gateway.ask(&site.key, "/v1/chat/completions", &body)
    });
    let answers = futures::future::join_all(asks).await;
    let count = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    assert_eq!((count(200), count(429)), (30, 30), "{answers:?}");
    assert_eq!(site.provider.served(), 30);
}

/// Method, path, body, and the status that a gateway's token gets.
const TABLE: &[(&str, &str, &str, u16)] = &[
    ("GET", "/k8s/apis/stead.dev/v1alpha1/modelproviders", "", 200),
    ("GET", "/k8s/apis/stead.dev/v1alpha1/apikeys", "", 200),
    (
        "GET",
        "/k8s/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dstand-in",
        "",
        200,
    ),
    ("GET", "/k8s/api/v1/namespaces/default/secrets/stand-in", "", 200),
    ("POST", "/api/gateway/journal", "{\"rows\":[]}", 204),
    ("GET", "/k8s/api/v1/namespaces/default/secrets", "", 403),
    ("GET", "/k8s/api/v1/namespaces/default/secrets/private", "", 403),
    (
        "GET",
        "/k8s/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dprivate",
        "",
        403,
    ),
    ("GET", "/k8s/api/v1/secrets", "", 403),
    (
        "DELETE",
        "/k8s/api/v1/namespaces/default/secrets/stand-in",
        "",
        403,
    ),
    ("GET", "/k8s/api/v1/namespaces", "", 403),
    ("GET", "/k8s/apis", "", 403),
    ("GET", "/k8s/version", "", 403),
    (
        "POST",
        "/k8s/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "{}",
        403,
    ),
    ("GET", "/k8s/apis/stead.dev/v1alpha1/models", "", 403),
    ("GET", "/k8s/apis/stead.dev/v1alpha1/users", "", 403),
    (
        "POST",
        "/k8s/apis/stead.dev/v1alpha1/namespaces/default/modelproviders",
        "{}",
        403,
    ),
    (
        "PATCH",
        "/k8s/apis/stead.dev/v1alpha1/namespaces/default/modelproviders/stand-in/status",
        "{}",
        403,
    ),
    (
        "DELETE",
        "/k8s/apis/stead.dev/v1alpha1/namespaces/default/apikeys/app",
        "",
        403,
    ),
    ("GET", "/api/gateway/tokens", "", 403),
    ("POST", "/api/gateway/tokens", "{\"name\":\"mine\"}", 403),
    ("DELETE", "/api/gateway/tokens/eu-1", "", 403),
    ("GET", "/api/requests", "", 403),
    ("GET", "/api/usage", "", 403),
    ("GET", "/api/audit", "", 403),
    ("GET", "/api/session", "", 403),
    ("POST", "/api/admin-token/rotate", "", 403),
    ("GET", "/api/threads", "", 403),
    ("GET", "/v1/models", "", 403),
    ("GET", "/metrics", "", 403),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_token_is_good_for_what_it_needs_and_for_nothing_once_it_is_revoked() {
    let site = Site::new().await;
    let token = site.token("eu-1").await;
    let mut gateway = site.gateway(&token).await;
    let ask = async |method: &str, path: &str, body: &str| {
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        let answer = site.control.try_json(method, path, &body, &token).await;
        answer.expect("an answer").0.as_u16()
    };
    for (method, path, body, status) in TABLE {
        assert_eq!(ask(method, path, body).await, *status, "{method} {path}");
    }
    let listed = site
        .control
        .stead(&["gateway", "token", "list", "-o", "name"])
        .await
        .ok();
    assert_eq!(listed.trim(), "eu-1");

    // A watch that is open ends soon after, though it was allowed when it began.
    let secret = "/k8s/api/v1/namespaces/default/secrets/stand-in?watch=1&timeoutSeconds=3600";
    let watching = site.control.try_json("GET", secret, &Value::Null, &token);
    let revoking = async {
        let revoke = ["gateway", "token", "revoke", "eu-1"];
        site.control.stead(&revoke).await.ok();
    };
    let (ended, ()) = tokio::join!(tokio::time::timeout(SOON, watching), revoking);
    assert!(ended.is_ok(), "the watch goes on");
    for (method, path, body, _) in TABLE {
        // Without the gateway's role there is nothing at the model APIs, for nobody.
        let expected = if path.starts_with("/v1/") { 404 } else { 401 };
        assert_eq!(ask(method, path, body).await, expected, "{method} {path}");
    }
    // What the gateway knows it still serves; that it is cut off, it says to whoever asks.
    assert_eq!(
        gateway
            .ask(&site.key, "/v1/chat/completions", &question("chat"))
            .await
            .0,
        200
    );
    poll_until(SOON, "the gateway to say that it is cut off", async || {
        let (status, text) = gateway.get("/readyz").await;
        (status == 503 && text.contains("refuses")).then_some(())
    })
    .await;
    gateway.kill().await;
    let refused = gateway.fails(&site.arguments(&gateway, &token)).await;
    assert!(refused.stderr.contains("refuses the token"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_knows_nothing_yet_answers_that_it_is_starting() {
    let mut site = Site::new().await;
    let token = site.token("eu-1").await;
    site.control.stop().await;
    let mut gateway = Served::new();
    gateway.start(&site.arguments(&gateway, &token)).await;
    let (status, _) = gateway
        .ask(&site.key, "/v1/chat/completions", &question("chat"))
        .await;
    assert_eq!(status, 503, "not 401: the key may be good");
    assert_eq!(gateway.get("/livez").await.0, 200);
    assert_eq!(gateway.get("/readyz").await.0, 503);
    site.control.serve(&["--roles", "control,telemetry"]).await;
    gateway.ready().await;
    assert_eq!(
        gateway
            .ask(&site.key, "/v1/chat/completions", &question("chat"))
            .await
            .0,
        200
    );
    site.provider.behave(Mood::Fails);
    assert_ne!(
        gateway
            .ask(&site.key, "/v1/chat/completions", &question("chat"))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn roles_that_cannot_work_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_string_lossy().into_owned();
    for (arguments, part) in [
        (&["--roles", "gateway"][..], "needs a control process"),
        (&["--roles", "telemetry"], "needs the control role"),
        (&["--roles", "control,gateway"], "ClickHouse"),
        (
            &["--roles", "gateway,telemetry", "--control", "https://127.0.0.1:1"],
            "SQLite has one writer",
        ),
        (
            &["--roles", "control,telemetry", "--control", "https://127.0.0.1:1"],
            "a state that both can write",
        ),
        (&["--roles", "gateways"], "is no role"),
        (
            &["--roles", "gateway", "--control", "https://127.0.0.1:1"],
            "signs in to its control process",
        ),
    ] {
        let mut all = vec!["serve"];
        all.extend(arguments);
        let ended = run(&binary(), &all, &[("STEAD_HOME", &data)], "").await;
        assert_ne!(ended.code, 0, "{arguments:?}");
        assert!(ended.stderr.contains(part), "{arguments:?}: {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_process_holds_the_lease_and_steps_down_when_someone_takes_it() {
    let mut control = Installation::new();
    control.serve(&["--roles", "control,telemetry"]).await;
    let path = "/k8s/apis/coordination.k8s.io/v1/namespaces/stead-system/leases/stead-leader";
    let (status, lease) = control.json("GET", path, Value::Null).await;
    assert_eq!(status, 200, "{lease}");
    let holder = lease["spec"]["holderIdentity"]
        .as_str()
        .expect("a holder")
        .to_owned();
    assert!(holder.contains(&format!("_{}_", control.pid())), "{holder}");

    control.kill().await;
    control.serve(&["--roles", "control,telemetry"]).await;
    let (_, again) = control.json("GET", path, Value::Null).await;
    assert_ne!(again["spec"]["holderIdentity"].as_str(), Some(holder.as_str()));
    assert_eq!(again["spec"]["leaseTransitions"], 1);

    let taken = json!({"spec": {"holderIdentity": "someone-else"}});
    assert_eq!(control.send("PATCH", path, &taken).await.status(), 200);
    let ended = control.ends().await;
    assert_ne!(ended, Some(0));
    assert!(
        control.output().contains("has taken the lead"),
        "{}",
        control.output()
    );
}
