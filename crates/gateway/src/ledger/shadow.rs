//! A second attempt beside the first one, with a record of its own until it is known which of them answers.
//!
//! *Invariant:* what the attempt cost that is cancelled is billed with the request, also when the client leaves while
//! both are under way.

use std::sync::{Arc, Mutex, PoisonError};

use stead_kernel::ports::{NanoUsd, TokenUsage, events::RequestRow};

use super::{ESTIMATED, Ledger, metrics, micros};

/// The label of rows of requests for which two targets were asked at once: which one answered.
const HEDGED: &str = "stead.dev/hedge";
/// What nobody reads: the record of a shadow that is dropped while it asks.
const LEFT: &str = "nobody waits for it any more";

/// The record of a second attempt. It settles nothing: a request is billed once.
pub(crate) struct Shadow(Box<Ledger>);

/// What attempts used that were cancelled because another one answered, as the request and its shadows share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside(Arc<Mutex<Lost>>);

#[derive(Debug, Clone, Copy, Default)]
struct Lost {
    attempts: u32,
    usage: TokenUsage,
    /// Of those whose price is known.
    cost: Option<NanoUsd>,
}

impl Beside {
    fn add(&self, usage: &TokenUsage, cost: Option<NanoUsd>) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.attempts += 1;
        lost.usage = lost.usage.plus(usage);
        lost.cost = sum(lost.cost, cost);
    }
}

/// Both together, where either is known.
fn sum(one: Option<NanoUsd>, other: Option<NanoUsd>) -> Option<NanoUsd> {
    match (one, other) {
        (Some(NanoUsd(one)), Some(NanoUsd(other))) => Some(NanoUsd(one.saturating_add(other))),
        (known, None) | (None, known) => known,
    }
}

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
        self.0.give_up(LEFT);
        self.0.leave_provider();
    }
}

impl Ledger {
    /// A record for a second attempt at the same request.
    pub(crate) fn shadow(&mut self) -> Shadow {
        let row = RequestRow::default();
        let mut ledger = Self::unrecorded(Arc::clone(&self.books), row);
        ledger.id = self.id;
        ledger.started = self.started;
        ledger.reserved = self.reserved;
        ledger.beside = Some(self.beside.get_or_insert_default().clone());
        Shadow(ledger)
    }

    /// A record that is never written.
    fn unrecorded(books: Arc<super::Books>, row: RequestRow) -> Box<Self> {
        let mut ledger = Self::open(books, row);
        ledger.settled = true;
        ledger.books.metrics.end();
        ledger
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

    /// Ends an attempt that is not waited for any more, and remembers that it took longer than this and what it used.
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
        self.lose();
    }

    /// An attempt that is cancelled is paid for: what its provider said that it used, or else what it was sent. It had
    /// not begun to answer.
    fn lose(&self) {
        let (Some(beside), Some(provider)) = (&self.beside, &self.provider) else {
            return;
        };
        let usage = self.produced.unwrap_or(TokenUsage {
            input: self.reserved.input,
            ..TokenUsage::default()
        });
        metrics::count_tokens(&provider.counters, &usage);
        beside.add(&usage, self.price(provider, &self.row.provider_model, &usage));
    }

    /// Adds to the row what attempts used that were cancelled because another one answered.
    pub(super) fn bill_the_lost(&mut self) {
        let Some(beside) = self.beside.take() else { return };
        let lost = *beside.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.attempts == 0 {
            return;
        }
        self.row.usage = self.row.usage.plus(&lost.usage);
        self.row.cost = sum(self.row.cost, lost.cost);
        self.row.labels.insert(ESTIMATED.0.into(), ESTIMATED.1.into());
    }
}
