//! Writing a Model's status.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use stead_kernel::{
    Clock, Error, Reason, Result,
    conditions::{self, READY},
    steps::{Report, StepStatus},
};

use crate::{
    model::{
        Model,
        plan::{FETCH_FAILED, FETCHED, FETCHING, Held, RETRY},
    },
    size::human_size,
};

/// Writes the status of one Model during one try.
pub(super) struct StatusWriter {
    api: Api<Model>,
    name: String,
    generation: Option<i64>,
    retry: Option<String>,
    conditions: Vec<Condition>,
    clock: Arc<dyn Clock>,
}

impl StatusWriter {
    pub(super) fn new(api: Api<Model>, model: &Model, clock: Arc<dyn Clock>) -> Self {
        Self {
            api,
            name: model.name_any(),
            generation: model.metadata.generation,
            retry: model.annotations().get(RETRY).cloned(),
            conditions: model
                .status
                .as_ref()
                .map(|status| status.conditions.clone())
                .unwrap_or_default(),
            clock,
        }
    }

    fn conditions(&self, ready: bool, reason: &str, message: &str) -> Vec<Condition> {
        let mut list = self.conditions.clone();
        let condition =
            conditions::condition(READY, ready, reason, message, self.generation, self.clock.now());
        conditions::set(&mut list, condition);
        list
    }

    async fn write(&self, mut status: Value) -> Result<()> {
        if let Some(status) = status.as_object_mut() {
            status.insert("observedGeneration".into(), json!(self.generation));
            status.insert("observedRetry".into(), json!(self.retry));
        }
        let patch = Patch::Merge(json!({"status": status}));
        self.api
            .patch_status(&self.name, &PatchParams::default(), &patch)
            .await
            .map_err(Error::from)?;
        Ok(())
    }

    /// The file is here.
    pub(super) async fn ready(&self, held: &Held) -> Result<()> {
        self.write(json!({
            "digest": held.digest,
            "size": held.size,
            "humanSize": human_size(held.size),
            "source": held.source,
            "conditions": self.conditions(true, FETCHED, "the file is here and has the right digest"),
        }))
        .await
    }

    /// The try failed; the next one comes after the pause.
    pub(super) async fn failed(&self, error: &Error, pause: Duration) -> Result<()> {
        let mut message = error.full_message();
        if let Some(hint) = error.get_hint() {
            message = format!("{message}. {hint}");
        }
        message = format!(
            "{message} (the next try comes {} s after this one)",
            pause.as_secs()
        );
        self.write(json!({"conditions": self.conditions(false, FETCH_FAILED, &message)}))
            .await
    }
}

#[async_trait]
impl Report for StatusWriter {
    async fn report(&self, steps: &[StepStatus]) -> Result<()> {
        let conditions = self.conditions(false, FETCHING, "the file is being fetched, see the steps");
        match self
            .write(json!({"steps": steps, "conditions": conditions}))
            .await
        {
            // A deleted Model needs no file; whatever else fails here passes, and is no reason to stop a download.
            Err(error) if error.reason() != Reason::NotFound => {
                tracing::debug!(error = error.full_message(), "progress was not written");
                Ok(())
            }
            result => result,
        }
    }
}
