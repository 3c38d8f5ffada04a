//! The record of one request: reserved before dispatch, settled exactly once, also when the client leaves.

mod shadow;

use std::sync::{Arc, OnceLock, atomic::Ordering};

use bytes::Bytes;
use rand::Rng;
use stead_kernel::{
    Capture, Clock, Timestamp,
    ports::{
        NanoUsd, Prices, TokenUsage,
        events::{Attempt, Outcome, RequestRow},
    },
};
use stead_metering::Used;
use stead_routing::Flight;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    api::error::ApiError,
    dispatch::Failure,
    journal::{Journal, Ticket},
    metrics::{self, Metrics},
    quota::{Admitted, Meters, QuotaTable, Size, Who},
    snapshot::{Provider, Target},
    tally::{self, Tally},
};

/// Tokens that are reserved for an answer whose length the client does not limit.
const DEFAULT_OUTPUT: u64 = 1_024;
/// One request in so many is captured when bodies are sampled.
const SAMPLE: u128 = 10;
/// The most tokens that are reserved for an answer, and that a row counts of each sort: what a client or provider
/// claims beyond it is no truth, and sums must not overflow.
const TOKEN_LIMITS: (u64, u64) = (1 << 20, 1 << 32);
/// The most bytes of a text in a row that a client or provider can make as long as it likes.
const TEXT_LIMIT: usize = 1_024;
/// The label of rows whose usage the provider did not tell.
pub(crate) const ESTIMATED: (&str, &str) = ("stead.dev/usage", "estimated");

/// What ledgers work with.
pub(crate) struct Books {
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) prices: Arc<dyn Prices>,
    pub(crate) capture: Capture,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) meters: Meters,
    /// The name of this process in records, empty for the one with the stores.
    pub(crate) replica: Arc<str>,
}

/// The record of one request, in a box, since it goes through many hands. Dropped unsettled, it settles as cancelled.
pub(crate) struct Ledger {
    books: Arc<Books>,
    id: Uuid,
    row: RequestRow,
    started: Instant,
    input: Option<Bytes>,
    ticket: Option<Ticket>,
    provider: Option<Arc<Provider>>,
    attempt: Option<Instant>,
    /// The target that is asked, which learns how that ends.
    flight: Option<Flight>,
    /// What the request was reserved with, and what a row without usage is estimated by.
    reserved: TokenUsage,
    /// What an answer that does not say is taken to have used in other units than tokens.
    units: TokenUsage,
    /// What a whole answer has produced so far, in case its client leaves.
    produced: Option<TokenUsage>,
    /// What the request lost on its way to the provider that is asked.
    warnings: Vec<String>,
    /// Told how the request ended, when somebody asked.
    outcome: Option<Arc<OnceLock<Outcome>>>,
    /// Its place in the quotas that hold for it.
    admitted: Admitted,
    /// What attempts used that another one overtook; `None` while no two ran at a time.
    beside: Option<shadow::Beside>,
    settled: bool,
}

/// What came of a request that is answered.
pub(crate) struct Settled {
    /// What it cost, if that is known.
    pub(crate) cost: Option<NanoUsd>,
    /// The quotas that hold for it.
    pub(crate) admitted: Admitted,
    pub(crate) at: Timestamp,
}

impl Ledger {
    /// Opens the record of a request that just came.
    pub(crate) fn open(books: Arc<Books>, row: RequestRow) -> Box<Self> {
        let now = books.clock.now();
        let id = new_id(now);
        books.metrics.begin();
        Box::new(Self {
            row: RequestRow {
                id: id.to_string(),
                started: now,
                replica: books.replica.to_string(),
                ..row
            },
            id,
            started: Instant::now(),
            input: None,
            ticket: None,
            provider: None,
            attempt: None,
            flight: None,
            reserved: TokenUsage::default(),
            units: TokenUsage::default(),
            produced: None,
            warnings: Vec::new(),
            outcome: None,
            admitted: Admitted::default(),
            beside: None,
            settled: false,
            books,
        })
    }

