//! `stead trace get`

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use clap::{Arg, ArgMatches};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Result,
    command::{Format, Session, View},
    ports::events::RequestRow,
};
use url::form_urlencoded::byte_serialize;

use super::{list::status, request};
use crate::{
    command::{read, show, text},
    traces::{Node, Row, Sort, Source},
};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("get")
        .about("Shows one trace as a tree, or one request with every attempt; input and output")
        .arg(
            Arg::new("id")
                .value_name("ID")
                .required(true)
                .help("The id of a trace, of a request, or of a trace of OpenTelemetry"),
        )
        .arg(
            Arg::new("span")
                .long("span")
                .value_name("ID")
                .help("Only this span of it, with all that it holds"),
        )
        .after_help("Everything that is stored: stead trace get ID -o json")
}

/// A trace with its nodes, as the server answers.
#[derive(Deserialize)]
struct Tree {
    trace: Row,
    spans: Vec<Node>,
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let id = escaped(text(matches, "id").unwrap_or_default());
    if let Some(span) = text(matches, "span") {
        let path = format!("/api/traces/{id}/spans/{}", escaped(span));
        let payload = session.server.json(Method::GET, &path, None).await?;
        return match session.format {
            Format::Table | Format::Wide => session.terminal.write(&payload_page(&payload)),
            Format::Json | Format::Yaml | Format::Name => print(session, payload, span),
        };
    }
    let answer = session
        .server
        .json(Method::GET, &format!("/api/traces/{id}"), None)
        .await?;
    let tree: Tree = read(&answer)?;
    let is_alone = tree.trace.source == Source::Gateway;
    if is_alone {
        let path = format!("/api/requests/{}", escaped(&tree.trace.id));
        let answer = session.server.json(Method::GET, &path, None).await?;
        let row: RequestRow = read(&answer)?;
        return match session.format {
            Format::Table | Format::Wide => session.terminal.write(&request::page(&row)),
            Format::Json | Format::Yaml | Format::Name => print(session, answer, &row.id),
        };
    }
    match session.format {
        Format::Table | Format::Wide => {
            let own = escaped(&tree.trace.id);
            let path = format!("/api/traces/{own}/spans/{own}");
            let payload = session.server.json(Method::GET, &path, None).await?;
            session.terminal.write(&page(&tree, &payload))
        }
        Format::Json | Format::Yaml | Format::Name => print(session, answer, &tree.trace.id),
    }
}

fn print(session: &Session, item: Value, name: &str) -> Result<()> {
    session.terminal.print(&View {
        items: vec![item],
        names: vec![name.to_owned()],
        ..View::default()
    })
}

/// An id as a part of a path, where a space is %20 and not a plus sign.
fn escaped(id: &str) -> String {
    let escaped: String = byte_serialize(id.as_bytes()).collect();
    escaped.replace('+', "%20")
}

/// A trace as text.
fn page(tree: &Tree, payload: &Value) -> String {
    let row = &tree.trace;
    let mut text = String::new();
    for (name, value) in summary(row) {
        if !value.is_empty() {
            let value = show::harmless(&value).replace('\n', "\n              ");
            let _ = writeln!(text, "{name:<13} {value}");
        }
    }
    if !tree.spans.is_empty() {
        let _ = writeln!(text, "\nSpans");
        for line in lines(&tree.spans) {
            let _ = writeln!(text, "  {}", show::harmless(&line));
        }
    }
    bodies(&mut text, payload);
    text
}

fn summary(row: &Row) -> Vec<(&'static str, String)> {
    let tokens = row
        .tokens
        .map(|tokens| format!("{} in, {} out", tokens.input, tokens.output));
    vec![
        ("Trace", row.id.clone()),
        ("OpenTelemetry", row.trace_id.clone().unwrap_or_default()),
        ("Name", row.name.clone()),
        ("Time", show::time(row.start)),
        ("Status", status(row)),
        ("Error", row.error.clone().unwrap_or_default()),
        ("Project", row.project.clone()),
        ("Application", row.application.clone().unwrap_or_default()),
        ("User", row.user.clone()),
        ("Thread", row.thread.clone().unwrap_or_default()),
        ("Environment", row.environment.clone().unwrap_or_default()),
        ("Tags", row.tags.join(", ")),
        ("Models", row.models.join(", ")),
        ("Tokens", tokens.unwrap_or_default()),
        (
            "Duration",
            row.duration_us.map(show::duration).unwrap_or_default(),
        ),
        (
            "Cost",
            row.cost
                .map_or_else(|| "unknown".to_owned(), |cost| show::cost(Some(cost))),
        ),
    ]
}

