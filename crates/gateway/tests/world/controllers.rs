//! What the controllers write.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde_json::{Value, json};
use stead_testkit::{World, poll_until};

use crate::{
    providers::{Provider, answer},
    stage::{KEY, SOON, Stage, ask, hash, post},
};

/// Waits until an object's Ready condition has this reason, and returns the object.
async fn ready(stage: &Stage, path: &str, reason: &str) -> Value {
    poll_until(SOON, &format!("{path} to be {reason}"), async || {
        let object = stage.world.api.get(path)?;
        let conditions = object.pointer("/status/conditions")?.as_array()?.clone();
        let found = conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["reason"] == reason);
        found.then_some(object)
    })
    .await
}

const PROVIDERS: &str = "/apis/stead.dev/v1alpha1/namespaces/default/modelproviders";
const KEYS: &str = "/apis/stead.dev/v1alpha1/namespaces/default/apikeys";
const ROUTES: &str = "/apis/stead.dev/v1alpha1/namespaces/default/modelroutes";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

#[tokio::test]
async fn a_providers_status_has_its_models_or_why_not() {
    let stage = Stage::start(World::new()).await;
    stage
        .world
        .ports
        .web
        .host("up.test", Provider::script([answer("x")]).router());
    let spec = |host: &str| json!({"type": "openai-compatible", "baseUrl": format!("https://{host}/v1")});
    stage
        .apply("ModelProvider", "modelproviders", "up", spec("up.test"))
        .await;
    stage
        .apply("ModelProvider", "modelproviders", "down", spec("down.test"))
        .await;
    let keyed = json!({"type": "openai", "credential": {"secretRef": {"name": "none", "key": "k"}}});
    stage
        .apply("ModelProvider", "modelproviders", "keyed", keyed)
        .await;
    let up = ready(&stage, &format!("{PROVIDERS}/up"), "Reachable").await;
    assert_eq!(up["status"]["models"], json!(["found", "m"]));
    assert_eq!(up["status"]["modelCount"], 2);
    let down = ready(&stage, &format!("{PROVIDERS}/down"), "Unreachable").await;
    assert!(
        down["status"]["lastError"]
            .as_str()
            .unwrap()
            .contains("down.test")
    );
    ready(&stage, &format!("{PROVIDERS}/keyed"), "CredentialMissing").await;
    stage.known("found").await;
}

#[tokio::test]
async fn a_routes_status_says_whether_it_can_answer() {
    let stage = Stage::start(World::new()).await;
    let spec = json!({"targets": [{"provider": "p", "model": "m"}]});
    stage.apply("ModelRoute", "modelroutes", "chat", spec).await;
    ready(&stage, &format!("{ROUTES}/chat"), "NoTargetUsable").await;
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(reply.error(), (503, "no_target".into()));
    stage
        .world
        .ports
        .web
        .host("p.test", Provider::script([answer("x")]).router());
    stage.provider("p", json!({})).await;
    ready(&stage, &format!("{ROUTES}/chat"), "TargetsUsable").await;
    assert_eq!(stage.chat(ask("chat")).await.status, StatusCode::OK);
}

