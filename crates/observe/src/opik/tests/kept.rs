//! What is kept as records, by the requests that the SDKs make.

use http::Method;
use serde_json::{Value, json};
use stead_kernel::OpikLocal;

use super::{Stand, stand};

const BASE: &str = "/opik/api/v1/private";

impl Stand {
    /// The answer to a request that must succeed; null when there is none.
    async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let answered = self
            .ask(method.clone(), &format!("{BASE}{path}"), Some(body))
            .await;
        assert!(
            answered.status.is_success(),
            "{method} {path}: {} {}",
            answered.status,
            answered.text()
        );
        match answered.headers.get("location") {
            Some(location) => location.to_str().unwrap().rsplit('/').next().unwrap().into(),
            None if answered.body.is_empty() => Value::Null,
            None => answered.json(),
        }
    }

    async fn get(&self, path: &str) -> Value {
        let answered = self.ask(Method::GET, &format!("{BASE}{path}"), None).await;
        assert!(
            answered.status.is_success(),
            "{path}: {} {}",
            answered.status,
            answered.text()
        );
        answered.json()
    }

    async fn status(&self, method: Method, path: &str, body: Value) -> u16 {
        self.ask(method, &format!("{BASE}{path}"), Some(body))
            .await
            .status
            .as_u16()
    }

    async fn dataset(&self, name: &str) -> String {
        let made = self
            .done(
                Method::POST,
                "/datasets",
                json!({"name": name, "project_name": "p"}),
            )
            .await;
        made.as_str().unwrap().to_owned()
    }

    async fn put(&self, dataset: &str, group: Option<u8>, items: Value) {
        let group = group.map(|group| format!("01a1fce2-e8aa-779d-a024-0000000000{group:02}"));
        let body = json!({"dataset_id": dataset, "batch_group_id": group, "items": items});
        self.done(Method::PUT, "/datasets/items", body).await;
    }

    /// The values of a dataset's items, the newest item first.
    async fn values(&self, dataset: &str, query: &str) -> Vec<Value> {
        let page = self
            .get(&format!("/datasets/{dataset}/items?size=5000{query}"))
            .await;
        let items = page["content"].as_array().unwrap().iter();
        items.map(|item| item["data"]["n"].clone()).collect()
    }
}

/// The id of the item with this number.
fn item_id(number: usize) -> String {
    format!("01a1fce2-e8b1-7270-8650-{number:012x}")
}

fn item(number: usize, value: impl Into<Value>) -> Value {
    json!({"id": item_id(number), "source": "sdk", "data": {"n": value.into()}})
}

#[tokio::test]
async fn old_versions_of_a_dataset_can_be_read_compared_and_restored() {
    let stand = stand(OpikLocal::On);
    let dataset = stand.dataset("d").await;
    let all: Vec<Value> = (0..4).map(|number| item(number, number)).collect();
    stand.put(&dataset, Some(1), json!(all)).await;
    stand
        .put(&dataset, Some(2), json!([item(1, "new"), item(4, 4)]))
        .await;
    let gone = json!({"item_ids": [item_id(0)], "batch_group_id": "01a1fce2-e8aa-779d-a024-000000000003"});
    stand.done(Method::POST, "/datasets/items/delete", gone).await;
    assert_eq!(
        stand.values(&dataset, "").await,
        [json!(4), json!(3), json!(2), json!("new")]
    );
    assert_eq!(stand.values(&dataset, "&version=v1").await, [3, 2, 1, 0]);
    assert_eq!(stand.values(&dataset, "&version=v2&page=1").await.len(), 5);
    let part = stand
        .get(&format!("/datasets/{dataset}/items?version=v1&page=2&size=3"))
        .await;
    assert_eq!(
        (&part["total"], &part["content"][0]["data"]["n"]),
        (&json!(4), &json!(0))
    );
    let versions = stand.get(&format!("/datasets/{dataset}/versions")).await;
    let named = versions["content"].as_array().unwrap().iter();
    let named: Vec<(&Value, &Value)> = named.map(|one| (&one["version_name"], &one["tags"])).collect();
    assert_eq!(
        named,
        [
            (&json!("v3"), &json!(["latest"])),
            (&json!("v2"), &json!([])),
            (&json!("v1"), &json!([]))
        ]
    );
    let path = format!("/datasets/{dataset}/versions");
    let counts = stand.get(&format!("{path}/diff?from=v1&to=v3")).await["statistics"].clone();
    let expected = json!({"itemsAdded": 1, "itemsModified": 1, "itemsDeleted": 1, "itemsUnchanged": 2});
    assert_eq!(counts, expected);
    let restored = stand
        .done(
            Method::POST,
            &format!("{path}/restore"),
            json!({"version_ref": "v1"}),
        )
        .await;
    assert_eq!(
        (&restored["version_name"], &restored["items_total"]),
        (&json!("v4"), &json!(4))
    );
    assert_eq!(stand.values(&dataset, "").await, [3, 2, 1, 0]);
    assert_eq!(stand.values(&dataset, "&version=v3").await[0], 4);
    stand.store.close().await;
}

