//! Load on a chat API, and the provider behind it, for benchmarks.
//!
//! Prints the address of a stand-in for a provider, then reads a line of arguments, with tabs between them, for each measurement and answers it
//! with a line of JSON, until its input ends:
//!
//! `ADDRESS KEY CONNECTIONS SECONDS [--rate N] [--stream KIND] [--model M] [--header 'NAME: VALUE'] [--pid P]`
//!
//! It tells requests, errors, requests/s, latencies in microseconds (at a rate from when a request was due, so that a
//! stall counts for all that waited), and the processor time per request and the memory of process `P` with its
//! children; of paced streams the time between tokens; of silent ones, opened on every connection and left open for so
//! many seconds, the memory.
//!
//! Both ends of a proxy are one thread that does not sleep during a measurement: on virtual machines, waking a core
//! costs a proxy more than all else that it does, and says nothing about the proxy.

#![expect(
    clippy::print_stdout,
    reason = "a program for benchmarks speaks to its caller"
)]

mod process;
mod standin;
mod wire;

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::{JoinSet, LocalSet, spawn_local, yield_now},
    time::Instant,
};

use wire::Connection;

/// So that the other side's allocator, caches and connections settle.
const WARM_UP: Duration = Duration::from_secs(1);
/// The longest wait until a process has done what it left for later.
const PATIENCE: Duration = Duration::from_mins(1);
/// What every token of an answer has, in any dialect.
const TOKEN: &[u8] = b" token";

#[derive(Parser)]
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
    stream: Option<Stream>,
    /// The model that is asked for.
    #[arg(long, default_value = "bench/bench")]
    model: String,
    /// A header besides the usual ones.
    #[arg(long)]
    header: Vec<String>,
    /// Stead's admin token, to ask how many rows are on their way to their store.
    #[arg(long)]
    admin: Option<String>,
    /// The process whose processor time and memory count.
    #[arg(long)]
    pid: Option<u32>,
}

/// How the stand-in streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stream {
    /// As fast as it goes.
    Fast,
    /// A token every 10 ms.
    Paced,
    /// One token, then nothing.
    Silent,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    latencies: RefCell<Vec<u32>>,
    /// Between two pieces with a token, in microseconds.
    gaps: RefCell<Vec<u32>>,
    tokens: Cell<u64>,
    errors: Cell<u64>,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let work = async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        println!("{}", listener.local_addr()?);
        spawn_local(standin::serve(listener));
        let mut lines = lines();
        while let Some(line) = lines.recv().await {
            let words = line.split('\t').map(str::to_owned);
            let options = Options::try_parse_from(std::iter::once("load".to_owned()).chain(words))?;
            let awake = spawn_local(async {
                loop {
                    yield_now().await;
                }
            });
            let report = report(Rc::new(options)).await;
            awake.abort();
            println!(
                "{}",
                report.unwrap_or_else(|error| json!({"failed": error.to_string()}))
            );
        }
        Ok(())
    };
    LocalSet::new().run_until(work).await
}

/// The lines of the input, read by a thread of their own.
fn lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn report(options: Rc<Options>) -> Result<Value, Failure> {
    if options.stream == Some(Stream::Silent) {
        return hold(&options).await;
    }
    run(&options, WARM_UP).await?;
    measure(&options).await
}

async fn measure(options: &Rc<Options>) -> Result<Value, Failure> {
    let before = match options.pid {
        Some(pid) => Some(processor_time_at_rest(options, pid).await?),
        None => None,
    };
    let began = Instant::now();
    let seen = run(options, Duration::from_secs_f64(options.seconds)).await?;
    let spent = began.elapsed().as_secs_f64();
    let memory = options.pid.map(process::memory);
    let after = match options.pid {
        Some(pid) => Some(processor_time_at_rest(options, pid).await?),
        None => None,
    };
    let latencies = sorted(&seen.latencies);
    let gaps = sorted(&seen.gaps);
    let each = |count: usize| {
        let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX)).max(1.0);
        before
            .zip(after)
            .map(|(before, after)| (after - before) * 1e6 / count)
    };
    let tokens = usize::try_from(seen.tokens.get())?;
    let rate = f64::from(u32::try_from(latencies.len())?) / spent;
    Ok(json!({
        "requests": latencies.len(), "errors": seen.errors.get(), "rate": rate.round(),
        "p50_us": at(&latencies, 50), "p99_us": at(&latencies, 99), "cpu_us": each(latencies.len()),
        "tokens": tokens, "token_cpu_us": each(tokens), "gap_p50_us": at(&gaps, 50), "gap_p99_us": at(&gaps, 99),
        "memory": memory,
    }))
}

