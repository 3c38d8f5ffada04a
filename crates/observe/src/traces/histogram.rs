//! How many traces and requests began when.
//!
//! *Invariant:* every stretch of time is in the answer, and the answer says how far back it is whole.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use http::Extensions;
use jiff::SignedDuration;
use serde::Serialize;
use stead_kernel::{
    Error, Result, Timestamp,
    ports::{
        NanoUsd,
        traces::{Bucket, Counted},
    },
};

use super::{
    Answer, asked,
    desk::{Desk, absent_as_none},
    row::{self, Tokens},
    walk::{Asked, Place, Walk, of_traces},
};
use crate::routes::Parameters;

/// How far back it goes when nobody says.
const BACK: SignedDuration = SignedDuration::from_hours(24);
/// At most so many stretches.
const MOST: i64 = 2_000;
/// About so many when nobody says how long one is.
const ABOUT: i64 = 60;
/// Lengths that are chosen from, in seconds.
const LENGTHS: [i64; 12] = [
    1, 5, 15, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 86_400, 604_800,
];
/// So many rows are looked at.
const LOOKED_AT: usize = 50_000;

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Histogram {
    since: Timestamp,
    until: Timestamp,
    /// How long a stretch is, in seconds.
    step: i64,
    /// Whether all that is meant is counted; else what began after `since` is.
    complete: bool,
    items: Vec<Stretch>,
}

/// What began in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Stretch {
    time: Timestamp,
    count: u64,
    errors: u64,
    cost: NanoUsd,
    tokens: u64,
}

pub(super) async fn histogram(
    State(desk): State<Desk>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> Answer<Histogram> {
    let mut parameters = Parameters::parse(query.as_deref(), "q projects since until step")?;
    let now = desk.ports.clock.now();
    let mut asked = asked(&desk, &extensions, &mut parameters, now).await?;
    let until = asked.until.unwrap_or(now);
    let since = asked.since.or_else(|| until.checked_sub(BACK).ok());
    let since = since.unwrap_or(until);
    let step = parameters.text("step")?;
    let mut sums = Sums::new(since, until, step.as_deref())?;
    (asked.since, asked.until) = (Some(sums.since), Some(until));
    let mut complete = true;
    if asked.question.is_stored() && !asked.question.is_of_requests() {
        for workspace in &asked.scope.workspaces {
            sums.add_traces(&desk, &asked, workspace).await?;
        }
        if !asked.question.is_of_applications() {
            complete = sums.add_found(&desk, &asked, Rows::Requests).await?;
        }
    } else {
        complete = sums.add_found(&desk, &asked, Rows::All).await?;
    }
    Ok(Json(Histogram {
        since: sums.since,
        until,
        step: sums.step,
        complete,
        items: sums.stretches.into_values().collect(),
    }))
}

/// Which rows are looked at one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    All,
    /// Traces were added up by their store.
    Requests,
}

struct Sums {
    since: Timestamp,
    step: i64,
    stretches: BTreeMap<i64, Stretch>,
}

impl Sums {
    /// Empty stretches; the first begins at or before `since`.
    fn new(since: Timestamp, until: Timestamp, step: Option<&str>) -> Result<Self> {
        let seconds = until.as_second().saturating_sub(since.as_second());
        if seconds < 0 {
            return Err(Error::invalid("until: it is before since"));
        }
        let step = match step {
            None => chosen(seconds),
            Some(text) => {
                let step = text.parse().ok().filter(|step| (1..=604_800).contains(step));
                step.ok_or_else(|| Error::invalid(format!("step: {text:?} is no number of seconds")))?
            }
        };
        if seconds / step > MOST {
            return Err(
                Error::invalid(format!("step: that would be more than {MOST} stretches"))
                    .hint("ask for longer ones, or for less time"),
            );
        }
        let first = since.as_second().div_euclid(step);
        let last = until.as_second().div_euclid(step);
        let time = |number: i64| Timestamp::from_second(number.saturating_mul(step));
        let mut stretches = BTreeMap::new();
        for number in first..=last {
            let time =
                time(number).map_err(|error| Error::invalid("since: it is too long ago").because(error))?;
            let stretch = Stretch {
                time,
                count: 0,
                errors: 0,
                cost: NanoUsd(0),
                tokens: 0,
            };
            stretches.insert(number, stretch);
        }
        let since = stretches.values().next().map_or(since, |stretch| stretch.time);
        Ok(Self {
            since,
            step,
            stretches,
        })
    }

