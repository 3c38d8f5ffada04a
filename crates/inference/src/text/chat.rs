//! Messages to a prompt, by the chat template in the model's file.
//!
//! Templates are Jinja as Hugging Face's `transformers` runs it: with `raise_exception`, `strftime_now`, `tojson` and
//! the methods of Python's strings, lists and dictionaries.

use std::{io, sync::Arc};

use minijinja::{
    Environment, ErrorKind, UndefinedBehavior, Value as Jinja, context,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde},
};
use serde::Serialize;
use serde_json::{Map, Serializer, Value, ser::Formatter};
use stead_kernel::{Clock, Timestamp};

use super::Tokenizer;
use crate::{
    error::{Error, Result},
    gguf::Gguf,
};

/// What is used when a file has no template but the tokens of `ChatML`.
const CHAT_ML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] \
    + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// How many instructions a template may run; a prompt takes some thousand.
const FUEL: u64 = 20_000_000;

/// A model's chat template.
pub(crate) struct ChatTemplate {
    /// `None` when the model has none.
    environment: Option<Environment<'static>>,
    start: String,
    end: String,
}

impl ChatTemplate {
    /// Reads the template of a file.
    pub(crate) fn read(file: &Gguf, tokenizer: &Tokenizer, clock: Arc<dyn Clock>) -> Result<Self> {
        let fallback = tokenizer.has_special("<|im_start|>").then_some(CHAT_ML);
        let source = file.text("tokenizer.chat_template").or(fallback);
        Ok(Self {
            environment: source
                .map(|source| environment(source.to_owned(), clock))
                .transpose()?,
            start: tokenizer.start_text().to_owned(),
            end: tokenizer.end_text().to_owned(),
        })
    }

    /// The prompt for messages and tools as the `OpenAI` chat API has them.
    pub(crate) fn render(&self, messages: &[Value], tools: Option<&Value>) -> Result<String> {
        let Some(environment) = &self.environment else {
            return Err(Error::unsupported("its file has no chat template"));
        };
        if messages.is_empty() {
            return Err(Error::Request("there are no messages".to_owned()));
        }
        let messages: Vec<Value> = messages
            .iter()
            .enumerate()
            .map(normalise)
            .collect::<Result<_>>()?;
        let tools = tools.filter(|tools| tools.as_array().is_none_or(|list| !list.is_empty()));
        let template = environment
            .get_template("chat")
            .map_err(|error| refused(&error))?;
        template
            .render(context! {
                messages => Jinja::from(Serde(&messages)),
                tools => tools.map(|tools| Jinja::from(Serde(tools))),
                bos_token => self.start.as_str(),
                eos_token => self.end.as_str(),
                add_generation_prompt => true,
            })
            .map_err(|error| refused(&error))
    }
}

fn environment(source: String, clock: Arc<dyn Clock>) -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(syntax.map_err(|error| Error::Defect(error.to_string()))?);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", move |format: String| {
        strftime(&format, clock.now())
    });
    environment
        .add_template_owned("chat", source)
        .map_err(|error| Error::damaged(format!("its chat template does not parse: {error}")))?;
    Ok(environment)
}

fn raise_exception(message: String) -> Result<Jinja, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime(format: &str, now: Timestamp) -> Result<String, minijinja::Error> {
    let now = now.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(format, &now)
        .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

/// JSON as Python writes it: with spaces, and without the escapes that web pages need.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the library hands the options over so"
)]
fn to_json(value: &Jinja, options: Kwargs) -> Result<Jinja, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let failed =
        |error: serde_json::Error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string());
    let mut json = Vec::new();
    match indent {
        Some(indent) => {
            let indent = " ".repeat(indent.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value
                .serialize(&mut Serializer::with_formatter(&mut json, formatter))
                .map_err(failed)?;
        }
        None => value
            .serialize(&mut Serializer::with_formatter(&mut json, Spaced))
            .map_err(failed)?,
    }
    Ok(Jinja::from_safe_string(
        String::from_utf8_lossy(&json).into_owned(),
    ))
}

/// Writes JSON on one line, with a space after each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// A template's refusal, with what it said itself when it raised an exception.
fn refused(error: &minijinja::Error) -> Error {
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    Error::Request(format!(
        "the model's chat template refuses the messages: {detail}"
    ))
}

/// A message as templates expect it: text as one string, arguments of tool calls as objects.
fn normalise((index, message): (usize, &Value)) -> Result<Value> {
    let Value::Object(message) = message else {
        return Err(Error::Request(format!("message {index} is no object")));
    };
    let mut message = message.clone();
    match message.get("role").and_then(Value::as_str) {
        Some("developer") => {
            message.insert("role".to_owned(), "system".into());
        }
        Some(_) => {}
        None => return Err(Error::Request(format!("message {index} has no role"))),
    }
    let content = content(index, message.get("content"))?;
    message.insert("content".to_owned(), content.into());
    if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
        calls
            .iter_mut()
            .filter_map(|call| call.get_mut("function")?.as_object_mut())
            .for_each(parse_arguments);
    }
    Ok(Value::Object(message))
}

fn content(index: usize, content: Option<&Value>) -> Result<String> {
    match content {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let mut text = String::new();
            for part in parts {
                let Some(piece) = part.get("text").and_then(Value::as_str) else {
                    return Err(Error::Request(format!(
                        "message {index} has a part that is no text, and the model reads nothing else"
                    )));
                };
                text.push_str(piece);
            }
            Ok(text)
        }
        Some(_) => Err(Error::Request(format!(
            "the content of message {index} is no text"
        ))),
    }
}

/// The chat API has the arguments of a call as a text of JSON, templates want what it says.
fn parse_arguments(function: &mut Map<String, Value>) {
    let parsed = function
        .get("arguments")
        .and_then(Value::as_str)
        .map(serde_json::from_str::<Value>);
    if let Some(Ok(arguments)) = parsed {
        function.insert("arguments".to_owned(), arguments);
    }
}
