//! How long the longest look at a text takes: prints, for texts of every sort that is meant to be hard, what a byte
//! costs at two lengths, whole and as a stream. Nothing is judged here; that the two lengths cost the same per byte is
//! what the invariant of linear time means.
//!
//! `cargo run --release -p stead-guard --example worst`

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "this measures, and prints"
)]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use stead_guard::{Builder, Scanner, Vault, detectors, injection};

/// The two lengths, in bytes.
const LENGTHS: [usize; 2] = [64 << 10, 1 << 20];
/// How large the pieces of a stream are.
const PIECE: usize = 16;
/// How often each is measured; the fastest counts.
const TIMES: u32 = 3;

/// Texts that are hard for some detector: beginnings without end, many candidates, letters that have to be folded.
const HARD: &[(&str, &str)] = &[
    ("prose", "The quick brown fox jumps over the lazy dog. "),
    ("digits", "4"),
    ("card numbers", "4111 1111 1111 1111 "),
    ("almost card numbers", "4111-1111-1111-1112-"),
    ("telephone", "+49 (0) 151 1234 5678 "),
    ("addresses", "ada@example.com,"),
    ("almost addresses", "a.b.c.d@"),
    ("dots", "a.a."),
    ("base64", "c2VjcmV0LXNlY3JldA"),
    ("hex", "deadbeef0123456789"),
    ("key blocks", "-----BEGIN RSA PRIVATE KEY-----\n"),
    ("key prefixes", "AKIA sk- ghp_ xoxb- "),
    ("assignments", "password = \"x\" token: y "),
    ("addresses of the net", "2001:db8::1 10.0.0.1 "),
    ("accounts", "DE89370400440532013000 "),
    ("repeated attempts", "ignore all previous "),
    ("full width", "Ｉｇｎｏｒｅ ａｌｌ "),
    ("marks", "a\u{301}\u{301}\u{301}"),
    ("invisible", "i\u{200b}g\u{200b}n\u{200b}"),
    ("words cut short", "project falco "),
];

fn main() {
    let scanner = scanner();
    println!(
        "{:22} {:>30} {:>30} {:>14}",
        "ns per byte", "whole: 64 KiB, 1 MiB", "stream: 64 KiB, 1 MiB", "injection"
    );
    let mut slowest = (0.0, "");
    for (name, unit) in HARD {
        let measured = LENGTHS.map(|length| {
            let text: String = unit.chars().cycle().take(length).collect();
            let cost = |took: Duration| per_byte(took, text.len());
            (
                cost(fastest(|| drop(black_box(scanner.find_all(&text))))),
                cost(fastest(|| stream(&scanner, &text))),
                cost(fastest(|| drop(black_box(injection::suspect(&text))))),
            )
        });
        let [(short, short_stream, _), (long, long_stream, attempt)] = measured;
        println!(
            "{name:22} {short:>22.1} {long:>7.1} {short_stream:>22.1} {long_stream:>7.1} {attempt:>14.1}"
        );
        let sum = long.max(long_stream) + attempt;
        if sum > slowest.0 {
            slowest = (sum, name);
        }
    }
    let (cost, name) = slowest;
    println!("the slowest: {name}, {:.1} ms for 64 KiB", cost * 65_536.0 / 1e6);
}

/// All detectors, long lists of words, and an expression.
fn scanner() -> Arc<Scanner> {
    let mut builder = Builder::default();
    for detector in detectors() {
        builder.detector(0, detector);
    }
    let words: Vec<String> = (0..2_000)
        .map(|number| format!("project falcon {number}"))
        .collect();
    // A list and an expression that are right as they stand.
    let _ = builder.words(1, &words);
    let _ = builder.pattern(2, r"(?:[a-z]+\d+){1,8}");
    Arc::new(builder.build())
}

fn stream(scanner: &Arc<Scanner>, text: &str) {
    let mut feed = scanner.feed();
    let mut vault = Vault::default();
    let mut out = 0;
    let mut from = 0;
    while from < text.len() {
        let to = text.ceil_char_boundary(from + PIECE);
        feed.push(text.get(from..to).unwrap_or_default(), &mut |piece| {
            out += match piece {
                stead_guard::Piece::Text(text) => text.len(),
                stead_guard::Piece::Found(found) => vault.mask(found.label, found.value).len(),
            };
        });
        from = to;
    }
    feed.finish(&mut |_| {});
    black_box(out);
}

fn fastest(work: impl Fn()) -> Duration {
    let times = (0..TIMES).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed()
    });
    times.min().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn per_byte(took: Duration, bytes: usize) -> f64 {
    took.as_nanos() as f64 / bytes as f64
}
