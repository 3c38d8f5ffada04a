//! Roles, bindings, service accounts and their tokens, and questions about who may do what.

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use stead_kernel::{Body, Credential, Identity, Principal, groups};

use crate::support::{World, eventually};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn user(name: &str) -> Identity {
    Identity::Known(Arc::new(Principal {
        user: name.into(),
        groups: vec![groups::AUTHENTICATED.into()],
        projects: Vec::new(),
        credential: Credential::Token,
    }))
}

async fn ask(world: &World, who: Identity, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let (status, answer, _) = world.send_as(who, request.body(body).expect("a request")).await;
    (status, answer)
}

async fn make(world: &World, path: &str, body: Value) {
    let (status, answer) = world.post(path, &body).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

fn role(name: &str, verbs: &[&str], resources: &[&str]) -> Value {
    json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": resources, "verbs": verbs}]})
}

fn binding(name: &str, role: &str, subject: &Value) -> Value {
    json!({"metadata": {"name": name}, "roleRef": {"kind": "Role", "name": role}, "subjects": [subject]})
}

#[tokio::test]
async fn a_role_gives_what_it_says_where_it_is_bound() {
    let world = World::new().await;
    let ada = || user("ada");
    assert_eq!(
        ask(&world, ada(), "GET", CONFIG_MAPS, &Value::Null).await.0,
        StatusCode::FORBIDDEN
    );
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    make(&world, &roles, role("reader", &["get", "list"], &["configmaps"])).await;
    make(
        &world,
        &bindings,
        binding("ada", "reader", &json!({"kind": "User", "name": "ada"})),
    )
    .await;
    assert_eq!(
        ask(&world, ada(), "GET", CONFIG_MAPS, &Value::Null).await.0,
        StatusCode::OK
    );
    let all = "/api/v1/configmaps";
    assert_eq!(
        ask(&world, ada(), "GET", all, &Value::Null).await.0,
        StatusCode::FORBIDDEN
    );
    let body = json!({"metadata": {"name": "x"}});
    assert_eq!(
        ask(&world, ada(), "POST", CONFIG_MAPS, &body).await.0,
        StatusCode::FORBIDDEN
    );
    let (code, _) = world
        .send("DELETE", &format!("{bindings}/ada"), "", Body::empty())
        .await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(
        ask(&world, ada(), "GET", CONFIG_MAPS, &Value::Null).await.0,
        StatusCode::FORBIDDEN
    );
    world.stop().await;
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let world = World::new().await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    let manager = json!({"metadata": {"name": "manager"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "get", "update"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
    ]});
    make(&world, &roles, manager).await;
    make(&world, &roles, role("secrets", &["get"], &["secrets"])).await;
    make(
        &world,
        &bindings,
        binding("eve", "manager", &json!({"kind": "User", "name": "eve"})),
    )
    .await;
    let eve = || user("eve");
    let own = role("own", &["get"], &["configmaps"]);
    assert_eq!(
        ask(&world, eve(), "POST", &roles, &own).await.0,
        StatusCode::CREATED
    );
    for more in [
        role("more", &["get"], &["secrets"]),
        role("star", &["*"], &["configmaps"]),
    ] {
        let (code, answer) = ask(&world, eve(), "POST", &roles, &more).await;
        assert_eq!(code, StatusCode::FORBIDDEN, "{answer}");
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("is attempting to grant RBAC permissions not currently held"),
            "{message}"
        );
    }
    let grab = binding("grab", "secrets", &json!({"kind": "User", "name": "eve"}));
    assert_eq!(
        ask(&world, eve(), "POST", &bindings, &grab).await.0,
        StatusCode::FORBIDDEN
    );
    let fine = binding("fine", "own", &json!({"kind": "User", "name": "bob"}));
    assert_eq!(
        ask(&world, eve(), "POST", &bindings, &fine).await.0,
        StatusCode::CREATED
    );
    world.stop().await;
}

