//! Carries messages between two WebSockets until one of them ends.
//!
//! A message that came in several frames goes on in one. Pings are answered on each side by itself, and sent to each
//! side, so that a peer that vanished is noticed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, MissedTickBehavior},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

/// The largest message, in bytes. `OpenAI` takes 15 MiB of sound in one
/// (<https://platform.openai.com/docs/api-reference/realtime-client-events/input_audio_buffer/append>), which is a third
/// more in base64.
pub(super) const MESSAGE_LIMIT: usize = 24 << 20;
/// What is read at once, in bytes.
const BUFFER: usize = 16 << 10;
/// How often each side is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// How long a side may say nothing, not even that it is there, or take nothing of what is sent to it.
const SILENCE: Duration = Duration::from_secs(50);
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One of the two WebSockets.
pub(super) struct Peer<S> {
    out: SplitSink<WebSocketStream<S>, Message>,
    pub(super) input: SplitStream<WebSocketStream<S>>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Provider,
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// One side closed it.
    Closed(Side, Option<CloseFrame>),
    /// One side is gone without a word, or does not speak the protocol; why.
    Lost(Side, String),
    /// One side sent a message beyond the limit.
    TooLarge(Side),
    /// Nothing was said for too long.
    Idle,
    /// It took as long as it may.
    Expired,
    /// This process stops.
    Stopped,
}

/// What ends a conversation that nobody ends.
pub(super) struct Bounds<'a> {
    pub(super) idle: Duration,
    pub(super) until: Instant,
    pub(super) stop: &'a CancellationToken,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Takes over a connection after its handshake.
    pub(super) async fn over(io: S, role: Role) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        let socket = WebSocketStream::from_raw_socket(io, role, Some(config)).await;
        let (out, input) = socket.split();
        Self { out, input }
    }

    /// Says something, if the other side still listens.
    pub(super) async fn say(&mut self, text: String) {
        let saying = self.out.send(Message::text(text));
        // Who does not listen any more is not told.
        drop(tokio::time::timeout(LAST_WORDS, saying).await);
    }

    /// Says why the connection ends, or answers who said so first, and waits for the other side to do the same.
    pub(super) async fn part(mut self, frame: Option<CloseFrame>) {
        let parting = async {
            // After a close of the other side only the answer is left to send, which waits already.
            drop(self.out.send(Message::Close(frame)).await);
            drop(self.out.flush().await);
            while let Some(Ok(_)) = self.input.next().await {}
            // What came after a message that is too large is read away, so that no reset swallows the last words.
            if let Ok(socket) = self.out.reunite(self.input) {
                let mut io = socket.into_inner();
                drop(io.shutdown().await);
                drop(tokio::io::copy(&mut io, &mut tokio::io::sink()).await);
            }
        };
        drop(tokio::time::timeout(LAST_WORDS, parting).await);
    }
}

/// A frame that closes a connection. Reasons may have 123 bytes (RFC 6455, section 5.5).
pub(super) fn frame(code: CloseCode, reason: &str) -> CloseFrame {
    let end = reason.floor_char_boundary(123);
    CloseFrame {
        code,
        reason: reason.get(..end).unwrap_or_default().into(),
    }
}

/// When something was said last, on either side.
struct Marks(Mutex<Instant>);

impl Marks {
    fn said(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Resolves when nothing was said for so long.
    async fn quiet(&self, idle: Duration) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= idle {
                return;
            }
            tokio::time::sleep_until(last + idle).await;
        }
    }
}

/// Carries messages both ways until something ends that. `hear` gets the provider's texts before the client does.
pub(super) async fn pass<C, P>(
    client: &mut Peer<C>,
    provider: &mut Peer<P>,
    bounds: &Bounds<'_>,
    hear: &mut (dyn FnMut(&[u8]) + Send),
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    let marks = Marks(Mutex::new(Instant::now()));
    let mut ignore = |_: &[u8]| {};
    let up = carry(&mut client.input, &mut provider.out, &marks, &mut ignore);
    let down = carry(&mut provider.input, &mut client.out, &marks, hear);
    tokio::select! {
        biased;
        halt = down => halt.between(Side::Provider, Side::Client),
        halt = up => halt.between(Side::Client, Side::Provider),
        () = bounds.stop.cancelled() => End::Stopped,
        () = tokio::time::sleep_until(bounds.until) => End::Expired,
        () = marks.quiet(bounds.idle) => End::Idle,
    }
}

/// Why messages of one direction go no further.
enum Halt {
    Closed(Option<CloseFrame>),
    TooLarge,
    /// Who sends is gone.
    Sender(String),
    /// Who is sent to is gone.
    Receiver(String),
}

impl Halt {
    fn between(self, sender: Side, receiver: Side) -> End {
        match self {
            Self::Closed(frame) => End::Closed(sender, frame),
            Self::TooLarge => End::TooLarge(sender),
            Self::Sender(why) => End::Lost(sender, why),
            Self::Receiver(why) => End::Lost(receiver, why),
        }
    }
}

/// Carries one direction. Nothing is read while what was read before is not taken.
async fn carry<A, B>(
    from: &mut SplitStream<WebSocketStream<A>>,
    to: &mut SplitSink<WebSocketStream<B>, Message>,
    marks: &Marks,
    hear: &mut (dyn FnMut(&[u8]) + Send),
) -> Halt
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let next = tokio::select! {
            next = from.next() => next,
            _ = ping.tick() => {
                if let Err(why) = give(to, Message::Ping(Bytes::new())).await {
                    return Halt::Receiver(why);
                }
                continue;
            }
            () = tokio::time::sleep_until(heard + SILENCE) => {
                return Halt::Sender("it does not answer any more".to_owned());
            }
        };
        heard = Instant::now();
        let message = match next {
            Some(Ok(message)) => message,
            Some(Err(Error::Capacity(_))) => return Halt::TooLarge,
            Some(Err(error)) => return Halt::Sender(error.to_string()),
            None => return Halt::Sender("the connection ended".to_owned()),
        };
        match &message {
            Message::Text(text) => hear(text.as_bytes()),
            Message::Binary(_) => {}
            // Each side is answered where its ping came in.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            Message::Close(frame) => return Halt::Closed(frame.clone()),
        }
        marks.said();
        if let Err(why) = give(to, message).await {
            return Halt::Receiver(why);
        }
    }
}

/// Sends a message, and waits until the connection has taken it.
async fn give<S>(to: &mut SplitSink<WebSocketStream<S>, Message>, message: Message) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match tokio::time::timeout(SILENCE, to.send(message)).await {
        Ok(sent) => sent.map_err(|error| error.to_string()),
        Err(_) => Err("it takes nothing any more".to_owned()),
    }
}
