//! Passwords: argon2id hashes in the record store.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use serde_json::json;
use stead_kernel::{
    Collection, Error, Result,
    ports::{RecordKey, RecordQuery, RecordWrite, Records},
};
use tokio::sync::Semaphore;

/// A record a user, by name: `{"uid", "hash"}`. The uid keeps a later user of the same name from inheriting it.
pub(crate) const COLLECTION: Collection = Collection {
    name: "access.passwords",
    indexes: &[],
};

/// The shortest password, in characters (NIST SP 800-63B, section 3.1.1.2).
const SHORTEST: usize = 8;
/// The longest password, in bytes: enough for any sentence, and no work for a denial of service.
const LONGEST: usize = 1024;
/// How many records are read at a time.
const PAGE: usize = 500;
/// How many passwords are hashed at once; each takes 19 MiB and a core for some tens of milliseconds.
const AT_ONCE: usize = 2;
/// How long a sign-in waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The passwords of all users.
pub(crate) struct Passwords {
    records: Arc<dyn Records>,
    turns: Semaphore,
}

impl Passwords {
    pub(crate) fn new(records: Arc<dyn Records>) -> Self {
        Self {
            records,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Whether the user with this uid has a password.
    pub(crate) async fn exists(&self, user: &str, uid: &str) -> Result<bool> {
        Ok(self.hash_of(user, uid).await?.is_some())
    }

    /// Sets the password; `Invalid` when it is too short or too long.
    pub(crate) async fn set(&self, user: &str, uid: &str, password: String) -> Result<()> {
        acceptable(&password)?;
        let hash = self.work(move || hash(&password)).await??;
        let write = RecordWrite::Put {
            key: key(user),
            expected: None,
            body: json!({"uid": uid, "hash": hash}),
        };
        self.records.commit(vec![write]).await?;
        Ok(())
    }

    /// Whether the password is the user's. Takes as long for a user who does not exist or has no password.
    pub(crate) async fn verify(&self, user: Option<(&str, &str)>, password: String) -> Result<bool> {
        let stored = match user {
            Some((name, uid)) => self.hash_of(name, uid).await?,
            None => None,
        };
        if password.len() > LONGEST {
            return Ok(false);
        }
        self.work(move || {
            let known = stored.is_some();
            let hash = stored.as_deref().unwrap_or_else(|| nobodys());
            let matches = PasswordHash::new(hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            });
            matches && known
        })
        .await
    }

    /// Forgets the passwords of users that are no more.
    pub(crate) async fn sweep(&self, exists: impl Fn(&str, &str) -> bool) -> Result<()> {
        let mut after = None;
        let mut orphans = Vec::new();
        loop {
            let query = RecordQuery {
                collection: COLLECTION.name.into(),
                after: after.take(),
                limit: PAGE,
                ..RecordQuery::default()
            };
            let page = self.records.list(query).await?;
            orphans.extend(page.items.into_iter().filter(|record| {
                let uid = record.body.get("uid").and_then(|uid| uid.as_str());
                !exists(&record.key.id, uid.unwrap_or_default())
            }));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        // The version keeps a password that was set meanwhile, by a new user of the name.
        let writes = orphans.into_iter().map(|record| RecordWrite::Delete {
            key: record.key,
            expected: Some(record.version),
        });
        for write in writes {
            self.records.commit(vec![write]).await?;
        }
        Ok(())
    }

    async fn hash_of(&self, user: &str, uid: &str) -> Result<Option<String>> {
        let Some(record) = self.records.get(&key(user)).await? else {
            return Ok(None);
        };
        let text = |field: &str| record.body.get(field).and_then(|value| value.as_str());
        Ok(text("hash")
            .filter(|_| text("uid") == Some(uid))
            .map(str::to_owned))
    }

    /// Runs hashing aside, a few at a time.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Error::exhausted("too many people sign in at once").retry_after(PATIENCE));
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::internal("a password could not be hashed").because(error))
    }
}

fn key(user: &str) -> RecordKey {
    RecordKey {
        collection: COLLECTION.name.into(),
        project: String::new(),
        id: user.into(),
    }
}

fn acceptable(password: &str) -> Result<()> {
    if password.chars().count() < SHORTEST {
        return Err(Error::invalid(format!(
            "the password is too short: {SHORTEST} characters or more"
        ))
        .hint("a few random words are easy to remember and hard to guess"));
    }
    if password.len() > LONGEST {
        return Err(Error::invalid(format!(
            "the password is too long: {LONGEST} bytes at most"
        )));
    }
    Ok(())
}

fn hash(password: &str) -> Result<String> {
    // Argon2id with 19 MiB, two passes and one lane: the crate's default and OWASP's advice.
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| Error::internal("a password could not be hashed").because(error))
}

/// A hash that belongs to nobody, for those who ask about nobody.
fn nobodys() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash(&crate::secret::random()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use stead_kernel::Reason;
    use stead_testkit::FakePorts;

    use super::*;

    #[tokio::test]
    async fn a_password_is_good_for_its_user_and_uid_only() {
        let ports = FakePorts::default();
        let records: Arc<dyn Records> = ports.records.clone();
        let passwords = Passwords::new(Arc::clone(&records));
        passwords
            .set("ada", "uid-1", "correct horse".into())
            .await
            .expect("set");
        for (user, uid, password, right) in [
            ("ada", "uid-1", "correct horse", true),
            ("ada", "uid-1", "correct hors", false),
            ("ada", "uid-2", "correct horse", false),
            ("bob", "uid-1", "correct horse", false),
        ] {
            let verified = passwords
                .verify(Some((user, uid)), password.into())
                .await
                .expect("verified");
            assert_eq!(verified, right, "{user} {uid} {password}");
        }
        assert!(
            !passwords
                .verify(None, "correct horse".into())
                .await
                .expect("verified")
        );
        let stored = records.get(&key("ada")).await.expect("read").expect("there").body;
        let hash = stored["hash"].as_str().expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(!stored.to_string().contains("horse"));
        passwords
            .sweep(|user, uid| (user, uid) == ("ada", "uid-1"))
            .await
            .expect("swept");
        assert!(passwords.exists("ada", "uid-1").await.expect("read"));
        passwords.sweep(|_, _| false).await.expect("swept");
        assert!(!passwords.exists("ada", "uid-1").await.expect("read"));
    }

    #[tokio::test]
    async fn passwords_that_are_too_short_or_too_long_are_refused() {
        let passwords = Passwords::new(FakePorts::default().records);
        for password in ["", "1234567", "ééééééé", &"x".repeat(1025)] {
            let error = passwords
                .set("ada", "uid", password.into())
                .await
                .expect_err("refused");
            assert_eq!(error.reason(), Reason::Invalid);
        }
        passwords
            .set("ada", "uid", "éééééééé".into())
            .await
            .expect("eight characters");
    }

    #[tokio::test]
    async fn a_damaged_hash_verifies_nothing() {
        let records = FakePorts::default().records;
        let body = json!({"uid": "u", "hash": "$argon2id$broken"});
        let write = RecordWrite::Put {
            key: key("ada"),
            expected: None,
            body,
        };
        records.commit(vec![write]).await.expect("written");
        let passwords = Passwords::new(records);
        assert!(
            !passwords
                .verify(Some(("ada", "u")), "anything".into())
                .await
                .expect("verified")
        );
    }
}
