use std::net::SocketAddr;

use ::http::{HeaderMap, Method, Request, StatusCode};
use axum::body::Body;
use http_body_util::BodyExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use stead_kernel::{
    Identity,
    http::{ApiError, Connection},
    ports::events::AuditRow,
};
use stead_testkit::{World, poll_until};
use tower::ServiceExt;

use super::*;
use crate::{Protection, protect, user::UserSpec};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct horse battery";

/// A server as the composition root makes it.
struct Server {
    router: Router,
    token: AdminToken,
}

async fn server(world: &World) -> Server {
    let context = world.context();
    let (token, _) = AdminToken::load_or_create(&context.data.keys()).expect("made");
    let running = (crate::module().start)(context).await.expect("started");
    // What any other domain does with the caller.
    let whoever = |request: axum::extract::Request| async move {
        Identity::require(request.extensions())
            .map(|who| who.user.clone())
            .map_err(ApiError::from)
    };
    let mut authenticators = vec![token.authenticator()];
    authenticators.extend(running.authenticators);
    let router = protect(
        running.routes.route("/whoever", get(whoever).post(whoever)),
        Protection {
            authenticators,
            hosts: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7832)),
            cors_origins: Vec::new(),
        },
    );
    Server { router, token }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn cookie(&self) -> &str {
        self.headers["set-cookie"].to_str().expect("text")
    }

    /// The session as a browser sends it back.
    fn session(&self) -> Browser {
        let pair = self.cookie().split(';').next().expect("a pair");
        Browser {
            cookie: pair.to_owned(),
            csrf: self.body["csrf"].as_str().expect("a proof").to_owned(),
        }
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

struct Browser {
    cookie: String,
    csrf: String,
}

impl Browser {
    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cookie", self.cookie.clone()),
            ("x-stead-csrf", self.csrf.clone()),
        ]
    }
}

impl Server {
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Option<Value>,
    ) -> Answer {
        self.send_from("127.0.0.1:9", method, path, headers, body).await
    }

    async fn send_from(
        &self,
        peer: &str,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost:7832");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).expect("a request");
        request.extensions_mut().insert(Connection {
            peer: peer.parse().expect("an address"),
            tls: peer.starts_with("10."),
        });
        let (parts, body) = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible")
            .into_parts();
        let bytes = body.collect().await.expect("whole").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()),
        }
    }

    async fn as_admin(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {}", self.token.reveal().expect("there"));
        self.send(method, path, &[("authorization", bearer)], body).await
    }

    async fn sign_in(&self, user: &str, password: &str) -> Answer {
        let body = json!({"user": user, "password": password});
        self.send(Method::POST, "/api/session", &[], Some(body)).await
    }

    /// Waits until a session's user is known, and to whom the session belongs.
    async fn whoever(&self, browser: &Browser) -> Answer {
        self.send(Method::GET, "/whoever", &browser.headers(), None).await
    }

    async fn settled(&self, browser: &Browser, status: StatusCode) -> Answer {
        poll_until(LONG, "the session is seen as it is now", async || {
            let answer = self.whoever(browser).await;
            let starting = answer.message().contains("starting");
            (answer.status == status && !starting).then_some(answer)
        })
        .await
    }
}

async fn add_user(world: &World, server: &Server, name: &str, spec: UserSpec) {
    let users: Api<User> = Api::all(world.api.client());
    users
        .create(&PostParams::default(), &User::new(name, spec))
        .await
        .expect("created");
    let path = format!("/api/users/{name}/password");
    let answer = server
        .as_admin(Method::PUT, &path, Some(json!({"password": PASSWORD})))
        .await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
}

fn ada() -> UserSpec {
    UserSpec {
        display_name: "Ada Lovelace".into(),
        projects: vec!["research".into()],
        ..UserSpec::default()
    }
}

fn audit(world: &World) -> Vec<(String, String, String)> {
    let row = |row: AuditRow| (row.verb, row.user, row.name);
    world.ports.events.all_audit().into_iter().map(row).collect()
}

