//! `GET /api/usage`: what requests and applications' spans came to, by what the asker wants to know it by.
//!
//! A request that an application's span made is counted as a request: neither the span nor what it is in is counted
//! again. Spans are counted where they carry a cost.
//!
//! *Invariant:* the total is the sum of the rows, in whole billionths of a dollar; the CSV has the same rows.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{Extensions, header};
use serde::{Deserialize, Serialize};
use stead_kernel::{
    Error, Identity, Result, Timestamp,
    http::ApiError,
    ports::{
        NanoUsd,
        events::{RequestQuery, UsageGroup, UsageQuery, UsageRow},
        traces::{CostQuery, CostRow},
    },
};
use uuid::Uuid;

use super::{Parameters, visible};
use crate::{
    otlp::span_id,
    traces::{Desk, absent_as_none},
};

/// So many requests are read at once.
const CHUNK: usize = 1_000;

/// A sum.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Sum {
    /// Requests to the gateway.
    #[serde(flatten)]
    pub(crate) row: UsageRow,
    /// Spans of applications.
    pub(crate) spans: Spans,
    /// What both cost.
    pub(crate) total_cost: NanoUsd,
}

/// A sum of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spans {
    /// How many.
    pub(crate) count: u64,
    /// Tokens that went in.
    pub(crate) input: u64,
    /// Tokens that came out.
    pub(crate) output: u64,
    /// What they cost.
    pub(crate) cost: NanoUsd,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.row.add(&other.row);
        self.add_spans(&other.spans);
        self.settle();
    }

    fn add_spans(&mut self, more: &Spans) {
        self.spans.count = self.spans.count.saturating_add(more.count);
        self.spans.input = self.spans.input.saturating_add(more.input);
        self.spans.output = self.spans.output.saturating_add(more.output);
        self.spans.cost = NanoUsd(self.spans.cost.0.saturating_add(more.cost.0));
    }

    fn settle(&mut self) {
        self.total_cost = NanoUsd(self.row.cost.0.saturating_add(self.spans.cost.0));
    }
}

/// What is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Of {
    /// Requests and spans.
    #[default]
    All,
    /// Requests to the gateway.
    Gateway,
    /// Applications' spans.
    Applications,
}

/// In which form it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Form {
    #[default]
    Json,
    /// A row per group, without a total.
    Csv,
}

/// Usage with its total.
#[derive(Debug, Serialize)]
struct Usage {
    /// By what it is summed.
    by: Vec<UsageGroup>,
    /// A row per group, in the order of the groups.
    items: Vec<Sum>,
    /// The sum over all groups.
    total: Sum,
}

pub(super) async fn usage(
    State(desk): State<Desk>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> std::result::Result<Response, ApiError> {
    let principal = Identity::require(&extensions)?;
    let mut parameters = Parameters::parse(query.as_deref(), "projects since until by of format")?;
    let now = desk.ports.clock.now();
    let asked = parameters.list("projects");
    let query = UsageQuery {
        projects: visible(&desk.ports, &principal, "usage", asked.clone())?,
        since: parameters.time("since", now)?,
        until: parameters.time("until", now)?,
        by: parameters.words("by")?,
    };
    let of: Of = parameters.word("of")?.unwrap_or_default();
    let form: Form = parameters.word("format")?.unwrap_or_default();
    let mut sums: BTreeMap<Vec<String>, Sum> = BTreeMap::new();
    if of != Of::Applications {
        for row in desk.ports.events.usage(query.clone()).await? {
            let sum = sums.entry(row.group.clone()).or_default();
            sum.row = row;
        }
    }
    if of != Of::Gateway {
        let workspaces = desk.workspaces(&principal, "usage", asked).await?;
        for row in spans(&desk, &query, workspaces).await? {
            let sum = sums.entry(group(&row, &query.by)).or_default();
            sum.add_spans(&Spans {
                count: row.spans,
                input: row.input,
                output: row.output,
                cost: row.cost,
            });
        }
    }
    let mut total = Sum::default();
    let mut items = Vec::with_capacity(sums.len());
    for (group, mut sum) in sums {
        sum.row.group = group;
        sum.settle();
        total.add(&sum);
        items.push(sum);
    }
    let usage = Usage {
        by: query.by,
        items,
        total,
    };
    Ok(match form {
        Form::Json => Json(usage).into_response(),
        Form::Csv => ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv(&usage)?).into_response(),
    })
}

