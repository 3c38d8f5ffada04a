//! What is told of traces and spans (`Trace_Write`, `Span_Write`, `TraceUpdate`, `SpanUpdate` and their batches). Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use stead_kernel::{
    Timestamp,
    ports::traces::{Fields, Json, Kind, Origin, Put, TagChange},
};
use uuid::Uuid;

use crate::opik::{
    Caller,
    wire::{OpikError, from_text, id_of},
};

/// The longest name of an environment.
const ENVIRONMENT: usize = 150;
/// The longest label.
const TAG: usize = 100;

/// What is told of one trace or span; what is absent or null is not told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::opik) struct Told {
    pub(super) id: Option<Uuid>,
    pub(in crate::opik) project_name: Option<String>,
    pub(super) project_id: Option<Uuid>,
    trace_id: Option<Uuid>,
    parent_span_id: Option<Uuid>,
    name: Option<String>,
    r#type: Option<String>,
    #[serde(deserialize_with = "time")]
    start_time: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    end_time: Option<Timestamp>,
    input: Option<Json>,
    output: Option<Json>,
    metadata: Option<Json>,
    tags: Option<Vec<String>>,
    tags_to_add: Option<Vec<String>>,
    tags_to_remove: Option<Vec<String>>,
    error_info: Option<Json>,
    model: Option<String>,
    provider: Option<String>,
    usage: Option<BTreeMap<String, Value>>,
    total_estimated_cost: Option<f64>,
    total_estimated_cost_version: Option<String>,
    #[serde(deserialize_with = "time")]
    last_updated_at: Option<Timestamp>,
    ttft: Option<f64>,
    thread_id: Option<String>,
    source: Option<String>,
    environment: Option<String>,
}

/// A batch of traces or spans.
#[derive(Debug, Deserialize)]
pub(super) struct Batch {
    #[serde(alias = "traces", alias = "spans")]
    pub(super) items: Vec<Told>,
}

/// A change of many.
#[derive(Debug, Deserialize)]
pub(super) struct Changes {
    pub(super) ids: Vec<Uuid>,
    pub(super) update: Told,
    #[serde(default)]
    pub(super) merge_tags: Option<bool>,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<std::borrow::Cow<'de, str>> = Option::deserialize(deserializer)?;
    let parsed = text.map(|text| from_text(&text)).transpose();
    parsed.map_err(|_| serde::de::Error::custom("a time must be in the form of RFC 3339"))
}

impl Told {
    /// Says that a span is in this trace.
    pub(in crate::opik) fn belongs_to(&mut self, trace: Uuid) {
        self.trace_id = Some(trace);
    }

