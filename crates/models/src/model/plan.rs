//! What to do about a Model: pure decisions.
//!
//! *Invariant:* nothing here performs I/O; what is on the disk comes in as a function.

use std::time::Duration;

use stead_kernel::{Error, Result, conditions};

use super::{Model, ModelSpec, ModelStatus};
use crate::source::Source;

/// Our mark on Models whose files must be cleaned up before they go.
pub(crate) const FINALIZER: &str = "stead.dev/model-file";
/// The annotation that asks for another try now; any new value does.
pub(crate) const RETRY: &str = "stead.dev/retry";

/// Reason of `Ready=False` while the file is being fetched.
pub(crate) const FETCHING: &str = "Fetching";
/// Reason of `Ready=False` after a try failed; the next one comes by itself.
pub(crate) const FETCH_FAILED: &str = "FetchFailed";
/// Reason of `Ready=True`.
pub(crate) const FETCHED: &str = "Fetched";

/// A Model and what is around it.
pub(super) struct Observed<'a> {
    /// The object.
    pub(super) model: &'a Model,
    /// The size of a blob in bytes, if it is there.
    pub(super) blob_size: &'a dyn Fn(&str) -> Option<u64>,
    /// How long the last failure asks to wait.
    pub(super) pause: Option<Duration>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    Rest,
    /// Mark the object as ours.
    AddFinalizer,
    /// Remove the file, if nobody else needs it, and our mark.
    CleanUp,
    /// Say in the status that this blob is the Model's.
    Announce(Held),
    /// Wait for the next try.
    Wait(Duration),
    /// Fetch the file.
    Fetch,
}

/// A file that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// `sha256:` and hex.
    pub(super) digest: String,
    /// Bytes.
    pub(super) size: u64,
    /// The source that gave it, or that is known to have the same.
    pub(super) source: String,
}

/// Decides what to do.
pub(super) fn decide(observed: &Observed<'_>) -> Plan {
    let metadata = &observed.model.metadata;
    let ours = metadata
        .finalizers
        .iter()
        .flatten()
        .any(|finalizer| finalizer == FINALIZER);
    match (metadata.deletion_timestamp.is_some(), ours) {
        (true, true) => return Plan::CleanUp,
        (true, false) => return Plan::Rest,
        (false, false) => return Plan::AddFinalizer,
        (false, true) => {}
    }
    let status = observed.model.status.clone().unwrap_or_default();
    match held(observed, &status) {
        Some(held) if is_announced(observed.model, &status, &held) => Plan::Rest,
        Some(held) => Plan::Announce(held),
        None => observed.pause.map_or(Plan::Fetch, Plan::Wait),
    }
}

/// The file that is here and good for the Model: the one it has, or one that a pin names.
fn held(observed: &Observed<'_>, status: &ModelStatus) -> Option<Held> {
    let sources = sources(&observed.model.spec).ok()?;
    let own = status
        .source
        .as_ref()
        .zip(status.digest.as_ref())
        .and_then(|(text, digest)| {
            let (source, pin) = sources.iter().find(|(source, _)| source.text == *text)?;
            let fits = pin
                .as_ref()
                .is_none_or(|pin| digest.strip_prefix("sha256:") == Some(pin));
            fits.then(|| (digest.clone(), source.text.clone()))
        });
    let pinned = sources
        .iter()
        .filter_map(|(source, pin)| Some((format!("sha256:{}", pin.as_ref()?), source.text.clone())));
    own.into_iter().chain(pinned).find_map(|(digest, source)| {
        let size = (observed.blob_size)(&digest)?;
        Some(Held { digest, size, source })
    })
}

fn is_announced(model: &Model, status: &ModelStatus, held: &Held) -> bool {
    conditions::is_true(&status.conditions, conditions::READY)
        && status.observed_generation == model.metadata.generation
        && status.digest.as_ref() == Some(&held.digest)
        && status.size == Some(held.size)
        && status.source.as_ref() == Some(&held.source)
}

/// The sources of a spec, each with the SHA-256 that its file must have.
pub(super) fn sources(spec: &ModelSpec) -> Result<Vec<(Source, Option<String>)>> {
    let parse = |text: &String| -> Result<(Source, Option<String>)> {
        let source: Source = text
            .parse()
            .map_err(|why| Error::invalid(format!("the source {text:?} is not valid: {why}")))?;
        let pin = source.pin.clone().or_else(|| spec.sha256.clone());
        Ok((source, pin))
    };
    spec.sources.iter().map(parse).collect()
}

