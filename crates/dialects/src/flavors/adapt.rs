//! Making a chat request of OpenAI's dialect fit a flavour, byte by byte.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::{Feature, Flavor, Operation, Rule, all};
use crate::{
    chat::{Effort, TranslateError},
    scan::{self, Change, ScanError},
};

/// A request that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapted {
    /// The body; the same bytes when nothing had to change.
    pub body: Bytes,
    /// What was left out or changed, one sentence each.
    pub notes: Vec<String>,
}

/// Why a body could not be changed.
struct Refused(TranslateError);

impl From<ScanError> for Refused {
    fn from(error: ScanError) -> Self {
        Self(TranslateError {
            param: "body".to_owned(),
            message: format!("body: {error}"),
        })
    }
}

/// What is looked for in requests for one operation of one flavour. To prepare a search costs more than most searches.
struct Search {
    name: &'static str,
    operation: Operation,
    words: Vec<memmem::Finder<'static>>,
}

static SEARCHES: LazyLock<Vec<Search>> = LazyLock::new(|| {
    let of = |flavor: &'static Flavor, operation: Operation| Search {
        name: flavor.name,
        operation,
        words: Fit::new(flavor, operation)
            .words()
            .map(|word| memmem::Finder::new(&format!("\"{word}\"")).into_owned())
            .collect(),
    };
    all()
        .iter()
        .flat_map(|flavor| [of(flavor, Operation::Chat), of(flavor, Operation::Embeddings)])
        .collect()
});

/// Makes a request fit; only chat and embeddings have rules. A body in which none of the names occurs that matter to
/// the flavour is not read at all, and what stays of one that is read stays byte for byte.
///
/// # Errors
/// Names what the server cannot do and without which the answer would not be what was asked for; or the body is
/// malformed.
pub fn adapt(flavor: &'static Flavor, operation: Operation, body: &Bytes) -> Result<Adapted, TranslateError> {
    let fit = Fit::new(flavor, operation);
    let mut notes = Vec::new();
    let changed = if fit.concerns(body, operation) {
        let renamed = fit.renamed(body)?;
        scan::object(body, |name, value| {
            fit.member((name, value), &renamed, &mut notes)
        })
        .map_err(|Refused(error)| error)?
    } else {
        None
    };
    Ok(Adapted {
        body: changed.map_or_else(|| body.clone(), Bytes::from),
        notes,
    })
}

/// What a request must fit.
struct Fit {
    flavor: &'static Flavor,
    rules: &'static [Rule],
    no_developer: bool,
}

const EFFORT: &str = "reasoning_effort";

impl Fit {
    fn new(flavor: &'static Flavor, operation: Operation) -> Self {
        let rules = match operation {
            Operation::Chat => flavor.rules,
            Operation::Embeddings => flavor.embedding_rules,
            Operation::Responses
            | Operation::Completions
            | Operation::Rerank
            | Operation::Images
            | Operation::Speech
            | Operation::Transcription
            | Operation::Moderations
            | Operation::Models => &[],
        };
        Self {
            flavor,
            rules,
            no_developer: operation == Operation::Chat && !flavor.has(Feature::Developer),
        }
    }

    /// Whether a body may have something that matters, by the names in it. Prompts may hold the same words, which costs
    /// a reading only.
    fn concerns(&self, body: &[u8], operation: Operation) -> bool {
        let known = SEARCHES
            .iter()
            .find(|search| search.name == self.flavor.name && search.operation == operation);
        known.is_some_and(|search| search.words.iter().any(|word| found(word, body)))
    }

