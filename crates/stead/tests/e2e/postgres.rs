//! Records in a PostgreSQL server of their own, before the real binary.

use serde_json::{Value, json};
use stead_testkit::Postgres;

use crate::support::Installation;

const QUIET: [&str; 2] = ["--no-discover", "--no-default-model"];

fn configure(installation: &Installation, url: &str) {
    std::fs::create_dir_all(installation.data()).expect("writable");
    let text = format!("recordsUrl: {}\n", json!(url));
    std::fs::write(installation.data().join("config.yaml"), text).expect("writable");
}

async fn make(installation: &Installation, name: &str) {
    let path = "/opik/api/v1/private/datasets";
    let (status, text) = installation
        .send_as("POST", path, &json!({"name": name}), &installation.token())
        .await;
    assert_eq!(status, 201, "{text}");
}

async fn names(installation: &Installation) -> Vec<String> {
    let path = "/opik/api/v1/private/datasets";
    let (status, text) = installation
        .send_as("GET", path, &Value::Null, &installation.token())
        .await;
    assert_eq!(status, 200, "{text}");
    let page: Value = serde_json::from_str(&text).expect("JSON");
    let items = page["content"].as_array().expect("a list");
    let mut names: Vec<String> = items
        .iter()
        .map(|item| item["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn records_move_into_postgres_stay_there_and_come_back_in_a_backup() {
    let server = Postgres::start().await;
    let url = server.url("");
    let mut installation = Installation::started().await;
    make(&installation, "in-the-file").await;
    installation.stop().await;

    configure(&installation, &url);
    let refused = installation.up_fails(&QUIET).await;
    assert!(
        refused.stderr.contains("stead import records"),
        "what the file has must not seem lost: {refused:?}"
    );
    let said = installation.stead(&["import", "records"]).await;
    assert!(
        said.code == 0 && said.stderr.contains("records taken over"),
        "{said:?}"
    );
    installation.up(&QUIET).await;
    assert_eq!(names(&installation).await, ["in-the-file"]);
    let held = installation.stead(&["import", "records"]).await;
    assert_eq!(held.code, 5, "a running server holds the file: {held:?}");
    make(&installation, "in-the-database").await;
    installation.kill().await;
    installation.up(&QUIET).await;
    assert_eq!(names(&installation).await, ["in-the-database", "in-the-file"]);
    installation.stead(&["doctor"]).await.ok();
    let backup = installation.path("backup");
    installation
        .stead(&["backup", &backup.to_string_lossy()])
        .await
        .ok();
    installation.stop().await;

    // The backup holds the records as a file, which a server without a database serves.
    let mut other = Installation::new();
    other.stead(&["restore", &backup.to_string_lossy()]).await.ok();
    std::fs::remove_file(other.data().join("config.yaml")).expect("it was backed up");
    other.up(&QUIET).await;
    assert_eq!(names(&other).await, ["in-the-database", "in-the-file"]);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_named_and_its_password_is_not() {
    let installation = Installation::new();
    configure(
        &installation,
        "postgres://ada:hunter2@127.0.0.1:1/records?connect_timeout=1",
    );
    let ended = installation.up_fails(&QUIET).await;
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("the database of records"), "{ended:?}");
    let shown = installation.stead(&["config", "view", "-o", "json"]).await.ok();
    assert!(
        shown.contains("postgres://ada:***@127.0.0.1:1/records"),
        "{shown}"
    );
    let checked = installation.stead(&["doctor"]).await;
    let flag = ["up", "--set", "recordsUrl=postgres://ada:hunter2@h/records"];
    let refused = installation.stead(&flag).await;
    assert!(refused.stderr.contains("STEAD_RECORDS_URL"), "{refused:?}");
    for text in [shown, format!("{ended:?}{checked:?}{refused:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
