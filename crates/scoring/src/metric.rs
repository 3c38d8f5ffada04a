//! A metric that was checked, and what it takes to score a sample with it.

use regex::Regex;
use stead_guard::{Scanner, Schema, select};

use crate::{
    Judge, Question, Verdict, bleu, combine,
    cosine::cosine,
    definition::{CallOrder, Definition, Measure, Sort},
    distance::{edit_similarity, insertion_similarity},
    rouge::{Overlap, rouge_l, rouge_n},
    sample::{Case, Sample, text_of, texts_of},
    token_f1::token_f1,
    tool_calls::{equal, tool_call_accuracy},
};

/// The most letters of a text whose time grows with the product of two lengths.
const LONGEST: usize = 100_000;

/// A definition that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {why}")]
pub struct BadMetric {
    /// The name of the metric.
    pub name: String,
    /// What is wrong.
    pub why: String,
}

/// Why a sample has no score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unscorable {
    /// Something that the metric needs is not known.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// A text is too long for this metric.
    #[error("a text has more than {LONGEST} letters")]
    TooLong,
    /// Vectors that cannot be compared.
    #[error("the vectors cannot be compared")]
    Vectors,
    /// No judge gave an opinion.
    #[error("no judge gave an opinion")]
    NoOpinion,
}

/// A score.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Why.
    pub reason: Option<String>,
}

/// What scoring a sample takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing more.
    Done(Vec<Score>),
    /// Vectors of these two texts, for [`Metric::from_vectors`].
    Embed([String; 2]),
    /// A judge's opinions, for [`Metric::from_opinions`]; so many of them.
    Ask(Question),
}

/// A metric that was checked.
pub struct Metric {
    name: String,
    expected: Option<String>,
    /// The route that is asked.
    model: Option<String>,
    how: How,
}

enum How {
    Equals(Case),
    Contains(Case),
    Regex(Regex),
    Schema(Box<Schema>),
    Levenshtein(Case, Measure),
    Bleu(Case),
    Rouge(Sort, Measure),
    TokenF1,
    Cosine,
    ToolCalls(CallOrder),
    Budget(Sort, f64),
    Pii(Scanner),
    Judge(Judge),
}

impl Metric {
    /// Checks a definition.
    ///
    /// # Errors
    /// When a field does not belong to the metric, is missing, or cannot be used.
    pub fn new(definition: &Definition) -> Result<Self, BadMetric> {
        let name = definition.score_name().to_owned();
        let bad = |why: String| BadMetric {
            name: name.clone(),
            why,
        };
        let allowed = definition.sort.fields();
        if let Some(field) = definition.given().iter().find(|field| !allowed.contains(*field)) {
            return Err(bad(format!(
                "{field} does not belong to {}, which takes: {}",
                definition.sort.as_str(),
                allowed.join(", ")
            )));
        }
        if definition.asks() && definition.model.is_none() {
            return Err(bad("a model must be named".into()));
        }
        let how = how(definition).map_err(bad)?;
        Ok(Self {
            name: name.clone(),
            expected: definition.expected.clone(),
            model: definition.model.clone(),
            how,
        })
    }

    /// The name of its scores.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The route that is asked.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The judge, where one decides.
    pub fn judge(&self) -> Option<&Judge> {
        match &self.how {
            How::Judge(judge) => Some(judge),
            _ => None,
        }
    }

    /// Scores a sample, or says what must be asked first. `steps` are those that a judge prepared.
    ///
    /// # Errors
    /// When the sample lacks what the metric needs.
    pub fn begin(&self, sample: &Sample, steps: &[String]) -> Result<Step, Unscorable> {
        let (value, reason) = match &self.how {
            How::Cosine => {
                let expected = self.references(sample)?.into_iter().next();
                let expected = expected.ok_or(Unscorable::Missing("expected answer"))?;
                return Ok(Step::Embed([text_of(&sample.output), expected]));
            }
            How::Judge(judge) => {
                let sample = self.completed(sample);
                return judge.question(&sample, steps).map(Step::Ask);
            }
            How::Schema(schema) => fits(schema, sample),
            How::Pii(scanner) => clean(scanner, sample),
            How::Budget(sort, max) => within(*sort, *max, sample)?,
            other => (self.plain(other, sample)?, None),
        };
        Ok(Step::Done(vec![self.score(value, reason)]))
    }

