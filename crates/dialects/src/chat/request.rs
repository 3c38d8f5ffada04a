//! What is asked.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use super::{Cache, Content, Part, TranslateError, Wire, refuse};

/// A chat request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The model as the client named it.
    pub model: String,
    /// The conversation in order. System and developer prompts are messages of their own.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several tools at once; the provider's default when absent.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub output: Option<OutputFormat>,
    /// How much it should think.
    pub reasoning: Option<Reasoning>,
    /// How tokens are chosen and when to stop.
    pub sampling: Sampling,
    /// Log probabilities wanted: of how many alternatives besides the chosen token (0 for none).
    pub logprobs: Option<u32>,
    /// Whether the answer shall be streamed.
    pub stream: bool,
    /// Whether a stream shall end with its usage (always, in dialects that always tell it).
    pub include_usage: bool,
    /// The end user, for the provider's abuse detection.
    pub user: Option<String>,
    /// Metadata of the caller.
    pub metadata: BTreeMap<String, String>,
    /// How soon: `auto`, `default`, `flex`, `priority`, …
    pub service_tier: Option<String>,
    /// Parameters that only the client's dialect has.
    pub extra: Vec<Extra>,
}

/// A parameter that this form has no place for.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra {
    /// The dialect that it came from.
    pub wire: Wire,
    /// Its name; dots for nested ones (`generationConfig.mediaResolution`).
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Whether the answer would not be what was asked for without it (sound, web search): a dialect that cannot say
    /// it refuses it instead of noting it.
    pub essential: bool,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What it says.
    pub parts: Vec<Part>,
    /// The name of the participant (OpenAI's `name`).
    pub name: Option<String>,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions in the newer OpenAI dialect.
    Developer,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// Results of tools, where the dialect has a role for them.
    Tool,
}

/// Something that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub enum Tool {
    /// A function of the caller.
    Function(Function),
    /// A tool that one vendor runs itself (web search, code execution), in its own words.
    Native {
        /// The dialect that it belongs to.
        wire: Wire,
        /// Its definition as that dialect has it.
        definition: Value,
    },
}

/// A function of the caller.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// A JSON schema of its arguments; absent for none.
    pub parameters: Option<Value>,
    /// Whether arguments must fit the schema exactly.
    pub strict: Option<bool>,
    /// A mark that the prompt up to here should be cached.
    pub cache: Option<Cache>,
}

/// Whether the model must call something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// Nothing.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
    /// One of these (OpenAI's `allowed_tools`, Gemini's `allowedFunctionNames`); `required`: at least one.
    Allowed {
        /// Names of functions.
        names: Vec<String>,
        /// Whether it must call one.
        required: bool,
    },
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputFormat {
    /// Text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema {
        /// The schema's name.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: Value,
        /// Whether it must fit exactly.
        strict: Option<bool>,
    },
}

/// How much the model should think.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reasoning {
    /// In words.
    pub effort: Option<Effort>,
    /// In tokens; 0 turns thinking off.
    pub budget_tokens: Option<u64>,
    /// Whether the thoughts (or a summary) shall be part of the answer.
    pub include: Option<bool>,
}

/// How much the model should think, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More.
    XHigh,
    /// As much as possible.
    Max,
}

impl Effort {
    /// Every word, least first.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::XHigh,
        Self::Max,
    ];

    /// The word as OpenAI's dialect spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Reads a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == text)
    }
}

/// How tokens are chosen and when to stop; the provider's defaults where absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// The number of likeliest tokens to choose among.
    pub top_k: Option<u64>,
    /// The least probability relative to the likeliest token.
    pub min_p: Option<f64>,
    /// Makes the choice repeatable.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// OpenAI's, -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// OpenAI's, -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Above 1 makes repetition less likely (vLLM, SGLang, llama.cpp, Ollama).
    pub repetition_penalty: Option<f64>,
    /// Token id to bias, -100 to 100.
    pub logit_bias: BTreeMap<String, f64>,
    /// The most tokens of the answer, reasoning included.
    pub max_tokens: Option<u64>,
    /// How many answers; 1 when absent.
    pub choices: Option<u64>,
}

impl Message {
    /// A message of one text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            parts: vec![Part::text(text)],
            name: None,
        }
    }
}

impl Extra {
    /// Whether it asks for nothing: what it would be if it were absent.
    pub fn is_neutral(&self) -> bool {
        match &self.value {
            Value::Null | Value::Bool(false) => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(elements) => elements.is_empty(),
            Value::Object(members) => members.is_empty() && !self.essential,
            Value::Bool(true) => false,
        }
    }
}

impl Role {
    /// Whether it gives instructions.
    pub const fn is_system(self) -> bool {
        matches!(self, Self::System | Self::Developer)
    }
}

impl Request {
    /// Adds a note for every extra parameter of another dialect than `wire`, whose vendor is `vendor` in the note.
    /// Those that ask for nothing (null, false, 0, empty) go without a note.
    ///
    /// # Errors
    /// Names an essential one.
    pub fn note_foreign_extras(
        &self,
        wire: Wire,
        vendor: &str,
        notes: &mut Vec<String>,
    ) -> Result<(), TranslateError> {
        for extra in self
            .extra
            .iter()
            .filter(|extra| extra.wire != wire && !extra.is_neutral())
        {
            if extra.essential {
                return refuse(&extra.name, format!("{vendor} cannot do this"));
            }
            notes.push(format!(
                "{} was left out: {vendor} has no such parameter",
                extra.name
            ));
        }
        Ok(())
    }

    /// The request as a dialect can be told it: without steps of another dialect's own tools (a web search that the
    /// model made), which only say how the model came to its answer; with a note when there are some. What a client
    /// answered to such a step stays, and is refused by whoever cannot say it.
    pub fn without_foreign_steps(&self, wire: Wire, notes: &mut Vec<String>) -> Cow<'_, Self> {
        let is_foreign = |part: &Part| match &part.content {
            Content::Native { wire: of, item } if *of != wire => {
                let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
                kind.ends_with("_call") || kind == "mcp_list_tools"
            }
            _ => false,
        };
        let mut parts = self.messages.iter().flat_map(|message| &message.parts);
        if !parts.any(is_foreign) {
            return Cow::Borrowed(self);
        }
        notes.push("steps of another provider's own tools were left out of the conversation".to_owned());
        let mut request = self.clone();
        for message in &mut request.messages {
            message.parts.retain(|part| !is_foreign(part));
        }
        request.messages.retain(|message| !message.parts.is_empty());
        Cow::Owned(request)
    }

    /// The extra parameters of this dialect.
    pub fn extras_of(&self, wire: Wire) -> impl Iterator<Item = (&str, &Value)> {
        self.extra
            .iter()
            .filter(move |extra| extra.wire == wire)
            .map(|extra| (extra.name.as_str(), &extra.value))
    }

    /// The functions among the tools.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.tools.iter().filter_map(|tool| match tool {
            Tool::Function(function) => Some(function),
            Tool::Native { .. } => None,
        })
    }
}
