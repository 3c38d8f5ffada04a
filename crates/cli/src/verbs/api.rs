//! `stead api`: a request as it is, for what has no command of its own.

use clap::{Arg, ArgAction, ArgMatches};
use futures::StreamExt as _;
use http::{HeaderName, HeaderValue, Method, Request, header};
use stead_kernel::{Body, Error, Result, command::Terminal as _};

use super::Call;
use crate::{
    arguments::{text, texts},
    report::usage,
    server,
};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("api")
        .about("Sends a request and prints the answer: stead api GET /api/usage")
        .arg(
            Arg::new("method")
                .value_name("METHOD")
                .required(true)
                .value_parser(method)
                .help("GET, POST, …"),
        )
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .required(true)
                .value_parser(path)
                .help("Path and query: /k8s/apis"),
        )
        .arg(
            Arg::new("body")
                .short('d')
                .long("data-body")
                .value_name("BODY")
                .help("The body: text, @FILE, or - for standard input"),
        )
        .arg(
            Arg::new("header")
                .short('H')
                .long("header")
                .value_name("NAME: VALUE")
                .action(ArgAction::Append)
                .help("A header; the body is JSON unless one says otherwise"),
        )
}

fn method(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.to_uppercase().as_bytes()).map_err(|_| format!("{text:?} is no HTTP method"))
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && http::Uri::try_from(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("a path begins with / and holds no spaces".into())
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let body = match text(&matches, "body") {
        Some(body) => Some(read_body(&call, body).await?),
        None => None,
    };
    let path = text(&matches, "path").unwrap_or_default();
    let method = matches.get_one::<Method>("method").cloned().unwrap_or_default();
    let mut request = Request::builder().method(method).uri(path);
    if let Some(headers) = request.headers_mut() {
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for line in texts(&matches, "header") {
            let (name, value) = parse_header(&line)?;
            headers.insert(name, value);
        }
    }
    let request = request
        .body(body.map_or_else(Body::empty, Body::from))
        .map_err(|error| Error::invalid("the request is malformed").because(error))?;
    let server = server::connect(&call.globals.finder)?;
    let response = server.send(request).await?;
    if !response.status().is_success() {
        return Err(server::error_of(response).await);
    }
    print(&call, response.into_body()).await
}

async fn read_body(call: &Call, body: String) -> Result<String> {
    if body == "-" || body == "@-" {
        return call.screen.read_all().await;
    }
    let Some(file) = body.strip_prefix('@') else {
        return Ok(body);
    };
    tokio::fs::read_to_string(file)
        .await
        .map_err(|error| Error::invalid(format!("{file} cannot be read")).because(error))
}

fn parse_header(line: &str) -> Result<(HeaderName, HeaderValue)> {
    let parsed = line.split_once(':').and_then(|(name, value)| {
        Some((
            HeaderName::try_from(name.trim()).ok()?,
            HeaderValue::try_from(value.trim()).ok()?,
        ))
    });
    // The line is not repeated: it may hold a credential.
    parsed.ok_or_else(|| usage("a header is written as NAME: VALUE"))
}

/// Prints as it comes, so that streams are seen at once; text that ends without a newline gets one.
async fn print(call: &Call, body: Body) -> Result<()> {
    let mut chunks = body.into_data_stream();
    let mut last = b'\n';
    // Characters may be cut between chunks.
    let mut rest: Vec<u8> = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Error::unavailable("the server broke off").because(error))?;
        rest.extend_from_slice(&chunk);
        last = rest.last().copied().unwrap_or(last);
        let whole = match std::str::from_utf8(&rest) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => rest.len(),
        };
        let text: Vec<u8> = rest.drain(..whole).collect();
        call.screen.write(&String::from_utf8_lossy(&text))?;
    }
    if last == b'\n' {
        Ok(())
    } else {
        call.screen.write("\n")
    }
}
