//! What a change of items makes of a dataset's versions. Pure.
//!
//! Each item has one *current* row, and a row of *history* for each state that it had in an older version. A row says
//! from which version on (`since`) and, in history, up to which (`until`, which no longer has it) its state was the
//! dataset's. A version is thus a number, and nothing is copied to make one: a change writes what it changes.
//!
//! *Invariant:* after any changes, the rows that a version has are those that it had when the next one began.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shape::{Item, Version};
use crate::opik::shelf::{Stamps, Who, digest, new_id};

/// A state of an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The dataset and the item; in history with `since` too. Lists are made by it.
    pub(crate) place: String,
    /// The item, in history: what its older states are found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) item_id: Option<String>,
    /// The first version with this state.
    pub(crate) since: u64,
    /// The first version without it; absent while it is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<u64>,
    /// Whether version `since` added the item, and did not change it.
    pub(crate) fresh: bool,
    /// The item.
    pub(crate) item: Item,
}

impl Row {
    /// Whether a version has it.
    pub(crate) fn is_in(&self, version: u64) -> bool {
        self.since <= version && self.until.is_none_or(|until| version < until)
    }

    fn current(item: Item, since: u64, fresh: bool) -> Self {
        Self {
            place: place(&item.dataset_id, &item.id),
            item_id: None,
            since,
            until: None,
            fresh,
            item,
        }
    }

    fn ended(mut self, until: u64) -> Self {
        self.place = format!("{}/{:010}", self.place, self.since);
        self.item_id = Some(self.item.id.clone());
        self.until = Some(until);
        self
    }

    /// The id of a row of history.
    pub(super) fn history_id(&self) -> String {
        format!("{}/{}", self.item.id, self.since)
    }
}

/// Where an item lies among its dataset's.
pub(super) fn place(dataset: &str, item: &str) -> String {
    format!("{dataset}/{item}")
}

/// A change of some items.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Change {
    /// Items to be added or replaced, each once.
    pub(super) upserts: Vec<Item>,
    /// Items to be removed.
    pub(super) deletes: Vec<String>,
}

/// What a new version says beside its items.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seed {
    /// Batches of one group make up one version; without a group a batch changes the newest version.
    pub(super) group: Option<String>,
    /// Whether a version is begun even though there is no group.
    pub(super) forced: bool,
    pub(super) description: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) metadata: Option<Value>,
    /// What items are evaluated with from this version on; absent: as in the version before.
    pub(super) evaluators: Option<Value>,
    pub(super) execution_policy: Option<Value>,
    pub(super) clear_execution_policy: Option<bool>,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    /// The version that the change is in.
    pub(super) version: Version,
    /// Current rows to be stored.
    pub(super) current: Vec<Row>,
    /// Rows of history to be stored.
    pub(super) history: Vec<Row>,
    /// Items that no longer have a current row.
    pub(super) gone: Vec<String>,
}

/// Plans a change of a dataset whose newest version is `latest`, from the current rows of the items that it names.
pub(super) fn plan(
    who: &Who,
    dataset: &str,
    latest: Option<&Version>,
    seed: &Seed,
    mut rows: BTreeMap<String, Row>,
    change: Change,
) -> Outcome {
    let mut outcome = Outcome {
        version: version(who, dataset, latest, seed),
        current: Vec::new(),
        history: Vec::new(),
        gone: Vec::new(),
    };
    for item in change.upserts {
        let row = rows.remove(&item.id);
        outcome.upsert(item, row);
    }
    for id in change.deletes {
        if let Some(row) = rows.remove(&id) {
            outcome.delete(row);
        }
    }
    outcome
}

impl Outcome {
    fn upsert(&mut self, mut item: Item, row: Option<Row>) {
        let number = self.version.number;
        let Some(row) = row else {
            self.version.items_added += 1;
            self.version.items_total += 1;
            self.current.push(Row::current(item, number, true));
            return;
        };
        if same(&item, &row.item) {
            return;
        }
        item.stamps.created_at = row.item.stamps.created_at;
        item.stamps.created_by.clone_from(&row.item.stamps.created_by);
        if row.since == number {
            self.current.push(Row { item, ..row });
            return;
        }
        self.version.items_modified += 1;
        self.history.push(row.ended(number));
        self.current.push(Row::current(item, number, false));
    }

