//! Places for connections. Some are kept for this machine, so that strangers cannot lock out its own CLI.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts open connections.
#[derive(Debug)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    remote: Arc<Semaphore>,
    count: u32,
}

/// A taken place, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _all: OwnedSemaphorePermit,
    _remote: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// So many places, of which an eighth is for loopback only.
    pub(super) fn new(count: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(count)),
            remote: Arc::new(Semaphore::new(count - count / 8)),
            count: u32::try_from(count).unwrap_or(u32::MAX),
        }
    }

    /// A place, or `None` when all that this peer may have are taken.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Slot> {
        let remote = if peer.to_canonical().is_loopback() {
            None
        } else {
            Some(Arc::clone(&self.remote).try_acquire_owned().ok()?)
        };
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Slot {
            _all: all,
            _remote: remote,
        })
    }

    /// Waits until no place is taken, a little longer than `drain` at most.
    pub(super) async fn all_free(&self, drain: Duration) {
        let patience = drain.saturating_add(Duration::from_millis(500));
        let all = self.all.acquire_many(self.count);
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("some connections were cut off, because their requests took too long");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_take_the_places_of_this_machine() {
        let slots = Slots::new(8);
        let stranger = IpAddr::from([203, 0, 113, 9]);
        let held: Vec<_> = std::iter::from_fn(|| slots.take(stranger)).collect();
        assert_eq!(held.len(), 7);
        let own = slots.take(IpAddr::from([127, 0, 0, 1]));
        assert!(own.is_some());
        assert!(slots.take(IpAddr::from([127, 0, 0, 1])).is_none());
        drop(held);
        assert!(slots.take(stranger).is_some());
    }
}
