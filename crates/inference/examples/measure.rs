//! Measures the engine with a model file, for `benches/inference/run.sh`: prints one `name value` a line.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use futures::{StreamExt as _, future::join_all};
use stead_inference::{Engine, EngineOptions};
use stead_kernel::{
    SystemClock, Tasks,
    ports::{Chat as _, Generated, Generation, ModelFile, Sampling, TokenUsage},
};
use tokio::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// About thirty tokens each, none a start of another, so that no prompt is answered from an earlier one's keys.
const PROMPTS: [&str; 7] = [
    "Once upon a time in a small village by the sea there lived an old fisherman who every morning went out with his little boat to",
    "The history of the steam engine begins in the first century, when a Greek inventor described a simple device that turned heat into",
    "Dear Sir or Madam, I am writing to you about the bicycle that I bought in your shop two weeks ago, because its front wheel",
    "When water freezes it expands, which is why ice floats on lakes in winter and why pipes burst when the temperature falls below the",
    "My grandmother used to bake bread every Saturday, and the whole house smelled of it long before we children were awake and ran down to",
    "To install the program, first download the archive from the page of the project, then unpack it into a folder of your choice and run",
    "In the northern forests the days are short in autumn, and the animals that stay through the winter are busy with gathering what they",
];

#[tokio::main]
async fn main() -> Outcome<()> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("usage: measure MODEL.gguf")?);
    let model = ModelFile {
        name: "model".to_owned(),
        path,
    };
    one_request(&model).await?;
    several_requests(&model).await
}

/// One thread and one request at a time.
async fn one_request(model: &ModelFile) -> Outcome<()> {
    let engine = engine(1)?;
    let start = Instant::now();
    engine.load(model).await?;
    report("load_ms", millis(start.elapsed()));
    let mut firsts = Vec::new();
    let mut rates = Vec::new();
    for prompt in PROMPTS.iter().take(5) {
        let run = run(&engine, model, prompt, 100).await?;
        firsts.push(millis(run.first));
        rates.push(run.rate());
    }
    report("first_token_ms", median(firsts));
    report("tokens_per_second", median(rates));
    let long = PROMPTS.concat().repeat(12);
    let words: Vec<&str> = long.split(' ').take(1800).collect();
    let run = run(&engine, model, &words.join(" "), 128).await?;
    report("long_context_tokens", count(run.usage.input + run.usage.output));
    report(
        "long_prompt_tokens_per_second",
        count(run.usage.input) / run.first.as_secs_f64(),
    );
    report("long_context_tokens_per_second", run.rate());
    report("memory_mb", memory("VmRSS:")?);
    report("peak_memory_mb", memory("VmHWM:")?);
    Ok(())
}

/// Four requests at a time on two threads against one at a time on one, in turns, because machines are shared.
async fn several_requests(model: &ModelFile) -> Outcome<()> {
    let (one, two) = (engine(1)?, engine(2)?);
    one.load(model).await?;
    two.load(model).await?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        alone.push(throughput(&one, model, 1).await?);
        together.push(throughput(&two, model, 4).await?);
    }
    let (alone, together) = (median(alone), median(together));
    report("one_request_tokens_per_second", alone);
    report("four_requests_tokens_per_second", together);
    report("four_requests_ratio", together / alone);
    Ok(())
}

/// Tokens a second of so many requests at a time, from the first question to the last answer.
async fn throughput(engine: &Engine, model: &ModelFile, requests: usize) -> Outcome<f64> {
    let start = Instant::now();
    let runs = PROMPTS
        .iter()
        .take(requests)
        .map(|prompt| run(engine, model, prompt, 128));
    let mut tokens = 0;
    for run in join_all(runs).await {
        tokens += run?.usage.output;
    }
    Ok(count(tokens) / start.elapsed().as_secs_f64())
}

struct Run {
    first: Duration,
    total: Duration,
    usage: TokenUsage,
}

impl Run {
    /// Tokens a second after the first.
    fn rate(&self) -> f64 {
        (count(self.usage.output) - 1.0) / self.total.saturating_sub(self.first).as_secs_f64()
    }
}

async fn run(engine: &Engine, model: &ModelFile, prompt: &str, max_tokens: usize) -> Outcome<Run> {
    let request = Generation {
        prompt: Some(prompt.to_owned()),
        sampling: Sampling {
            temperature: Some(0.0),
            max_tokens: Some(max_tokens),
            ..Sampling::default()
        },
        ..Generation::default()
    };
    let start = Instant::now();
    let mut stream = engine.generate(model, request).await?;
    let mut first = None;
    while let Some(piece) = stream.next().await {
        match piece? {
            Generated::Started { .. } | Generated::Likely(_) => {}
            Generated::Text(_) => {
                first.get_or_insert_with(|| start.elapsed());
            }
            Generated::Finished { usage, .. } => {
                let total = start.elapsed();
                return Ok(Run {
                    first: first.unwrap_or(total),
                    total,
                    usage,
                });
            }
        }
    }
    Err("the stream ended early".into())
}

fn engine(threads: usize) -> Outcome<Engine> {
    let options = EngineOptions::new(Tasks::new(), Arc::new(SystemClock));
    Ok(Engine::new(EngineOptions { threads, ..options })?)
}

fn memory(field: &str) -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .ok_or("no such field")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn count(tokens: u64) -> f64 {
    u32::try_from(tokens).map_or(f64::INFINITY, f64::from)
}

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn report(name: &str, value: f64) {
    println!("{name} {value:.2}");
}
