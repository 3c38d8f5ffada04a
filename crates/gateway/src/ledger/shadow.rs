//! A second attempt beside the first one, with a record of its own until it is known which of them answers.

use std::sync::Arc;

use stead_kernel::ports::events::RequestRow;

use super::{Ledger, micros};

/// The label of rows of requests for which two targets were asked at once: which one answered.
const HEDGED: &str = "stead.dev/hedge";

/// The record of a second attempt. It settles nothing: a request is billed once.
pub(crate) struct Shadow(Ledger);

impl std::ops::Deref for Shadow {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.0
    }
}

impl std::ops::DerefMut for Shadow {
    fn deref_mut(&mut self) -> &mut Ledger {
        &mut self.0
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.0.leave_provider();
    }
}

impl Ledger {
    /// A record for a second attempt at the same request.
    pub(crate) fn shadow(&self) -> Shadow {
        let row = RequestRow::default();
        let mut ledger = Self::unrecorded(Arc::clone(&self.books), row);
        ledger.id = self.id;
        ledger.started = self.started;
        Shadow(ledger)
    }

    /// A record that is never written.
    pub(super) fn unrecorded(books: Arc<super::Books>, row: RequestRow) -> Self {
        let mut ledger = Self::open(books, row);
        ledger.settled = true;
        ledger.books.metrics.end();
        ledger
    }

    /// A record that is never written, for what no client asked.
    pub(crate) fn of_nobody(books: Arc<super::Books>) -> Shadow {
        Shadow(Self::unrecorded(books, RequestRow::default()))
    }

    /// The second attempt answers. The first one failed, or is cancelled for the given reason.
    pub(crate) fn adopt(&mut self, mut shadow: Shadow, reason: &str) {
        self.give_up(reason);
        let other = &mut shadow.0;
        self.row.attempts.append(&mut other.row.attempts);
        std::mem::swap(&mut self.row.provider, &mut other.row.provider);
        std::mem::swap(&mut self.row.provider_model, &mut other.row.provider_model);
        self.row.first_token_us = other.row.first_token_us;
        self.warnings = std::mem::take(&mut other.warnings);
        self.produced = other.produced.take();
        self.attempt = other.attempt.take();
        // What the first one held is let go with the shadow.
        std::mem::swap(&mut self.provider, &mut other.provider);
        std::mem::swap(&mut self.flight, &mut other.flight);
        self.row.labels.insert(HEDGED.into(), "second".into());
    }

    /// The second attempt failed, or is cancelled for the given reason; the first one stays as it is.
    pub(crate) fn absorb(&mut self, mut shadow: Shadow, reason: &str) {
        shadow.0.give_up(reason);
        let lost = std::mem::take(&mut shadow.0.row.attempts);
        // The last attempt is the one that answers.
        let place = self.row.attempts.len().saturating_sub(1);
        self.row.attempts.splice(place..place, lost);
        self.row.labels.insert(HEDGED.into(), "first".into());
    }

    /// Ends an attempt that is not waited for any more, and remembers that it took longer than this.
    fn give_up(&mut self, reason: &str) {
        let Some(began) = self.attempt.take() else { return };
        if let Some(attempt) = self.row.attempts.last_mut() {
            attempt.duration_us = micros(began);
            reason.clone_into(&mut attempt.error);
        }
        if let Some(flight) = &mut self.flight {
            let now = tokio::time::Instant::now();
            let answering = stead_routing::Answering::Streamed;
            flight.slower(answering, now - began, now.into_std());
        }
    }
}
