//! Where answers are kept: in memory, within bounds. Nothing here performs I/O or reads a clock.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use stead_dialects::chat::Answer;
use stead_kernel::Timestamp;

use super::identity::Print;

/// The most bytes of all kept answers and vectors together.
const BYTES: usize = 64 << 20;
/// The most bytes of one answer that is kept.
const LARGEST: usize = 1 << 20;

/// Whose answers are given to whom: those of one route in one project, and of one key where the route says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shelf {
    pub(crate) project: Box<str>,
    pub(crate) route: Arc<str>,
    /// The key or user; empty when everybody in the project shares.
    pub(crate) key: Box<str>,
}

/// A kept answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    /// In the form of all dialects, where it could be read.
    pub(crate) answer: Option<Answer>,
    /// As it was sent, where it was sent whole.
    pub(crate) whole: Option<(StatusCode, Bytes)>,
}

impl Kept {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        let whole = self.whole.as_ref().map_or(0, |(_, body)| body.len());
        let answer = self
            .answer
            .as_ref()
            .map_or(0, |answer| format!("{answer:?}").len());
        whole + answer + 256
    }
}

/// A kept answer, and since when.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) kept: Arc<Kept>,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

/// What an answer is found by besides its print: what its question means, and all else of the request.
#[derive(Debug, Clone)]
pub(crate) struct Meaning {
    /// The print of the request without its last question.
    pub(crate) context: Print,
    /// Of length 1.
    pub(crate) vector: Arc<[f32]>,
}

struct Entry {
    hit: Hit,
    meaning: Option<Meaning>,
    size: usize,
    /// Tells it from an entry that had the same print before.
    number: u64,
}

#[derive(Default)]
struct Shelved {
    entries: HashMap<Print, Entry>,
    /// Oldest first, those that were replaced among them.
    order: VecDeque<(Print, u64)>,
}

#[derive(Default)]
struct State {
    shelves: HashMap<Shelf, Shelved>,
    /// Every entry, oldest first, those that are gone among them.
    order: VecDeque<(Shelf, Print, u64)>,
    count: usize,
    bytes: usize,
    number: u64,
}

/// Kept answers.
#[derive(Default)]
pub(crate) struct Store {
    state: Mutex<State>,
}

/// How long and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) ttl: Duration,
    pub(crate) entries: usize,
}

impl Store {
    /// The answer to the same request.
    pub(crate) fn exact(&self, shelf: &Shelf, print: &Print, now: Timestamp) -> Option<Hit> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = state.shelves.get(shelf)?.entries.get(print)?;
        (entry.hit.until > now).then(|| entry.hit.clone())
    }

    /// The answer to the question that means most nearly the same, at least by `threshold` (a cosine).
    pub(crate) fn nearest(
        &self,
        shelf: &Shelf,
        meaning: &Meaning,
        threshold: f32,
        now: Timestamp,
    ) -> Option<Hit> {
        let candidates: Vec<(Hit, Arc<[f32]>)> = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let entries = state.shelves.get(shelf)?.entries.values();
            entries
                .filter(|entry| entry.hit.until > now)
                .filter_map(|entry| {
                    let other = entry.meaning.as_ref()?;
                    (other.context == meaning.context).then(|| (entry.hit.clone(), Arc::clone(&other.vector)))
                })
                .collect()
        };
        candidates
            .into_iter()
            .filter_map(|(hit, vector)| Some((cosine(&meaning.vector, &vector)?, hit)))
            .filter(|(likeness, _)| *likeness >= threshold)
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, hit)| hit)
    }

    /// Keeps an answer, and drops the oldest ones beyond the bounds.
    pub(crate) fn put(
        &self,
        shelf: &Shelf,
        print: Print,
        kept: Kept,
        meaning: Option<Meaning>,
        (now, bounds): (Timestamp, Bounds),
    ) {
        let size = kept.size() + meaning.as_ref().map_or(0, |meaning| meaning.vector.len() * 4);
        let Ok(until) = now.checked_add(bounds.ttl) else {
            return;
        };
        if size > LARGEST {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        state.number += 1;
        let number = state.number;
        let entry = Entry {
            hit: Hit {
                kept: Arc::new(kept),
                since: now,
                until,
            },
            meaning,
            size,
            number,
        };
        let shelved = state.shelves.entry(shelf.clone()).or_default();
        let old = shelved.entries.insert(print, entry);
        shelved.order.push_back((print, number));
        let full = shelved.entries.len() > bounds.entries;
        state.count += usize::from(old.is_none());
        state.bytes = state.bytes + size - old.map_or(0, |old| old.size);
        state.order.push_back((shelf.clone(), print, number));
        state.tidy();
        if full {
            state.drop_oldest_of(shelf);
        }
        while state.bytes > BYTES || state.is_past(now) {
            state.drop_oldest();
        }
    }

    /// How many answers are kept.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.shelves.values().map(|shelved| shelved.entries.len()).sum()
    }
}

