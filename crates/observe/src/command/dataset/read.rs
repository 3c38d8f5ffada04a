//! Datasets as they are shown, written out and deleted.

use clap::ArgMatches;
use http::Method;
use serde_json::{Value, json};
use stead_kernel::{
    Result,
    command::{Column, Session, View},
};

use crate::command::{
    opik::{self, PART, all, call, lines, segment},
    rows::to_csv,
    show, text,
};

pub(super) async fn list(session: &Session) -> Result<()> {
    let items = all(session, "/datasets").await?;
    let row = |item: &Value| {
        let version = item
            .pointer("/latest_version/version_name")
            .map(stead_scoring::text_of);
        vec![
            opik::text(item, "name"),
            opik::text(item, "dataset_items_count"),
            version.unwrap_or_default(),
            opik::text(item, "experiment_count"),
            opik::text(item, "last_updated_at"),
            opik::text(item, "description"),
            opik::text(item, "id"),
        ]
    };
    session.terminal.print(&View {
        columns: vec![
            Column::new("NAME"),
            Column::new("ITEMS"),
            Column::new("VERSION"),
            Column::new("EXPERIMENTS"),
            Column::new("UPDATED"),
            Column::wide("DESCRIPTION"),
            Column::wide("ID"),
        ],
        rows: items.iter().map(row).collect(),
        names: items.iter().map(|item| opik::text(item, "name")).collect(),
        items,
        list: true,
    })
}

pub(super) async fn versions(matches: &ArgMatches, session: &Session) -> Result<()> {
    let dataset = opik::dataset(session, text(matches, "name").unwrap_or_default()).await?;
    let items = all(
        session,
        &format!("/datasets/{}/versions", opik::text(&dataset, "id")),
    )
    .await?;
    let row = |item: &Value| {
        let tags: Vec<String> = item.get("tags").map(stead_scoring::texts_of).unwrap_or_default();
        let fields = [
            "version_name",
            "items_total",
            "items_added",
            "items_modified",
            "items_deleted",
            "created_at",
        ];
        let mut cells: Vec<String> = fields.iter().map(|field| opik::text(item, field)).collect();
        cells.extend([
            tags.join(", "),
            opik::text(item, "change_description"),
            opik::text(item, "version_hash"),
        ]);
        cells
    };
    session.terminal.print(&View {
        columns: vec![
            Column::new("VERSION"),
            Column::new("ITEMS"),
            Column::new("ADDED"),
            Column::new("MODIFIED"),
            Column::new("DELETED"),
            Column::new("CREATED"),
            Column::new("TAGS"),
            Column::new("DESCRIPTION"),
            Column::wide("HASH"),
        ],
        rows: items.iter().map(row).collect(),
        names: items
            .iter()
            .map(|item| opik::text(item, "version_name"))
            .collect(),
        items,
        list: true,
    })
}

pub(super) async fn get(matches: &ArgMatches, session: &Session) -> Result<()> {
    let limit = matches
        .get_one::<u32>("limit")
        .and_then(|limit| usize::try_from(*limit).ok())
        .unwrap_or(20);
    let items = items(matches, session, limit).await?;
    let row = |item: &Value| {
        let data = item.get("data").map(Value::to_string).unwrap_or_default();
        vec![
            opik::text(item, "id"),
            opik::text(item, "source"),
            show::harmless(&data),
        ]
    };
    session.terminal.print(&View {
        columns: vec![Column::new("ID"), Column::wide("SOURCE"), Column::new("DATA")],
        rows: items.iter().map(row).collect(),
        names: items.iter().map(|item| opik::text(item, "id")).collect(),
        items,
        list: true,
    })
}

pub(super) async fn export(matches: &ArgMatches, session: &Session) -> Result<()> {
    let items = items(matches, session, usize::MAX).await?;
    let rows: Vec<Value> = items
        .into_iter()
        .filter_map(|mut item| Some(item.get_mut("data")?.take()))
        .collect();
    if matches.get_flag("csv") {
        return session.terminal.write(&to_csv(&rows));
    }
    let lines: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
    session.terminal.write(&lines.concat())
}

/// The items of the dataset that was named, the newest first.
async fn items(matches: &ArgMatches, session: &Session, limit: usize) -> Result<Vec<Value>> {
    let name = text(matches, "name").unwrap_or_default();
    opik::dataset(session, name).await?;
    let mut found: Vec<Value> = Vec::new();
    while found.len() < limit {
        let wanted = PART.min(limit - found.len());
        let asked = json!({"dataset_name": name, "steam_limit": wanted, "dataset_version": text(matches, "version"),
            "last_retrieved_id": found.last().map(|item| opik::text(item, "id"))});
        let part = lines(session, "/datasets/items/stream", asked).await?;
        let is_last = part.len() < wanted;
        found.extend(part);
        if is_last {
            break;
        }
    }
    Ok(found)
}

pub(super) async fn delete(matches: &ArgMatches, session: &Session) -> Result<()> {
    let name = text(matches, "name").unwrap_or_default();
    let dataset = opik::dataset(session, name).await?;
    let address = format!("/datasets/{}", segment(&opik::text(&dataset, "id")));
    call(session, Method::DELETE, &address, None).await?;
    session.terminal.note(&format!("dataset {name} is deleted"));
    Ok(())
}
