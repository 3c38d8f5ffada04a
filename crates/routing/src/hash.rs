//! A hash that is the same in every process and on every machine, for choices that several must make alike.
//!
//! *Invariant:* its values never change between versions: they decide who keeps which session.

/// Odd, with bits spread evenly: the fraction of the golden ratio (Knuth, TAOCP 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes bytes under a seed. Not meant to withstand somebody who looks for collisions.
pub fn stable(seed: u64, bytes: &[u8]) -> u64 {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut hash = mix(seed ^ SPREAD) ^ length;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = fold(hash ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    mix(fold(hash ^ u64::from_le_bytes(last)))
}

/// Lets every bit move some others, at the price of one multiplication.
fn fold(value: u64) -> u64 {
    let product = value.wrapping_mul(SPREAD);
    product ^ (product >> 32)
}

/// Lets every bit move all others: the finaliser of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
/// number generators", 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A hash as a number over 0 and up to 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
pub(crate) fn unit(hash: u64) -> f64 {
    ((hash >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_never_change() {
        let cases: [(&[u8], u64); 3] = [
            (b"", 0x0c0c_792e_3705_fa62),
            (b"session-1", 0x844e_24b7_38ca_4a22),
            (b"a text that is longer than one word", 0x8008_7f7c_f324_8ee3),
        ];
        for (text, expected) in cases {
            assert_eq!(stable(7, text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_bit_of_the_input_moves_about_half_of_the_hash() {
        let text = *b"0123456789abcdefXYZ";
        let whole = stable(1, &text);
        for bit in 0..text.len() * 8 {
            let mut other = text;
            other[bit / 8] ^= 1 << (bit % 8);
            let moved = (stable(1, &other) ^ whole).count_ones();
            assert!((10..54).contains(&moved), "bit {bit} moves {moved}");
        }
        assert_ne!(stable(1, b"a"), stable(1, b"a\0"), "length counts");
    }

    #[test]
    fn numbers_of_hashes_lie_in_their_range() {
        for hash in [0, 1, u64::MAX, u64::MAX / 2] {
            let found = unit(hash);
            assert!(found > 0.0 && found <= 1.0, "{found}");
        }
    }
}
