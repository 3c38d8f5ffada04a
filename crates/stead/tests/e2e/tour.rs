//! The README's tour, on the command line.

use serde_json::{Value, json};
use stead_testkit::poll_until;

use crate::{
    provider::Provider,
    support::{Installation, SOON},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_added_by_file_or_command_serves_the_next_request() {
    let installation = Installation::started().await;
    let provider = Provider::start().await;
    let url = format!("http://{}/v1", provider.address);
    let dry = [
        "provider",
        "add",
        "one",
        "--type",
        "openai-compatible",
        "--url",
        &url,
        "--private",
        "--dry-run",
        "-o",
        "yaml",
    ];
    let yaml = installation.stead(&dry).await.ok();
    assert!(
        yaml.contains("kind: ModelProvider") && yaml.contains(&url),
        "{yaml}"
    );
    installation
        .stead_reading(&["apply", "-f", "-"], &yaml)
        .await
        .ok();
    let (status, answer) = installation.ask("one/stand-in", "hello").await;
    assert_eq!(
        (status.as_u16(), &answer["choices"][0]["message"]["content"]),
        (200, &json!("Paris")),
        "{answer}"
    );
    let listed = installation.stead(&["get", "providers"]).await.ok();
    assert!(listed.starts_with("NAME") && listed.contains("one"), "{listed}");
    assert_eq!(provider.served(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_and_usage_show_the_requests_just_made() {
    let installation = Installation::started().await;
    let provider = Provider::start().await;
    installation
        .stead_reading(&["apply", "-f", "-"], &provider.manifest())
        .await
        .ok();
    for _ in 0..3 {
        assert_eq!(installation.ask("stand-in/stand-in", "what is it?").await.0, 200);
    }
    let rows = poll_until(SOON, "three requests", async || {
        let listed = installation.stead(&["trace", "list", "-o", "json"]).await.ok();
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        listed["items"]
            .as_array()
            .filter(|items| items.len() == 3)
            .cloned()
    })
    .await;
    let id = rows[0]["id"].as_str().expect("an id");
    let one = installation.stead(&["trace", "get", id, "-o", "json"]).await.ok();
    let one: Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(
        (&one["usage"]["input"], &one["usage"]["output"], &one["status"]),
        (&json!(7), &json!(3), &json!(200)),
        "{one}"
    );
    assert!(
        one["input"]
            .as_str()
            .is_some_and(|input| input.contains("what is it?")),
        "{one}"
    );
    assert!(
        one["output"]
            .as_str()
            .is_some_and(|output| output.contains("Paris")),
        "{one}"
    );
    let usage = installation
        .stead(&["usage", "--by", "model", "-o", "json"])
        .await
        .ok();
    let usage: Value = serde_json::from_str(&usage).expect("JSON");
    assert_eq!(
        (
            &usage["items"][0]["requests"],
            &usage["items"][0]["usage"]["input"]
        ),
        (&json!(3), &json!(21)),
        "{usage}"
    );
    let missing = installation.stead(&["trace", "get", "no-such-id"]).await;
    assert_eq!(missing.code, 3, "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_what_kind_of_failure_it_was() {
    let mut installation = Installation::started().await;
    for (arguments, code) in [
        (vec!["get", "providers", "nobody"], 3),
        (vec!["get", "no-such-kind"], 3),
        (vec!["frobnicate"], 2),
        (vec!["get", "--no-such-flag"], 2),
        (
            vec![
                "wait",
                "namespace/default",
                "--for=condition=Never",
                "--timeout=1s",
            ],
            6,
        ),
    ] {
        let ended = installation.stead(&arguments).await;
        assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
        assert!(
            ended.stdout.is_empty() && !ended.stderr.is_empty(),
            "{arguments:?}: {ended:?}"
        );
    }
    installation.stop().await;
    let ended = installation.stead(&["get", "providers"]).await;
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.stderr.contains("stead up"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_running_restores_everything_elsewhere() {
    let mut installation = Installation::started().await;
    installation
        .stead_reading(
            &["apply", "-f", "-"],
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: v}\n",
        )
        .await
        .ok();
    let backup = installation.path("backup").to_string_lossy().into_owned();
    installation.stead(&["backup", &backup]).await.ok();
    assert_eq!(
        installation.stead(&["backup", &backup]).await.code,
        5,
        "nothing is overwritten"
    );
    assert_eq!(
        installation.stead(&["restore", &backup]).await.code,
        5,
        "nothing is overwritten"
    );
    installation.kill().await;
    std::fs::remove_dir_all(installation.data()).expect("removed");
    installation.stead(&["restore", &backup]).await.ok();
    installation.up(&["--no-discover", "--no-default-model"]).await;
    let secret = installation
        .stead(&["get", "secret", "s", "-o", "json"])
        .await
        .ok();
    let secret: Value = serde_json::from_str(&secret).expect("JSON");
    assert_eq!(secret["data"]["k"], "dg==");
    installation.stead(&["doctor"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_command_explains_itself() {
    let installation = Installation::new();
    let commands = "up status doctor version completions kubeconfig config get apply delete describe explain edit wait chat model \
                    provider key usage trace api backup restore user token";
    for command in commands.split_whitespace() {
        let help = installation.stead(&[command, "--help"]).await.ok();
        assert!(help.contains("Usage:"), "{command}: {help}");
    }
    let version = installation.stead(&["--version"]).await.ok();
    assert_eq!(version.trim(), concat!("stead ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_accepted() {
    let installation = Installation::started().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the examples").flatten() {
        // Suites are no objects.
        if entry.file_name() == "evaluation" {
            continue;
        }
        let path = entry.path().to_string_lossy().into_owned();
        installation
            .stead(&["apply", "--dry-run", "-f", &path])
            .await
            .ok();
        count += 1;
    }
    assert!(count > 0);
}
