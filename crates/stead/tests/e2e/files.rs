//! The data plane from a folder of files.

use serde_json::{Value, json};
use stead_testkit::poll_until;

use crate::{
    provider::Provider,
    support::{SOON, Served},
};

fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "The capital of France?"}]})
}

fn write(gateway: &Served, name: &str, text: &str) {
    std::fs::create_dir_all(gateway.path("config")).expect("made");
    std::fs::write(gateway.path("config").join(name), text).expect("written");
}

fn route(name: &str) -> String {
    format!(
        "apiVersion: stead.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: {name}}}\n\
         spec: {{targets: [{{provider: stand-in, model: stand-in}}]}}\n"
    )
}

const KEYS: &str = "apiVersion: stead.dev/v1alpha1\nkind: ApiKey\nmetadata: {name: app}\n\
                    spec: {owner: {user: ada}, writeToSecretRef: {name: app, key: key}}\n---\n\
                    apiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {key: sk-stead-from-a-file}\n";
const KEY: &str = "sk-stead-from-a-file";

fn arguments(gateway: &Served, more: &[&str]) -> Vec<String> {
    let folder = gateway.path("config").to_string_lossy().into_owned();
    let words = ["gateway", "--config", &folder];
    words.iter().chain(more).map(|&word| word.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_runs_from_files_and_takes_their_changes_unless_they_are_invalid() {
    let provider = Provider::start().await;
    let mut gateway = Served::new();
    write(&gateway, "providers.yaml", &provider.manifest());
    write(&gateway, "keys.yaml", KEYS);
    write(&gateway, "routes.yaml", &route("chat"));
    gateway.start(&arguments(&gateway, &[])).await;
    gateway.ready().await;
    let ask = async |key: &str, model: &str| {
        let body = question(model);
        gateway.ask(key, "/v1/chat/completions", &body).await.0
    };
    assert_eq!(ask(KEY, "chat").await, 200);
    assert_eq!(ask("sk-stead-another", "chat").await, 401);

    write(&gateway, "routes.yaml", &route("renamed"));
    poll_until(SOON, "the renamed route", async || {
        (ask(KEY, "renamed").await == 200).then_some(())
    })
    .await;
    poll_until(SOON, "the old route to be gone", async || {
        (ask(KEY, "chat").await == 404).then_some(())
    })
    .await;

    // A field that no route has: nothing of the change counts, and the log says it once.
    let broken = route("third").replace("spec: {", "spec: {strategie: Weighted, ");
    write(&gateway, "routes.yaml", &broken);
    let line = gateway.line("not valid").await;
    assert!(
        line.contains("strategie") && line.contains("routes.yaml"),
        "{line}"
    );
    assert_eq!(ask(KEY, "renamed").await, 200);
    assert_eq!(ask(KEY, "third").await, 404);
    write(&gateway, "routes.yaml", &route("third"));
    poll_until(SOON, "the corrected route", async || {
        (ask(KEY, "third").await == 200).then_some(())
    })
    .await;
    assert_eq!(gateway.count_lines("not valid"), 1);

    // No resource API on the port, but usage, with the admin token of the data folder.
    assert_eq!(gateway.as_admin("/k8s/apis").await.0, 404);
    let usage = poll_until(SOON, "the usage", async || {
        let (_, usage) = gateway.as_admin("/api/usage?by=user").await;
        let usage: Value = serde_json::from_str(&usage).ok()?;
        (usage["total"]["requests"].as_u64() >= Some(3)).then_some(usage)
    })
    .await;
    assert_eq!(usage["items"][0]["group"], json!(["ada"]));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_usage_nothing_is_kept_and_an_invalid_start_is_refused() {
    let provider = Provider::start().await;
    let mut gateway = Served::new();
    write(
        &gateway,
        "all.yaml",
        &format!("{}---\n{KEYS}---\n{}", provider.manifest(), route("chat")),
    );
    gateway.start(&arguments(&gateway, &["--no-usage"])).await;
    gateway.ready().await;
    let (status, _) = gateway.ask(KEY, "/v1/chat/completions", &question("chat")).await;
    assert_eq!(status, 200);
    assert_eq!(gateway.as_admin("/api/usage").await.0, 404);
    let (_, metrics) = gateway.as_admin("/metrics").await;
    assert!(
        metrics.contains("gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name=\"chat\""),
        "{metrics}"
    );
    gateway.stop().await;
    let events = std::fs::read_dir(gateway.path("data/events")).map_or(0, Iterator::count);
    assert_eq!(events, 0, "nothing was kept");

    let user = "apiVersion: stead.dev/v1alpha1\nkind: User\nmetadata: {name: ada}\nspec: {}\n";
    write(&gateway, "user.yaml", user);
    let refused = gateway.fails(&arguments(&gateway, &[])).await;
    assert!(
        refused.stderr.contains("user.yaml") && refused.stderr.contains("nothing that a gateway"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs_as_it_is() {
    let mut gateway = Served::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/files");
    gateway
        .start(&["gateway", "--config", folder].map(str::to_owned))
        .await;
    gateway.ready().await;
    // Nobody may run Ollama here; that the key and the route are known shows all the same.
    let (status, answer) = gateway
        .ask("sk-for-trying-out", "/v1/chat/completions", &question("nothing"))
        .await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    gateway.stop().await;
}
