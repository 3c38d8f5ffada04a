//! Lines that a person types, or that a file holds.

use std::{
    io::{BufRead, ErrorKind},
    path::PathBuf,
    sync::Mutex,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::{Behavior, Config, DefaultEditor, error::ReadlineError};
use stead_kernel::{Error, Result};

/// The largest standard input that is read whole, in bytes.
const LARGEST: u64 = 64 << 20;

/// Standard input. Everything here blocks.
pub(super) struct Input {
    plain: Mutex<Box<dyn BufRead + Send>>,
    editor: Mutex<Option<DefaultEditor>>,
    interactive: bool,
    history: PathBuf,
}

impl Input {
    pub(super) fn new(plain: Box<dyn BufRead + Send>, interactive: bool, history: PathBuf) -> Self {
        Self {
            plain: Mutex::new(plain),
            editor: Mutex::new(None),
            interactive,
            history,
        }
    }

    /// A line, with editing and history where a person types; `Some("")` after Ctrl-C, `None` at the end.
    pub(super) fn line(&self, prompt: &str) -> Result<Option<String>> {
        if !self.interactive {
            return self.plain_line();
        }
        let mut slot = super::lock(&self.editor);
        let editor = match slot.as_mut() {
            Some(editor) => editor,
            None => slot.insert(self.open_editor()?),
        };
        match editor.readline(prompt) {
            Ok(line) => {
                self.remember(editor, &line);
                Ok(Some(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
            Err(ReadlineError::Eof) => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    fn open_editor(&self) -> Result<DefaultEditor> {
        // The prompt belongs to the terminal even when the output goes to a file.
        let config = Config::builder()
            .behavior(Behavior::PreferTerm)
            .auto_add_history(false)
            .build();
        let mut editor = DefaultEditor::with_config(config).map_err(unreadable)?;
        // No history is no reason not to read a line.
        let _ = editor.load_history(&self.history);
        Ok(editor)
    }

    fn remember(&self, editor: &mut DefaultEditor, line: &str) {
        if line.trim().is_empty() || !editor.add_history_entry(line).unwrap_or(false) {
            return;
        }
        if let Some(folder) = self.history.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = editor.append_history(&self.history);
    }

    /// A line without editing and history.
    pub(super) fn plain_line(&self) -> Result<Option<String>> {
        let mut line = String::new();
        let count = super::lock(&self.plain)
            .read_line(&mut line)
            .map_err(unreadable)?;
        if count == 0 {
            return Ok(None);
        }
        let end = line.trim_end_matches(['\n', '\r']).len();
        line.truncate(end);
        Ok(Some(line))
    }

    /// Everything to the end.
    pub(super) fn read_all(&self) -> Result<String> {
        let mut plain = super::lock(&self.plain);
        let mut text = String::new();
        let mut limited = std::io::Read::take(&mut *plain, LARGEST + 1);
        std::io::Read::read_to_string(&mut limited, &mut text).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => Error::invalid("standard input is no UTF-8 text"),
            _ => unreadable(error),
        })?;
        if text.len() as u64 > LARGEST {
            return Err(Error::too_large(format!(
                "standard input is larger than {} MiB",
                LARGEST >> 20
            )));
        }
        Ok(text)
    }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("standard input cannot be read").because(error)
}

/// A terminal that does not show what is typed, until this is dropped.
pub(super) struct Quiet(Termios);

impl Quiet {
    /// `None` when standard input is no terminal.
    pub(super) fn begin() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).ok()?;
        Some(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
