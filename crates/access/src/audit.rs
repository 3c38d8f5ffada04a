//! Audit records of sign-ins and of what concerns credentials; writes to resources are recorded by the resource API.

use std::{net::IpAddr, sync::Arc};

use serde_json::json;
use stead_kernel::{
    Clock, GROUP,
    ports::{
        Events,
        events::{AuditRow, Event},
    },
};
use uuid::Uuid;

/// What happened to a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Someone signed in.
    SignIn,
    /// Someone tried to, in vain.
    SignInFailed,
    /// Someone signed out.
    SignOut,
    /// A sign-in link was made.
    MakeLink,
    /// A password was set.
    SetPassword,
    /// The admin token was replaced.
    RotateToken,
    /// A token for a gateway was made.
    MakeGatewayToken,
    /// A token of a gateway was made worthless.
    RevokeGatewayToken,
}

impl Act {
    /// Verb, resource and subresource of the record.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::SignIn => ("login", "sessions", ""),
            Self::SignInFailed => ("login-failed", "sessions", ""),
            Self::SignOut => ("logout", "sessions", ""),
            Self::MakeLink => ("create", "sessions", "link"),
            Self::SetPassword => ("update", "users", "password"),
            Self::RotateToken => ("rotate", "admintoken", ""),
            Self::MakeGatewayToken => ("create", "gatewaytokens", ""),
            Self::RevokeGatewayToken => ("delete", "gatewaytokens", ""),
        }
    }
}

/// Writes audit records.
pub(crate) struct Audit {
    pub(crate) events: Arc<dyn Events>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Audit {
    /// Records what `user` did to `name`, from `peer`. A store that does not answer keeps nobody from signing in.
    pub(crate) async fn record(&self, act: Act, user: &str, name: &str, peer: Option<IpAddr>) {
        let (verb, resource, subresource) = act.words();
        let row = AuditRow {
            id: Uuid::now_v7().to_string(),
            time: self.clock.now(),
            user: user.into(),
            verb: verb.into(),
            group: GROUP.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            detail: json!({"peer": peer}),
            ..AuditRow::default()
        };
        if let Err(error) = self.events.append(vec![Event::Audit(Box::new(row))]).await {
            tracing::error!(
                error = error.full_message(),
                verb,
                user,
                "an audit record could not be written"
            );
        }
    }
}
