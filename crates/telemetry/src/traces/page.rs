//! Pages of lists: which entries are on one, and all that is known of those.
//!
//! *Invariant:* no more entries are held at once than are passed over and shown, however many match.

use std::{collections::HashMap, ops::ControlFlow};

use rusqlite::{Connection, params};
use stead_kernel::ports::traces::{Comment, Count, Detail, Entry, Found, Kind, Order, Query, Score};
use uuid::Uuid;

use super::{
    cells::{self, Key},
    files::{File, Files},
    read::{self, COMMENT, read_comment},
    rollup::totals_of,
    rows::{self, Bodies, SCORE, Stored, number, read_score},
    walk::{self, Needs, goes_on, walk},
};
use crate::{day::Day, sqlite::Result};

/// A day's file while it is read, with the index beside it.
pub(super) struct Session<'a> {
    files: &'a Files,
    index: &'a Connection,
    bodies: Bodies<'a>,
    day: Day,
}

impl<'a> Session<'a> {
    pub(super) fn new(files: &'a Files, index: &'a Connection, connection: &'a Connection, day: Day) -> Self {
        Self {
            files,
            index,
            bodies: Bodies::new(connection),
            day,
        }
    }

    /// An entry with what is needed of it.
    pub(super) fn part(&self, mut stored: Stored, project: Uuid, needs: &Needs) -> Result<Entry> {
        if needs.body {
            stored.load_body(&self.bodies)?;
        }
        let mut entry = stored.entry(project);
        if needs.scores {
            entry.scores = rows::scores(self.bodies.connection, entry.kind, entry.id)?;
        }
        if needs.totals {
            self.add_totals(&mut entry)?;
        }
        Ok(entry)
    }

