//! Programs as people write them in Go: informers of client-go and a controller of controller-runtime
//! (`tools/goclients`), over https with the kubeconfig that `stead kubeconfig` prints.

use std::path::{Path, PathBuf};

use http::StatusCode;
use serde_json::{Value, json};
use stead_testkit::{Process, Signal, poll_until};

use crate::support::{Installation, SOON, run, told};

const FLEETS: &str = "/k8s/apis/test.stead.dev/v1/namespaces/default/fleets";
const MAPS: &str = "/k8s/api/v1/namespaces/default/configmaps";

/// The variables of a program that finds the server by its kubeconfig.
struct Environment(Vec<(&'static str, String)>);

impl Environment {
    async fn of(installation: &Installation) -> Self {
        let config = installation.path("kubeconfig");
        std::fs::write(&config, installation.stead(&["kubeconfig"]).await.ok()).expect("writable");
        let home = installation.path("home").to_string_lossy().into_owned();
        Self(vec![
            ("KUBECONFIG", config.to_string_lossy().into_owned()),
            ("HOME", home),
        ])
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}

fn program(name: &str) -> PathBuf {
    Path::new(&told("GOCLIENTS")).join(name)
}

/// A started installation that knows the kind Fleet.
async fn with_fleets() -> Installation {
    let installation = Installation::started().await;
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/transcripts/files/fleets.yaml");
    installation
        .stead(&["apply", "-f", &definition.to_string_lossy()])
        .await
        .ok();
    poll_until(SOON, "the kind to be served", async || {
        let (status, _) = installation.json("GET", FLEETS, Value::Null).await;
        (status == StatusCode::OK).then_some(())
    })
    .await;
    installation
}

#[tokio::test(flavor = "multi_thread")]
async fn informers_leader_election_and_event_recorders_of_client_go_find_a_kubernetes() {
    let installation = with_fleets().await;
    let environment = Environment::of(&installation).await;
    let ended = run(&program("informers"), &["default"], &environment.pairs(), "").await;
    let found: Value = serde_json::from_str(&ended.ok()).expect("JSON");
    let expected = json!({
        // Caches are filled by watches that begin with what is there; nothing fell back to lists.
        "watchLists": 1, "lists": 0, "protobuf": true,
        // Added, updated, deleted: every change once, each version newer than the one before.
        "mapsSeen": [40, 40, 2], "fleetsSeen": [20, 1, 1], "wrong": [],
        "maps": 38, "sum": (1..=40).sum::<i64>() - 3,
        "leaders": ["ann leads", "ann ends", "bob leads", "bob ends"], "atOnce": 1, "transitions": 1,
        // Three that are alike are one with a count.
        "events": 2,
        "applied": {"data": {"a": "3"}, "labels": 0},
        "conflict": "Apply failed with 1 conflict: conflict with \"informers\": .data.a",
        "paged": 39,
    });
    assert_eq!(found, expected);
}

/// The objects of a list by name.
async fn named(installation: &Installation, path: &str) -> Vec<(String, Value)> {
    let (_, list) = installation.json("GET", path, Value::Null).await;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    items.into_iter().map(|item| (name(&item), item)).collect()
}

/// Waits until the maps of the fleet are these.
async fn until_ships(installation: &Installation, expected: &[&str]) -> Vec<Value> {
    poll_until(SOON * 2, &format!("{expected:?}"), async || {
        let maps = named(installation, MAPS).await;
        let ships: Vec<_> = maps
            .into_iter()
            .filter(|(name, _)| name.contains("ship") || name.contains("farewell"))
            .collect();
        let names: Vec<&str> = ships.iter().map(|(name, _)| name.as_str()).collect();
        (names == expected).then(|| ships.into_iter().map(|(_, ship)| ship).collect())
    })
    .await
}

async fn until_reported(installation: &Installation, ships: i64) -> Value {
    poll_until(SOON * 2, "the status", async || {
        let (_, fleet) = installation
            .json("GET", &format!("{FLEETS}/north"), Value::Null)
            .await;
        let is_reported = fleet["status"]["replicas"] == ships
            && fleet["status"]["conditions"][0]["observedGeneration"] == fleet["metadata"]["generation"];
        is_reported.then_some(fleet)
    })
    .await
}

async fn scale(installation: &Installation, ships: i64) {
    let body = json!({"spec": {"replicas": ships}});
    let response = installation
        .send("PATCH", &format!("{FLEETS}/north"), &body)
        .await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_of_controller_runtime_reconciles_through_a_kill_of_the_server() {
    let mut installation = with_fleets().await;
    let environment = Environment::of(&installation).await;
    let mut controller = Process::start(&program("controller"), ["default"], &environment.pairs());

    let fleet = json!({"apiVersion": "test.stead.dev/v1", "kind": "Fleet", "metadata": {"name": "north"},
        "spec": {"replicas": 3, "place": "north"}});
    let (status, fleet) = installation.json("POST", FLEETS, fleet).await;
    assert_eq!(status, StatusCode::CREATED, "{fleet}");
    let ships = until_ships(&installation, &["north-ship-0", "north-ship-1", "north-ship-2"]).await;
    let owner = &ships[0]["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], fleet["metadata"]["uid"]);
    assert_eq!(
        ships[0]["metadata"]["managedFields"][0]["manager"],
        "fleet-controller"
    );
    let fleet = until_reported(&installation, 3).await;
    assert_eq!(fleet["metadata"]["finalizers"], json!(["test.stead.dev/harbour"]));
    let condition = &fleet["status"]["conditions"][0];
    assert_eq!(
        (&condition["status"], &condition["message"]),
        (&json!("True"), &json!("3 ships"))
    );

    // What somebody takes away comes back; what is too much goes.
    let (status, _) = installation
        .json("DELETE", &format!("{MAPS}/north-ship-1"), Value::Null)
        .await;
    assert_eq!(status, StatusCode::OK);
    until_ships(&installation, &["north-ship-0", "north-ship-1", "north-ship-2"]).await;
    scale(&installation, 1).await;
    until_ships(&installation, &["north-ship-0"]).await;
    until_reported(&installation, 1).await;

    installation.kill().await;
    installation.up(&["--no-discover", "--no-default-model"]).await;
    scale(&installation, 2).await;
    until_ships(&installation, &["north-ship-0", "north-ship-1"]).await;
    until_reported(&installation, 2).await;

    let (status, _) = installation
        .json("DELETE", &format!("{FLEETS}/north"), Value::Null)
        .await;
    assert_eq!(status, StatusCode::OK);
    let left = until_ships(&installation, &["farewell-north"]).await;
    assert_eq!(left[0]["data"]["ships"], "2");
    assert!(named(&installation, FLEETS).await.is_empty());
    let events = named(
        &installation,
        "/k8s/apis/events.k8s.io/v1/namespaces/default/events",
    )
    .await;
    let notes: Vec<&Value> = events.iter().map(|(_, event)| &event["note"]).collect();
    assert!(notes.contains(&&json!("3 ships")), "{notes:?}");

    controller.signal(Signal::TERM);
    let status = controller.wait(SOON).await;
    assert_eq!(status.code(), Some(0), "{:#?}", controller.lines());
    let lease = "/k8s/apis/coordination.k8s.io/v1/namespaces/default/leases/fleet-controller";
    let (_, lease) = installation.json("GET", lease, Value::Null).await;
    assert_eq!(lease["spec"]["holderIdentity"], Value::Null, "given back");
}
