//! Asks a GGUF model one question: `generate MODEL.gguf "question" [max tokens]`.

use std::{io::Write as _, sync::Arc};

use futures::StreamExt as _;
use serde_json::json;
use stead_inference::{Engine, EngineOptions};
use stead_kernel::{
    SystemClock, Tasks,
    ports::{Chat as _, Generated, Generation, ModelFile, Sampling},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("usage: generate MODEL.gguf QUESTION [MAX_TOKENS]".into());
    };
    let max_tokens = arguments.next().map(|text| text.parse()).transpose()?;
    let engine = Engine::new(EngineOptions::new(Tasks::new(), Arc::new(SystemClock)))?;
    let model = ModelFile {
        name: "model".to_owned(),
        path: path.into(),
    };
    let request = Generation {
        messages: vec![json!({"role": "user", "content": question})],
        sampling: Sampling {
            temperature: Some(0.0),
            max_tokens,
            ..Sampling::default()
        },
        ..Generation::default()
    };
    let mut stream = engine.generate(&model, request).await?;
    let mut output = std::io::stdout();
    let start = tokio::time::Instant::now();
    while let Some(piece) = stream.next().await {
        match piece? {
            Generated::Started { .. } | Generated::Likely(_) => {}
            Generated::Text(text) => {
                write!(output, "{text}")?;
                output.flush()?;
            }
            Generated::Finished { reason, usage } => {
                let seconds = start.elapsed().as_secs_f64();
                writeln!(output, "\n{reason:?} {usage:?} in {seconds:.3} s")?;
            }
        }
    }
    Ok(())
}
