//! The commands against the routes.

use std::sync::Arc;

use stead_kernel::{
    Principal, Reason,
    command::{Format, View},
    ports::{
        NanoUsd, TokenUsage,
        events::{Attempt, Event, Outcome, RequestRow},
    },
};
use stead_testkit::{FakePorts, FakeTerminal, LocalServer, World};

use super::*;

fn rows() -> Vec<RequestRow> {
    let first = RequestRow {
        id: "r1".into(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        started: "2025-12-31T23:00:00Z".parse().unwrap(),
        duration_us: 1_500_000,
        first_token_us: Some(250_000),
        project: "default".into(),
        user: "ada".into(),
        key: "ci".into(),
        dialect: "openai".into(),
        operation: "chat".into(),
        stream: true,
        model: "chat".into(),
        route: "chat".into(),
        provider: "far".into(),
        provider_model: "big".into(),
        status: 200,
        usage: TokenUsage {
            input: 12,
            output: 3,
            cached_input: 4,
            reasoning: 0,
            ..TokenUsage::default()
        },
        cost: Some(NanoUsd(2_500)),
        attempts: vec![
            Attempt {
                provider: "near".into(),
                model: "small".into(),
                duration_us: 200_000,
                status: 503,
                error: "busy".into(),
                ..Attempt::default()
            },
            Attempt {
                provider: "far".into(),
                model: "big".into(),
                offset_us: 200_500,
                duration_us: 1_299_000,
                status: 200,
                ..Attempt::default()
            },
        ],
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        input: Some(r#"{"messages":[{"role":"user","content":"capital of France?\nshort"}]}"#.into()),
        output: Some("Paris\u{7}".into()),
        ..RequestRow::default()
    };
    let second = RequestRow {
        id: "r2".into(),
        started: "2025-12-31T23:30:00Z".parse().unwrap(),
        project: "research".into(),
        outcome: Outcome::Error,
        status: 502,
        error: "far broke\nthe stream".into(),
        cost: None,
        attempts: Vec::new(),
        labels: [].into(),
        first_token_us: None,
        input: None,
        output: None,
        ..first.clone()
    };
    vec![first, second]
}

/// Runs `stead …` and returns what was shown.
async fn stead(command: &Command, arguments: &str, format: Format) -> Result<Arc<FakeTerminal>> {
    let fakes = FakePorts::default();
    let ports = fakes.ports();
    let events = rows().into_iter().map(|row| Event::Request(Box::new(row)));
    ports.events.append(events.collect()).await.unwrap();
    let mut context = World::new().context();
    context.ports = ports;
    let opik = crate::opik::opik(&context);
    let routes = crate::routes::routes(&opik).merge(crate::traces::routes(&opik));
    let server = LocalServer::new(routes, Principal::admin(), World::new().api);
    let terminal = Arc::new(FakeTerminal::default());
    // The CLI defines these for every command.
    let globals = [
        Arg::new("namespace")
            .short('n')
            .global(true)
            .default_value("default"),
        Arg::new("all-namespaces")
            .short('A')
            .global(true)
            .action(clap::ArgAction::SetTrue),
    ];
    let spec = command.spec.clone().args(globals).no_binary_name(true);
    let matches = spec.try_get_matches_from(arguments.split_whitespace()).unwrap();
    (command.run)(matches, terminal.session(server, format)).await?;
    Ok(terminal)
}

fn table(view: &View) -> Vec<String> {
    let shown: Vec<usize> = (0..view.columns.len())
        .filter(|index| !view.columns[*index].wide)
        .collect();
    let line = |cells: Vec<&str>| cells.join(" | ");
    let head = line(
        shown
            .iter()
            .map(|index| view.columns[*index].name.as_str())
            .collect(),
    );
    let rows = view
        .rows
        .iter()
        .map(|row| line(shown.iter().map(|index| row[*index].as_str()).collect()));
    std::iter::once(head).chain(rows).collect()
}

#[tokio::test]
async fn requests_are_listed_by_project_and_in_all() {
    let terminal = stead(&trace(), "list", Format::Table).await.unwrap();
    let own = table(&terminal.printed()[0]);
    assert_eq!(
        own,
        [
            "TIME | ID | NAME | MODEL | PROVIDER | IN | OUT | FIRST | DURATION | COST | STATUS | ERROR",
            "2025-12-31T23:00:00Z | r1 | chat chat | chat,big | far | 12 | 3 | 250ms | 1.5s | $0.0000025 | ok | ",
        ]
    );
    let terminal = stead(&trace(), "list -A --limit 1", Format::Table).await.unwrap();
    let all = table(&terminal.printed()[0]);
    assert_eq!(
        all.last().unwrap(),
        "2025-12-31T23:30:00Z | r2 | chat chat | chat,big | far | 12 | 3 | - | 1.5s | - | error 502 | far broke the stream | research"
    );
    assert_eq!(
        terminal.notes(),
        ["there are more: raise --limit, or narrow it with --since and --until"]
    );
    for (arguments, expected) in [
        ("list -A --status error", vec!["r2"]),
        ("list -A --since 45m", vec!["r2"]),
        (
            "list -A --until 2025-12-31T23:30:00Z --model chat --provider far --key ci --user ada",
            vec!["r1"],
        ),
        ("list -A --model other", vec![]),
        ("search -A status:error", vec!["r2"]),
        ("search -A broke", vec!["r2"]),
        ("search -A latency>1s label.team:blue", vec!["r1"]),
        ("list -A -q source:application", vec![]),
    ] {
        let terminal = stead(&trace(), arguments, Format::Json).await.unwrap();
        assert_eq!(terminal.printed()[0].names, expected, "{arguments}");
    }
}

#[tokio::test]
async fn one_request_is_a_page_to_read() {
    let terminal = stead(&trace(), "get r1", Format::Table).await.unwrap();
    assert_eq!(
        terminal.written(),
        "\
Request       r1
Trace         4bf92f3577b34da6a3ce929d0e0e4736
Time          2025-12-31T23:00:00Z
Status        ok (HTTP 200)
Project       default
User          ada
Key           ci
API           openai chat, streamed
Model         chat
Route         chat
Answered by   far/big
Input         12 tokens (4 from a cache)
Output        3 tokens
First token   250ms
Duration      1.5s
Cost          $0.0000025
Labels        team=blue

Attempts
  1. near/small at 0µs, took 200ms, HTTP 503: busy
  2. far/big at 200ms, took 1.2s, HTTP 200

Input
  user: capital of France?
  short

Output
  Paris\u{fffd}
"
    );
    let terminal = stead(&trace(), "get r2", Format::Table).await.unwrap();
    assert!(
        terminal
            .written()
            .contains("Error         far broke\n              the stream\n")
    );
    assert!(terminal.written().ends_with("\nOutput\n  (not kept)\n"));
    let terminal = stead(&trace(), "get 4bf92f3577b34da6a3ce929d0e0e4736", Format::Json)
        .await
        .unwrap();
    let view = &terminal.printed()[0];
    assert!(!view.list && view.items[0]["input"].is_string());
    let span = stead(&trace(), "get r1 --span r1.2", Format::Table)
        .await
        .unwrap();
    assert!(
        span.written()
            .starts_with("Span          r1\nModel         chat\n")
    );
    assert!(span.written().ends_with("\nOutput\n  Paris\u{fffd}\n"));
    let missing = stead(&trace(), "get a/../b?c", Format::Table)
        .await
        .err()
        .unwrap();
    assert_eq!(missing.reason(), Reason::NotFound);
}

#[tokio::test]
async fn usage_is_a_table_with_a_total() {
    let terminal = stead(&usage(), "--by project,model", Format::Table)
        .await
        .unwrap();
    assert_eq!(
        table(&terminal.printed()[0]),
        [
            "PROJECT | MODEL | REQUESTS | ERRORS | IN | OUT | COST | FIRST | DURATION",
            "default | chat | 1 | 0 | 12 | 3 | $0.0000025 | 250ms | 1.5s",
            "research | chat | 1 | 1 | 12 | 3 | $0 | - | 1.5s",
            "TOTAL | - | 2 | 1 | 24 | 6 | $0.0000025 | 250ms | 1.5s",
        ]
    );
    assert_eq!(
        terminal.notes(),
        ["1 request has no known price and count as $0 in the cost"]
    );
    let terminal = stead(&usage(), "--by project --csv", Format::Table)
        .await
        .unwrap();
    assert_eq!(
        terminal.written(),
        "project,requests,errors,input_tokens,output_tokens,cost_usd,spans,span_input_tokens,span_output_tokens,\
         span_cost_usd,total_cost_usd\r\n\
         default,1,0,12,3,0.000002500,0,0,0,0.000000000,0.000002500\r\n\
         research,1,1,12,3,0.000000000,0,0,0,0.000000000,0.000000000\r\n"
    );
    for (arguments, requests) in [
        ("", 1),
        ("-A", 2),
        ("-n research", 1),
        ("--by project -n default", 1),
        ("--since 45m -A", 1),
    ] {
        let terminal = stead(&usage(), arguments, Format::Json).await.unwrap();
        let items = &terminal.printed()[0].items;
        assert_eq!(
            (items.len(), items[0]["requests"].as_u64()),
            (1, Some(requests)),
            "{arguments}"
        );
    }
}

#[tokio::test]
async fn a_bad_time_is_refused_by_name() {
    let error = stead(&usage(), "--since soon", Format::Table)
        .await
        .err()
        .unwrap();
    assert_eq!(
        (error.reason(), error.message()),
        (Reason::Invalid, "since: \"soon\" is no time")
    );
}

#[test]
fn the_commands_are_well_formed() {
    for command in [trace(), usage()] {
        command.spec.debug_assert();
    }
}

#[tokio::test]
async fn an_export_goes_to_a_file_and_is_taken_back_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.jsonl");
    let name = file.to_str().unwrap();
    let terminal = stead(&trace(), &format!("export -A --to {name}"), Format::Table)
        .await
        .unwrap();
    assert_eq!(terminal.notes(), ["2 entries were written"]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3);
    let told = "0 traces, 0 spans, 2 requests, 0 scores and 0 comments are there now";
    for from in [name, folder.path().to_str().unwrap()] {
        let terminal = stead(&trace(), &format!("import {from}"), Format::Table)
            .await
            .unwrap();
        assert_eq!(terminal.notes(), [told]);
    }
    let terminal = stead(&trace(), "export -q status=error", Format::Table)
        .await
        .unwrap();
    assert_eq!(terminal.written(), "{\"type\":\"end\",\"lines\":0}\n");
    std::fs::write(&file, "{\"x\": 1}").unwrap();
    let refused = stead(&trace(), &format!("import {name}"), Format::Table)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.reason(), Reason::Invalid);
}
