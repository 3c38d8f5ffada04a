//! `stead trace import`

use std::{
    fs::File,
    io::{BufReader, Read, stdin},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches};
use http::{Request, header};
use serde_json::value::RawValue;
use stead_kernel::{Body, Error, Result, command::Session};
use tokio::sync::mpsc;

use crate::{
    command::{path, stream::Lines},
    traces::Imported,
};

/// So many bytes are sent at once, unless one document has more.
const PART: usize = 8 << 20;
/// So many parts wait to be sent.
const WAITING: usize = 2;

pub(super) fn spec() -> clap::Command {
    clap::Command::new("import")
        .about("Takes back what an export wrote, and traces that Opik or Langfuse exported; twice is as once")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .num_args(1..)
                .action(ArgAction::Append)
                .help("Files of JSON, a document after the other or in lists; folders of them; - for standard input"),
        )
        .after_help(
            "Understood are: the lines of `stead trace export`, the files `trace_*.json` of `opik export`, and traces as \
             Langfuse's `GET /api/public/traces/ID` answers them. Traces go into the project of -n.",
        )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let mut files = Vec::new();
    for name in matches.get_many::<String>("file").into_iter().flatten() {
        files.extend(found(name)?);
    }
    let (sender, mut parts) = mpsc::channel(WAITING);
    let reading = tokio::task::spawn_blocking(move || {
        for file in files {
            if let Err(error) = read(file.as_deref(), &sender) {
                // Nobody is there to be told when sending failed.
                sender.blocking_send(Err(error)).ok();
                return;
            }
        }
    });
    let mut sum = Imported::default();
    while let Some(part) = parts.recv().await {
        sum.add(send(session, part?).await?);
    }
    reading
        .await
        .map_err(|error| Error::internal("reading the files was cut off").because(error))?;
    session.terminal.note(&format!(
        "{} traces, {} spans, {} requests, {} scores and {} comments are there now",
        sum.traces, sum.spans, sum.requests, sum.scores, sum.comments
    ));
    Ok(())
}

async fn send(session: &Session, part: Vec<u8>) -> Result<Imported> {
    let request = Request::post(path("/api/traces/import", &[("project", Some(&session.project))]))
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .body(Body::from(part))
        .map_err(|error| Error::invalid("the request is malformed").because(error))?;
    let mut lines = Lines::of(session.server.send(request).await?).await?;
    let answer = lines.next().await?.unwrap_or_default();
    serde_json::from_slice(&answer)
        .map_err(|error| Error::internal("the server's answer is not understood").because(error))
}

/// The files that a name means; `None` is standard input.
fn found(name: &str) -> Result<Vec<Option<PathBuf>>> {
    if name == "-" {
        return Ok(vec![None]);
    }
    let path = PathBuf::from(name);
    if !path.is_dir() {
        return Ok(vec![Some(path)]);
    }
    let mut all = Vec::new();
    let mut folders = vec![path];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unread(&folder, error))? {
            let path = entry.map_err(|error| unread(&folder, error))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if is_export(&path) {
                all.push(Some(path));
            }
        }
    }
    all.sort();
    if all.is_empty() {
        return Err(Error::not_found(format!("{name} has no files of traces"))
            .hint("files are looked for that are called trace_*.json, *.jsonl or *.ndjson"));
    }
    Ok(all)
}

/// Whether a file of a folder is one of traces; exports lay others beside them.
fn is_export(path: &Path) -> bool {
    let part = |part: Option<&std::ffi::OsStr>| {
        part.and_then(std::ffi::OsStr::to_str)
            .unwrap_or_default()
            .to_owned()
    };
    match part(path.extension()).as_str() {
        "jsonl" | "ndjson" => true,
        "json" => part(path.file_name()).starts_with("trace_"),
        _ => false,
    }
}

fn unread(path: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("cannot read {}", path.display())).because(error)
}

/// Reads a file's documents into parts.
fn read(file: Option<&Path>, sender: &mpsc::Sender<Result<Vec<u8>>>) -> Result<()> {
    let (name, reader): (String, Box<dyn Read>) = match file {
        None => ("standard input".to_owned(), Box::new(stdin().lock())),
        Some(path) => {
            let opened = File::open(path).map_err(|error| unread(path, error))?;
            (path.display().to_string(), Box::new(opened))
        }
    };
    let wrong = |error: serde_json::Error| Error::invalid(format!("{name} is no JSON")).because(error);
    let mut part = Vec::new();
    let documents =
        serde_json::Deserializer::from_reader(BufReader::new(reader)).into_iter::<Box<RawValue>>();
    for document in documents {
        let document = document.map_err(wrong)?;
        if document.get().starts_with('[') {
            let items: Vec<Box<RawValue>> = serde_json::from_str(document.get()).map_err(wrong)?;
            for item in items {
                put(&mut part, item.get(), sender)?;
            }
        } else {
            put(&mut part, document.get(), sender)?;
        }
    }
    flush(&mut part, sender)
}

fn put(part: &mut Vec<u8>, document: &str, sender: &mpsc::Sender<Result<Vec<u8>>>) -> Result<()> {
    if part.len() + document.len() > PART {
        flush(part, sender)?;
    }
    part.extend_from_slice(document.as_bytes());
    part.push(b'\n');
    Ok(())
}

fn flush(part: &mut Vec<u8>, sender: &mpsc::Sender<Result<Vec<u8>>>) -> Result<()> {
    if part.is_empty() {
        return Ok(());
    }
    sender
        .blocking_send(Ok(std::mem::take(part)))
        .map_err(|_| Error::unavailable("sending has ended"))
}
