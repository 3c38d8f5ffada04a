//! Sums over what matches, reckoned from the entries: nothing is kept at commit here.

use std::{collections::BTreeSet, ops::ControlFlow};

use stead_kernel::{
    Result, Timestamp,
    ports::traces::{Bucket, Counted, Grouped, Kind, Order, Query, Sums},
};
use uuid::Uuid;

use super::{list::Walk, read::Reader, threads};
use crate::traces::{sums::Tally, walk::Needs};

/// Sums over what matches, in order of time.
pub(super) async fn sums(
    reader: &Reader,
    of: Counted,
    query: &Query,
    bucket: Bucket,
) -> Result<Vec<(Timestamp, Sums)>> {
    Ok(tally(reader, of, query, (bucket, None)).await?.whole(bucket))
}

/// Sums over what matches, apart for each value of a field; those with the most come first.
pub(super) async fn sums_by(
    reader: &Reader,
    of: Counted,
    query: &Query,
    bucket: Bucket,
    by: &Order,
) -> Result<Grouped> {
    Ok(tally(reader, of, query, (bucket, Some(by))).await?.grouped())
}

async fn tally(
    reader: &Reader,
    of: Counted,
    query: &Query,
    (bucket, by): (Bucket, Option<&Order>),
) -> Result<Tally> {
    let mut tally = Tally::default();
    let kind = match of {
        Counted::Traces => Kind::Trace,
        Counted::Spans => Kind::Span,
        Counted::Threads => {
            for thread in threads::all(reader, query).await? {
                tally.add_thread(&thread, bucket, by);
            }
            return Ok(tally);
        }
    };
    let walk = Walk {
        kind,
        query,
        needs: Needs::sums(query, by),
        scored: false,
    };
    walk.all(reader, &mut |entry| {
        tally.add_entry(&entry, bucket, by);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(tally)
}

/// The names of the scores that there are.
pub(super) async fn score_names(
    reader: &Reader,
    on: Counted,
    workspace: &str,
    projects: &[Uuid],
) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let kind = match on {
        Counted::Traces => Kind::Trace,
        Counted::Spans => Kind::Span,
        Counted::Threads => {
            let known = reader.known_threads(workspace, "").await?;
            let known = known.into_iter();
            let within = known.filter(|((project, _), _)| projects.is_empty() || projects.contains(project));
            let scores = within.flat_map(|(_, known)| known.thread.scores);
            names.extend(scores.map(|score| score.name));
            return Ok(names);
        }
    };
    let query = Query {
        workspace: workspace.to_owned(),
        ..Query::default()
    };
    let walk = Walk {
        kind,
        query: &query,
        needs: Needs::default(),
        scored: true,
    };
    walk.all(reader, &mut |entry| {
        if projects.is_empty() || projects.contains(&entry.project) {
            names.extend(entry.scores.into_iter().map(|score| score.name));
        }
        ControlFlow::Continue(())
    })
    .await?;
    Ok(names)
}
