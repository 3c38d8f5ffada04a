//! `stead monitor`: dashboards for other people's monitoring.
//!
//! *Invariant:* a dashboard asks only for metrics that `/metrics` has; a test of the binary holds the one against the other.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};
use serde_json::{Value, json};
use stead_kernel::{Error, Result, command::Session};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("monitor")
        .about("Sets up monitoring by other programs")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            clap::Command::new("dashboards")
                .about("Writes dashboards of what this server measures of itself at /metrics")
                .arg(
                    Arg::new("grafana")
                        .long("grafana")
                        .value_name("FOLDER")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("Dashboards for Grafana, a file each, into this folder"),
                )
                .after_help(
                    "Grafana takes them by Dashboards > New > Import, or from a folder that it is provisioned with; each asks \
                     for the Prometheus that scrapes /metrics with an administrator's token.",
                ),
        )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let Some(("dashboards", matches)) = matches.subcommand() else {
        return Err(Error::invalid("monitor needs a subcommand").hint("see: stead monitor --help"));
    };
    let folder = matches
        .get_one::<PathBuf>("grafana")
        .cloned()
        .ok_or_else(|| Error::invalid("--grafana: into which folder?"))?;
    let unwritten = |error: std::io::Error| {
        Error::invalid(format!("cannot write into {}", folder.display())).because(error)
    };
    tokio::fs::create_dir_all(&folder).await.map_err(unwritten)?;
    for board in BOARDS {
        let path = folder.join(format!("{}.json", board.uid));
        let text = serde_json::to_string_pretty(&dashboard(board))
            .map_err(|error| Error::internal("a dashboard has no JSON form").because(error))?;
        tokio::fs::write(&path, text + "\n").await.map_err(unwritten)?;
        session.terminal.note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// A dashboard.
#[derive(Debug, Clone, Copy)]
struct Board {
    uid: &'static str,
    title: &'static str,
    /// Labels that its viewer chooses values of, and a metric that has them.
    variables: &'static [(&'static str, &'static str)],
    panels: &'static [Panel],
}

/// A graph: its title, its unit in Grafana's words, and its lines.
#[derive(Debug, Clone, Copy)]
struct Panel {
    title: &'static str,
    unit: &'static str,
    lines: &'static [(&'static str, &'static str)],
}

const fn panel(
    title: &'static str,
    unit: &'static str,
    lines: &'static [(&'static str, &'static str)],
) -> Panel {
    Panel { title, unit, lines }
}

/// All dashboards.
const BOARDS: [Board; 3] = [
    Board {
        uid: "stead-gateway",
        title: "Stead / Gateway",
        variables: &[
            ("project", "stead_gateway_requests_total"),
            ("provider", "stead_gateway_requests_total"),
        ],
        panels: &[
            panel(
                "Requests",
                "reqps",
                &[(
                    "sum by (provider, outcome) (rate(stead_gateway_requests_total{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval]))",
                    "{{provider}} {{outcome}}",
                )],
            ),
            panel(
                "Errors",
                "percentunit",
                &[(
                    "sum by (provider) (rate(stead_gateway_requests_total{outcome=\"error\",project=~\"$project\",provider=~\"$provider\"}[$__rate_interval])) / sum by (provider) (rate(stead_gateway_requests_total{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval]))",
                    "{{provider}}",
                )],
            ),
            panel(
                "Tokens",
                "short",
                &[(
                    "sum by (provider, direction) (rate(stead_gateway_tokens_total{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval]))",
                    "{{provider}} {{direction}}",
                )],
            ),
            panel(
                "Time to the first token",
                "s",
                &[
                    (
                        "histogram_quantile(0.5, sum by (le, gen_ai_request_model) (rate(gen_ai_server_time_to_first_token_seconds_bucket{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval])))",
                        "{{gen_ai_request_model}} median",
                    ),
                    (
                        "histogram_quantile(0.95, sum by (le, gen_ai_request_model) (rate(gen_ai_server_time_to_first_token_seconds_bucket{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval])))",
                        "{{gen_ai_request_model}} p95",
                    ),
                ],
            ),
            panel(
                "Duration of requests",
                "s",
                &[
                    (
                        "histogram_quantile(0.5, sum by (le, gen_ai_request_model) (rate(gen_ai_client_operation_duration_seconds_bucket{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval])))",
                        "{{gen_ai_request_model}} median",
                    ),
                    (
                        "histogram_quantile(0.95, sum by (le, gen_ai_request_model) (rate(gen_ai_client_operation_duration_seconds_bucket{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval])))",
                        "{{gen_ai_request_model}} p95",
                    ),
                ],
            ),
            panel(
                "Time per token of output",
                "s",
                &[(
                    "sum by (gen_ai_request_model) (rate(gen_ai_server_time_per_output_token_seconds_sum{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval])) / sum by (gen_ai_request_model) (rate(gen_ai_server_time_per_output_token_seconds_count{project=~\"$project\",provider=~\"$provider\"}[$__rate_interval]))",
                    "{{gen_ai_request_model}}",
                )],
            ),
            panel(
                "Under way",
                "short",
                &[
                    ("sum(stead_gateway_in_flight)", "requests"),
                    (
                        "sum by (provider) (stead_gateway_attempts_in_flight{project=~\"$project\",provider=~\"$provider\"})",
                        "attempts at {{provider}}",
                    ),
                ],
            ),
            panel(
                "Journal",
                "short",
                &[
                    (
                        "sum(stead_gateway_journal_lag_rows)",
                        "not in the event store yet",
                    ),
                    ("sum(stead_gateway_journal_deferred_rows)", "waiting in memory"),
                    (
                        "sum(rate(stead_gateway_refused_unrecordable_total[$__rate_interval]))",
                        "refused a second",
                    ),
                ],
            ),
        ],
    },
    Board {
        uid: "stead-observability",
        title: "Stead / Observability",
        variables: &[],
        panels: &[
            panel(
                "Taken in",
                "cps",
                &[
                    (
                        "sum(rate(stead_traces_stored_total[$__rate_interval]))",
                        "traces and spans",
                    ),
                    (
                        "sum(rate(stead_events_stored_total[$__rate_interval]))",
                        "requests and audit records",
                    ),
                    (
                        "sum(rate(stead_logs_stored_total[$__rate_interval]))",
                        "lines of logs",
                    ),
                    (
                        "sum(rate(stead_points_stored_total[$__rate_interval]))",
                        "points of metrics",
                    ),
                ],
            ),
            panel(
                "Waiting for the disk",
                "short",
                &[
                    ("sum(stead_traces_queue_rows)", "traces"),
                    ("sum(stead_events_queue_rows)", "events"),
                    ("sum(stead_signals_queue_rows)", "logs and metrics"),
                ],
            ),
            panel(
                "Bytes on the disk",
                "bytes",
                &[
                    ("sum(stead_traces_bytes)", "traces"),
                    ("sum(stead_events_bytes)", "events"),
                    ("sum(stead_signals_bytes)", "logs and metrics"),
                    ("sum(stead_records_bytes)", "records"),
                ],
            ),
            panel(
                "Damaged files",
                "short",
                &[(
                    "sum(stead_traces_damaged_files_total) + sum(stead_events_damaged_files_total) + sum(stead_signals_damaged_files_total)",
                    "set aside",
                )],
            ),
        ],
    },
    Board {
        uid: "stead-server",
        title: "Stead / Server",
        variables: &[],
        panels: &[
            panel(
                "Requests to the resource API",
                "reqps",
                &[(
                    "sum by (verb, code) (rate(stead_apiserver_requests_total[$__rate_interval]))",
                    "{{verb}} {{code}}",
                )],
            ),
            panel(
                "Writes",
                "wps",
                &[
                    (
                        "sum(rate(stead_apiserver_writes_total[$__rate_interval]))",
                        "resources",
                    ),
                    (
                        "sum(rate(stead_records_writes_total[$__rate_interval]))",
                        "records",
                    ),
                ],
            ),
            panel(
                "Watches and objects",
                "short",
                &[
                    ("sum(stead_apiserver_watches)", "watches"),
                    ("sum(stead_apiserver_objects)", "objects"),
                ],
            ),
            panel(
                "Memory",
                "bytes",
                &[(
                    "process_resident_memory_bytes{job=~\".*stead.*\"}",
                    "{{instance}}",
                )],
            ),
        ],
    },
];

/// A dashboard in Grafana's classic model
/// (<https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/>), which asks at import
/// for its source of data.
fn dashboard(board: Board) -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let panels = board.panels.iter().enumerate().map(|(index, panel)| {
        let targets = panel.lines.iter().zip('A'..='Z').map(|((expression, legend), letter)| {
            json!({"refId": letter.to_string(), "datasource": source, "expr": expression, "legendFormat": legend,
                "editorMode": "code", "range": true})
        });
        json!({
            "id": index + 1, "type": "timeseries", "title": panel.title, "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": (index % 2) * 12, "y": (index / 2) * 8},
            "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}},
                "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"}},
            "targets": targets.collect::<Vec<_>>(),
        })
    });
    let variables = board.variables.iter().map(|(label, metric)| {
        json!({"name": label, "label": label, "type": "query", "datasource": source, "refresh": 2, "includeAll": true,
            "multi": true, "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "sort": 1,
            "definition": format!("label_values({metric}, {label})"),
            "query": {"qryType": 1, "query": format!("label_values({metric}, {label})"), "refId": "variable"}})
    });
    let choice = json!({"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
        "refresh": 1, "current": {}, "hide": 0});
    json!({
        "id": null, "uid": board.uid, "title": board.title, "tags": ["stead"], "timezone": "browser", "editable": true,
        "graphTooltip": 1, "schemaVersion": 39, "version": 1, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "timepicker": {}, "links": [],
        "templating": {"list": std::iter::once(choice).chain(variables).collect::<Vec<_>>()},
        "annotations": {"list": []},
        "panels": panels.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What the documentation of the model says that fields hold.
    #[test]
    fn dashboards_are_as_grafanas_model_wants_them() {
        let mut uids = HashSet::new();
        for board in BOARDS {
            let told = dashboard(board);
            let uid = told["uid"].as_str().unwrap();
            assert!((8..=40).contains(&uid.len()) && uids.insert(uid.to_owned()));
            assert!(told["id"].is_null() && told["schemaVersion"].as_u64() >= Some(17));
            for list in [
                &told["tags"],
                &told["links"],
                &told["panels"],
                &told["templating"]["list"],
            ] {
                assert!(list.is_array(), "{list}");
            }
            let (mut ids, mut places) = (HashSet::new(), HashSet::new());
            for panel in told["panels"].as_array().unwrap() {
                assert!(ids.insert(panel["id"].as_u64().unwrap()));
                let place = &panel["gridPos"];
                assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24);
                assert!(places.insert(place.to_string()));
                let targets = panel["targets"].as_array().unwrap();
                let letters: HashSet<&str> = targets
                    .iter()
                    .map(|target| target["refId"].as_str().unwrap())
                    .collect();
                assert!(!targets.is_empty() && letters.len() == targets.len());
                for target in targets {
                    let text = target["expr"].as_str().unwrap();
                    for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
                        assert_eq!(text.matches(open).count(), text.matches(close).count(), "{text}");
                    }
                    assert_eq!(text.matches('"').count() % 2, 0, "{text}");
                }
            }
        }
    }
}
