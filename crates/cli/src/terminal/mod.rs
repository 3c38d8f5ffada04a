//! The person at the terminal.

mod input;
mod interrupt;
mod layout;
mod progress;
mod streams;
mod view;

use std::{
    io::{ErrorKind, Write},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use indicatif::{MultiProgress, ProgressDrawTarget};
use stead_kernel::{
    Error, Result,
    command::{Format, ProgressBar, Terminal, View},
};

pub(crate) use interrupt::{Hold, Interrupts};
pub(crate) use layout::{Layout, cell};
pub(crate) use streams::Streams;

use crate::report;

/// The process's standard streams, with what a person expects of them.
pub(crate) struct Screen {
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    /// Whether nobody reads the output any more.
    closed: AtomicBool,
    input: Arc<input::Input>,
    bars: MultiProgress,
    interrupts: Interrupts,
    format: Format,
    colour: bool,
    width: Option<usize>,
    interactive: bool,
    /// Whether standard error is a terminal.
    lively: bool,
}

impl Screen {
    /// A screen on these streams; lines that the person types are kept in the `history` file.
    pub(crate) fn new(streams: Streams, format: Format, history: PathBuf, interrupts: Interrupts) -> Self {
        let target = if streams.lively {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            out: Mutex::new(streams.out),
            err: Mutex::new(streams.err),
            closed: AtomicBool::new(false),
            input: Arc::new(input::Input::new(streams.input, streams.interactive, history)),
            bars: MultiProgress::with_draw_target(target),
            interrupts,
            format,
            colour: streams.colour,
            width: streams.width,
            interactive: streams.interactive,
            lively: streams.lively,
        }
    }

    /// Whether writing to standard output failed because nobody reads it: `stead get … | head`.
    pub(crate) fn output_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Tells the person about an error.
    pub(crate) fn error(&self, error: &Error) {
        self.tell(&report::render(error));
    }

    /// Everything of standard input, as text.
    pub(crate) async fn read_all(&self) -> Result<String> {
        let input = Arc::clone(&self.input);
        blocking(move || input.read_all()).await
    }

    /// Columns of the terminal that shows standard output; `None` when it is none.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Keeps Ctrl-C from ending the program for as long as the returned value lives.
    pub(crate) fn hold_interrupts(&self) -> Hold<'_> {
        self.interrupts.hold()
    }

    /// Runs the work until it is done, or until a Ctrl-C that nothing else listens to: then `None`.
    pub(crate) async fn until_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.interrupts.until(work).await
    }

    /// Writes styled text to standard error; that it cannot be written, nobody can be told.
    fn tell(&self, text: &str) {
        let plain = (!self.colour).then(|| anstream::adapter::strip_str(text).to_string());
        let text = plain.as_deref().unwrap_or(text);
        self.bars.suspend(|| {
            let mut err = lock(&self.err);
            let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        });
    }
}

#[async_trait]
impl Terminal for Screen {
    fn print(&self, view: &View) -> Result<()> {
        if view.list && view.rows.is_empty() && matches!(self.format, Format::Table | Format::Wide) {
            self.note("nothing found");
            return Ok(());
        }
        self.write(&view::render(view, self.format, self.width)?)
    }

    fn write(&self, text: &str) -> Result<()> {
        let written = self.bars.suspend(|| {
            let mut out = lock(&self.out);
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        });
        written.map_err(|error| {
            if error.kind() == ErrorKind::BrokenPipe {
                self.closed.store(true, Ordering::Relaxed);
            }
            Error::internal("standard output cannot be written").because(error)
        })
    }

    fn note(&self, text: &str) {
        self.tell(&format!("{}\n", report::printable(text)));
    }

    fn aside(&self, text: &str) {
        self.tell(&format!("\x1b[2m{}\x1b[0m\n", report::printable(text)));
    }

    fn progress(&self, label: &str, total: Option<u64>) -> Box<dyn ProgressBar> {
        if !self.lively {
            self.note(label);
        }
        Box::new(progress::Bar::new(&self.bars, label, total))
    }

    fn interactive(&self) -> bool {
        self.interactive
    }

    async fn read_line(&self, prompt: &str) -> Result<Option<String>> {
        let (input, prompt) = (Arc::clone(&self.input), prompt.to_owned());
        blocking(move || input.line(&prompt)).await
    }

    async fn read_secret(&self, prompt: &str) -> Result<String> {
        // Given back when this future is dropped, too: a shell without echo would puzzle anyone.
        let _quiet = if self.interactive {
            input::Quiet::begin()
        } else {
            None
        };
        if self.interactive {
            self.tell(prompt);
        }
        let input = Arc::clone(&self.input);
        let line = blocking(move || input.plain_line()).await?;
        if self.interactive {
            self.tell("\n");
        }
        line.ok_or_else(|| Error::invalid("no password was given"))
    }

    async fn interrupted(&self) {
        self.interrupts.next().await;
    }
}

/// Waits for what blocks, on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("reading input failed").because(error)),
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
