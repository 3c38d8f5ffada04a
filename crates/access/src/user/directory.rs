//! Users by name, in memory, as the resource API tells of them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use kube::{
    ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use stead_kernel::{Credential, Principal, groups};

use super::User;
use crate::session::Holder;

/// Users by name.
pub(crate) struct Directory {
    store: Store<User>,
    complete: AtomicBool,
}

impl Directory {
    pub(crate) fn new(store: Store<User>) -> Self {
        Self {
            store,
            complete: AtomicBool::new(false),
        }
    }

    /// Resolves when all users are known; `false` when they never will be, because the server stops.
    pub(crate) async fn completed(&self) -> bool {
        let complete = self.store.wait_until_ready().await.is_ok();
        self.complete.store(complete, Ordering::Release);
        complete
    }

    /// The user as a principal, if it is still the one with this uid and not disabled; else why not.
    pub(crate) fn principal(&self, name: &str, uid: &str) -> Result<Principal, String> {
        let Some(user) = self.find(name, uid) else {
            return Err(if self.complete.load(Ordering::Acquire) {
                "the session's user is no more".into()
            } else {
                "the server is starting: try again in a moment".into()
            });
        };
        if user.spec.disabled {
            return Err(format!("the user {name} is disabled"));
        }
        Ok(principal(&user))
    }

    /// Whether a session may stay. Only meaningful once all users are known.
    pub(crate) fn holds(&self, holder: &Holder) -> bool {
        match holder {
            Holder::Administrator => true,
            Holder::User { name, uid } => self.find(name, uid).is_some(),
        }
    }

    fn find(&self, name: &str, uid: &str) -> Option<Arc<User>> {
        let user = self.store.get(&ObjectRef::new(name))?;
        (user.metadata.uid.as_deref() == Some(uid)).then_some(user)
    }
}

/// What a user is as a principal, by a session.
pub(crate) fn principal(user: &User) -> Principal {
    let mut own = vec![groups::AUTHENTICATED.to_owned()];
    if user.spec.admin {
        own.push(groups::ADMINS.to_owned());
    }
    Principal {
        user: user.name_any(),
        groups: own,
        projects: user.spec.projects.clone(),
        credential: Credential::Session,
    }
}
