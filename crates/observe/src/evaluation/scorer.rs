//! Metrics over samples, with what must be asked of models.

use std::sync::{
    OnceLock,
    atomic::{AtomicU8, Ordering},
};

use serde_json::{Value, json};
use stead_kernel::{Error, Reason, Result};
use stead_scoring::{Definition, Judge, Metric, Question, Sample, Score, Step, Unscorable, Verdict};
use tokio::sync::Mutex;

use super::asking::{Asker, passes};

/// How often a judge is asked for an opinion that can be read.
const READINGS: u32 = 3;

/// What became of a metric.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The name of the metric.
    pub(crate) metric: String,
    /// Its scores, or why there are none.
    pub(crate) scores: Result<Vec<Score>, Failure>,
    /// What was paid for it, in US dollars, as far as that is known.
    pub(crate) cost: f64,
}

/// Why there are no scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Why.
    pub(crate) why: String,
    /// Whether it may go well later.
    pub(crate) passes: bool,
}

impl From<Unscorable> for Failure {
    fn from(why: Unscorable) -> Self {
        Self {
            why: why.to_string(),
            passes: false,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            passes: passes(&error),
            why: error.full_message(),
        }
    }
}

/// Several metrics.
pub(crate) struct Scorer(Vec<Prepared>);

struct Prepared {
    metric: Metric,
    /// The steps that a judge wrote for itself, once.
    steps: OnceLock<Vec<String>>,
    /// Held while it does, so that it does so once.
    preparing: Mutex<()>,
    form: Form,
}

impl Scorer {
    /// Checks definitions.
    ///
    /// # Errors
    /// `Invalid` with what is wrong in which.
    pub(crate) fn new(definitions: &[Definition]) -> Result<Self> {
        let mut all: Vec<Prepared> = Vec::with_capacity(definitions.len());
        for definition in definitions {
            let metric = Metric::new(definition).map_err(|error| Error::invalid(error.to_string()))?;
            if all.iter().any(|other| other.metric.name() == metric.name()) {
                let message = format!("two metrics are called {:?}", metric.name());
                return Err(Error::invalid(message).hint("give one of them a name"));
            }
            all.push(Prepared {
                metric,
                steps: OnceLock::new(),
                preparing: Mutex::default(),
                form: Form::default(),
            });
        }
        Ok(Self(all))
    }

    /// Scores a sample with every metric, one after the other.
    pub(crate) async fn score(&self, asker: &Asker, sample: &Sample) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(self.0.len());
        for one in &self.0 {
            let mut cost = 0.0;
            let scores = one.score(asker, sample, &mut cost).await;
            outcomes.push(Outcome {
                metric: one.metric.name().to_owned(),
                scores,
                cost,
            });
        }
        outcomes
    }
}

impl Prepared {
    async fn score(&self, asker: &Asker, sample: &Sample, cost: &mut f64) -> Result<Vec<Score>, Failure> {
        let steps = self.steps(asker, cost).await?;
        match self.metric.begin(sample, steps)? {
            Step::Done(scores) => Ok(scores),
            Step::Embed(texts) => {
                let model = self.metric.model().unwrap_or_default();
                let (vectors, paid) = asker.vectors(model, &texts).await?;
                *cost += paid.unwrap_or_default();
                let [left, right] = vectors.as_slice() else {
                    return Err(Unscorable::Vectors.into());
                };
                Ok(vec![self.metric.from_vectors(left, right)?])
            }
            Step::Ask(question) => {
                let Some(judge) = self.metric.judge() else {
                    return Err(Unscorable::NoOpinion.into());
                };
                let votes = (0..judge.votes).map(|_| self.opinion(asker, judge, &question));
                let mut opinions = Vec::new();
                let mut failure = None;
                for vote in futures::future::join_all(votes).await {
                    let (opinion, paid) = vote;
                    *cost += paid;
                    match opinion {
                        Ok(opinion) => opinions.push(opinion),
                        Err(why) => failure = Some(why),
                    }
                }
                match failure {
                    // Most of the votes are enough, a single one of several is not.
                    Some(why) if opinions.len() * 2 <= judge.votes as usize => Err(why),
                    _ => Ok(self.metric.from_opinions(&opinions)?),
                }
            }
        }
    }

