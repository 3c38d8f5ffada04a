//! Signing in and out, and what ends a session.

use kube::api::{DeleteParams, Patch, PatchParams};

use super::*;

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