/// Each node on a line, those in another one further to the right and after it.
fn lines(nodes: &[Node]) -> Vec<String> {
    let known: HashSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    let mut below: BTreeMap<Option<&str>, Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        let parent = node.parent.as_deref().filter(|parent| known.contains(parent));
        below.entry(parent).or_default().push(node);
    }
    let mut lines = Vec::with_capacity(nodes.len());
    let mut waiting: Vec<(usize, &Node)> = Vec::new();
    let tops = below.remove(&None).unwrap_or_default();
    waiting.extend(tops.into_iter().rev().map(|node| (0, node)));
    while let Some((depth, node)) = waiting.pop() {
        lines.push(format!("{}{}", "  ".repeat(depth), line(node)));
        let inside = below.remove(&Some(node.id.as_str())).unwrap_or_default();
        waiting.extend(inside.into_iter().rev().map(|node| (depth + 1, node)));
    }
    lines
}

fn line(node: &Node) -> String {
    let mut parts = vec![node.name.replace('\n', " ")];
    let sort = match node.sort {
        Sort::General => None,
        Sort::Llm => Some("llm"),
        Sort::Tool => Some("tool"),
        Sort::Guardrail => Some("guardrail"),
        Sort::Request => Some("request"),
        Sort::Attempt => Some("attempt"),
    };
    parts.extend(sort.map(|sort| format!("[{sort}]")));
    if matches!(node.sort, Sort::Llm | Sort::General) {
        parts.extend(node.model.clone());
    }
    parts.extend(node.duration_us.map(show::duration));
    let tokens = node.tokens;
    parts.extend(tokens.map(|tokens| format!("{}+{} tokens", tokens.input, tokens.output)));
    parts.extend(node.cost.map(|cost| show::cost(Some(cost))));
    match (node.status.as_str(), &node.error) {
        ("ok", _) => {}
        (status, Some(error)) => parts.push(format!("{status}: {}", error.replace('\n', " "))),
        (status, None) => parts.push(status.to_owned()),
    }
    parts.push(format!("({})", node.id));
    parts.join("  ")
}

/// The payload of one span as text.
fn payload_page(payload: &Value) -> String {
    let mut text = String::new();
    let id = payload["id"].as_str().unwrap_or_default();
    let _ = writeln!(text, "Span          {}", show::harmless(id));
    for (name, field) in [("Model", "model"), ("Provider", "provider")] {
        if let Some(value) = payload[field].as_str() {
            let _ = writeln!(text, "{name:<13} {}", show::harmless(value));
        }
    }
    for (name, field) in [("Usage", "usage"), ("Error", "error"), ("Metadata", "metadata")] {
        if let Some(value) = payload.get(field) {
            let body = show::conversation(&value.to_string());
            let _ = writeln!(text, "\n{name}\n{}", show::indented(&body));
        }
    }
    bodies(&mut text, payload);
    text
}

fn bodies(text: &mut String, payload: &Value) {
    for (name, field) in [("Input", "input"), ("Output", "output")] {
        let body = match payload.get(field) {
            None | Some(Value::Null) => "(not kept)".to_owned(),
            Some(Value::String(text)) => show::conversation(text),
            Some(value) => show::conversation(&value.to_string()),
        };
        let _ = writeln!(text, "\n{name}\n{}", show::indented(&body));
    }
    for score in payload["scores"].as_array().into_iter().flatten() {
        let reason = score["reason"].as_str().map(|reason| format!(": {reason}"));
        let line = format!(
            "Score {} is {}{}",
            score["name"].as_str().unwrap_or_default(),
            score["value"],
            reason.unwrap_or_default()
        );
        let _ = writeln!(text, "\n{}", show::harmless(&line));
    }
    for comment in payload["comments"].as_array().into_iter().flatten() {
        let line = format!(
            "{}: {}",
            comment["author"].as_str().unwrap_or_default(),
            comment["text"].as_str().unwrap_or_default()
        );
        let _ = writeln!(text, "\nComment by {}", show::harmless(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_indented_and_holds_every_node_once() {
        let node = |id: &str, parent: Option<&str>| Node {
            id: id.into(),
            parent: parent.map(str::to_owned),
            name: id.to_uppercase(),
            status: "ok".into(),
            ..Node::default()
        };
        let nodes = [
            node("a", None),
            node("b", Some("a")),
            node("c", Some("b")),
            node("d", Some("a")),
            node("e", Some("gone")),
        ];
        assert_eq!(
            lines(&nodes),
            ["A  (a)", "  B  (b)", "    C  (c)", "  D  (d)", "E  (e)"]
        );
        // A ring has no top; the server gives none.
        assert!(lines(&[node("x", Some("y")), node("y", Some("x"))]).is_empty());
    }
}
