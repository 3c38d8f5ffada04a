//! Keys and values of finished answers, so that the next turn of a conversation starts where the last one ended.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::model::Cache;

/// The most bytes that are kept for a model.
const MAX_BYTES: usize = 64 << 20;
/// A shorter common start is not worth a copy.
const MIN_COMMON: usize = 16;

/// What finished answers left behind, the newest last.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<VecDeque<Entry>>);

#[derive(Debug)]
struct Entry {
    /// Only requests of the same scope may use it.
    scope: String,
    tokens: Vec<u32>,
    cache: Cache,
}

impl Kept {
    /// Keeps the cache of these tokens for a scope, and forgets the oldest ones beyond the limit.
    pub(super) fn put(&self, scope: String, mut tokens: Vec<u32>, cache: Cache) {
        tokens.truncate(cache.len());
        if tokens.len() < MIN_COMMON || cache.bytes() > MAX_BYTES {
            return;
        }
        let mut entries = self.entries();
        entries.push_back(Entry { scope, tokens, cache });
        let mut bytes: usize = entries.iter().map(|entry| entry.cache.bytes()).sum();
        while bytes > MAX_BYTES {
            let Some(oldest) = entries.pop_front() else { break };
            bytes -= oldest.cache.bytes();
        }
    }

    /// A cache for the longest start of a prompt that is there for the scope; at least the prompt's last token is left
    /// to compute.
    pub(super) fn take(&self, scope: &str, prompt: &[u32]) -> Option<Cache> {
        let mut entries = self.entries();
        let common = |entry: &Entry| {
            let same = entry
                .tokens
                .iter()
                .zip(prompt)
                .take_while(|(one, two)| one == two)
                .count();
            same.min(prompt.len().saturating_sub(1))
        };
        let (index, length) = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.scope == scope)
            .map(|(index, entry)| (index, common(entry)))
            .max_by_key(|(_, length)| *length)?;
        if length < MIN_COMMON {
            return None;
        }
        let entry = entries.get(index)?;
        if length * 2 < entry.tokens.len() {
            // Most of it belongs to another conversation, which may go on.
            return Some(entry.cache.copy_start(length));
        }
        let mut cache = entries.remove(index)?.cache;
        cache.truncate(length);
        Some(cache)
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