impl State {
    /// Whether the oldest entry is over, or was replaced.
    fn is_past(&self, now: Timestamp) -> bool {
        self.order.front().is_some_and(|(shelf, print, number)| {
            let entry = self
                .shelves
                .get(shelf)
                .and_then(|shelved| shelved.entries.get(print));
            entry.is_none_or(|entry| entry.number != *number || entry.hit.until <= now)
        })
    }

    fn drop_oldest(&mut self) {
        if let Some((shelf, print, number)) = self.order.pop_front() {
            self.remove(&shelf, &print, number);
        }
    }

    fn drop_oldest_of(&mut self, shelf: &Shelf) {
        while let Some((print, number)) = self
            .shelves
            .get_mut(shelf)
            .and_then(|shelved| shelved.order.pop_front())
        {
            if self.remove(shelf, &print, number) {
                return;
            }
        }
    }

    /// Forgets the places of entries that are gone, once they are many.
    fn tidy(&mut self) {
        if self.order.len() <= 64 + 2 * self.count {
            return;
        }
        let shelves = &mut self.shelves;
        self.order.retain(|(shelf, print, number)| {
            let entry = shelves.get(shelf).and_then(|shelved| shelved.entries.get(print));
            entry.is_some_and(|entry| entry.number == *number)
        });
        for shelved in shelves.values_mut() {
            let entries = &shelved.entries;
            shelved
                .order
                .retain(|(print, number)| entries.get(print).is_some_and(|entry| entry.number == *number));
        }
    }

    /// Drops an entry, if it is still the one of this number.
    fn remove(&mut self, shelf: &Shelf, print: &Print, number: u64) -> bool {
        let Some(shelved) = self.shelves.get_mut(shelf) else {
            return false;
        };
        if shelved
            .entries
            .get(print)
            .is_none_or(|entry| entry.number != number)
        {
            return false;
        }
        if let Some(entry) = shelved.entries.remove(print) {
            self.bytes -= entry.size;
            self.count -= 1;
        }
        if shelved.entries.is_empty() {
            self.shelves.remove(shelf);
        }
        true
    }
}

/// A vector of length 1; `None` when it has no direction.
pub(crate) fn normalised(vector: Vec<f32>) -> Option<Arc<[f32]>> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return None;
    }
    Some(vector.into_iter().map(|value| value / length).collect())
}

