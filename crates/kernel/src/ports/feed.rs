//! What was stored just now, for those who follow it live.
//!
//! *Invariant:* telling never waits and costs next to nothing while nobody follows; who is too slow is told so, and
//! asks the stores.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::broadcast;
use uuid::Uuid;

/// How many tellings a follower may lie behind.
const BEHIND: usize = 1_024;

/// Something that is durable and readable by now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Told {
    /// A request to a model, by its id.
    Request {
        /// The project that is charged.
        project: String,
        /// The id.
        id: String,
    },
    /// A trace of an application, or something in it.
    Trace {
        /// The project of Stead.
        workspace: String,
        /// The trace.
        id: Uuid,
    },
    /// Lines of a log.
    Logs {
        /// The project of Stead.
        workspace: String,
    },
}

/// The way from those who store to those who follow; closed when the server stops.
#[derive(Debug)]
pub struct Feed(RwLock<Option<broadcast::Sender<Arc<[Told]>>>>);

/// Someone who follows.
pub type Follower = broadcast::Receiver<Arc<[Told]>>;

impl Default for Feed {
    fn default() -> Self {
        Self(RwLock::new(Some(broadcast::channel(BEHIND).0)))
    }
}

impl Feed {
    /// Whether anyone follows; what is to be told need not be put together otherwise.
    pub fn is_followed(&self) -> bool {
        let sender = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Tells all who follow.
    pub fn tell(&self, told: Vec<Told>) {
        let sender = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let (false, Some(sender)) = (told.is_empty(), sender.as_ref()) {
            // An error means that nobody follows.
            sender.send(told.into()).ok();
        }
    }

    /// Follows what is told from now on.
    pub fn follow(&self) -> Follower {
        let sender = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let closed = || broadcast::channel(1).1;
        sender.as_ref().map_or_else(closed, broadcast::Sender::subscribe)
    }

    /// Tells nothing any more, and tells those who follow that this is the end.
    pub fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_follows_is_told_and_who_is_slow_is_told_that_it_was() {
        let feed = Feed::default();
        let logs = || {
            vec![Told::Logs {
                workspace: "default".into(),
            }]
        };
        assert!(!feed.is_followed());
        feed.tell(logs());
        let mut follower = feed.follow();
        assert!(feed.is_followed());
        feed.tell(Vec::new());
        feed.tell(logs());
        assert_eq!(follower.recv().await.unwrap().as_ref(), logs().as_slice());
        for _ in 0..=BEHIND {
            feed.tell(logs());
        }
        let missed = follower.recv().await;
        assert_eq!(missed, Err(broadcast::error::RecvError::Lagged(1)));
        let mut late = feed.follow();
        feed.close();
        assert!(!feed.is_followed());
        assert_eq!(late.recv().await, Err(broadcast::error::RecvError::Closed));
        assert_eq!(
            feed.follow().recv().await,
            Err(broadcast::error::RecvError::Closed)
        );
    }
}