    pub(crate) fn uuid(&self) -> Uuid {
        self.id
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn row(&self) -> &RequestRow {
        &self.row
    }

    /// Where the outcome will be, once the request is settled.
    pub(crate) fn outcome(&mut self) -> Arc<OnceLock<Outcome>> {
        Arc::clone(self.outcome.get_or_insert_default())
    }

    /// Leaves no record: the request was one that is recorded already.
    pub(crate) fn forget(mut self: Box<Self>) {
        self.settled = true;
        self.books.metrics.end();
    }

    /// Fills in what is known of the request.
    pub(crate) fn describe(&mut self, fill: impl FnOnce(&mut RequestRow)) {
        fill(&mut self.row);
    }

    /// Whether the answer's text may be wanted in the record.
    pub(crate) fn keeps_output(&self) -> bool {
        self.books.capture != Capture::None
    }

    /// Gets the request past the quotas that hold for it, or says why not. `targets` are all that may be asked.
    /// Returns the limit of the output that the request must get.
    pub(crate) async fn admit(
        &mut self,
        quotas: &QuotaTable,
        size: Size<'_>,
        targets: &[Target],
    ) -> Result<Option<u64>, ApiError> {
        let row = &self.row;
        let who = Who {
            project: &row.project,
            key: &row.key,
            user: &row.user,
            team: &row.team,
            route: &row.route,
        };
        let found = quotas.of_whom(&who);
        if found.is_empty() {
            return Ok(None);
        }
        let books = Arc::clone(&self.books);
        let admitted = books
            .meters
            .admit(&found, size, targets, row.started, &mut self.admitted)
            .await;
        admitted.map(|()| self.admitted.max_tokens)
    }

    /// Says what an answer that does not say is taken to have used in other units than tokens.
    pub(crate) fn estimate(&mut self, units: TokenUsage) {
        self.units = units;
    }

    /// Its place in the quotas that hold for it.
    pub(crate) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// The time of now, as records have it.
    pub(crate) fn now(&self) -> Timestamp {
        self.books.clock.now()
    }

    /// Appends the reservation to the journal. Without it the request must not go on.
    pub(crate) fn reserve(
        &mut self,
        body: &Bytes,
        max_tokens: Option<u64>,
        first: &Target,
    ) -> Result<(), ApiError> {
        // Four bytes a token is about right for text.
        let estimate = TokenUsage {
            input: u64::try_from(body.len()).unwrap_or(u64::MAX).div_ceil(4),
            output: max_tokens.unwrap_or(DEFAULT_OUTPUT).min(TOKEN_LIMITS.0),
            ..TokenUsage::default()
        };
        self.reserved = estimate;
        self.input = Some(body.clone());
        let (usage, cost) = self.most().unwrap_or_else(|| {
            let cost = self.price(&first.provider, &first.model, &estimate);
            (estimate, cost)
        });
        let row = &mut self.row;
        (row.outcome, row.usage, row.cost) = (Outcome::Interrupted, usage, cost);
        row.provider.push_str(&first.provider.name);
        row.provider_model.push_str(&first.model);
        let reserved = self.books.journal.reserve(self.id, &self.row);
        // That was the row to bill if nothing more is heard; the row itself goes on.
        let row = &mut self.row;
        (row.outcome, row.usage, row.cost) = (Outcome::default(), TokenUsage::default(), None);
        row.provider.clear();
        row.provider_model.clear();
        let ticket = reserved.map_err(|error| {
            self.books.metrics.refused();
            tracing::error!(%error, "requests are refused because the journal takes no reservation");
            ApiError::unavailable(
                "journal_unavailable",
                format!("the request was not sent, because its usage cannot be recorded on this server's disk: {error}"),
            )
        })?;
        self.ticket = Some(ticket);
        Ok(())
    }

    /// What to bill if nothing more is heard of a request under a hard limit: the most that it can have used.
    fn most(&self) -> Option<(TokenUsage, Option<NanoUsd>)> {
        let bound = self.admitted.bound?;
        let usage = TokenUsage {
            input: bound.input?,
            output: bound.output?,
            ..TokenUsage::default()
        };
        let spend = bound.spend.and_then(|spend| i64::try_from(spend).ok());
        Some((usage, spend.map(NanoUsd)))
    }

    fn price(&self, provider: &Provider, model: &str, usage: &TokenUsage) -> Option<NanoUsd> {
        let price = provider
            .prices
            .price(&provider.vendor, model, &*self.books.prices)?;
        if !price.is_by_time() {
            return Some(price.cost(usage));
        }
        let attempt = self.row.attempts.last();
        let gpu_ms = attempt.map_or(0, |attempt| attempt.duration_us.div_ceil(1_000));
        Some(price.cost(&TokenUsage { gpu_ms, ..*usage }))
    }

    /// Says what the request lost on its way to the provider that is asked.
    pub(crate) fn warn(&mut self, warnings: Vec<String>) {
        self.warnings = warnings;
    }

    /// What the request lost on its way to the provider that was asked last.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A try begins; what an earlier one produced does not count for it.
    pub(crate) fn begin_attempt(&mut self, target: &Target, flight: Flight) {
        self.warnings.clear();
        self.produced = None;
        self.row.first_token_us = None;
        self.row.provider.clear();
        self.row.provider.push_str(&target.provider.name);
        self.row.provider_model.clear();
        self.row.provider_model.push_str(&target.model);
        self.row.attempts.push(Attempt {
            provider: target.provider.name.to_string(),
            model: target.model.to_string(),
            offset_us: micros(self.started),
            ..Attempt::default()
        });
        self.attempt = Some(Instant::now());
        self.leave_provider();
        target.provider.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        self.provider = Some(Arc::clone(&target.provider));
        self.flight = Some(flight);
    }

    /// The target that is asked, to tell it how that went.
    pub(crate) fn flight(&mut self) -> Option<&mut Flight> {
        self.flight.as_mut()
    }

    /// A try ended, well or not. Attempts of streams end with the stream.
    pub(crate) fn end_attempt(&mut self, failure: Option<&Failure>, status: u16) {
        let Some(began) = self.attempt.take() else { return };
        if let Some(attempt) = self.row.attempts.last_mut() {
            attempt.duration_us = micros(began);
            attempt.status = failure.map_or(status, |failure| failure.status);
            attempt.error = failure
                .map(|failure| clipped(&failure.error.message))
                .unwrap_or_default();
        }
    }

    /// The first content of the answer is there.
    pub(crate) fn first_token(&mut self) {
        self.row.first_token_us = Some(micros(self.started));
    }

    /// Says what a whole answer has produced so far.
    pub(crate) fn produced(&mut self, usage: TokenUsage) {
        self.produced = Some(usage);
    }

    /// Puts what was used so far into the reservation, so that a killed process has billed it.
    pub(crate) fn update(&mut self, usage: TokenUsage) {
        self.produced = Some(usage);
        let (Some(ticket), Some(provider)) = (self.ticket, &self.provider) else {
            return;
        };
        let row = RequestRow {
            outcome: Outcome::Interrupted,
            usage: plausible(usage),
            cost: self.price(provider, &self.row.provider_model, &usage),
            duration_us: micros(self.started),
            ..RequestRow::clone(&self.row)
        };
        match self.books.journal.renew(ticket, self.id, &row) {
            Ok(ticket) => self.ticket = Some(ticket),
            Err(error) => {
                tracing::error!(%error, "what a session used so far cannot be written to the journal");
            }
        }
    }

    /// Settles an answer that is complete; returns what came of it.
    pub(crate) fn succeed(mut self: Box<Self>, tally: Tally) -> Settled {
        self.end_attempt(None, 200);
        self.row.status = 200;
        self.settle(Outcome::Ok, tally);
        Settled {
            cost: self.row.cost,
            admitted: std::mem::take(&mut self.admitted),
            at: self.now(),
        }
    }

    /// Settles a request that failed; an answer under way had its status already.
    pub(crate) fn fail(mut self: Box<Self>, error: &ApiError, tally: Tally) {
        if let (Some(_), Some(attempt)) = (self.attempt, self.row.attempts.last_mut()) {
            attempt.error = clipped(&error.message);
            attempt.status = 200;
        }
        if let (Some(began), Some(attempt)) = (self.attempt.take(), self.row.attempts.last_mut()) {
            attempt.duration_us = micros(began);
        }
        self.row.status = error.status.as_u16();
        self.row.error = clipped(&error.message);
        self.settle(Outcome::Error, tally);
    }

    /// Settles a request whose client left.
    pub(crate) fn cancel(mut self: Box<Self>, tally: Tally) {
        self.row.status = if tally.pieces > 0 { 200 } else { 0 };
        self.abandon(tally);
    }

    fn abandon(&mut self, tally: Tally) {
        if std::thread::panicking() {
            self.row.status = 500;
            self.row.error = "the gateway failed; its log says more".into();
            self.end_attempt(None, 0);
            return self.settle(Outcome::Error, tally);
        }
        self.row.error = "the client left before the end of the answer".into();
        self.end_attempt(None, self.row.status);
        self.settle(Outcome::Cancelled, tally);
    }

    fn settle(&mut self, outcome: Outcome, mut tally: Tally) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.row.labels.append(&mut tally.labels);
        if let Some(told) = &self.outcome {
            // It settles once, so that nobody was told before.
            let _ = told.set(outcome);
        }
        self.row.outcome = outcome;
        self.row.duration_us = micros(self.started);
        self.row.usage = self.usage(outcome, &tally);
        if let Some(provider) = self.provider.clone() {
            self.row.cost = self.price(&provider, &self.row.provider_model, &self.row.usage);
            if outcome == Outcome::Error && self.row.usage == TokenUsage::default() {
                // A failure costs nothing, not even what a request costs by the piece.
                self.row.cost = self.row.cost.map(|_| NanoUsd::default());
            }
            metrics::count(&provider.counters, &self.row, tally.model.as_deref());
        } else {
            // Nobody was asked, and that costs nothing.
            self.row.cost = Some(NanoUsd::default());
        }
        self.bill_the_lost();
        self.leave_provider();
        self.settle_quotas();
        self.capture(outcome, tally);
        self.books.metrics.end();
        let ticket = self.ticket.take().unwrap_or_else(|| Ticket::without(self.id));
        self.books.journal.settle(ticket, &self.row);
    }

