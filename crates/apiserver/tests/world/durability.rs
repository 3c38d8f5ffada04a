//! What is on disk, and what is not.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use stead_kernel::{
    Error, Reason, Result,
    ports::{
        Events, Page,
        events::{AuditQuery, AuditRow, Event, RequestQuery, RequestRow, UsageQuery, UsageRow},
    },
};

use crate::support::{World, dynamic, eventually, open, widget};

#[tokio::test]
async fn secrets_are_never_in_the_file() {
    let world = World::new().await;
    let secrets: Api<Secret> = Api::default_namespaced(world.client());
    let (plain, other) = ("correct horse battery staple", "another value of it");
    let body = |value: &str| json!({"metadata": {"name": "a", "annotations": {"copy": value}}, "stringData": {"key": value}});
    secrets
        .create(
            &PostParams::default(),
            &serde_json::from_value(body(plain)).expect("a secret"),
        )
        .await
        .expect("created");
    secrets
        .patch("a", &PatchParams::default(), &Patch::Merge(body(other)))
        .await
        .expect("patched");
    secrets
        .delete("a", &DeleteParams::default())
        .await
        .expect("deleted");
    let folder = world.path().parent().expect("a folder").to_owned();
    let mut looked_at = 0;
    for value in [plain, other] {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            looked_at += bytes.len();
            for text in [value, &encoded] {
                let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!found, "{text:?} is on disk");
            }
        }
    }
    assert!(looked_at > 10_000, "the files were read");
    world.stop().await;
}

#[tokio::test]
async fn objects_are_as_they_were_after_a_restart() {
    let mut world = World::new().await;
    let made = world
        .widgets()
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    world.restart().await;
    assert_eq!(world.widgets().get("a").await.expect("read"), made);
    world = world.after_kill().await;
    assert_eq!(world.widgets().get("a").await.expect("read"), made);
    world.server.check().await.expect("a sound file");
    world.stop().await;
}

#[tokio::test]
async fn concurrent_writers_lose_nothing_and_versions_are_in_order() {
    const WRITERS: usize = 16;
    const EACH: usize = 20;
    let world = World::new().await;
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &dynamic(widget("shared")))
        .await
        .expect("created");
    let writers = (0..WRITERS).map(|writer| {
        let widgets = world.widgets();
        async move {
            let mut versions = Vec::new();
            for index in 0..EACH {
                let label =
                    Patch::Merge(json!({"metadata": {"labels": {format!("l{writer}-{index}"): "x"}}}));
                let body = dynamic(widget(&format!("w{writer}-{index}")));
                let made = widgets
                    .create(&PostParams::default(), &body)
                    .await
                    .expect("created");
                let version = made.metadata.resource_version.expect("a version");
                versions.push(version.parse::<u64>().expect("a number"));
                // Others write it too; whoever was overtaken too often says so, and tries again.
                while let Err(error) = widgets.patch("shared", &PatchParams::default(), &label).await {
                    assert!(
                        matches!(&error, kube::Error::Api(status) if status.code == 409),
                        "{error}"
                    );
                }
            }
            versions
        }
    });
    let versions = futures::future::join_all(writers).await;
    for own in &versions {
        assert!(own.is_sorted_by(|left, right| left < right), "{own:?}");
    }
    let mut all: Vec<u64> = versions.into_iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), WRITERS * EACH);
    let world = world.after_kill().await;
    let listed = world
        .widgets()
        .list(&ListParams::default())
        .await
        .expect("listed");
    assert_eq!(listed.items.len(), WRITERS * EACH + 1);
    let shared = world.widgets().get("shared").await.expect("read");
    assert_eq!(shared.metadata.labels.unwrap_or_default().len(), WRITERS * EACH);
    world.stop().await;
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let world = World::new().await;
    world.stop().await;
    let connection = rusqlite::Connection::open(world.path()).expect("a file");
    connection.pragma_update(None, "user_version", 99).expect("set");
    drop(connection);
    let error = open(world.path()).await.err().expect("refused");
    assert_eq!(error.reason(), Reason::Invalid);
    assert!(error.message().contains("version 99"), "{error}");
    assert!(error.get_hint().is_some());
}

#[tokio::test]
async fn a_file_that_is_not_ours_or_damaged_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, vec![b'x'; 10_000]).expect("written");
    let error = open(garbage).await.err().expect("refused");
    assert!(error.message().contains("is damaged"), "{error}");

    let foreign = folder.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).expect("a file");
    connection
        .execute_batch("CREATE TABLE recipes (name TEXT)")
        .expect("a table");
    drop(connection);
    let error = open(foreign).await.err().expect("refused");
    assert!(error.message().contains("is no state file of Stead"), "{error}");

    let world = World::new().await;
    world.stop().await;
    let mut bytes = std::fs::read(world.path()).expect("a file");
    for byte in bytes.iter_mut().skip(4096).take(8192) {
        *byte ^= 0x5a;
    }
    std::fs::write(world.path(), bytes).expect("written");
    let error = open(world.path()).await.err().expect("refused");
    assert!(error.message().contains("is damaged"), "{error}");
}

#[tokio::test]
async fn a_backup_is_a_whole_state_file() {
    let world = World::new().await;
    world
        .widgets()
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let copy = world.path().with_file_name("copy.db");
    world.server.backup(&copy).await.expect("copied");
    let error = world.server.backup(&copy).await.expect_err("refused");
    assert_eq!(error.reason(), Reason::Conflict);
    let (server, tasks) = open(copy).await.expect("the copy opens");
    server.check().await.expect("sound");
    let client = server.client(stead_kernel::Principal::admin());
    let widgets: Api<kube::api::DynamicObject> =
        Api::namespaced_with(client, "default", &crate::support::widget_resource());
    widgets.get("a").await.expect("it is there");
    tasks.shutdown(std::time::Duration::from_secs(5)).await;
    server.close().await;
    world.stop().await;
}