#[tokio::test]
async fn default_roles_are_there_and_made_of_others() {
    let world = World::new().await;
    eventually("the rules of view are written", || async {
        let (_, view) = world.get(&format!("{RBAC}/clusterroles/view")).await;
        view["rules"].as_array().is_some_and(|rules| !rules.is_empty())
    })
    .await;
    let (code, admin) = world.get(&format!("{RBAC}/clusterroles/cluster-admin")).await;
    assert_eq!(
        (code, &admin["rules"][0]["verbs"]),
        (StatusCode::OK, &json!(["*"]))
    );
    let extra = json!({
        "metadata": {"name": "extra", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["more.dev"], "resources": ["gadgets"], "verbs": ["get"]}],
    });
    make(&world, &format!("{RBAC}/clusterroles"), extra).await;
    eventually("the new rules are in view", || async {
        let (_, view) = world.get(&format!("{RBAC}/clusterroles/view")).await;
        view["rules"].to_string().contains("gadgets")
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn questions_are_answered_about_oneself_and_others() {
    let world = World::new().await;
    let roles = format!("{RBAC}/clusterroles");
    make(&world, &roles, role("reader", &["get"], &["configmaps"])).await;
    let bound = json!({"metadata": {"name": "ada"}, "roleRef": {"kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "Group", "name": "team"}]});
    make(&world, &format!("{RBAC}/clusterrolebindings"), bound).await;
    let review = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let question = |verb: &str, groups: Value| {
        json!({"spec": {"user": "x", "groups": groups,
        "resourceAttributes": {"verb": verb, "resource": "configmaps", "namespace": "default"}}})
    };
    let (code, answer) = world.post(review, &question("get", json!(["team"]))).await;
    assert_eq!(
        (code, &answer["status"]["allowed"]),
        (StatusCode::CREATED, &json!(true)),
        "{answer}"
    );
    assert_eq!(
        answer["status"]["reason"],
        "RBAC: allowed by ClusterRoleBinding \"ada\" of ClusterRole \"reader\" to User \"x\""
    );
    assert_eq!(
        world.post(review, &question("list", json!(["team"]))).await.1["status"]["allowed"],
        false
    );
    assert_eq!(
        world.post(review, &question("get", json!(["other"]))).await.1["status"]["allowed"],
        false
    );
    let (code, _) = ask(&world, user("x"), "POST", review, &question("get", json!([]))).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    let (code, answer) = world.post(local, &question("get", json!(["team"]))).await;
    assert_eq!(
        (code, &answer["status"]["allowed"]),
        (StatusCode::CREATED, &json!(true))
    );
    let elsewhere = "/apis/authorization.k8s.io/v1/namespaces/other/localsubjectaccessreviews";
    assert_eq!(
        world.post(elsewhere, &question("get", json!([]))).await.0,
        StatusCode::BAD_REQUEST
    );
    world.stop().await;
}

#[tokio::test]
async fn who_may_acts_under_another_name_and_the_audit_says_so() {
    let world = World::new().await;
    let whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let as_ada = |who: Identity| {
        let request = Request::post(whoami)
            .header("impersonate-user", "ada")
            .header("impersonate-group", "team")
            .header("impersonate-uid", "u1")
            .header("impersonate-extra-scope%2fa", "read")
            .body(Body::from("{}"))
            .expect("a request");
        world.send_as(who, request)
    };
    let admin = || Identity::Known(Arc::new(Principal::admin()));
    let (code, answer, _) = as_ada(admin()).await;
    assert_eq!(code, StatusCode::CREATED, "{answer}");
    assert_eq!(
        answer["status"]["userInfo"],
        json!({"username": "ada", "groups": ["team", groups::AUTHENTICATED], "uid": "u1", "extra": {"scope/a": ["read"]}})
    );
    assert_eq!(as_ada(user("eve")).await.0, StatusCode::FORBIDDEN);
    let request = Request::get(CONFIG_MAPS)
        .header("impersonate-user", "ada")
        .body(Body::empty())
        .expect("a request");
    // An admin under another's name is not an admin.
    assert_eq!(world.send_as(admin(), request).await.0, StatusCode::FORBIDDEN);
    world.stop().await;
}

/// Who a bearer token is.
fn recognise(world: &World, token: &str) -> Option<Identity> {
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    world.server.authenticator().authenticate(&parts)
}

#[tokio::test]
async fn a_service_account_gets_tokens_that_end_with_it() {
    let world = World::new().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    make(&world, accounts, json!({"metadata": {"name": "robot"}})).await;
    let path = format!("{accounts}/robot/token");
    let (code, answer) = world
        .post(&path, &json!({"spec": {"expirationSeconds": 900}}))
        .await;
    assert_eq!(code, StatusCode::CREATED, "{answer}");
    assert_eq!(
        [&answer["kind"], &answer["spec"]["expirationSeconds"]],
        [&json!("TokenRequest"), &json!(900)]
    );
    let token = answer["status"]["token"].as_str().expect("a token").to_owned();
    let Some(Identity::Known(robot)) = recognise(&world, &token) else {
        panic!("the token is good");
    };
    assert_eq!(robot.user, "system:serviceaccount:default:robot");
    assert_eq!(
        robot.groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            groups::AUTHENTICATED
        ]
    );
    assert!(recognise(&world, "stead-admin-x").is_none());
    let (_, short) = world
        .post(&path, &json!({"spec": {"expirationSeconds": 60}}))
        .await;
    assert!(
        short["message"]
            .as_str()
            .unwrap_or_default()
            .contains("less than 10 minutes"),
        "{short}"
    );
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (_, review) = world.post(reviews, &json!({"spec": {"token": token}})).await;
    assert_eq!(
        review["status"]["user"]["username"],
        "system:serviceaccount:default:robot"
    );
    let (_, review) = world
        .post(
            reviews,
            &json!({"spec": {"token": token, "audiences": ["other"]}}),
        )
        .await;
    assert_eq!(review["status"]["error"], "the token is for another audience");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    make(
        &world,
        &format!("{RBAC}/namespaces/default/roles"),
        role("reader", &["list"], &["configmaps"]),
    )
    .await;
    let subject = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "default"});
    make(&world, &bindings, binding("robot", "reader", &subject)).await;
    let known = Identity::Known(Arc::clone(&robot));
    assert_eq!(
        ask(&world, known, "GET", CONFIG_MAPS, &Value::Null).await.0,
        StatusCode::OK
    );
    let (code, _) = world
        .send("DELETE", &format!("{accounts}/robot"), "", Body::empty())
        .await;
    assert_eq!(code, StatusCode::OK);
    assert!(matches!(recognise(&world, &token), Some(Identity::Rejected(_))));
    world.stop().await;
}

#[tokio::test]
async fn signing_keys_outlive_a_restart_and_lie_sealed() {
    let mut world = World::new().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    make(&world, accounts, json!({"metadata": {"name": "robot"}})).await;
    let (_, answer) = world.post(&format!("{accounts}/robot/token"), &json!({})).await;
    let token = answer["status"]["token"].as_str().expect("a token").to_owned();
    world.restart().await;
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (_, review) = world.post(reviews, &json!({"spec": {"token": token}})).await;
    assert_eq!(review["status"]["authenticated"], true, "{review}");
    world.stop().await;
}
