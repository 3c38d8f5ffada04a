//! One item of an evaluation: it is asked, scored, and stored as a trace of the experiment.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stead_kernel::{
    Error, Reason, Result, Timestamp,
    ports::traces::{Fields, Json, Kind, Origin, Put, Score, Subject, TagChange, Write},
};
use stead_scoring::{Measured, Sample};
use uuid::{Builder, Uuid};

use super::{Outcome, work::Work};
use crate::{
    evaluation::{
        asking::Answer,
        scorer,
        suite::{answered, messages},
    },
    opik::{datasets::Item, experiments::own::add, wire::new_id},
};

/// What an item came to.
struct Asked {
    input: Value,
    sample: Sample,
    answer: Option<Answer>,
    started: Timestamp,
    ended: Timestamp,
    error: Option<Error>,
}

impl Work {
    /// Works on an item.
    ///
    /// # Errors
    /// When the evaluation cannot go on at all: what is wrong with one item is in its outcome.
    pub(super) async fn one(&self, item: &Item, turn: u32) -> Result<Outcome> {
        let asked = self.ask(item).await?;
        let mut why = asked.error.as_ref().map(Error::full_message);
        let scored = match why {
            None => self.scorer.score(&self.asker, &asked.sample).await,
            Some(_) => Vec::new(),
        };
        let failed = scored
            .iter()
            .filter_map(|one| Some(format!("{}: {}", one.metric, one.scores.as_ref().err()?.why)));
        let failed: Vec<String> = failed.collect();
        if !failed.is_empty() {
            why = Some(failed.join("; "));
        }
        let scoring_usd = scored.iter().map(|one| one.cost).sum();
        let trace = new_id(asked.started);
        let project = self
            .opik
            .projects
            .to_write(&self.caller, self.evaluation.suite.project.as_deref(), None)
            .await?;
        let mut writes = self.puts(&asked, trace, project);
        writes.extend(self.scores(scored, trace, asked.ended));
        self.opik.ports.traces.write(writes).await?;
        let experiment = &self.evaluation.experiment_id;
        let id = item_id(experiment, &item.id, turn);
        add(
            &self.opik,
            &self.caller,
            experiment,
            id,
            [&item.id, &trace.to_string()],
        )
        .await?;
        Ok(Outcome {
            evaluation: self.evaluation.id.clone(),
            item: item.id.clone(),
            turn,
            error: why,
            scoring_usd,
        })
    }

    async fn ask(&self, item: &Item) -> Result<Asked> {
        let suite = &self.evaluation.suite;
        let sample = suite.fields.sample(&item.data);
        let clock = &self.opik.ports.clock;
        let mut asked = Asked {
            input: item.data.clone(),
            sample,
            answer: None,
            started: clock.now(),
            ended: clock.now(),
            error: None,
        };
        let messages = match messages(self.evaluation.template.as_ref(), &asked.sample, &item.data) {
            Ok(messages) => messages,
            Err(why) => {
                asked.error = Some(Error::invalid(why));
                return Ok(asked);
            }
        };
        let mut body = suite.parameters.clone();
        body.insert("model".into(), suite.model.clone().into());
        body.insert("messages".into(), messages.into());
        let answer = self.asker.chat(&Value::Object(body)).await;
        asked.ended = clock.now();
        match answer.and_then(|answer| Ok((answer.choice()?.clone(), answer))) {
            Ok((choice, answer)) => {
                let message = choice.get("message").cloned().unwrap_or_default();
                asked.sample = answered(asked.sample, &message, measured(&answer));
                asked.answer = Some(answer);
            }
            // Nobody else's item would fare better.
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => asked.error = Some(error),
        }
        Ok(asked)
    }

