//! What ends an evaluation early, and how much one may cost.

use std::fmt;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No form of a function takes these values.
    NoOverload,
    /// The budget is used up.
    Cost,
    /// Anything else, in the words of cel-go: `no such key: x`, `division by zero`, …
    Other(String),
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    pub(crate) fn overflow() -> Self {
        Self::new("integer overflow")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoOverload => "no such overload",
            Self::Cost => "operation cancelled: actual cost limit exceeded",
            Self::Other(message) => message,
        })
    }
}

impl std::error::Error for Fault {}

/// How many steps evaluations may still take. Making or comparing ten bytes of text, or an element, is a step too, and
/// is paid for before it is done: so time and memory are bounded by it.
#[derive(Debug, Clone)]
pub struct Budget {
    left: u64,
}

impl Budget {
    /// A budget of so many steps.
    pub const fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    /// What is left.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Pays for some steps.
    ///
    /// # Errors
    /// [`Fault::Cost`] when fewer are left.
    pub fn charge(&mut self, steps: u64) -> Result<(), Fault> {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or_default();
        left.map(|_| ()).ok_or(Fault::Cost)
    }

    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.charge(bytes as u64 / 10)
    }

    pub(crate) fn charge_items(&mut self, items: usize) -> Result<(), Fault> {
        self.charge(items as u64)
    }
}
