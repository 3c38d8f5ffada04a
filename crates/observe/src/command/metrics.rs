//! `stead metrics`

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use stead_kernel::{
    Result, Timestamp,
    command::{Column, Session, View},
    ports::signals::{Metric, MetricRow},
};

use super::{all_projects, option, path, read, show, since, text};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("metrics")
        .about("Shows what programs measured and sent to this server by OpenTelemetry")
        .arg(
            Arg::new("name")
                .value_name("METRIC")
                .help("The values of this one; without it, which there are"),
        )
        .arg(
            Arg::new("label")
                .long("label")
                .short('l')
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("Only series with this label"),
        )
        .arg(option(
            "agg",
            "HOW",
            "What becomes of the points of a stretch: avg, min, max, last, sum, rate, increase, count, p95, quantile:0.95",
        ))
        .arg(option(
            "by",
            "LABELS",
            "Puts series together that agree in these labels; `--by ''` puts all together",
        ))
        .arg(option("step", "SECONDS", "How long a stretch of time is"))
        .arg(since())
        .arg(option("until", "TIME", "Before then"))
        .after_help(
            "Exporters send metrics to /otlp/v1/metrics: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:7832/otlp. What this \
             server measures of itself is at /metrics.",
        )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let projects = (!all_projects(matches)).then_some(session.project.as_str());
    let Some(name) = text(matches, "name") else {
        let parameters = [("projects", projects), ("since", text(matches, "since"))];
        let answer = session
            .server
            .json(Method::GET, &path("/api/metrics", &parameters), None)
            .await?;
        return session.terminal.print(&known(&answer)?);
    };
    let labels = matches.get_many::<String>("label").into_iter().flatten();
    let mut parameters = vec![
        ("projects", projects),
        ("name", Some(name)),
        ("since", text(matches, "since")),
        ("until", text(matches, "until")),
        ("step", text(matches, "step")),
        ("agg", text(matches, "agg")),
        ("by", text(matches, "by")),
    ];
    parameters.extend(labels.map(|label| ("match", Some(label.as_str()))));
    let answer = session
        .server
        .json(Method::GET, &path("/api/metrics/query", &parameters), None)
        .await?;
    session.terminal.print(&values(&answer)?)
}

fn known(answer: &Value) -> Result<View> {
    #[derive(Deserialize)]
    struct Known {
        items: Vec<MetricRow>,
    }
    let known: Known = read(answer)?;
    let columns = ["NAME", "KIND", "UNIT", "SERIES", "LABELS", "DESCRIPTION"].map(Column::new);
    let rows = known.items.iter().map(|row| {
        vec![
            row.metric.name.clone(),
            json!(row.metric.kind).as_str().unwrap_or_default().to_owned(),
            row.metric.unit.clone(),
            row.series.to_string(),
            row.labels.keys().cloned().collect::<Vec<_>>().join(","),
            row.metric.description.clone(),
        ]
        .into_iter()
        .map(|cell| show::harmless(&cell).replace('\n', " "))
        .collect()
    });
    Ok(View {
        columns: columns.into(),
        rows: rows.collect(),
        names: known.items.iter().map(|row| row.metric.name.clone()).collect(),
        items: answer["items"].as_array().cloned().unwrap_or_default(),
        list: true,
    })
}

fn values(answer: &Value) -> Result<View> {
    #[derive(Deserialize)]
    struct Line {
        labels: BTreeMap<String, String>,
        points: Vec<(Timestamp, f64)>,
    }
    #[derive(Deserialize)]
    struct Values {
        metric: Option<Metric>,
        items: Vec<Line>,
    }
    let values: Values = read(answer)?;
    let unit = values.metric.map(|metric| metric.unit).unwrap_or_default();
    let mut rows = Vec::new();
    for line in &values.items {
        let labels = line.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let labels = show::harmless(&labels.collect::<Vec<_>>().join(",")).replace('\n', " ");
        rows.extend(
            line.points.iter().map(|(time, value)| {
                vec![show::time(*time), labels.clone(), value.to_string(), unit.clone()]
            }),
        );
    }
    Ok(View {
        columns: ["TIME", "LABELS", "VALUE", "UNIT"].map(Column::new).into(),
        names: rows.iter().filter_map(|row| row.first().cloned()).collect(),
        rows,
        items: answer["items"].as_array().cloned().unwrap_or_default(),
        list: true,
    })
}