    /// As a report of a beginning or an end. An id that was not chosen is made.
    pub(in crate::opik) fn report(
        self,
        kind: Kind,
        project: Uuid,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Put, OpikError> {
        if self.start_time.is_none() {
            return Err(OpikError::unprocessable("start_time must not be null"));
        }
        if kind == Kind::Span && self.trace_id.is_none() {
            return Err(OpikError::unprocessable("trace_id must not be null"));
        }
        let id = match self.id {
            Some(id) => id_of(id, kind.as_str())?,
            None => crate::opik::wire::new_id(now),
        };
        self.put(kind, (project, id), (Origin::Report, now), caller)
    }

    /// As a change of the entry with this id.
    pub(super) fn change(
        self,
        kind: Kind,
        (project, id): (Uuid, Uuid),
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Put, OpikError> {
        self.put(
            kind,
            (project, id_of(id, kind.as_str())?),
            (Origin::Change, now),
            caller,
        )
    }

    fn put(
        self,
        kind: Kind,
        (project, id): (Uuid, Uuid),
        (origin, now): (Origin, Timestamp),
        caller: &Caller,
    ) -> Result<Put, OpikError> {
        self.check()?;
        // What a change's teller says of the time is not asked: the order of arrival is what they see.
        let told = match origin {
            Origin::Report => self.last_updated_at.unwrap_or(now),
            Origin::Change => now,
        };
        let tags = TagChange {
            add: self.tags_to_add.unwrap_or_default(),
            remove: self.tags_to_remove.unwrap_or_default(),
        };
        let is_span = kind == Kind::Span;
        let fields = Fields {
            trace_id: self.trace_id.filter(|_| is_span),
            parent_span_id: self.parent_span_id.filter(|_| is_span),
            name: self.name,
            sort: self.r#type.filter(|_| is_span),
            start: self.start_time,
            end: self.end_time,
            input: self.input,
            output: self.output,
            metadata: self.metadata,
            tags: self.tags,
            error: self.error_info,
            model: self.model.filter(|_| is_span),
            provider: self.provider.filter(|_| is_span),
            usage: self.usage.filter(|_| is_span).map(counts),
            cost: self.total_estimated_cost.filter(|_| is_span),
            cost_version: self.total_estimated_cost_version.filter(|_| is_span),
            first_token_ms: self.ttft,
            thread: self.thread_id.filter(|id| !is_span && !id.trim().is_empty()),
            source: self.source,
            environment: self.environment,
        };
        Ok(Put {
            kind,
            workspace: caller.workspace.clone(),
            project,
            id,
            origin,
            told,
            by: caller.user.clone(),
            fields,
            tags,
        })
    }

    fn check(&self) -> Result<(), OpikError> {
        let refuse = |what: &str| Err(OpikError::unprocessable(what));
        if self
            .total_estimated_cost
            .is_some_and(|cost| !(cost >= 0.0 && cost.is_finite()))
        {
            return refuse("total_estimated_cost must be greater than or equal to 0.0");
        }
        if self
            .environment
            .as_ref()
            .is_some_and(|name| name.chars().count() > ENVIRONMENT)
        {
            return refuse("environment size must be between 0 and 150");
        }
        let added = self.tags_to_add.iter().flatten();
        if added.into_iter().any(|tag| tag.chars().count() > TAG) {
            return refuse("tag size must be between 0 and 100");
        }
        if self
            .r#type
            .as_ref()
            .is_some_and(|sort| !["general", "tool", "llm", "guardrail"].contains(&sort.as_str()))
        {
            return Err(OpikError::invalid(
                "type must be one of general, tool, llm, guardrail",
            ));
        }
        Ok(())
    }
}

/// Counts that are whole numbers; what is no number is left out, as Opik's own map of integers does.
fn counts(usage: BTreeMap<String, Value>) -> BTreeMap<String, i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a count; what is larger is cut at the largest"
    )]
    let whole = |value: Value| {
        value
            .as_i64()
            .or_else(|| value.as_f64().map(|number| number.round() as i64))
    };
    let counted = usage
        .into_iter()
        .filter_map(|(name, value)| Some((name, whole(value)?)));
    counted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            workspace: "default".into(),
            user: "ada".into(),
        }
    }

    #[test]
    fn null_is_not_told_and_times_without_a_zone_are_utc() {
        let told: Told = serde_json::from_str(
            r#"{"id": "01a1fce2-ce79-71a0-927b-112963103fc5", "trace_id": "01a1fce2-ce78-765d-a902-9bc62616e36b",
                "start_time": "2026-11-21T06:54:44.856948", "output": null, "input": [1, 2], "unknown": 1,
                "usage": {"a": 1, "b": 2.0, "c": null}, "thread_id": "not of a span"}"#,
        )
        .unwrap();
        let put = told
            .report(Kind::Span, Uuid::nil(), &caller(), Timestamp::UNIX_EPOCH)
            .unwrap();
        assert!(put.fields.output.is_none() && put.fields.thread.is_none());
        assert_eq!(put.fields.input.unwrap().get(), "[1, 2]");
        assert_eq!(
            put.fields.start.unwrap().to_string(),
            "2026-11-21T06:54:44.856948Z"
        );
        assert_eq!(
            put.fields.usage.unwrap(),
            [("a".to_owned(), 1), ("b".to_owned(), 2)].into()
        );
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        for text in [
            r#"{"id": "01a1fce2-ce79-71a0-927b-112963103fc5"}"#,
            r#"{"id": "11a1fce2-ce79-41a0-927b-112963103fc5", "start_time": "2026-11-21T06:54:44Z"}"#,
            r#"{"start_time": "2026-11-21T06:54:44Z", "total_estimated_cost": -1}"#,
            r#"{"start_time": "2026-11-21T06:54:44Z", "type": "nothing"}"#,
        ] {
            let told: Told = serde_json::from_str(text).unwrap();
            let put = told.report(Kind::Trace, Uuid::nil(), &caller(), Timestamp::UNIX_EPOCH);
            assert!(put.is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Told>(r#"{"start_time": "yesterday"}"#).is_err());
    }
}
