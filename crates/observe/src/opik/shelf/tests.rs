//! Shelves over records in memory.

use serde_json::json;
use stead_kernel::{SystemClock, Timestamp};
use stead_testkit::MemoryRecords;

use super::*;

fn shelf() -> Shelf<Value> {
    let records = Arc::new(MemoryRecords::new(Arc::new(SystemClock)));
    Shelf::new(records, "things", "Thing")
}

#[tokio::test]
async fn a_name_is_had_by_one_record_at_a_time() {
    let shelf = shelf();
    let claim = Claim::new("default", "thing", Some("p"), "a name");
    let take = |id: &str| vec![shelf.create("default", id, &json!({})).unwrap(), claim.take(id)];
    shelf.commit(take("1")).await.unwrap();
    let refused = shelf.commit(take("2")).await.unwrap_err();
    assert_eq!(
        (refused.reason(), refused.message()),
        (Reason::Conflict, "Thing already exists")
    );
    assert!(
        shelf.get("default", "2").await.unwrap().is_none(),
        "nothing of a refused commit is there"
    );
    assert_eq!(
        claim.owner(&**shelf.records()).await.unwrap().as_deref(),
        Some("1")
    );
    for (workspace, project, name) in [
        ("other", Some("p"), "a name"),
        ("default", None, "a name"),
        ("default", Some("p"), "A name"),
    ] {
        let other = Claim::new(workspace, "thing", project, name);
        assert_eq!(
            other.owner(&**shelf.records()).await.unwrap(),
            None,
            "{workspace} {project:?} {name}"
        );
    }
    shelf.commit(vec![claim.release()]).await.unwrap();
    shelf.commit(take("2")).await.unwrap();
}

#[tokio::test]
async fn a_change_is_made_on_what_is_there_and_of_what_is_not_is_an_error() {
    let shelf = shelf();
    shelf.add("default", "1", &json!({"n": 1})).await.unwrap();
    let add = |body: &mut Value| {
        body["n"] = json!(body["n"].as_u64().unwrap_or(0) + 1);
        Ok(())
    };
    let (first, second) = tokio::join!(
        shelf.change("default", "1", add),
        shelf.change("default", "1", add)
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(shelf.need("default", "1").await.unwrap().body, json!({"n": 3}));
    let missing = shelf.change("default", "2", add).await.unwrap_err();
    assert_eq!(
        (missing.reason(), missing.message()),
        (Reason::NotFound, "Thing not found")
    );
}

#[tokio::test]
async fn what_was_under_an_owner_is_swept_even_after_a_restart() {
    let shelf = shelf();
    let sweeps = Sweeps::new(Arc::clone(shelf.records()));
    for (id, place) in [("1", "a/1"), ("2", "a/2"), ("3", "b/1")] {
        shelf.add("default", id, &json!({"place": place})).await.unwrap();
    }
    let planned = sweeps.plan("default", &[Sweep::under("things", "a")]).unwrap();
    shelf.commit(planned).await.unwrap();
    // Another process finds the plan.
    Sweeps::new(Arc::clone(shelf.records())).run(None).await.unwrap();
    let left = shelf.all(shelf.query("default")).await.unwrap();
    assert_eq!(left.iter().map(Kept::id).collect::<Vec<_>>(), ["3"]);
    let plans: Shelf<Value> = Shelf::new(Arc::clone(shelf.records()), SWEEPS, "Sweep");
    assert!(
        plans.all(plans.query("default")).await.unwrap().is_empty(),
        "a done sweep is forgotten"
    );
}

#[test]
fn times_are_told_in_whole_microseconds() {
    let now: Timestamp = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
    let stamps = Stamps::new(&Who::new("default".into(), "ada".into(), now));
    let told = serde_json::to_value(&stamps).unwrap();
    assert_eq!(told["created_at"], "2026-01-02T03:04:05.123456Z");
    assert_eq!(serde_json::from_value::<Stamps>(told).unwrap(), stamps);
}
