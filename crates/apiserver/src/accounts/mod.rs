//! Service accounts: the keys that sign their tokens, and who a token is.
//!
//! *Invariant:* a private key is stored sealed, and served by no kind.
//! *Invariant:* a token is worth nothing once its service account, or the object that it is bound to, is gone.

mod token;

use std::sync::Arc;

use ::http::{header, request::Parts};
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use stead_kernel::{Authenticator, Credential, Error, Identity, Principal, groups};

use crate::{
    engine::Engine,
    failure::Outcome,
    object::{self, top},
    rbac,
    store::{Action, Content, Key, StoreError, Write},
};
pub(crate) use token::ISSUER;
use token::SigningKey;

/// Where the keys are stored.
const STORAGE: &str = "stead.internal/signingkeys";
/// After so many seconds a key is followed by another.
const KEY_AGE: i64 = 30 * 24 * 3600;
/// The most seconds that a token is good.
pub(crate) const TOKEN_LIFE: i64 = 365 * 24 * 3600;
/// The group of all service accounts.
const GROUP: &str = "system:serviceaccounts";

/// The keys in use, the newest first.
#[derive(Default)]
pub(crate) struct Keys(ArcSwap<Vec<SigningKey>>);

/// What a token is to say.
pub(crate) struct TokenOrder<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) audiences: Vec<String>,
    /// In seconds.
    pub(crate) life: i64,
    /// The name and uid of the Secret that it ends with.
    pub(crate) secret: Option<(String, String)>,
}

fn key() -> Key {
    Key::new(&Arc::from(STORAGE), "", "keys")
}

