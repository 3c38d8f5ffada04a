//! Reading the items of a version, the newest first.

use std::collections::VecDeque;

use stead_kernel::{
    Result,
    ports::{RecordQuery, Within},
};

use super::plan::{Row, place};
use crate::opik::shelf::{PART, Shelf};

/// Which version is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The newest: what is current.
    Latest,
    /// The version with this number.
    At(u64),
}

/// The rows of a dataset, those of one item together, in the order of their ids, the largest first. Since ids tell the
/// time, the newest come first.
pub(super) struct Walk<'a> {
    current: Source<'a>,
    history: Option<Source<'a>>,
}

/// One of the two collections of rows.
struct Source<'a> {
    shelf: &'a Shelf<Row>,
    project: &'a str,
    within: Within,
    skip: usize,
    /// How many are read at once.
    size: usize,
    read: VecDeque<Row>,
    done: bool,
}

/// Where rows are read.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) current: &'a Shelf<Row>,
    pub(super) history: &'a Shelf<Row>,
    pub(super) project: &'a str,
    pub(super) dataset: &'a str,
}

impl<'a> Walk<'a> {
    /// All current rows below an item, or all, without the first `skip`; so many are read at once.
    pub(super) fn current(at: Place<'a>, before: Option<&str>, skip: usize, size: usize) -> Self {
        let mut current = Source::new(at, at.current, before);
        current.skip = skip;
        current.size = size.clamp(1, PART);
        Self {
            current,
            history: None,
        }
    }

    /// All rows below an item, or all.
    pub(super) fn all(at: Place<'a>, before: Option<&str>) -> Self {
        Self {
            current: Source::new(at, at.current, before),
            history: Some(Source::new(at, at.history, before)),
        }
    }

    /// The rows of the next item; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Row>> {
        let current = self.current.peek().await?;
        let Some(history) = &mut self.history else {
            return Ok(self.current.read.pop_front().into_iter().collect());
        };
        let item = current.into_iter().chain(history.peek().await?).max();
        let Some(item) = item else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        if self.current.peek().await?.as_ref() == Some(&item) {
            rows.extend(self.current.read.pop_front());
        }
        while history.peek().await?.as_ref() == Some(&item) {
            rows.extend(history.read.pop_front());
        }
        Ok(rows)
    }

    /// The row of the next item that a view has.
    pub(super) async fn next_in(&mut self, view: View) -> Result<Option<Row>> {
        loop {
            let rows = self.next().await?;
            if rows.is_empty() {
                return Ok(None);
            }
            let mut rows = rows.into_iter();
            let row = match view {
                View::Latest => rows.find(|row| row.until.is_none()),
                View::At(version) => rows.find(|row| row.is_in(version)),
            };
            if row.is_some() {
                return Ok(row);
            }
        }
    }
}

impl<'a> Source<'a> {
    fn new(at: Place<'a>, shelf: &'a Shelf<Row>, before: Option<&str>) -> Self {
        let mut within = Within::prefix("place", &place(at.dataset, ""));
        if let Some(before) = before {
            // An item's history lies behind the item itself, and ends below it too.
            within.below = place(at.dataset, before);
        }
        Self {
            shelf,
            project: at.project,
            within,
            skip: 0,
            size: PART,
            read: VecDeque::new(),
            done: false,
        }
    }

    /// The item of the next row.
    async fn peek(&mut self) -> Result<Option<String>> {
        if self.read.is_empty() && !self.done {
            self.fill().await?;
        }
        Ok(self.read.front().map(|row| row.item.id.clone()))
    }

    async fn fill(&mut self) -> Result<()> {
        let query = RecordQuery {
            within: vec![self.within.clone()],
            order_by: Some("place".into()),
            descending: true,
            limit: self.size,
            skip: std::mem::take(&mut self.skip),
            ..self.shelf.query(self.project)
        };
        let rows = self.shelf.all(query).await?;
        self.done = rows.len() < self.size;
        self.read.extend(rows.into_iter().map(|kept| kept.body));
        if let Some(last) = self.read.back() {
            self.within.below.clone_from(&last.place);
        }
        Ok(())
    }
}