/// What spans cost that made no request which is counted already.
async fn spans(desk: &Desk, query: &UsageQuery, workspaces: Vec<String>) -> Result<Vec<CostRow>> {
    let minute = |time: Timestamp, up: i64| {
        let seconds = time
            .as_second()
            .saturating_add(up)
            .div_euclid(60)
            .saturating_mul(60);
        Timestamp::from_second(seconds).unwrap_or(time)
    };
    // As requests are: whole minutes.
    let counted = counted(desk, query).await?;
    let asked = CostQuery {
        workspaces,
        since: query.since.map(|since| minute(since, 0)),
        until: query.until.map(|until| minute(until, 59)),
        counted,
    };
    Ok(absent_as_none(desk.ports.traces.costs(asked).await)?.unwrap_or_default())
}

/// The spans that made requests, each with its trace.
async fn counted(desk: &Desk, query: &UsageQuery) -> Result<Vec<(Uuid, Uuid)>> {
    let mut made = Vec::new();
    let mut names = BTreeMap::new();
    let mut after = None;
    loop {
        let page = RequestQuery {
            projects: query.projects.clone(),
            since: query.since,
            until: query.until,
            traced: true,
            after,
            limit: CHUNK,
            ..RequestQuery::default()
        };
        let page = desk.ports.events.requests(page).await?;
        for row in page.items {
            let key = (row.project, row.trace_id);
            if !names.contains_key(&key) {
                let named = absent_as_none(desk.named(&key.0, &key.1).await)?.flatten();
                names.insert(key.clone(), named);
            }
            let named = names.get(&key).copied().flatten();
            let span = named.and_then(|named| span_id(named, &key.1, &row.parent_span_id));
            made.extend(named.zip(span).map(|(named, span)| (named.id, span)));
        }
        after = page.next;
        if after.is_none() {
            return Ok(made);
        }
    }
}

/// The group of a row of spans, as requests are grouped.
fn group(row: &CostRow, by: &[UsageGroup]) -> Vec<String> {
    let one = |by: &UsageGroup| match by {
        UsageGroup::Project => row.workspace.clone(),
        UsageGroup::User => row.user.clone(),
        UsageGroup::Model => row.model.clone(),
        UsageGroup::Provider => row.provider.clone(),
        UsageGroup::Key | UsageGroup::Route | UsageGroup::Team | UsageGroup::Replica => String::new(),
        UsageGroup::Day => row.hour.strftime("%Y-%m-%d").to_string(),
        UsageGroup::Hour => row.hour.to_string(),
    };
    by.iter().map(one).collect()
}

/// The rows as CSV (<https://www.rfc-editor.org/rfc/rfc4180>), costs in dollars to the billionth.
fn csv(usage: &Usage) -> Result<String> {
    let mut text = String::new();
    let mut line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    };
    let mut head = Vec::new();
    for by in &usage.by {
        let name = serde_json::to_value(by)
            .map_err(|error| Error::internal("a group has no JSON form").because(error))?;
        head.push(name.as_str().unwrap_or_default().to_owned());
    }
    let sums = [
        "requests",
        "errors",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "spans",
        "span_input_tokens",
        "span_output_tokens",
        "span_cost_usd",
        "total_cost_usd",
    ];
    head.extend(sums.map(str::to_owned));
    line(head);
    for sum in &usage.items {
        let mut cells = sum.row.group.clone();
        cells.extend([
            sum.row.requests.to_string(),
            sum.row.errors.to_string(),
            sum.row.usage.input.to_string(),
            sum.row.usage.output.to_string(),
            dollars(sum.row.cost),
            sum.spans.count.to_string(),
            sum.spans.input.to_string(),
            sum.spans.output.to_string(),
            dollars(sum.spans.cost),
            dollars(sum.total_cost),
        ]);
        line(cells);
    }
    Ok(text)
}

/// An amount in dollars, exactly.
fn dollars(NanoUsd(nanos): NanoUsd) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// A cell as it must be written. One that a spreadsheet would take for a formula is told to be a text.
fn quoted(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let is_formula = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_amounts_exact() {
        for (cell, expected) in [
            ("a", "a"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("=1+1", "'=1+1"),
            ("-5", "-5"),
            ("-x", "'-x"),
        ] {
            assert_eq!(quoted(cell), expected);
        }
        for (nanos, expected) in [
            (0, "0.000000000"),
            (1, "0.000000001"),
            (-2_500_000_000, "-2.500000000"),
        ] {
            assert_eq!(dollars(NanoUsd(nanos)), expected);
        }
    }
}
