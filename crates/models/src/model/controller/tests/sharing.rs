//! Blobs that several Models have, that vanish, and that are no longer needed.

use super::*;

const SOURCE: &str = "https://models.example/tiny.gguf";

async fn two_models(content: &[u8]) -> (Bench, Host) {
    let mut bench = Bench::new();
    let host = Host::new(content);
    bench.world.ports.web.host("models.example", host.router());
    for name in ["a", "b"] {
        bench.create(name, json!({"sources": [SOURCE]})).await;
        assert!(ready(&bench.settle(name).await.unwrap()).0);
    }
    (bench, host)
}

#[tokio::test(start_paused = true)]
async fn the_last_model_that_goes_takes_the_file_along() {
    let content = content(2_000);
    let (mut bench, _host) = two_models(&content).await;
    bench.delete("a").await;
    assert!(bench.settle("a").await.is_none());
    assert!(bench.blob(&content).exists());
    bench.delete("b").await;
    assert!(bench.settle("b").await.is_none());
    assert!(!bench.blob(&content).exists());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_vanished_is_fetched_again() {
    let content = content(2_000);
    let (mut bench, host) = two_models(&content).await;
    fs::remove_file(bench.blob(&content)).unwrap();
    bench.restart();
    let model = bench.settle("a").await;
    assert_ready(&bench, model, &content, SOURCE);
    assert_eq!(host.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_source_replaces_the_file_and_removes_the_old_one() {
    let (old, new) = (content(2_000), content(3_000));
    let mut bench = Bench::new();
    bench
        .world
        .ports
        .web
        .host("models.example", Host::new(&old).router());
    bench
        .world
        .ports
        .web
        .host("new.example", Host::new(&new).router());
    bench.create("tiny", json!({"sources": [SOURCE]})).await;
    bench.settle("tiny").await;
    let source = "https://new.example/tiny.gguf";
    let patch = json!({"spec": {"sources": [source]}});
    bench
        .api()
        .patch("tiny", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    bench.step("tiny").await;
    let model = bench.settle("tiny").await;
    assert_ready(&bench, model, &new, source);
    assert!(!bench.blob(&old).exists());
}

#[tokio::test(start_paused = true)]
async fn a_complete_file_that_the_disk_spoiled_is_fetched_again() {
    let content = content(2_000);
    let mut bench = Bench::new();
    let host = Host::new(&content);
    bench.world.ports.web.host("models.example", host.router());
    bench.create("tiny", json!({"sources": [SOURCE]})).await;
    let model = bench.step("tiny").await.unwrap();
    let folder = bench.shared.folder(&model);
    fs::create_dir_all(&folder).unwrap();
    let mut spoiled = content.clone();
    spoiled[1_000] ^= 1;
    fs::write(folder.join("x.partial"), &spoiled).unwrap();
    let note =
        json!({"source": SOURCE, "sha256": sha256(&content), "size": content.len(), "file": "x.partial"});
    fs::write(folder.join("complete.json"), note.to_string()).unwrap();
    let message = failure(bench.settle("tiny").await);
    assert!(message.contains("other bytes than were fetched"), "{message}");
    tokio::time::advance(Duration::from_secs(11)).await;
    bench.step("tiny").await;
    let model = bench.settle("tiny").await;
    assert_ready(&bench, model, &content, SOURCE);
}
