//! SIGKILL while applications trace: what was acknowledged is there, and the sums count it once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use stead_kernel::Timestamp;
use uuid::Uuid;

use crate::{
    kill::{kill_after, rounds},
    support::Installation,
};

/// So many spans are in a batch.
const BATCH: usize = 20;
/// So many are on a page that is read back.
const PAGE: usize = 1_000;
const SPANS: &str = "/opik/api/v1/private/spans";

/// What the server has acknowledged so far.
#[derive(Default)]
struct Acknowledged {
    spans: Mutex<BTreeSet<String>>,
    /// Their ends, told later: the output of each.
    ends: Mutex<BTreeMap<String, String>>,
    scores: Mutex<BTreeSet<String>>,
    lines: Mutex<BTreeSet<String>>,
    next: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_concurrent_traces_lose_nothing_acknowledged_and_count_it_once() {
    let mut installation = Installation::started().await;
    let token = installation.token();
    let acknowledged = Acknowledged::default();
    for round in 0..rounds(20) {
        load_until_killed(&mut installation, &acknowledged, &token, round).await;
        installation.up(&["--no-discover", "--no-default-model"]).await;
    }
    let stored = stored(&installation).await;
    let spans = acknowledged.spans.into_inner().expect("not poisoned");
    assert!(spans.len() > 20 * BATCH, "{} spans", spans.len());
    let lost: Vec<_> = spans.iter().filter(|id| !stored.contains_key(*id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} spans lost: {lost:?}",
        lost.len(),
        spans.len()
    );
    for (id, output) in acknowledged.ends.into_inner().expect("not poisoned") {
        assert_eq!(stored[&id]["output"]["text"], output, "{id}");
    }
    for id in acknowledged.scores.into_inner().expect("not poisoned") {
        assert_eq!(stored[&id]["feedback_scores"][0]["value"], 0.5, "{id}");
    }
    let (_, stats) = installation
        .json("GET", &format!("{SPANS}/stats?project_name=kills"), Value::Null)
        .await;
    let counted = stats["stats"].as_array().expect("statistics").iter();
    let counted = counted
        .filter(|one| one["name"] == "span_count")
        .find_map(|one| one["value"].as_u64());
    assert_eq!(counted, Some(stored.len() as u64), "sums count each span once");

    let lines = acknowledged.lines.into_inner().expect("not poisoned");
    let found = logged(&installation).await;
    let lost: Vec<_> = lines.iter().filter(|line| found.get(*line) != Some(&1)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} lines are not there once: {lost:?}",
        lost.len(),
        lines.len()
    );
}

/// Traces, scores and logs from several sides until the server is gone.
async fn load_until_killed(
    installation: &mut Installation,
    acknowledged: &Acknowledged,
    token: &str,
    round: u64,
) {
    let over = AtomicBool::new(false);
    let (borrowed, over) = (&*installation, &over);
    let tracers = (0..4).map(|_| async move {
        while !over.load(Ordering::Relaxed) {
            trace(borrowed, acknowledged, token).await;
        }
    });
    let loggers = (0..2).map(|_| async move {
        while !over.load(Ordering::Relaxed) {
            log(borrowed, acknowledged, token).await;
        }
    });
    // The moment moves through the first half second, so that kills fall into different places.
    let moment = Duration::from_millis(100 + (round * 89) % 400);
    let killer = kill_after(borrowed, moment, over);
    tokio::join!(join_all(tracers), join_all(loggers), killer);
    installation.kill().await;
}

/// A batch of spans, the end of one of them, and a score on it.
async fn trace(installation: &Installation, acknowledged: &Acknowledged, token: &str) {
    let number = || Uuid::now_v7().to_string();
    let (trace, ids): (String, Vec<String>) = (number(), (0..BATCH).map(|_| number()).collect());
    let now = Timestamp::now().to_string();
    let spans: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({"id": id, "trace_id": trace, "project_name": "kills", "name": "call", "type": "llm",
                "start_time": now, "input": {"question": "why ".repeat(50)}})
        })
        .collect();
    let sent = |method: &'static str, path: String, body: Value| async move {
        let answer = installation.try_json(method, &path, &body, token).await;
        answer.is_some_and(|(status, ..)| status.is_success())
    };
    if !sent("POST", format!("{SPANS}/batch"), json!({"spans": spans})).await {
        return;
    }
    acknowledged
        .spans
        .lock()
        .expect("not poisoned")
        .extend(ids.iter().cloned());
    let one = &ids[BATCH / 2];
    let end = json!({"trace_id": trace, "project_name": "kills", "end_time": now, "output": {"text": one}});
    if sent("PATCH", format!("{SPANS}/{one}"), end).await {
        let mut ends = acknowledged.ends.lock().expect("not poisoned");
        ends.insert(one.clone(), one.clone());
    }
    let score = json!({"name": "quality", "value": 0.5, "source": "sdk"});
    if sent("PUT", format!("{SPANS}/{one}/feedback-scores"), score).await {
        acknowledged
            .scores
            .lock()
            .expect("not poisoned")
            .insert(one.clone());
    }
}

/// A line with an id of its own, by OpenTelemetry.
async fn log(installation: &Installation, acknowledged: &Acknowledged, token: &str) {
    let line = format!("line-{}", acknowledged.next.fetch_add(1, Ordering::Relaxed));
    let nanos = Timestamp::now().as_nanosecond().to_string();
    let record = json!({"timeUnixNano": nanos, "severityNumber": 9, "body": {"stringValue": line},
        "attributes": [{"key": "log.record.uid", "value": {"stringValue": line}}]});
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    let answer = installation.try_json("POST", "/otlp/v1/logs", &body, token).await;
    if answer.is_some_and(|(status, ..)| status == 200) {
        acknowledged.lines.lock().expect("not poisoned").insert(line);
    }
}

/// Every span that is stored, by its id.
async fn stored(installation: &Installation) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for page in 1.. {
        let path = format!("{SPANS}?project_name=kills&size={PAGE}&page={page}");
        let (status, list) = installation.json("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{list}");
        let items = list["content"].as_array().expect("a page");
        let known = all.len();
        for item in items {
            all.insert(item["id"].as_str().expect("an id").to_owned(), item.clone());
        }
        assert_eq!(all.len(), known + items.len(), "no span is listed twice");
        if items.len() < PAGE {
            assert_eq!(list["total"].as_u64(), Some(all.len() as u64));
            break;
        }
    }
    all
}

/// How often each line is stored.
async fn logged(installation: &Installation) -> BTreeMap<String, u64> {
    let (mut lines, mut after) = (BTreeMap::new(), String::new());
    loop {
        let path = format!("/api/logs?limit=1000{after}");
        let (_, page) = installation.json("GET", &path, Value::Null).await;
        for item in page["items"].as_array().expect("a list") {
            let line = item["body"].as_str().expect("a text").to_owned();
            *lines.entry(line).or_default() += 1;
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return lines,
        }
    }
}
