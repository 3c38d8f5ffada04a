//! The alphabet of byte-level vocabularies: a printable character for each byte.
//!
//! As GPT-2 has it: printable bytes of Latin-1 stand for themselves, the others for the characters from U+0100 on.

/// The byte that a character of such a vocabulary stands for.
pub(crate) fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    if let Ok(byte) = u8::try_from(code) {
        return stands_for_itself(byte).then_some(byte);
    }
    let index = usize::try_from(code.checked_sub(256)?).ok()?;
    (0..=u8::MAX).filter(|byte| !stands_for_itself(*byte)).nth(index)
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut seen = [0; 256];
        for byte in (0..0x400).filter_map(char::from_u32).filter_map(byte_of) {
            seen[usize::from(byte)] += 1;
        }
        assert_eq!(seen, [1; 256]);
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
        assert_eq!(byte_of('語'), None);
    }
}