#[tokio::test]
async fn a_user_signs_in_is_known_and_signs_out() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;

    let answer = server.sign_in("ada", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let id = answer.session().cookie;
    assert_eq!(
        answer.cookie(),
        format!("{id}; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict")
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    let browser = answer.session();
    assert_eq!(server.settled(&browser, StatusCode::OK).await.body, "ada");

    let me = server
        .send(Method::GET, "/api/session", &browser.headers(), None)
        .await;
    assert_eq!(
        me.body,
        json!({"user": "ada", "displayName": "Ada Lovelace", "admin": false, "projects": ["research"],
            "credential": "session", "csrf": browser.csrf, "expires": "2026-01-08T00:00:00Z"})
    );

    let only_cookie = [("cookie", browser.cookie.clone())];
    let refused = server
        .send(Method::DELETE, "/api/session", &only_cookie, None)
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.message().contains("lacks the proof"), "{refused:?}");

    let out = server
        .send(Method::DELETE, "/api/session", &browser.headers(), None)
        .await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(
        out.cookie(),
        "stead_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
    );
    let after = server.whoever(&browser).await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
    assert!(after.message().contains("the session has ended"), "{after:?}");
    assert_eq!(
        audit(&world),
        [
            ("update", "admin", "ada"),
            ("login", "ada", "ada"),
            ("logout", "ada", "ada")
        ]
        .map(|(verb, user, name)| (verb.to_owned(), user.to_owned(), name.to_owned()))
    );
}

#[tokio::test]
async fn over_tls_the_cookie_is_for_tls_only() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    let body = json!({"user": "ada", "password": PASSWORD});
    let answer = server
        .send_from("10.0.0.1:9", Method::POST, "/api/session", &[], Some(body))
        .await;
    assert!(
        answer.cookie().ends_with("; HttpOnly; SameSite=Strict; Secure"),
        "{}",
        answer.cookie()
    );
}

