//! How long it takes to reserve and settle: `cargo run --release -p stead-metering --example measure`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "it is run by hand"
)]

use std::{sync::Arc, thread, time::Instant};

use jiff::Timestamp;
use stead_metering::{Bound, Limit, Measure, Terms, Used, Window, reserve};

const ROUNDS: u32 = 1_000_000;

fn main() {
    let now = Timestamp::now();
    for threads in [1, 2] {
        for count in [1, 4, 8] {
            let limits: Vec<Arc<Limit>> = (0..count)
                .map(|rank| {
                    let terms = Terms {
                        measure: Measure::ALL.into_iter().nth(rank % 6).unwrap(),
                        window: Some(Window::Month),
                        ceiling: u64::MAX / 2,
                        hard: true,
                    };
                    let limit = Arc::new(Limit::new(rank as u64, terms, now));
                    limit.seed(limit.read(now).span, 0, now);
                    limit
                })
                .collect();
            let began = Instant::now();
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        let bound = Bound {
                            input: Some(100),
                            output: Some(100),
                            spend: Some(1_000),
                        };
                        for _ in 0..ROUNDS {
                            let mut mine = limits.clone();
                            let reservation = reserve(&mut mine, &bound, now, now).unwrap();
                            reservation.settle(&Used {
                                requests: 1,
                                input: 90,
                                output: 10,
                                spend: 500,
                            });
                        }
                    });
                }
            });
            let each = began.elapsed().as_nanos() as f64 / f64::from(ROUNDS);
            println!("{threads} threads, {count} limits: {each:.0} ns for a request");
        }
    }
}
