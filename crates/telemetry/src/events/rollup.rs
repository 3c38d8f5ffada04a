//! Sums of usage per minute, kept with the rows they are sums of, so that nobody has to count.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use rusqlite::{Connection, Row, params_from_iter, types::Value};
use stead_kernel::{
    Timestamp,
    ports::{
        NanoUsd, TokenUsage,
        events::{Outcome, RequestRow, UsageGroup, UsageQuery, UsageRow},
    },
};

use super::names::{self, Names, Texts};
use crate::sqlite::Result;

const MINUTE: i64 = 60_000_000;
/// What a rollup is a sum of.
const SLOT: &str = "minute, project, user, key, model, provider, route, team, replica";
/// How many numbers those are.
const SLOT_SIZE: usize = 9;
/// What is summed; the counts of usage lie where [`Sums::of`] puts them.
const COLUMNS: [&str; 22] = [
    "requests",
    "errors",
    "refused",
    "input",
    "output",
    "cached_input",
    "reasoning",
    "cache_write",
    "cache_write_hour",
    "audio_input",
    "audio_output",
    "image_input",
    "image_output",
    "images",
    "audio_ms",
    "characters",
    "gpu_ms",
    "cost",
    "unpriced",
    "duration_us",
    "first_token_us",
    "first_tokens",
];
static SUMS: LazyLock<String> = LazyLock::new(|| COLUMNS.map(|column| format!("sum({column})")).join(", "));
static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (1..=SLOT_SIZE + COLUMNS.len())
        .map(|place| format!("?{place}"))
        .collect();
    let added = COLUMNS.map(|column| format!("{column} = {column} + excluded.{column}"));
    format!(
        "INSERT INTO rollups ({SLOT}, {}) VALUES ({}) ON CONFLICT DO UPDATE SET {}",
        COLUMNS.join(", "),
        places.join(", "),
        added.join(", ")
    )
});

/// The minute of a time in microseconds.
pub(super) fn minute_of(micros: i64) -> i64 {
    micros.div_euclid(MINUTE)
}

/// What a rollup is a sum of: the minute, and numbers of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) minute: i64,
    pub(super) project: i64,
    pub(super) user: i64,
    pub(super) key: i64,
    pub(super) model: i64,
    pub(super) provider: i64,
    pub(super) route: i64,
    pub(super) team: i64,
    pub(super) replica: i64,
}

impl Slot {
    /// In the order of the columns.
    const fn numbers(&self) -> [i64; SLOT_SIZE] {
        [
            self.minute,
            self.project,
            self.user,
            self.key,
            self.model,
            self.provider,
            self.route,
            self.team,
            self.replica,
        ]
    }
}

/// Sums, in the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sums([i64; COLUMNS.len()]);

impl Sums {
    /// The sums over one request, whose numbers are within the bounds that packing sets.
    pub(super) fn of(row: &RequestRow) -> Self {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let before = [
            1,
            i64::from(row.outcome == Outcome::Error),
            i64::from(row.is_refused()),
        ];
        let usage = row.usage.counts().map(number);
        let after = [
            row.cost.unwrap_or_default().0,
            i64::from(row.cost.is_none()),
            number(row.duration_us),
            number(row.first_token_us.unwrap_or_default()),
            i64::from(row.first_token_us.is_some()),
        ];
        let mut sums = Self::default();
        let values = before.into_iter().chain(usage).chain(after);
        for (sum, value) in sums.0.iter_mut().zip(values) {
            *sum = value;
        }
        sums
    }

    /// Adds other sums.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }

    fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Self> {
        let mut sums = Self::default();
        for (index, sum) in sums.0.iter_mut().enumerate() {
            *sum = row.get::<_, Option<i64>>(from + index)?.unwrap_or_default();
        }
        Ok(sums)
    }

    fn into_row(self, group: Vec<String>) -> UsageRow {
        let [
            requests,
            errors,
            refused,
            usage @ ..,
            cost,
            unpriced,
            duration,
            first,
            firsts,
        ] = self.0;
        let number = |sum: i64| u64::try_from(sum).unwrap_or_default();
        UsageRow {
            group,
            requests: number(requests),
            errors: number(errors),
            refused: number(refused),
            usage: TokenUsage::of_counts(usage.map(number)),
            cost: NanoUsd(cost),
            unpriced: number(unpriced),
            duration_us: number(duration),
            first_token_us: number(first),
            first_tokens: number(firsts),
        }
    }
}

/// Adds sums to a file, inside the caller's transaction.
pub(super) fn store(connection: &Connection, sums: &HashMap<Slot, Sums>) -> Result<()> {
    let mut statement = connection.prepare_cached(&UPSERT)?;
    for (slot, sums) in sums {
        statement.execute(params_from_iter(slot.numbers().into_iter().chain(sums.0)))?;
    }
    Ok(())
}