#[tokio::test]
async fn a_tag_names_one_version_and_a_version_is_found_by_every_name() {
    let stand = stand(OpikLocal::On);
    let dataset = stand.dataset("d").await;
    stand.put(&dataset, Some(1), json!([item(1, 1)])).await;
    stand.put(&dataset, Some(2), json!([item(2, 2)])).await;
    let path = format!("/datasets/{dataset}/versions");
    let first = stand
        .done(
            Method::POST,
            &format!("{path}/retrieve"),
            json!({"version_name": "v1"}),
        )
        .await;
    let hash = first["version_hash"].as_str().unwrap();
    let tags = format!("{path}/hash/{hash}/tags");
    stand.done(Method::POST, &tags, json!({"tag": "baseline"})).await;
    for taken in ["baseline", "latest"] {
        assert_eq!(
            stand.status(Method::POST, &tags, json!({"tag": taken})).await,
            409,
            "{taken}"
        );
    }
    for name in [hash, "v1", "baseline", first["id"].as_str().unwrap()] {
        assert_eq!(
            stand.values(&dataset, &format!("&version={name}")).await,
            [1],
            "{name}"
        );
    }
    stand
        .done(
            Method::DELETE,
            &format!("{path}/{hash}/tags/baseline"),
            Value::Null,
        )
        .await;
    assert_eq!(
        stand
            .status(Method::GET, &format!("{path}/hash/baseline"), Value::Null)
            .await,
        404
    );
    stand.store.close().await;
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_item_and_filters_choose() {
    let stand = stand(OpikLocal::On);
    let dataset = stand.dataset("d").await;
    for part in 0..3 {
        let items: Vec<Value> = (part * 1_000..part * 1_000 + 900)
            .map(|number| item(number, number))
            .collect();
        stand.put(&dataset, Some(1), json!(items)).await;
    }
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let last = seen.last().map(|item| item["id"].clone());
        let body = json!({"dataset_name": "d", "project_name": "p", "steam_limit": 1_100, "last_retrieved_id": last});
        let answered = stand
            .ask(Method::POST, &format!("{BASE}/datasets/items/stream"), Some(body))
            .await;
        let lines = answered.lines();
        if lines.is_empty() {
            break;
        }
        seen.extend(lines);
    }
    assert_eq!(seen.len(), 2_700);
    assert!(
        seen.windows(2)
            .all(|pair| pair[0]["id"].as_str() > pair[1]["id"].as_str())
    );
    let page = stand
        .get(&format!("/datasets/{dataset}/items?page=2&size=2000"))
        .await;
    assert_eq!(
        (&page["total"], page["content"].as_array().unwrap().len()),
        (&json!(2_700), 700)
    );
    let filter = json!([{"field": "data.n", "operator": ">=", "key": "", "value": "2800"}]).to_string();
    let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    assert_eq!(
        stand.values(&dataset, &format!("&filters={filter}")).await.len(),
        100
    );
    let body =
        json!({"dataset_id": dataset, "filters": [{"field": "data.n", "operator": "<", "value": "2899"}]});
    stand.done(Method::POST, "/datasets/items/delete", body).await;
    assert_eq!(stand.values(&dataset, "").await, [2_899]);
    for limit in [0, 2_001] {
        let body = json!({"dataset_name": "d", "project_name": "p", "steam_limit": limit});
        assert_eq!(
            stand.status(Method::POST, "/datasets/items/stream", body).await,
            422,
            "{limit}"
        );
    }
    stand.store.close().await;
}

