//! Who has an item of a queue to themselves, and until when. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_kernel::Timestamp;

/// An item of a queue as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Item {
    /// The queue and the item, by which lists are made.
    pub(super) place: String,
    /// The trace or the thread.
    #[serde(rename = "item")]
    pub(super) entity: String,
    /// Who holds it, until when.
    #[serde(default)]
    pub(super) locks: BTreeMap<String, Timestamp>,
}

/// What became of a wish to hold an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It is held until then.
    Held(Timestamp),
    /// So many others hold it that there is no room; one of them, and until when.
    Taken(String, Timestamp),
}

impl Item {
    /// Those who hold it now.
    pub(super) fn holders(&self, now: Timestamp) -> impl Iterator<Item = (&String, &Timestamp)> {
        self.locks.iter().filter(move |(_, until)| **until > now)
    }

    /// Gives the item to someone until then, or extends what they hold, if no more than `most` hold it.
    pub(super) fn claim(&mut self, user: &str, now: Timestamp, until: Timestamp, most: u32) -> Claimed {
        self.locks.retain(|_, until| *until > now);
        let others = self.locks.iter().filter(|(holder, _)| *holder != user);
        if others.clone().count() >= most as usize {
            let soonest = others.min_by_key(|(_, until)| **until);
            let (holder, until) =
                soonest.map_or((String::new(), until), |(holder, until)| (holder.clone(), *until));
            return Claimed::Taken(holder, until);
        }
        self.locks.insert(user.to_owned(), until);
        Claimed::Held(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_may_hold_an_item_until_their_time_is_over() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut item = Item {
            place: "q/i".into(),
            entity: "i".into(),
            locks: BTreeMap::new(),
        };
        assert_eq!(item.claim("ada", at(0), at(10), 2), Claimed::Held(at(10)));
        assert_eq!(item.claim("bob", at(1), at(11), 2), Claimed::Held(at(11)));
        assert_eq!(
            item.claim("eve", at(2), at(12), 2),
            Claimed::Taken("ada".into(), at(10))
        );
        assert_eq!(
            item.claim("ada", at(3), at(13), 2),
            Claimed::Held(at(13)),
            "a holder extends"
        );
        assert_eq!(
            item.claim("eve", at(11), at(21), 2),
            Claimed::Held(at(21)),
            "an old lock is none"
        );
        assert_eq!(item.holders(at(12)).count(), 2);
    }
}
