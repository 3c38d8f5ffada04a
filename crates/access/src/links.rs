//! Links that sign someone in once, for a short time: from a terminal into a browser.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use stead_kernel::Timestamp;

use crate::{
    secret::{self, Digest},
    session::Holder,
};

/// How long a link is good.
pub(crate) const LIFETIME: Duration = Duration::from_mins(10);
/// How many links may be open at once; the oldest goes first.
const LINKS: usize = 100;

/// The links that nobody has used yet. A restart forgets them.
#[derive(Default)]
pub(crate) struct Links(Mutex<HashMap<Digest, Link>>);

struct Link {
    holder: Holder,
    expires: Timestamp,
}

impl Links {
    /// Makes a link for someone; returns its secret and when it expires.
    pub(crate) fn make(&self, holder: Holder, now: Timestamp) -> (String, Timestamp) {
        let secret = secret::random();
        let expires = now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, link| link.expires > now);
        if links.len() >= LINKS {
            let oldest = links
                .iter()
                .min_by_key(|(_, link)| link.expires)
                .map(|(digest, _)| *digest);
            oldest.map(|digest| links.remove(&digest));
        }
        links.insert(secret::digest(&secret), Link { holder, expires });
        (secret, expires)
    }

    /// Uses a link up; `None` when there is no such link, or no more.
    pub(crate) fn redeem(&self, secret: &str, now: Timestamp) -> Option<Holder> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.remove(&secret::digest(secret))?;
        (link.expires > now).then_some(link.holder)
    }

    /// Makes all links worthless.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn a_link_is_good_once_and_for_ten_minutes() {
        let links = Links::default();
        let (one, expires) = links.make(Holder::Administrator, at(0));
        assert_eq!(expires, at(600));
        assert_eq!(links.redeem("something else", at(1)), None);
        assert_eq!(links.redeem(&one, at(599)), Some(Holder::Administrator));
        assert_eq!(links.redeem(&one, at(599)), None);
        let (late, _) = links.make(Holder::Administrator, at(0));
        assert_eq!(links.redeem(&late, at(600)), None);
        let (cleared, _) = links.make(Holder::Administrator, at(0));
        links.clear();
        assert_eq!(links.redeem(&cleared, at(1)), None);
    }

    #[test]
    fn the_oldest_links_make_room() {
        let links = Links::default();
        let (first, _) = links.make(Holder::Administrator, at(0));
        for second in 1..=100 {
            links.make(Holder::Administrator, at(second));
        }
        assert_eq!(links.redeem(&first, at(101)), None);
        assert_eq!(links.0.lock().expect("alone").len(), LINKS);
    }
}
