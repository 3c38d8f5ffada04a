//! Real answers from the real model, through the official SDKs.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Installation, SOON, run, told};

/// The whole first start: the model is fetched, a key printed, and the printed curl line answers.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_fetches_the_model_and_the_printed_line_answers() {
    let mut installation = Installation::new();
    let printed = installation.up(&["--no-discover"]).await;
    let curl = printed
        .iter()
        .find(|line| line.trim_start().starts_with("curl "))
        .expect("a curl line")
        .clone();
    let answer = run(Path::new("/bin/sh"), &["-c", &format!("{curl} -sS")], &[], "")
        .await
        .ok();
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert!(text(&answer).contains("Paris"), "{answer}");

    installation.stop().await;
    let printed = installation.up(&[]).await;
    assert!(
        !printed.iter().any(|line| line.contains("sk-stead-")),
        "the key is shown once: {printed:#?}"
    );
    let curl = printed
        .iter()
        .find(|line| line.trim_start().starts_with("curl "))
        .expect("a curl line")
        .clone();
    let answer = run(Path::new("/bin/sh"), &["-c", &format!("{curl} -sS")], &[], "")
        .await
        .ok();
    assert!(answer.contains("Paris"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_openai_sdks_get_the_same_real_answer_streaming_and_not() {
    let installation = Installation::with_model().await;
    let key = installation
        .stead(&["key", "create", "sdk", "-o", "json"])
        .await
        .ok();
    let key: Value = serde_json::from_str(&key).expect("JSON");
    let key = key["key"].as_str().expect("a key");
    let address = format!("http://127.0.0.1:{}/v1", installation.port);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk");
    let environment = [("OPENAI_BASE_URL", address.as_str()), ("OPENAI_API_KEY", key)];

    let script = folder.join("ask.py").to_string_lossy().into_owned();
    let python = run(Path::new(&told("SDK_PYTHON")), &[&script], &environment, "")
        .await
        .ok();
    let modules = told("SDK_NODE_MODULES");
    let script = folder.join("ask.cjs").to_string_lossy().into_owned();
    let node_environment = [environment[0], environment[1], ("NODE_PATH", modules.as_str())];
    let node = run(Path::new("node"), &[&script], &node_environment, "")
        .await
        .ok();

    for (sdk, printed) in [("python", python), ("javascript", node)] {
        let result: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{sdk}: {printed}"));
        assert!(
            result["whole"]
                .as_str()
                .is_some_and(|text| text.contains("Paris")),
            "{sdk}: {result}"
        );
        assert_eq!(result["whole"], result["streamed"], "{sdk}");
        assert!(
            result["usage"]["completion_tokens"]
                .as_u64()
                .is_some_and(|count| count > 0),
            "{sdk}: {result}"
        );
        assert_eq!(result["usage"], result["streamedUsage"], "{sdk}");
        assert_eq!(result["missing"], json!(404), "{sdk}");
        assert!(
            result["models"]
                .as_array()
                .is_some_and(|models| models.contains(&json!("chat"))),
            "{sdk}: {result}"
        );
    }
}

/// Texts of one meaning are nearer to each other than to another one's, by the vectors of a real model from a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_embedding_model_tells_which_texts_mean_the_same() {
    let installation = Installation::started().await;
    let manifest = installation.path("embedding.yaml");
    let file = told("STEAD_TEST_EMBEDDING_MODEL");
    let text = format!(
        "apiVersion: stead.dev/v1alpha1\nkind: Model\nmetadata: {{name: minilm}}\nspec: {{sources: ['file:{file}']}}\n---\n\
         apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\nmetadata: {{name: local}}\nspec: {{type: embedded}}\n---\n\
         apiVersion: stead.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: vectors}}\nspec: {{targets: [{{provider: local, model: minilm}}]}}\n"
    );
    std::fs::write(&manifest, text).expect("writable");
    let applied = installation
        .stead(&["apply", "-f", &manifest.to_string_lossy()])
        .await;
    applied.ok();
    let wait = ["wait", "model/minilm", "--for=condition=Ready", "--timeout=120s"];
    installation.stead(&wait).await.ok();
    installation.until_listed("vectors").await;
    let texts = [
        "The cat sits on the mat.",
        "A cat is sitting on a rug.",
        "Quarterly revenue rose.",
    ];
    let asked = json!({"model": "vectors", "input": texts});
    let (status, answer) = installation.json("POST", "/v1/embeddings", asked).await;
    assert_eq!(status, 200, "{answer}");
    let vector = |index: usize| -> Vec<f64> {
        let numbers = answer["data"][index]["embedding"].as_array().expect("a vector");
        numbers.iter().filter_map(Value::as_f64).collect()
    };
    let likeness = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
    let (cat, rug, revenue) = (vector(0), vector(1), vector(2));
    assert_eq!(cat.len(), 384);
    // 0.769 and -0.036 by the reference in double precision.
    assert!(
        (likeness(&cat, &rug) - 0.769).abs() < 0.02,
        "{}",
        likeness(&cat, &rug)
    );
    assert!(
        (likeness(&cat, &revenue) + 0.036).abs() < 0.02,
        "{}",
        likeness(&cat, &revenue)
    );
    let (status, refused) = installation.ask("vectors", "Hello").await;
    assert_eq!(status, 400, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_on_the_command_line_is_remembered() {
    let installation = Installation::with_model().await;
    let answer = installation
        .stead(&["chat", "--temperature", "0", "Tell me the capital of France."])
        .await
        .ok();
    assert!(answer.contains("Paris"), "{answer}");
    let typed = "Tell me the capital of Italy.\n";
    let answer = installation
        .stead_reading(&["chat", "--temperature=0"], typed)
        .await
        .ok();
    assert!(answer.contains("Rome"), "{answer}");
    let (_, threads) = installation.json("GET", "/api/threads", Value::Null).await;
    assert_eq!(threads["items"].as_array().map(Vec::len), Some(2), "{threads}");
}

/// With the binary built and the model there, the first request is answered soon after the start. The two seconds
/// are measured by `just bench start`; here it must only come at all, from a cold process.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_answers_its_first_request_from_the_stored_model() {
    let mut installation = Installation::with_model().await;
    installation.stop().await;
    installation.up(&[]).await;
    let (status, answer) =
        tokio::time::timeout(SOON, installation.ask("chat", "Tell me the capital of France."))
            .await
            .expect("an answer in time");
    assert_eq!(status, 200);
    assert!(text(&answer).contains("Paris"), "{answer}");
}

fn text(answer: &Value) -> &str {
    answer
        .pointer("/choices/0/message/content")
        .and_then(Value::as_str)
        .unwrap_or_default()
}
