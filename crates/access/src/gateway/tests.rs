use kube::core::DynamicObject;
use serde_json::json;
use stead_kernel::{Authenticator, Authorizer, Identity, Reason};
use stead_testkit::FakePorts;

use super::*;
use crate::TableAuthorizer;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn ask(gateways: &Gateways, token: &str) -> Option<Identity> {
    let request = ::http::Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .expect("a request");
    gateways.authenticate(&request.into_parts().0)
}

async fn with_secret(project: &str, secret: &str) -> Gateways {
    let gateways = Gateways::load(FakePorts::default().records)
        .await
        .expect("loaded");
    let provider: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "stead.dev/v1alpha1", "kind": "ModelProvider",
        "metadata": {"name": "p", "namespace": project},
        "spec": {"type": "openai", "credential": {"secretRef": {"name": secret, "key": "api-key"}}},
    }))
    .expect("an object");
    gateways.0.named.put("ModelProvider", &provider);
    gateways
}

#[tokio::test]
async fn a_token_is_known_until_it_is_revoked_and_stored_by_hash_only() {
    let ports = FakePorts::default();
    let gateways = Gateways::load(ports.records.clone()).await.expect("loaded");
    let token = gateways.create("eu-1", at(7)).await.expect("made");
    let again = Gateways::load(ports.records.clone()).await.expect("loaded");
    assert!(matches!(ask(&again, &token), Some(Identity::Known(who)) if who.user == "system:gateway:eu-1"));
    assert_eq!(again.list(), [("eu-1".to_owned(), at(7))]);
    let query = RecordQuery {
        collection: COLLECTION.name.into(),
        ..RecordQuery::default()
    };
    let stored = ports.records.list(query).await.expect("read").items;
    assert!(!format!("{stored:?}").contains(&token));
    let error = again.create("eu-1", at(8)).await.expect_err("there is one");
    assert_eq!(error.reason(), Reason::Conflict);

    again.revoke("eu-1").await.expect("revoked");
    assert!(matches!(ask(&again, &token), Some(Identity::Rejected(_))));
    let error = again.revoke("eu-1").await.expect_err("gone");
    assert_eq!(error.reason(), Reason::NotFound);
    let later = Gateways::load(ports.records).await.expect("loaded");
    assert!(matches!(ask(&later, &token), Some(Identity::Rejected(_))));
    assert!(
        ask(&later, "sk-stead-x").is_none(),
        "other credentials are others' business"
    );
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let gateways = Gateways::load(FakePorts::default().records)
        .await
        .expect("loaded");
    for name in ["", "-a", "A", "a b", "a/b", "ä", &"a".repeat(64)] {
        let error = gateways.create(name, at(0)).await.expect_err(name);
        assert_eq!(error.reason(), Reason::Invalid);
    }
}

/// Group, resource, subresource, project, name, and the verbs that a gateway may do to it.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    &'static [Verb],
);

const READ: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];
const NONE: &[Verb] = &[];

const TABLE: &[Row] = &[
    ("stead.dev", "modelproviders", "", None, None, READ),
    ("stead.dev", "modelproviders", "", Some("own"), Some("p"), READ),
    ("stead.dev", "modelroutes", "", None, None, READ),
    ("stead.dev", "apikeys", "", None, None, READ),
    ("stead.dev", "quotas", "", None, None, READ),
    ("stead.dev", "guardrails", "", None, None, READ),
    (
        "stead.dev",
        "modelproviders",
        "status",
        Some("own"),
        Some("p"),
        NONE,
    ),
    ("stead.dev", "apikeys", "status", Some("own"), Some("k"), NONE),
    ("stead.dev", "models", "", None, None, NONE),
    ("stead.dev", "users", "", None, None, NONE),
    ("stead.dev", "users", "", None, Some("ada"), NONE),
    ("other.dev", "modelproviders", "", None, None, NONE),
    ("", "secrets", "", Some("own"), Some("named"), READ),
    ("", "secrets", "", Some("own"), Some("other"), NONE),
    ("", "secrets", "", Some("second"), Some("named"), NONE),
    ("", "secrets", "", Some("own"), None, NONE),
    ("", "secrets", "", None, None, NONE),
    ("", "secrets", "", None, Some("named"), NONE),
    ("", "configmaps", "", Some("own"), Some("x"), NONE),
    ("", "namespaces", "", None, Some("own"), NONE),
    ("", "events", "", Some("own"), None, NONE),
    ("", "requests", "", None, None, NONE),
    ("", "usage", "", None, None, NONE),
    ("", "audit", "", None, None, NONE),
    ("coordination.k8s.io", "leases", "", Some("own"), Some("x"), NONE),
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "",
        None,
        None,
        NONE,
    ),
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "",
        None,
        None,
        NONE,
    ),
    ("rbac.authorization.k8s.io", "clusterroles", "", None, None, NONE),
    ("stead.dev", resources::JOURNALS, "", None, None, &[Verb::Create]),
    (
        "stead.dev",
        resources::QUOTA_LEASES,
        "",
        None,
        None,
        &[Verb::Create, Verb::Update],
    ),
];

#[tokio::test]
async fn a_gateway_may_do_what_the_table_says_and_nothing_else() {
    let gateways = with_secret("own", "named").await;
    gateways.create("eu-1", at(0)).await.expect("made");
    let authorizer = TableAuthorizer::new(gateways.clone());
    let known = Principal::gateway("eu-1");
    let stranger = Principal::gateway("eu-2");
    let requests = TABLE
        .iter()
        .flat_map(|(group, resource, subresource, project, name, verbs)| {
            Verb::ALL.into_iter().map(move |verb| {
                let request = AccessRequest {
                    verb,
                    group,
                    resource,
                    subresource,
                    project: *project,
                    name: *name,
                };
                (request, verbs.contains(&verb))
            })
        });
    let requests: Vec<_> = requests.collect();
    for (request, allowed) in &requests {
        let answer = authorizer.authorize(&known, request);
        assert_eq!(answer.is_ok(), *allowed, "{request:?}");
        assert!(
            answer
                .err()
                .is_none_or(|error| error.reason() == Reason::Forbidden)
        );
        assert!(authorizer.authorize(&stranger, request).is_err(), "{request:?}");
        assert!(
            TableAuthorizer::default().authorize(&known, request).is_err(),
            "without gateways: {request:?}"
        );
    }
    gateways.revoke("eu-1").await.expect("revoked");
    for (request, _) in &requests {
        assert!(
            authorizer.authorize(&known, request).is_err(),
            "revoked: {request:?}"
        );
    }
}
