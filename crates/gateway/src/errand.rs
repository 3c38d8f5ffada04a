//! Requests of the gateway's own: to a model that judges, or that makes the vectors of the semantic cache. They go
//! through routes, retries and records as those of clients do, but through no guardrail and no cache.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use stead_dialects::chat::{Head, Wire};
use stead_kernel::ports::events::RequestRow;

use crate::{
    Gateway,
    api::{error::ApiError, surface::Surface},
    dispatch::{Dispatch, Question},
    ledger::Ledger,
    operation::Operation,
    quota::{self, Size},
    scan::{self, Scanned},
    snapshot::{Asker, Snapshot},
    tally::Tally,
    trace::Trace,
    upstream::Answer,
};

/// The label of rows that tells for what a request of the gateway's own was made.
pub(crate) const PURPOSE: &str = "stead.dev/purpose";

/// On whose behalf the gateway asks.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) project: Box<str>,
    pub(crate) user: Box<str>,
    /// The name of the key that the request on whose behalf it is came with; empty for none.
    pub(crate) key: Box<str>,
    pub(crate) team: Box<str>,
    pub(crate) trace: Trace,
    /// None: it has no client.
    pub(crate) headers: HeaderMap,
}

impl Errand {
    /// Asks a model of the project in `OpenAI`'s dialect, for an answer that is no stream.
    ///
    /// # Errors
    /// Those that a client would get.
    pub(crate) async fn ask(
        &self,
        operation: Operation,
        body: &Value,
        purpose: &'static str,
    ) -> Result<Bytes, ApiError> {
        let mut ledger = self.open(operation, purpose);
        match self.answer(operation, body, &mut ledger).await {
            Ok((body, tally)) => {
                ledger.succeed(tally);
                Ok(body)
            }
            Err(error) => {
                ledger.fail(&error, Tally::default());
                Err(error)
            }
        }
    }

    async fn answer(
        &self,
        operation: Operation,
        body: &Value,
        ledger: &mut Ledger,
    ) -> Result<(Bytes, Tally), ApiError> {
        let mut request = scan::scan(body.to_string().into(), Wire::OpenAi, Head::default())?;
        let asker = self.asker();
        let route = self
            .snapshot
            .resolve(asker, &request.fields.model)
            .map_err(|_| ApiError::unknown_model(&request.fields.model))?;
        ledger.describe(|row| {
            row.model.clone_from(&request.fields.model);
            row.route.push_str(&route.name);
        });
        let dispatch = self.dispatch(operation, &request);
        let order = dispatch.order(&route);
        let first = order.first(&route).cloned().or_else(|| dispatch.spare(&route));
        let first = first.ok_or_else(|| {
            ApiError::unavailable(
                "no_target",
                format!("route `{}` has no target that can answer", route.name),
            )
        })?;
        let mut size = Size::of(operation, &request);
        size.milliseconds = u64::try_from(route.limits.total.as_millis()).unwrap_or(u64::MAX);
        let all = self.snapshot.all_targets(&self.project, &route);
        ledger.estimate(quota::units(operation, &request.body));
        if let Some(limit) = ledger.admit(&self.snapshot.quotas, size, &all).await? {
            request.limit_output(limit);
        }
        ledger.reserve(&request.body, request.fields.max_tokens, &first)?;
        let dispatch = self.dispatch(operation, &request);
        match dispatch.run(route, order, ledger).await?.answer {
            Answer::Whole { body, tally, .. } => Ok((body, tally)),
            Answer::Stream { .. } | Answer::Joined(_) => {
                Err(ApiError::upstream("a stream came that nobody asked for"))
            }
        }
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            project: &self.project,
            // Who wrote the guardrail or the route decided what is asked; what the caller may use does not matter.
            admin: true,
            key: None,
        }
    }

    fn dispatch<'a>(&'a self, operation: Operation, request: &'a Scanned) -> Dispatch<'a> {
        Dispatch {
            gateway: &self.gateway,
            snapshot: &self.snapshot,
            question: Question {
                asker: self.asker(),
                user: &self.user,
                headers: &self.headers,
                request,
                surface: Surface::openai(operation),
                prices: &*self.gateway.books.prices,
            },
            trace: self.trace.clone(),
            passed: &[],
        }
    }

    fn open(&self, operation: Operation, purpose: &'static str) -> Box<Ledger> {
        let row = RequestRow {
            trace_id: self.trace.id(),
            project: self.project.to_string(),
            user: self.user.to_string(),
            key: self.key.to_string(),
            team: self.team.to_string(),
            dialect: Wire::OpenAi.as_str().into(),
            operation: operation.as_str().into(),
            labels: [(PURPOSE.to_owned(), purpose.to_owned())].into(),
            ..RequestRow::default()
        };
        Ledger::open(Arc::clone(&self.gateway.books), row)
    }
}
