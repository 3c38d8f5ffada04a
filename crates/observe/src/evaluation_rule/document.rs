//! A trace, span or thread as metrics see it. Pure.

use serde_json::{Map, Value, json};
use stead_kernel::ports::traces::{Entry, Json, Score, Thread};
use stead_scoring::{Measured, Sample, ToolCall};

use super::EvaluationRuleSpec;
use crate::evaluation::at;

/// What can be scored, whatever it is.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// Its fields, by the names that filters have.
    pub(super) fields: Value,
    pub(super) measured: Measured,
    pub(super) scores: Vec<Score>,
    /// Of a thread: what was said, as messages.
    pub(super) conversation: Option<Value>,
}

impl Document {
    pub(super) fn of_entry(entry: Entry) -> Self {
        let fields = &entry.fields;
        let duration = entry.duration_ms();
        let usage = fields
            .usage
            .as_ref()
            .or_else(|| entry.spans.as_ref().map(|spans| &spans.usage));
        #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
        let tokens = usage
            .and_then(|usage| usage.get("total_tokens"))
            .map(|count| *count as f64);
        let document = json!({
            "id": entry.id,
            "name": fields.name,
            "type": fields.sort,
            "input": parsed(fields.input.as_ref()),
            "output": parsed(fields.output.as_ref()),
            "metadata": parsed(fields.metadata.as_ref()),
            "tags": fields.tags,
            "model": fields.model,
            "provider": fields.provider,
            "thread_id": fields.thread,
            "error_info": parsed(fields.error.as_ref()),
            "usage": usage,
            "duration": duration,
            "total_estimated_cost": entry.cost,
            "environment": fields.environment,
        });
        Self {
            fields: document,
            measured: Measured {
                duration_ms: duration,
                cost_usd: entry.cost,
                tokens,
            },
            scores: entry.scores,
            conversation: None,
        }
    }

    /// A thread with its traces, the oldest first.
    pub(super) fn of_thread(thread: Thread, traces: &[Entry]) -> Self {
        let duration = thread.duration_ms();
        let mut messages = Vec::new();
        for trace in traces {
            let sides = [("user", &trace.fields.input), ("assistant", &trace.fields.output)];
            for (role, said) in sides {
                if let Some(said) = said {
                    messages.push(json!({"role": role, "content": bare(parsed(Some(said)))}));
                }
            }
        }
        let document = json!({
            "id": thread.name,
            "input": parsed(thread.first_message.as_ref()),
            "output": parsed(thread.last_message.as_ref()),
            "tags": thread.tags,
            "usage": thread.usage,
            "duration": duration,
            "total_estimated_cost": thread.cost,
            "environment": thread.environment,
        });
        Self {
            fields: document,
            measured: Measured {
                duration_ms: duration,
                cost_usd: thread.cost,
                #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
                tokens: thread.usage.get("total_tokens").map(|count| *count as f64),
            },
            scores: thread.scores,
            conversation: Some(messages.into()),
        }
    }

    /// What metrics get.
    pub(super) fn sample(&self, spec: &EvaluationRuleSpec) -> Sample {
        let fields = &spec.fields;
        let path = |path: &Option<String>| path.as_ref().and_then(|path| at(&self.fields, path)).cloned();
        let usual = |path: &Option<String>, name: &str| match path {
            Some(path) => at(&self.fields, path).cloned().unwrap_or_default(),
            None => bare(self.fields.get(name).cloned().unwrap_or_default()),
        };
        let mut more: Map<String, Value> = self.fields.as_object().cloned().unwrap_or_default();
        for (name, path) in &spec.variables {
            let value = at(&self.fields, path)
                .cloned()
                .unwrap_or_else(|| path.clone().into());
            more.insert(name.clone(), value);
        }
        Sample {
            input: usual(&fields.input, "input"),
            output: usual(&fields.output, "output"),
            expected: path(&fields.expected).unwrap_or_default(),
            context: path(&fields.context)
                .or_else(|| self.conversation.clone())
                .unwrap_or_default(),
            tool_calls: path(&fields.tool_calls)
                .as_ref()
                .and_then(ToolCall::list)
                .unwrap_or_default(),
            expected_tool_calls: None,
            measured: self.measured,
            more,
        }
    }
}

fn parsed(json: Option<&Json>) -> Value {
    json.and_then(|json| serde_json::from_str(json.get()).ok())
        .unwrap_or_default()
}

/// The value of an object with one field, which says no more than that; anything else as it is.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(fields) if fields.len() == 1 => fields
            .into_iter()
            .next()
            .map(|(_, value)| value)
            .unwrap_or_default(),
        other => other,
    }
}