/// Adds all rollups of a day's file to the file of past days, summed by hour, inside the caller's transaction.
pub(super) fn fold(from: &Connection, to: &Connection, to_names: &mut Names) -> Result<()> {
    let names = "project, user, key, model, provider, route, team, replica";
    let sums = &*SUMS;
    let sql = format!("SELECT minute / 60 * 60 AS hour, {names}, {sums} FROM rollups GROUP BY hour, {names}");
    let mut texts = Texts::new(from);
    let mut statement = from.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut folded: HashMap<Slot, Sums> = HashMap::new();
    while let Some(row) = rows.next()? {
        let mut renamed =
            |index: usize| -> Result<i64> { to_names.number(to, &texts.text(row.get(index)?)?) };
        let slot = Slot {
            minute: row.get(0)?,
            project: renamed(1)?,
            user: renamed(2)?,
            key: renamed(3)?,
            model: renamed(4)?,
            provider: renamed(5)?,
            route: renamed(6)?,
            team: renamed(7)?,
            replica: renamed(8)?,
        };
        folded.entry(slot).or_default().add(&Sums::read(row, SLOT_SIZE)?);
    }
    store(to, &folded)
}

/// The answer to a question about usage, put together from several files.
pub(super) struct Report {
    query: UsageQuery,
    groups: BTreeMap<Vec<String>, Sums>,
}

/// How fine a file's rollups are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    Minute,
    Hour,
}

impl Report {
    pub(super) fn new(query: UsageQuery) -> Self {
        Self {
            query,
            groups: BTreeMap::new(),
        }
    }

    /// The first minute that is asked for.
    pub(super) fn first_minute(&self, grain: Grain) -> i64 {
        let first = self
            .query
            .since
            .map_or(i64::MIN, |since| minute_of(since.as_microsecond()));
        match grain {
            Grain::Minute => first,
            Grain::Hour => first.saturating_sub(first.rem_euclid(60)),
        }
    }

    /// The first minute that is no longer asked for.
    pub(super) fn end_minute(&self) -> i64 {
        let round_up = |until: Timestamp| minute_of(until.as_microsecond().saturating_add(MINUTE - 1));
        self.query.until.map_or(i64::MAX, round_up)
    }

    /// Adds what a file has to say.
    pub(super) fn read(&mut self, connection: &Connection, grain: Grain) -> Result<()> {
        let Some((condition, values)) = self.condition(connection, grain)? else {
            return Ok(());
        };
        let columns: Vec<String> = self
            .query
            .by
            .iter()
            .map(|by| format!("{}, ", expression(*by)))
            .collect();
        let positions: Vec<String> = (1..=columns.len()).map(|position| position.to_string()).collect();
        let group = if positions.is_empty() {
            String::new()
        } else {
            format!("GROUP BY {}", positions.join(", "))
        };
        let sql = format!(
            "SELECT {}{} FROM rollups WHERE {condition} {group}",
            columns.concat(),
            *SUMS
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut texts = Texts::new(connection);
        // Put together first: of a file that turns out to be damaged, nothing counts.
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut values = Vec::with_capacity(self.query.by.len());
            for (index, by) in self.query.by.iter().enumerate() {
                values.push(group_text(*by, row.get(index)?, &mut texts)?);
            }
            found.push((values, Sums::read(row, self.query.by.len())?));
        }
        for (group, sums) in found {
            self.groups.entry(group).or_default().add(&sums);
        }
        Ok(())
    }

    /// The `WHERE` of a file; nothing when it knows none of the projects.
    fn condition(&self, connection: &Connection, grain: Grain) -> Result<Option<(String, Vec<Value>)>> {
        let mut condition = "minute >= ?1 AND minute < ?2".to_owned();
        let values = vec![self.first_minute(grain).into(), self.end_minute().into()];
        if let Some(projects) = &self.query.projects {
            let mut numbers = Vec::new();
            for project in projects {
                numbers.extend(names::find(connection, project)?.map(|number| number.to_string()));
            }
            if numbers.is_empty() {
                return Ok(None);
            }
            condition = format!("{condition} AND project IN ({})", numbers.join(", "));
        }
        Ok(Some((condition, values)))
    }

    /// The rows, ordered by their groups. Without groups there is always one.
    pub(super) fn finish(mut self) -> Vec<UsageRow> {
        if self.query.by.is_empty() {
            self.groups.entry(Vec::new()).or_default();
        }
        self.groups
            .into_iter()
            .map(|(group, sums)| sums.into_row(group))
            .collect()
    }
}

const fn expression(by: UsageGroup) -> &'static str {
    match by {
        UsageGroup::Project => "project",
        UsageGroup::User => "user",
        UsageGroup::Key => "key",
        UsageGroup::Model => "model",
        UsageGroup::Provider => "provider",
        UsageGroup::Route => "route",
        UsageGroup::Team => "team",
        UsageGroup::Replica => "replica",
        UsageGroup::Day => "minute / 1440",
        UsageGroup::Hour => "minute / 60",
    }
}

fn group_text(by: UsageGroup, number: i64, texts: &mut Texts<'_>) -> Result<String> {
    match by {
        UsageGroup::Project
        | UsageGroup::User
        | UsageGroup::Key
        | UsageGroup::Model
        | UsageGroup::Provider
        | UsageGroup::Route
        | UsageGroup::Team
        | UsageGroup::Replica => texts.text(number),
        UsageGroup::Day => Ok(crate::day::Day::from_number(number).to_string()),
        UsageGroup::Hour => Ok(crate::day::time(number.saturating_mul(60 * MINUTE)).to_string()),
    }
}