    /// Puts what was really used in the place of what was reserved.
    fn settle_quotas(&mut self) {
        let used = Used {
            requests: u64::from(!self.row.is_refused()),
            input: self.row.usage.input,
            output: self.row.usage.output,
            spend: u64::try_from(self.row.cost.unwrap_or_default().0).unwrap_or_default(),
        };
        self.admitted.settle(&used);
    }

    fn leave_provider(&mut self) {
        self.flight = None;
        if let Some(provider) = self.provider.take() {
            provider.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// As the provider counted; else what was produced, estimated.
    fn usage(&mut self, outcome: Outcome, tally: &Tally) -> TokenUsage {
        if let Some(usage) = tally.usage.map(plausible) {
            if usage == TokenUsage::default() && self.units != usage && outcome == Outcome::Ok {
                self.row.labels.insert(ESTIMATED.0.into(), ESTIMATED.1.into());
                return self.units;
            }
            let output = if outcome == Outcome::Ok {
                usage.output
            } else {
                usage.output.max(tally.pieces)
            };
            return TokenUsage { output, ..usage };
        }
        let asked = !self.row.attempts.is_empty();
        let produced = outcome != Outcome::Error || tally.pieces > 0;
        if !asked || !produced {
            return TokenUsage::default();
        }
        self.row.labels.insert(ESTIMATED.0.into(), ESTIMATED.1.into());
        TokenUsage {
            input: self.reserved.input,
            output: tally.pieces,
            ..TokenUsage::default()
        }
    }

    fn capture(&mut self, outcome: Outcome, tally: Tally) {
        let wanted = match self.books.capture {
            Capture::Full => true,
            Capture::Sampled => outcome == Outcome::Error || self.id.as_u128().is_multiple_of(SAMPLE),
            Capture::Errors => outcome == Outcome::Error,
            Capture::None => false,
        };
        if !wanted {
            return;
        }
        self.row.input = self.input.take().map(|body| tally::captured(&body));
        self.row.output = tally
            .output
            .map(tally::Output::into_text)
            .filter(|text| !text.is_empty());
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if !self.settled {
            let usage = self.produced;
            self.abandon(Tally {
                usage,
                ..Tally::default()
            });
        }
    }
}

/// Counts within what can be true.
fn plausible(usage: TokenUsage) -> TokenUsage {
    usage.at_most(TOKEN_LIMITS.1)
}

/// The beginning of a text.
pub(crate) fn clipped(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_LIMIT);
    text.get(..end).unwrap_or_default().to_owned()
}

/// A UUID of version 7 without a system call for each.
fn new_id(now: Timestamp) -> Uuid {
    let mut random = [0; 10];
    rand::rng().fill_bytes(&mut random);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
