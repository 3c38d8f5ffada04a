//! What a model's name tells of it.

/// A generation of Gemini models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Generation {
    /// Before 2.5: does not think.
    Plain,
    /// 2.5: thinks within a budget of tokens.
    Budget,
    /// 3 and later, and names that tell nothing: thinks at a level, checks signatures, takes media in results.
    Level,
}

impl Generation {
    /// The generation of a model by its name (`gemini-2.5-flash`, `models/gemini-3-pro-preview`).
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let Some(version) = name.strip_prefix("gemini-") else {
            return Self::Level;
        };
        match version {
            _ if version.starts_with("1.")
                || version.starts_with("2.0")
                || version.starts_with("pro-vision") =>
            {
                Self::Plain
            }
            _ if version.starts_with("2.") => Self::Budget,
            _ => Self::Level,
        }
    }

    /// Whether calls of functions must carry a signature: the name tells that it is a Gemini of generation 3 or later.
    pub(super) fn checks_signatures(model: &str) -> bool {
        let name = model.rsplit('/').next().unwrap_or(model);
        name.starts_with("gemini-") && Self::of(model) == Self::Level
    }
}

#[cfg(test)]
mod tests {
    use super::Generation;

    #[test]
    fn names_tell_the_generation() {
        for (model, generation, checks) in [
            ("gemini-1.5-pro", Generation::Plain, false),
            ("models/gemini-2.0-flash", Generation::Plain, false),
            ("gemini-2.5-flash-lite", Generation::Budget, false),
            ("gemini-3-pro-preview", Generation::Level, true),
            ("gemini-3.1-flash-lite", Generation::Level, true),
            ("gemini-flash-latest", Generation::Level, true),
            ("gemma-3-27b-it", Generation::Level, false),
            ("tuned", Generation::Level, false),
        ] {
            assert_eq!(Generation::of(model), generation, "{model}");
            assert_eq!(Generation::checks_signatures(model), checks, "{model}");
        }
    }
}
