//! How random a text looks.

/// Shannon's entropy of a text's bytes, in bits a byte: 0 for `aaaa`, 4 at most for hex digits, 6 for base64.
pub fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}

/// Whether a value in an assignment was made by a generator: letters and digits, hardly repeated. A word, a path, a
/// variable's name or `xxxx` is none.
pub(crate) fn looks_random(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    if value.len() < 12 || digits < 2 || letters < 2 || value.starts_with(['$', '{', '/', '.']) {
        return false;
    }
    let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    entropy(value) >= if hex { 2.9 } else { 3.2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_bits_a_byte() {
        for (text, bits) in [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("0123456789abcdef", 4.0)] {
            assert!((entropy(text) - bits).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn what_a_generator_made_is_told_from_what_a_person_wrote() {
        let cases = [
            ("9f86d081884c7d659a2feaa0c55ad015", true),
            ("Zx81kfLq0PwnT7", true),
            ("xxxxxxxxxxxx11", false),
            ("your-api-key-here", false),
            ("${API_KEY_2024}x1", false),
            ("configuration", false),
            ("short1a", false),
        ];
        for (text, random) in cases {
            assert_eq!(looks_random(text), random, "{text}");
        }
    }
}
