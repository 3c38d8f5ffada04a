//! The body of an answer, which reads its connection.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::uri::Authority;
use http_body::{Frame, SizeHint};

use super::{
    Pool, Sending,
    framing::{Framing, Step},
    link::Link,
};

/// A body that gives its connection back to the pool at its end.
pub(super) struct Answer {
    /// `None` after the end.
    link: Option<Link>,
    framing: Framing,
    /// What is left of a request that was answered before all of it was sent.
    sending: Option<Box<Sending>>,
    /// Whether the connection may be used once more.
    keep: bool,
    pool: Weak<Pool>,
    authority: Authority,
}

impl Answer {
    /// The body that comes on `link` next.
    pub(super) fn new(
        link: Link,
        (framing, keep): (Framing, bool),
        sending: Option<Box<Sending>>,
        pool: &Arc<Pool>,
        authority: &Authority,
    ) -> Self {
        let mut answer = Self {
            link: Some(link),
            framing,
            sending,
            keep,
            pool: Arc::downgrade(pool),
            authority: authority.clone(),
        };
        if framing == Framing::NONE {
            answer.end();
        }
        answer
    }

    /// Goes on with the request. When that fails, the answer is still worth reading.
    fn send(&mut self, context: &mut Context<'_>) {
        if let (Some(link), Some(sending)) = (&mut self.link, &mut self.sending)
            && let Poll::Ready(sent) = link.poll_send(sending, context)
        {
            self.keep &= sent.is_ok();
            self.sending = None;
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.send(context);
        loop {
            let Some(link) = &mut self.link else {
                return Poll::Ready(Ok(None));
            };
            match self.framing.step(&mut link.input)? {
                Step::Piece(piece) => {
                    // An end that is there already is noticed, so that nobody has to ask for it.
                    if self.framing.is_over(&mut link.input).unwrap_or(false) {
                        self.end();
                    }
                    return Poll::Ready(Ok(Some(piece)));
                }
                Step::End => self.end(),
                Step::More if ready!(link.poll_fill(context))? > 0 => {}
                Step::More if self.framing == Framing::UntilClose => self.link = None,
                Step::More => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    fn end(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        let reusable = self.keep && self.sending.is_none() && link.is_idle();
        if let (true, Some(pool)) = (reusable, self.pool.upgrade()) {
            pool.put(&self.authority, link);
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.poll_piece(context));
        if piece.is_err() {
            self.link = None;
        }
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.link.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.framing
            .known()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
