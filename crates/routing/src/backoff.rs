//! How long to wait before a target is asked again.

use std::time::Duration;

/// How pauses grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first pause.
    pub base: Duration,
    /// The longest pause of all, unless a target asks for more.
    pub longest: Duration,
}

/// The pause before round `round` (1 is the first repetition), with full jitter: anything up to the base doubled each
/// round ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). What a target asked to wait comes before it,
/// so that those who were sent away together do not come back together.
///
/// `chance` lies in `0..1`.
pub fn pause(backoff: Backoff, round: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let doubled = backoff.base.saturating_mul(1 << round.saturating_sub(1).min(20));
    let chance = chance.clamp(0.0, 1.0);
    let jitter = doubled.min(backoff.longest).mul_f64(chance);
    match asked {
        None => jitter,
        Some(asked) => asked.saturating_add(jitter.min(backoff.base)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_are_bounded_and_honour_what_was_asked() {
        let millis = Duration::from_millis;
        let backoff = Backoff {
            base: millis(100),
            longest: millis(1_000),
        };
        let cases = [
            (1, None, 0.0, 0),
            (1, None, 1.0, 100),
            (2, None, 1.0, 200),
            (3, None, 0.5, 200),
            (9, None, 1.0, 1_000),
            (u32::MAX, None, 1.0, 1_000),
            (1, Some(7_000), 0.0, 7_000),
            (5, Some(7_000), 1.0, 7_100),
        ];
        for (round, asked, chance, expected) in cases {
            let found = pause(backoff, round, asked.map(millis), chance);
            assert_eq!(found, millis(expected), "{round} {asked:?} {chance}");
        }
    }
}
