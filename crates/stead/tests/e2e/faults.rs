//! Bad input and broken surroundings: one clear sentence each, and nothing stored is lost.

use std::path::Path;

use futures::StreamExt;
use http_body_util::{BodyExt, BodyStream};
use serde_json::{Value, json};
use stead_testkit::poll_until;

use crate::{
    provider::{Mood, Provider},
    support::{Installation, SOON, binary, run},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_up_a_busy_port_and_a_newer_folder_are_each_refused_in_a_sentence() {
    let mut installation = Installation::started().await;
    let second = installation.up_fails(&["--listen", "127.0.0.1:0"]).await;
    assert_eq!(second.code, 2, "--listen twice is a usage error: {second:?}");

    let mut other = Installation::new();
    other.port = installation.port;
    let busy = other.up_fails(&[]).await;
    assert_eq!(busy.code, 5, "{busy:?}");
    assert!(
        busy.stderr.contains("is in use by another program") && busy.stderr.contains("--listen"),
        "{busy:?}"
    );

    installation.port = 0;
    let second = installation.up_fails(&[]).await;
    assert_eq!(second.code, 5, "{second:?}");
    assert!(
        second.stderr.contains("already uses the data folder"),
        "{second:?}"
    );
    installation.kill().await;

    std::fs::write(installation.data().join("VERSION"), "99\n").expect("writable");
    let newer = installation.up_fails(&[]).await;
    assert!(newer.stderr.contains("layout 99") && newer.code == 1, "{newer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_another_owner_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give a folder away, so only root can make what this test is about.
        return;
    }
    let installation = Installation::new();
    std::fs::create_dir(installation.data()).expect("made");
    std::os::unix::fs::chown(installation.data(), Some(12_345), None).expect("root may");
    let refused = installation.up_fails(&[]).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("belongs to user 12345"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_models_and_bodies_get_openai_shaped_errors() {
    let installation = Installation::started().await;
    let question = json!({"model": "x", "messages": []});
    let path = "/v1/chat/completions";
    let (status, answer, _) = installation
        .try_json("POST", path, &question, "sk-stead-wrong")
        .await
        .expect("an answer");
    assert_eq!(
        (status.as_u16(), answer["error"]["type"].is_string()),
        (401, true),
        "{answer}"
    );
    assert!(!answer.to_string().contains("sk-stead-wrong"), "{answer}");
    let (status, answer) = installation.json("POST", path, question).await;
    assert_eq!(
        (status.as_u16(), &answer["error"]["code"]),
        (404, &json!("model_not_found")),
        "{answer}"
    );
    let (status, answer) = installation.json("POST", path, json!("not an object")).await;
    assert_eq!(status, 400, "{answer}");
    let (status, answer) = installation.json("POST", "/v1/no/such/path", json!({})).await;
    assert_eq!(
        (status.as_u16(), answer["error"]["message"].is_string()),
        (404, true),
        "{answer}"
    );
    let huge = json!({"model": "x", "messages": [{"role": "user", "content": "x".repeat(33 << 20)}]});
    let (status, answer) = installation.json("POST", path, huge).await;
    assert_eq!(status, 413, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_hangs_or_answers_garbage_gives_one_clear_error() {
    let installation = Installation::started().await;
    let provider = Provider::start().await;
    installation
        .stead_reading(&["apply", "-f", "-"], &provider.manifest())
        .await
        .ok();
    installation
        .stead_reading(&["apply", "-f", "-"], ROUTE)
        .await
        .ok();
    let (status, answer) = installation.ask("impatient", "hello").await;
    assert_eq!(status, 200, "{answer}");
    for (mood, expected) in [(Mood::Fails, 502), (Mood::Garbage, 502), (Mood::Hangs, 504)] {
        provider.behave(mood);
        let (status, answer) = installation.ask("impatient", "hello").await;
        assert_eq!(status.as_u16(), expected, "{mood:?}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("stand-in"),
            "{mood:?} names the provider: {answer}"
        );
    }
    drop(provider);
    let (status, answer) = installation.ask("impatient", "hello").await;
    assert!(status == 502 || status == 503, "{status} {answer}");
    let errors = poll_until(SOON, "four failed requests", async || {
        let (_, page) = installation
            .json("GET", "/api/requests?outcome=error", Value::Null)
            .await;
        page["items"].as_array().filter(|items| items.len() >= 4).cloned()
    })
    .await;
    assert!(
        errors
            .iter()
            .all(|row| row["error"].as_str().is_some_and(|error| !error.is_empty())),
        "{errors:?}"
    );
}

/// Short patience, no second try: what a person waits for in this test.
const ROUTE: &str = "apiVersion: stead.dev/v1alpha1\nkind: ModelRoute\nmetadata: {name: impatient}\n\
    spec:\n  targets: [{provider: stand-in, model: stand-in}]\n  retry: {attempts: 1}\n  timeouts: {firstToken: 500ms, total: 5s}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_ends_with_an_error_event() {
    let installation = Installation::started().await;
    let provider = Provider::start().await;
    installation
        .stead_reading(&["apply", "-f", "-"], &provider.manifest())
        .await
        .ok();
    provider.behave(Mood::Breaks);
    let question = json!({"model": "stand-in/stand-in", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let response = installation.send("POST", "/v1/chat/completions", &question).await;
    assert_eq!(response.status(), 200);
    let text = response
        .into_body()
        .collect()
        .await
        .expect("a whole body, whatever the provider did")
        .to_bytes();
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains("Par") && text.contains("\"error\"") && !text.contains("[DONE]"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_recorded_as_cancelled() {
    let installation = Installation::with_model().await;
    let question = json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "Tell me a long story."}]});
    let response = installation.send("POST", "/v1/chat/completions", &question).await;
    let mut body = BodyStream::new(response.into_body());
    body.next().await.expect("a first frame").expect("a good one");
    drop(body);
    poll_until(SOON, "a cancelled request", async || {
        let (_, page) = installation
            .json("GET", "/api/requests?outcome=cancelled", Value::Null)
            .await;
        page["items"]
            .as_array()
            .filter(|items| !items.is_empty())
            .map(|_| ())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_model_file_is_one_clear_error_and_the_server_lives_on() {
    let installation = Installation::started().await;
    for (name, content) in [
        ("text", b"<html>not a model</html>".to_vec()),
        ("cut", [b"GGUF".as_slice(), &[3, 0, 0, 0, 255, 255]].concat()),
    ] {
        let file = installation.path(name);
        std::fs::write(&file, content).expect("writable");
        let manifest = crate::support::model_manifest(&file.to_string_lossy()).replace("smollm2-135m", name);
        installation
            .stead_reading(&["apply", "--force-conflicts", "-f", "-"], &manifest)
            .await
            .ok();
    }
    let failed = poll_until(SOON, "the text to be refused", async || {
        let (_, model) = installation
            .json(
                "GET",
                "/k8s/apis/stead.dev/v1alpha1/namespaces/default/models/text",
                Value::Null,
            )
            .await;
        let failed = model.pointer("/status/conditions/0/status") == Some(&json!("False"));
        failed.then_some(model)
    })
    .await;
    assert!(
        failed.to_string().contains("it is a web page, not a model file"),
        "{failed}"
    );
    let waited = installation
        .stead(&["wait", "model/cut", "--for=condition=Ready", "--timeout=60s"])
        .await;
    if waited.code == 0 {
        let (status, answer) = installation.ask("local/cut", "hello").await;
        assert!(
            status.is_client_error() || status.is_server_error(),
            "{status} {answer}"
        );
        assert!(
            answer["error"]["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{answer}"
        );
    }
    installation.stead(&["status"]).await.ok();
}

/// A small tmpfs in a mount namespace of its own is filled to the brim while the server writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_clearly_and_keeps_what_was_acknowledged() {
    let mut installation = Installation::new();
    let mount = installation.data();
    std::fs::create_dir(&mount).expect("made");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/full-disk.sh");
    let stead = binary().to_string_lossy().into_owned();
    let port = installation.port.to_string();
    let ended = run(
        Path::new("unshare"),
        &[
            "--user",
            "--map-root-user",
            "--mount",
            "--",
            "bash",
            &script.to_string_lossy(),
            &stead,
            &mount.to_string_lossy(),
            &port,
        ],
        &[],
        "",
    )
    .await;
    assert_eq!(
        ended.code, 0,
        "stdout: {}\nstderr: {}",
        ended.stdout, ended.stderr
    );
    installation.port = 0;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_file_log_trace_or_argument() {
    let installation = Installation::started().await;
    let provider = Provider::start().await;
    let secret = "sk-very-secret-provider-key";
    let url = format!("http://{}/v1", provider.address);
    let arguments = [
        "provider",
        "add",
        "stand-in",
        "--type",
        "openai-compatible",
        "--url",
        &url,
        "--private",
        "--key-stdin",
    ];
    installation.stead_reading(&arguments, secret).await.ok();
    let (status, answer) = installation.ask("stand-in/stand-in", "hello").await;
    assert_eq!(status, 200, "{answer}");
    provider.behave(Mood::Fails);
    installation.ask("stand-in/stand-in", "hello").await;
    let described = installation
        .stead(&["describe", "provider", "stand-in"])
        .await
        .ok();
    assert!(!described.contains(secret));
    assert!(!installation.output().contains(secret));
    let command_line = std::fs::read(format!("/proc/{}/cmdline", installation.pid())).expect("readable");
    assert!(!String::from_utf8_lossy(&command_line).contains(secret));
    let found = run(
        Path::new("grep"),
        &["-rlaF", secret, &installation.data().to_string_lossy()],
        &[],
        "",
    )
    .await;
    assert_eq!(
        (found.code, found.stdout.as_str()),
        (1, ""),
        "the secret lies open in these files"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_is_repaired_as_far_as_it_can_be_read_and_what_it_was_is_kept() {
    const QUIET: [&str; 2] = ["--no-discover", "--no-default-model"];
    let mut installation = Installation::new();
    installation.up(&QUIET).await;
    for number in 0..60 {
        let body =
            json!({"metadata": {"name": format!("m{number:02}")}, "data": {"text": "x".repeat(3_000)}});
        let (code, answer) = installation
            .json("POST", "/k8s/api/v1/namespaces/default/configmaps", body)
            .await;
        assert_eq!(code, 201, "{answer}");
    }
    let held = installation.stead(&["doctor", "--repair"]).await;
    assert_ne!(held.code, 0, "a running server holds the files: {held:?}");
    installation.stop().await;
    let state = installation.data().join("state.db");
    damage_a_page(&state, "objects");
    let damaged = std::fs::read(&state).expect("read");

    let ended = installation.up_fails(&QUIET).await;
    assert!(ended.stderr.contains("stead doctor --repair"), "{ended:?}");
    assert_ne!(installation.stead(&["doctor"]).await.code, 0);
    let told = installation.stead(&["doctor", "--repair"]).await.ok();
    assert!(told.contains("rows of objects were lost"), "{told}");
    installation.stead(&["doctor"]).await.ok();
    let folder = std::fs::read_dir(installation.data()).expect("listed");
    let mut kept = folder.flatten().map(|entry| entry.path());
    let kept = kept
        .find(|path| path.to_string_lossy().ends_with('Z'))
        .expect("a copy");
    assert!(
        std::fs::read(kept).expect("read") == damaged,
        "the copy is what it was"
    );

    installation.up(&QUIET).await;
    let (_, list) = installation
        .json("GET", "/k8s/api/v1/namespaces/default/configmaps", Value::Null)
        .await;
    let count = list["items"].as_array().map_or(0, Vec::len);
    assert!((40..61).contains(&count), "{count}");
    installation.stop().await;
}

/// Overwrites a page in the middle of a table.
fn damage_a_page(path: &std::path::Path, table: &str) {
    use std::io::{Seek, SeekFrom, Write};
    let pages: Vec<u64> = {
        let file = rusqlite::Connection::open(path).expect("opened");
        let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path";
        let mut statement = file.prepare(sql).expect("prepared");
        let pages = statement
            .query_map([table], |row| row.get::<_, i64>(0))
            .expect("asked");
        pages
            .map(|page| u64::try_from(page.expect("a number")).expect("a page"))
            .collect()
    };
    let page = pages[pages.len() / 2];
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .expect("opened");
    file.seek(SeekFrom::Start((page - 1) * 4096)).expect("there");
    file.write_all(&[0xAB; 4096]).expect("written");
}