    fn delete(&mut self, row: Row) {
        let version = &mut self.version;
        version.items_total = version.items_total.saturating_sub(1);
        self.gone.push(row.item.id.clone());
        if row.since < version.number {
            version.items_deleted += 1;
            self.history.push(row.ended(version.number));
        } else if row.fresh {
            version.items_added = version.items_added.saturating_sub(1);
        } else {
            // Its state before is in the history already.
            version.items_modified = version.items_modified.saturating_sub(1);
            version.items_deleted += 1;
        }
    }
}

/// Whether two states of an item say the same.
fn same(a: &Item, b: &Item) -> bool {
    let content = |item: &Item| {
        let mut item = item.clone();
        item.stamps = b.stamps.clone();
        item
    };
    content(a) == content(b)
}

/// The version that a change belongs to: the newest one, or a new one after it.
fn version(who: &Who, dataset: &str, latest: Option<&Version>, seed: &Seed) -> Version {
    let goes_on = |version: &&Version| !seed.forced && (seed.group.is_none() || seed.group == version.group);
    if let Some(latest) = latest.filter(goes_on) {
        let mut version = latest.clone();
        version.stamps.touch(who);
        return version;
    }
    let (id, number) = (new_id(), latest.map_or(0, |latest| latest.number) + 1);
    let hash = hash(dataset, number, &id);
    let inherited = |get: fn(&Version) -> &Option<Value>| latest.and_then(|latest| get(latest).clone());
    let policy = match seed.clear_execution_policy {
        Some(true) => None,
        _ => seed
            .execution_policy
            .clone()
            .or_else(|| inherited(|version| &version.execution_policy)),
    };
    Version {
        place: format!("{dataset}/{number:010}"),
        hashed: format!("{dataset}/{hash}"),
        hash,
        dataset_id: dataset.to_owned(),
        tags: seed.tags.clone(),
        number,
        items_total: latest.map_or(0, |latest| latest.items_total),
        items_added: 0,
        items_modified: 0,
        items_deleted: 0,
        change_description: seed.description.clone(),
        metadata: seed.metadata.clone(),
        evaluators: seed
            .evaluators
            .clone()
            .or_else(|| inherited(|version| &version.evaluators)),
        execution_policy: policy,
        stamps: Stamps::new(who),
        group: seed.group.clone(),
        id,
    }
}

