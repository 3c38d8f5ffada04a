//! What each detector takes and what it leaves.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use stead_guard::{Scanner, Vault, select};

fn scanner(names: &[&str]) -> Scanner {
    let mut builder = Scanner::builder();
    for detector in select(names).unwrap() {
        builder.detector(0, detector);
    }
    builder.build()
}

/// The values that everything together finds in a text, with their labels.
fn found(text: &str) -> Vec<(&'static str, &str)> {
    scanner(&["pii", "secrets"])
        .find_all(text)
        .into_iter()
        .map(|finding| (finding.label, text.get(finding.value).unwrap()))
        .collect()
}

#[test]
fn what_is_personal_is_found() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "write to ada.lovelace+x@mail.example.co.uk.",
            "EMAIL",
            "ada.lovelace+x@mail.example.co.uk",
        ),
        ("<o'neil@example.com>", "EMAIL", "o'neil@example.com"),
        ("call +49 30 901820 now", "PHONE", "+49 30 901820"),
        ("call +49 (0)30 901820", "PHONE", "+49 (0)30 901820"),
        ("tel:+442079460958", "PHONE", "+442079460958"),
        ("(415) 555-2671", "PHONE", "(415) 555-2671"),
        ("1-415-555-2671", "PHONE", "1-415-555-2671"),
        ("415.555.2671,", "PHONE", "415.555.2671"),
        ("030 901820-11", "PHONE", "030 901820-11"),
        ("06 12 34 56 78", "PHONE", "06 12 34 56 78"),
        ("020 7946 0958", "PHONE", "020 7946 0958"),
        (
            "IBAN DE89 3704 0044 0532 0130 00, thanks",
            "IBAN",
            "DE89 3704 0044 0532 0130 00",
        ),
        ("gb29nwbk60161331926819", "IBAN", "gb29nwbk60161331926819"),
        (
            "FR1420041010050500013M02606 AND MORE",
            "IBAN",
            "FR1420041010050500013M02606",
        ),
        (
            "card 4111 1111 1111 1111 12/27",
            "CREDIT_CARD",
            "4111 1111 1111 1111",
        ),
        ("378282246310005", "CREDIT_CARD", "378282246310005"),
        ("5555-5555-5555-4444", "CREDIT_CARD", "5555-5555-5555-4444"),
        ("order 12 4111111111111111", "CREDIT_CARD", "4111111111111111"),
        ("ssn 536-90-4399.", "US_SSN", "536-90-4399"),
        ("from 203.0.113.7:443", "IPV4", "203.0.113.7"),
        (
            "at [2001:db8::8a2e:370:7334]:80",
            "IPV6",
            "2001:db8::8a2e:370:7334",
        ),
        (
            "fe80::1ff:fe23:4567:890a%eth0",
            "IPV6",
            "fe80::1ff:fe23:4567:890a",
        ),
        ("Passport No: C01X00T47", "PASSPORT", ""),
        ("passport number: AB1234567", "PASSPORT", "AB1234567"),
        (
            "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
            "PASSPORT",
            "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
        ),
    ];
    for (text, label, value) in cases {
        let expected: Vec<(&str, &str)> = if value.is_empty() {
            vec![]
        } else {
            vec![(label, value)]
        };
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn what_lets_somebody_in_is_found() {
    let hex = "9f86d081884c7d659a2feaa0c55ad015";
    let mixed = "aB3dE5gH7jK9mN1pQ3sT5vW7";
    let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nabc\n-----END RSA PRIVATE KEY-----";
    let cases = [
        (format!("sk-{mixed}"), "OPENAI_KEY"),
        (format!("sk-proj-{mixed}_{mixed}"), "OPENAI_KEY"),
        (format!("sk-ant-api03-{mixed}-{mixed}AA"), "ANTHROPIC_KEY"),
        (format!("sk-or-v1-{hex}{hex}"), "OPENROUTER_KEY"),
        ("AKIAIOSFODNN7EXAMPLE".to_owned(), "AWS_ACCESS_KEY"),
        (format!("ghp_{mixed}{}", "a1B2c3D4e5F6"), "GITHUB_TOKEN"),
        (format!("github_pat_{mixed}"), "GITHUB_TOKEN"),
        (format!("glpat-{mixed}"), "GITLAB_TOKEN"),
        (format!("AIza{mixed}a1B2c3D4e5F"), "GOOGLE_KEY"),
        (format!("xoxb-123456789012-{mixed}"), "SLACK_TOKEN"),
        (format!("sk_live_{mixed}"), "STRIPE_KEY"),
        (
            "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH".to_owned(),
            "HUGGINGFACE_TOKEN",
        ),
        (jwt.to_owned(), "JWT"),
        (pem.to_owned(), "PRIVATE_KEY"),
        (pem.replace('\n', "\\n"), "PRIVATE_KEY"),
    ];
    for (secret, label) in &cases {
        for text in [
            secret.clone(),
            format!("use {secret}, please"),
            format!("\"{secret}\""),
        ] {
            assert_eq!(found(&text), [(*label, secret.as_str())], "{text}");
        }
    }
    let assigned = [
        format!("API_KEY={mixed}"),
        format!("\"client_secret\": \"{mixed}\""),
        format!("password => '{mixed}'"),
        format!("x-api-key: {mixed}"),
        format!("Authorization: Bearer {mixed}"),
        format!("AWS_SECRET_ACCESS_KEY = {mixed}"),
    ];
    for text in &assigned {
        assert_eq!(found(text), [("SECRET", mixed)], "{text}");
    }
    assert_eq!(
        found("postgres://app:hunter2@db/x"),
        [("URL_PASSWORD", "hunter2")]
    );
    assert_eq!(
        found("-----BEGIN PRIVATE KEY-----\nMIIEow, and then"),
        [("PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----\nMIIEow, and then")],
        "a key without its end is one"
    );
}

#[test]
fn what_only_looks_like_it_is_left() {
    let texts = [
        "version 1.2.3.4.5",
        "127.0.0.1 and 0.0.0.0",
        "300.1.2.3",
        "std::a::b and dead::beef at 12:34:56",
        "4111 1111 1111 1112",
        "12345678901234567890123",
        "DE88 3704 0044 0532 0130 00",
        "000-12-3456, 666-12-3456, 900-12-3456, 078-05-1120, 123-00-4567",
        "on 01.02.2024 1200 people and 2024-01-02",
        "a@b and me@localhost and x@-y.com",
        "sk-learn-pipeline-for-text-classification",
        "the API key is your-api-key-here",
        "password = correcthorse",
        "token: process.env.GITHUB_TOKEN",
        "api_key=${OPENAI_API_KEY_2024}",
        "secret: [OPENAI_KEY_1]",
        "tokens = count_tokens(messages)",
        "eyJust a word. eyJ.eyJ.x",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "1,234,567.89 and 3.14159265358979",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "https://example.com/a:b@c",
    ];
    for text in texts {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn the_same_value_has_the_same_placeholder_and_comes_back() {
    let scanner = scanner(&["pii"]);
    let mut vault = Vault::default();
    let texts = [
        "a@x.org, b@x.org [EMAIL_2]",
        "again A@x.org, a@x.org",
        "call +49 30 901820",
    ];
    for text in texts {
        vault.reserve(text);
    }
    let hidden: Vec<String> = texts
        .iter()
        .map(|text| vault.redact(&scanner, text).into_owned())
        .collect();
    assert_eq!(
        hidden,
        [
            "[EMAIL_1], [EMAIL_3] [EMAIL_2]",
            "again [EMAIL_4], [EMAIL_1]",
            "call [PHONE_1]"
        ],
        "a placeholder that the client wrote itself is nobody else's"
    );
    for (hidden, text) in hidden.iter().zip(texts) {
        assert_eq!(vault.restore(hidden, stead_guard::Encoding::Plain), text);
    }
    assert_eq!(
        vault.restore("[email_1] [EMAIL_9] [x", stead_guard::Encoding::Plain),
        "a@x.org [EMAIL_9] [x"
    );
    assert!(!format!("{vault:?}").contains("x.org"));
    assert_eq!(vault.mask("EMAIL", "new@x.org"), "[EMAIL_5]");
    assert_eq!(
        vault.reveal("[EMAIL_5]"),
        None,
        "what the model made up stays hidden"
    );
}

#[test]
fn lists_of_allowed_values_are_kept() {
    let mut builder = Scanner::builder();
    for detector in select(&["email"]).unwrap() {
        builder.detector(3, detector);
    }
    builder.words(4, &["Project Falcon"]).unwrap();
    builder.pattern(5, r"\bEMP-\d{4}\b").unwrap();
    builder
        .allow(3, &["Info@Example.com"], &[r".*@stead\.dev"])
        .unwrap();
    let scanner = builder.build();
    let text = "info@example.com ada@stead.dev ada@stead.dev.org PROJECT  falcon EMP-1234";
    let found: Vec<(usize, &str)> = scanner
        .find_all(text)
        .into_iter()
        .map(|finding| (finding.rule, text.get(finding.value).unwrap()))
        .collect();
    assert_eq!(
        found,
        [(3, "ada@stead.dev.org"), (4, "PROJECT  falcon"), (5, "EMP-1234")]
    );
    assert!(Scanner::builder().pattern(0, "(").is_err());
    assert!(Scanner::builder().pattern(0, "a*").is_err());
}
