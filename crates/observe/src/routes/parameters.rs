//! Query strings, strictly: what is not known or makes no sense is refused by its name.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use stead_kernel::{Error, Result, Timestamp};

use super::times;

/// The parameters of a request, each taken out once.
pub(crate) struct Parameters {
    values: BTreeMap<String, Vec<String>>,
}

impl Parameters {
    /// Reads a query string; `known` are the names that it may have, with spaces between them.
    ///
    /// # Errors
    /// `Invalid` with the name that is not known.
    pub(crate) fn parse(query: Option<&str>, known: &str) -> Result<Self> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.split(' ').any(|known| known == name) {
                return Err(Error::invalid(format!("{name}: there is no such parameter"))
                    .hint(format!("this takes: {}", known.replace(' ', ", "))));
            }
            values
                .entry(name.into_owned())
                .or_default()
                .push(value.into_owned());
        }
        Ok(Self { values })
    }

    /// A parameter that is given once.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>> {
        let mut values = self.values.remove(name).unwrap_or_default();
        if values.len() > 1 {
            return Err(Error::invalid(format!(
                "{name}: it is given {} times",
                values.len()
            )));
        }
        Ok(values.pop())
    }

    /// A parameter that may be given several times, or with commas.
    pub(crate) fn list(&mut self, name: &str) -> Vec<String> {
        let values = self.values.remove(name).unwrap_or_default();
        let items = values.iter().flat_map(|value| value.split(','));
        let mut list: Vec<String> = Vec::new();
        for item in items.map(str::trim).filter(|item| !item.is_empty()) {
            if !list.iter().any(|known| known == item) {
                list.push(item.to_owned());
            }
        }
        list
    }

    /// A time: absolute, or how long ago.
    pub(crate) fn time(&mut self, name: &str, now: Timestamp) -> Result<Option<Timestamp>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let time = times::parse(&text, now).ok_or_else(|| {
            Error::invalid(format!("{name}: {text:?} is no time"))
                .hint("give a time such as 2026-11-21T12:00:00Z, a day, or how long ago: 15m, 24h, 7d")
        })?;
        Ok(Some(time))
    }

    /// How many items; 0 when it is not given.
    pub(crate) fn limit(&mut self, name: &str) -> Result<usize> {
        let Some(text) = self.text(name)? else {
            return Ok(0);
        };
        let limit = text.parse().ok().filter(|limit| (1..=1_000).contains(limit));
        limit.ok_or_else(|| Error::invalid(format!("{name}: {text:?} is no number from 1 to 1000")))
    }

    /// One of the words of an enumeration.
    pub(crate) fn word<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        self.text(name)?.map(|text| word(name, &text)).transpose()
    }

    /// Several of the words of an enumeration.
    pub(crate) fn words<T: DeserializeOwned>(&mut self, name: &str) -> Result<Vec<T>> {
        self.list(name).iter().map(|text| word(name, text)).collect()
    }
}

fn word<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    // The enumeration's own error lists its words.
    serde_json::from_value(text.into()).map_err(|error| Error::invalid(format!("{name}: {error}")))
}