/// The processor time once the process has done what it left for later: rows that wait for their store count, too.
async fn processor_time_at_rest(options: &Options, pid: u32) -> Result<f64, Failure> {
    let end = Instant::now() + PATIENCE;
    while rows_under_way(options).await? > 0 {
        if Instant::now() > end {
            return Err("rows are still on their way to their store".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut before = process::processor_time(pid);
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = process::processor_time(pid);
        if now - before < 0.015 || Instant::now() > end {
            return Ok(now);
        }
        before = now;
    }
}

/// How many rows Stead has in its journal only.
async fn rows_under_way(options: &Options) -> Result<u64, Failure> {
    const NAME: &str = "\nstead_gateway_journal_lag_rows ";
    let Some(token) = &options.admin else { return Ok(0) };
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n",
        options.address
    );
    let mut text = Vec::new();
    let mut connection = Connection::open(options.address).await?;
    connection
        .ask(request.as_bytes(), |piece| text.extend_from_slice(piece))
        .await?;
    let text = String::from_utf8(text)?;
    let found = text.split_once(NAME).and_then(|(_, rest)| rest.lines().next());
    Ok(found
        .ok_or("the metrics do not tell how many rows wait")?
        .parse()?)
}

fn sorted(numbers: &RefCell<Vec<u32>>) -> Vec<u32> {
    let mut numbers = numbers.take();
    numbers.sort_unstable();
    numbers
}

fn at(sorted: &[u32], percent: usize) -> u32 {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(0)
}

/// Opens as many silent streams as there are connections, and tells what they take.
async fn hold(options: &Options) -> Result<Value, Failure> {
    let before = options.pid.map(process::memory);
    let request = request(options);
    let mut open = Vec::with_capacity(options.connections);
    let mut errors = 0;
    for _ in 0..options.connections {
        let mut connection = Connection::open(options.address).await?;
        let status = connection.begin(&request).await?;
        errors += u32::from(status != 200);
        open.push(connection);
    }
    tokio::time::sleep(Duration::from_secs_f64(options.seconds)).await;
    let memory = options.pid.map(process::memory);
    Ok(json!({"streams": open.len(), "errors": errors, "before": before, "memory": memory}))
}

async fn run(options: &Rc<Options>, length: Duration) -> Result<Seen, Failure> {
    let began = Instant::now();
    let seen = Rc::new(Seen::default());
    let ticket = Rc::new(Cell::new(0_u32));
    let mut workers = JoinSet::new();
    for _ in 0..options.connections {
        let (options, seen, ticket) = (Rc::clone(options), Rc::clone(&seen), Rc::clone(&ticket));
        let work = async move { converse(&options, &seen, &ticket, began, began + length).await };
        workers.spawn_local(work);
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Rc::into_inner(seen).ok_or_else(|| "a connection is still at work".into())
}

async fn converse(
    options: &Options,
    seen: &Seen,
    ticket: &Cell<u32>,
    began: Instant,
    end: Instant,
) -> io::Result<()> {
    let mut connection = Connection::open(options.address).await?;
    let request = request(options);
    let paced = options.stream == Some(Stream::Paced);
    loop {
        let mut due = Instant::now();
        if let Some(rate) = options.rate {
            due = began + Duration::from_secs_f64(f64::from(ticket.get()) / rate);
            ticket.set(ticket.get() + 1);
        }
        if due >= end {
            return Ok(());
        }
        // A request that waited for its connection counts from when it was due; one that waited only for its time
        // counts from when the timer, which knows milliseconds only, let it go.
        if options.rate.is_some() && Instant::now() < due {
            tokio::time::sleep_until(due).await;
            due = Instant::now();
        }
        let mut last = None;
        let mut tokens = 0;
        let answer = connection
            .ask(&request, |piece| {
                if options.stream.is_none() {
                    return;
                }
                let here = memchr::memmem::find_iter(piece, TOKEN).count();
                tokens += u64::try_from(here).unwrap_or(0);
                if paced && here > 0 {
                    let now = Instant::now();
                    if let Some(last) = last.replace(now) {
                        seen.gaps.borrow_mut().push(micros(now - last));
                    }
                }
            })
            .await?;
        seen.tokens.set(seen.tokens.get() + tokens);
        seen.latencies.borrow_mut().push(micros(due.elapsed()));
        if answer.status != 200 || answer.bytes == 0 {
            seen.errors.set(seen.errors.get() + 1);
        }
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// A question of about 1 KB, as agents send them.
fn request(options: &Options) -> Vec<u8> {
    let system = "You are a helpful assistant. Answer shortly and say when you do not know. ".repeat(9);
    let word = match options.stream {
        None | Some(Stream::Fast) => "",
        Some(Stream::Paced) => " [paced]",
        Some(Stream::Silent) => " [silent]",
    };
    let question = format!("What is the capital of France, and how many people live there?{word}");
    let mut body = json!({"model": options.model, "messages": [
        {"role": "system", "content": system}, {"role": "user", "content": question}],
        "temperature": 0.2, "max_tokens": 256});
    if let (true, Some(body)) = (options.stream.is_some(), body.as_object_mut()) {
        body.insert("stream".into(), true.into());
    }
    let body = body.to_string();
    let more: String = options
        .header
        .iter()
        .flat_map(|line| [line.as_str(), "\r\n"])
        .collect();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{more}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        options.address,
        options.key,
        body.len()
    );
    (head + &body).into()
}
