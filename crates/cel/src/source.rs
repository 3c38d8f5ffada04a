//! What is wrong with a source, and where.

use std::fmt::Write as _;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    /// In characters from the start.
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Issue {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// Renders issues as the Kubernetes API server shows them: the place, the line, and a caret under the character.
pub(crate) fn render(source: &[char], issues: &[Issue]) -> String {
    let mut text = String::new();
    for (index, issue) in issues.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let before = source.get(..issue.at.min(source.len())).unwrap_or_default();
        let line = before.iter().filter(|letter| **letter == '\n').count() + 1;
        let start = before
            .iter()
            .rposition(|letter| *letter == '\n')
            .map_or(0, |at| at + 1);
        let column = before.len() - start;
        let shown: String = source
            .iter()
            .skip(start)
            .take_while(|letter| **letter != '\n')
            .map(|letter| if *letter == '\t' { ' ' } else { *letter })
            .collect();
        let dots: String = shown
            .chars()
            .take(column)
            .map(|letter| if letter.is_ascii() { '.' } else { '．' })
            .collect();
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "ERROR: <input>:{line}:{}: {}\n | {shown}\n | {dots}^",
            column + 1,
            issue.message
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_character_that_is_wrong() {
        let source: Vec<char> = "a &&\nself.x".chars().collect();
        assert_eq!(
            render(&source, &[Issue::new(9, "undefined field 'x'")]),
            "ERROR: <input>:2:5: undefined field 'x'\n | self.x\n | ....^"
        );
    }
}