#[tokio::test]
async fn a_closed_server_refuses_writes_and_says_why() {
    let world = World::new().await;
    assert!(world.server.ready());
    world.stop().await;
    assert!(!world.server.ready());
    let (status, answer) = world.post(crate::support::WIDGETS, &widget("a")).await;
    assert_eq!(status, axum::http::StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|text| text.contains("shutting down")),
        "{answer}"
    );
}

/// Keeps audit records; fails as often as it is told to.
#[derive(Default)]
struct Log {
    rows: Mutex<Vec<AuditRow>>,
    failures: Mutex<usize>,
}

#[async_trait]
impl Events for Log {
    async fn append(&self, events: Vec<Event>) -> Result<()> {
        let mut failures = self.failures.lock().expect("a lock");
        if *failures > 0 {
            *failures -= 1;
            return Err(Error::unavailable("not now"));
        }
        let mut rows = self.rows.lock().expect("a lock");
        rows.extend(events.into_iter().map(|event| match event {
            Event::Audit(row) => *row,
            Event::Request(row) => unreachable!("a request: {row:?}"),
        }));
        Ok(())
    }

    async fn requests(&self, _: RequestQuery) -> Result<Page<RequestRow>> {
        Ok(Page::default())
    }

    async fn request(&self, _: &str) -> Result<Option<RequestRow>> {
        Ok(None)
    }

    async fn usage(&self, _: UsageQuery) -> Result<Vec<UsageRow>> {
        Ok(Vec::new())
    }

    async fn audit(&self, _: AuditQuery) -> Result<Page<AuditRow>> {
        Ok(Page::default())
    }
}

#[tokio::test]
async fn every_write_has_an_audit_record_that_is_delivered_once() {
    let mut world = World::new().await;
    let secrets: Api<Secret> = Api::default_namespaced(world.client());
    let body = json!({"metadata": {"name": "s"}, "stringData": {"key": "hunter2hunter2"}});
    let made = secrets
        .create(
            &PostParams::default(),
            &serde_json::from_value(body).expect("a secret"),
        )
        .await
        .expect("created");
    world.restart().await;
    let log = Arc::new(Log {
        failures: Mutex::new(1),
        ..Log::default()
    });
    world.server.deliver_audit(Arc::clone(&log) as Arc<dyn Events>);
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    widgets
        .delete("a", &DeleteParams::default())
        .await
        .expect("deleted");
    let mine = || {
        let rows = log.rows.lock().expect("a lock");
        let admin = rows.iter().filter(|row| row.user == "admin");
        admin
            .map(|row| format!("{} {} {}", row.verb, row.resource, row.name))
            .collect::<Vec<_>>()
    };
    eventually("three records", async || mine().len() >= 3).await;
    assert_eq!(
        mine(),
        ["create secrets s", "create widgets a", "delete widgets a"]
    );
    let rows = log.rows.lock().expect("a lock").clone();
    let first = rows.iter().find(|row| row.name == "s").expect("the record");
    assert_eq!(
        Some(&first.resource_version),
        made.metadata.resource_version.as_ref()
    );
    assert_eq!(first.project, "default");
    assert!(!serde_json::to_string(&rows).expect("JSON").contains("hunter2"));
    world.restart().await;
    let again = Arc::new(Log::default());
    world.server.deliver_audit(Arc::clone(&again) as Arc<dyn Events>);
    world
        .widgets()
        .create(&PostParams::default(), &dynamic(widget("b")))
        .await
        .expect("created");
    eventually("the new record", async || {
        !again.rows.lock().expect("a lock").is_empty()
    })
    .await;
    assert!(
        again
            .rows
            .lock()
            .expect("a lock")
            .iter()
            .all(|row| row.name == "b")
    );
    world.stop().await;
}

#[tokio::test]
async fn every_issued_token_has_an_audit_record_without_the_token() {
    let world = World::new().await;
    let log = Arc::new(Log::default());
    world.server.deliver_audit(Arc::clone(&log) as Arc<dyn Events>);
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let (code, answer) = world
        .post(accounts, &json!({"metadata": {"name": "robot"}}))
        .await;
    assert_eq!(code, StatusCode::CREATED, "{answer}");
    let spec = json!({"audiences": ["elsewhere"], "expirationSeconds": 900});
    let path = format!("{accounts}/robot/token");
    let (_, answer) = world.post(&path, &json!({"spec": spec})).await;
    let token = answer["status"]["token"].as_str().expect("a token").to_owned();
    let (code, _) = world
        .post(&path, &json!({"spec": {"expirationSeconds": 1}}))
        .await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let issued = || {
        let rows = log.rows.lock().expect("a lock");
        let issued = rows.iter().filter(|row| row.subresource == "token");
        issued.cloned().collect::<Vec<_>>()
    };
    eventually("the record", async || !issued().is_empty()).await;
    let rows = issued();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0].user.as_str(), rows[0].name.as_str()), ("admin", "robot"));
    assert_eq!(rows[0].detail["token"]["audiences"], json!(["elsewhere"]));
    assert!(rows[0].detail["token"]["expires"].as_i64().is_some());
    assert!(!serde_json::to_string(&rows).expect("JSON").contains(&token));
    world.stop().await;
}
