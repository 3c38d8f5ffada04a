//! Traces and spans as they are answered (`Trace_Public`, `Span_Public`): what there is none of is left out. Pure.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};
use stead_kernel::{
    Timestamp,
    ports::traces::{Comment, Detail, Entry, Json, Kind, Score},
};

use super::scores::shown as shown_scores;
use crate::opik::wire::text;

/// A text beyond so many characters is cut where a slim answer is asked for.
const SLIM: usize = 10_000;

/// How much of an entry is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::opik) struct Part {
    /// Whether large texts are cut.
    pub(in crate::opik) slim: bool,
    /// Fields that are left out.
    pub(in crate::opik) without: Vec<String>,
}

impl Part {
    /// How much must be read for it.
    pub(super) fn detail(&self) -> Detail {
        let is_out = |name: &&str| self.without.iter().any(|out| out == name);
        if ["input", "output", "metadata"].iter().all(is_out) {
            Detail::Outline
        } else {
            Detail::Whole
        }
    }
}

/// An entry on its way out.
pub(in crate::opik) struct Shown<'a> {
    /// The entry.
    pub(in crate::opik) entry: &'a Entry,
    /// How much of it.
    pub(in crate::opik) part: &'a Part,
}

/// A document, or the first part of its text.
pub(in crate::opik) enum Cut<'a> {
    Whole(&'a Json),
    First(&'a str),
}

impl Serialize for Cut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(json) => json.serialize(serializer),
            Self::First(text) => text.serialize(serializer),
        }
    }
}

/// A document, cut where that is asked for.
pub(in crate::opik) fn cut(json: &Json, slim: bool) -> Cut<'_> {
    let end = json.get().char_indices().nth(SLIM).map(|(at, _)| at);
    match end.and_then(|end| json.get().get(..end)) {
        Some(first) if slim => Cut::First(first),
        _ => Cut::Whole(json),
    }
}

/// Writes fields that are there and not left out.
struct Out<'a, M> {
    map: M,
    without: &'a [String],
}

impl<M: SerializeMap> Out<'_, M> {
    fn put<T: Serialize>(&mut self, name: &str, value: Option<T>) -> Result<(), M::Error> {
        match value {
            Some(value) if !self.without.iter().any(|out| out == name) => {
                self.map.serialize_entry(name, &value)
            }
            _ => Ok(()),
        }
    }

    fn time(&mut self, name: &str, time: Option<Timestamp>) -> Result<(), M::Error> {
        self.put(name, time.map(text))
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { entry, part } = *self;
        let fields = &entry.fields;
        let mut out = Out {
            map: serializer.serialize_map(None)?,
            without: &part.without,
        };
        out.put("id", Some(entry.id))?;
        out.put("project_id", Some(entry.project))?;
        out.put("trace_id", fields.trace_id)?;
        out.put("parent_span_id", fields.parent_span_id)?;
        out.put("name", fields.name.as_deref())?;
        out.put("type", fields.sort.as_deref())?;
        out.time("start_time", fields.start)?;
        out.time("end_time", fields.end)?;
        for (name, json) in [
            ("input", &fields.input),
            ("output", &fields.output),
            ("metadata", &fields.metadata),
        ] {
            out.put(name, json.as_ref().map(|json| cut(json, part.slim)))?;
        }
        out.put("tags", fields.tags.as_deref())?;
        out.put("error_info", fields.error.as_ref())?;
        out.put("model", fields.model.as_deref())?;
        out.put("provider", fields.provider.as_deref())?;
        out.put("ttft", fields.first_token_ms)?;
        out.put("thread_id", fields.thread.as_deref())?;
        out.put("source", fields.source.as_deref())?;
        out.put("environment", fields.environment.as_deref())?;
        out.put("duration", entry.duration_ms())?;
        out.put("total_estimated_cost", entry.cost)?;
        out.put("total_estimated_cost_version", fields.cost_version.as_deref())?;
        let usage = entry
            .spans
            .as_ref()
            .map(|spans| &spans.usage)
            .or(fields.usage.as_ref());
        out.put("usage", usage.filter(|usage| !usage.is_empty()))?;
        totals(&mut out, entry)?;
        out.put("feedback_scores", some_of(shown_scores(&entry.scores)))?;
        out.put("comments", some_of(comments_of(&entry.comments)))?;
        out.time("created_at", Some(entry.created))?;
        out.time("last_updated_at", Some(entry.updated))?;
        out.put("created_by", Some(&entry.created_by))?;
        out.put("last_updated_by", Some(&entry.updated_by))?;
        out.map.end()
    }
}

/// What a trace's spans come to.
fn totals<M: SerializeMap>(out: &mut Out<'_, M>, entry: &Entry) -> Result<(), M::Error> {
    if entry.kind == Kind::Span {
        return Ok(());
    }
    out.put("visibility_mode", Some("default"))?;
    let Some(spans) = &entry.spans else { return Ok(()) };
    out.put("span_count", Some(spans.spans))?;
    out.put("llm_span_count", Some(spans.llm_spans))?;
    out.put("has_tool_spans", Some(spans.tool_spans > 0))?;
    out.put("providers", some_of(spans.providers.clone()))?;
    let scores: Vec<Value> = spans
        .scores
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value, "source": "sdk"}))
        .collect();
    out.put("span_feedback_scores", some_of(scores))
}

fn some_of<T>(items: Vec<T>) -> Option<Vec<T>> {
    Some(items).filter(|items| !items.is_empty())
}

/// Comments as they are answered.
pub(in crate::opik) fn comments_of(comments: &[Comment]) -> Vec<Value> {
    comments.iter().map(super::comments::shown).collect()
}

/// Scores by name, in the order in which they were first given.
pub(super) fn by_name(scores: &[Score]) -> Vec<(&str, Vec<&Score>)> {
    let mut sorted: Vec<&Score> = scores.iter().collect();
    sorted.sort_by_key(|score| score.created);
    let mut names: Vec<(&str, Vec<&Score>)> = Vec::new();
    for score in sorted {
        match names.iter_mut().find(|(name, _)| *name == score.name) {
            Some((_, own)) => own.push(score),
            None => names.push((&score.name, vec![score])),
        }
    }
    names
}
