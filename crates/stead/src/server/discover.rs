//! Finds the model servers of this machine and the API keys of its environment.

use std::time::Duration;

use futures::future::join_all;
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use stead_kernel::{
    Body, Context, DEFAULT_PROJECT, GROUP, VERSION,
    ports::{Reach, SendOptions},
};

use crate::environment::Environment;

/// How long a port may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// The largest answer that is read.
const ANSWER_LIMIT: usize = 1 << 20;

/// Usual ports, the path that lists models, and what answers there by default.
const PORTS: [(u16, &str, &str); 4] = [
    (11434, "/api/tags", "ollama"),
    (8000, "/v1/models", "vllm"),
    (8080, "/v1/models", "llama-cpp"),
    (1234, "/v1/models", "lm-studio"),
];

/// A provider that was found.
pub(super) struct Found {
    /// The `ModelProvider`.
    pub(super) object: Value,
    /// The name of its Secret and the key, for paid ones.
    pub(super) credential: Option<(String, String)>,
    /// A line for the person who starts the server.
    pub(super) describe: String,
}

/// Looks at every usual port at once, and at the environment.
pub(super) async fn providers(context: &Context, environment: &Environment) -> Vec<Found> {
    let probes = join_all(
        PORTS
            .into_iter()
            .map(|(port, path, name)| probe(context, port, path, name)),
    )
    .await;
    let local = probes.into_iter().flatten();
    let paid = environment
        .provider_keys()
        .into_iter()
        .map(|(name, kind, url, key)| paid(name, kind, url, key));
    local.chain(paid).collect()
}

async fn probe(context: &Context, port: u16, path: &str, usual: &'static str) -> Option<Found> {
    let answer = tokio::time::timeout(PATIENCE, list(context, port, path))
        .await
        .ok()??;
    let (name, kind, base) = classify(usual, &answer)?;
    let url = format!("http://127.0.0.1:{port}{base}");
    Some(Found {
        object: provider(name, kind, &url, json!({"network": "Private"})),
        credential: None,
        describe: format!("{name} at {url}"),
    })
}

async fn list(context: &Context, port: u16, path: &str) -> Option<Value> {
    let request = http::Request::get(format!("http://127.0.0.1:{port}{path}"))
        .body(Body::empty())
        .ok()?;
    let options = SendOptions {
        reach: Reach::Private,
        connect_timeout: PATIENCE,
    };
    let response = context.ports.outbound.send(request, options).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = Limited::new(response.into_body(), ANSWER_LIMIT)
        .collect()
        .await
        .ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

/// Name, type and base path of what answered; `None` when it is no model server.
fn classify(usual: &'static str, answer: &Value) -> Option<(&'static str, &'static str, &'static str)> {
    if usual == "ollama" {
        return answer
            .get("models")?
            .is_array()
            .then_some(("ollama", "ollama", ""));
    }
    let models = answer.get("data")?.as_array()?;
    let owner = models
        .first()
        .and_then(|model| model.get("owned_by"))
        .and_then(Value::as_str);
    let name = match owner {
        Some("vllm") => "vllm",
        Some("llamacpp") => "llama-cpp",
        _ => usual,
    };
    Some((name, "openai-compatible", "/v1"))
}

/// A provider that costs money answers nobody but the admin until somebody enables it.
fn paid(name: &str, kind: &str, url: &str, key: String) -> Found {
    let credential = json!({
        "availability": "Admins",
        "credential": {"secretRef": {"name": name, "key": "api-key"}},
    });
    Found {
        object: provider(name, kind, url, credential),
        credential: Some((name.to_owned(), key)),
        describe: format!(
            "{name}, by the key in the environment (for the admin only, until its availability is Everyone)"
        ),
    }
}

fn provider(name: &str, kind: &str, url: &str, more: Value) -> Value {
    let mut spec = json!({"type": kind, "baseUrl": url});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ModelProvider",
        "metadata": {"name": name, "namespace": DEFAULT_PROJECT},
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_is_told_by_its_owner_not_by_its_port() {
        let vllm = json!({"data": [{"id": "m", "owned_by": "vllm"}]});
        assert_eq!(
            classify("llama-cpp", &vllm),
            Some(("vllm", "openai-compatible", "/v1"))
        );
        assert_eq!(
            classify("lm-studio", &json!({"data": []})),
            Some(("lm-studio", "openai-compatible", "/v1"))
        );
        assert_eq!(
            classify("ollama", &json!({"models": []})),
            Some(("ollama", "ollama", ""))
        );
        for garbage in [json!(null), json!({"hello": 1}), json!([1])] {
            assert_eq!(classify("vllm", &garbage), None);
            assert_eq!(classify("ollama", &garbage), None);
        }
    }

    #[test]
    fn a_paid_provider_is_for_the_admin_and_its_key_is_not_in_the_object() {
        let found = paid(
            "openai",
            "openai",
            "https://api.openai.com/v1",
            "sk-secret".into(),
        );
        assert_eq!(found.object.pointer("/spec/availability"), Some(&json!("Admins")));
        assert!(!found.object.to_string().contains("sk-secret") && !found.describe.contains("sk-secret"));
    }
}
