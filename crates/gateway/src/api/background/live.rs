//! The events of one response, for those who listen now or come back.
//!
//! *Invariant:* memory is bounded: the oldest events go first, and who wants them is told that they are gone.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use stead_kernel::Body;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::encoded;

/// How many bytes of events are kept of one response.
const ROOM: usize = 8 << 20;
/// After what time a listener is told to wait.
const PAUSE: Duration = Duration::from_secs(10);
/// How.
const COMMENT: &[u8] = b": still at work\n\n";

/// A response that is made, or was a moment ago.
pub(super) struct Live {
    /// Ends the work.
    pub(super) cancel: CancellationToken,
    /// Whether there are events.
    pub(super) streams: bool,
    log: Mutex<Log>,
    /// Counts what was told.
    told: watch::Sender<u64>,
}

#[derive(Default)]
struct Log {
    /// By their numbers, which grow.
    events: VecDeque<(u64, Bytes)>,
    bytes: usize,
    /// The number of the next event.
    next: u64,
    /// The number of the last event that is gone.
    gone: Option<u64>,
    over: bool,
}

impl Live {
    pub(super) fn new(streams: bool) -> Self {
        Self {
            cancel: CancellationToken::new(),
            streams,
            log: Mutex::default(),
            told: watch::channel(0).0,
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event; one without a number gets the next one.
    pub(super) fn tell(&self, kind: &str, mut event: Value) {
        {
            let mut log = self.log();
            let given = event.get("sequence_number").and_then(Value::as_u64);
            let number = given.filter(|given| *given >= log.next).unwrap_or(log.next);
            if given != Some(number)
                && let Some(members) = event.as_object_mut()
            {
                members.insert("sequence_number".to_owned(), number.into());
            }
            let bytes = encoded(kind, &event);
            log.next = number + 1;
            log.bytes += bytes.len();
            log.events.push_back((number, bytes));
            while log.bytes > ROOM
                && let Some((number, bytes)) = log.events.pop_front()
            {
                log.bytes -= bytes.len();
                log.gone = Some(number);
            }
        }
        self.told.send_modify(|count| *count += 1);
    }

    /// Nothing comes any more.
    pub(super) fn end(&self) {
        self.log().over = true;
        self.told.send_modify(|count| *count += 1);
    }

    pub(super) fn is_over(&self) -> bool {
        self.log().over
    }

    /// Resolves when nothing comes any more.
    pub(super) async fn ended(&self) {
        let mut told = self.told.subscribe();
        while !self.is_over() {
            if told.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether all events after a number are there.
    pub(super) fn has(&self, after: Option<u64>) -> bool {
        match (self.log().gone, after) {
            (None, _) => true,
            (Some(gone), Some(after)) => gone <= after,
            (Some(_), None) => false,
        }
    }

    /// The events after a number, together, with the number of the last one; and whether there will be more.
    fn after(&self, after: Option<u64>) -> (Bytes, Option<u64>, bool) {
        let log = self.log();
        let new = log
            .events
            .iter()
            .filter(|(number, _)| after.is_none_or(|after| *number > after));
        let (mut bytes, mut last) = (BytesMut::new(), after);
        for (number, event) in new {
            bytes.extend_from_slice(event);
            last = Some(*number);
        }
        (bytes.freeze(), last, log.over)
    }
}

/// Events after a number, as they come, to the end.
pub(super) fn follow(live: Arc<Live>, after: Option<u64>) -> Body {
    let told = live.told.subscribe();
    let first = (live, told, after);
    let events = futures::stream::unfold(first, |(live, mut told, after)| async move {
        loop {
            told.mark_unchanged();
            // Whoever is so slow that events are gone meanwhile gets no stream with a hole.
            if !live.has(after) {
                return None;
            }
            let (bytes, last, over) = live.after(after);
            if !bytes.is_empty() {
                return Some((Ok::<_, std::convert::Infallible>(bytes), (live, told, last)));
            }
            if over {
                return None;
            }
            if timeout(PAUSE, told.changed()).await.is_err() {
                return Some((Ok(Bytes::from_static(COMMENT)), (live, told, after)));
            }
        }
    });
    Body::from_stream(events)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    async fn text(body: Body) -> String {
        let bytes = body.collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_read_again_from_any_number_and_as_they_come() {
        let live = Arc::new(Live::new(true));
        for number in 0..3 {
            live.tell("a", json!({"type": "a", "sequence_number": number}));
        }
        let listening = tokio::join!(text(follow(Arc::clone(&live), Some(1))), async {
            tokio::time::sleep(PAUSE + Duration::from_secs(1)).await;
            live.tell("b", json!({"type": "b"}));
            live.end();
        })
        .0;
        assert_eq!(
            listening,
            "event: a\ndata: {\"type\":\"a\",\"sequence_number\":2}\n\n: still at work\n\n\
             event: b\ndata: {\"type\":\"b\",\"sequence_number\":3}\n\n"
        );
        assert_eq!(
            text(follow(Arc::clone(&live), None))
                .await
                .matches("event: ")
                .count(),
            4
        );
        assert_eq!(text(follow(live, Some(3))).await, "");
    }

    #[tokio::test]
    async fn the_oldest_events_go_when_there_are_too_many() {
        let live = Live::new(true);
        for number in 0..20 {
            live.tell(
                "a",
                json!({"sequence_number": number, "text": "x".repeat(ROOM / 8)}),
            );
        }
        let log = live.log();
        let (first, gone, bytes) = (log.events[0].0, log.gone, log.bytes);
        drop(log);
        assert!(bytes <= ROOM && gone == Some(first - 1));
        assert!(live.has(gone) && !live.has(None) && !live.has(Some(first - 2)));
    }
}
