use std::{collections::BTreeMap, sync::Arc};

use http::HeaderMap;
use rand::{SeedableRng, rngs::StdRng};
use stead_dialects::chat::{Head, Wire};
use stead_kernel::ports::{Price, Prices};
use stead_routing::{Condition, Values};

use super::*;
use crate::{
    api::surface::Surface,
    operation::Operation,
    provider::Availability,
    route::policy::StickyBy,
    scan::{Scanned, scan},
    snapshot::{Asker, testing},
};

struct Free;

impl Prices for Free {
    fn price(&self, _: &str, _: &str) -> Option<Arc<Price>> {
        None
    }
}

fn chat(text: &str) -> Scanned {
    let body = format!(r#"{{"model":"chat","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    scan(body.into(), Wire::OpenAi, Head::default()).unwrap()
}

/// The names of targets in the order in which a user's or an admin's request finds them.
fn names(route: &Route, request: &Scanned, headers: &HeaderMap, admin: bool) -> Vec<String> {
    let question = Question {
        asker: Asker {
            project: "default",
            admin,
            key: None,
        },
        user: "ada",
        headers,
        request,
        surface: Surface::openai(Operation::Chat),
        prices: &Free,
    };
    let order = order(route, &question, &mut rand::rng());
    let targets = order.places().iter().map(|place| &route.targets[*place]);
    targets.map(|target| target.provider.name.to_string()).collect()
}

fn plain(route: &Route) -> Vec<String> {
    names(route, &chat("hi"), &HeaderMap::new(), false)
}

fn firsts(route: &Route) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for _ in 0..10_000 {
        *counts.entry(plain(route).remove(0)).or_default() += 1;
    }
    counts
}

#[test]
fn weights_are_shares_and_priorities_come_first() {
    let mut route = testing::route(
        Strategy::Weighted,
        &[("a", 3, 1), ("b", 1, 1), ("c", 100, 2), ("z", 0, 1)],
    );
    let counts = firsts(&route);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["a", "b"]);
    // 7,500 expected; ten standard deviations are 433.
    assert!((7_000..8_000).contains(&counts["a"]), "{counts:?}");
    assert_eq!(plain(&route)[2..], ["z", "c"]);
    route.strategy = Strategy::Priority;
    assert_eq!(plain(&route), ["a", "b", "z", "c"]);
}

#[test]
fn targets_for_admins_are_left_out_for_others() {
    let mut route = testing::route(Strategy::Priority, &[("a", 1, 1)]);
    let target = testing::target("paid", Availability::Admins);
    route.targets.insert(0, target);
    assert_eq!(plain(&route), ["a"]);
    assert_eq!(names(&route, &chat("hi"), &HeaderMap::new(), true).len(), 2);
    route.targets.truncate(1);
    assert!(plain(&route).is_empty());
}

#[test]
fn a_target_with_conditions_is_asked_only_by_requests_that_meet_them() {
    let mut route = testing::route(Strategy::Priority, &[("eu", 1, 1), ("any", 1, 2)]);
    let region = vec![("x-region".into(), Values(vec!["eu".into()]))];
    route.selective = true;
    route.targets[0].condition = Some(
        Condition {
            headers: region,
            ..Condition::default()
        }
        .into(),
    );
    assert_eq!(plain(&route), ["any"]);
    let mut headers = HeaderMap::new();
    headers.insert("x-region", "eu".parse().unwrap());
    assert_eq!(names(&route, &chat("hi"), &headers, false), ["eu", "any"]);
}

#[test]
fn a_canary_takes_its_share_first_and_nothing_else() {
    let mut route = testing::route(Strategy::Priority, &[("old", 1, 1), ("new", 1, 1)]);
    route.selective = true;
    route.targets[1].canary = Some(10);
    let counts = firsts(&route);
    assert!((800..1_200).contains(&counts["new"]), "{counts:?}");
    loop {
        let order = plain(&route);
        if order[0] == "new" {
            assert_eq!(order, ["new", "old"]);
            break;
        }
        assert_eq!(order, ["old"]);
    }
    route.sticky = Some(StickyBy::User);
    assert_eq!(firsts(&route).len(), 1, "a user stays in or out");
}

#[test]
fn a_session_is_a_header_a_user_or_the_beginning_of_a_conversation() {
    let targets: Vec<(String, u32, u32)> = (0..20).map(|number| (format!("p{number}"), 1, 1)).collect();
    let targets: Vec<_> = targets
        .iter()
        .map(|(name, weight, priority)| (name.as_str(), *weight, *priority))
        .collect();
    let route = testing::route(Strategy::Session, &targets);
    let first = |text: &str, header: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-session-id", header.parse().unwrap());
        }
        names(&route, &chat(text), &headers, false).remove(0)
    };
    assert_eq!(first("a", Some("s-1")), first("b", Some("s-1")));
    assert_eq!(first("a", None), first("a", None));
    let spread = |found: Vec<String>| found.into_iter().collect::<std::collections::BTreeSet<_>>().len();
    let sessions = (0..100).map(|number| first("a", Some(&format!("s-{number}"))));
    assert!(spread(sessions.collect()) > 15);
    let texts = (0..100).map(|number| first(&format!("question {number}"), None));
    assert!(spread(texts.collect()) > 15);
    let later = r#"{"model":"chat","messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#;
    let later = scan(later.into(), Wire::OpenAi, Head::default()).unwrap();
    let found = names(&route, &later, &HeaderMap::new(), false).remove(0);
    assert_eq!(found, first("a", None), "a conversation stays where it began");
}

#[test]
fn a_longer_prompt_follows_the_one_it_begins_with() {
    let route = testing::route(Strategy::PrefixAffinity, &[("a", 1, 1), ("b", 1, 1), ("c", 1, 1)]);
    let long = "x".repeat(2_000);
    let request = chat(&long);
    let headers = HeaderMap::new();
    let question = Question {
        asker: Asker {
            project: "default",
            admin: false,
            key: None,
        },
        user: "ada",
        headers: &headers,
        request: &request,
        surface: Surface::openai(Operation::Chat),
        prices: &Free,
    };
    let found = order(&route, &question, &mut StdRng::seed_from_u64(1));
    let target = found.first(&route).unwrap();
    let blocks = found.blocks.as_ref().unwrap();
    route.memory.prefixes().remember(blocks, target.identity);
    for tail in 0..50 {
        let order = names(&route, &chat(&format!("{long}{tail}")), &headers, false);
        assert_eq!(order[0], *target.provider.name);
    }
}

#[test]
fn one_target_for_all_needs_no_list() {
    let route = testing::route(Strategy::LeastBusy, &[("a", 1, 1)]);
    let headers = HeaderMap::new();
    let request = chat("hi");
    let question = Question {
        asker: Asker {
            project: "default",
            admin: false,
            key: None,
        },
        user: "ada",
        headers: &headers,
        request: &request,
        surface: Surface::openai(Operation::Chat),
        prices: &Free,
    };
    let found = order(&route, &question, &mut rand::rng());
    assert!(matches!(found.places, Places::One(0)) && found.blocks.is_none());
}
