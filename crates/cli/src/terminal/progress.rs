//! Progress on standard error.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressStyle};
use stead_kernel::command::ProgressBar;

/// How often a bar moves on its own.
const TICK: Duration = Duration::from_millis(120);

/// A bar that disappears when it is dropped.
pub(super) struct Bar(indicatif::ProgressBar);

impl Bar {
    /// A bar below the others; its units are bytes.
    pub(super) fn new(bars: &MultiProgress, label: &str, total: Option<u64>) -> Self {
        let bar = indicatif::ProgressBar::no_length()
            .with_style(style(false))
            .with_prefix(label.to_owned());
        let bar = bars.add(bar);
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        let bar = Self(bar);
        if total.is_some() {
            bar.set(0, total);
        }
        bar
    }
}

fn style(sized: bool) -> ProgressStyle {
    let template = if sized {
        "{prefix} {bar:24} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {wide_msg}"
    } else {
        "{spinner} {prefix} {wide_msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl ProgressBar for Bar {
    fn set(&self, done: u64, total: Option<u64>) {
        if self.0.length() != total {
            match total {
                Some(total) => self.0.set_length(total),
                None => self.0.unset_length(),
            }
            self.0.set_style(style(total.is_some()));
        }
        self.0.set_position(done);
    }

    fn message(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
