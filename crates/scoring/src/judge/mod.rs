//! The pure half of judges: what a model is asked, in which form it answers, and what the answers come to.
//!
//! What is judged stands in a JSON document of its own, so that no text can pass for an instruction or end the document.
//!
//! After L. Zheng et al., "Judging LLM-as-a-judge with MT-Bench and Chatbot Arena" (2023). G-Eval: Y. Liu et al.,
//! "G-Eval: NLG evaluation using GPT-4 with better human alignment" (EMNLP 2023). Answer relevance, context precision and
//! recall: S. Es et al., "RAGAS: automated evaluation of retrieval augmented generation" (2023). Hallucination: Z. Ji et al.,
//! "Survey of hallucination in natural language generation" (2023). Scores are in the ranges of Opik's judges.

mod parse;
mod template;
mod vote;
mod weighted;

use serde_json::{Value, json};

pub use self::{
    parse::{Unparsable, answer_of},
    vote::{Verdict, combine},
};
use crate::{
    definition::{Definition, Message, Scale, ScaleSort, Sort},
    metric::Unscorable,
    sample::Sample,
};

/// The most times that one sample is judged by one metric.
const VOTES: u32 = 20;
/// The largest score of G-Eval.
const TEN: f64 = 10.0;

/// What a judge is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Messages as OpenAI's chat API has them.
    pub messages: Vec<Value>,
    /// The JSON schema of the answer.
    pub schema: Value,
    /// Whether the likelihoods of the answer's tokens matter: where the model tells them, the score is the mean over them.
    pub likelihoods: bool,
}

/// A judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    how: How,
    /// How often it is asked.
    pub votes: u32,
    /// Its temperature; the model's own without it.
    pub temperature: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
enum How {
    /// Task, criteria, steps.
    GEval {
        task: String,
        criteria: String,
        steps: Vec<String>,
    },
    /// One of those whose question is here.
    Fixed(Sort),
    /// A question and scores of one's own.
    Prompt {
        messages: Vec<Message>,
        scores: Vec<Scale>,
    },
}

impl Judge {
    pub(crate) fn new(definition: &Definition) -> Result<Self, String> {
        let votes = definition.votes.unwrap_or(1);
        if !(1..=VOTES).contains(&votes) {
            return Err(format!("votes must be from 1 to {VOTES}"));
        }
        if definition
            .temperature
            .is_some_and(|temperature| !(0.0..=2.0).contains(&temperature))
        {
            return Err("temperature must be from 0 to 2".into());
        }
        let how = match definition.sort {
            Sort::GEval => How::GEval {
                task: definition.task.clone().unwrap_or_else(|| template::TASK.into()),
                criteria: definition.criteria.clone().ok_or("criteria must be given")?,
                steps: definition.steps.clone(),
            },
            Sort::Prompt => {
                check_prompt(definition)?;
                How::Prompt {
                    messages: definition.messages.clone(),
                    scores: definition.scores.clone(),
                }
            }
            sort => How::Fixed(sort),
        };
        Ok(Self {
            how,
            votes,
            // One opinion should be the likeliest one; several must be able to differ.
            temperature: definition.temperature.or((votes == 1).then_some(0.0)),
        })
    }

    /// What must be asked once, before any sample: the steps of G-Eval, where nobody wrote them.
    pub fn preparation(&self) -> Option<Question> {
        match &self.how {
            How::GEval {
                task,
                criteria,
                steps,
            } if steps.is_empty() => Some(template::steps(task, criteria)),
            How::GEval { .. } | How::Fixed(_) | How::Prompt { .. } => None,
        }
    }

    /// The steps that an answer to [`preparation`](Self::preparation) tells.
    ///
    /// # Errors
    /// When it tells none.
    pub fn prepared(&self, choice: &Value) -> Result<Vec<String>, Unparsable> {
        let answer = parse::object(&answer_of(choice)?)?;
        let steps = answer
            .get("steps")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let steps: Vec<String> = steps
            .map(crate::text_of)
            .filter(|step| !step.trim().is_empty())
            .collect();
        if steps.is_empty() {
            return Err(Unparsable::Missing("steps".into()));
        }
        Ok(steps)
    }

    /// What it is asked about a sample. `prepared` are the steps of G-Eval that the model wrote.
    ///
    /// # Errors
    /// When the sample lacks what is judged.
    pub fn question(&self, sample: &Sample, prepared: &[String]) -> Result<Question, Unscorable> {
        match &self.how {
            How::GEval {
                task,
                criteria,
                steps,
            } => {
                let steps = if steps.is_empty() { prepared } else { steps };
                let data = template::data(sample, &["output"], &["input", "expected", "context"])?;
                Ok(template::g_eval(task, criteria, steps, &data))
            }
            How::Fixed(sort) => template::fixed(*sort, sample),
            How::Prompt { messages, scores } => Ok(Question {
                messages: messages
                    .iter()
                    .map(|message| template::filled(message, sample))
                    .collect(),
                schema: template::scales(scores),
                likelihoods: false,
            }),
        }
    }

    /// What a choice of a chat's answer says (OpenAI's `choices[0]`).
    ///
    /// # Errors
    /// When it does not say it; the judge may be asked again.
    pub fn verdicts(&self, choice: &Value) -> Result<Vec<Verdict>, Unparsable> {
        let content = answer_of(choice)?;
        match &self.how {
            How::GEval { .. } => {
                let mut verdict = parse::verdict(&content, "score", 0.0..=TEN)?;
                if let Some(mean) = weighted::mean(choice) {
                    verdict.value = mean;
                }
                verdict.value /= TEN;
                Ok(vec![verdict])
            }
            How::Fixed(sort) => Ok(vec![parse::verdict(&content, template::key(*sort), 0.0..=1.0)?]),
            How::Prompt { scores, .. } => {
                let answer = parse::object(&content)?;
                scores.iter().map(|scale| parse::scaled(&answer, scale)).collect()
            }
        }
    }
}

fn check_prompt(definition: &Definition) -> Result<(), String> {
    if definition.messages.is_empty() || definition.scores.is_empty() {
        return Err("messages and scores must be given".into());
    }
    let roles = ["system", "user", "assistant"];
    if let Some(message) = definition
        .messages
        .iter()
        .find(|message| !roles.contains(&message.role.as_str()))
    {
        return Err(format!(
            "the role {:?} is none of {}",
            message.role,
            roles.join(", ")
        ));
    }
    for (place, scale) in definition.scores.iter().enumerate() {
        if definition
            .scores
            .iter()
            .take(place)
            .any(|earlier| earlier.name == scale.name)
        {
            return Err(format!("the score {:?} is there twice", scale.name));
        }
        if scale.min.zip(scale.max).is_some_and(|(min, max)| min >= max) {
            return Err(format!("the score {:?}: min must be below max", scale.name));
        }
    }
    Ok(())
}

/// The schema of one score in an answer.
fn scale_schema(scale: &Scale) -> Value {
    let sort = match scale.sort {
        ScaleSort::Number => "number",
        ScaleSort::Integer => "integer",
        ScaleSort::Boolean => "boolean",
    };
    let mut schema = json!({"type": sort, "description": scale.description});
    if let (Some(schema), false) = (schema.as_object_mut(), scale.sort == ScaleSort::Boolean) {
        let bounds = [("minimum", scale.min), ("maximum", scale.max)];
        schema.extend(
            bounds
                .into_iter()
                .filter_map(|(name, bound)| Some((name.to_owned(), bound?.into()))),
        );
    }
    schema
}