/// The cosine of two vectors of length 1; `None` when they are not of one space.
fn cosine(a: &[f32], b: &[f32]) -> Option<f32> {
    (a.len() == b.len()).then(|| a.iter().zip(b).map(|(a, b)| a * b).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(key: &str) -> Shelf {
        Shelf {
            project: "default".into(),
            route: "chat".into(),
            key: key.into(),
        }
    }

    fn kept(text: &str) -> Kept {
        Kept {
            answer: None,
            whole: Some((StatusCode::OK, Bytes::copy_from_slice(text.as_bytes()))),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn bounds(entries: usize) -> Bounds {
        Bounds {
            ttl: Duration::from_secs(10),
            entries,
        }
    }

    #[test]
    fn an_answer_is_found_on_its_shelf_until_it_is_over() {
        let store = Store::default();
        store.put(&shelf("a"), [1; 32], kept("x"), None, (at(0), bounds(9)));
        assert!(store.exact(&shelf("a"), &[1; 32], at(9)).is_some());
        assert!(store.exact(&shelf("a"), &[1; 32], at(10)).is_none());
        assert!(store.exact(&shelf("b"), &[1; 32], at(1)).is_none());
        assert!(store.exact(&shelf("a"), &[2; 32], at(1)).is_none());
        store.put(&shelf("a"), [2; 32], kept("y"), None, (at(20), bounds(9)));
        assert_eq!(store.count(), 1, "what is over makes room");
    }

    #[test]
    fn the_oldest_answer_goes_first() {
        let store = Store::default();
        for number in 0..5 {
            store.put(&shelf("a"), [number; 32], kept("x"), None, (at(0), bounds(3)));
        }
        store.put(&shelf("b"), [0; 32], kept("x"), None, (at(0), bounds(3)));
        let there: Vec<u8> = (0..5)
            .filter(|number| store.exact(&shelf("a"), &[*number; 32], at(1)).is_some())
            .collect();
        assert_eq!(there, [2, 3, 4]);
        store.put(&shelf("a"), [2; 32], kept("new"), None, (at(1), bounds(3)));
        store.put(&shelf("a"), [9; 32], kept("x"), None, (at(1), bounds(3)));
        assert!(
            store.exact(&shelf("a"), &[2; 32], at(1)).is_some(),
            "what was kept anew is not the oldest"
        );
        assert!(store.exact(&shelf("a"), &[3; 32], at(1)).is_none());
    }

    #[test]
    fn all_answers_together_are_bounded_in_bytes() {
        let store = Store::default();
        let text = "x".repeat(LARGEST / 2);
        for number in 0..=255 {
            store.put(
                &shelf(&number.to_string()),
                [number; 32],
                kept(&text),
                None,
                (at(0), bounds(3)),
            );
        }
        assert!(
            store.count() * text.len() <= BYTES && store.count() > 100,
            "{}",
            store.count()
        );
        store.put(
            &shelf("a"),
            [1; 32],
            kept(&"x".repeat(LARGEST)),
            None,
            (at(0), bounds(3)),
        );
        assert!(
            store.exact(&shelf("a"), &[1; 32], at(1)).is_none(),
            "one that is too large is not kept"
        );
    }

    #[test]
    fn the_nearest_meaning_in_the_same_context_is_found() {
        let store = Store::default();
        let meaning = |context: u8, vector: [f32; 2]| Meaning {
            context: [context; 32],
            vector: normalised(vector.to_vec()).unwrap(),
        };
        for (number, vector) in [(1, [1.0, 0.0]), (2, [1.0, 1.0]), (3, [0.0, 5.0])] {
            store.put(
                &shelf("a"),
                [number; 32],
                kept(&number.to_string()),
                Some(meaning(0, vector)),
                (at(0), bounds(9)),
            );
        }
        let found = |context, vector, threshold| {
            let hit = store.nearest(&shelf("a"), &meaning(context, vector), threshold, at(1))?;
            Some(hit.kept.whole.as_ref()?.1.clone())
        };
        assert_eq!(found(0, [0.1, 2.0], 0.9).as_deref(), Some(&b"3"[..]));
        assert_eq!(found(0, [3.0, 2.9], 0.9).as_deref(), Some(&b"2"[..]));
        assert_eq!(found(0, [-1.0, 0.0], 0.9), None);
        assert_eq!(found(1, [0.1, 2.0], 0.9), None, "another context");
        assert!(normalised(vec![0.0, 0.0]).is_none() && normalised(vec![f32::NAN]).is_none());
        assert_eq!(cosine(&[1.0], &[1.0, 0.0]), None);
    }
}