#[tokio::test]
async fn what_breaks_a_rule_changes_nothing() {
    let stand = stand(OpikLocal::On);
    let (one, two) = (stand.dataset("one").await, stand.dataset("two").await);
    stand.put(&one, None, json!([item(1, 1)])).await;
    let batch = |items: Value| json!({"dataset_id": two, "items": items});
    let many: Vec<Value> = (0..1_001).map(|number| item(number, number)).collect();
    for (body, status) in [
        (batch(json!([item(2, 2), item(1, 1)])), 409),
        (batch(json!([])), 422),
        (batch(json!(many)), 422),
        (
            batch(json!([{"id": item_id(3), "source": "nowhere", "data": {}}])),
            422,
        ),
        (json!({"items": [item(4, 4)]}), 422),
        (json!({"dataset_id": item_id(9), "items": [item(4, 4)]}), 404),
        (
            json!({"dataset_id": two, "items": [item(4, 4)], "copy_from_dataset_id": one}),
            501,
        ),
    ] {
        let sent = body.to_string();
        assert_eq!(
            stand.status(Method::PUT, "/datasets/items", body).await,
            status,
            "{}",
            &sent[..80]
        );
    }
    assert_eq!(stand.values(&two, "").await, Vec::<Value>::new());
    let taken = json!({"name": "one", "project_name": "p"});
    assert_eq!(stand.status(Method::POST, "/datasets", taken.clone()).await, 409);
    assert_eq!(
        stand
            .status(Method::PUT, &format!("/datasets/{two}"), taken)
            .await,
        409
    );
    let base = json!({"base_version": item_id(1), "added_items": [item(5, 5)]});
    assert_eq!(
        stand
            .status(
                Method::POST,
                &format!("/datasets/{one}/items/changes"),
                base.clone()
            )
            .await,
        409
    );
    let path = format!("/datasets/{one}/items/changes?override=true");
    assert_eq!(stand.status(Method::POST, &path, base).await, 201);
    stand
        .done(Method::DELETE, &format!("/datasets/{one}"), Value::Null)
        .await;
    let left = stand
        .status(
            Method::GET,
            &format!("/datasets/items/{}", item_id(1)),
            Value::Null,
        )
        .await;
    assert_eq!(left, 404, "items go with their dataset");
    stand.dataset("one").await;
    stand.store.close().await;
}

#[tokio::test]
async fn writers_at_once_lose_nothing() {
    let stand = stand(OpikLocal::On);
    let dataset = stand.dataset("d").await;
    let writes = (0..20_u8).map(|group| {
        let items = json!([item(usize::from(group), group)]);
        stand.put(&dataset, Some(group), items)
    });
    futures::future::join_all(writes).await;
    assert_eq!(stand.values(&dataset, "").await.len(), 20);
    let versions = stand.get(&format!("/datasets/{dataset}/versions")).await;
    assert_eq!(versions["total"], 20);
    stand.store.close().await;
}

/// What one item of a bulk upload says, whose span costs so many US dollars.
fn record(number: usize, score: f64, cost: f64) -> Value {
    json!({
        "dataset_item_id": item_id(number),
        "trace": {"id": format!("01a1fce2-ee34-7e45-9bb4-{number:012x}"), "project_name": "p", "name": "t",
            "start_time": "2026-11-21T06:54:00Z", "end_time": "2026-11-21T06:54:02Z", "output": {"answer": number}},
        "spans": [{"id": format!("01a1fce2-ee35-7e45-9bb4-{number:012x}"), "name": "s", "type": "llm",
            "start_time": "2026-11-21T06:54:00Z", "usage": {"total_tokens": 10}, "total_estimated_cost": cost}],
        "feedback_scores": [{"name": "good", "value": score, "source": "sdk"}],
    })
}

