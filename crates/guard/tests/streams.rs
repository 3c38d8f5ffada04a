//! A text in pieces is read as the whole is, and no text takes long.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::{fmt::Write, sync::Arc};

use proptest::prelude::*;
use stead_guard::{Encoding, Piece, Restorer, Scanner, Vault, injection, select};

fn scanner() -> Arc<Scanner> {
    let mut builder = Scanner::builder();
    for detector in select(&["secrets", "pii"]).unwrap() {
        builder.detector(0, detector);
    }
    builder
        .words(1, &["project falcon", "日本語", "falcon heavy", "ﬁne"])
        .unwrap();
    builder.pattern(2, r"EMP-\d{4}|<a.*z>").unwrap();
    Arc::new(builder.build())
}

/// What a scanner says to a text that comes in these pieces: text as it is, findings in braces.
fn read<'t>(scanner: &Arc<Scanner>, pieces: impl Iterator<Item = &'t str>) -> String {
    let mut whole = String::new();
    let mut feed = scanner.feed();
    let mut sink = |piece: Piece<'_>| match piece {
        Piece::Text(text) => whole.push_str(text),
        Piece::Found(found) => write!(whole, "{{{} {} {}}}", found.rule, found.label, found.value).unwrap(),
    };
    for piece in pieces {
        feed.push(piece, &mut sink);
    }
    feed.finish(&mut sink);
    whole
}

/// The same from what is found in the whole.
fn read_whole(scanner: &Scanner, text: &str) -> String {
    let mut whole = String::new();
    let mut at = 0;
    for finding in scanner.find_all(text) {
        let value = text.get(finding.value.clone()).unwrap();
        let before = text.get(at..finding.value.start).unwrap();
        write!(whole, "{before}{{{} {} {value}}}", finding.rule, finding.label).unwrap();
        at = finding.value.end;
    }
    whole + text.get(at..).unwrap()
}

/// Cuts a text at these places, as far as letters lie there.
fn cut<'t>(text: &'t str, places: &[usize]) -> Vec<&'t str> {
    let mut places: Vec<usize> = places
        .iter()
        .map(|at| text.floor_char_boundary(at % (text.len() + 1)))
        .collect();
    places.push(text.len());
    places.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for to in places {
        pieces.push(&text[from..to]);
        from = to;
    }
    pieces
}

/// Values that the scanner looks for, among others.
const VALUES: &[&str] = &[
    "ada@example.com",
    "+49 30 901820",
    "DE89 3704 0044 0532 0130 00",
    "4111 1111 1111 1111",
    "536-90-4399",
    "203.0.113.7",
    "2001:db8::8a2e:370:7334",
    "passport no: AB1234567",
    "sk-aB3dE5gH7jK9mN1pQ3sT5vW7",
    "AKIAIOSFODNN7EXAMPLE",
    "api_key = \"aB3dE5gH7jK9mN1pQ3sT5vW7\"",
    "postgres://a:hunter2@db",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN",
    "-----BEGIN PRIVATE KEY-----\nMIIE\nabc\n",
    "-----END PRIVATE KEY-----",
    "project falcon",
    "日本語",
    "EMP-1234",
    "<a",
    "z>",
    "[EMAIL_1]",
];

/// Parts of which texts are made: values, beginnings of values, and what stands between.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(VALUES).prop_map(str::to_owned),
        2 => (proptest::sample::select(VALUES), 0_usize..40).prop_map(|(value, at)| {
            value[..value.floor_char_boundary(at)].to_owned()
        }),
        2 => "[ a-z0-9.,@:=+é\u{200b}-]{0,12}",
        1 => "[ -~]{0,20}",
        1 => Just("\n".to_owned()),
        1 => Just("x".repeat(150)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(part(), 0..14).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn however_a_text_is_split_the_same_is_found(text in text(), splits in proptest::collection::vec(
        proptest::collection::vec(any::<usize>(), 0..40), 25))
    {
        let scanner = scanner();
        let expected = read_whole(&scanner, &text);
        for places in &splits {
            prop_assert_eq!(&read(&scanner, cut(&text, places).into_iter()), &expected);
        }
        let letters: Vec<&str> = text.char_indices().map(|(at, letter)| &text[at..at + letter.len_utf8()]).collect();
        prop_assert_eq!(read(&scanner, letters.into_iter()), expected);
    }

    #[test]
    fn values_come_back_wherever_a_stream_is_split(text in text(), splits in proptest::collection::vec(
        proptest::collection::vec(any::<usize>(), 0..40), 25))
    {
        let scanner = scanner();
        let mut vault = Vault::default();
        vault.reserve(&text);
        let hidden = vault.redact(&scanner, &text).into_owned();
        prop_assert_eq!(&vault.restore(&hidden, Encoding::Plain), &text);
        for places in &splits {
            let (mut restorer, mut whole) = (Restorer::default(), String::new());
            for piece in cut(&hidden, places) {
                restorer.push(piece, &vault, Encoding::Plain, &mut whole);
            }
            restorer.finish(&mut whole);
            prop_assert_eq!(&whole, &text);
        }
    }

    #[test]
    fn values_come_back_into_json_as_json(text in text()) {
        let mut vault = Vault::default();
        let quoted = serde_json::json!({"x": vault.hide("SECRET", &text)}).to_string();
        let restored: serde_json::Value = serde_json::from_str(&vault.restore(&quoted, Encoding::Json)).unwrap();
        prop_assert_eq!(restored["x"].as_str(), Some(text.as_str()));
    }
}

#[test]
fn little_is_held_back_of_ordinary_prose() {
    let mut builder = Scanner::builder();
    for detector in select(&["secrets", "pii"]).unwrap() {
        builder.detector(0, detector);
    }
    builder.words(1, &["project falcon"]).unwrap();
    let mut feed = Arc::new(builder.build()).feed();
    let prose =
        "The quick brown fox jumps over the lazy dog, 42 times a day; its token is worth a password or two. ";
    for word in prose.repeat(5).split_inclusive(' ') {
        feed.push(word, &mut |_| ());
        assert!(feed.held() <= 24, "{} bytes are held after {word:?}", feed.held());
    }
}

/// Texts that are made to take long: a megabyte each where the build is optimised, less elsewhere.
#[test]
fn hostile_texts_are_read_to_their_end() {
    let size = if cfg!(debug_assertions) { 1 << 14 } else { 1 << 20 };
    let scanner = scanner();
    for seed in [
        "a",
        "1",
        "1 ",
        "1-",
        "eyJ",
        "eyJ.",
        "-eyJ",
        "@",
        "a@",
        "a.",
        "a@a.",
        "sk-",
        "api_key=",
        "password:password:",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "[",
        "[A",
        "[A_1",
        "+1",
        "(0",
        "DE89",
        "de89 ",
        "::",
        "a:",
        "1:",
        "<a",
        "<",
        "passport",
        "project ",
        "日本",
        "\u{200b}",
        "é",
        "://",
        "a://a:a",
        "xoxb-",
        "x.y.z.",
        "1.1.1.",
        "AKIA",
    ] {
        let text = seed.repeat(size / seed.len());
        let expected = read_whole(&scanner, &text);
        let pieces = (0..text.len())
            .step_by(1_000)
            .map(|at| &text[text.floor_char_boundary(at)..text.floor_char_boundary(at + 1_000)]);
        assert!(read(&scanner, pieces) == expected, "{seed}");
        injection::suspect(&text);
        let vault = Vault::default();
        assert!(vault.restore(&text, Encoding::Plain) == text, "{seed}");
    }
}
