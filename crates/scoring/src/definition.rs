//! A metric as people write it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A metric as people write it, in a suite of evaluations and in rules. Which fields it may have depends on its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Which metric.
    #[serde(rename = "type")]
    pub sort: Sort,
    /// The name of its scores; that of the type without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub name: Option<String>,
    /// What should have been answered, where neither the dataset nor the trace says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100_000))]
    pub expected: Option<String>,
    /// Whether the case of letters matters; it does for BLEU alone unless this says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_sensitive: Option<bool>,
    /// A regular expression (<https://docs.rs/regex/latest/regex/#syntax>) that is looked for: `regex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10_000))]
    pub pattern: Option<String>,
    /// A JSON schema (draft 2020-12) that the answer must fit: `json-schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub schema: Option<Value>,
    /// What of the overlap counts, F1 without it: `rouge-1`, `rouge-2`, `rouge-l`; or how letters that differ are counted,
    /// by insertions and deletions without it: `levenshtein`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// Whether calls must come in the order that was expected, `any` without it: `tool-calls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<CallOrder>,
    /// The most that it may take: milliseconds, US dollars or tokens: `latency-budget`, `cost-budget`, `token-budget`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub max: Option<f64>,
    /// What must not be in the answer, `pii` without it; the names are those of guardrails: `pii`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub detectors: Vec<String>,
    /// The route (or `provider/model`) that judges or makes vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub model: Option<String>,
    /// How often a judge is asked; the answers are brought together. 1 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub votes: Option<u32>,
    /// The judge's temperature; 0 without it for one vote, else the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// What the judge is told about the task: `g-eval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20_000))]
    pub task: Option<String>,
    /// By what it judges: `g-eval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20_000))]
    pub criteria: Option<String>,
    /// The steps that it goes through; the model writes them once without this: `g-eval`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub steps: Vec<String>,
    /// What the judge is asked, with `{{input}}`, `{{output}}`, `{{expected}}`, `{{context}}` and further variables: `prompt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub messages: Vec<Message>,
    /// The scores that the judge gives: `prompt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub scores: Vec<Scale>,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Which metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// 1 when the answer is what was expected.
    Equals,
    /// 1 when what was expected is in the answer.
    Contains,
    /// 1 when the expression matches somewhere.
    Regex,
    /// 1 when the answer is JSON of the schema.
    JsonSchema,
    /// How near the letters are to what was expected.
    Levenshtein,
    /// BLEU of up to four words (Papineni et al. 2002).
    Bleu,
    /// ROUGE of words (Lin 2004).
    #[serde(rename = "rouge-1")]
    Rouge1,
    /// ROUGE of pairs of words.
    #[serde(rename = "rouge-2")]
    Rouge2,
    /// ROUGE of the longest common subsequence.
    RougeL,
    /// F1 of words without case, punctuation and articles (Rajpurkar et al. 2016).
    #[serde(rename = "token-f1")]
    TokenF1,
    /// How near the answer's vector is to that of what was expected; nothing shared is 0.
    EmbeddingCosine,
    /// Whether the expected tools were called with the expected arguments.
    ToolCalls,
    /// 1 when the answer took no longer.
    LatencyBudget,
    /// 1 when the answer cost no more.
    CostBudget,
    /// 1 when the answer took no more tokens.
    TokenBudget,
    /// 1 when the answer holds none of what the detectors know.
    Pii,
    /// A judge by criteria and steps (Liu et al. 2023).
    GEval,
    /// A judge of what the answer makes up; 1 is the worst.
    Hallucination,
    /// A judge of whether the answer is to the question.
    AnswerRelevance,
    /// A judge of whether the context is what the answer needs (Es et al. 2023).
    ContextPrecision,
    /// A judge of whether the context has all that the answer needs.
    ContextRecall,
    /// A judge with messages and scores of one's own.
    Prompt,
}

