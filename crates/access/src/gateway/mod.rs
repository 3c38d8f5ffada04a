//! Processes that run the gateway role alone: the tokens by which they sign in, and what those are good for.
//!
//! *Invariant:* a token lies here as its hash; revoked, it is worth nothing from that moment on, and a watch that it
//! opened ends within half a minute.
//!
//! *Invariant:* a gateway reads the Secrets that resources name for it, and no other.

mod api;
mod authenticator;
mod secrets;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use serde::{Deserialize, Serialize};
use stead_kernel::{
    AccessRequest, Collection, Error, Principal, Result, Timestamp, Verb,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
    resources,
};

use self::secrets::NamedSecrets;
use crate::secret::{self, Digest};

pub(crate) use api::routes;
pub use secrets::{NAMING as SECRET_NAMING_KINDS, is_reference as names_a_secret};

/// A record a token, by its name.
pub(crate) const COLLECTION: Collection = Collection {
    name: "access.gateways",
    indexes: &[],
};

/// How every token of a gateway begins.
pub(crate) const PREFIX: &str = "stead-gateway-";
/// The longest name of a token.
const NAME: usize = 63;
/// How many records are read at a time.
const PAGE: usize = 500;

/// The kinds that a gateway works from, by their plurals; each is readable across projects, its status included in the
/// object. A test of the composition root holds this list against the gateway's own.
const KINDS: [&str; 8] = [
    "modelproviders",
    "modelroutes",
    "apikeys",
    "quotas",
    "guardrails",
    "prompts",
    "prompttemplates",
    "caches",
];
/// The gateways that may sign in, and what they may read. Cheap to clone.
#[derive(Clone)]
pub struct Gateways(Arc<Inner>);

struct Inner {
    records: Arc<dyn Records>,
    tokens: RwLock<HashMap<String, Token>>,
    named: NamedSecrets,
}

/// A token, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    /// The SHA-256 of the token in hex.
    hash: String,
    created: Timestamp,
}

#[derive(Debug, Clone)]
struct Token {
    digest: Digest,
    created: Timestamp,
    principal: Arc<Principal>,
}

impl Gateways {
    /// Reads the stored tokens. No Secret is known to be named until [`follow`](Self::follow) has looked.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub async fn load(records: Arc<dyn Records>) -> Result<Self> {
        let mut tokens = HashMap::new();
        let mut after = None;
        loop {
            let query = RecordQuery {
                collection: COLLECTION.name.into(),
                after: after.take(),
                limit: PAGE,
                ..RecordQuery::default()
            };
            let page = records.list(query).await?;
            tokens.extend(page.items.into_iter().filter_map(parse));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(Self(Arc::new(Inner {
            records,
            tokens: RwLock::new(tokens),
            named: NamedSecrets::default(),
        })))
    }

    /// Keeps itself informed which Secrets the gateway's resources name, until shutdown.
    pub fn follow(&self, client: &kube::Client, tasks: &stead_kernel::Tasks) {
        self.0.named.follow(client, tasks);
    }

    /// Makes a token; returns its text, which is not kept.
    ///
    /// # Errors
    /// `Invalid` for a name that is none; `Conflict` when there is a token of that name.
    pub async fn create(&self, name: &str, now: Timestamp) -> Result<String> {
        if !is_name(name) {
            return Err(Error::invalid(format!(
                "a gateway's name has at most {NAME} small letters, digits and dashes"
            )));
        }
        let text = format!("{PREFIX}{}", secret::random());
        let digest = secret::digest(&text);
        let stored = Stored {
            hash: secret::hex(&digest),
            created: now,
        };
        let body = serde_json::to_value(&stored)
            .map_err(|error| Error::internal("a token cannot be written").because(error))?;
        let write = RecordWrite::Put {
            key: key(name),
            expected: Some(0),
            body,
        };
        let written = self.0.records.commit(vec![write]).await;
        written.map_err(|error| match error.reason() {
            stead_kernel::Reason::Conflict => {
                Error::conflict(format!("there is a token for the gateway {name:?} already"))
                    .hint("choose another name, or revoke that one first")
            }
            _ => error,
        })?;
        self.write()
            .insert(name.to_owned(), Token::new(name, digest, now));
        Ok(text)
    }

    /// The names of all tokens, each with when it was made, in order.
    fn list(&self) -> Vec<(String, Timestamp)> {
        let tokens = self.read();
        let mut list: Vec<_> = tokens
            .iter()
            .map(|(name, token)| (name.clone(), token.created))
            .collect();
        list.sort();
        list
    }

    /// Makes a token worthless.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    async fn revoke(&self, name: &str) -> Result<()> {
        // First in memory: whatever the store says, it is good no more.
        let known = self.write().remove(name).is_some();
        let write = RecordWrite::Delete {
            key: key(name),
            expected: None,
        };
        self.0.records.commit(vec![write]).await?;
        if known {
            return Ok(());
        }
        Err(
            Error::not_found(format!("there is no token for a gateway {name:?}"))
                .hint("list them: stead gateway token list"),
        )
    }

    /// The gateway with this token.
    fn find(&self, token: &str) -> Option<Arc<Principal>> {
        let digest = secret::digest(token);
        let tokens = self.read();
        let mut all = tokens.values();
        all.find(|token| secret::same(&token.digest, &digest))
            .map(|token| Arc::clone(&token.principal))
    }

    /// Whether the gateway of this name may do this; the reason when not.
    pub(crate) fn authorize(&self, name: &str, request: &AccessRequest<'_>) -> Result<(), &'static str> {
        if !self.read().contains_key(name) {
            return Err("its token was revoked");
        }
        if !request.subresource.is_empty() {
            return Err("statuses are not for gateways");
        }
        match (request.group, request.resource) {
            (stead_kernel::GROUP, kind) if KINDS.contains(&kind) => {
                allowed(request.verb.is_read(), "a gateway changes no resource")
            }
            ("", "secrets") => match (request.project, request.name) {
                (Some(project), Some(name)) if request.verb.is_read() => allowed(
                    self.0.named.contains(project, name),
                    "no resource of the gateway names this Secret",
                ),
                _ => Err("a gateway reads single Secrets that its resources name"),
            },
            (stead_kernel::GROUP, resources::JOURNALS) => {
                allowed(request.verb == Verb::Create, "a gateway adds to journals only")
            }
            (stead_kernel::GROUP, resources::QUOTA_LEASES) => allowed(
                matches!(request.verb, Verb::Create | Verb::Update),
                "a gateway takes and renews leases of quotas only",
            ),
            _ => Err("this is nothing that a gateway needs"),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Token>> {
        self.0.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Token>> {
        self.0.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    fn new(name: &str, digest: Digest, created: Timestamp) -> Self {
        Self {
            digest,
            created,
            principal: Arc::new(Principal::gateway(name)),
        }
    }
}

fn allowed(condition: bool, otherwise: &'static str) -> Result<(), &'static str> {
    condition.then_some(()).ok_or(otherwise)
}

fn is_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME).contains(&name.len()) && name.bytes().all(letters) && !name.starts_with('-')
}

fn key(name: &str) -> RecordKey {
    RecordKey {
        collection: COLLECTION.name.into(),
        project: String::new(),
        id: name.to_owned(),
    }
}

/// A stored token; one that cannot be understood is worth nothing.
fn parse(record: Record) -> Option<(String, Token)> {
    let stored: Stored = serde_json::from_value(record.body).ok()?;
    let name = record.key.id;
    let token = Token::new(&name, secret::unhex(&stored.hash)?, stored.created);
    Some((name, token))
}

#[cfg(test)]
mod tests;
