//! Ctrl-C: a listener's, or the end of the program.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

/// Who gets a Ctrl-C.
pub(crate) struct Interrupts {
    /// How many listen or have asked that the program not end.
    holders: AtomicUsize,
    happened: Notify,
    /// Whether [`until`](Self::until) receives the signal and passes it on; else listeners receive it themselves,
    /// and without any the system ends the program.
    driven: bool,
}

impl Interrupts {
    /// For commands that a Ctrl-C ends when nothing listens to it, with the exit code of shells.
    pub(crate) fn driven() -> Self {
        Self {
            holders: AtomicUsize::new(0),
            happened: Notify::new(),
            driven: true,
        }
    }

    /// For commands that handle signals themselves.
    pub(crate) fn direct() -> Self {
        Self {
            driven: false,
            ..Self::driven()
        }
    }

    /// Resolves at the next Ctrl-C.
    pub(super) async fn next(&self) {
        if !self.driven {
            let Some(mut signals) = listen() else {
                return std::future::pending().await;
            };
            signals.recv().await;
            return;
        }
        let _hold = self.hold();
        self.happened.notified().await;
    }

    /// Keeps Ctrl-C from ending the program for as long as the returned value lives.
    pub(super) fn hold(&self) -> Hold<'_> {
        self.holders.fetch_add(1, Ordering::SeqCst);
        Hold(self)
    }

    /// Runs the work to its end; `None` when a Ctrl-C that nobody holds ended it.
    pub(super) async fn until<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        if !self.driven {
            return Some(work.await);
        }
        tokio::select! {
            // First, so that a signal finds its listeners still there.
            biased;
            () = self.unheld() => None,
            result = work => Some(result),
        }
    }

    async fn unheld(&self) {
        let Some(mut signals) = listen() else {
            return std::future::pending().await;
        };
        while signals.recv().await.is_some() {
            if self.holders.load(Ordering::SeqCst) == 0 {
                return;
            }
            self.happened.notify_waiters();
        }
    }
}

/// Without a handler the system ends the program, which is what nobody listening means.
fn listen() -> Option<Signal> {
    signal(SignalKind::interrupt()).ok()
}

/// Keeps Ctrl-C from ending the program.
pub(crate) struct Hold<'a>(&'a Interrupts);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.holders.fetch_sub(1, Ordering::SeqCst);
    }
}
