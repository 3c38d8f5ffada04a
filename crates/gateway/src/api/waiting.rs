//! Streams whose first token is slow: the client hears that it should wait, so that nothing between it and us gives
//! up the connection.
//!
//! *Invariant:* until the pause is over, nothing is sent, so that a failure still has its status.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use stead_dialects::chat::View;
use stead_kernel::Body;
use tokio::time::{Instant, Sleep};

use super::{
    error::ApiError,
    job::{self, Done, Job, Prepared, Rest},
};
use crate::stream::StreamBody;

/// How long nothing is sent, and between two comments after that.
const PAUSE: Duration = Duration::from_secs(10);
/// A comment, which every reader of server-sent events skips
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes>).
const COMMENT: &[u8] = b": waiting for the first token\n\n";

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Answers with a stream, and with comments before it when it is slow to begin.
pub(super) async fn answer(job: Job, prepared: Prepared) -> Response {
    let surface = job.surface;
    let early = job::describe(&job.ledger);
    let (id, created) = (job.ledger.uuid(), job.gateway.clock.now().as_second());
    let request = Arc::clone(&prepared.request);
    let mut work: Work = Box::pin(job.run(prepared));
    if let Ok(done) = tokio::time::timeout(PAUSE, &mut work).await {
        return done.respond(surface);
    }
    let failed = move |error: &ApiError| {
        surface.failed_stream(error, &request, || View {
            id: id.to_string(),
            model: request.fields.model.clone(),
            created,
            request: request.request().map(Arc::clone).unwrap_or_default(),
        })
    };
    let body = WaitingBody {
        state: State::Waiting(work),
        failed: Box::new(failed),
        alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
    };
    let mut response = job::stream(surface, None, Body::new(body));
    response.headers_mut().extend(early);
    response
}

/// Comments, then the stream.
struct WaitingBody {
    state: State,
    /// What a client is told whose answer did not come.
    failed: Box<dyn Fn(&ApiError) -> Bytes + Send>,
    alarm: Pin<Box<Sleep>>,
}

enum State {
    Waiting(Work),
    Streaming(Box<StreamBody>),
    Over,
}

impl WaitingBody {
    /// The work is done: goes on with its stream, or ends with what it says.
    fn begin(&mut self, done: Done) -> Option<Bytes> {
        self.state = State::Over;
        match done.settle().1 {
            Rest::Stream(_, body) => {
                self.state = State::Streaming(body);
                None
            }
            Rest::Whole(_, _, body) => Some(body),
            Rest::Failed(error) => Some((self.failed)(&error)),
            Rest::Joined(_) => Some((self.failed)(&ApiError::upstream(
                "a WebSocket came that nobody asked for",
            ))),
        }
    }
}

impl HttpBody for WaitingBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let State::Waiting(work) = &mut this.state {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                if let Some(bytes) = this.begin(done) {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
            } else {
                ready!(this.alarm.as_mut().poll(context));
                this.alarm.as_mut().reset(Instant::now() + PAUSE);
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))));
            }
        }
        match &mut this.state {
            State::Streaming(body) => Pin::new(&mut **body).poll_frame(context),
            State::Waiting(_) | State::Over => Poll::Ready(None),
        }
    }
}