/// A short name of a version that no other version of the dataset has.
fn hash(dataset: &str, number: u64, id: &str) -> String {
    digest(format!("{dataset}/{number}/{id}").as_bytes(), 6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn who() -> Who {
        Who::new(
            "default".into(),
            "ada".into(),
            stead_kernel::Timestamp::UNIX_EPOCH,
        )
    }

    fn item(id: &str, value: u8) -> Item {
        Item {
            id: id.to_owned(),
            trace_id: None,
            span_id: None,
            source: "sdk".into(),
            data: json!({"value": value}),
            description: None,
            tags: None,
            evaluators: None,
            execution_policy: None,
            dataset_id: "d".into(),
            stamps: Stamps::new(&who()),
        }
    }

    /// A dataset in memory, made by plans.
    #[derive(Default)]
    struct Kept {
        versions: Vec<Version>,
        current: BTreeMap<String, Row>,
        history: BTreeMap<String, Row>,
    }

    impl Kept {
        fn change(&mut self, group: Option<&str>, change: Change) {
            let seed = Seed {
                group: group.map(str::to_owned),
                ..Seed::default()
            };
            let named: Vec<&String> = change
                .upserts
                .iter()
                .map(|item| &item.id)
                .chain(&change.deletes)
                .collect();
            let rows = named
                .into_iter()
                .filter_map(|id| Some((id.clone(), self.current.get(id)?.clone())));
            let outcome = plan(&who(), "d", self.versions.last(), &seed, rows.collect(), change);
            if self
                .versions
                .last()
                .is_some_and(|last| last.number == outcome.version.number)
            {
                self.versions.pop();
            }
            self.versions.push(outcome.version);
            for id in outcome.gone {
                self.current.remove(&id);
            }
            for row in outcome.current {
                self.current.insert(row.item.id.clone(), row);
            }
            for row in outcome.history {
                assert!(
                    self.history.insert(row.history_id(), row).is_none(),
                    "history is written once"
                );
            }
        }

        fn at(&self, version: u64) -> BTreeMap<String, Value> {
            let rows = self.current.values().chain(self.history.values());
            let rows = rows.filter(|row| row.is_in(version));
            let mut found = BTreeMap::new();
            for row in rows {
                assert!(
                    found.insert(row.item.id.clone(), row.item.data.clone()).is_none(),
                    "one state each"
                );
            }
            found
        }
    }

    fn upsert(items: &[(&str, u8)]) -> Change {
        Change {
            upserts: items.iter().map(|(id, value)| item(id, *value)).collect(),
            ..Change::default()
        }
    }

    fn delete(ids: &[&str]) -> Change {
        Change {
            deletes: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Change::default()
        }
    }

    #[test]
    fn batches_of_a_group_make_one_version_and_count_against_the_one_before() {
        let mut kept = Kept::default();
        kept.change(None, upsert(&[("a", 1), ("b", 1)]));
        kept.change(None, upsert(&[("c", 1)]));
        kept.change(Some("g"), upsert(&[("a", 2), ("b", 1)]));
        kept.change(Some("g"), delete(&["a", "c", "nothing"]));
        kept.change(Some("g"), upsert(&[("d", 1)]));
        kept.change(Some("g"), delete(&["d"]));
        kept.change(Some("h"), delete(&["b"]));
        let counts = kept.versions.iter().map(|version| {
            let Version {
                items_total,
                items_added,
                items_modified,
                items_deleted,
                ..
            } = version;
            (
                version.name(),
                [*items_total, *items_added, *items_modified, *items_deleted],
            )
        });
        assert_eq!(
            counts.collect::<Vec<_>>(),
            [
                ("v1".into(), [3, 3, 0, 0]),
                ("v2".into(), [1, 0, 0, 2]),
                ("v3".into(), [0, 0, 0, 1])
            ]
        );
        assert_eq!(kept.at(1).len(), 3);
        assert_eq!(kept.at(1)["a"], json!({"value": 1}));
        assert_eq!(kept.at(2).keys().collect::<Vec<_>>(), ["b"]);
        assert!(kept.at(3).is_empty());
    }

    #[test]
    fn a_version_inherits_what_items_are_evaluated_with() {
        let seed = |evaluators: Option<Value>, clear: Option<bool>| Seed {
            forced: true,
            evaluators,
            execution_policy: None,
            clear_execution_policy: clear,
            ..Seed::default()
        };
        let mut first = version(&who(), "d", None, &seed(Some(json!(["e"])), None));
        first.execution_policy = Some(json!({"runs_per_item": 2}));
        let second = version(&who(), "d", Some(&first), &seed(None, None));
        assert_eq!((second.number, &second.evaluators), (2, &Some(json!(["e"]))));
        assert_eq!(second.execution_policy, first.execution_policy);
        let third = version(&who(), "d", Some(&second), &seed(Some(json!([])), Some(true)));
        assert_eq!(
            (third.evaluators, third.execution_policy),
            (Some(json!([])), None)
        );
        assert_ne!(first.hash, second.hash);
    }

    /// The group of a batch, the items that it stores with their values, and those that it removes.
    type Step = (Option<u8>, Vec<(u8, u8)>, Vec<u8>);

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let upserts = prop::collection::btree_map(0..6_u8, 0..3_u8, 0..5);
        let upserts = upserts.prop_map(|items| items.into_iter().collect());
        let step = (
            prop::option::of(0..3_u8),
            upserts,
            prop::collection::vec(0..6_u8, 0..4),
        );
        prop::collection::vec(step, 1..12)
    }

    proptest! {
        #[test]
        fn every_version_stays_what_it_was_when_the_next_one_began(steps in steps()) {
            let mut kept = Kept::default();
            let mut model: BTreeMap<String, Value> = BTreeMap::new();
            let mut snapshots: BTreeMap<u64, BTreeMap<String, Value>> = BTreeMap::new();
            for (group, upserts, deletes) in steps {
                let mut change = Change::default();
                for (id, value) in upserts {
                    model.insert(id.to_string(), json!({"value": value}));
                    change.upserts.push(item(&id.to_string(), value));
                }
                let named: Vec<String> = change.upserts.iter().map(|item| item.id.clone()).collect();
                for id in deletes.into_iter().map(|id| id.to_string()).filter(|id| !named.contains(id)) {
                    model.remove(&id);
                    change.deletes.push(id);
                }
                kept.change(group.map(|group| group.to_string()).as_deref(), change);
                let last = kept.versions.last().unwrap();
                prop_assert_eq!(last.items_total, model.len() as u64);
                snapshots.insert(last.number, model.clone());
            }
            for (pair, next) in kept.versions.iter().zip(kept.versions.iter().skip(1)) {
                let total = pair.items_total + next.items_added - next.items_deleted;
                prop_assert_eq!(next.items_total, total);
            }
            for (number, snapshot) in snapshots {
                prop_assert_eq!(kept.at(number), snapshot);
            }
        }
    }
}
