//! What spans cost, summed up by project, model, provider, user and hour.
//!
//! *Invariant:* each span's cost is rounded to billionths of a dollar before it is added, as over `SQLite`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::ControlFlow,
};

use stead_kernel::{
    Result,
    ports::{
        NanoUsd,
        traces::{CostQuery, CostRow, Detail, Entry, Kind, Query},
    },
};
use uuid::Uuid;

use super::{facts::list, list::Walk, read::Reader, schema::TABLE};
use crate::{
    day::time,
    traces::{costs::upward, walk::Needs},
};

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

type Key = (String, String, String, String, i64);

/// Sums over the spans that have a cost.
pub(super) async fn costs(reader: &Reader, query: &CostQuery) -> Result<Vec<CostRow>> {
    let counted = counted(reader, &query.counted).await?;
    let mut sums: BTreeMap<Key, CostRow> = BTreeMap::new();
    for workspace in &query.workspaces {
        let asked = Query {
            workspace: workspace.clone(),
            since: query.since,
            until: query.until,
            ..Query::default()
        };
        let walk = Walk {
            kind: Kind::Span,
            query: &asked,
            needs: Needs::default(),
            scored: false,
        };
        walk.all(reader, &mut |entry| {
            if !counted.contains(&entry.id) {
                add(&mut sums, workspace, &entry);
            }
            ControlFlow::Continue(())
        })
        .await?;
    }
    Ok(sums.into_values().collect())
}

fn add(sums: &mut BTreeMap<Key, CostRow>, workspace: &str, entry: &Entry) {
    let Some(cost) = entry.cost else { return };
    let fields = &entry.fields;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let began = fields.start.unwrap_or(entry.created).as_microsecond();
    let hour = began.div_euclid(HOUR);
    let key = (
        workspace.to_owned(),
        text(&fields.model),
        text(&fields.provider),
        entry.created_by.clone(),
        hour,
    );
    let row = sums
        .entry(key)
        .or_insert_with_key(|(workspace, model, provider, user, hour)| CostRow {
            workspace: workspace.clone(),
            model: model.clone(),
            provider: provider.clone(),
            user: user.clone(),
            hour: time(hour.saturating_mul(HOUR)),
            ..CostRow::default()
        });
    let tokens = |name: &str| {
        let count = fields.usage.as_ref().and_then(|usage| usage.get(name)).copied();
        u64::try_from(count.unwrap_or(0)).unwrap_or(0)
    };
    row.spans += 1;
    row.input = row.input.saturating_add(tokens("prompt_tokens"));
    row.output = row.output.saturating_add(tokens("completion_tokens"));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is larger is as large as can be said"
    )]
    let nanos = (cost * 1e9).round() as i64;
    row.cost = NanoUsd(row.cost.0.saturating_add(nanos));
}

/// The spans whose cost is counted elsewhere: those that made the requests, and all that they are in.
async fn counted(reader: &Reader, made: &[(Uuid, Uuid)]) -> Result<HashSet<Uuid>> {
    let mut counted = HashSet::new();
    for made in made.chunks(500) {
        let traces: Vec<Uuid> = made.iter().map(|(trace, _)| *trace).collect();
        let of = list(&traces);
        let condition =
            format!("kind = 1 AND id IN (SELECT id FROM {TABLE} WHERE kind = 1 AND trace IN {of})");
        let spans = reader.known(&condition, Detail::Outline).await?;
        let parents: HashMap<Uuid, Option<Uuid>> = spans
            .iter()
            .map(|span| (span.stored.id, span.stored.fields.parent_span_id))
            .collect();
        for (_, span) in made {
            counted.extend(upward(*span, &parents));
        }
    }
    Ok(counted)
}