    /// The words by which a body that matters is known.
    fn words(&self) -> impl Iterator<Item = &'static str> {
        let by_rules = self.rules.iter().map(|rule| match rule {
            Rule::Without(name) | Rule::Cannot(name) | Rule::Ignores(name) | Rule::Renamed(name, _) => name,
            Rule::Efforts(_) => EFFORT,
            Rule::NoSchemas => "json_schema",
            Rule::NoNames => "name",
        });
        by_rules.chain(self.no_developer.then_some("developer"))
    }

    /// The new names of members that the body has under their old ones, and under the new ones too.
    fn renamed(&self, body: &[u8]) -> Result<Vec<&'static str>, TranslateError> {
        let occurs = |word: &str| occurs(body, word);
        let twice = |rule: &Rule| matches!(rule, Rule::Renamed(old, new) if occurs(old) && occurs(new));
        if !self.rules.iter().any(twice) {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        scan::object(body, |name, _| {
            out.extend(self.rules.iter().filter_map(|rule| match rule {
                Rule::Renamed(old, new) if *old == name => Some(*new),
                _ => None,
            }));
            Ok::<_, Refused>(Change::Keep)
        })
        .map_err(|Refused(error)| error)?;
        Ok(out)
    }

    /// What becomes of a member of the body.
    fn member(
        &self,
        (name, value): (&str, &[u8]),
        renamed: &[&str],
        notes: &mut Vec<String>,
    ) -> Result<Change, Refused> {
        if name == "messages" {
            return Ok(self.messages(value, notes));
        }
        // Of the two names of one limit, OpenAI's newer one counts.
        if renamed.contains(&name) {
            return Ok(Change::Drop);
        }
        for rule in self.rules {
            if let Some(change) = self.apply(rule, (name, value), notes)? {
                return Ok(change);
            }
        }
        Ok(Change::Keep)
    }

    /// What a rule makes of a member; `None` when it does not concern it.
    fn apply(
        &self,
        rule: &Rule,
        (name, value): (&str, &[u8]),
        notes: &mut Vec<String>,
    ) -> Result<Option<Change>, Refused> {
        let vendor = self.flavor.vendor;
        let neutral = || is_neutral(name, value);
        Ok(match rule {
            Rule::Renamed(old, new) if *old == name => Some(Change::Name(new)),
            Rule::Without(gone) if *gone == name => {
                if !neutral() {
                    notes.push(format!("{name} was left out: {vendor} does not take it"));
                }
                Some(Change::Drop)
            }
            Rule::Cannot(essential) if *essential == name => {
                if !neutral() {
                    return Err(Refused(TranslateError {
                        param: name.to_owned(),
                        message: format!("{name}: {vendor} cannot do this"),
                    }));
                }
                Some(Change::Drop)
            }
            Rule::Ignores(idle) if *idle == name => {
                if !neutral() {
                    notes.push(format!(
                        "{name} may have no effect: {vendor} does not tell of one"
                    ));
                }
                Some(Change::Keep)
            }
            Rule::Efforts(words) if name == EFFORT => Some(effort(vendor, value, words, notes)),
            Rule::NoSchemas if name == "response_format" => Some(format(vendor, value, notes)),
            Rule::Renamed(..)
            | Rule::Without(_)
            | Rule::Cannot(_)
            | Rule::Ignores(_)
            | Rule::Efforts(_)
            | Rule::NoSchemas
            | Rule::NoNames => None,
        })
    }

    /// Roles and names in messages. A list of messages that is none is the server's to refuse.
    fn messages(&self, value: &[u8], notes: &mut Vec<String>) -> Change {
        let no_developer = self.no_developer && memmem::find(value, b"\"developer\"").is_some();
        let no_names = self.rules.contains(&Rule::NoNames) && memmem::find(value, b"\"name\"").is_some();
        if !(no_developer || no_names) {
            return Change::Keep;
        }
        let changed = scan::list(value, |index, message| {
            scan::object(message, |name, value| {
                Ok::<_, ScanError>(match name {
                    "role" if no_developer && value == b"\"developer\"" => {
                        Change::Value(b"\"system\"".to_vec())
                    }
                    "name" if no_names => {
                        notes.push(format!(
                            "messages[{index}].name was left out: {} names no participants",
                            self.flavor.vendor
                        ));
                        Change::Drop
                    }
                    _ => Change::Keep,
                })
            })
        });
        match changed {
            Ok(Some(new)) => Change::Value(new),
            Ok(None) | Err(_) => Change::Keep,
        }
    }
}

/// Whether a body has this word, in its quotes: as a name, or as the value `developer` or `json_schema`.
fn found(word: &memmem::Finder<'_>, body: &[u8]) -> bool {
    let length = word.needle().len();
    let is_value = matches!(word.needle(), b"\"developer\"" | b"\"json_schema\"");
    word.find_iter(body).any(|at| {
        let after = body.get(at + length..).unwrap_or_default();
        is_value || after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    })
}

/// Whether a body has a text of exactly this word, a name or not.
fn occurs(body: &[u8], word: &str) -> bool {
    memmem::find(body, format!("\"{word}\"").as_bytes()).is_some()
}

/// Whether a value asks for nothing: what it would be if it were absent.
fn is_neutral(name: &str, value: &[u8]) -> bool {
    match (name, value) {
        // Usage is told anyway.
        ("stream_options", _)
        | (_, b"null" | b"false" | b"0" | b"0.0" | b"{}" | b"[]" | b"\"\"")
        | ("n", b"1")
        | ("parallel_tool_calls", b"true")
        | ("service_tier", b"\"auto\"")
        | ("verbosity", b"\"medium\"") => true,
        ("modalities", value) => serde_json::from_slice::<Vec<String>>(value)
            .is_ok_and(|modalities| modalities.iter().all(|modality| modality == "text")),
        _ => false,
    }
}

fn effort(vendor: &str, value: &[u8], words: &[&'static str], notes: &mut Vec<String>) -> Change {
    let given = serde_json::from_slice::<String>(value).ok();
    let Some(given) = given.as_deref().and_then(Effort::parse) else {
        return Change::Keep;
    };
    if words.contains(&given.as_str()) {
        return Change::Keep;
    }
    let distance =
        |word: &&&str| Effort::parse(word).map_or(usize::MAX, |word| place(word).abs_diff(place(given)));
    // Who asks for little thinking does not ask for none.
    let asked = words.iter().filter(|word| **word != Effort::None.as_str());
    let Some(nearest) = asked.min_by_key(distance) else {
        return Change::Keep;
    };
    notes.push(format!(
        "{EFFORT} {} became {nearest}: {vendor} takes {} only",
        given.as_str(),
        words.join(", ")
    ));
    Change::Value(format!("\"{nearest}\"").into_bytes())
}

fn place(effort: Effort) -> usize {
    Effort::ALL.iter().position(|known| *known == effort).unwrap_or(0)
}

fn format(vendor: &str, value: &[u8], notes: &mut Vec<String>) -> Change {
    let kind = serde_json::from_slice::<Value>(value).unwrap_or_default();
    if kind.get("type").is_none_or(|kind| kind != "json_schema") {
        return Change::Keep;
    }
    notes.push(format!(
        "response_format json_schema became json_object: {vendor} enforces no schemas"
    ));
    Change::Value(br#"{"type":"json_object"}"#.to_vec())
}
