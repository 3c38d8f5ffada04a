//! What identifies a person: a table of detectors.

mod checks;

use crate::detector::{Detector, Family, Open, as_found};

const NUMBER: Detector = Detector {
    name: "",
    label: "",
    family: Family::Pii,
    pattern: "",
    check: as_found,
    inside: is_number,
    open: None,
    longest: 64,
};

/// The detectors, more precise ones first.
pub(crate) const TABLE: &[Detector] = &[
    // https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2 with the limits of section 4.5.3.1
    Detector {
        name: "email",
        label: "EMAIL",
        pattern: r"[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
        check: checks::email,
        inside: |letter| letter.is_ascii_alphanumeric() || "._%+'-@".contains(letter),
        longest: 64 + 1 + 8 * 64 + 24,
        ..NUMBER
    },
    // ISO 13616; lengths by country from SWIFT's registry
    Detector {
        name: "iban",
        label: "IBAN",
        pattern: r"(?i-u)\b[A-Z]{2}[0-9]{2}[ -]?[A-Z0-9]",
        check: checks::iban,
        inside: |letter| letter.is_ascii_alphanumeric(),
        open: Some(Open::Pattern(r"(?i-u)\b[A-Z]{2}[0-9]{2}[A-Z0-9 -]{0,72}\z")),
        longest: 72,
        ..NUMBER
    },
    // ISO/IEC 7812-1: issuer's range, length and Luhn's digit
    Detector {
        name: "credit-card",
        label: "CREDIT_CARD",
        pattern: r"(?-u)\b[2-6][0-9]",
        check: checks::credit_card,
        ..NUMBER
    },
    // https://www.ssa.gov/employer/randomization.html
    Detector {
        name: "us-ssn",
        label: "US_SSN",
        pattern: r"(?-u)\b[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}\b",
        check: checks::us_ssn,
        ..NUMBER
    },
    // https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2
    Detector {
        name: "ipv4",
        label: "IPV4",
        pattern: r"(?-u)\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b",
        check: checks::ipv4,
        ..NUMBER
    },
    // https://www.rfc-editor.org/rfc/rfc4291#section-2.2
    Detector {
        name: "ipv6",
        label: "IPV6",
        pattern: r"(?i-u)\b[0-9a-f]{1,4}:[0-9a-f:]",
        check: checks::ipv6,
        inside: |letter| letter.is_ascii_hexdigit() || letter == ':' || letter == '.',
        ..NUMBER
    },
    // The machine-readable zone of a passport, https://www.icao.int/publications/Documents/9303_p4_cons_en.pdf
    Detector {
        name: "passport",
        label: "PASSPORT",
        pattern: r"(?i-u)\bpassport(?:[ -]?(?:no|nr|number|num))?[.:# ]{1,4}([A-Z]{0,2}[0-9]{6,9})\b|\b([A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[A-Z0-9<]{14}[0-9<][0-9])\b",
        check: checks::passport,
        inside: |letter| letter.is_ascii_alphanumeric() || letter == '<',
        open: Some(Open::Pattern(
            r"(?i-u)\bpassport(?:[ -]?(?:n[a-z]{0,5})?)?[.:# ]{0,4}[A-Z0-9]{0,11}\z",
        )),
        longest: 64,
        ..NUMBER
    },
    // https://www.itu.int/rec/T-REC-E.164 and the usual ways to write national numbers
    Detector {
        name: "phone",
        label: "PHONE",
        pattern: r"(?-u)\+[1-9](?:[ ./()-]{0,2}[0-9]){6,14}|(?:\b1[ .-])?\(?[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}|\(?0[1-9][0-9]{0,4}\)?(?:[ ./-]{1,2}[0-9]{2,8}){1,5}",
        check: checks::phone,
        ..NUMBER
    },
];

fn is_number(letter: char) -> bool {
    letter.is_ascii_digit() || " ()+./-".contains(letter)
}
