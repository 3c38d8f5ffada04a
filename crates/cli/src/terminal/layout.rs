//! Columns of text, as wide as what stands in them.
//!
//! *Invariant:* a row is one line, so that `grep` and `awk` work on it; and what a person copies (a name, an id, a
//! key that is shown once) is never cut, only columns of prose are.

use unicode_width::UnicodeWidthStr as _;

/// Spaces between columns.
const GAP: usize = 3;
/// The narrowest that a column is cut to, in cells of the terminal.
const NARROWEST: usize = 12;

/// The widths of a table's columns; they grow with later rows and never shrink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    widths: Vec<usize>,
    /// Which columns hold prose: text with spaces.
    prose: Vec<bool>,
    /// Columns of the terminal; `None` cuts nothing.
    limit: Option<usize>,
}

impl Layout {
    /// A layout for a terminal of this many columns; `None` cuts nothing.
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            widths: Vec::new(),
            prose: Vec::new(),
            limit,
        }
    }

    /// Makes room for these rows.
    pub(crate) fn fit(&mut self, rows: &[Vec<String>]) {
        for row in rows {
            if self.widths.len() < row.len() {
                self.widths.resize(row.len(), 0);
                self.prose.resize(row.len(), false);
            }
            let columns = self.widths.iter_mut().zip(&mut self.prose);
            for ((width, prose), text) in columns.zip(row) {
                *width = text.width().max(*width);
                *prose |= text.contains(' ');
            }
        }
        self.shrink();
    }

    /// Cuts the widest columns of prose until a row fits the terminal, or none can be cut any more.
    fn shrink(&mut self) {
        let Some(limit) = self.limit else { return };
        loop {
            let total: usize = self.widths.iter().sum::<usize>() + GAP * self.widths.len().saturating_sub(1);
            let Some(excess) = total.checked_sub(limit).filter(|excess| *excess > 0) else {
                return;
            };
            let mut widths: Vec<&mut usize> = self
                .widths
                .iter_mut()
                .zip(&self.prose)
                .filter_map(|(width, prose)| prose.then_some(width))
                .collect();
            widths.sort_unstable();
            let Some(widest) = widths.pop() else { return };
            let second = widths.pop().map_or(0, |second| *second);
            let target = widest.saturating_sub(excess).max(second).max(NARROWEST);
            // Columns of the same width give way one cell at a time.
            let target = if target >= *widest {
                widest.saturating_sub(1)
            } else {
                target
            };
            if target < NARROWEST {
                return;
            }
            *widest = target;
        }
    }

    /// One row as a line with its end.
    pub(crate) fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (index, text) in row.iter().enumerate() {
            let width = self.widths.get(index).copied().unwrap_or_else(|| text.width());
            let text = cut(text, width);
            line.push_str(&text);
            if index + 1 < row.len() {
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(text.width()) + GAP));
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// The text in at most so many cells; what is missing shows as `…`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shorter = String::new();
    for letter in text.chars() {
        shorter.push(letter);
        if shorter.width() + 1 > width {
            shorter.pop();
            break;
        }
    }
    shorter.push('…');
    shorter
}

/// Text as one cell of a table: on one line, without what would steer the terminal.
pub(crate) fn cell(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\r' | '\t' => ' ',
            letter if letter.is_control() => '\u{fffd}',
            letter => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Layout {
        /// The width of a column that is never cut, else 0.
        fn whole(&self, index: usize) -> usize {
            if self.prose[index] { 0 } else { self.widths[index] }
        }
    }

    fn table(limit: Option<usize>, rows: &[&[&str]]) -> String {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|text| cell(text)).collect())
            .collect();
        let mut layout = Layout::new(limit);
        layout.fit(&rows);
        rows.iter().map(|row| layout.line(row)).collect()
    }

    #[test]
    fn columns_line_up_with_wide_and_combining_letters() {
        let text = table(
            None,
            &[&["NAME", "AGE"], &["東京-1", "5m"], &["cafe\u{301}", "1d"]],
        );
        assert_eq!(text, "NAME     AGE\n東京-1   5m\ncafe\u{301}     1d\n");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest_column_of_prose_only() {
        let long = "so it is ".repeat(7);
        insta::assert_snapshot!(table(Some(40), &[&["NAME", "MESSAGE", "AGE"], &["a", &long, "5m"]]), @r"
        NAME   MESSAGE                       AGE
        a      so it is so it is so it is…   5m
        ");
        assert!(table(None, &[&[&long, "b"]]).contains(&long));
    }

    #[test]
    fn what_a_person_copies_is_never_cut() {
        let key = format!("sk-stead-{}", "x".repeat(43));
        let text = table(
            Some(40),
            &[
                &["NAME", "KEY", "NOTE"],
                &["laptop", &key, "it is shown only this once"],
            ],
        );
        assert!(text.contains(&key) && text.contains("it is shown…"), "{text}");
    }

    #[test]
    fn a_cell_stays_on_its_line() {
        assert_eq!(
            table(None, &[&["a\nb\t\u{1b}[31mc", "d"]]),
            "a b \u{fffd}[31mc   d\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_cells_fit_any_terminal(
            rows in proptest::collection::vec(proptest::collection::vec(".{0,40}", 0..5), 0..5), limit in 0usize..100,
        ) {
            let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|text| cell(text)).collect()).collect();
            let mut layout = Layout::new(Some(limit));
            layout.fit(&rows);
            for row in &rows {
                let line = layout.line(row);
                assert_eq!(line.matches('\n').count(), 1);
                let whole: usize = (0..row.len()).map(|index| layout.whole(index)).sum();
                let fits = line.trim_end().width() <= limit.max(whole + row.len() * (NARROWEST + GAP));
                assert!(fits, "{line:?} in {limit}");
            }
        }
    }
}
