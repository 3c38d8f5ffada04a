//! In which order targets are asked. Nothing here performs I/O.

use rand::{Rng, RngExt};

use crate::{
    route::Strategy,
    snapshot::{Route, Target},
};

/// The targets that the asker may use: lower priorities first; among equals by the route's strategy.
pub(super) fn order(route: &Route, admin: bool, random: &mut impl Rng) -> Vec<Target> {
    let mut targets: Vec<Target> = route
        .targets
        .iter()
        .filter(|target| target.provider.usable_by(admin))
        .cloned()
        .collect();
    match route.strategy {
        Strategy::Weighted if targets.len() > 1 => {
            // Drawing an exponential time for each, at a rate of its weight, and sorting by it is the same as drawing
            // one after the other without putting back.
            let mut drawn: Vec<(u32, f64, Target)> = targets
                .into_iter()
                .map(|target| {
                    let uniform: f64 = random.random_range(f64::MIN_POSITIVE..1.0);
                    let time = if target.weight == 0 {
                        f64::INFINITY
                    } else {
                        -uniform.ln() / f64::from(target.weight)
                    };
                    (target.priority, time, target)
                })
                .collect();
            drawn.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            targets = drawn.into_iter().map(|(_, _, target)| target).collect();
        }
        Strategy::Weighted | Strategy::Priority => {}
    }
    targets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{provider::Availability, snapshot::testing};

    fn first_of(route: &Route) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for _ in 0..10_000 {
            let order = order(route, false, &mut rand::rng());
            *counts.entry(order[0].provider.name.to_string()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn weights_are_shares_and_priorities_come_first() {
        let mut route = testing::route(
            Strategy::Weighted,
            &[("a", 3, 1), ("b", 1, 1), ("c", 100, 2), ("z", 0, 1)],
        );
        let counts = first_of(&route);
        assert_eq!(counts.keys().collect::<Vec<_>>(), ["a", "b"]);
        // 7,500 expected; ten standard deviations are 433.
        assert!((7_000..8_000).contains(&counts["a"]), "{counts:?}");
        let names = |route: &Route| -> Vec<String> {
            let order = order(route, false, &mut rand::rng());
            order
                .iter()
                .map(|target| target.provider.name.to_string())
                .collect()
        };
        assert_eq!(names(&route)[2..], ["z", "c"]);
        route.strategy = Strategy::Priority;
        assert_eq!(names(&route), ["a", "b", "z", "c"]);
    }

    #[test]
    fn targets_for_admins_are_left_out_for_others() {
        let mut route = testing::route(Strategy::Priority, &[("a", 1, 1)]);
        let target = testing::target("paid", Availability::Admins);
        route.targets.insert(0, target);
        assert_eq!(order(&route, false, &mut rand::rng()).len(), 1);
        assert_eq!(order(&route, true, &mut rand::rng()).len(), 2);
    }
}
