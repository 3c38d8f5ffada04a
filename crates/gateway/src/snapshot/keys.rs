//! Keys as the request path sees them, by hash and by name.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use kube::ResourceExt;
use stead_kernel::{Credential, Principal, Timestamp, groups};

use super::shards::Shards;
use crate::key::{ApiKey, plan, text};

/// The user whose keys count as an admin's.
const ADMIN: &str = "admin";

/// A key, ready for use.
#[derive(Debug)]
pub(crate) struct Key {
    /// `project/name`.
    id: Box<str>,
    pub(crate) project: Arc<str>,
    pub(crate) name: Arc<str>,
    hash: text::Hash,
    /// The key before this one, and until when it works.
    previous: Option<(text::Hash, Timestamp)>,
    /// The networks that it may be used from; any when there are none.
    networks: Vec<IpNet>,
    /// The team that its usage counts for, or nothing.
    pub(crate) team: Box<str>,
    /// Who uses it.
    pub(crate) principal: Arc<Principal>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) disabled: bool,
    /// Whether its owner is the admin.
    pub(crate) admin: bool,
    routes: Vec<String>,
    models: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    created: Option<Timestamp>,
}

impl Key {
    /// Compiles an object; `None` while it has no hash yet.
    pub(crate) fn of(object: &ApiKey) -> Option<Self> {
        let spec = &object.spec;
        let status = object.status.as_ref();
        let printed = match &spec.write_to_secret_ref {
            Some(_) => status.and_then(|status| status.key_hash.as_deref()),
            None => spec.key_hash.as_deref(),
        };
        let hash = text::parse(printed?)?;
        let project = object.namespace()?;
        let name = object.name_any();
        let user = spec
            .owner
            .as_ref()
            .map(|owner| owner.user.clone())
            .unwrap_or_default();
        Some(Self {
            id: id(&project, &name).into(),
            admin: user == ADMIN,
            principal: Arc::new(Principal {
                user,
                groups: vec![groups::AUTHENTICATED.into()],
                projects: vec![project.clone()],
                credential: Credential::ApiKey {
                    project: project.clone(),
                    name: name.clone(),
                },
            }),
            project: project.into(),
            name: name.into(),
            hash,
            previous: plan::previous(spec, status),
            networks: spec
                .allowed_addresses
                .iter()
                .filter_map(|text| plan::network(text))
                .collect(),
            team: spec.team.as_deref().unwrap_or_default().into(),
            expires: plan::expiry(spec),
            // An expiry that cannot be read is taken as over, and a network that cannot be read as none.
            disabled: spec.disabled
                || (spec.expires.is_some() && plan::expiry(spec).is_none())
                || spec
                    .allowed_addresses
                    .iter()
                    .any(|text| plan::network(text).is_none()),
            routes: spec.routes.clone(),
            models: spec.models.clone(),
            labels: spec.metadata.clone(),
            created: object.creation_timestamp().map(|time| time.0),
        })
    }

    /// Until when a text with this hash works; `None` for the key itself.
    pub(crate) fn replaced(&self, hash: &text::Hash) -> Option<Timestamp> {
        let (_, until) = self
            .previous
            .filter(|(previous, _)| previous == hash && self.hash != *hash)?;
        Some(until)
    }

    /// Whether it may be used from an address; one that is not known fits no network.
    pub(crate) fn allows_address(&self, address: Option<IpAddr>) -> bool {
        self.networks.is_empty()
            || address.is_some_and(|address| {
                let address = address.to_canonical();
                self.networks.iter().any(|network| network.contains(&address))
            })
    }

    /// The hashes that it is found by.
    fn hashes(&self) -> impl Iterator<Item = text::Hash> + use<> {
        let previous = self
            .previous
            .map(|(hash, _)| hash)
            .filter(|hash| *hash != self.hash);
        [Some(self.hash), previous].into_iter().flatten()
    }

    fn is_free(&self) -> bool {
        self.routes.is_empty() && self.models.is_empty()
    }

    /// Whether it may use the route.
    pub(crate) fn allows_route(&self, route: &str) -> bool {
        self.is_free() || self.routes.iter().any(|allowed| allowed == route)
    }

