//! The commands against the routes.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::{Value, json};
use stead_kernel::{
    Principal, Result,
    command::{Command, Format},
};
use stead_testkit::{FakeTerminal, LocalServer};

use super::tests::{Stand, said};
use crate::command;

async fn run(stand: &Stand, command: Command, words: &[&str]) -> (Result<()>, Arc<FakeTerminal>) {
    let terminal = Arc::new(FakeTerminal::input(&[]));
    let server = LocalServer::new(stand.router.clone(), Principal::admin(), stand.world.api.clone());
    let session = terminal.session(server, Format::Table);
    let matches: ArgMatches = command.spec.clone().try_get_matches_from(words).unwrap();
    ((command.run)(matches, session).await, terminal)
}

async fn good(stand: &Stand, command: Command, words: &[&str]) -> Arc<FakeTerminal> {
    let (result, terminal) = run(stand, command, words).await;
    result.unwrap_or_else(|error| panic!("{words:?}: {}", error.full_message()));
    terminal
}

/// The answer to a question of the suite: right but for those in which the word is.
fn models(stand: &Stand, wrong: &'static str) {
    stand.models(move |body| {
        let question = body["messages"][0]["content"].as_str().unwrap().to_owned();
        let sum = question
            .trim_end_matches('?')
            .split('+')
            .map(|part| part.trim().parse::<i64>().unwrap())
            .sum::<i64>();
        Ok(said(&if question.contains(wrong) {
            "no idea".to_owned()
        } else {
            sum.to_string()
        }))
    });
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn a_suite_of_files_is_run_and_two_runs_are_compared() {
    let stand = Stand::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("suite.yaml");
    std::fs::write(
        folder.path().join("sums.csv"),
        "question,expected\n1+1?,2\n2+3?,5\n4+4?,8\n",
    )
    .unwrap();
    std::fs::write(
        &file,
        "name: sums\ndataset: {name: sums, file: sums.csv}\nmodel: chat\nprompt: {text: '{{question}}'}\nmetrics: [{type: equals}]\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    models(&stand, "4+4");
    let terminal = good(&stand, command::eval::command(), &["eval", "run", file]).await;
    let page = terminal.written();
    assert!(
        page.contains("3 of 3, 0 failed") && page.contains("equals                         0.6667"),
        "{page}"
    );
    models(&stand, "nothing");
    let words = [
        "eval",
        "run",
        file,
        "--name",
        "better",
        "--fail-under",
        "equals=0.9",
    ];
    good(&stand, command::eval::command(), &words).await;
    let words = [
        "eval",
        "run",
        file,
        "--name",
        "worse",
        "--fail-under",
        "equals=1.5",
    ];
    let (failed, _) = run(&stand, command::eval::command(), &words).await;
    assert!(failed.unwrap_err().message().contains("below 1.5"));
    let terminal = good(
        &stand,
        command::eval::command(),
        &["eval", "compare", "sums", "better"],
    )
    .await;
    let page = terminal.written();
    assert!(
        page.contains("+0.3333") && page.contains("ITEMS THAT DIFFER"),
        "{page}"
    );
    let words = [
        "eval",
        "compare",
        "better",
        "sums",
        "--fail-under",
        "-0.02",
        "--seed",
        "7",
    ];
    let (failed, _) = run(&stand, command::eval::command(), &words).await;
    assert!(failed.unwrap_err().message().contains("may have fallen"));
    let terminal = good(&stand, command::eval::command(), &["eval", "list"]).await;
    assert_eq!(terminal.printed()[0].rows.len(), 3);
    let terminal = good(
        &stand,
        command::experiment::command(),
        &["experiment", "list", "--dataset", "sums"],
    )
    .await;
    assert_eq!(terminal.printed()[0].rows.len(), 3);
    let terminal = good(
        &stand,
        command::experiment::command(),
        &["experiment", "get", "better"],
    )
    .await;
    assert_eq!(terminal.printed()[0].rows.len(), 3);
    good(
        &stand,
        command::experiment::command(),
        &["experiment", "delete", "worse"],
    )
    .await;
    let terminal = good(&stand, command::experiment::command(), &["experiment", "list"]).await;
    assert_eq!(terminal.printed()[0].rows.len(), 2);
}

#[tokio::test]
async fn datasets_are_made_from_files_read_and_deleted() {
    let stand = Stand::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("items.jsonl");
    let rows: Vec<Value> = (0..3)
        .map(|n| json!({"question": format!("q{n}"), "nested": {"n": n}}))
        .collect();
    std::fs::write(
        &file,
        rows.iter().map(Value::to_string).collect::<Vec<_>>().join(
            "
",
        ),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    good(
        &stand,
        command::dataset::command(),
        &["dataset", "create", "d", file, "--description", "for tests"],
    )
    .await;
    good(
        &stand,
        command::dataset::command(),
        &["dataset", "create", "d", file],
    )
    .await;
    let terminal = good(&stand, command::dataset::command(), &["dataset", "versions", "d"]).await;
    let versions = &terminal.printed()[0];
    assert_eq!(versions.names, ["v2", "v1"]);
    let exported = good(
        &stand,
        command::dataset::command(),
        &["dataset", "export", "d", "--version", "v1"],
    )
    .await;
    let mut lines: Vec<Value> = exported
        .written()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines.reverse();
    assert_eq!(lines, rows);
    let exported = good(
        &stand,
        command::dataset::command(),
        &["dataset", "export", "d", "--csv"],
    )
    .await;
    assert_eq!(exported.written().lines().count(), 7);
    let terminal = good(
        &stand,
        command::dataset::command(),
        &["dataset", "get", "d", "--limit", "2"],
    )
    .await;
    assert_eq!(terminal.printed()[0].rows.len(), 2);
    good(&stand, command::dataset::command(), &["dataset", "delete", "d"]).await;
    let (gone, _) = run(&stand, command::dataset::command(), &["dataset", "get", "d"]).await;
    assert_eq!(gone.unwrap_err().reason(), stead_kernel::Reason::NotFound);
}

#[tokio::test]
async fn a_dataset_is_made_of_traces_that_match() {
    let stand = Stand::new().await;
    for (name, n) in [("wanted", 1), ("wanted", 2), ("other", 3)] {
        let id = crate::opik::wire::new_id(stand.context.ports.clock.now()).to_string();
        let trace = json!({"id": id, "project_name": "p", "name": name, "start_time": "2026-11-21T06:53:00Z",
            "input": {"n": n}, "output": {"answer": n}, "tags": ["t"], "metadata": {"m": n}});
        stand.post("/opik/api/v1/private/traces", trace).await;
    }
    let words = [
        "dataset",
        "create",
        "d",
        "--traces",
        "--project-name",
        "p",
        "--filter",
        "name = wanted",
    ];
    good(&stand, command::dataset::command(), &words).await;
    let exported = good(&stand, command::dataset::command(), &["dataset", "export", "d"]).await;
    let rows: Vec<Value> = exported
        .written()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let n = &row["input"]["n"];
        assert_eq!(
            (
                &row["expected_output"]["answer"],
                &row["metadata"]["m"],
                &row["tags"]
            ),
            (n, n, &json!(["t"]))
        );
    }
}
