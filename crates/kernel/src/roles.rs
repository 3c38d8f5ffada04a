//! Which parts of Stead a process runs.

use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// A part of Stead that a process can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// State: the resource API, its controllers, sign-in, models and the engine.
    Control,
    /// Events: what gateways and the resource API report, and the questions about it.
    Telemetry,
    /// The model APIs.
    Gateway,
}

impl Role {
    /// Every role, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Control, Self::Telemetry, Self::Gateway];

    /// The role as arguments spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Telemetry => "telemetry",
            Self::Gateway => "gateway",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Control => 1,
            Self::Telemetry => 2,
            Self::Gateway => 4,
        }
    }
}

/// Some of the roles, at least one. Prints and reads as `control,telemetry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// All of them.
    pub fn all() -> Self {
        Self::of(&Role::ALL)
    }

    /// Exactly these.
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.iter().fold(0, |bits, role| bits | role.bit()))
    }

    /// Whether the role is one of them.
    pub fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Role::ALL.into_iter().filter(|role| self.has(*role));
        formatter.write_str(&names.map(Role::as_str).collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Roles {
    type Err = Error;

    /// # Errors
    /// `Invalid` for a word that is no role, and for nothing.
    fn from_str(text: &str) -> Result<Self> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let known = |word: &str| {
            let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
            role.ok_or_else(|| Error::invalid(format!("{word:?} is no role")).hint(HINT))
        };
        let roles = words.map(known).collect::<Result<Vec<_>>>()?;
        if roles.is_empty() {
            return Err(Error::invalid("a process needs at least one role").hint(HINT));
        }
        Ok(Self::of(&roles))
    }
}

const HINT: &str = "the roles are control, telemetry and gateway, separated by commas";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_survive_their_text_and_unknown_ones_are_refused() {
        for (text, printed) in [
            ("gateway", "gateway"),
            ("gateway, control", "control,gateway"),
            ("telemetry,telemetry,", "telemetry"),
            ("control,telemetry,gateway", "control,telemetry,gateway"),
        ] {
            let roles: Roles = text.parse().expect(text);
            assert_eq!(roles.to_string(), printed);
            assert_eq!(printed.parse::<Roles>().expect(printed), roles);
        }
        for text in ["", ",", "gateways", "Control", "control gateway"] {
            assert_eq!(
                text.parse::<Roles>().expect_err(text).reason(),
                crate::Reason::Invalid
            );
        }
        assert!(Role::ALL.into_iter().all(|role| Roles::all().has(role)));
    }
}
