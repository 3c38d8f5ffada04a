//! What streams of forwarded frames have in common: a provider's bytes come in, pieces wait to go out.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Body as _;
use stead_kernel::Body;

use crate::{dispatch::Failure, snapshot::Provider};

/// Reads a provider's body when nothing waits to go out.
pub(crate) struct Pump {
    pub(crate) provider: Arc<Provider>,
    body: Body,
    waiting: VecDeque<Result<Bytes, Failure>>,
    ended: bool,
}

/// What comes next.
pub(crate) enum Turn {
    /// A piece for the client; `None` after the last one.
    Piece(Option<Result<Bytes, Failure>>),
    /// Bytes of the provider, to be taken in.
    Data(Bytes),
    /// The provider closed, which is the end only after a complete answer.
    Closed,
}

impl Pump {
    pub(crate) fn new(provider: Arc<Provider>, body: Body) -> Self {
        Self {
            provider,
            body,
            waiting: VecDeque::new(),
            ended: false,
        }
    }

    /// Puts a piece behind those that wait.
    pub(crate) fn pass(&mut self, piece: Bytes) {
        self.waiting.push_back(Ok(piece));
    }

    /// Nothing more is read.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing more is read, and the client hears why once it has what waits.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.waiting.push_back(Err(failure));
        self.ended = true;
    }

    /// What comes next; a connection that breaks is a failure.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        loop {
            if let Some(piece) = self.waiting.pop_front() {
                return Poll::Ready(Turn::Piece(Some(piece)));
            }
            if self.ended {
                return Poll::Ready(Turn::Piece(None));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Turn::Data(data));
                    }
                }
                Some(Err(_)) => self.fail(Failure::broken(&self.provider)),
                None => return Poll::Ready(Turn::Closed),
            }
        }
    }
}