fn key_of(secret: &Value) -> String {
    let encoded = secret["data"]["key"].as_str().unwrap();
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

#[tokio::test]
async fn a_key_is_made_for_a_secret_once_and_works() {
    let stage = Stage::start(World::new()).await;
    let spec = json!({"owner": {"user": "ci"}, "writeToSecretRef": {"name": "ci-key", "key": "key"}});
    stage.apply("ApiKey", "apikeys", "ci", spec.clone()).await;
    let object = ready(&stage, &format!("{KEYS}/ci"), "Usable").await;
    let secret = stage.world.api.get(&format!("{SECRETS}/ci-key")).unwrap();
    let key = key_of(&secret);
    assert_eq!(object["status"]["keyHash"], hash(&key));
    assert_eq!(
        secret["metadata"]["ownerReferences"][0]["uid"],
        object["metadata"]["uid"]
    );
    assert!(!object.to_string().contains(&key));
    poll_until(SOON, "the key", async || {
        let reply = stage.send(post("/v1/chat/completions", &key, "{}")).await;
        (reply.status == StatusCode::BAD_REQUEST).then_some(())
    })
    .await;
    let mut changed = spec;
    changed["disabled"] = json!(true);
    stage.apply("ApiKey", "apikeys", "ci", changed).await;
    ready(&stage, &format!("{KEYS}/ci"), "Disabled").await;
    assert_eq!(
        key_of(&stage.world.api.get(&format!("{SECRETS}/ci-key")).unwrap()),
        key
    );
}

#[tokio::test]
async fn a_key_in_a_secret_is_replaced_once_for_each_count_and_the_old_one_works_for_a_while() {
    let stage = Stage::start(World::new()).await;
    let mut spec = json!({"owner": {"user": "ci"}, "writeToSecretRef": {"name": "ci-key", "key": "key"}});
    stage.apply("ApiKey", "apikeys", "ci", spec.clone()).await;
    ready(&stage, &format!("{KEYS}/ci"), "Usable").await;
    let stored = || key_of(&stage.world.api.get(&format!("{SECRETS}/ci-key")).unwrap());
    let old = stored();
    spec["rotations"] = json!(1);
    spec["overlap"] = json!("24h");
    stage.apply("ApiKey", "apikeys", "ci", spec.clone()).await;
    let status = poll_until(SOON, "the key to be replaced", async || {
        let object = stage.world.api.get(&format!("{KEYS}/ci"))?;
        (object["status"]["rotations"] == 1).then(|| object["status"].clone())
    })
    .await;
    let new = stored();
    assert_ne!(new, old);
    assert_eq!(status["keyHash"], hash(&new));
    assert_eq!(status["previous"]["keyHash"], hash(&old));
    for key in [&old, &new] {
        poll_until(SOON, "the key", async || {
            let reply = stage.send(post("/v1/chat/completions", key, "{}")).await;
            (reply.status == StatusCode::BAD_REQUEST).then_some(())
        })
        .await;
    }
    spec["disabled"] = json!(true);
    stage.apply("ApiKey", "apikeys", "ci", spec).await;
    ready(&stage, &format!("{KEYS}/ci"), "Disabled").await;
    assert_eq!(stored(), new);
}

#[tokio::test]
async fn a_secret_that_was_not_made_for_a_key_is_left_alone() {
    let stage = Stage::start(World::new()).await;
    stage.secret("taken", "key", "sk-stead-somebody").await;
    let before = stage.world.api.get(&format!("{SECRETS}/taken")).unwrap();
    let spec = json!({"owner": {"user": "ci"}, "writeToSecretRef": {"name": "taken", "key": "key"}});
    stage.apply("ApiKey", "apikeys", "ci", spec).await;
    let object = ready(&stage, &format!("{KEYS}/ci"), "SecretExists").await;
    assert_eq!(object["status"].get("keyHash"), None);
    assert_eq!(stage.world.api.get(&format!("{SECRETS}/taken")).unwrap(), before);
    assert_eq!(
        stage.get("/v1/models", "sk-stead-somebody").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(stage.get("/v1/models", KEY).await.status, StatusCode::OK);
}

#[test]
fn every_example_passes_its_own_rules() {
    struct Anyone;
    impl stead_kernel::Authorizer for Anyone {
        fn authorize(
            &self,
            _: &stead_kernel::Principal,
            _: &stead_kernel::AccessRequest<'_>,
        ) -> stead_kernel::Result<()> {
            Ok(())
        }
    }
    for kind in stead_gateway::module().kinds {
        let mut new = kind.example.clone();
        let mut admission = stead_kernel::Admission {
            principal: &stead_kernel::Principal::admin(),
            authorizer: &Anyone,
            old: None,
            new: &mut new,
        };
        kind.admit.unwrap()(&mut admission).unwrap();
        let names = &kind.definition.spec.names;
        assert_eq!(kind.example["kind"], names.kind.as_str());
        assert!(names.short_names.as_ref().is_some_and(|names| !names.is_empty()));
    }
}
