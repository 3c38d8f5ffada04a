//! Histograms of atomics: an observation is two additions, and no lock.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

/// The most bounds that a scale has.
const MOST: usize = 16;

/// The bounds of a histogram's buckets, in the unit of what is observed, and what one unit is worth when printed.
#[derive(Debug)]
pub(super) struct Scale {
    /// Upper bounds, inclusive, ascending; at most 16.
    pub(super) bounds: &'static [u64],
    /// By what printed bounds and sums are divided: 10^6 for microseconds that are printed as seconds.
    pub(super) divisor: u64,
}

/// Counts of what was observed, by size.
#[derive(Debug)]
pub(super) struct Histogram {
    scale: &'static Scale,
    /// Per bucket; what is beyond the last bound lies in the last place.
    counts: [AtomicU64; MOST + 1],
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(scale: &'static Scale) -> Self {
        Self {
            scale,
            counts: [const { AtomicU64::new(0) }; MOST + 1],
            sum: AtomicU64::new(0),
        }
    }

    pub(super) fn observe(&self, value: u64) {
        let place = self.scale.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Adds the lines of Prometheus' text format 0.0.4; nothing when nothing was observed.
    pub(super) fn render(&self, text: &mut String, name: &str, labels: &str) {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let counts: Vec<u64> = counts.take(self.scale.bounds.len() + 1).collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return;
        }
        let mut below = 0;
        // Writing to a string cannot fail.
        for (bound, count) in self.scale.bounds.iter().zip(&counts) {
            below += count;
            let bound = self.print(*bound);
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {total}");
        let sum = self.print(self.sum.load(Ordering::Relaxed));
        let _ = writeln!(text, "{name}_sum{{{labels}}} {sum}");
        let _ = writeln!(text, "{name}_count{{{labels}}} {total}");
    }

    /// A value in the printed unit, exact.
    fn print(&self, value: u64) -> String {
        let divisor = self.scale.divisor;
        if divisor == 1 {
            return value.to_string();
        }
        let digits = divisor.ilog10() as usize;
        let text = format!("{}.{:0digits$}", value / divisor, value % divisor);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SCALE: Scale = Scale {
        bounds: &[10_000, 2_500_000],
        divisor: 1_000_000,
    };

    #[test]
    fn what_is_observed_lies_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&SCALE);
        let mut text = String::new();
        histogram.render(&mut text, "t_seconds", "a=\"b\"");
        assert_eq!(text, "");
        for value in [0, 10_000, 10_001, 2_500_000, 3_000_000] {
            histogram.observe(value);
        }
        histogram.render(&mut text, "t_seconds", "a=\"b\"");
        let expected = "t_seconds_bucket{a=\"b\",le=\"0.01\"} 2\n\
                        t_seconds_bucket{a=\"b\",le=\"2.5\"} 4\n\
                        t_seconds_bucket{a=\"b\",le=\"+Inf\"} 5\n\
                        t_seconds_sum{a=\"b\"} 5.520001\n\
                        t_seconds_count{a=\"b\"} 5\n";
        assert_eq!(text, expected);
    }
}
