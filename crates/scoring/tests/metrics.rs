//! Metrics as they are defined and asked for.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

use serde_json::{Value, json};
use stead_scoring::{Definition, Metric, Sample, Sort, Step, Unscorable};

fn metric(definition: Value) -> Result<Metric, String> {
    let definition: Definition = serde_json::from_value(definition).map_err(|error| error.to_string())?;
    Metric::new(&definition).map_err(|error| error.to_string())
}

fn value(definition: Value, sample: Value) -> Result<(f64, Option<String>), Unscorable> {
    let sample: Sample = serde_json::from_value(sample).unwrap();
    match metric(definition).unwrap().begin(&sample, &[])? {
        Step::Done(mut scores) => {
            let score = scores.pop().unwrap();
            Ok((score.value, score.reason))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_metric_says_what_it_lacks() {
    for sort in Sort::ALL {
        assert_eq!(serde_json::to_value(sort).unwrap(), sort.as_str());
    }
    for (definition, message) in [
        (json!({"type": "regex"}), "regex: pattern must be given"),
        (json!({"type": "regex", "pattern": "("}), "regex: pattern:"),
        (json!({"type": "json-schema"}), "schema must be given"),
        (
            json!({"type": "json-schema", "schema": {"type": 1}}),
            "no usable JSON schema",
        ),
        (
            json!({"type": "bleu", "pattern": "x"}),
            "pattern does not belong to bleu",
        ),
        (json!({"type": "g-eval", "model": "m"}), "criteria must be given"),
        (json!({"type": "hallucination"}), "a model must be named"),
        (
            json!({"type": "hallucination", "model": "m", "votes": 21}),
            "votes must be",
        ),
        (
            json!({"type": "prompt", "model": "m"}),
            "messages and scores must be given",
        ),
        (json!({"type": "cost-budget"}), "max must be given"),
        (
            json!({"type": "pii", "detectors": ["nothing"]}),
            "there is no detector",
        ),
        (json!({"type": "rouge-l", "measure": "edits"}), "measure must be"),
        (json!({"type": "levenshtein", "measure": "f1"}), "measure must be"),
        (json!({"type": "magic"}), "unknown variant"),
    ] {
        let error = metric(definition.clone()).err().unwrap();
        assert!(error.contains(message), "{definition}: {error}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn metrics_score_what_is_known() {
    let schema = json!({"type": "object", "required": ["a"]});
    for (definition, sample, expected) in [
        (
            json!({"type": "equals"}),
            json!({"output": {"a": 1}, "expected": {"a": 1.0}}),
            1.0,
        ),
        (
            json!({"type": "equals"}),
            json!({"output": "Yes", "expected": ["no", "yes"]}),
            1.0,
        ),
        (
            json!({"type": "equals", "expected": "no"}),
            json!({"output": "Yes", "expected": "yes"}),
            0.0,
        ),
        (
            json!({"type": "json-schema", "schema": schema}),
            json!({"output": "{\"a\": 1}"}),
            1.0,
        ),
        (
            json!({"type": "json-schema", "schema": schema}),
            json!({"output": "{}"}),
            0.0,
        ),
        (
            json!({"type": "json-schema", "schema": schema}),
            json!({"output": "a"}),
            0.0,
        ),
        (json!({"type": "pii"}), json!({"output": "ask Ada"}), 1.0),
        (
            json!({"type": "pii"}),
            json!({"output": "ask ada@example.com"}),
            0.0,
        ),
        (
            json!({"type": "pii", "detectors": ["phone"]}),
            json!({"output": "ask ada@example.com"}),
            1.0,
        ),
        (
            json!({"type": "latency-budget", "max": 100.0}),
            json!({"measured": {"durationMs": 100.0}}),
            1.0,
        ),
        (
            json!({"type": "cost-budget", "max": 0.01}),
            json!({"measured": {"costUsd": 0.02}}),
            0.0,
        ),
        (
            json!({"type": "token-budget", "max": 5.0}),
            json!({"measured": {"tokens": 5.0}}),
            1.0,
        ),
        (
            json!({"type": "tool-calls"}),
            json!({"toolCalls": [{"name": "f", "arguments": {"a": 1}}], "expectedToolCalls": [{"name": "f", "arguments": {"a": 1}}]}),
            1.0,
        ),
        (
            json!({"type": "levenshtein", "measure": "edits"}),
            json!({"output": "abc", "expected": "abd"}),
            2.0 / 3.0,
        ),
    ] {
        let (score, _) = value(definition.clone(), sample.clone()).unwrap();
        assert!((score - expected).abs() < 1e-12, "{definition} {sample}: {score}");
    }
}

#[test]
fn a_sample_that_lacks_something_has_no_score() {
    for (definition, sample) in [
        (json!({"type": "equals"}), json!({"output": "a"})),
        (json!({"type": "latency-budget", "max": 1.0}), json!({})),
        (json!({"type": "tool-calls"}), json!({})),
        (
            json!({"type": "contains"}),
            json!({"output": "a", "expected": ""}),
        ),
        (
            json!({"type": "levenshtein"}),
            json!({"output": "a".repeat(100_001), "expected": "a"}),
        ),
    ] {
        assert!(value(definition.clone(), sample).is_err(), "{definition}");
    }
}

#[test]
fn what_was_found_is_never_in_a_reason() {
    let (_, reason) = value(json!({"type": "pii"}), json!({"output": "ask ada@example.com"})).unwrap();
    assert_eq!(reason.as_deref(), Some("found: EMAIL"));
}

#[test]
fn vectors_and_opinions_are_asked_for() {
    let cosine = metric(json!({"type": "embedding-cosine", "model": "vectors"})).unwrap();
    let sample = Sample {
        output: "a".into(),
        expected: "b".into(),
        ..Sample::default()
    };
    assert_eq!(
        cosine.begin(&sample, &[]),
        Ok(Step::Embed(["a".into(), "b".into()]))
    );
    assert!((cosine.from_vectors(&[1.0, 0.0], &[1.0, 1.0]).unwrap().value - 0.5_f64.sqrt()).abs() < 1e-6);
    assert!(
        cosine
            .from_vectors(&[1.0, 0.0], &[-1.0, 0.0])
            .unwrap()
            .value
            .abs()
            < 1e-12
    );
    assert_eq!(cosine.from_vectors(&[0.0], &[1.0]), Err(Unscorable::Vectors));
    let judge = metric(json!({"type": "context-recall", "model": "m"})).unwrap();
    assert_eq!(judge.begin(&sample, &[]), Err(Unscorable::Missing("input")));
    assert_eq!(judge.from_opinions(&[]), Err(Unscorable::NoOpinion));
}

#[test]
fn g_eval_prepares_its_steps_once_unless_they_are_written() {
    let written =
        metric(json!({"type": "g-eval", "model": "m", "criteria": "c", "steps": ["Look."]})).unwrap();
    assert_eq!(written.judge().unwrap().preparation(), None);
    let open = metric(json!({"type": "g-eval", "model": "m", "criteria": "be polite"})).unwrap();
    let judge = open.judge().unwrap();
    assert!(judge.preparation().is_some());
    let choice = |content: &str| json!({"message": {"content": content}});
    let steps = judge
        .prepared(&choice("{\"steps\": [\"Read.\", \" \", \"Decide.\"]}"))
        .unwrap();
    assert_eq!(steps, ["Read.", "Decide."]);
    assert!(judge.prepared(&choice("{\"steps\": []}")).is_err());
    let sample = Sample {
        output: "Go away.".into(),
        ..Sample::default()
    };
    let Ok(Step::Ask(question)) = open.begin(&sample, &steps) else {
        panic!("a judge is asked");
    };
    let system = question.messages[0]["content"].as_str().unwrap();
    assert!(
        system.contains("be polite") && system.contains("2. Decide."),
        "{system}"
    );
    assert!(question.likelihoods);
}

#[test]
fn a_judge_of_ones_own_gives_several_scores() {
    let definition = json!({"type": "prompt", "model": "m",
        "messages": [{"role": "user", "content": "Judge {{output}}."}],
        "scores": [{"name": "tone", "type": "integer", "min": 1, "max": 5}, {"name": "safe", "type": "boolean"}]});
    let metric = metric(definition).unwrap();
    let judge = metric.judge().unwrap();
    let choice = |tone: f64| {
        let content = json!({"tone": {"score": tone, "reason": "r"}, "safe": {"score": true, "reason": "s"}});
        json!({"message": {"content": content.to_string()}})
    };
    let scores = metric
        .from_opinions(&[judge.verdicts(&choice(4.0)).unwrap()])
        .unwrap();
    let told: Vec<(&str, f64)> = scores
        .iter()
        .map(|score| (score.name.as_str(), score.value))
        .collect();
    assert_eq!(told, [("tone", 4.0), ("safe", 1.0)]);
    for wrong in [0.0, 6.0, 2.5] {
        assert!(judge.verdicts(&choice(wrong)).is_err(), "{wrong}");
    }
}
