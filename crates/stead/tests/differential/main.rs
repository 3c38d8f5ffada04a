//! The same operations against a real Kubernetes API server and against Stead. What differs is in `accepted.yaml` with
//! the reason why it is right; anything else is a fault.
//!
//! `scripts/` holds the operations, a file for each theme; `definitions.yaml` the custom kinds that they are about.
//! `generated.rs` makes up more of them.
//! `DIFFERENTIAL=part` plays only cases whose `theme: name` contains the part; `KUBEBOX_KUBECONFIG` names a cluster
//! that runs already.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed, and tells what it found"
)]

mod compare;
mod generated;
mod judge;
mod normal;
mod script;
mod server;

use std::{collections::BTreeMap, fmt, path::Path};

use futures::{StreamExt, stream};
use kube::Client;
use serde_json::{Value, json};

use compare::Accepted;
use judge::{Played, Verdict};
use normal::Choices;
use script::Case;
use server::{Kubernetes, Stead, play};

/// How many cases are played at a time.
const CONCURRENCY: usize = 8;
/// How many more times a case that differs is played, alone.
const AGAIN: usize = 2;
/// How many cases that differ are looked at more closely, and told; all are in the report's file.
const CLOSELY: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn the_differential_suite_finds_no_difference_from_kubernetes() -> Result<(), Found> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let accepted = Accepted::read(&folder.join("accepted.yaml"));
    let wanted = told("DIFFERENTIAL").unwrap_or_default();
    let seed = told("DIFFERENTIAL_SEED").and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand_seed);
    let cases: Vec<Case> = script::read_all(&folder.join("scripts"))
        .into_iter()
        .chain(generated::cases(seed))
        .filter(|case| case.title().contains(&wanted))
        .collect();
    let operations: usize = cases.iter().map(|case| case.steps.len()).sum();
    let (kubernetes, stead) = tokio::join!(Kubernetes::start(), Stead::start());
    let clients = [kubernetes.client.clone(), stead.client.clone()];
    define(&clients, &folder.join("definitions.yaml")).await;

    let (differing, times) = play_all(&clients, &cases, &accepted).await;
    let (mut found, mut unsteady) = (Vec::new(), Vec::new());
    for (index, first) in differing {
        let mut plays = vec![first];
        for again in 0..if found.len() < CLOSELY { AGAIN } else { 0 } {
            plays.push(play_case(&clients, &cases[index], &namespace(index, again + 1)).await);
        }
        match judge::judge(&plays, &cases[index].title(), &accepted) {
            Verdict::Differs(report) => found.push(report),
            Verdict::Unsteady => unsteady.push(cases[index].title()),
        }
    }
    kubernetes.stop().await;
    stead.stop().await;

    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.txt");
    let text = format!("{}\n{}", times.join("\n"), found.join("\n"));
    std::fs::write(&report, text).expect("the report is written");
    for case in &unsteady {
        println!("not the same twice in Kubernetes: {case}");
    }
    println!(
        "{operations} operations in {} cases (DIFFERENTIAL_SEED={seed}), {} of which differ; {}",
        cases.len(),
        found.len(),
        report.display()
    );
    if wanted.is_empty() {
        found.extend(
            accepted
                .unused()
                .iter()
                .map(|rule| format!("no case shows: {rule}")),
        );
        if operations < 400 {
            found.push(format!("{operations} operations are fewer than promised"));
        }
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(Found(found))
    }
}

/// What is told last when the test fails.
struct Found(Vec<String>);

impl fmt::Debug for Found {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{} differ:", self.0.len())?;
        for report in self.0.iter().take(CLOSELY) {
            writeln!(to, "{report}")?;
        }
        Ok(())
    }
}

