//! lm-evaluation-harness, unmodified, over the embedded engine's real model: choices by likelihood, answers, chats.

use std::path::Path;

use serde_json::Value;

use crate::support::{Installation, run, told};

#[tokio::test]
async fn the_harness_scores_choices_by_likelihood_and_reads_answers() {
    let mut installation = Installation::with_model().await;
    let key = installation.token();
    let folder = installation.path("harness");
    std::fs::create_dir_all(&folder).expect("a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk/lm_eval_run.py");
    let address = format!("http://127.0.0.1:{}", installation.port);
    let folder = folder.to_string_lossy().into_owned();
    let model = told("STEAD_TEST_MODEL");
    let arguments = [&*script.to_string_lossy(), &model, &address, &folder];
    let environment = [("OPENAI_API_KEY", key.as_str()), ("HOME", folder.as_str())];
    let printed = run(Path::new(&told("LM_EVAL_PYTHON")), &arguments, &environment, "")
        .await
        .ok();
    let found: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    let likelihoods = found["likelihoods"].as_array().expect("a list");
    assert_eq!(likelihoods.len(), 3, "{found}");
    for choices in likelihoods {
        for likelihood in choices.as_array().expect("a list") {
            assert!(likelihood.as_f64().is_some_and(|value| value < 0.0), "{found}");
        }
    }
    // The model is small, and knows the capital of France.
    assert!(likelihoods[0][0].as_f64() > likelihoods[0][1].as_f64(), "{found}");
    assert!(
        found["accuracy"].as_f64().is_some_and(|accuracy| accuracy >= 0.3),
        "{found}"
    );
    for name in ["answers", "chats"] {
        let answers = found[name].as_array().expect("a list");
        assert!(
            answers.len() == 3
                && answers
                    .iter()
                    .all(|answer| !answer.as_str().unwrap_or_default().is_empty()),
            "{found}"
        );
    }
    installation.stop().await;
}