impl Sort {
    /// Every sort.
    pub const ALL: [Self; 22] = [
        Self::Equals,
        Self::Contains,
        Self::Regex,
        Self::JsonSchema,
        Self::Levenshtein,
        Self::Bleu,
        Self::Rouge1,
        Self::Rouge2,
        Self::RougeL,
        Self::TokenF1,
        Self::EmbeddingCosine,
        Self::ToolCalls,
        Self::LatencyBudget,
        Self::CostBudget,
        Self::TokenBudget,
        Self::Pii,
        Self::GEval,
        Self::Hallucination,
        Self::AnswerRelevance,
        Self::ContextPrecision,
        Self::ContextRecall,
        Self::Prompt,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::Contains => "contains",
            Self::Regex => "regex",
            Self::JsonSchema => "json-schema",
            Self::Levenshtein => "levenshtein",
            Self::Bleu => "bleu",
            Self::Rouge1 => "rouge-1",
            Self::Rouge2 => "rouge-2",
            Self::RougeL => "rouge-l",
            Self::TokenF1 => "token-f1",
            Self::EmbeddingCosine => "embedding-cosine",
            Self::ToolCalls => "tool-calls",
            Self::LatencyBudget => "latency-budget",
            Self::CostBudget => "cost-budget",
            Self::TokenBudget => "token-budget",
            Self::Pii => "pii",
            Self::GEval => "g-eval",
            Self::Hallucination => "hallucination",
            Self::AnswerRelevance => "answer-relevance",
            Self::ContextPrecision => "context-precision",
            Self::ContextRecall => "context-recall",
            Self::Prompt => "prompt",
        }
    }

    /// The fields that it may have besides `type` and `name`.
    pub(crate) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Equals | Self::Contains | Self::Bleu => &["expected", "caseSensitive"],
            Self::Regex => &["pattern"],
            Self::JsonSchema => &["schema"],
            Self::Levenshtein => &["expected", "caseSensitive", "measure"],
            Self::Rouge1 | Self::Rouge2 | Self::RougeL => &["expected", "measure"],
            Self::TokenF1 => &["expected"],
            Self::EmbeddingCosine => &["expected", "model"],
            Self::ToolCalls => &["order"],
            Self::LatencyBudget | Self::CostBudget | Self::TokenBudget => &["max"],
            Self::Pii => &["detectors"],
            Self::GEval => &[
                "model",
                "votes",
                "temperature",
                "task",
                "criteria",
                "steps",
                "expected",
            ],
            Self::Hallucination | Self::AnswerRelevance | Self::ContextPrecision | Self::ContextRecall => {
                &["model", "votes", "temperature", "expected"]
            }
            Self::Prompt => &["model", "votes", "temperature", "messages", "scores", "expected"],
        }
    }
}

/// What of an overlap counts, or how letters that differ are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The share of the answer that was expected.
    Precision,
    /// The share of what was expected that is in the answer.
    Recall,
    /// The harmonic mean of both.
    F1,
    /// Insertions and deletions, as Opik's SDK counts them.
    Insertions,
    /// Insertions, deletions and substitutions.
    Edits,
}

/// Whether tools must be called in the order that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallOrder {
    /// They need not.
    Any,
    /// They must.
    Same,
}

/// What a judge is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// `system`, `user` or `assistant`.
    #[schemars(length(min = 1, max = 20))]
    pub role: String,
    /// The text, with variables in double braces.
    #[schemars(length(max = 100_000))]
    pub content: String,
}

/// A score that a judge gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// Its name.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// What sort of value: a number from `min` to `max`, a whole one, or yes and no (1 and 0).
    #[serde(rename = "type", default)]
    pub sort: ScaleSort,
    /// What it says.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    pub description: String,
    /// The least that it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most that it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// What sort of value a judge gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleSort {
    /// A number.
    #[default]
    Number,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
}

impl Definition {
    /// A metric without any options.
    pub fn of(sort: Sort) -> Self {
        Self {
            sort,
            name: None,
            expected: None,
            case_sensitive: None,
            pattern: None,
            schema: None,
            measure: None,
            order: None,
            max: None,
            detectors: Vec::new(),
            model: None,
            votes: None,
            temperature: None,
            task: None,
            criteria: None,
            steps: Vec::new(),
            messages: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// The name of its scores.
    pub fn score_name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.sort.as_str())
    }

    /// Whether another model is asked for it.
    pub fn asks(&self) -> bool {
        self.sort.fields().contains(&"model")
    }

    /// Whether a chat model judges.
    pub fn judges(&self) -> bool {
        self.sort.fields().contains(&"votes")
    }

    /// The fields that it has.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let fields = [
            ("expected", self.expected.is_some()),
            ("caseSensitive", self.case_sensitive.is_some()),
            ("pattern", self.pattern.is_some()),
            ("schema", self.schema.is_some()),
            ("measure", self.measure.is_some()),
            ("order", self.order.is_some()),
            ("max", self.max.is_some()),
            ("detectors", !self.detectors.is_empty()),
            ("model", self.model.is_some()),
            ("votes", self.votes.is_some()),
            ("temperature", self.temperature.is_some()),
            ("task", self.task.is_some()),
            ("criteria", self.criteria.is_some()),
            ("steps", !self.steps.is_empty()),
            ("messages", !self.messages.is_empty()),
            ("scores", !self.scores.is_empty()),
        ];
        fields
            .into_iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| name)
            .collect()
    }
}
