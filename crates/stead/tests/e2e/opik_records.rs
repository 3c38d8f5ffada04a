//! What Opik's own SDK, of both versions, keeps: datasets, experiments and prompts, before the real binary.

use serde_json::json;

use crate::{
    opik::script,
    support::{Installation, told},
};

#[tokio::test]
async fn both_versions_of_opiks_sdk_keep_datasets_evaluate_and_keep_prompts() {
    for python in ["OPIK_PYTHON_OLD", "OPIK_PYTHON"] {
        let mut installation = Installation::new();
        installation
            .up(&["--no-discover", "--no-default-model", "--set", "opikLocal=on"])
            .await;
        let found = script("opik_records.py", &told(python), &installation, "").await;
        let sdk = &found["sdk"];
        for (name, expected) in [
            ("inserted", json!([2_500, 2_500])),
            ("changed", json!([2_499, "seven", false, 2_499])),
            ("old", json!([2_500, 7, "v1"])),
            ("datasets", json!(["questions"])),
            ("twice", json!(409)),
            ("scores", json!({"equals": 0.25, "contains": 0.25})),
            ("experiment", json!(["always four", 4, "sums", "completed", "m"])),
            (
                "rows",
                json!([["0", "4", 0.0], ["2", "4", 0.0], ["4", "4", 1.0], ["6", "4", 0.0]]),
            ),
            ("named", json!(["always four"])),
            ("ofDataset", json!(["always four"])),
            (
                "prompts",
                json!([
                    true,
                    "Hello Ada",
                    "Hi Ada",
                    true,
                    null,
                    "hi Bob",
                    ["greeting", "talk"]
                ]),
            ),
            ("deleted", json!(404)),
        ] {
            assert_eq!(found[name], expected, "{sdk}: {name}");
        }
        installation.stop().await;
    }
}
