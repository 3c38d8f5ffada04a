//! `LiteLLM`'s configuration, moved over.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    provider::Provider,
    support::{Installation, binary, run},
};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../gateway/src/import/litellm/fixtures")
}

const VARIABLES: [&str; 7] = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "AZURE_API_KEY_EU",
    "AZURE_FRANCE",
    "AZURE_CANADA",
    "GROQ_API_KEY",
    "LITELLM_MASTER_KEY",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_configuration_is_accepted_by_a_real_server_and_no_secret_is_printed() {
    let installation = Installation::started().await;
    let data = installation.data().to_string_lossy().into_owned();
    let values: Vec<String> = VARIABLES.iter().map(|name| format!("value-of-{name}")).collect();
    let mut environment: Vec<(&str, &str)> = VARIABLES
        .iter()
        .copied()
        .zip(values.iter().map(String::as_str))
        .collect();
    environment.push(("STEAD_HOME", &data));
    for name in [
        "quickstart",
        "balancing",
        "local",
        "clouds",
        "operations",
        "fallbacks",
    ] {
        let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        installation.json("POST", "/k8s/api/v1/namespaces", space).await;
        let file = fixtures()
            .join(format!("{name}.yaml"))
            .to_string_lossy()
            .into_owned();
        let arguments = ["-n", name, "import", "litellm", &file, "--apply", "-o", "json"];
        let ended = run(&binary(), &arguments, &environment, "").await;
        let printed = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, 0, "{name}: {printed}");
        assert!(
            !printed.contains("value-of-") && !printed.contains("sk-inline"),
            "{printed}"
        );
        let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert!(!report["items"].as_array().expect("a list").is_empty(), "{name}");
    }
    let path = "/k8s/api/v1/namespaces/quickstart/secrets/openai";
    let (_, secret) = installation.json("GET", path, Value::Null).await;
    assert_eq!(secret["data"]["api-key"], "dmFsdWUtb2YtT1BFTkFJX0FQSV9LRVk=");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_litellm_go_on_with_their_key_and_their_models() {
    let installation = Installation::started().await;
    let provider = Provider::start().await;
    let config = format!(
        "model_list:\n  - model_name: gpt-4o\n    litellm_params:\n      model: openai/stand-in\n      \
         api_base: http://{}/v1\n      api_key: sk-provider\ngeneral_settings:\n  master_key: sk-1234\n",
        provider.address
    );
    let file = installation.path("config.yaml");
    std::fs::write(&file, config).expect("written");
    let file = file.to_string_lossy().into_owned();
    installation
        .stead(&["import", "litellm", &file, "--apply"])
        .await
        .ok();
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]});
    let asked = stead_testkit::poll_until(crate::support::SOON, "the route", async || {
        let (status, text) = installation
            .send_as("POST", "/v1/chat/completions", &body, "sk-1234")
            .await;
        (status == 200).then_some(text)
    })
    .await;
    assert!(asked.contains("Paris"), "{asked}");
    let (status, _) = installation
        .send_as("POST", "/v1/chat/completions", &body, "sk-12345")
        .await;
    assert_eq!(status, 401);
}