/// How long to wait after the so-manieth failure in a row.
pub(super) fn pause_after(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(10);
    const LONGEST: Duration = Duration::from_mins(10);
    let doublings = failures.saturating_sub(1).min(10);
    (FIRST * 2_u32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stead_kernel::Timestamp;

    use super::*;

    const SOURCE: &str = "hf:o/r/f.gguf";

    fn pin() -> String {
        "ab".repeat(32)
    }

    fn model(change: impl FnOnce(&mut Value)) -> Model {
        let ready = conditions::condition("Ready", true, FETCHED, "", Some(1), Timestamp::UNIX_EPOCH);
        let mut object = json!({
            "apiVersion": "stead.dev/v1alpha1", "kind": "Model",
            "metadata": {"name": "m", "generation": 1, "finalizers": [FINALIZER]},
            "spec": {"sources": [SOURCE]},
            "status": {
                "observedGeneration": 1, "digest": format!("sha256:{}", pin()), "size": 9, "source": SOURCE,
                "conditions": [ready], "steps": [],
            },
        });
        change(&mut object);
        serde_json::from_value(object).unwrap()
    }

    fn plan(blob: bool, pause: Option<Duration>, change: impl FnOnce(&mut Value)) -> Plan {
        let digest = format!("sha256:{}", pin());
        let blob_size = |wanted: &str| (blob && wanted == digest).then_some(9);
        decide(&Observed {
            model: &model(change),
            blob_size: &blob_size,
            pause,
        })
    }

    fn held() -> Held {
        Held {
            digest: format!("sha256:{}", pin()),
            size: 9,
            source: SOURCE.into(),
        }
    }

    #[test]
    fn a_model_with_its_file_rests_and_one_without_fetches_or_waits() {
        assert_eq!(plan(true, None, |_| {}), Plan::Rest);
        assert_eq!(plan(false, None, |_| {}), Plan::Fetch, "the file vanished");
        let pause = Duration::from_secs(7);
        assert_eq!(plan(false, Some(pause), |_| {}), Plan::Wait(pause));
        assert_eq!(plan(true, Some(pause), |_| {}), Plan::Rest);
        assert_eq!(
            plan(true, None, |object| object["status"] = Value::Null),
            Plan::Fetch,
            "it has no pin"
        );
    }

    #[test]
    fn a_changed_spec_keeps_the_file_only_if_it_still_fits() {
        let with_spec = |spec: Value| {
            plan(true, None, |object| {
                object["spec"] = spec;
                object["metadata"]["generation"] = json!(2);
            })
        };
        assert_eq!(
            with_spec(json!({"sources": ["https://x.example/a", SOURCE]})),
            Plan::Announce(held())
        );
        assert_eq!(
            with_spec(json!({"sources": [SOURCE], "sha256": pin()})),
            Plan::Announce(held())
        );
        assert_eq!(
            with_spec(json!({"sources": [SOURCE], "sha256": "cd".repeat(32)})),
            Plan::Fetch
        );
        assert_eq!(
            with_spec(json!({"sources": ["https://x.example/a"]})),
            Plan::Fetch
        );
    }

    #[test]
    fn a_pinned_file_that_another_model_fetched_is_used_without_fetching() {
        let plan = plan(true, None, |object| {
            object["spec"]["sha256"] = json!(pin());
            object["status"] = Value::Null;
        });
        assert_eq!(plan, Plan::Announce(held()));
    }

    #[test]
    fn the_finalizer_comes_first_and_goes_last() {
        assert_eq!(
            plan(true, None, |object| object["metadata"]["finalizers"] = json!([])),
            Plan::AddFinalizer
        );
        let deleted =
            |object: &mut Value| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(plan(true, None, deleted), Plan::CleanUp);
        let gone = |object: &mut Value| {
            deleted(object);
            object["metadata"]["finalizers"] = json!(["other"]);
        };
        assert_eq!(plan(true, None, gone), Plan::Rest);
    }

    #[test]
    fn pauses_grow_to_ten_minutes() {
        let seconds: Vec<u64> = [1, 2, 3, 7, 99]
            .map(|failures| pause_after(failures).as_secs())
            .into();
        assert_eq!(seconds, [10, 20, 40, 600, 600]);
    }
}