    /// Whether it may use a provider's model without a route.
    pub(crate) fn allows_model(&self, provider: &str, model: &str) -> bool {
        self.is_free()
            || self
                .models
                .iter()
                .any(|pattern| matches(pattern, provider, model))
    }
}

/// Whether a pattern (`provider/model`, or a model's name; `*` at the end for any) means this model.
fn matches(pattern: &str, provider: &str, model: &str) -> bool {
    let (text, open) = match pattern.strip_suffix('*') {
        Some(text) => (text, true),
        None => (pattern, false),
    };
    let fits = |name: &str| {
        if open {
            name.starts_with(text)
        } else {
            name == text
        }
    };
    fits(model) || fits(&format!("{provider}/{model}"))
}

fn id(project: &str, name: &str) -> String {
    format!("{project}/{name}")
}

/// Keys by hash and by name. Copies share what did not change.
#[derive(Clone)]
pub(crate) struct KeyTable {
    /// Several objects may claim one hash; the oldest has it.
    by_hash: Shards<text::Hash, Vec<Arc<Key>>>,
    by_name: Shards<Box<str>, Arc<Key>>,
}

impl Default for KeyTable {
    fn default() -> Self {
        Self {
            by_hash: Shards::new(|hash| hash.first().copied().unwrap_or_default()),
            by_name: Shards::new(|name| {
                let mixed = name.iter().fold(0x811c_9dc5_u32, |sum, byte| {
                    (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
                });
                u8::try_from((mixed ^ (mixed >> 16)) & 0xff).unwrap_or_default()
            }),
        }
    }
}

impl KeyTable {
    /// The key with this hash.
    pub(crate) fn by_hash(&self, hash: &text::Hash) -> Option<&Arc<Key>> {
        self.by_hash
            .get(hash.as_slice())
            .and_then(|claims| claims.first())
    }

    /// The key with this name.
    pub(crate) fn by_name(&self, project: &str, name: &str) -> Option<&Arc<Key>> {
        self.by_name.get(id(project, name).as_str())
    }

    /// Adds or replaces a key.
    pub(crate) fn put(&mut self, key: Key) {
        self.remove(&key.project, &key.name);
        let key = Arc::new(key);
        if let Some(piece) = self.by_name.piece(key.id.as_bytes()) {
            piece.insert(key.id.clone(), Arc::clone(&key));
        }
        for hash in key.hashes() {
            if let Some(piece) = self.by_hash.piece(&hash) {
                let claims = piece.entry(hash).or_default();
                claims.push(Arc::clone(&key));
                claims.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
            }
        }
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, project: &str, name: &str) {
        let id = id(project, name);
        if self.by_name.get(id.as_str()).is_none() {
            return;
        }
        let removed = self
            .by_name
            .piece(id.as_bytes())
            .and_then(|piece| piece.remove(id.as_str()));
        let Some(key) = removed else { return };
        for hash in key.hashes() {
            if let Some(piece) = self.by_hash.piece(&hash)
                && let Some(claims) = piece.get_mut(&hash)
            {
                claims.retain(|claim| claim.id != key.id);
                if claims.is_empty() {
                    piece.remove(&hash);
                }
            }
        }
    }

