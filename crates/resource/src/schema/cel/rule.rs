//! One rule of a schema.

use stead_cel::Program;

use crate::schema::{SchemaError, keywords::Keywords};

/// A rule as it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) rule: String,
    pub(crate) message: String,
    pub(crate) message_expression: String,
    pub(crate) reason: Option<String>,
    pub(crate) field_path: String,
    pub(crate) optional_old_self: Option<bool>,
}

/// A rule with what was compiled from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rule {
    pub(crate) written: Written,
    /// `None` when it cannot be compiled, which its definition's writer is told.
    pub(crate) program: Option<Program>,
    pub(crate) message: Option<Program>,
    /// Where faults are said to be, below the value: `.a.b`, or empty.
    pub(crate) below: String,
}

const WORD: &str = "x-kubernetes-validations";

/// Reads the rules of one schema object.
pub(in crate::schema) fn read(words: &Keywords<'_>) -> Result<Vec<Rule>, SchemaError> {
    let mut rules = Vec::new();
    for (index, rule) in words.list(WORD)?.into_iter().flatten().enumerate() {
        let path = words.path_to(&format!("{WORD}[{index}]"));
        let words = Keywords::new(rule, &path)?;
        let text = |word| Ok::<_, SchemaError>(words.text(word)?.unwrap_or_default().to_owned());
        rules.push(Rule {
            written: Written {
                rule: text("rule")?,
                message: text("message")?,
                message_expression: text("messageExpression")?,
                reason: words.text("reason")?.map(str::to_owned),
                field_path: text("fieldPath")?,
                optional_old_self: words
                    .get("optionalOldSelf")
                    .map(|_| words.flag("optionalOldSelf"))
                    .transpose()?,
            },
            ..Rule::default()
        });
    }
    Ok(rules)
}

impl Written {
    /// The rule in messages: what its author says about it, or itself.
    pub(super) fn shown(&self) -> &str {
        if self.message.is_empty() {
            self.rule.trim()
        } else {
            self.message.trim()
        }
    }

    /// What a value that breaks it is told, unless an expression says more.
    pub(super) fn complaint(&self) -> String {
        if self.message.is_empty() {
            format!("failed rule: {}", self.shown())
        } else {
            self.message.trim().to_owned()
        }
    }

    /// The rule as the value of an error; in JSON as Go writes it, safe for HTML.
    pub(super) fn as_value(&self) -> String {
        serde_json::json!({
            "Rule": self.rule,
            "Message": self.message,
            "MessageExpression": self.message_expression,
            "Reason": self.reason,
            "FieldPath": self.field_path,
            "OptionalOldSelf": self.optional_old_self,
        })
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
    }
}
