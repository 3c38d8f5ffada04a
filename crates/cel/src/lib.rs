//! The Common Expression Language, with the types and libraries that Kubernetes gives to validation rules.
//!
//! Written from the language definition (github.com/google/cel-spec, `doc/langdef.md`) and Kubernetes' documentation
//! of validation rules; messages follow the API server's. [`Program::compile`] checks types, and every function that is
//! called must exist; [`Program::evaluate`] pays for each step out of a [`Budget`].
//!
//! *Invariants:* nothing here performs I/O or reads a clock; no source, value or budget makes it panic, and time and
//! memory of an evaluation are bounded by its budget.

mod ast;
mod check;
mod escape;
mod eval;
mod fault;
mod functions;
mod lexer;
mod macros;
mod parser;
mod source;
mod time;
mod types;
mod value;

use std::sync::Arc;

pub use escape::escape;
pub use fault::{Budget, Fault};
pub use time::{Timestamp, parse_duration};
pub use types::{ObjectType, Type};
pub use value::{Identity, Key, List, Opaque, Value};

/// An expression whose types were checked; cheap to clone.
#[derive(Debug, Clone)]
pub struct Program {
    expr: Arc<ast::Expr>,
    result: Type,
    used: Vec<String>,
}

impl Program {
    /// Parses and checks an expression over variables of these types.
    ///
    /// # Errors
    /// Every issue with its place, as the Kubernetes API server shows them: `ERROR: <input>:1:5: undefined field 'x'`,
    /// the line and a caret.
    pub fn compile(source: &str, variables: &[(&str, Type)]) -> Result<Self, String> {
        let letters: Vec<char> = source.chars().collect();
        let mut expr = parser::parse(&letters).map_err(|issue| source::render(&letters, &[issue]))?;
        let checked =
            check::check(&mut expr, variables).map_err(|issues| source::render(&letters, &issues))?;
        Ok(Self {
            expr: Arc::new(expr),
            result: checked.kind,
            used: checked.used,
        })
    }

    /// The type of its values.
    pub const fn result(&self) -> &Type {
        &self.result
    }

    /// Whether it reads a variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.used.iter().any(|used| used == variable)
    }

    /// Its value under these variables.
    ///
    /// # Errors
    /// Why it has none.
    pub fn evaluate(&self, variables: &[(&str, Value)], budget: &mut Budget) -> Result<Value, Fault> {
        eval::evaluate(&self.expr, variables, budget)
    }
}
