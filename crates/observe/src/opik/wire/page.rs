//! Pages: `page` counts from 1.

use serde::Serialize;

use super::{OpikError, Query};

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paging {
    /// From 1.
    pub(crate) page: usize,
    /// Items on a page.
    pub(crate) size: usize,
}

/// The most items on a page.
const LARGEST: usize = 10_000;

impl Paging {
    /// From `page` and `size`; `size` is `usual` when it is not told.
    pub(crate) fn of(query: &Query, usual: usize) -> Result<Self, OpikError> {
        let paging = Self {
            page: query.number("page")?.unwrap_or(1),
            size: query.number("size")?.unwrap_or(usual),
        };
        if paging.page == 0 || paging.size == 0 {
            return Err(OpikError::invalid("page and size must be at least 1"));
        }
        Ok(Self {
            size: paging.size.min(LARGEST),
            ..paging
        })
    }

    /// How many items lie before the page.
    pub(crate) fn offset(self) -> usize {
        (self.page - 1).saturating_mul(self.size)
    }

    /// The page's part of a list that is there whole.
    pub(crate) fn cut<T>(self, all: Vec<T>, sortable: &'static [&'static str]) -> PageOf<T> {
        let total = all.len() as u64;
        let items = all.into_iter().skip(self.offset()).take(self.size).collect();
        self.around(items, total, sortable)
    }

    /// The page with these items of so many.
    pub(crate) fn around<T>(self, items: Vec<T>, total: u64, sortable: &'static [&'static str]) -> PageOf<T> {
        PageOf {
            page: self.page,
            size: items.len(),
            total,
            content: items,
            sortable_by: sortable,
        }
    }
}

/// A page.
#[derive(Debug, Serialize)]
pub(crate) struct PageOf<T> {
    /// Its number, from 1.
    pub(crate) page: usize,
    /// How many items are on it.
    pub(crate) size: usize,
    /// How many there are in all.
    pub(crate) total: u64,
    /// The items.
    pub(crate) content: Vec<T>,
    /// The fields that the list can be sorted by.
    #[serde(rename = "sortableBy")]
    pub(crate) sortable_by: &'static [&'static str],
}
