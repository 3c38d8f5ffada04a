//! Slows guessing down: a growing delay for each user and peer, and for each peer.
//!
//! *Invariant:* memory is bounded, whatever is tried.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use stead_kernel::{Error, Result, Timestamp};

/// How many tries are free for one user from one peer.
const FREE_FOR_USER: u32 = 5;
/// How many tries are free for one peer.
const FREE_FOR_PEER: u32 = 50;
/// The longest delay.
const LONGEST: Duration = Duration::from_mins(5);
/// After how much quiet tries are forgotten.
const FORGOTTEN: Duration = Duration::from_mins(15);
/// How many entries are kept.
const ENTRIES: usize = 10_000;

/// Counts tries.
#[derive(Default)]
pub(crate) struct Limiter(Mutex<HashMap<Key, Tries>>);

/// Whose tries. Of an IPv6 address the network counts, which is what one customer gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    User(String, IpAddr),
    Peer(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last: Timestamp,
}

impl Limiter {
    /// Counts a try; a success takes it back with [`succeeded`](Self::succeeded).
    ///
    /// # Errors
    /// `Exhausted` with a retry-after when it comes too early; such a try is not counted.
    pub(crate) fn attempt(&self, user: &str, peer: IpAddr, now: Timestamp) -> Result<()> {
        let peer = network(peer);
        let keys = [
            (Key::User(user.to_owned(), peer), FREE_FOR_USER),
            (Key::Peer(peer), FREE_FOR_PEER),
        ];
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, free) in &keys {
            let wait = entries.get_mut(key).and_then(|tries| {
                // The clock was set back: nobody waits for it to be then again.
                tries.last = tries.last.min(now);
                tries.wait(*free, now)
            });
            if let Some(wait) = wait {
                return Err(Error::exhausted("too many failed sign-ins from here").retry_after(wait));
            }
        }
        for (key, _) in keys {
            make_room(&mut entries, now);
            let tries = entries.entry(key).or_insert(Tries { count: 0, last: now });
            if quiet(tries.last, now) {
                tries.count = 0;
            }
            *tries = Tries {
                count: tries.count.saturating_add(1),
                last: now,
            };
        }
        Ok(())
    }

    /// Forgets the tries of a user from a peer.
    pub(crate) fn succeeded(&self, user: &str, peer: IpAddr) {
        let peer = network(peer);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&Key::User(user.to_owned(), peer));
        if let Some(tries) = entries.get_mut(&Key::Peer(peer)) {
            tries.count = tries.count.saturating_sub(1);
        }
    }
}

impl Tries {
    /// How much longer to wait; `None` when it is time.
    fn wait(self, free: u32, now: Timestamp) -> Option<Duration> {
        let over = self.count.checked_sub(free)?;
        let delay = Duration::from_secs(1)
            .saturating_mul(1_u32.checked_shl(over).unwrap_or(u32::MAX))
            .min(LONGEST);
        let passed = Duration::try_from(now.duration_since(self.last)).unwrap_or_default();
        delay.checked_sub(passed).filter(|wait| !wait.is_zero())
    }
}

fn quiet(last: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(last)).is_ok_and(|passed| passed > FORGOTTEN)
}

fn make_room(entries: &mut HashMap<Key, Tries>, now: Timestamp) {
    if entries.len() < ENTRIES {
        return;
    }
    entries.retain(|_, tries| !quiet(tries.last, now));
    if entries.len() < ENTRIES {
        return;
    }
    // An eighth at a time, so that a flood does not make every try look at every entry.
    let mut times: Vec<_> = entries.values().map(|tries| tries.last).collect();
    let (_, limit, _) = times.select_nth_unstable(ENTRIES / 8);
    let limit = *limit;
    let mut surplus = ENTRIES / 8;
    entries.retain(|_, tries| {
        let goes = surplus > 0 && tries.last <= limit;
        surplus -= usize::from(goes);
        !goes
    });
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).expect("in range")
    }

    fn wait(limiter: &Limiter, user: &str, now: Timestamp) -> Option<Duration> {
        limiter
            .attempt(user, PEER, now)
            .err()
            .and_then(|error| error.get_retry_after())
    }

    #[test]
    fn the_delay_grows_with_each_failure_up_to_a_limit() {
        let limiter = Limiter::default();
        for _ in 0..FREE_FOR_USER {
            assert_eq!(wait(&limiter, "ada", at(0)), None);
        }
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(
                wait(&limiter, "ada", at(now)),
                Some(Duration::from_secs(expected))
            );
            // Trying too early costs nothing more.
            assert_eq!(
                wait(&limiter, "ada", at(now)),
                Some(Duration::from_secs(expected))
            );
            now += i64::try_from(expected).expect("small");
            assert_eq!(wait(&limiter, "ada", at(now)), None);
        }
    }

    #[test]
    fn others_are_not_slowed_down_and_success_forgets() {
        let limiter = Limiter::default();
        for _ in 0..FREE_FOR_USER {
            assert_eq!(wait(&limiter, "ada", at(0)), None);
        }
        assert!(wait(&limiter, "ada", at(0)).is_some());
        assert_eq!(wait(&limiter, "bob", at(0)), None);
        assert!(
            limiter
                .attempt("ada", IpAddr::from([198, 51, 100, 1]), at(0))
                .is_ok()
        );
        limiter.succeeded("ada", PEER);
        assert_eq!(wait(&limiter, "ada", at(0)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limiter = Limiter::default();
        for _ in 0..=FREE_FOR_USER {
            drop(limiter.attempt("ada", PEER, at(100_000)));
        }
        assert_eq!(wait(&limiter, "ada", at(0)), Some(Duration::from_secs(1)));
        assert_eq!(wait(&limiter, "ada", at(1)), None);
    }

    #[test]
    fn quiet_time_forgets() {
        let limiter = Limiter::default();
        for _ in 0..FREE_FOR_USER {
            assert_eq!(wait(&limiter, "ada", at(0)), None);
        }
        for _ in 0..FREE_FOR_USER {
            assert_eq!(wait(&limiter, "ada", at(901)), None);
        }
    }

    #[test]
    fn one_peer_that_tries_many_names_is_slowed_down_too() {
        let limiter = Limiter::default();
        for user in 0..FREE_FOR_PEER {
            assert_eq!(wait(&limiter, &user.to_string(), at(0)), None);
        }
        assert!(wait(&limiter, "another", at(0)).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_peer() {
        let limiter = Limiter::default();
        for host in 0..FREE_FOR_USER {
            let peer = format!("2001:db8:1:1::{host:x}").parse().expect("an address");
            limiter.attempt("ada", peer, at(0)).expect("free");
        }
        let peer = "2001:db8:1:1:ffff::1".parse().expect("an address");
        limiter.attempt("ada", peer, at(0)).expect_err("the same network");
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::default();
        for number in 0..12_000_u32 {
            let peer = IpAddr::from(number.to_be_bytes());
            limiter
                .attempt("ada", peer, at(i64::from(number / 1000)))
                .expect("free");
        }
        assert!(limiter.0.lock().expect("alone").len() <= ENTRIES);
    }
}