    /// The score of two vectors. Vectors that point away from each other count as ones that share nothing.
    ///
    /// # Errors
    /// When they cannot be compared.
    pub fn from_vectors(&self, left: &[f32], right: &[f32]) -> Result<Score, Unscorable> {
        let value = cosine(left, right).ok_or(Unscorable::Vectors)?;
        Ok(self.score(value.max(0.0), None))
    }

    /// The scores of a judge's opinions.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_opinions(&self, opinions: &[Vec<Verdict>]) -> Result<Vec<Score>, Unscorable> {
        let scores = combine(&self.name, opinions);
        if scores.is_empty() {
            return Err(Unscorable::NoOpinion);
        }
        Ok(scores)
    }

    fn score(&self, value: f64, reason: Option<String>) -> Score {
        Score {
            name: self.name.clone(),
            value,
            reason,
        }
    }

    /// The sample with what the definition expects.
    fn completed(&self, sample: &Sample) -> Sample {
        let mut sample = sample.clone();
        if let Some(expected) = &self.expected {
            sample.expected = expected.clone().into();
        }
        sample
    }

    fn references(&self, sample: &Sample) -> Result<Vec<String>, Unscorable> {
        let references = match &self.expected {
            Some(expected) => vec![expected.clone()],
            None => texts_of(&sample.expected),
        };
        if references.is_empty() {
            return Err(Unscorable::Missing("expected answer"));
        }
        Ok(references)
    }

    fn plain(&self, how: &How, sample: &Sample) -> Result<f64, Unscorable> {
        let output = text_of(&sample.output);
        let value = match how {
            How::Regex(regex) => truth(regex.is_match(&output)),
            How::ToolCalls(order) => {
                let expected = sample.expected_tool_calls.as_deref();
                let expected = expected.ok_or(Unscorable::Missing("list of expected tool calls"))?;
                tool_call_accuracy(&sample.tool_calls, expected, *order)
            }
            How::Equals(case) => {
                let same_value = self.expected.is_none()
                    && !sample.output.is_string()
                    && equal(&sample.output, &sample.expected);
                let output = case.fold(&output);
                let references = self.references(sample)?;
                truth(same_value || references.iter().any(|reference| case.fold(reference) == output))
            }
            How::Contains(case) => {
                let references = self.references(sample)?;
                if references.iter().any(String::is_empty) {
                    return Err(Unscorable::Missing("expected text that is not empty"));
                }
                let output = case.fold(&output);
                truth(
                    references
                        .iter()
                        .any(|reference| output.contains(&case.fold(reference))),
                )
            }
            How::Levenshtein(case, measure) => {
                let similarity = if *measure == Measure::Edits {
                    edit_similarity
                } else {
                    insertion_similarity
                };
                let references = bounded(&output, self.references(sample)?)?;
                let output = case.fold(&output);
                best(
                    references
                        .iter()
                        .map(|reference| similarity(&output, &case.fold(reference))),
                )
            }
            How::Bleu(case) => {
                let references: Vec<String> = self
                    .references(sample)?
                    .iter()
                    .map(|reference| case.fold(reference))
                    .collect();
                bleu(&case.fold(&output), &references)
            }
            How::Rouge(sort, measure) => {
                let references = bounded(&output, self.references(sample)?)?;
                measured(*measure, overlap(*sort, &output, &references))
            }
            How::TokenF1 => token_f1(&output, &self.references(sample)?),
            // `begin` has taken these.
            How::Cosine | How::Judge(_) | How::Schema(_) | How::Pii(_) | How::Budget(..) => 0.0,
        };
        Ok(value)
    }
}

