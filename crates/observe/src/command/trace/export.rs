//! `stead trace export`

use bytes::Bytes;
use clap::ArgMatches;
use http::Request;
use serde::Deserialize;
use stead_kernel::{Body, Error, Result, command::Session};
use tokio::io::{AsyncWriteExt, BufWriter};

use super::{LANGUAGE, project, question, when, which};
use crate::command::{option, path, stream::Lines, text};

pub(super) fn spec() -> clap::Command {
    when(which(
        clap::Command::new("export")
            .about("Writes traces with their spans, scores and comments, and requests with their bodies, as lines of JSON")
            .arg(option("to", "FILE", "Into this file instead of standard output")),
    ))
    .after_help(LANGUAGE)
}

/// What is read of a line: whether it is the last.
#[derive(Deserialize)]
struct Look {
    #[serde(rename = "type")]
    of: String,
    #[serde(default)]
    lines: u64,
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let question = question(matches);
    let parameters = [
        ("projects", project(matches, session)),
        ("q", question.as_deref()),
        ("since", text(matches, "since")),
        ("until", text(matches, "until")),
    ];
    let request = Request::get(path("/api/traces/export", &parameters))
        .body(Body::empty())
        .map_err(|error| Error::invalid("the request is malformed").because(error))?;
    let mut lines = Lines::of(session.server.send(request).await?).await?;
    let mut target = Target::open(text(matches, "to"), session).await?;
    let (mut written, mut last) = (0_u64, None);
    while let Some(line) = lines.next().await? {
        target.write(&line).await?;
        written += 1;
        last = Some(line);
    }
    target.close().await?;
    let end: Option<Look> = last.and_then(|line| serde_json::from_slice(&line).ok());
    let is_whole = end.is_some_and(|end| end.of == "end" && end.lines + 1 == written);
    if !is_whole {
        return Err(Error::unavailable("the export broke off before its end")
            .hint("what was written is valid; export again to have all of it"));
    }
    session
        .terminal
        .note(&format!("{} entries were written", written - 1));
    Ok(())
}

/// Where lines go.
enum Target<'a> {
    Terminal(&'a Session),
    File(BufWriter<tokio::fs::File>, String),
}

impl<'a> Target<'a> {
    async fn open(file: Option<&str>, session: &'a Session) -> Result<Self> {
        let Some(name) = file else {
            return Ok(Self::Terminal(session));
        };
        let file = tokio::fs::File::create(name).await;
        let file = file.map_err(|error| Error::invalid(format!("cannot write {name}")).because(error))?;
        Ok(Self::File(BufWriter::new(file), name.to_owned()))
    }

    async fn write(&mut self, line: &Bytes) -> Result<()> {
        match self {
            Self::Terminal(session) => session
                .terminal
                .write(&format!("{}\n", String::from_utf8_lossy(line))),
            Self::File(file, name) => {
                let written = async {
                    file.write_all(line).await?;
                    file.write_all(b"\n").await
                };
                written.await.map_err(|error| unwritten(name, error))
            }
        }
    }

    async fn close(self) -> Result<()> {
        match self {
            Self::Terminal(_) => Ok(()),
            Self::File(mut file, name) => file.flush().await.map_err(|error| unwritten(&name, error)),
        }
    }
}

fn unwritten(name: &str, error: std::io::Error) -> Error {
    Error::unavailable(format!("{name} could not be written")).because(error)
}
