//! Choices by hash instead of by chance: the same key finds the same target as long as that target is there, and a
//! target that comes or goes moves only its own share (Thaler and Ravishankar, "Using name-based mappings to increase
//! hit rates", 1998).

use crate::hash::{mix, unit};

/// When a target with this weight finishes in the race for a key: the earliest is the key's own. Times are exponential
/// at a rate of the weight, so weights are shares; a weight of 0 never finishes.
pub fn time(key: u64, target: u64, weight: u32) -> f64 {
    race(unit(mix(key ^ mix(target))), weight)
}

/// The time at which a target finishes that drew this number over 0 and up to 1.
pub(crate) fn race(drawn: f64, weight: u32) -> f64 {
    if weight == 0 {
        f64::INFINITY
    } else {
        -drawn.ln() / f64::from(weight)
    }
}

/// The place of a key among all keys, in `0..100`.
pub fn percentile(key: u64) -> f64 {
    // Another hash than that which chooses targets, so that canaries do not skew their shares.
    (1.0 - unit(mix(key ^ 0x6361_6e61_7279))) * 100.0
}

/// Which of the canaries a request at this percentile belongs to, by their shares in percent: the first takes the
/// lowest percentiles, so a share that grows keeps those it had.
pub fn canary(shares: impl IntoIterator<Item = u32>, percentile: f64) -> Option<usize> {
    let mut end = 0.0;
    for (place, share) in shares.into_iter().enumerate() {
        end += f64::from(share);
        if percentile < end {
            return Some(place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::stable;

    fn owner(key: u64, targets: &[(u64, u32)]) -> u64 {
        let time = |target: &&(u64, u32)| time(key, target.0, target.1);
        let first = targets.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
        first.map(|target| target.0).unwrap()
    }

    #[test]
    fn weights_are_shares_of_keys() {
        let targets = [(11, 3), (22, 1), (33, 0)];
        let mut counts = [0_u32; 3];
        for number in 0..10_000_u64 {
            let key = stable(0, &number.to_le_bytes());
            let owner = owner(key, &targets);
            counts[targets.iter().position(|target| target.0 == owner).unwrap()] += 1;
        }
        // 7,500 expected; ten standard deviations are 433.
        assert!((7_000..8_000).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn a_target_that_goes_moves_only_its_own_keys() {
        let (all, fewer) = ([(1, 1), (2, 1), (3, 1)], [(1, 1), (3, 1)]);
        for key in 0..1_000 {
            let (before, after) = (owner(key, &all), owner(key, &fewer));
            assert!(before == after || before == 2);
        }
    }

    #[test]
    fn canaries_take_their_percent_and_keep_them_when_they_grow() {
        let keys = || (0..10_000_u64).map(|number| stable(0, &number.to_le_bytes()));
        let taken = |share: u32| -> Vec<u64> {
            keys()
                .filter(|key| canary([share], percentile(*key)).is_some())
                .collect()
        };
        let (five, ten) = (taken(5), taken(10));
        assert!((400..600).contains(&five.len()), "{}", five.len());
        assert!((850..1_150).contains(&ten.len()), "{}", ten.len());
        assert!(five.iter().all(|key| ten.contains(key)));
        assert_eq!((taken(0).len(), taken(100).len()), (0, 10_000));
        assert_eq!(canary([5, 10], 4.9), Some(0));
        assert_eq!(canary([5, 10], 5.0), Some(1));
        assert_eq!(canary([5, 10], 15.0), None);
    }
}