    fn at(&mut self, time: Timestamp) -> Option<&mut Stretch> {
        self.stretches.get_mut(&time.as_second().div_euclid(self.step))
    }

    /// What the store of traces adds up by itself.
    async fn add_traces(&mut self, desk: &Desk, asked: &Asked, workspace: &str) -> Result<()> {
        let seconds = u32::try_from(self.step).unwrap_or(u32::MAX);
        let query = of_traces(asked, workspace);
        let sums = desk
            .ports
            .traces
            .sums(Counted::Traces, query, Bucket::Seconds(seconds))
            .await;
        for (time, sums) in absent_as_none(sums)?.unwrap_or_default() {
            let Some(stretch) = self.at(time) else { continue };
            let counts = sums
                .usage
                .into_iter()
                .map(|(name, (sum, _))| (name, sum))
                .collect();
            stretch.count += sums.count;
            stretch.errors += sums.errors;
            stretch.cost.0 = stretch.cost.0.saturating_add(row::nano(sums.cost).0);
            stretch.tokens += Tokens::of_counts(&counts).map_or(0, |tokens| tokens.total);
        }
        Ok(())
    }

    /// What is counted row by row; whether all of it was.
    async fn add_found(&mut self, desk: &Desk, asked: &Asked, rows: Rows) -> Result<bool> {
        let mut walk = Walk::begin(desk, asked, Place::default()).await?;
        if rows == Rows::Requests {
            walk.leave_traces_out();
        }
        let mut reached = None;
        for _ in 0..LOOKED_AT {
            let Some(found) = walk.next().await? else {
                return Ok(true);
            };
            reached = Some(found.began());
            let Some(row) = walk.row(&found) else {
                continue;
            };
            let Some(stretch) = self.at(row.start) else {
                continue;
            };
            stretch.count += 1;
            stretch.errors += u64::from(row.is_error());
            stretch.cost.0 = stretch.cost.0.saturating_add(row.cost.unwrap_or_default().0);
            stretch.tokens += row.tokens.unwrap_or_default().total;
        }
        if let Some(time) = reached {
            self.since = self.since.max(time);
        }
        Ok(false)
    }
}

/// A length that gives about as many stretches as a person looks at.
fn chosen(seconds: i64) -> i64 {
    let wanted = seconds / ABOUT;
    let mut lengths = LENGTHS.into_iter();
    lengths.find(|length| *length >= wanted).unwrap_or(604_800)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_whole_and_all_there() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let sums = Sums::new(
            time("2026-11-21T10:10:00Z"),
            time("2026-11-21T12:00:00Z"),
            Some("3600"),
        )
        .unwrap();
        let times: Vec<String> = sums
            .stretches
            .values()
            .map(|stretch| stretch.time.to_string())
            .collect();
        assert_eq!(
            times,
            [
                "2026-11-21T10:00:00Z",
                "2026-11-21T11:00:00Z",
                "2026-11-21T12:00:00Z"
            ]
        );
        assert_eq!(sums.since, time("2026-11-21T10:00:00Z"));
        for (seconds, step) in [(0, 1), (3_600, 60), (86_400, 1_800), (7 * 86_400, 10_800)] {
            assert_eq!(chosen(seconds), step, "{seconds}");
        }
        let [early, late] = ["2026-11-21T10:00:00Z", "2026-11-22T10:00:00Z"].map(time);
        for (since, until, step) in [
            (late, early, None),
            (early, late, Some("1")),
            (early, late, Some("x")),
        ] {
            assert!(Sums::new(since, until, step).is_err());
        }
    }
}