    /// The steps of a judge that prepares itself, asked for by whoever comes first.
    async fn steps(&self, asker: &Asker, cost: &mut f64) -> Result<&[String], Failure> {
        let Some((judge, question)) = self
            .metric
            .judge()
            .and_then(|judge| Some((judge, judge.preparation()?)))
        else {
            return Ok(&[]);
        };
        let _preparing = self.preparing.lock().await;
        if let Some(steps) = self.steps.get() {
            return Ok(steps);
        }
        let steps = self.prepare(asker, judge, &question, cost).await?;
        Ok(self.steps.get_or_init(|| steps))
    }

    async fn prepare(
        &self,
        asker: &Asker,
        judge: &Judge,
        question: &Question,
        cost: &mut f64,
    ) -> Result<Vec<String>, Failure> {
        let read = |choice: &Value| judge.prepared(choice).map_err(|error| error.to_string());
        let (steps, paid) = self.ask(asker, judge, question, read).await;
        *cost += paid;
        steps
    }

    async fn opinion(
        &self,
        asker: &Asker,
        judge: &Judge,
        question: &Question,
    ) -> (Result<Vec<Verdict>, Failure>, f64) {
        let read = |choice: &Value| judge.verdicts(choice).map_err(|error| error.to_string());
        self.ask(asker, judge, question, read).await
    }

    /// Asks until the answer can be read, in the strictest form that the model takes; with what was paid.
    async fn ask<T>(
        &self,
        asker: &Asker,
        judge: &Judge,
        question: &Question,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> (Result<T, Failure>, f64) {
        let (mut cost, mut readings) = (0.0, 0);
        let model = self.metric.model().unwrap_or_default();
        loop {
            let level = self.form.level();
            let body = body(model, judge.temperature, question, level);
            let answer = match asker.chat(&body).await {
                Ok(answer) => answer,
                // What it may not like is the form: it is asked again in a plainer one.
                Err(error) if refuses(&error) && self.form.lower(level) => continue,
                Err(error) => return (Err(error.into()), cost),
            };
            cost += answer.cost.unwrap_or_default();
            readings += 1;
            let why = match answer.choice().map(&read) {
                Ok(Ok(told)) => return (Ok(told), cost),
                Ok(Err(why)) => why,
                Err(error) => error.full_message(),
            };
            if readings == READINGS {
                let failure = Failure {
                    why: format!("{why} ({READINGS} times)"),
                    passes: false,
                };
                return (Err(failure), cost);
            }
        }
    }
}

fn refuses(error: &Error) -> bool {
    matches!(error.reason(), Reason::Invalid | Reason::Unsupported)
}

/// In which form a judge is asked: the strictest that its model did not refuse.
#[derive(Debug, Default)]
struct Form(AtomicU8);

/// With the schema and the likelihoods of tokens.
const LIKELIHOODS: u8 = 0;
/// With the schema.
const SCHEMA: u8 = 1;
/// With the schema in words.
const WORDS: u8 = 2;

impl Form {
    fn level(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes to a plainer form than the one that was refused; whether there is one.
    fn lower(&self, refused: u8) -> bool {
        if refused >= WORDS {
            return false;
        }
        self.0.fetch_max(refused + 1, Ordering::Relaxed);
        true
    }
}

/// A request (<https://platform.openai.com/docs/guides/structured-outputs>).
fn body(model: &str, temperature: Option<f64>, question: &Question, level: u8) -> Value {
    let mut body = json!({"model": model, "messages": question.messages});
    let Some(fields) = body.as_object_mut() else {
        return body;
    };
    if let Some(temperature) = temperature {
        fields.insert("temperature".into(), temperature.into());
    }
    if level > SCHEMA {
        fields.insert("messages".into(), in_words(question).into());
    } else {
        let format = json!({"type": "json_schema",
            "json_schema": {"name": "verdict", "strict": true, "schema": question.schema}});
        fields.insert("response_format".into(), format);
    }
    if level == LIKELIHOODS && question.likelihoods {
        fields.insert("logprobs".into(), true.into());
        fields.insert("top_logprobs".into(), 20.into());
    }
    body
}

/// The messages with the schema at the end of the first one.
fn in_words(question: &Question) -> Vec<Value> {
    let mut messages = question.messages.clone();
    let first = messages.first_mut().and_then(Value::as_object_mut);
    if let Some(first) = first {
        let text = first.get("content").and_then(Value::as_str).unwrap_or_default();
        let text = format!(
            "{text}\n\nAnswer with one JSON object that fits this JSON schema, and with nothing else:\n{}",
            question.schema
        );
        first.insert("content".into(), text.into());
    }
    messages
}
