//! Passwords, links and the admin token.

use super::*;

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