    /// How many keys there are.
    pub(crate) fn count(&self) -> usize {
        self.by_name.values().count()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(project: &str, name: &str, text: &str, created: &str) -> Key {
        let object = serde_json::from_value(json!({
            "apiVersion": "stead.dev/v1alpha1", "kind": "ApiKey",
            "metadata": {"name": name, "namespace": project, "creationTimestamp": created},
            "spec": {"owner": {"user": "ada"}, "keyHash": text::print(&text::hash(text.as_bytes())),
                "routes": ["chat"], "models": ["local/*", "gpt-4o"]},
        }))
        .unwrap();
        Key::of(&object).unwrap()
    }

    const OLD: &str = "2026-01-01T00:00:00Z";
    const NEW: &str = "2026-01-02T00:00:00Z";

    #[test]
    fn a_key_is_found_by_hash_and_by_name_until_it_is_removed() {
        let mut table = KeyTable::default();
        table.put(key("a", "k", "one", OLD));
        let before = table.clone();
        table.put(key("a", "k", "two", OLD));
        assert!(table.by_hash(&text::hash(b"one")).is_none());
        assert!(table.by_hash(&text::hash(b"two")).is_some());
        assert!(
            before.by_hash(&text::hash(b"one")).is_some(),
            "a copy does not change"
        );
        table.remove("a", "k");
        assert!(table.by_name("a", "k").is_none());
        assert_eq!((table.count(), before.count()), (0, 1));
    }

    fn rotated() -> Key {
        let hash = |text: &str| text::print(&text::hash(text.as_bytes()));
        let object = serde_json::from_value(json!({
            "apiVersion": "stead.dev/v1alpha1", "kind": "ApiKey",
            "metadata": {"name": "k", "namespace": "a"},
            "spec": {"owner": {"user": "ada"}, "keyHash": hash("new"), "team": "blue",
                "allowedAddresses": ["10.0.0.0/8", "::1"],
                "previous": {"keyHash": hash("old"), "until": "2026-12-01T00:00:00Z"}},
        }))
        .unwrap();
        Key::of(&object).unwrap()
    }

    #[test]
    fn a_key_is_found_by_the_one_before_it_too() {
        let mut table = KeyTable::default();
        table.put(rotated());
        let found = |table: &KeyTable, text: &str| table.by_hash(&text::hash(text.as_bytes())).cloned();
        let (new, old) = (found(&table, "new").unwrap(), found(&table, "old").unwrap());
        assert!(Arc::ptr_eq(&new, &old));
        assert_eq!(new.replaced(&text::hash(b"new")), None);
        assert_eq!(
            new.replaced(&text::hash(b"old")),
            Some("2026-12-01T00:00:00Z".parse().unwrap())
        );
        table.put(key("a", "k", "newest", OLD));
        assert!(found(&table, "old").is_none() && found(&table, "new").is_none());
    }

    #[test]
    fn a_key_works_from_the_networks_that_it_names() {
        let key = rotated();
        let from = |text: &str| key.allows_address(Some(text.parse().unwrap()));
        assert!(from("10.1.2.3") && from("::ffff:10.1.2.3") && from("::1"));
        assert!(!from("192.0.2.1") && !from("::2") && !key.allows_address(None));
    }

    /// What a request does with a hundred thousand keys is what it does with one: it looks into one of 256 pieces.
    #[test]
    fn a_hundred_thousand_keys_are_looked_up_in_one_piece_of_even_size() {
        let mut table = KeyTable::default();
        for number in 0..100_000 {
            table.put(key("a", &format!("key-{number}"), &format!("text-{number}"), OLD));
        }
        assert_eq!(table.count(), 100_000);
        let largest = table.by_hash.sizes().max().unwrap();
        let names = table.by_name.sizes().max().unwrap();
        assert!(
            largest < 600 && names < 600,
            "{largest} {names} of 391 on average"
        );
        let before = table.clone();
        table.put(key("a", "one-more", "text", OLD));
        // The change copied one piece of each map; all others are shared.
        assert!(before.by_hash.shared_with(&table.by_hash) >= 255);
    }

    #[test]
    fn a_hash_that_two_objects_claim_is_the_older_ones() {
        let mut table = KeyTable::default();
        table.put(key("b", "thief", "same", NEW));
        table.put(key("a", "owner", "same", OLD));
        let hash = text::hash(b"same");
        assert_eq!(&*table.by_hash(&hash).unwrap().project, "a");
        table.remove("a", "owner");
        assert_eq!(&*table.by_hash(&hash).unwrap().project, "b");
    }

    #[test]
    fn a_key_may_use_what_its_lists_name() {
        let key = key("a", "k", "x", OLD);
        assert!(key.allows_route("chat") && !key.allows_route("other"));
        let cases = [
            ("local", "any", true),
            ("openai", "gpt-4o", true),
            ("openai", "gpt-4o-mini", false),
            ("locals", "x", false),
        ];
        for (provider, model, expected) in cases {
            assert_eq!(key.allows_model(provider, model), expected, "{provider}/{model}");
        }
    }
}