#[tokio::test]
async fn a_bulk_upload_makes_an_experiment_whose_sums_come_from_its_traces() {
    let stand = stand(OpikLocal::On);
    let dataset = stand.dataset("d").await;
    stand.put(&dataset, None, json!([item(1, 1), item(2, 2)])).await;
    let id = "01a1fce2-eceb-7782-9612-6330898fb510";
    let body = json!({"experiment_name": "e", "dataset_name": "d", "experiment_id": id, "project_name": "p",
        "items": [record(1, 1.0, 0.25), record(2, 0.0, 0.5)]});
    // A request that is sent again makes nothing twice.
    for _ in 0..2 {
        stand
            .done(Method::PUT, "/experiments/items/bulk", body.clone())
            .await;
    }
    let told = stand.get(&format!("/experiments/{id}")).await;
    for (field, expected) in [
        ("name", json!("e")),
        ("dataset_id", json!(dataset)),
        ("project_name", json!("p")),
        ("trace_count", json!(2)),
        ("feedback_scores", json!([{"name": "good", "value": 0.5}])),
        ("duration", json!({"p50": 2000.0, "p90": 2000.0, "p99": 2000.0})),
        ("total_estimated_cost", json!(0.75)),
        ("usage", json!({"total_tokens": 10.0})),
        ("status", json!("running")),
    ] {
        assert_eq!(told[field], expected, "{field}");
    }
    stand
        .done(Method::POST, "/experiments/finish", json!({"ids": [id]}))
        .await;
    let listed = stand.get(&format!("/experiments?datasetId={dataset}")).await;
    assert_eq!(
        (&listed["total"], &listed["content"][0]["status"]),
        (&json!(1), &json!("completed"))
    );
    let ids: String = url::form_urlencoded::byte_serialize(json!([id]).to_string().as_bytes()).collect();
    let path = format!("/datasets/{dataset}/items/experiments/items");
    let rows = stand.get(&format!("{path}?experiment_ids={ids}")).await;
    let items = rows["content"].as_array().unwrap().iter();
    let outputs: Vec<&Value> = items
        .map(|row| &row["experiment_items"][0]["output"]["answer"])
        .collect();
    assert_eq!((outputs, &rows["total"]), (vec![&json!(2), &json!(1)], &json!(2)));
    let filter =
        json!([{"field": "feedback_scores", "operator": ">", "key": "good", "value": "0.5"}]).to_string();
    let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    let rows = stand
        .get(&format!("{path}?experiment_ids={ids}&filters={filter}"))
        .await;
    assert_eq!(
        (&rows["total"], &rows["content"][0]["data"]["n"]),
        (&json!(1), &json!(1))
    );
    let stats = stand.get(&format!("{path}/stats?experiment_ids={ids}")).await;
    assert_eq!(
        stats["stats"][0],
        json!({"name": "experiment_items_count", "type": "COUNT", "value": 2})
    );
    stand
        .done(Method::POST, "/experiments/delete", json!({"ids": [id]}))
        .await;
    assert_eq!(
        stand
            .status(Method::GET, &format!("/experiments/{id}"), Value::Null)
            .await,
        404
    );
    stand.store.close().await;
}

#[tokio::test]
async fn an_environment_is_that_of_one_version_of_a_prompt() {
    let stand = stand(OpikLocal::On);
    let add =
        |template: &str| json!({"name": "greeting", "project_name": "p", "version": {"template": template}});
    let first = stand
        .done(Method::POST, "/prompts/versions", add("Hi {{name}}"))
        .await;
    let second = stand
        .done(Method::POST, "/prompts/versions", add("Hello {{name}}"))
        .await;
    assert_eq!(
        (&first["version_number"], &second["version_number"]),
        (&json!("v1"), &json!("v2"))
    );
    let place = |id: &Value| format!("/prompts/versions/{}/environments", id.as_str().unwrap());
    let live = json!({"environments": ["live"]});
    assert_eq!(
        stand
            .status(Method::PATCH, &place(&first["id"]), live.clone())
            .await,
        404
    );
    stand
        .done(Method::POST, "/environments", json!({"name": "live"}))
        .await;
    let asked = json!({"name": "greeting", "project_name": "p", "environment": "live"});
    for version in [&first, &second] {
        stand
            .done(Method::PATCH, &place(&version["id"]), live.clone())
            .await;
        let found = stand
            .done(Method::POST, "/prompts/versions/retrieve", asked.clone())
            .await;
        assert_eq!(found["id"], version["id"]);
    }
    let prompt = first["prompt_id"].as_str().unwrap();
    let again = format!(
        "/prompts/{prompt}/versions/{}/restore",
        first["id"].as_str().unwrap()
    );
    let third = stand.done(Method::POST, &again, Value::Null).await;
    assert_eq!(
        (&third["version_number"], &third["template"]),
        (&json!("v3"), &json!("Hi {{name}}"))
    );
    let by_commit = stand
        .get(&format!(
            "/prompts/by-commit/{}",
            second["commit"].as_str().unwrap()
        ))
        .await;
    assert_eq!(by_commit["requested_version"]["template"], "Hello {{name}}");
    stand
        .done(Method::DELETE, &format!("/prompts/{prompt}"), Value::Null)
        .await;
    let missing = stand
        .status(Method::POST, "/prompts/versions/retrieve", asked)
        .await;
    assert_eq!(missing, 404);
    stand.store.close().await;
}

