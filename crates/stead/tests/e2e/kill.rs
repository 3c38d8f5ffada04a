//! SIGKILL under load: what was acknowledged is there.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use stead_testkit::poll_until;

use crate::{
    provider::Provider,
    support::{Installation, SOON},
};

/// How often the server is killed; `just soak` sets more.
#[expect(clippy::disallowed_methods, reason = "just soak asks for more rounds")]
pub(crate) fn rounds(usual: u64) -> u64 {
    std::env::var("STEAD_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

/// Kills the server after a while, and says that it is over.
pub(crate) async fn kill_after(installation: &Installation, moment: Duration, over: &AtomicBool) {
    tokio::time::sleep(moment).await;
    let pid = i32::try_from(installation.pid())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let pid = pid.expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    over.store(true, Ordering::Relaxed);
}

/// What the server has acknowledged so far.
#[derive(Default)]
struct Acknowledged {
    objects: Mutex<BTreeSet<String>>,
    requests: Mutex<BTreeSet<String>>,
    next: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_concurrent_writes_and_requests_lose_nothing_acknowledged() {
    let mut installation = Installation::started().await;
    let provider = Provider::start().await;
    installation
        .stead_reading(&["apply", "-f", "-"], &provider.manifest())
        .await
        .ok();
    let token = installation.token();
    let acknowledged = Arc::new(Acknowledged::default());
    for round in 0..rounds(20) {
        load_until_killed(&mut installation, &acknowledged, &token, round).await;
        installation.up(&["--no-discover", "--no-default-model"]).await;
    }
    let objects = acknowledged.objects.lock().expect("not poisoned").clone();
    let requests = acknowledged.requests.lock().expect("not poisoned").clone();
    assert!(
        objects.len() > 20 && requests.len() > 20,
        "{} objects, {} requests",
        objects.len(),
        requests.len()
    );

    let (_, list) = installation
        .json("GET", "/k8s/api/v1/namespaces/default/configmaps", Value::Null)
        .await;
    let stored: BTreeSet<String> = names(&list);
    let lost: Vec<_> = objects.difference(&stored).collect();
    assert!(
        lost.is_empty(),
        "{} of {} objects lost: {lost:?}",
        lost.len(),
        objects.len()
    );

    let recorded = poll_until(SOON, "the journal to be read", async || {
        let recorded = recorded(&installation).await;
        requests.is_subset(&recorded).then_some(recorded)
    })
    .await;
    let (_, usage) = installation.json("GET", "/api/usage", Value::Null).await;
    let counted = usage
        .pointer("/items/0/requests")
        .and_then(Value::as_u64)
        .expect("a count");
    assert_eq!(counted, recorded.len() as u64, "rollups count each request once");
}

/// Writes and asks from several sides until the server is gone.
async fn load_until_killed(
    installation: &mut Installation,
    acknowledged: &Acknowledged,
    token: &str,
    round: u64,
) {
    let over = AtomicBool::new(false);
    let (borrowed, over) = (&*installation, &over);
    let writers = (0..4).map(|_| async move {
        while !over.load(Ordering::Relaxed) {
            write_one(borrowed, acknowledged, token).await;
        }
    });
    let askers = (0..4).map(|_| async move {
        while !over.load(Ordering::Relaxed) {
            ask_one(borrowed, acknowledged, token).await;
        }
    });
    // The moment moves through the first half second, so that kills fall into different places.
    let moment = Duration::from_millis(100 + (round * 97) % 400);
    let killer = kill_after(borrowed, moment, over);
    tokio::join!(join_all(writers), join_all(askers), killer);
    installation.kill().await;
}

async fn write_one(installation: &Installation, acknowledged: &Acknowledged, token: &str) {
    let name = format!("object-{}", acknowledged.next.fetch_add(1, Ordering::Relaxed));
    let body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"name": name}});
    let answer = installation
        .try_json("POST", "/k8s/api/v1/namespaces/default/configmaps", &body, token)
        .await;
    if answer.is_some_and(|(status, ..)| status == 201) {
        acknowledged.objects.lock().expect("not poisoned").insert(name);
    }
}

async fn ask_one(installation: &Installation, acknowledged: &Acknowledged, token: &str) {
    let body = json!({"model": "stand-in/stand-in", "messages": [{"role": "user", "content": "hello"}]});
    let answer = installation
        .try_json("POST", "/v1/chat/completions", &body, token)
        .await;
    let Some((status, _, headers)) = answer.filter(|(status, ..)| *status == 200) else {
        return;
    };
    assert_eq!(status, 200);
    let id = headers
        .get("x-stead-request-id")
        .and_then(|id| id.to_str().ok())
        .expect("every answer has an id");
    acknowledged
        .requests
        .lock()
        .expect("not poisoned")
        .insert(id.to_owned());
}

fn names(list: &Value) -> BTreeSet<String> {
    let items = list["items"].as_array().into_iter().flatten();
    items
        .filter_map(|item| item.pointer("/metadata/name")?.as_str().map(str::to_owned))
        .collect()
}

/// Ids of every recorded request, over all pages.
async fn recorded(installation: &Installation) -> BTreeSet<String> {
    let (mut ids, mut after) = (BTreeSet::new(), String::new());
    loop {
        let (_, page) = installation
            .json("GET", &format!("/api/requests?limit=500{after}"), Value::Null)
            .await;
        let items = page["items"].as_array().expect("a list");
        ids.extend(
            items
                .iter()
                .filter_map(|item| item["id"].as_str().map(str::to_owned)),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return ids,
        }
    }
}
