//! What clients are told who do not get past a quota.

use std::time::Duration;

use http::StatusCode;
use stead_metering::{Measure, Refusal, Why};

use super::{meters::Metered, plan};
use crate::api::error::ApiError;

/// When a request is worth another try that found too many others under way.
const BUSY: Duration = Duration::from_secs(1);
/// When a request is worth another try that found no leader.
const LOST: Duration = Duration::from_secs(5);

impl Metered {
    /// The limit in a sentence: `spendUsd per month of quota ci (subject ada)`.
    fn described(&self) -> String {
        let window = self
            .limit
            .window()
            .map(|window| format!(" per {}", window.as_str()));
        format!(
            "{}{} of quota `{}` on `{}`",
            plan::name(self.limit.measure()),
            window.unwrap_or_default(),
            self.quota,
            self.subject
        )
    }

    /// A warning that the limit is exceeded.
    pub(super) fn warning(&self) -> String {
        format!("beyond the limit on {}", self.described())
    }

    pub(super) fn refused(&self, refusal: &Refusal) -> ApiError {
        let measure = self.limit.measure();
        let show = |count| {
            format!("{:?}", plan::amount(measure, count))
                .trim_end_matches(".0")
                .to_owned()
        };
        let what = self.described();
        match refusal.why {
            Why::NeverFits { need, ceiling } => ApiError::invalid(
                "larger_than_quota",
                format!(
                    "the request may need {} of {what}, which has {} in all; ask for less: a smaller max_tokens, a shorter input",
                    show(need),
                    show(ceiling)
                ),
            ),
            Why::Unbounded => ApiError::invalid(
                "unbounded_request",
                format!(
                    "nobody can tell before how much the request will need of {what}: its model has no known price, or the provider may do more by itself (web search, code), it names media whose length is unknown, or it is a conversation without an end"
                ),
            ),
            Why::Exceeded { need, left } => self.exceeded(
                refusal,
                &format!(
                    "the request may need {} of {what}, and {} are left",
                    show(need),
                    show(left)
                ),
            ),
            Why::Short { .. } | Why::Expired => self.exceeded(
                refusal,
                &format!("the request may need more of {what} than is left"),
            ),
            Why::Unseeded => self.starting(),
        }
    }

    fn exceeded(&self, refusal: &Refusal, message: &str) -> ApiError {
        let (kind, code) = match self.limit.measure() {
            Measure::Spend => ("insufficient_quota", "insufficient_quota"),
            Measure::Requests | Measure::Concurrency => ("requests", "rate_limit_exceeded"),
            Measure::InputTokens | Measure::OutputTokens | Measure::Tokens => {
                ("tokens", "rate_limit_exceeded")
            }
        };
        let wait = match self.limit.measure() {
            Measure::Concurrency => Some(BUSY),
            _ => refusal.resets_in,
        };
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, kind, code, message).retry_after(wait)
    }

    pub(super) fn starting(&self) -> ApiError {
        let message = format!(
            "what was used before of {} is still being counted",
            self.described()
        );
        ApiError::unavailable("quota_starting", message).retry_after(Some(BUSY))
    }

    pub(super) fn leader_lost(&self) -> ApiError {
        let message = format!(
            "this gateway process cannot reach the leader that shares out {}",
            self.described()
        );
        ApiError::unavailable("quota_leader_lost", message).retry_after(Some(LOST))
    }
}
