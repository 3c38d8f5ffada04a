//! The API as a browser and the CLI use it.

mod credentials;
mod sign_in;

use std::net::SocketAddr;

use ::http::{HeaderMap, Method, Request, StatusCode};
use axum::body::Body;
use http_body_util::BodyExt;
use kube::api::PostParams;
use serde_json::{Value, json};
use stead_kernel::{
    Identity,
    http::{ApiError, Connection},
    ports::events::AuditRow,
};
use stead_testkit::{World, poll_until};
use tower::ServiceExt;

use super::*;
use crate::{Protected, Protection, protect, user::UserSpec};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct horse battery";

/// A server as the composition root makes it.
struct Server {
    router: Protected,
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
            reveals: false,
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
