//! `stead describe`: one object for reading, with its conditions, steps and events.

use std::fmt::Write as _;

use clap::ArgMatches;
use serde_json::{Map, Value, json};
use stead_kernel::{
    Result,
    command::{Terminal as _, View},
};

use super::{Call, selector, words};
use crate::{
    arguments::text,
    json::{at, items_at, text_at},
    report::{printable, usage},
    resource::{Discovery, Resource, hide_managed_fields, name, project},
    server::{Accept, Api, Query},
    terminal::{Layout, cell},
    yaml,
};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("describe")
        .about("Shows objects for reading, with conditions, steps and events: stead describe KIND NAME")
        .arg(words().required(true))
        .arg(selector())
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let api = call.api()?;
    let discovery = Discovery::load(&api).await?;
    let mut objects = Vec::new();
    for chosen in Call::chosen(&matches, &discovery)? {
        let resource = chosen.resource;
        if let Some(name) = chosen.name {
            if matches.contains_id("selector") {
                return Err(usage("give names or a selector, not both"));
            }
            objects.push((
                api.get(&resource.object(&call.globals.project, &name)).await?,
                resource,
            ));
            continue;
        }
        let mut query = Query::default();
        if let Some(selector) = text(&matches, "selector") {
            query.set("labelSelector", selector);
        }
        let list = api
            .list(&resource.collection(call.list_project()), &query, Accept::Objects)
            .await?;
        let items = items_at(&list, "/items").iter();
        objects.extend(items.map(|item| (item.clone(), resource.clone())));
    }
    if objects.is_empty() {
        call.screen.note("nothing found");
        return Ok(());
    }
    if call.is_table() {
        print_text(&call, &api, objects).await
    } else {
        print_data(&call, &api, objects).await
    }
}

async fn print_text(call: &Call, api: &Api, objects: Vec<(Value, Resource)>) -> Result<()> {
    for (index, (object, resource)) in objects.iter().enumerate() {
        let events = events(api, object).await;
        let rule = if index > 0 { "\n---\n" } else { "" };
        call.screen
            .write(&format!("{rule}{}", describe(object, resource, &events)?))?;
    }
    Ok(())
}

async fn print_data(call: &Call, api: &Api, objects: Vec<(Value, Resource)>) -> Result<()> {
    let list = objects.len() > 1;
    let mut view = View {
        list,
        ..View::default()
    };
    for (mut object, resource) in objects {
        let events = events(api, &object).await;
        hide_managed_fields(&mut object);
        view.names.push(format!("{}/{}", resource.label(), name(&object)));
        view.items.push(json!({"object": object, "events": events}));
    }
    call.screen.print(&view)
}

/// What happened to the object, oldest first. That events cannot be had is no reason not to describe it.
async fn events(api: &Api, object: &Value) -> Vec<Value> {
    let uid = at(object, "/metadata/uid");
    let namespace = project(object).unwrap_or(stead_kernel::DEFAULT_PROJECT);
    let path = format!("/api/v1/namespaces/{}/events", crate::server::segment(namespace));
    let mut query = Query::default();
    query.set(
        "fieldSelector",
        format!("involvedObject.uid={}", uid.as_str().unwrap_or_default()),
    );
    let list = match api.list(&path, &query, Accept::Objects).await {
        // Not every server selects by these fields.
        Err(_) => api
            .list(&path, &Query::default(), Accept::Objects)
            .await
            .unwrap_or_default(),
        Ok(list) => list,
    };
    let items = items_at(&list, "/items").iter();
    let mut events: Vec<Value> = items
        .filter(|event| at(event, "/involvedObject/uid") == uid)
        .cloned()
        .collect();
    events.sort_by_cached_key(|event| last_seen(event).to_owned());
    events
}

fn last_seen(event: &Value) -> &str {
    let places = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ];
    places
        .into_iter()
        .map(|place| text_at(event, place))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// The whole text.
fn describe(object: &Value, resource: &Resource, events: &[Value]) -> Result<String> {
    let mut text = head(object, resource);
    let known = ["apiVersion", "kind", "metadata"];
    for (key, value) in object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !known.contains(&key.as_str()))
    {
        let value = shown(resource, key, value);
        if !is_empty(&value) {
            let _ = write!(text, "\n{}:\n{}", title(key), indented(&value)?);
        }
    }
    let rows = rows_of(at(object, "/status/conditions"), condition_row);
    section(
        &mut text,
        "Conditions",
        &["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"],
        rows,
    );
    let rows = rows_of(at(object, "/status/steps"), step_row);
    section(
        &mut text,
        "Steps",
        &["NAME", "STATE", "PROGRESS", "MESSAGE"],
        rows,
    );
    section(
        &mut text,
        "Events",
        &["LAST SEEN", "TYPE", "REASON", "MESSAGE"],
        events.iter().map(event_row).collect(),
    );
    Ok(printable(&text))
}

