//! What candidates have to be to count: checksums, ranges, lengths.

use std::net::{Ipv4Addr, Ipv6Addr};

use regex::Captures;

use crate::{
    detector::{Extent, as_found},
    secrets::before,
};

/// Lengths of IBANs (<https://www.swift.com/standards/data-standards/iban-international-bank-account-number>).
const IBANS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 \
    EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 \
    KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 \
    PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// Issuers' ranges as their first six digits, with the lengths of their numbers
/// (<https://www.iso.org/standard/70484.html>; ranges as the networks publish them).
const CARDS: &[(u32, u32, &[usize])] = &[
    (400_000, 499_999, &[16, 13, 19]),
    (510_000, 559_999, &[16]),
    (222_100, 272_099, &[16]),
    (340_000, 349_999, &[15]),
    (370_000, 379_999, &[15]),
    (601_100, 601_199, &[16, 19]),
    (644_000, 659_999, &[16, 19]),
    (300_000, 305_999, &[14]),
    (360_000, 369_999, &[14]),
    (380_000, 399_999, &[14]),
    (352_800, 358_999, &[16, 19]),
    (620_000, 629_999, &[16, 17, 18, 19]),
    (500_000, 509_999, &[16, 13, 19]),
    (560_000, 589_999, &[16, 13, 19]),
];

/// Country codes of one and two digits; all other numbers begin with one of three
/// (<https://www.itu.int/dms_pub/itu-t/opb/sp/T-SP-E.164D-11-2011-PDF-E.pdf>).
const COUNTRIES: &str = "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 \
    65 66 81 82 84 86 90 91 92 93 94 95 98";

fn after(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

fn is_alphanumeric(letter: Option<char>) -> bool {
    letter.is_some_and(char::is_alphanumeric)
}

/// Labels that a domain may have, and no dots where none may be.
pub(super) fn email(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let address = found.get(0)?;
    let (local, domain) = address.as_str().split_once('@')?;
    if local.starts_with(['.', '\'']) || local.ends_with('.') || local.contains("..") {
        return None;
    }
    let label = |label: &str| !label.starts_with('-') && !label.ends_with('-');
    let glued = before(text, address.start()).is_some_and(|letter| letter.is_alphanumeric() || letter == '@');
    (!glued && domain.split('.').all(label)).then(|| Extent::whole(address.start(), address.end()))
}

/// The letters and digits from a byte on, up to a number of them, with single separators between; and where they end.
fn written(text: &str, start: usize, count: usize, wanted: fn(char) -> bool) -> Option<(String, usize)> {
    let mut letters = String::with_capacity(count);
    let mut gap = false;
    for (at, letter) in text.get(start..)?.char_indices() {
        if letters.len() == count {
            break;
        }
        if wanted(letter) {
            letters.push(letter);
            gap = false;
        } else if (letter == ' ' || letter == '-') && !gap {
            gap = true;
        } else {
            return None;
        }
        if letters.len() == count {
            return Some((letters, start + at + letter.len_utf8()));
        }
    }
    None
}

/// The length of its country and a remainder of 1 (ISO 7064, MOD 97-10).
pub(super) fn iban(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let start = found.get(0)?.start();
    let country = text.get(start..start + 2)?.to_ascii_uppercase();
    let entry = IBANS
        .split_ascii_whitespace()
        .find(|entry| entry.starts_with(&country))?;
    let length = entry.get(2..)?.parse().ok()?;
    let (number, end) = written(text, start, length, |letter| letter.is_ascii_alphanumeric())?;
    if is_alphanumeric(after(text, end)) {
        return None;
    }
    let (head, tail) = number.split_at_checked(4)?;
    let rest = tail.chars().chain(head.chars()).try_fold(0_u32, |rest, letter| {
        let value = letter.to_digit(36)?;
        Some((rest * if value > 9 { 100 } else { 10 } + value) % 97)
    });
    (rest == Some(1)).then(|| Extent::whole(start, end))
}

/// A network's range, one of its lengths, and Luhn's digit.
pub(super) fn credit_card(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let start = found.get(0)?.start();
    let (prefix, _) = written(text, start, 6, |letter| letter.is_ascii_digit())?;
    let prefix: u32 = prefix.parse().ok()?;
    let (.., lengths) = CARDS
        .iter()
        .find(|(low, high, _)| (*low..=*high).contains(&prefix))?;
    lengths.iter().find_map(|length| {
        let (number, end) = written(text, start, *length, |letter| letter.is_ascii_digit())?;
        let ends = !is_alphanumeric(after(text, end));
        (ends && luhn(&number)).then(|| Extent::whole(start, end))
    })
}

/// Luhn's checksum (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .chars()
        .rev()
        .filter_map(|letter| letter.to_digit(10))
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => digit,
            _ => digit * 2 - if digit > 4 { 9 } else { 0 },
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Numbers that were never given out, or were printed for show.
pub(super) fn us_ssn(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let number = found.get(0)?;
    let digits: String = number.as_str().chars().filter(char::is_ascii_digit).collect();
    let (area, group, serial) = (digits.get(..3)?, digits.get(3..5)?, digits.get(5..)?);
    let even = number.as_str().as_bytes().get(3) == number.as_str().as_bytes().get(6);
    let given = area != "000" && area != "666" && !area.starts_with('9') && group != "00" && serial != "0000";
    let shown = ["078051120", "219099999"].contains(&digits.as_str());
    let longer = before(text, number.start()).is_some_and(|letter| "-.".contains(letter))
        || after(text, number.end()) == Some('-');
    (even && given && !shown && !longer).then(|| Extent::whole(number.start(), number.end()))
}

/// An address of somebody: not this machine's own, nor a part of a longer number.
pub(super) fn ipv4(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let written = found.get(0)?;
    let address: Ipv4Addr = written.as_str().parse().ok()?;
    let mut rest = text.get(written.end()..).unwrap_or_default().chars();
    let next = (rest.next(), rest.next());
    let longer = before(text, written.start()).is_some_and(|letter| letter == '.' || letter == '-')
        || matches!(next, (Some('-'), _) | (Some('.'), Some('0'..='9')));
    let nobody = address.is_unspecified() || address.is_loopback() || address.is_broadcast();
    (!longer && !nobody).then(|| Extent::whole(written.start(), written.end()))
}

/// A global, local or link-local address; `a::b` in a program is none.
pub(super) fn ipv6(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let start = found.get(0)?.start();
    if before(text, start).is_some_and(|letter| letter.is_alphanumeric() || ":.".contains(letter)) {
        return None;
    }
    let rest = text.get(start..)?;
    let end = rest
        .char_indices()
        .find(|(at, letter)| *at >= 45 || !(letter.is_ascii_hexdigit() || *letter == ':' || *letter == '.'))
        .map_or(rest.len(), |(at, _)| at);
    let written = rest.get(..end)?.trim_end_matches(['.', ':']);
    let address: Ipv6Addr = written.parse().ok()?;
    let first = address.segments().first().copied()?;
    let somebodys = matches!(first, 0x2000..=0x3fff | 0xfc00..=0xfdff | 0xfe80..=0xfebf);
    (somebodys && !is_alphanumeric(after(text, start + written.len())))
        .then(|| Extent::whole(start, start + written.len()))
}

/// A number that is called a passport's, or a machine-readable line with right check digits.
pub(super) fn passport(text: &str, found: &Captures<'_>) -> Option<Extent> {
    if found.get(1).is_some() {
        return as_found(text, found);
    }
    let line = found.get(2)?;
    let field = |from: usize, to: usize| line.as_str().get(from..to);
    let digit = |at: usize| field(at, at + 1)?.parse::<u32>().ok();
    let right = |from: usize, to: usize| Some(mrz_digit(field(from, to)?)? == digit(to)?);
    let all = right(0, 9)? && right(13, 19)? && right(21, 27)?;
    all.then(|| Extent::whole(line.start(), line.end()))
}

/// The check digit of a field (ICAO 9303 part 3, section 4.9).
fn mrz_digit(field: &str) -> Option<u32> {
    let sum = field
        .chars()
        .zip([7, 3, 1].into_iter().cycle())
        .try_fold(0, |sum, (letter, weight)| {
            let value = if letter == '<' { 0 } else { letter.to_digit(36)? };
            Some(sum + value * weight)
        })?;
    Some(sum % 10)
}

/// As many digits as a number has, in a country that there is, and nothing that is rather a date or an amount.
pub(super) fn phone(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let number = found.get(0)?;
    let written = number.as_str();
    let glued = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_alphanumeric() || "_-./".contains(letter))
    };
    let next = after(text, number.end());
    let mut ahead = text.get(..number.start()).unwrap_or_default().chars().rev();
    // A group of a longer number is no number of its own.
    let grouped = matches!((ahead.next(), ahead.next()), (Some(' '), Some('0'..='9')));
    if grouped && !written.starts_with(['+', '(']) {
        return None;
    }
    if glued(before(text, number.start())) || is_alphanumeric(next) || next == Some('-') {
        return None;
    }
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    let right = if written.starts_with('+') {
        (8..=15).contains(&digits.len()) && has_country(&digits)
    } else if digits.starts_with('0') {
        (9..=12).contains(&digits.len()) && !is_date(written)
    } else {
        true
    };
    (right && balanced(written)).then(|| Extent::whole(number.start(), number.end()))
}