/// Plays all cases, several at a time; those that differ, in the order of the scripts, and how long each took.
async fn play_all(
    clients: &[Client; 2],
    cases: &[Case],
    accepted: &Accepted,
) -> (Vec<(usize, Vec<Played>)>, Vec<String>) {
    let played = stream::iter(cases.iter().enumerate()).map(|(index, case)| async move {
        let began = tokio::time::Instant::now();
        let play = play_case(clients, case, &namespace(index, 0)).await;
        (index, play, began.elapsed())
    });
    let mut played: Vec<_> = played.buffer_unordered(CONCURRENCY).collect().await;
    played.sort_by_key(|(index, ..)| *index);
    let times = played
        .iter()
        .map(|(index, _, took)| format!("{:6} ms {}", took.as_millis(), cases[*index].title()))
        .collect();
    let differing = played
        .into_iter()
        .map(|(index, play, _)| (index, play))
        .filter(|(index, play)| judge::differs(play, &cases[*index].title(), accepted))
        .collect();
    (differing, times)
}

/// A name of its own for each play of each case.
fn namespace(index: usize, again: usize) -> String {
    format!("diff-{:04x}-{index:04}-{again}", std::process::id() & 0xffff)
}

#[expect(
    clippy::disallowed_methods,
    reason = "./test passes on which cases are wanted"
)]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Another seed in each run.
fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) % 1_000_000
}

/// Installs the custom kinds in both servers, and waits until they are served.
async fn define(clients: &[Client; 2], file: &Path) {
    let text = std::fs::read_to_string(file).expect("the definitions");
    let definitions = script::read_yaml(&text).expect("a list");
    let place = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for client in clients {
        for definition in &definitions {
            let create = script::step(&json!({format!("POST {place}"): definition}));
            let made = play(client, &create).await;
            assert!(matches!(made.status, 201 | 409), "{made:?}");
            let (spec, names) = (&definition["spec"], &definition["spec"]["names"]);
            for version in spec["versions"].as_array().expect("versions") {
                let path = format!(
                    "GET /apis/{}/{}/{}",
                    spec["group"].as_str().expect("a group"),
                    version["name"].as_str().expect("a name"),
                    names["plural"].as_str().expect("a name")
                );
                play(client, &script::step(&json!({path: null, "until": 200}))).await;
            }
        }
    }
}

/// Plays a case on both servers.
async fn play_case(clients: &[Client; 2], case: &Case, namespace: &str) -> Vec<Played> {
    let make = script::step(&json!({
        "POST /api/v1/namespaces": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    }));
    let mut variables = [script::places(namespace), script::places(namespace)];
    let mut choices = [Choices::new(namespace), Choices::new(namespace)];
    for client in clients {
        let made = play(client, &make).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let mut steps = Vec::new();
    for (index, step) in case.steps.iter().enumerate() {
        let [theirs, ours] = &mut variables;
        let (a, b) = (step_of(step, theirs), step_of(step, ours));
        let (a, b) = tokio::join!(play(&clients[0], &a), play(&clients[1], &b));
        save(step, &a.body, theirs);
        save(step, &b.body, ours);
        // What is silent counts all the same: ids have their numbers from where they are seen first.
        let (theirs, ours) = (choices[0].normalize(a), choices[1].normalize(b));
        if step.get("silent").is_none() {
            steps.push(Played {
                number: index + 1,
                request: request(step).to_owned(),
                theirs,
                ours,
            });
        }
    }
    steps
}

fn step_of(step: &Value, variables: &BTreeMap<String, Value>) -> script::Step {
    script::step(&script::fill(step, variables))
}

fn save(step: &Value, body: &Value, variables: &mut BTreeMap<String, Value>) {
    for (name, place) in step["save"].as_object().into_iter().flatten() {
        let found = body.pointer(place.as_str().unwrap_or_default());
        variables.insert(name.clone(), found.cloned().unwrap_or_default());
    }
}

fn request(step: &Value) -> &str {
    let keys = step
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str());
    keys.clone().find(|key| key.contains(' ')).unwrap_or_default()
}