fn head(object: &Value, resource: &Resource) -> String {
    let metadata = at(object, "/metadata");
    let mut lines = vec![("Name", name(object).to_owned())];
    if let Some(project) = project(object) {
        lines.push(("Project", project.to_owned()));
    }
    lines.push(("Kind", format!("{} ({})", resource.kind, resource.api_version())));
    lines.push((
        "Created",
        text_at(object, "/metadata/creationTimestamp").to_owned(),
    ));
    lines.push((
        "Deleted",
        text_at(object, "/metadata/deletionTimestamp").to_owned(),
    ));
    lines.push(("Labels", pairs(at(metadata, "/labels"))));
    lines.push(("Annotations", pairs(at(metadata, "/annotations"))));
    let owners = items_at(metadata, "/ownerReferences").iter();
    let owners = owners.map(|owner| format!("{} {}", text_at(owner, "/kind"), text_at(owner, "/name")));
    lines.push(("Owners", owners.collect::<Vec<_>>().join(", ")));
    let finalizers = items_at(metadata, "/finalizers").iter().filter_map(Value::as_str);
    lines.push(("Finalizers", finalizers.collect::<Vec<_>>().join(", ")));
    let mut text = String::new();
    for (label, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{:<13}{value}", format!("{label}:"));
    }
    text
}

fn pairs(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let text = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    text.collect::<Vec<_>>().join("\n             ")
}

/// A section's value without what is shown elsewhere, and without the content of secrets.
fn shown(resource: &Resource, key: &str, value: &Value) -> Value {
    let mut value = value.clone();
    if let (true, "data", Some(data)) = (
        resource.kind == "Secret" && resource.group.is_empty(),
        key,
        value.as_object_mut(),
    ) {
        for entry in data.values_mut() {
            let length = entry.as_str().map_or(0, decoded_length);
            *entry = format!("({length} bytes)").into();
        }
    }
    if let ("status", Some(status)) = (key, value.as_object_mut()) {
        status.remove("conditions");
        status.remove("steps");
    }
    value
}

/// How many bytes a base64 text stands for.
fn decoded_length(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

fn is_empty(value: &Value) -> bool {
    value.is_null()
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

fn title(key: &str) -> String {
    let mut letters = key.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

fn indented(value: &Value) -> Result<String> {
    let text = yaml::print(value)?;
    Ok(text
        .lines()
        .map(|line| format!("  {line}").trim_end().to_owned() + "\n")
        .collect())
}

fn section(text: &mut String, title: &str, headings: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let mut table = vec![
        headings
            .iter()
            .map(|heading| (*heading).to_owned())
            .collect::<Vec<_>>(),
    ];
    table.extend(
        rows.into_iter()
            .map(|row| row.iter().map(|text| cell(text)).collect()),
    );
    let mut layout = Layout::new(None);
    layout.fit(&table);
    let _ = writeln!(text, "\n{title}:");
    for row in &table {
        let _ = write!(text, "  {}", layout.line(row));
    }
}

fn rows_of(list: &Value, row: fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

fn texts(value: &Value, pointers: &[&str]) -> Vec<String> {
    pointers
        .iter()
        .map(|pointer| text_at(value, pointer).to_owned())
        .collect()
}

fn condition_row(condition: &Value) -> Vec<String> {
    texts(
        condition,
        &["/type", "/status", "/reason", "/lastTransitionTime", "/message"],
    )
}

fn step_row(step: &Value) -> Vec<String> {
    let progress = match (
        at(step, "/progress/done").as_u64(),
        at(step, "/progress/total").as_u64(),
    ) {
        (Some(done), Some(total)) => format!("{done}/{total}"),
        (Some(done), None) => done.to_string(),
        (None, _) => String::new(),
    };
    let mut row = texts(step, &["/name", "/state", "/message"]);
    row.insert(2, progress);
    row
}

fn event_row(event: &Value) -> Vec<String> {
    let mut row = texts(event, &["/type", "/reason", "/message"]);
    row.insert(0, last_seen(event).to_owned());
    if let (Some(count), Some(message)) = (
        at(event, "/count").as_u64().filter(|count| *count > 1),
        row.last_mut(),
    ) {
        *message = format!("{message} ({count} times)");
    }
    row
}