#[tokio::test]
async fn a_queue_holds_traces_which_are_found_by_it() {
    let stand = stand(OpikLocal::On);
    let id = |number: u8| format!("01a1fce2-ee34-7e45-9bb4-0000000000{number:02}");
    let trace = |number: u8| json!({"id": id(number), "project_name": "p", "name": "t", "start_time": "2026-11-21T06:54:00Z"});
    let traces = json!({"traces": [trace(1), trace(2)]});
    stand.done(Method::POST, "/traces/batch", traces).await;
    let project = stand
        .done(Method::POST, "/projects/retrieve", json!({"name": "p"}))
        .await["id"]
        .clone();
    let queue = stand
        .done(
            Method::POST,
            "/annotation-queues",
            json!({"name": "q", "scope": "trace", "project_id": project}),
        )
        .await;
    let queue = queue.as_str().unwrap();
    let path = format!("/annotation-queues/{queue}");
    for _ in 0..2 {
        stand
            .done(
                Method::POST,
                &format!("{path}/items/add"),
                json!({"ids": [id(2)]}),
            )
            .await;
    }
    assert_eq!(stand.get(&path).await["items_count"], 1);
    let filter = json!([{"field": "annotation_queue_ids", "operator": "contains", "value": queue}]);
    let search = json!({"project_name": "p", "filters": filter});
    let answered = stand
        .ask(Method::POST, &format!("{BASE}/traces/search"), Some(search))
        .await;
    let found: Vec<Value> = answered
        .lines()
        .into_iter()
        .map(|trace| trace["id"].clone())
        .collect();
    assert_eq!(found, [json!(id(2))]);
    let held = stand
        .done(Method::PUT, &format!("{path}/items/{}/lock", id(2)), Value::Null)
        .await;
    assert_eq!(
        (&held["acquired"], &held["locked_by"]),
        (&json!(true), &json!("local"))
    );
    assert_eq!(
        stand.get(&format!("{path}/locks")).await["locks"][id(2)]["active_locks"],
        1
    );
    stand
        .done(
            Method::POST,
            &format!("{path}/items/delete"),
            json!({"ids": [id(2)]}),
        )
        .await;
    assert_eq!(stand.get(&path).await["items_count"], 0);
    stand.store.close().await;
}

#[tokio::test]
async fn the_smaller_sorts_are_kept_changed_listed_and_removed() {
    let stand = stand(OpikLocal::On);
    for (path, body, change, update) in [
        (
            "/feedback-definitions",
            json!({"name": "n", "type": "numerical", "details": {"min": 0, "max": 1}}),
            Method::PUT,
            json!({"name": "m", "type": "boolean", "details": {"trueLabel": "y", "falseLabel": "n"}}),
        ),
        (
            "/environments",
            json!({"name": "n", "color": "red"}),
            Method::PATCH,
            json!({"name": "m"}),
        ),
        (
            "/dashboards",
            json!({"name": "n", "config": {"w": []}}),
            Method::PATCH,
            json!({"name": "m"}),
        ),
        (
            "/insights-views",
            json!({"name": "n", "config": {"w": []}}),
            Method::PATCH,
            json!({"name": "m"}),
        ),
        (
            "/optimizations",
            json!({"name": "n", "dataset_name": "d", "objective_name": "good", "status": "running"}),
            Method::PUT,
            json!({"name": "m", "status": "completed"}),
        ),
    ] {
        let id = stand.done(Method::POST, path, body.clone()).await;
        let one = format!("{path}/{}", id.as_str().unwrap());
        assert_eq!(stand.get(&one).await["name"], "n", "{path}");
        stand.done(change, &one, update).await;
        let listed = stand.get(path).await;
        assert_eq!(
            (&listed["total"], &listed["content"][0]["name"]),
            (&json!(1), &json!("m")),
            "{path}"
        );
        stand.done(Method::POST, path, body).await;
        let batch = match path {
            "/dashboards" | "/insights-views" => "delete-batch",
            _ => "delete",
        };
        stand
            .done(Method::POST, &format!("{path}/{batch}"), json!({"ids": [id]}))
            .await;
        assert_eq!(stand.status(Method::GET, &one, Value::Null).await, 404, "{path}");
        assert_eq!(stand.get(path).await["total"], 1, "{path}");
    }
    stand.store.close().await;
}