    /// Entries of this file, of one kind, with as much as is asked for, in the order in which they are given.
    pub(super) fn finish(
        &self,
        kind: Kind,
        mut rows: Vec<(Stored, Uuid)>,
        detail: Detail,
    ) -> Result<Vec<Entry>> {
        let ids: Vec<Uuid> = rows.iter().map(|(row, _)| row.id).collect();
        let mut scores = scores_of(self.bodies.connection, kind, &ids)?;
        let mut comments = comments_of(self.index, kind, &ids)?;
        // Those in one block after each other, so that it is unpacked once.
        let mut places: Vec<usize> = (0..rows.len()).collect();
        places.sort_by_key(|place| rows.get(*place).and_then(|(row, _)| row.body));
        for place in places {
            let Some((row, _)) = rows.get_mut(place) else {
                continue;
            };
            match detail {
                Detail::Whole => row.load_body(&self.bodies)?,
                Detail::Outline => row.load_error(&self.bodies)?,
            }
        }
        let mut entries = Vec::with_capacity(rows.len());
        for (row, project) in rows {
            let mut entry = row.entry(project);
            entry.scores = scores.remove(&entry.id).unwrap_or_default();
            entry.comments = comments.remove(&entry.id).unwrap_or_default();
            self.add_totals(&mut entry)?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// What the spans of a trace come to: those of this file, and those of others if it is spread over several.
    fn add_totals(&self, entry: &mut Entry) -> Result<()> {
        if entry.kind == Kind::Span {
            return Ok(());
        }
        let mut all = totals_of(self.bodies.connection, entry.id)?;
        for day in read::days_of_trace(self.files, self.index, entry.id)? {
            if day != self.day {
                let there = |connection: &Connection| totals_of(connection, entry.id);
                all.add(&self.files.read(File::Day(day), there)?, 1);
            }
        }
        let (totals, cost) = all.answer();
        (entry.spans, entry.cost) = (Some(totals), cost);
        Ok(())
    }
}

/// So many rows of others, and as many for each entry, are read at most for reading those of several entries at once.
const OTHERS: usize = 16;

/// What lies apart of several entries, read at once where they lie close together: `range` reads what lies between the
/// smallest and the largest id, and `single` what one has.
fn gathered<T>(
    ids: &[Uuid],
    range: impl FnOnce(Uuid, Uuid, &mut dyn FnMut(Uuid, T) -> ControlFlow<()>) -> Result<()>,
    single: impl Fn(Uuid) -> Result<Vec<T>>,
) -> Result<HashMap<Uuid, Vec<T>>> {
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(HashMap::new());
    };
    let mut found: HashMap<Uuid, Vec<T>> = ids.iter().map(|id| (*id, Vec::new())).collect();
    let (mut others, most) = (0, OTHERS * (ids.len() + 1));
    range(*first, *last, &mut |id, one| {
        match found.get_mut(&id) {
            Some(own) => own.push(one),
            None => others += 1,
        }
        if others > most {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if others > most {
        for (id, own) in &mut found {
            *own = single(*id)?;
        }
    }
    Ok(found)
}

/// The scores on entries.
fn scores_of(connection: &Connection, kind: Kind, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<Score>>> {
    gathered(
        ids,
        |first, last, show| {
            let sql = format!("SELECT {SCORE}, id FROM scores WHERE kind = ?1 AND id BETWEEN ?2 AND ?3");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![number(kind), first.as_bytes(), last.as_bytes()])?;
            while let Some(row) = rows.next()? {
                let id: [u8; 16] = row.get(9)?;
                if show(Uuid::from_bytes(id), read_score(row)?).is_break() {
                    break;
                }
            }
            Ok(())
        },
        |id| rows::scores(connection, kind, id),
    )
}

/// The comments on entries, the oldest first.
fn comments_of(index: &Connection, kind: Kind, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<Comment>>> {
    let mut found = gathered(
        ids,
        |first, last, show| {
            let sql = format!("SELECT {COMMENT} FROM comments WHERE kind = ?1 AND subject BETWEEN ?2 AND ?3");
            let mut statement = index.prepare_cached(&sql)?;
            let mut rows = statement.query(params![number(kind), first.as_bytes(), last.as_bytes()])?;
            while let Some(row) = rows.next()? {
                let subject: [u8; 16] = row.get(2)?;
                if show(Uuid::from_bytes(subject), read_comment(row)?).is_break() {
                    break;
                }
            }
            Ok(())
        },
        |id| read::comments(index, number(kind), id),
    )?;
    for own in found.values_mut() {
        own.sort_by_key(|comment| (comment.created, comment.id));
    }
    Ok(found)
}

/// Whether only the order of the ids decides which entries are on a page, so that each is read once.
pub(super) fn is_plain(query: &Query) -> bool {
    query.filters.is_empty() && query.search.is_none() && query.order.is_empty()
}

/// The entries that match, in order.
pub(super) fn entries(files: &Files, kind: Kind, query: &Query) -> Result<Found<Entry>> {
    if is_plain(query) {
        return plain(files, kind, query);
    }
    let (chosen, total) = if query.order.is_empty() {
        newest(files, kind, query)?
    } else {
        ordered(files, kind, query)?
    };
    Ok(Found {
        items: load(files, kind, &chosen, query.detail)?,
        total,
    })
}

/// The newest entries.
fn plain(files: &Files, kind: Kind, query: &Query) -> Result<Found<Entry>> {
    let (all, _stay) = files.days();
    let whole =
        query.trace.is_none() && query.since.is_none() && query.until.is_none() && query.after.is_none();
    let known = match query.count {
        Count::All if whole => Some(count(files, kind, query)?),
        Count::All => None,
        Count::None => Some(0),
    };
    let needs = Needs::all();
    let (mut items, mut seen, last) = (Vec::new(), 0, query.offset.saturating_add(query.limit));
    files.read(File::Index, |index| {
        for (day, after) in walk::days(files, index, (kind, query), all)? {
            let flow = files.read(File::Day(day), |connection| {
                let mut page = Vec::new();
                let asked = (kind, query, after);
                let flow = walk::rows(connection, asked, &needs, &mut |stored, project| {
                    if seen >= query.offset && seen < last {
                        page.push((stored, project));
                    }
                    seen += 1;
                    Ok(if seen >= last && known.is_some() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    })
                })?;
                let session = Session::new(files, index, connection, day);
                items.extend(session.finish(kind, page, query.detail)?);
                Ok(flow)
            });
            if goes_on(day, flow)?.is_break() {
                break;
            }
        }
        Ok(())
    })?;
    Ok(Found {
        items,
        total: known.unwrap_or(seen as u64),
    })
}

type Chosen = Vec<(Day, Uuid)>;

/// The newest of those that match.
fn newest(files: &Files, kind: Kind, query: &Query) -> Result<(Chosen, u64)> {
    let (mut chosen, mut seen) = (Vec::new(), 0);
    let last = query.offset.saturating_add(query.limit);
    walk(files, kind, query, &Needs::of(query), &mut |day, entry| {
        if seen >= query.offset && seen < last {
            chosen.push((day, entry.id));
        }
        seen += 1;
        if seen >= last && query.count == Count::None {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let total = match query.count {
        Count::All => seen as u64,
        Count::None => 0,
    };
    Ok((chosen, total))
}

/// Those of all that match which come first by an order.
fn ordered(files: &Files, kind: Kind, query: &Query) -> Result<(Chosen, u64)> {
    let mut first = First::new(&query.order, query.offset.saturating_add(query.limit));
    let mut total = 0;
    walk(files, kind, query, &Needs::of(query), &mut |day, entry| {
        let orders = query.order.iter();
        let keys = orders.map(|order| Key::of(&cells::of_entry(&entry, &order.field, &order.key)));
        first.push(keys.collect(), (day, entry.id));
        total += 1;
        ControlFlow::Continue(())
    })?;
    let page = first.finish().into_iter().skip(query.offset).take(query.limit);
    Ok((page.collect(), total))
}

/// Those that come first of all that are pushed; equal ones in the order in which they came.
pub(super) struct First<'a, T> {
    orders: &'a [Order],
    most: usize,
    kept: Vec<(Vec<Key>, T)>,
}

/// So many more than are wanted are held before the rest is let go, so that this is not done for each.
const SLACK: usize = 512;

impl<'a, T> First<'a, T> {
    pub(super) fn new(orders: &'a [Order], most: usize) -> Self {
        Self {
            orders,
            most,
            kept: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, keys: Vec<Key>, one: T) {
        self.kept.push((keys, one));
        if self.kept.len() >= self.most.saturating_mul(2).saturating_add(SLACK) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let orders = self.orders;
        self.kept
            .sort_by(|(own, _), (other, _)| cells::compare(own, other, orders));
        self.kept.truncate(self.most);
    }

    pub(super) fn finish(mut self) -> Vec<T> {
        self.cut();
        self.kept.into_iter().map(|(_, one)| one).collect()
    }
}

/// The chosen entries with as much of them as is asked for; those that follow each other in one day are read at once.
fn load(files: &Files, kind: Kind, chosen: &[(Day, Uuid)], detail: Detail) -> Result<Vec<Entry>> {
    let mut items = Vec::with_capacity(chosen.len());
    let (_days, _stay) = files.days();
    files.read(File::Index, |index| {
        for part in chosen.chunk_by(|(own, _), (next, _)| own == next) {
            let Some((day, _)) = part.first() else { continue };
            if !files.has(*day) {
                continue;
            }
            let found = files.read(File::Day(*day), |connection| {
                let projects = rows::projects(connection)?;
                let mut found = Vec::with_capacity(part.len());
                for (_, id) in part {
                    let Some(row) = rows::by_id(connection, kind, *id)? else {
                        continue;
                    };
                    let project = projects.get(&row.project).map(|(_, id)| *id);
                    found.push((row, project.unwrap_or_default()));
                }
                Session::new(files, index, connection, *day).finish(kind, found, detail)
            })?;
            items.extend(found);
        }
        Ok(())
    })?;
    Ok(items)
}

/// How many entries there are in all, from what is counted at each commit.
fn count(files: &Files, kind: Kind, query: &Query) -> Result<u64> {
    let mut total = 0;
    let (days, _stay) = files.days();
    for day in days {
        let more: i64 = files.read(File::Day(day), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT coalesce(sum(entries), 0) FROM counts JOIN projects ON project = n \
                 WHERE kind = ?1 AND workspace = ?2 AND (?3 IS NULL OR id = ?3)",
            )?;
            let project = query.project.as_ref().map(Uuid::as_bytes);
            Ok(statement.query_row(params![number(kind), query.workspace, project], |row| row.get(0))?)
        })?;
        total += u64::try_from(more).unwrap_or(0);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_of_many_are_those_of_all_sorted_with_equal_ones_as_they_came(
            numbers in prop::collection::vec(0_u8..9, 0..2_000),
            most in 0_usize..40,
            descending in any::<bool>(),
        ) {
            let orders = [Order { field: "x".into(), key: String::new(), descending }];
            let keys = |number: u8| vec![if number == 0 { Key::Absent } else { Key::Number(f64::from(number)) }];
            let mut first = First::new(&orders, most);
            for (place, number) in numbers.iter().enumerate() {
                first.push(keys(*number), place);
                prop_assert!(first.kept.len() < 2 * most + SLACK);
            }
            let mut all: Vec<(Vec<Key>, usize)> =
                numbers.iter().enumerate().map(|(place, number)| (keys(*number), place)).collect();
            all.sort_by(|(own, _), (other, _)| cells::compare(own, other, &orders));
            let expected: Vec<usize> = all.into_iter().take(most).map(|(_, place)| place).collect();
            prop_assert_eq!(first.finish(), expected);
        }

        #[test]
        fn what_is_gathered_is_what_each_has_however_much_lies_between(
            ids in prop::collection::btree_set(1_u128..400, 0..5),
            there in prop::collection::vec(1_u128..400, 0..300),
        ) {
            let ids: Vec<Uuid> = ids.into_iter().map(Uuid::from_u128).collect();
            let mut there: Vec<Uuid> = there.into_iter().map(Uuid::from_u128).collect();
            there.sort_unstable();
            let own = |id: Uuid| there.iter().filter(|one| **one == id).copied().collect::<Vec<_>>();
            let found = gathered(
                &ids,
                |first, last, show| {
                    for one in there.iter().filter(|one| (first..=last).contains(*one)) {
                        if show(*one, *one).is_break() { break; }
                    }
                    Ok(())
                },
                |id| Ok(own(id)),
            ).unwrap();
            for id in ids {
                prop_assert_eq!(found.get(&id).cloned().unwrap_or_default(), own(id));
            }
        }
    }
}
