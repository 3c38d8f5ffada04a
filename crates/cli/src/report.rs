//! How errors look to a person: what, why, what to do.

use std::fmt::{self, Write as _};

use clap::error::ErrorKind;
use stead_kernel::{Error, Reason};

use crate::exit;

/// Several causes of one error, each on a line of its own.
#[derive(Debug, Clone)]
pub(crate) struct Causes(pub(crate) Vec<String>);

impl fmt::Display for Causes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Causes {}

/// An error of usage: exit code 2, rendered as clap renders its own.
pub(crate) fn usage(text: impl fmt::Display) -> Error {
    Error::invalid("wrong usage").because(clap::Error::raw(ErrorKind::ArgumentConflict, format!("{text}\n")))
}

/// The exit code that an error ends the program with.
pub(crate) fn code(error: &Error) -> u8 {
    match source::<clap::Error>(error) {
        Some(usage) => u8::try_from(usage.exit_code()).unwrap_or(exit::USAGE),
        None => exit::code(error.reason()),
    }
}

/// The lines that tell a person about an error, with a newline at the end.
pub(crate) fn render(error: &Error) -> String {
    if let Some(usage) = source::<clap::Error>(error) {
        return usage.render().ansi().to_string();
    }
    let mut text = String::from("\x1b[1;31merror:\x1b[0m ");
    match source::<Causes>(error) {
        Some(Causes(causes)) if causes.len() > 1 => {
            text.push_str(&printable(error.message()));
            for cause in causes {
                let _ = write!(text, "\n  {}", printable(cause));
            }
        }
        _ => text.push_str(&printable(&error.full_message())),
    }
    text.push('\n');
    if let Some(hint) = hint(error) {
        let _ = writeln!(text, "\x1b[1mhint:\x1b[0m {}", printable(&hint));
    }
    text
}

/// What to do: the error's own hint, or what its reason suggests.
fn hint(error: &Error) -> Option<String> {
    if let Some(hint) = error.get_hint() {
        return Some(hint.to_owned());
    }
    if let Some(delay) = error.get_retry_after() {
        return Some(format!("try again in {} s", delay.as_secs().max(1)));
    }
    let text = match error.reason() {
        Reason::Unauthenticated => "give a token with --token-file FILE or STEAD_TOKEN",
        Reason::Internal => "this may be a defect: the server's log says more",
        _ => return None,
    };
    Some(text.into())
}

fn source<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Text that a server sent, without what would steer the terminal; line breaks and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let steers = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    text.chars()
        .map(|letter| if steers(letter) { '\u{fffd}' } else { letter })
        .collect()
}

/// Whether the error is one of usage.
pub(crate) fn is_usage(error: &Error) -> bool {
    source::<clap::Error>(error).is_some()
}

/// The same error, with the place that it is about before its message.
pub(crate) fn within(place: &str, error: &Error) -> Error {
    let mut placed = Error::new(error.reason(), format!("{place}: {}", error.message()));
    if let Some(hint) = error.get_hint() {
        placed = placed.hint(hint);
    }
    match (source::<Causes>(error), std::error::Error::source(error)) {
        (Some(causes), _) => placed.because(causes.clone()),
        (None, Some(_)) => {
            let causes = error.full_message();
            let rest = causes
                .strip_prefix(error.message())
                .unwrap_or(&causes)
                .trim_start_matches(": ");
            placed.because(rest.to_owned())
        }
        (None, None) => placed,
    }
}
