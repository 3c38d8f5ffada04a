//! The length of the longest common subsequence, 64 places at once.

use std::{collections::HashMap, hash::Hash};

/// How many items the longest common subsequence of two sequences has.
///
/// Bit-parallel after H. Hyyrö, "Bit-parallel LCS-length computation revisited" (AWOCA 2004): time grows with the product
/// of both lengths by 64, memory with their sum.
pub(crate) fn common<T: Eq + Hash>(left: &[T], right: &[T]) -> usize {
    // What is equal at both ends is in a longest one anyway.
    let prefix = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let (left, right) = (
        left.get(prefix..).unwrap_or(&[]),
        right.get(prefix..).unwrap_or(&[]),
    );
    let ends = left.iter().rev().zip(right.iter().rev());
    let suffix = ends.take_while(|(a, b)| a == b).count();
    let left = left.get(..left.len() - suffix).unwrap_or(&[]);
    let right = right.get(..right.len() - suffix).unwrap_or(&[]);
    prefix + suffix + middle(left, right)
}

fn middle<T: Eq + Hash>(left: &[T], right: &[T]) -> usize {
    let masks = masks(left);
    // A bit is 0 where a common subsequence grows.
    let mut rows = vec![u64::MAX; left.len().div_ceil(64)];
    for item in right {
        let Some(mask) = masks.get(item) else { continue };
        let (mut carry, mut mask) = (false, mask.iter().peekable());
        for (place, row) in rows.iter_mut().enumerate() {
            let here = mask
                .next_if(|(block, _)| *block == place)
                .map_or(0, |(_, bits)| *bits);
            let (matched, kept) = (*row & here, *row & !here);
            let (sum, over) = row.overflowing_add(matched);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            carry = over || over_again;
            *row = sum | kept;
        }
    }
    let mut found = 0;
    for (place, row) in rows.iter().enumerate() {
        let used = (left.len() - place * 64).min(64);
        let mask = u64::MAX >> (64 - used);
        found += (!row & mask).count_ones() as usize;
    }
    found
}

/// Where each item lies: bits of those blocks that have it, in order.
fn masks<T: Eq + Hash>(items: &[T]) -> HashMap<&T, Vec<(usize, u64)>> {
    let mut masks: HashMap<&T, Vec<(usize, u64)>> = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        let (block, bit) = (place / 64, 1_u64 << (place % 64));
        let blocks = masks.entry(item).or_default();
        match blocks.last_mut() {
            Some((last, bits)) if *last == block => *bits |= bit,
            _ => blocks.push((block, bit)),
        }
    }
    masks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The table of the textbook.
    fn slowly(left: &[u8], right: &[u8]) -> usize {
        let mut row = vec![0; right.len() + 1];
        for a in left {
            let mut diagonal = 0;
            for (place, b) in right.iter().enumerate() {
                let above = row[place + 1];
                row[place + 1] = if a == b {
                    diagonal + 1
                } else {
                    above.max(row[place])
                };
                diagonal = above;
            }
        }
        row[right.len()]
    }

    proptest! {
        #[test]
        fn bits_find_what_the_table_finds(
            left in prop::collection::vec(0_u8..5, 0..300),
            right in prop::collection::vec(0_u8..5, 0..300),
        ) {
            prop_assert_eq!(common(&left, &right), slowly(&left, &right));
        }
    }
}
