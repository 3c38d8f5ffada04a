//! Recognises sessions.

use std::sync::Arc;

use ::http::request::Parts;
use stead_kernel::{Authenticator, Clock, Credential, Identity, Principal};

use super::{Holder, Sessions, cookie};
use crate::user::Directory;

/// Recognises the cookie of a session. Users are looked up with each request, so that changes count at once.
pub(crate) struct SessionAuthenticator {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) users: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Authenticator for SessionAuthenticator {
    fn authenticate(&self, parts: &Parts) -> Option<Identity> {
        let id = cookie::read(&parts.headers)?;
        let Some(session) = self.sessions.find(id, self.clock.now()) else {
            return Some(Identity::Rejected("the session has ended: sign in again".into()));
        };
        Some(match self.principal(&session.holder) {
            Ok(principal) => Identity::Known(Arc::new(principal)),
            Err(why) => Identity::Rejected(why),
        })
    }
}

impl SessionAuthenticator {
    /// Who holds a session; else why nobody does.
    fn principal(&self, holder: &Holder) -> Result<Principal, String> {
        let principal = match holder {
            Holder::Administrator => Principal::admin(),
            Holder::User { name, uid } => self.users.principal(name, uid)?,
        };
        Ok(Principal {
            credential: Credential::Session,
            ..principal
        })
    }
}
