//! The three standard streams and what is known of them.

use std::io::{BufRead, BufReader, BufWriter, IsTerminal as _, Write};

/// Where to read and write.
pub(crate) struct Streams {
    pub(crate) out: Box<dyn Write + Send>,
    pub(crate) err: Box<dyn Write + Send>,
    pub(crate) input: Box<dyn BufRead + Send>,
    /// Whether standard error shows colours.
    pub(crate) colour: bool,
    /// Whether standard error is a terminal, so that progress can be drawn.
    pub(crate) lively: bool,
    /// Whether a person can be asked.
    pub(crate) interactive: bool,
    /// Columns, when standard output is a terminal.
    pub(crate) width: Option<usize>,
}

impl Streams {
    /// Those of this process.
    pub(crate) fn process() -> Self {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let colour = anstream::AutoStream::choice(&err) != anstream::ColorChoice::Never;
        let lively = err.is_terminal();
        let width = out.is_terminal().then(|| columns(&out)).flatten();
        Self {
            colour,
            lively,
            interactive: lively && std::io::stdin().is_terminal(),
            width,
            out: Box::new(BufWriter::new(out)),
            err: Box::new(err),
            input: Box::new(BufReader::new(std::io::stdin())),
        }
    }
}

fn columns(out: &std::io::Stdout) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}
