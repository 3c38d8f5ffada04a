//! The roles and bindings that are there from the start, as Kubernetes documents them under "default roles".
//!
//! `admin`, `edit` and `view` give in one namespace what the authorizer below gives a user in a project of their own, so
//! that a role never means more than the project that it stands for.

use serde_json::{Value, json};
use stead_kernel::{AccessRequest, Authorizer, Credential, Principal, Verb, groups};

use super::GROUP;
use crate::kinds::ResourceType;

/// The project of the user who is asked about.
const SAMPLE: &str = "sample";

/// All roles and bindings, with `kind` and `metadata.name`.
pub(crate) fn defaults<'a>(
    kinds: impl Iterator<Item = &'a ResourceType>,
    below: &dyn Authorizer,
) -> Vec<Value> {
    let every = |resource: Value| json!([resource]);
    let star = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    let any_path = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
    let reviews = json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]});
    let whoami = json!({"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]});
    let paths = json!({"verbs": ["get"], "nonResourceURLs":
        ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"]});
    let local = json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["localsubjectaccessreviews"]});
    let roles = json!({"verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "apiGroups": [GROUP], "resources": ["roles", "rolebindings"]});
    let (read, mut edit) = rights(kinds, below);
    edit.push(json!({"verbs": ["create"], "apiGroups": [""], "resources": ["serviceaccounts/token"]}));
    let mut list = vec![
        role("cluster-admin", None, &json!([star, any_path])),
        role("system:basic-user", None, &json!([reviews, whoami])),
        role("system:discovery", None, &every(paths)),
        role(
            "system:public-info-viewer",
            None,
            &json!([{"verbs": ["get"],
            "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"]}]),
        ),
        role("system:aggregate-to-view", Some("view"), &read.into()),
        role("system:aggregate-to-edit", Some("edit"), &edit.into()),
        role("system:aggregate-to-admin", Some("admin"), &json!([local, roles])),
    ];
    list.extend([
        made_of("view", None, &["view"]),
        made_of("edit", Some("admin"), &["edit", "view"]),
        made_of("admin", None, &["admin", "edit", "view"]),
    ]);
    for (name, group) in [
        ("cluster-admin", groups::ADMINS),
        ("system:basic-user", groups::AUTHENTICATED),
        ("system:discovery", groups::AUTHENTICATED),
        ("system:public-info-viewer", groups::AUTHENTICATED),
    ] {
        list.push(json!({
            "kind": "ClusterRoleBinding",
            "metadata": metadata(name, None),
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group}],
        }));
    }
    list
}

fn metadata(name: &str, part_of: Option<&str>) -> Value {
    let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    if let (Some(part_of), Some(labels)) = (part_of, labels.as_object_mut()) {
        labels.insert(
            format!("rbac.authorization.k8s.io/aggregate-to-{part_of}"),
            "true".into(),
        );
    }
    json!({"name": name, "labels": labels, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}})
}

fn role(name: &str, part_of: Option<&str>, rules: &Value) -> Value {
    json!({"kind": "ClusterRole", "metadata": metadata(name, part_of), "rules": rules})
}

fn made_of(name: &str, part_of: Option<&str>, parts: &[&str]) -> Value {
    let selectors: Vec<Value> = parts
        .iter()
        .map(
            |part| json!({"matchLabels": {format!("rbac.authorization.k8s.io/aggregate-to-{part}"): "true"}}),
        )
        .collect();
    json!({
        "kind": "ClusterRole",
        "metadata": metadata(name, part_of),
        "aggregationRule": {"clusterRoleSelectors": selectors},
        "rules": [],
    })
}

/// What a user may read, and what they may change, in a project of their own; one rule for each kind.
fn rights<'a>(
    kinds: impl Iterator<Item = &'a ResourceType>,
    below: &dyn Authorizer,
) -> (Vec<Value>, Vec<Value>) {
    let user = Principal {
        user: "system:sample".into(),
        groups: vec![groups::AUTHENTICATED.into()],
        projects: vec![SAMPLE.into()],
        credential: Credential::Session,
    };
    let may = |kind: &ResourceType, verb: Verb| {
        let request = AccessRequest {
            verb,
            group: &kind.group,
            resource: &kind.plural,
            subresource: "",
            project: Some(SAMPLE),
            name: None,
        };
        below.authorize(&user, &request).is_ok()
    };
    let rule = |kind: &ResourceType, verbs: Vec<&str>| json!({"verbs": verbs, "apiGroups": [kind.group], "resources": [kind.plural]});
    let (mut read, mut write) = (Vec::new(), Vec::new());
    for kind in kinds.filter(|kind| kind.namespaced && kind.group != GROUP) {
        let allowed = |wanted: fn(Verb) -> bool| -> Vec<&'static str> {
            let verbs = Verb::ALL
                .into_iter()
                .filter(|verb| wanted(*verb) && may(kind, *verb));
            verbs.map(Verb::as_str).collect()
        };
        for (list, verbs) in [
            (&mut read, allowed(Verb::is_read)),
            (&mut write, allowed(|verb| !verb.is_read())),
        ] {
            let rule = rule(kind, verbs);
            if rule.pointer("/verbs/0").is_some() && !list.contains(&rule) {
                list.push(rule);
            }
        }
    }
    (read, write)
}
