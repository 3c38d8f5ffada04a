//! What hosts on the web do to a download.

use super::{host::Behaviour, *};

const SOURCE: &str = "https://models.example/tiny.gguf";

fn bench(content: &[u8]) -> (Bench, Host) {
    let bench = Bench::new();
    let host = Host::new(content);
    bench.world.ports.web.host("models.example", host.router());
    (bench, host)
}

async fn settled(bench: &mut Bench, spec: Value) -> Option<Model> {
    bench.create("tiny", spec).await;
    bench.settle("tiny").await
}

#[tokio::test(start_paused = true)]
async fn a_download_that_breaks_off_is_resumed_where_it_stopped() {
    let content = content(300_000);
    let (mut bench, host) = bench(&content);
    host.push(Behaviour::Cut(100_000));
    host.push(Behaviour::Stall(100_000));
    let model = settled(&mut bench, json!({"sources": [SOURCE]})).await;
    assert_ready(&bench, model, &content, SOURCE);
    let ranges: Vec<_> = [None, Some("bytes=100000-"), Some("bytes=200000-")]
        .map(|it| it.map(str::to_owned))
        .into();
    assert_eq!(host.ranges(), ranges);
    assert_eq!(host.seen()[2][http::header::IF_RANGE], "\"1\"");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changed_meanwhile_is_fetched_whole() {
    let (old, new) = (
        content(300_000),
        content(200_000).into_iter().chain([7; 9]).collect::<Vec<_>>(),
    );
    for change in [
        Behaviour::Change(new.clone()),
        Behaviour::ChangeAndIgnoreTag(new.clone()),
    ] {
        let (mut bench, host) = bench(&old);
        host.push(Behaviour::Cut(100_000));
        host.push(change);
        let model = settled(&mut bench, json!({"sources": [SOURCE]})).await;
        assert_ready(&bench, model, &new, SOURCE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_with_a_pinned_file_and_with_what_was_synced_of_an_unpinned_one() {
    let content = content(300_000);
    for spec in [
        json!({"sources": [SOURCE]}),
        json!({"sources": [SOURCE], "sha256": sha256(&content)}),
    ] {
        let (mut bench, host) = bench(&content);
        host.push(Behaviour::Cut(100_000));
        host.push(Behaviour::Status(503));
        host.push(Behaviour::Status(503));
        failure(settled(&mut bench, spec).await);
        bench.restart();
        let model = bench.settle("tiny").await;
        assert_ready(&bench, model, &content, SOURCE);
        assert_eq!(host.ranges().pop().flatten().as_deref(), Some("bytes=100000-"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_model_never_becomes_one() {
    let cases = [
        (
            Behaviour::Instead(b"<!DOCTYPE html><p>sign in".to_vec()),
            "web page",
        ),
        (
            Behaviour::Instead(b"MZ and so on".to_vec()),
            "does not begin like a GGUF file",
        ),
        (Behaviour::Instead(b"GG".to_vec()), "no GGUF file"),
        (Behaviour::Instead(Vec::new()), "no GGUF file"),
        (Behaviour::Status(404), "404"),
        (Behaviour::Status(401), "need no sign-in"),
        (
            Behaviour::Announce(299_999),
            "more bytes came than were announced",
        ),
        (Behaviour::Announce(1 << 60), "MB are still needed"),
        (
            Behaviour::Redirect("https://intern.example/x".into()),
            "private address",
        ),
        (
            Behaviour::Redirect("http://models.example/x".into()),
            "plain http",
        ),
    ];
    for (behaviour, told) in cases {
        let (mut bench, host) = bench(&content(300_000));
        bench
            .world
            .ports
            .web
            .private_host("intern.example", Host::new(&content(9)).router());
        for _ in 0..2 {
            host.push(behaviour.clone());
        }
        let message = failure(settled(&mut bench, json!({"sources": [SOURCE]})).await);
        assert!(message.contains(told), "{behaviour:?}: {message}");
        assert!(!bench.world.data().blobs().exists(), "{behaviour:?} left a blob");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_ends_early_is_reported_and_kept_for_the_next_try() {
    let content = content(300_000);
    let (mut bench, host) = bench(&content);
    for _ in 0..9 {
        host.push(Behaviour::Announce(400_000));
    }
    let message = failure(settled(&mut bench, json!({"sources": [SOURCE]})).await);
    assert!(
        message.contains("ended after 300000 of 400000 bytes"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_at_most_five_times() {
    let content = content(1_000);
    let (mut bench, host) = bench(&content);
    for index in 0..5 {
        host.push(Behaviour::Redirect(format!("/{index}")));
    }
    let model = settled(&mut bench, json!({"sources": [SOURCE]})).await;
    assert_ready(&bench, model, &content, SOURCE);
    for index in 0..12 {
        host.push(Behaviour::Redirect(format!("/{index}")));
    }
    bench.create("other", json!({"sources": [SOURCE]})).await;
    let message = failure(bench.settle("other").await);
    assert!(message.contains("more than 5 times"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn sources_are_tried_in_order_and_a_wrong_digest_moves_on() {
    let (bad, good) = (content(2_000), content(3_000));
    let (mut bench, _host) = bench(&bad);
    bench
        .world
        .ports
        .web
        .host("second.example", Host::new(&good).router());
    let second = "https://second.example/tiny.gguf";
    let spec =
        json!({"sources": ["https://none.example/tiny.gguf", SOURCE, second], "sha256": sha256(&good)});
    let model = settled(&mut bench, spec).await;
    assert_ready(&bench, model, &good, second);
    let spec = json!({"sources": [format!("{SOURCE}#sha256={}", sha256(&good))]});
    bench.create("pinned", spec).await;
    let model = bench.settle("pinned").await;
    assert!(ready(&model.unwrap()).0, "the pinned file was here already");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_pin_is_told_with_both_digests() {
    let content = content(2_000);
    let (mut bench, _host) = bench(&content);
    let pin = "ab".repeat(32);
    let message = failure(settled(&mut bench, json!({"sources": [SOURCE], "sha256": pin})).await);
    assert!(
        message.contains(&sha256(&content)) && message.contains(&pin),
        "{message}"
    );
    assert!(!bench.blob(&content).exists());
}

#[tokio::test(start_paused = true)]
async fn connecting_may_take_five_seconds_and_private_hosts_need_leave() {
    let content = content(2_000);
    let mut bench = Bench::new();
    bench
        .world
        .ports
        .web
        .private_host("intern.example", Host::new(&content).router());
    let source = "https://intern.example/tiny.gguf";
    let message = failure(settled(&mut bench, json!({"sources": [source]})).await);
    assert!(message.contains("private address"), "{message}");
    bench
        .create("private", json!({"sources": [source], "network": "Private"}))
        .await;
    let model = bench.settle("private").await;
    assert!(ready(&model.unwrap()).0);
    assert!(
        bench
            .world
            .ports
            .web
            .sent()
            .iter()
            .all(|(_, options)| options.connect_timeout == Duration::from_secs(5))
    );
}

#[tokio::test(start_paused = true)]
async fn files_of_this_machine_need_an_admin_or_an_allowed_folder() {
    let content = content(2_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().canonicalize().unwrap().join("tiny.gguf");
    fs::write(&file, &content).unwrap();
    let source = format!("file:{}", file.display());
    let mut bench = Bench::new();
    let message = failure(settled(&mut bench, json!({"sources": [source]})).await);
    assert!(message.contains("none of the folders"), "{message}");
    let mut world = World::new();
    world.settings.allow_folders = vec![folder.path().to_owned()];
    let mut bench = Bench::with(world);
    let model = settled(&mut bench, json!({"sources": [source]})).await;
    assert_ready(&bench, model, &content, &source);
}
