//! Turns for clients, so that one who asks for much does not keep the others waiting.
//!
//! Each client (a user's name) has so many requests under way and so many waiting; lists, which cost the most, are counted
//! on their own, and so are watches, which last. Who has too many waiting is told to come back (429 with `Retry-After`).
//! The process itself has no limit: its controllers are few and known.
//!
//! *Invariant:* what is kept for a client is forgotten once nothing of theirs is under way.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use stead_kernel::{Credential, Verb};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    engine::Caller,
    failure::{Failure, Outcome},
};

/// How many requests of one client are worked on at a time.
const REQUESTS: usize = 100;
/// How many lists of one client are worked on at a time.
const LISTS: usize = 4;
/// How many requests of one client wait for their turn.
const WAITING: usize = 400;
/// How many watches one client may have open.
const WATCHES: usize = 2000;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whose turn it is.
#[derive(Default)]
pub(crate) struct Fairness {
    clients: Mutex<HashMap<String, Arc<Client>>>,
}

struct Client {
    requests: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS)),
            lists: Arc::new(Semaphore::new(LISTS)),
            watches: Arc::new(Semaphore::new(WATCHES)),
            waiting: AtomicUsize::new(0),
        }
    }
}

/// A turn, until it is dropped.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    _client: Arc<Client>,
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fairness {
    /// Waits for a turn; `None` for who needs none.
    pub(crate) async fn turn(&self, caller: &Caller, verb: Verb) -> Outcome<Option<Turn>> {
        let who = &caller.principal;
        if who.credential == Credential::Process && caller.acting.is_none() {
            return Ok(None);
        }
        let name = caller
            .acting
            .as_ref()
            .map_or(&who.user, |acting| &acting.impersonator);
        let client = self.client(name);
        let permit = match verb {
            Verb::Watch => Arc::clone(&client.watches)
                .try_acquire_owned()
                .map_err(|_| Failure::too_many_requests())?,
            Verb::List | Verb::DeleteCollection => wait(&client, &client.lists).await?,
            Verb::Get | Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => {
                wait(&client, &client.requests).await?
            }
        };
        Ok(Some(Turn {
            _permit: permit,
            _client: client,
        }))
    }

    fn client(&self, name: &str) -> Arc<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(name) {
            return Arc::clone(client);
        }
        clients.retain(|_, client| Arc::strong_count(client) > 1);
        let client = Arc::new(Client::default());
        clients.insert(name.to_owned(), Arc::clone(&client));
        client
    }
}

async fn wait(client: &Client, semaphore: &Arc<Semaphore>) -> Outcome<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
        return Ok(permit);
    }
    let before = client.waiting.fetch_add(1, Ordering::Relaxed);
    let _waiting = Waiting(&client.waiting);
    if before >= WAITING {
        return Err(Failure::too_many_requests());
    }
    match timeout(PATIENCE, Arc::clone(semaphore).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Failure::too_many_requests()),
    }
}

#[cfg(test)]
mod tests {
    use stead_kernel::Principal;

    use super::*;

    fn caller(name: &str) -> Caller {
        Caller::of(Principal {
            user: name.into(),
            ..Principal::admin()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_lists_without_end_keeps_nobody_else_waiting() {
        let fairness = Fairness::default();
        let (busy, other) = (caller("busy"), caller("other"));
        let mut turns = Vec::new();
        for _ in 0..LISTS {
            turns.push(fairness.turn(&busy, Verb::List).await.expect("a turn"));
        }
        let begin = tokio::time::Instant::now();
        assert!(fairness.turn(&other, Verb::List).await.is_ok());
        assert!(fairness.turn(&busy, Verb::Get).await.is_ok());
        assert_eq!(begin.elapsed(), Duration::ZERO);
        // The next list of the busy one waits in vain.
        assert!(fairness.turn(&busy, Verb::List).await.is_err());
        assert_eq!(begin.elapsed(), PATIENCE);
        turns.pop();
        assert!(fairness.turn(&busy, Verb::List).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_too_many_waiting_is_told_at_once() {
        let fairness = Fairness::default();
        let busy = caller("busy");
        let mut turns = Vec::new();
        for _ in 0..LISTS {
            turns.push(fairness.turn(&busy, Verb::List).await.expect("a turn"));
        }
        let waiting = futures::future::join_all((0..=WAITING).map(|_| fairness.turn(&busy, Verb::List)));
        let begin = tokio::time::Instant::now();
        let results = waiting.await;
        assert!(results.iter().all(Outcome::is_err));
        assert_eq!(begin.elapsed(), PATIENCE);
        drop(turns);
        assert!(fairness.turn(&caller("other"), Verb::Get).await.is_ok());
        assert_eq!(fairness.clients.lock().expect("no panic").len(), 1);
    }

    #[tokio::test]
    async fn the_process_itself_has_no_limit() {
        let fairness = Fairness::default();
        let controller = Caller::of(Principal::controller("x"));
        assert!(matches!(fairness.turn(&controller, Verb::List).await, Ok(None)));
    }
}