#[tokio::test]
async fn wrong_names_and_passwords_are_told_alike_and_recorded_without_secrets() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    for (user, password) in [
        ("ada", "hunter22"),
        ("hunter22", "hunter22"),
        ("../secrets", "x"),
        ("", ""),
        ("admin", ""),
    ] {
        let answer = server.sign_in(user, password).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{user}");
        assert_eq!(
            answer.message(),
            "the user name or the password is wrong",
            "{user}"
        );
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let rows = format!("{:?}", world.ports.events.all_audit());
    assert_eq!(rows.matches("login-failed").count(), 5, "{rows}");
    assert!(!rows.contains("hunter22"), "{rows}");
    assert!(rows.contains("127.0.0.1"), "{rows}");
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_without_repeating_them() {
    let world = World::new();
    let server = server(&world).await;
    for (body, status) in [
        ("", StatusCode::BAD_REQUEST),
        ("hunter22", StatusCode::BAD_REQUEST),
        (
            r#"{"user": "ada", "password": ["hunter22"]}"#,
            StatusCode::BAD_REQUEST,
        ),
        (
            r#"{"user": "ada", "password": "x", "hunter22": 1}"#,
            StatusCode::BAD_REQUEST,
        ),
        (&"x".repeat(20_000), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let request = Request::post("/api/session").header("host", "localhost");
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = server.router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), status, "{body:.40}");
        let bytes = response.into_body().collect().await.expect("whole").to_bytes();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter22"));
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_until_time_has_passed() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    for _ in 0..5 {
        assert_eq!(
            server.sign_in("ada", "wrong password").await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let refused = server.sign_in("ada", PASSWORD).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers["retry-after"], "1");
    let elsewhere = json!({"user": "ada", "password": PASSWORD});
    let answer = server
        .send_from("10.0.0.1:9", Method::POST, "/api/session", &[], Some(elsewhere))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    world.ports.clock.advance(Duration::from_secs(1));
    assert_eq!(server.sign_in("ada", PASSWORD).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    let browser = server.sign_in("ada", PASSWORD).await.session();
    server.settled(&browser, StatusCode::OK).await;
    world.ports.clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(server.whoever(&browser).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_restart_keeps_sessions() {
    let mut world = World::new();
    let first = server(&world).await;
    add_user(&world, &first, "ada", ada()).await;
    let browser = first.sign_in("ada", PASSWORD).await.session();
    first.settled(&browser, StatusCode::OK).await;
    drop(first);
    world.restart().await;
    let second = server(&world).await;
    assert_eq!(second.settled(&browser, StatusCode::OK).await.body, "ada");
}

#[tokio::test]
async fn changes_of_a_user_count_at_once() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    let browser = server.sign_in("ada", PASSWORD).await.session();
    server.settled(&browser, StatusCode::OK).await;
    let users: Api<User> = Api::all(world.api.client());
    let change = async |spec: Value| {
        let patch = Patch::Merge(json!({"spec": spec}));
        users
            .patch("ada", &PatchParams::default(), &patch)
            .await
            .expect("changed");
    };
    change(json!({"disabled": true})).await;
    let refused = server.settled(&browser, StatusCode::UNAUTHORIZED).await;
    assert_eq!(refused.message(), "the user ada is disabled");
    let refused = server.sign_in("ada", PASSWORD).await;
    assert_eq!(
        (refused.status, refused.message()),
        (StatusCode::FORBIDDEN, "the user ada is disabled")
    );

    change(json!({"disabled": false, "admin": true})).await;
    server.settled(&browser, StatusCode::OK).await;
    let me = server
        .send(Method::GET, "/api/session", &browser.headers(), None)
        .await;
    assert_eq!(me.body["admin"], true);
}

#[tokio::test]
async fn a_new_user_of_an_old_name_inherits_nothing() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    let browser = server.sign_in("ada", PASSWORD).await.session();
    server.settled(&browser, StatusCode::OK).await;
    let users: Api<User> = Api::all(world.api.client());
    users
        .delete("ada", &DeleteParams::default())
        .await
        .expect("deleted");
    server.settled(&browser, StatusCode::UNAUTHORIZED).await;
    users
        .create(&PostParams::default(), &User::new("ada", ada()))
        .await
        .expect("created");
    assert_eq!(
        server.sign_in("ada", PASSWORD).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(server.whoever(&browser).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_belongs_to_users_that_are_no_more_is_removed_at_the_next_start() {
    let mut world = World::new();
    let first = server(&world).await;
    add_user(&world, &first, "ada", ada()).await;
    first.sign_in("ada", PASSWORD).await;
    assert_eq!(world.ports.records.len(), 2);
    let users: Api<User> = Api::all(world.api.client());
    users
        .delete("ada", &DeleteParams::default())
        .await
        .expect("deleted");
    world.restart().await;
    let _second = server(&world).await;
    poll_until(LONG, "password and session are removed", async || {
        world.ports.records.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_user_changes_their_own_password_by_showing_the_old_one() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    add_user(&world, &server, "bob", ada()).await;
    let browser = server.sign_in("ada", PASSWORD).await.session();
    let other = server.sign_in("ada", PASSWORD).await.session();
    server.settled(&browser, StatusCode::OK).await;
    let put = async |name: &str, body: Value| {
        let path = format!("/api/users/{name}/password");
        server
            .send(Method::PUT, &path, &browser.headers(), Some(body))
            .await
            .status
    };
    assert_eq!(
        put("bob", json!({"password": "new password", "old": PASSWORD})).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        put("ada", json!({"password": "new password"})).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        put("ada", json!({"password": "new password", "old": "wrong"})).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        put("ada", json!({"password": "short", "old": PASSWORD})).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        put("ada", json!({"password": "new password", "old": PASSWORD})).await,
        StatusCode::NO_CONTENT
    );
    // The browser that changed it stays signed in, others do not.
    assert_eq!(server.whoever(&browser).await.status, StatusCode::OK);
    assert_eq!(server.whoever(&other).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        server.sign_in("ada", PASSWORD).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(server.sign_in("ada", "new password").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_status_tells_whether_a_user_can_sign_in() {
    let world = World::new();
    let server = server(&world).await;
    let users: Api<User> = Api::all(world.api.client());
    users
        .create(&PostParams::default(), &User::new("ada", ada()))
        .await
        .expect("created");
    let ready = async |reason: &str| {
        poll_until(LONG, reason, async || {
            let user = world.api.get("/apis/stead.dev/v1alpha1/users/ada")?;
            (user["status"]["conditions"][0]["reason"] == reason)
                .then_some(user["status"]["passwordSet"].clone())
        })
        .await
    };
    assert_eq!(ready("NoPassword").await, false);
    let body = json!({"password": PASSWORD});
    server
        .as_admin(Method::PUT, "/api/users/ada/password", Some(body))
        .await;
    assert_eq!(ready("PasswordSet").await, true);
}

#[tokio::test]
async fn a_link_signs_in_once_as_the_administrator_or_a_user() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    for (body, user, admin) in [
        (None, "admin", true),
        (Some(json!({"user": "ada"})), "ada", false),
    ] {
        let link = server.as_admin(Method::POST, "/api/session/links", body).await;
        assert_eq!(link.body["expires"], "2026-01-01T00:10:00Z");
        let path = link.body["path"].as_str().expect("a path");
        let token = json!({"token": path.strip_prefix("/sign-in#").expect("a fragment")});
        let answer = server
            .send(Method::POST, "/api/session/link", &[], Some(token.clone()))
            .await;
        assert_eq!(
            (answer.body["user"].as_str(), answer.body["admin"].as_bool()),
            (Some(user), Some(admin))
        );
        assert_eq!(server.settled(&answer.session(), StatusCode::OK).await.body, user);
        let again = server
            .send(Method::POST, "/api/session/link", &[], Some(token))
            .await;
        assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    }
    let nobody = server
        .as_admin(Method::POST, "/api/session/links", Some(json!({"user": "bob"})))
        .await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    let late = server.as_admin(Method::POST, "/api/session/links", None).await;
    let path = late.body["path"].as_str().expect("a path").to_owned();
    world.ports.clock.advance(Duration::from_mins(10));
    let token = json!({"token": path.trim_start_matches("/sign-in#")});
    let late = server
        .send(Method::POST, "/api/session/link", &[], Some(token))
        .await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_new_admin_token_ends_what_the_old_one_began() {
    let world = World::new();
    let server = server(&world).await;
    let old = format!("Bearer {}", server.token.reveal().expect("there"));
    let link = server.as_admin(Method::POST, "/api/session/links", None).await;
    let token = json!({"token": link.body["path"].as_str().expect("a path").trim_start_matches("/sign-in#")});
    let browser = server
        .send(Method::POST, "/api/session/link", &[], Some(token))
        .await
        .session();
    let unused = server.as_admin(Method::POST, "/api/session/links", None).await;
    assert_eq!(server.whoever(&browser).await.body, "admin");

    let rotated = server
        .as_admin(Method::POST, "/api/admin-token/rotate", None)
        .await;
    assert_eq!(rotated.status, StatusCode::OK);
    assert_eq!(rotated.headers["cache-control"], "no-store");
    assert_eq!(rotated.body["token"], server.token.reveal().expect("there"));
    let refused = server
        .send(Method::GET, "/whoever", &[("authorization", old)], None)
        .await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.whoever(&browser).await.status, StatusCode::UNAUTHORIZED);
    let token =
        json!({"token": unused.body["path"].as_str().expect("a path").trim_start_matches("/sign-in#")});
    let unused = server
        .send(Method::POST, "/api/session/link", &[], Some(token))
        .await;
    assert_eq!(unused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.as_admin(Method::GET, "/whoever", None).await.body, "admin");
    assert!(audit(&world).contains(&("rotate".into(), "admin".into(), "admin".into())));
    assert!(!format!("{:?}", world.ports.events.all_audit()).contains("stead-admin-"));
}

#[tokio::test]
async fn what_is_for_admins_is_for_admins_only() {
    let world = World::new();
    let server = server(&world).await;
    add_user(&world, &server, "ada", ada()).await;
    let browser = server.sign_in("ada", PASSWORD).await.session();
    server.settled(&browser, StatusCode::OK).await;
    for path in ["/api/session/links", "/api/admin-token/rotate"] {
        let refused = server.send(Method::POST, path, &browser.headers(), None).await;
        assert_eq!(
            (refused.status, refused.message()),
            (StatusCode::FORBIDDEN, "user \"ada\" is no admin"),
            "{path}"
        );
        let anonymous = server.send(Method::POST, path, &[], None).await;
        assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let missing = server
        .as_admin(
            Method::PUT,
            "/api/users/bob/password",
            Some(json!({"password": PASSWORD})),
        )
        .await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
