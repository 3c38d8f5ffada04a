//! Waiting at the edges where time is real.

use std::{net::TcpListener, time::Duration};

use tokio::time::Instant;

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds something, and returns it.
///
/// # Panics
/// When nothing was found before the deadline; the message says what was waited for.
pub async fn poll_until<T, F>(deadline: Duration, what: &str, mut look: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < end,
            "waited {} s in vain for {what}",
            deadline.as_secs()
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// A TCP port of the loopback interface that was free a moment ago. Prefer to let the program bind port 0 and say
/// which it got.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback interface has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}
