//! What is served, for clients that ask.

use std::collections::BTreeMap;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stead_kernel::Verb;

use super::{
    answer,
    review::{REVIEWS, Scope},
};
use crate::{
    kinds::{Registry, ResourceType, api_version, rules::Rules},
    object::root_mut,
};

/// The version of Kubernetes whose API this is.
const KUBERNETES: (&str, &str) = ("1", "36");
/// The media type of the aggregated form.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/version`.
pub(super) fn version(own: &str) -> Value {
    let (major, minor) = KUBERNETES;
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": format!("v{major}.{minor}.0+stead-{own}"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `/api`.
pub(super) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// All groups but the core one, the reviews' included.
fn named_groups(registry: &Registry) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = registry
        .groups()
        .into_iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| {
            let versions = versions.into_iter().map(str::to_owned).collect();
            (group.to_owned(), versions)
        })
        .collect();
    for review in REVIEWS {
        groups
            .entry(review.group.into())
            .or_insert_with(|| vec!["v1".into()]);
    }
    groups
}

/// `/apis`.
pub(super) fn groups(registry: &Registry) -> Value {
    let groups: Vec<Value> = named_groups(registry)
        .iter()
        .map(|(group, versions)| describe_group(group, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(super) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = named_groups(registry);
    let mut group = describe_group(name, groups.get(name)?);
    let map = group.as_object_mut()?;
    map.insert("kind".into(), "APIGroup".into());
    map.insert("apiVersion".into(), "v1".into());
    Some(group)
}

fn describe_group(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": api_version(name, version), "version": version}))
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(super) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for kind in sorted(registry, group, version) {
        let mut entry = json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs(kind),
        });
        let map = root_mut(&mut entry);
        for (name, words) in [
            ("shortNames", &kind.short_names),
            ("categories", &kind.categories),
        ] {
            if !words.is_empty() {
                map.insert(name.into(), words.clone().into());
            }
        }
        map.insert("storageVersionHash".into(), storage_hash(kind).into());
        list.push(entry);
        if kind.status {
            list.push(json!({
                "name": format!("{}/status", kind.plural),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
        if kind.rules == Rules::Account {
            list.push(json!({
                "name": format!("{}/token", kind.plural),
                "singularName": "",
                "namespaced": true,
                "group": "authentication.k8s.io",
                "version": "v1",
                "kind": "TokenRequest",
                "verbs": ["create"],
            }));
        }
        if kind.scale.is_some() {
            list.push(json!({
                "name": format!("{}/scale", kind.plural),
                "singularName": "",
                "namespaced": kind.namespaced,
                "group": "autoscaling",
                "version": "v1",
                "kind": "Scale",
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    for review in reviews(group, version) {
        list.push(json!({
            "name": review.resource,
            "singularName": review.kind.to_lowercase(),
            "namespaced": review.scope == Scope::Namespaced,
            "kind": review.kind,
            "verbs": ["create"],
        }));
    }
    if list.is_empty() {
        return None;
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": list,
    }))
}

/// What can be done with every stored kind, in the order in which the original lists it.
fn verbs(kind: &ResourceType) -> Vec<&'static str> {
    let mut verbs: Vec<&str> = Verb::ALL.into_iter().map(Verb::as_str).collect();
    verbs.sort_unstable();
    if kind.rules == Rules::Namespace {
        verbs.retain(|verb| *verb != Verb::DeleteCollection.as_str());
    }
    if kind.defined {
        let rank = |verb: &&str| match *verb {
            "create" => 1,
            "update" => 2,
            "watch" => 3,
            _ => 0,
        };
        verbs.sort_by_key(rank);
    }
    verbs
}

/// Tells one kind, as it is stored, from every other: the first bytes of a digest of its group, version and kind.
fn storage_hash(kind: &ResourceType) -> String {
    let text = format!("{}/{}/{}", kind.told_group(), kind.stored_version, kind.kind);
    let digest = Sha256::digest(text.as_bytes());
    STANDARD.encode(digest.get(..8).unwrap_or_default())
}

/// Whether anything of a version of a group is served.
pub(super) fn is_served(registry: &Registry, group: &str, version: &str) -> bool {
    registry.of_version(group, version).next().is_some() || reviews(group, version).next().is_some()
}

/// The kinds of one version of a group by their names.
fn sorted<'a>(registry: &'a Registry, group: &str, version: &str) -> Vec<&'a ResourceType> {
    let mut kinds: Vec<&ResourceType> = registry.of_version(group, version).map(AsRef::as_ref).collect();
    kinds.sort_by(|a, b| a.plural.cmp(&b.plural));
    kinds
}

fn reviews(group: &str, version: &str) -> impl Iterator<Item = &'static super::review::Review> {
    let fits = version == "v1";
    let group = group.to_owned();
    REVIEWS.iter().filter(move |review| fits && review.group == group)
}

/// Everything in one answer: the core group under `/api`, the others under `/apis`.
pub(super) fn aggregated(registry: &Registry, core: bool) -> Response {
    let groups = if core {
        BTreeMap::from([(String::new(), vec!["v1".to_owned()])])
    } else {
        named_groups(registry)
    };
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    json!({
                        "version": version,
                        "freshness": "Current",
                        "resources": aggregated_resources(registry, group, version),
                    })
                })
                .collect();
            let mut metadata = json!({"creationTimestamp": null});
            if !group.is_empty() {
                metadata = json!({"name": group, "creationTimestamp": null});
            }
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    let mut response = answer(StatusCode::OK, &list);
    let media_type = HeaderValue::from_static(AGGREGATED);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

fn aggregated_resources(registry: &Registry, group: &str, version: &str) -> Vec<Value> {
    let response_kind = |kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut list = Vec::new();
    for kind in sorted(registry, group, version) {
        let mut subresources = Vec::new();
        if kind.status {
            subresources.push(json!({
                "subresource": "status",
                "responseKind": response_kind(&kind.kind),
                "verbs": ["get", "patch", "update"],
            }));
        }
        if kind.rules == Rules::Account {
            subresources.push(json!({
                "subresource": "token",
                "responseKind": {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"},
                "verbs": ["create"],
            }));
        }
        if kind.scale.is_some() {
            subresources.push(json!({
                "subresource": "scale",
                "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                "verbs": ["get", "patch", "update"],
            }));
        }
        list.push(json!({
            "resource": kind.plural,
            "responseKind": response_kind(&kind.kind),
            "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": kind.singular,
            "verbs": verbs(kind),
            "shortNames": kind.short_names,
            "categories": kind.categories,
            "subresources": subresources,
        }));
    }
    for review in reviews(group, version) {
        list.push(json!({
            "resource": review.resource,
            "responseKind": response_kind(review.kind),
            "scope": if review.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": review.kind.to_lowercase(),
            "verbs": ["create"],
        }));
    }
    list
}