    /// The trace and the span of the model, as Opik's SDK traces a task.
    fn puts(&self, asked: &Asked, trace: Uuid, project: Uuid) -> Vec<Write> {
        let error = asked.error.as_ref().map(|error| {
            raw(&json!({"exception_type": error.reason().as_str(), "message": error.full_message(), "traceback": ""}))
        });
        let output = asked.answer.as_ref().map(|_| {
            let calls = &asked.sample.tool_calls;
            let mut output = json!({"output": asked.sample.output});
            if let (Some(output), false) = (output.as_object_mut(), calls.is_empty()) {
                output.insert("tool_calls".into(), json!(calls));
            }
            raw(&output)
        });
        let fields = Fields {
            name: Some("evaluation_task".to_owned()),
            start: Some(asked.started),
            end: Some(asked.ended),
            input: Some(raw(&asked.input)),
            output: output.clone(),
            error,
            source: Some("experiment".to_owned()),
            ..Fields::default()
        };
        let mut writes = vec![self.put(Kind::Trace, trace, project, fields.clone(), asked.ended)];
        if let Some(answer) = &asked.answer {
            let span = Fields {
                trace_id: Some(trace),
                name: Some(self.evaluation.suite.model.clone()),
                sort: Some("llm".to_owned()),
                model: answer
                    .body
                    .get("model")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                usage: usage(answer),
                cost: answer.cost,
                ..fields
            };
            writes.push(self.put(Kind::Span, new_id(asked.started), project, span, asked.ended));
        }
        writes
    }

    fn put(&self, kind: Kind, id: Uuid, project: Uuid, fields: Fields, told: Timestamp) -> Write {
        Write::Put(Box::new(Put {
            kind,
            workspace: self.caller.workspace.clone(),
            project,
            id,
            origin: Origin::Report,
            told,
            by: self.caller.user.clone(),
            fields,
            tags: TagChange::default(),
        }))
    }

    fn scores(&self, scored: Vec<scorer::Outcome>, trace: Uuid, now: Timestamp) -> Vec<Write> {
        let scores = scored.into_iter().filter_map(|one| one.scores.ok()).flatten();
        scores
            .map(|score| Write::Score {
                workspace: self.caller.workspace.clone(),
                subject: Subject::Entry(Kind::Trace, trace),
                score: Score {
                    name: score.name,
                    value: score.value,
                    category: None,
                    reason: score.reason,
                    source: "sdk".to_owned(),
                    queue: None,
                    author: self.caller.user.clone(),
                    created: now,
                    updated: now,
                },
            })
            .collect()
    }
}

/// Whether every other item would be answered so, too.
fn is_final(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::NotFound | Reason::Forbidden | Reason::Unauthenticated | Reason::Unsupported
    )
}

fn measured(answer: &Answer) -> Measured {
    Measured {
        duration_ms: Some(answer.took.as_secs_f64() * 1_000.0),
        cost_usd: answer.cost,
        tokens: answer.body.pointer("/usage/total_tokens").and_then(Value::as_f64),
    }
}

/// The tokens under Opik's names.
fn usage(answer: &Answer) -> Option<std::collections::BTreeMap<String, i64>> {
    let usage = answer.body.get("usage")?.as_object()?;
    let counts = ["prompt_tokens", "completion_tokens", "total_tokens"];
    let counts = counts
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), usage.get(*name)?.as_i64()?)));
    Some(counts.collect())
}

fn raw(value: &Value) -> Json {
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

/// The id of an experiment's item, which is the same whenever the same item is asked.
fn item_id(experiment: &str, dataset_item: &str, turn: u32) -> Uuid {
    let digest = Sha256::digest(format!("{experiment}/{dataset_item}/{turn}"));
    let time = experiment
        .parse::<Uuid>()
        .map_or(0, |id| id.as_u64_pair().0 >> 16);
    let rest: Vec<u8> = digest.iter().copied().take(10).collect();
    let rest: [u8; 10] = rest.try_into().unwrap_or_default();
    Builder::from_unix_timestamp_millis(time, &rest).into_uuid()
}
