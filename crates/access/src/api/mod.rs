//! `/api/session`, `/api/users/NAME/password` and `/api/admin-token`: signing in, and what concerns credentials.

pub(crate) mod caller;
mod credentials;
mod sign_in;

#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    routing::{get, post, put},
};
use futures::future::BoxFuture;
use kube::{
    Api,
    runtime::{Controller, watcher},
};
use stead_kernel::{Clock, Context, Result, Running};
use tokio::sync::watch;

use crate::{
    audit::Audit,
    limiter::Limiter,
    links::Links,
    password::Passwords,
    session::{Holder, SessionAuthenticator, Sessions},
    token::AdminToken,
    user::{self, Directory, Reconciler, User},
};

/// How often what nobody needs any more is removed.
const SWEEP: Duration = Duration::from_hours(1);

/// What the handlers work with.
pub(crate) struct Access {
    client: kube::Client,
    clock: Arc<dyn Clock>,
    token: AdminToken,
    sessions: Arc<Sessions>,
    passwords: Arc<Passwords>,
    links: Links,
    limiter: Limiter,
    audit: Audit,
    /// Tells the controller of users that passwords changed.
    poke: watch::Sender<()>,
}

/// Starts the domain.
pub(crate) fn start(context: Context) -> BoxFuture<'static, Result<Running>> {
    Box::pin(async move {
        let controller = Controller::new(
            Api::<User>::all(context.client.clone()),
            watcher::Config::default(),
        );
        let users = Arc::new(Directory::new(controller.store()));
        let access = Arc::new(Access::new(&context).await?);
        let authenticator = SessionAuthenticator {
            sessions: Arc::clone(&access.sessions),
            users: Arc::clone(&users),
            clock: Arc::clone(&context.ports.clock),
        };
        let reconciler = Arc::new(Reconciler {
            client: context.client.clone(),
            passwords: Arc::clone(&access.passwords),
            clock: Arc::clone(&context.ports.clock),
        });
        let poked = access.poke.subscribe();
        context
            .tasks
            .spawn_until_stopped("users", user::run(controller, reconciler, poked));
        let sweeping = sweep(Arc::clone(&access), users);
        context.tasks.spawn_until_stopped("sessions", sweeping);
        Ok(Running {
            routes: routes(access),
            authenticators: vec![Arc::new(authenticator)],
            ..Running::default()
        })
    })
}

impl Access {
    async fn new(context: &Context) -> Result<Self> {
        let ports = &context.ports;
        let (token, _) = AdminToken::load_or_create(&context.data.keys())?;
        Ok(Self {
            client: context.client.clone(),
            clock: Arc::clone(&ports.clock),
            token,
            sessions: Arc::new(Sessions::load(Arc::clone(&ports.records)).await?),
            passwords: Arc::new(Passwords::new(Arc::clone(&ports.records))),
            links: Links::default(),
            limiter: Limiter::default(),
            audit: Audit {
                events: Arc::clone(&ports.events),
                clock: Arc::clone(&ports.clock),
            },
            poke: watch::Sender::new(()),
        })
    }

    fn users(&self) -> Api<User> {
        Api::all(self.client.clone())
    }

    /// A user as the resource API has it now; `None` when there is none.
    async fn user(&self, name: &str) -> Result<Option<User>> {
        // What cannot be a name would become a path of its own.
        if !user::is_name(name) {
            return Ok(None);
        }
        Ok(self.users().get_opt(name).await?)
    }
}

fn routes(access: Arc<Access>) -> Router {
    Router::new()
        .route(
            "/api/session",
            get(sign_in::who_am_i)
                .post(sign_in::by_password)
                .delete(sign_in::out),
        )
        .route("/api/session/link", post(sign_in::by_link))
        .route("/api/session/links", post(credentials::make_link))
        .route("/api/users/{name}/password", put(credentials::set_password))
        .route("/api/admin-token/rotate", post(credentials::rotate_token))
        .with_state(access)
}

/// Removes, once all users are known and from time to time, what belongs to users that are no more.
async fn sweep(access: Arc<Access>, users: Arc<Directory>) {
    if !users.completed().await {
        return;
    }
    loop {
        let sessions = access
            .sessions
            .sweep(access.clock.now(), |holder| users.holds(holder))
            .await;
        let passwords = access
            .passwords
            .sweep(|name, uid| {
                users.holds(&Holder::User {
                    name: name.into(),
                    uid: uid.into(),
                })
            })
            .await;
        if let Err(error) = sessions.and(passwords) {
            tracing::warn!(
                error = error.full_message(),
                "old sessions and passwords could not be removed"
            );
        }
        tokio::time::sleep(SWEEP).await;
    }
}

/// Stands for a peer that nobody knows; only tests have such.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