fn how(definition: &Definition) -> Result<How, String> {
    let case = |default| match definition.case_sensitive {
        Some(true) => Case::Sensitive,
        Some(false) => Case::Ignored,
        None => default,
    };
    let missing = |field: &str| format!("{field} must be given");
    Ok(match definition.sort {
        Sort::Equals => How::Equals(case(Case::Ignored)),
        Sort::Contains => How::Contains(case(Case::Ignored)),
        Sort::Regex => {
            let pattern = definition.pattern.as_deref().ok_or_else(|| missing("pattern"))?;
            How::Regex(Regex::new(pattern).map_err(|error| format!("pattern: {error}"))?)
        }
        Sort::JsonSchema => {
            let schema = definition.schema.as_ref().ok_or_else(|| missing("schema"))?;
            How::Schema(Box::new(Schema::new(schema).map_err(|error| error.to_string())?))
        }
        Sort::Levenshtein => {
            let measure = definition.measure.unwrap_or(Measure::Insertions);
            if !matches!(measure, Measure::Insertions | Measure::Edits) {
                return Err("measure must be insertions or edits".into());
            }
            How::Levenshtein(case(Case::Ignored), measure)
        }
        Sort::Bleu => How::Bleu(case(Case::Sensitive)),
        sort @ (Sort::Rouge1 | Sort::Rouge2 | Sort::RougeL) => {
            let measure = definition.measure.unwrap_or(Measure::F1);
            if matches!(measure, Measure::Insertions | Measure::Edits) {
                return Err("measure must be precision, recall or f1".into());
            }
            How::Rouge(sort, measure)
        }
        Sort::TokenF1 => How::TokenF1,
        Sort::EmbeddingCosine => How::Cosine,
        Sort::ToolCalls => How::ToolCalls(definition.order.unwrap_or(CallOrder::Any)),
        sort @ (Sort::LatencyBudget | Sort::CostBudget | Sort::TokenBudget) => {
            let max = definition.max.filter(|max| max.is_finite() && *max >= 0.0);
            How::Budget(sort, max.ok_or_else(|| missing("max"))?)
        }
        Sort::Pii => How::Pii(scanner(&definition.detectors)?),
        Sort::GEval
        | Sort::Hallucination
        | Sort::AnswerRelevance
        | Sort::ContextPrecision
        | Sort::ContextRecall
        | Sort::Prompt => How::Judge(Judge::new(definition)?),
    })
}

fn scanner(detectors: &[String]) -> Result<Scanner, String> {
    let all = ["pii".to_owned()];
    let names = if detectors.is_empty() { &all } else { detectors };
    let mut builder = Scanner::builder();
    for detector in select(names).map_err(|error| error.to_string())? {
        builder.detector(0, detector);
    }
    Ok(builder.build())
}

fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

fn best(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn measured(measure: Measure, overlap: Overlap) -> f64 {
    match measure {
        Measure::Precision => overlap.precision,
        Measure::Recall => overlap.recall,
        Measure::F1 | Measure::Insertions | Measure::Edits => overlap.f1,
    }
}

fn overlap(sort: Sort, output: &str, references: &[String]) -> Overlap {
    match sort {
        Sort::Rouge1 => rouge_n(output, references, 1),
        Sort::Rouge2 => rouge_n(output, references, 2),
        _ => rouge_l(output, references),
    }
}

/// The references, if neither they nor the output are too long to be compared letter by letter.
fn bounded(output: &str, references: Vec<String>) -> Result<Vec<String>, Unscorable> {
    let long = |text: &str| text.len() > LONGEST && text.chars().nth(LONGEST).is_some();
    if long(output) || references.iter().any(|reference| long(reference)) {
        return Err(Unscorable::TooLong);
    }
    Ok(references)
}

fn fits(schema: &Schema, sample: &Sample) -> (f64, Option<String>) {
    match schema.check(&text_of(&sample.output)) {
        Ok(()) => (1.0, None),
        Err(wrong) => (0.0, Some(wrong.join("; "))),
    }
}

/// The reason names what was found and never the value.
fn clean(scanner: &Scanner, sample: &Sample) -> (f64, Option<String>) {
    let mut labels: Vec<&str> = Vec::new();
    for found in scanner.find_all(&text_of(&sample.output)) {
        if !labels.contains(&found.label) {
            labels.push(found.label);
        }
    }
    if labels.is_empty() {
        return (1.0, None);
    }
    (0.0, Some(format!("found: {}", labels.join(", "))))
}

fn within(sort: Sort, max: f64, sample: &Sample) -> Result<(f64, Option<String>), Unscorable> {
    let measured = &sample.measured;
    let (value, what) = match sort {
        Sort::CostBudget => (measured.cost_usd, "cost"),
        Sort::TokenBudget => (measured.tokens, "count of tokens"),
        _ => (measured.duration_ms, "duration"),
    };
    let value = value.ok_or(Unscorable::Missing(what))?;
    Ok((truth(value <= max), Some(format!("{value} of at most {max}"))))
}
