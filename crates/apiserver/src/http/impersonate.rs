//! Asking under another's name: `Impersonate-User`, `-Group`, `-Uid` and `-Extra-…`.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::HeaderMap;
use serde_json::json;
use stead_kernel::{Credential, Error, Principal, groups};

use crate::{
    engine::{Acting, Caller, Engine},
    failure::{Failure, Outcome},
    rbac::Ask,
};

/// The start of the names of all headers for it.
const PREFIX: &str = "impersonate-";
/// The group of service accounts.
const ACCOUNTS: &str = "system:serviceaccounts";

/// Whom a request is to be from, by its headers.
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    fn read(headers: &HeaderMap) -> Self {
        let texts = |name: &str| -> Vec<String> {
            let values = headers.get_all(name).iter();
            values
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
                .collect()
        };
        let one = |name| texts(name).into_iter().next().unwrap_or_default();
        let extra = headers.keys().filter_map(|name| {
            let key = name.as_str().strip_prefix("impersonate-extra-")?;
            Some((unescape(key), texts(name.as_str())))
        });
        Self {
            user: one("impersonate-user"),
            uid: one("impersonate-uid"),
            groups: texts("impersonate-group"),
            extra: extra.collect(),
        }
    }

    /// The namespace and the name, if it is a service account.
    fn account(&self) -> Option<(&str, &str)> {
        self.user.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    /// Whether someone may act as all of this.
    fn check(&self, engine: &Engine, who: &Principal) -> Outcome<()> {
        if let Some((namespace, name)) = self.account() {
            allow(engine, who, ("", "serviceaccounts", ""), Some(namespace), name)?;
        } else {
            allow(engine, who, ("", "users", ""), None, &self.user)?;
        }
        for group in &self.groups {
            allow(engine, who, ("", "groups", ""), None, group)?;
        }
        if !self.uid.is_empty() {
            allow(
                engine,
                who,
                ("authentication.k8s.io", "uids", ""),
                None,
                &self.uid,
            )?;
        }
        for (key, values) in &self.extra {
            for value in values {
                allow(
                    engine,
                    who,
                    ("authentication.k8s.io", "userextras", key),
                    None,
                    value,
                )?;
            }
        }
        Ok(())
    }

    /// The groups that they are in then.
    fn member_of(&self) -> Vec<String> {
        let mut member_of = match self.account().filter(|_| self.groups.is_empty()) {
            Some((namespace, _)) => vec![ACCOUNTS.into(), format!("{ACCOUNTS}:{namespace}")],
            None => self.groups.clone(),
        };
        if self.user != "system:anonymous" && !member_of.iter().any(|group| group == groups::AUTHENTICATED) {
            member_of.push(groups::AUTHENTICATED.into());
        }
        member_of
    }
}

/// Who a request is from: the principal, or who they act as, if they may.
pub(super) fn caller(engine: &Engine, principal: Arc<Principal>, headers: &HeaderMap) -> Outcome<Caller> {
    if !headers.keys().any(|name| name.as_str().starts_with(PREFIX)) {
        return Ok(Caller {
            principal,
            acting: None,
        });
    }
    let wanted = Wanted::read(headers);
    if wanted.user.is_empty() {
        let message = "requested [{User  }] without impersonating a user";
        return Err(Failure::bad_request(message));
    }
    wanted.check(engine, &principal)?;
    Ok(Caller {
        principal: Arc::new(Principal {
            groups: wanted.member_of(),
            user: wanted.user,
            // Whose projects they are is told to who signs in as that user only.
            projects: Vec::new(),
            credential: Credential::Token,
        }),
        acting: Some(Arc::new(Acting {
            impersonator: principal.user.clone(),
            uid: wanted.uid,
            extra: json!(wanted.extra),
        })),
    })
}

fn allow(
    engine: &Engine,
    who: &Principal,
    (group, resource, subresource): (&str, &str, &str),
    namespace: Option<&str>,
    name: &str,
) -> Outcome<()> {
    let ask = Ask {
        verb: "impersonate",
        group,
        resource,
        subresource,
        name: Some(name),
    };
    let signed_in = matches!(
        who.credential,
        Credential::Token | Credential::Session | Credential::Process
    );
    if (who.is_admin() && signed_in) || engine.rbac.policy().why(who, namespace, &ask).is_some() {
        return Ok(());
    }
    let place = namespace.map(|namespace| format!(" in the namespace {namespace:?}"));
    let place = place.unwrap_or_else(|| " at the cluster scope".into());
    Err(Error::forbidden(format!(
        "{resource} {name:?} is forbidden: User {:?} cannot impersonate resource {resource:?} in API group {group:?}{place}",
        who.user
    ))
    .into())
}

/// Resolves `%xx` in the name of a header.
fn unescape(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let mut digit = || char::from(ahead.next()?).to_digit(16);
        match (byte, digit(), digit()) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = ahead;
            }
            (byte, _, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
