//! Every metric against the numbers of its reference implementation (`tools/scoring-fixtures.py` writes them).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

use std::sync::LazyLock;

use serde_json::Value;
use stead_scoring::{
    Definition, Measure, Metric, Sample, Score, Sort, Step, corpus_bleu, insertion_similarity, rouge_l,
    rouge_n, token_f1,
};

static REFERENCE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("fixtures/reference.json")).unwrap());

fn cases(of: &str) -> &'static [Value] {
    let cases = REFERENCE[of].as_array().unwrap();
    assert!(!cases.is_empty());
    cases
}

fn near(value: f64, expected: &Value, case: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (value - expected).abs() < 1e-9,
        "{value} instead of {expected}: {case}"
    );
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

fn scored(definition: &Definition, output: &Value, expected: &Value) -> Option<Score> {
    let sample = Sample {
        output: output.clone(),
        expected: expected.clone(),
        ..Sample::default()
    };
    match Metric::new(definition).unwrap().begin(&sample, &[]).ok()? {
        Step::Done(mut scores) => scores.pop(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bleu_is_that_of_sacrebleu() {
    let lower = Definition {
        case_sensitive: Some(false),
        ..Definition::of(Sort::Bleu)
    };
    for case in cases("texts") {
        let score = |definition: &Definition| {
            scored(definition, &case["output"], &case["references"])
                .unwrap()
                .value
        };
        near(score(&Definition::of(Sort::Bleu)), &case["bleu"], case);
        near(score(&lower), &case["bleu_lower"], case);
    }
    for case in cases("corpora") {
        let references = texts(&case["references"])
            .into_iter()
            .map(|reference| vec![reference]);
        let pairs: Vec<_> = texts(&case["outputs"]).into_iter().zip(references).collect();
        near(corpus_bleu(&pairs), &case["bleu"], case);
    }
}

#[test]
fn rouge_is_that_of_rouge_score() {
    for case in cases("texts") {
        let (output, references) = (case["output"].as_str().unwrap(), texts(&case["references"]));
        for (name, overlap) in [
            ("rouge1", rouge_n(output, &references, 1)),
            ("rouge2", rouge_n(output, &references, 2)),
            ("rougeL", rouge_l(output, &references)),
        ] {
            near(overlap.precision, &case[name][0], case);
            near(overlap.recall, &case[name][1], case);
            near(overlap.f1, &case[name][2], case);
        }
        for (sort, measure, name, place) in [
            (Sort::Rouge1, None, "rouge1", 2),
            (Sort::Rouge2, Some(Measure::Precision), "rouge2", 0),
            (Sort::RougeL, Some(Measure::Recall), "rougeL", 1),
        ] {
            let definition = Definition {
                measure,
                ..Definition::of(sort)
            };
            let score = scored(&definition, &case["output"], &case["references"]).unwrap();
            near(score.value, &case[name][place], case);
        }
    }
}

#[test]
fn token_f1_is_that_of_squad() {
    for case in cases("texts") {
        let value = token_f1(case["output"].as_str().unwrap(), &texts(&case["references"]));
        near(value, &case["token_f1"], case);
    }
}

#[test]
fn exact_metrics_and_the_distance_of_letters_are_those_of_opik() {
    let with_case = |sort| Definition {
        case_sensitive: Some(true),
        ..Definition::of(sort)
    };
    for case in cases("texts") {
        let score = |definition: &Definition| scored(definition, &case["output"], &case["references"][0]);
        for (definition, name) in [
            (Definition::of(Sort::Equals), "equals"),
            (with_case(Sort::Equals), "equals_case"),
            (Definition::of(Sort::Levenshtein), "levenshtein"),
            (with_case(Sort::Levenshtein), "levenshtein_case"),
        ] {
            near(score(&definition).unwrap().value, &case[name], case);
        }
        match score(&Definition::of(Sort::Contains)) {
            Some(score) => near(score.value, &case["contains"], case),
            None => assert!(case["contains"].is_null(), "{case}"),
        }
    }
    for case in cases("regexes") {
        let definition = Definition {
            pattern: case["pattern"].as_str().map(str::to_owned),
            ..Definition::of(Sort::Regex)
        };
        near(
            scored(&definition, &case["output"], &Value::Null).unwrap().value,
            &case["value"],
            case,
        );
    }
    assert!((insertion_similarity("Hello, World!", "Hello, World") - 0.96).abs() < 1e-12);
}

fn judge(name: &str) -> Metric {
    let sort: Sort = serde_json::from_value(name.into()).unwrap();
    Metric::new(&Definition {
        model: Some("judge".into()),
        criteria: (sort == Sort::GEval).then(|| "politeness".into()),
        ..Definition::of(sort)
    })
    .unwrap()
}

#[test]
fn judgements_are_read_as_opik_reads_them() {
    for case in cases("judgements") {
        let metric = judge(case["judge"].as_str().unwrap());
        let choice = serde_json::json!({"message": {"content": case["content"]}});
        match metric.judge().unwrap().verdicts(&choice) {
            Ok(verdicts) => {
                near(verdicts[0].value, &case["value"], case);
                assert_eq!(verdicts[0].reason, case["reason"].as_str().unwrap(), "{case}");
            }
            Err(error) => assert!(case["value"].is_null(), "{error}: {case}"),
        }
    }
}

#[test]
fn g_eval_weighs_by_likelihood_as_opik_does() {
    let metric = judge("g-eval");
    for case in cases("weighted") {
        let verdicts = metric.judge().unwrap().verdicts(&case["choice"]).unwrap();
        near(verdicts[0].value, &case["value"], case);
    }
}