fn has_country(digits: &str) -> bool {
    let short = |length| {
        let code = digits.get(..length).unwrap_or_default();
        COUNTRIES.split_ascii_whitespace().any(|country| country == code)
    };
    // Three digits: zones 2, 3, 4, 5, 6, 8 and 9 beyond the short codes.
    short(1) || short(2) || digits.starts_with(['2', '3', '4', '5', '6', '8', '9'])
}

/// `01.02.2024` and `078-05-1120` and the like.
fn is_date(written: &str) -> bool {
    let mut parts = written.split(['.', '/', '-', ' ']);
    let lengths: Vec<usize> = parts.by_ref().take(3).map(str::len).collect();
    lengths == [2, 2, 4] || lengths == [3, 2, 4]
}

fn balanced(written: &str) -> bool {
    written.matches('(').count() == written.matches(')').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        assert!(luhn("4111111111111111") && luhn("378282246310005") && !luhn("4111111111111112"));
        // The specimen of ICAO 9303: L898902C3, 740812, 120415.
        assert_eq!(mrz_digit("L898902C3"), Some(6));
        assert_eq!(mrz_digit("740812"), Some(2));
        assert_eq!(mrz_digit("120415"), Some(9));
    }

    #[test]
    fn the_tables_are_well_formed() {
        for entry in IBANS.split_ascii_whitespace() {
            let (country, length) = entry.split_at(2);
            assert!(country.bytes().all(|byte| byte.is_ascii_uppercase()), "{entry}");
            assert!((15..=34).contains(&length.parse::<usize>().unwrap()), "{entry}");
        }
        for (low, high, lengths) in CARDS {
            assert!(low <= high && lengths.iter().all(|length| (13..=19).contains(length)));
        }
    }
}
