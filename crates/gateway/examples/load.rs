//! Load on a chat API, for benchmarks: keep-alive connections, as fast as they go or at a steady rate.
//!
//! `load ADDRESS KEY CONNECTIONS SECONDS [--rate N] [--stream] [--pid P]` prints one line of JSON: requests, errors,
//! requests/s, latencies in microseconds (at a rate from when a request was due, so that a stall counts for all that
//! waited), and the processor time per request of process `P` with its children.

#![expect(
    clippy::print_stdout,
    reason = "a program for benchmarks speaks to its caller"
)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser, Clone)]
struct Options {
    address: SocketAddr,
    key: String,
    connections: usize,
    seconds: f64,
    /// Requests per second over all connections; as fast as they go without it.
    #[arg(long)]
    rate: Option<f64>,
    /// Ask for streams.
    #[arg(long)]
    stream: bool,
    /// The process whose processor time counts.
    #[arg(long)]
    pid: Option<u32>,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<u32>,
    errors: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Arc::new(Options::parse());
    // A second for connections, caches and the other side's allocator to settle.
    run(&options, Duration::from_secs(1)).await?;
    let before = options.pid.map(processor_time);
    let began = Instant::now();
    let mut seen = run(&options, Duration::from_secs_f64(options.seconds)).await?;
    let spent = began.elapsed().as_secs_f64();
    let after = options.pid.map(processor_time);
    seen.latencies.sort_unstable();
    let count = seen.latencies.len();
    let at = |percent: usize| {
        let place = (count * percent / 100).min(count.saturating_sub(1));
        seen.latencies.get(place).copied().unwrap_or(0)
    };
    let requests = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let cost = before
        .zip(after)
        .map(|(before, after)| (after - before) * 1e6 / requests.max(1.0));
    println!(
        "{}",
        json!({"requests": count, "errors": seen.errors, "rate": (requests / spent).round(),
            "p50_us": at(50), "p99_us": at(99), "cpu_us": cost})
    );
    Ok(())
}

async fn run(options: &Arc<Options>, length: Duration) -> Result<Seen, Failure> {
    let began = Instant::now();
    let ticket = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..options.connections {
        let (options, ticket) = (Arc::clone(options), Arc::clone(&ticket));
        workers.spawn(async move { connection(&options, &ticket, began, began + length).await });
    }
    let mut all = Seen::default();
    while let Some(seen) = workers.join_next().await {
        let seen = seen??;
        all.latencies.extend(seen.latencies);
        all.errors += seen.errors;
    }
    Ok(all)
}

async fn connection(
    options: &Options,
    ticket: &AtomicU64,
    began: Instant,
    end: Instant,
) -> Result<Seen, Failure> {
    let stream = TcpStream::connect(options.address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    let body = body(options.stream);
    let mut seen = Seen::default();
    loop {
        let due = match options.rate {
            None => Instant::now(),
            Some(rate) => {
                let number = ticket.fetch_add(1, Ordering::Relaxed);
                began + Duration::from_secs_f64(f64::from(u32::try_from(number)?) / rate)
            }
        };
        if due >= end {
            return Ok(seen);
        }
        // A request that waited for its connection counts from when it was due; one that waited only for its time
        // counts from when the timer, which knows milliseconds only, let it go.
        let waits = Instant::now() < due;
        tokio::time::sleep_until(due).await;
        let due = if waits { Instant::now() } else { due };
        sender.ready().await?;
        let answer = sender.send_request(request(options, &body)?).await?;
        let good = answer.status().is_success();
        let bytes = answer.into_body().collect().await?.to_bytes();
        seen.latencies
            .push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
        seen.errors += u64::from(!good || bytes.is_empty());
    }
}

fn request(options: &Options, body: &Bytes) -> Result<Request<Full<Bytes>>, http::Error> {
    Request::post("/v1/chat/completions")
        .header(header::HOST, options.address.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {}", options.key))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.clone()))
}

/// A question of about 1 KB, as agents send them.
fn body(stream: bool) -> Bytes {
    let system = "You are a helpful assistant. Answer shortly and say when you do not know. ".repeat(9);
    let mut body = json!({"model": "bench/bench", "messages": [
        {"role": "system", "content": system},
        {"role": "user", "content": "What is the capital of France, and how many people live there?"}],
        "temperature": 0.2, "max_tokens": 256});
    if let (true, Some(body)) = (stream, body.as_object_mut()) {
        body.insert("stream".into(), true.into());
    }
    body.to_string().into()
}

/// Seconds of processor time that a process and its descendants have taken so far.
fn processor_time(root: u32) -> f64 {
    let table: Vec<(u32, u32, f64)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect();
    let mut family = vec![root];
    let mut place = 0;
    while let Some(parent) = family.get(place).copied() {
        let children = table.iter().filter(|(_, its_parent, _)| *its_parent == parent);
        family.extend(children.map(|(pid, ..)| *pid));
        place += 1;
    }
    let ours = table.iter().filter(|(pid, ..)| family.contains(pid));
    ours.map(|(.., seconds)| seconds).sum()
}

/// Id, parent and processor time of a process (`man 5 proc_pid_stat`; a tick is 10 ms).
fn stat(pid: u32) -> Option<(u32, u32, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u32>().ok();
    let seconds = f64::from(ticks(11)? + ticks(12)?) / 100.0;
    Some((pid, ticks(1)?, seconds))
}