impl Engine {
    /// Reads the signing keys; makes one at the first start, and another when the newest is old.
    pub(crate) async fn prepare_keys(&self) -> Outcome<()> {
        let now = self.clock.now().as_second();
        let stored = self.store.get(&key())?;
        let mut keys = Vec::new();
        if let Some(row) = &stored {
            let plain = self.vault.open(STORAGE, &row.body)?;
            let list: Value = serde_json::from_slice(&plain)
                .map_err(|_| Error::internal("the signing keys cannot be read"))?;
            for value in list.as_array().into_iter().flatten() {
                keys.push(SigningKey::read(value)?);
            }
        }
        if keys.first().is_some_and(|newest| now - newest.created < KEY_AGE) {
            self.keys.0.store(Arc::new(keys));
            return Ok(());
        }
        // What the oldest signed has expired once the key that followed it is older than any token.
        let followed: Vec<i64> = keys.iter().map(|key| key.created).collect();
        let mut place = 0_usize;
        keys.retain(|_| {
            place += 1;
            let follower = place.checked_sub(2).and_then(|before| followed.get(before));
            follower.is_none_or(|created| now - created < TOKEN_LIFE)
        });
        keys.insert(0, SigningKey::generate(uuid::Uuid::new_v4().to_string(), now)?);
        let list: Vec<Value> = keys.iter().map(SigningKey::write).collect();
        let content = Content {
            body: self
                .vault
                .seal(STORAGE, Value::from(list).to_string().as_bytes())?
                .into(),
            owners: Vec::new(),
            deleting: false,
        };
        let action = match stored {
            Some(row) => Action::Replace {
                expected: row.version,
                content,
            },
            None => Action::Create {
                uid: uuid::Uuid::new_v4().to_string(),
                content,
                definition: None,
            },
        };
        let write = Write {
            key: key(),
            action,
            audit: None,
            was: None,
        };
        match self.store.write(write).await {
            Ok(_) => {
                self.keys.0.store(Arc::new(keys));
                Ok(())
            }
            // Someone else made one in the meantime, which the next request finds.
            Err(StoreError::Conflict | StoreError::Exists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A token, and when it expires, in seconds since 1970.
    pub(crate) async fn issue(&self, order: TokenOrder<'_>) -> Outcome<(String, i64)> {
        self.prepare_keys().await?;
        let now = self.clock.now().as_second();
        let until = now + order.life.min(TOKEN_LIFE);
        let mut about = json!({
            "namespace": order.namespace,
            "serviceaccount": {"name": order.name, "uid": order.uid},
        });
        if let Some((name, uid)) = &order.secret {
            object::root_mut(&mut about).insert("secret".into(), json!({"name": name, "uid": uid}));
        }
        let claims = json!({
            "aud": order.audiences,
            "exp": until,
            "iat": now,
            "iss": ISSUER,
            "jti": uuid::Uuid::new_v4().to_string(),
            "kubernetes.io": about,
            "nbf": now,
            "sub": rbac::account_user(order.namespace, order.name),
        });
        let keys = self.keys.0.load();
        let newest = keys
            .first()
            .ok_or_else(|| Error::internal("there is no signing key"))?;
        Ok((newest.sign(&claims)?, until))
    }

    /// Who a token is, with the audiences it is for; or why it is nobody.
    fn whose(
        &self,
        token: &str,
        audiences: &[&str],
    ) -> Result<(Principal, String, Vec<String>), &'static str> {
        let now = self.clock.now().as_second();
        let (claims, meant) = token::verify(&self.keys.0.load(), token, now, audiences)?;
        let about = claims.get("kubernetes.io").unwrap_or(&Value::Null);
        let account = about.get("serviceaccount").unwrap_or(&Value::Null);
        let (namespace, name, uid) = (top(about, "namespace"), top(account, "name"), top(account, "uid"));
        if self.rbac.policy().account(namespace, name) != Some(uid) {
            return Err("the token's service account is gone");
        }
        if let Some(secret) = about.get("secret").filter(|secret| secret.is_object())
            && !self.has_secret(namespace, top(secret, "name"), top(secret, "uid"))
        {
            return Err("the Secret that the token is bound to is gone");
        }
        let principal = Principal {
            user: rbac::account_user(namespace, name),
            groups: vec![
                GROUP.into(),
                format!("{GROUP}:{namespace}"),
                groups::AUTHENTICATED.into(),
            ],
            projects: Vec::new(),
            credential: Credential::Token,
        };
        Ok((principal, uid.to_owned(), meant))
    }

    /// Whether there is a Secret with this name and uid.
    pub(crate) fn has_secret(&self, namespace: &str, name: &str, uid: &str) -> bool {
        self.store.exists_owner(uid, namespace).unwrap_or(false) && {
            let place = Key::new(&Arc::from("secrets"), namespace, name);
            matches!(self.store.get(&place), Ok(Some(_)))
        }
    }

    /// The status of a `TokenReview`.
    pub(crate) fn review_token(&self, token: &str, audiences: &[&str]) -> Value {
        let own: &[&str] = &[ISSUER];
        let audiences = if audiences.is_empty() { own } else { audiences };
        match self.whose(token, audiences) {
            Ok((principal, uid, meant)) => json!({
                "authenticated": true,
                "user": {"username": principal.user, "uid": uid, "groups": principal.groups},
                "audiences": meant,
            }),
            Err(why) => json!({"user": {}, "error": why}),
        }
    }

    /// The uid of a service account that asks.
    pub(crate) fn account_uid(&self, principal: &Principal) -> Option<String> {
        let (namespace, name) = principal
            .user
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')?;
        self.rbac.policy().account(namespace, name).map(str::to_owned)
    }
}

/// Recognises the tokens of service accounts.
pub(crate) struct Tokens(pub(crate) Arc<Engine>);

impl Authenticator for Tokens {
    fn authenticate(&self, parts: &Parts) -> Option<Identity> {
        let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || !token::is_ours(token) {
            return None;
        }
        Some(match self.0.whose(token, &[ISSUER]) {
            Ok((principal, ..)) => Identity::Known(Arc::new(principal)),
            Err(why) => Identity::Rejected(why.into()),
        })
    }
}
