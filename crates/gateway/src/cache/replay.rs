//! Kept answers on their way to another client: whole or as a stream, whichever is asked for.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use stead_dialects::chat::{Encoder, View, Wire};
use stead_kernel::ports::TokenUsage;

use super::{gather::events, store::Kept};
use crate::{
    api::error::ApiError,
    dispatch::Failure,
    stream::{Source, take_event},
    tally::Tally,
    upstream::Answer,
};

/// A kept answer as a client asked for it; `None` when it cannot be given in this form. It took no tokens.
pub(crate) fn replay(
    kept: &Kept,
    wire: Wire,
    view: Option<View>,
    streams: bool,
    keep: bool,
) -> Option<Answer> {
    let mut tally = Tally::new(keep);
    let client = stead_dialects::client(wire);
    let answer = if streams {
        let answer = kept.answer.as_ref()?;
        let mut encoder = client?.stream(view?);
        let mut head = Vec::new();
        for event in events(answer) {
            take_event(&event, &mut tally);
            encoder.event(&event, &mut head);
        }
        Answer::Stream {
            sort: None,
            head: head.into(),
            source: Box::new(Replayed { encoder }),
            tally: Tally::default(),
        }
    } else {
        let (status, body) = if let Some((status, body)) = &kept.whole {
            (*status, body.clone())
        } else {
            let body = client?.answer(kept.answer.as_ref()?, &view?);
            (StatusCode::OK, Bytes::from(body))
        };
        tally.whole(&body);
        Answer::Whole {
            status,
            sort: HeaderValue::from_static("application/json"),
            body,
            tally: Tally::default(),
        }
    };
    Some(with(answer, free(tally)))
}

/// The answer with its tally.
fn with(answer: Answer, tally: Tally) -> Answer {
    match answer {
        Answer::Whole {
            status, sort, body, ..
        } => Answer::Whole {
            status,
            sort,
            body,
            tally,
        },
        Answer::Stream {
            sort, head, source, ..
        } => Answer::Stream {
            sort,
            head,
            source,
            tally,
        },
        // Nobody keeps one.
        joined @ Answer::Joined(_) => joined,
    }
}

/// What was produced before costs nothing now.
fn free(tally: Tally) -> Tally {
    Tally {
        usage: Some(TokenUsage::default()),
        pieces: 0,
        finished: true,
        ..tally
    }
}

/// A stream that is over but for its end.
struct Replayed {
    encoder: Box<dyn Encoder>,
}

impl Source for Replayed {
    fn poll_piece(&mut self, _: &mut Context<'_>, _: &mut Tally) -> Poll<Option<Result<Bytes, Failure>>> {
        Poll::Ready(None)
    }

    fn end(&mut self, failure: Option<&ApiError>) -> Bytes {
        let mut out = Vec::new();
        match failure {
            None => self.encoder.end(&mut out),
            Some(error) => self.encoder.fail(&error.neutral(), &mut out),
        }
        out.into()
    }
}
