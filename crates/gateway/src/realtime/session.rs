//! One session, from the client's upgrade to its row.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
    time::Instant,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Joined,
    count::{Count, Told},
    pass::{self, Bounds, End, MESSAGE_LIMIT, Peer, Side},
};
use crate::{
    api::error::ApiError,
    ledger::{ESTIMATED, Ledger},
    snapshot::Provider,
    tally::Tally,
};

/// How long a client may take until its connection is a WebSocket.
const UPGRADE: Duration = Duration::from_secs(10);
/// How long a provider may take to say what a response that nobody waits for has used.
const WIND_DOWN: Duration = Duration::from_secs(3);
/// The label that says how a session ended.
const ENDED: &str = "stead.dev/realtime-end";

/// A session whose provider is there.
pub(crate) struct Session {
    pub(crate) ledger: Box<Ledger>,
    pub(crate) provider: Arc<Provider>,
    /// How long nothing may be said.
    pub(crate) idle: Duration,
    /// When it has to be over.
    pub(crate) until: Instant,
    /// Cancelled when the process stops.
    pub(crate) stop: CancellationToken,
    /// Its place among all that may be open.
    pub(crate) place: OwnedSemaphorePermit,
}

impl Session {
    /// Carries messages until the session ends, and settles it.
    pub(crate) async fn run(self, client: OnUpgrade, joined: Joined) {
        let Self {
            ledger,
            provider,
            idle,
            until,
            stop,
            place,
        } = self;
        let mut record = Record::new(ledger, provider);
        let mut provider = Peer::over(joined.io, Role::Client).await;
        let Ok(Ok(io)) = tokio::time::timeout(UPGRADE, client).await else {
            record.settle(&End::Lost(Side::Client, "it did not upgrade".to_owned()));
            return provider.part(Some(going_away())).await;
        };
        let mut client = Peer::over(TokioIo::new(io), Role::Server).await;
        let bounds = Bounds {
            idle,
            until,
            stop: &stop,
        };
        let end = pass::pass(&mut client, &mut provider, &bounds, &mut |text| record.hear(text)).await;
        if let Some(event) = record.last_event(&end) {
            client.say(event).await;
        }
        let client_leaves = client.part(record.for_client(&end));
        let provider_leaves = async {
            record.wind_down(&mut provider, &end).await;
            let frame = for_provider(&end);
            record.settle(&end);
            provider.part(frame).await;
        };
        tokio::join!(client_leaves, provider_leaves);
        drop(place);
    }
}

/// What is known of a session.
struct Record {
    ledger: Box<Ledger>,
    provider: Arc<Provider>,
    count: Count,
    begun: bool,
}

impl Record {
    fn new(mut ledger: Box<Ledger>, provider: Arc<Provider>) -> Self {
        let count = Count::default();
        ledger.update(count.usage);
        Self {
            ledger,
            provider,
            count,
            begun: false,
        }
    }

    /// Takes in what the provider says. What was used is on the disk before the client hears of it.
    fn hear(&mut self, text: &[u8]) {
        match self.count.hear(text) {
            Told::Nothing => {}
            Told::Piece => {
                if !std::mem::replace(&mut self.begun, true) {
                    self.ledger.first_token();
                }
            }
            Told::Used => self.ledger.update(self.count.usage),
        }
    }

    /// Lets the provider end what nobody waits for any more, and say what it has used: a response that is cancelled
    /// ends like any other, with its usage
    /// (<https://platform.openai.com/docs/api-reference/realtime-client-events/response/cancel>).
    async fn wind_down<S>(&mut self, provider: &mut Peer<S>, end: &End)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.count.open == 0 || end.is_of(Side::Provider) {
            return;
        }
        provider.say(json!({"type": "response.cancel"}).to_string()).await;
        let listening = async {
            while self.count.open > 0 {
                match provider.input.next().await {
                    Some(Ok(Message::Text(text))) => self.hear(text.as_bytes()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                }
            }
        };
        // What it does not say in time is estimated.
        drop(tokio::time::timeout(WIND_DOWN, listening).await);
    }

    /// What the client is told of an end that is none of its doing, as `OpenAI` tells errors
    /// (<https://platform.openai.com/docs/api-reference/realtime-server-events/error>).
    fn last_event(&self, end: &End) -> Option<String> {
        let (kind, code) = match end {
            End::Closed(..) | End::Lost(Side::Client, _) | End::Stopped => return None,
            End::TooLarge(Side::Client) => ("invalid_request_error", "message_too_large"),
            End::Lost(Side::Provider, _) | End::TooLarge(Side::Provider) => {
                ("server_error", "upstream_error")
            }
            End::Idle => ("invalid_request_error", "session_idle"),
            End::Expired => ("invalid_request_error", "session_expired"),
        };
        let error =
            json!({"type": kind, "code": code, "message": self.why(end), "param": null, "event_id": null});
        let id = format!("event_{}", Uuid::now_v7().simple());
        Some(json!({"type": "error", "event_id": id, "error": error}).to_string())
    }

    /// The frame that closes the client's connection.
    fn for_client(&self, end: &End) -> Option<CloseFrame> {
        match end {
            End::Closed(_, frame) => frame.as_ref().map(|frame| {
                let reason = self.provider.redact(frame.reason.to_string());
                pass::frame(frame.code, &reason)
            }),
            End::Lost(Side::Client, _) => None,
            End::TooLarge(Side::Client) => Some(pass::frame(CloseCode::Size, "the message is too large")),
            End::Lost(Side::Provider, _) | End::TooLarge(Side::Provider) => {
                Some(pass::frame(CloseCode::Error, "the provider is gone"))
            }
            End::Idle => Some(pass::frame(CloseCode::Away, "nothing was said for too long")),
            End::Expired => Some(pass::frame(CloseCode::Away, "the session took as long as it may")),
            End::Stopped => Some(pass::frame(CloseCode::Away, "this gateway stops; connect again")),
        }
    }

    /// The end in a sentence.
    fn why(&self, end: &End) -> String {
        let name = &self.provider.name;
        match end {
            End::Closed(side, frame) => {
                let said = frame.as_ref().map_or_else(
                    || "without a code".to_owned(),
                    |frame| format!("with code {} {}", u16::from(frame.code), frame.reason),
                );
                let who = match side {
                    Side::Client => "the client",
                    Side::Provider => "the provider",
                };
                self.provider
                    .redact(format!("{who} closed the session {}", said.trim_end()))
            }
            End::Lost(Side::Client, why) => format!("the client left: {why}"),
            End::Lost(Side::Provider, why) => {
                let why = self.provider.redact(why.clone());
                format!("provider `{name}` broke off the session: {why}")
            }
            End::TooLarge(Side::Client) => {
                format!("a message is larger than {MESSAGE_LIMIT} bytes, the limit of this server")
            }
            End::TooLarge(Side::Provider) => {
                format!("provider `{name}` sent a message of more than {MESSAGE_LIMIT} bytes")
            }
            End::Idle => "nothing was said for as long as the route allows".to_owned(),
            End::Expired => "the session took as long as the route allows".to_owned(),
            End::Stopped => "the gateway stopped".to_owned(),
        }
    }

    /// Settles the session: as a success where one of the two ended it in good order, or its time was up.
    fn settle(self, end: &End) {
        let why = self.why(end);
        let mut labels = self.count.labels();
        labels.insert(ENDED.to_owned(), why.clone());
        let unfinished = self.count.unfinished();
        let mut usage = self.count.usage;
        if unfinished > 0 {
            usage.output = usage.output.saturating_add(unfinished);
            labels.insert(ESTIMATED.0.to_owned(), ESTIMATED.1.to_owned());
        }
        let tally = Tally {
            usage: Some(usage),
            pieces: usage.output,
            labels,
            ..Tally::default()
        };
        match end {
            End::Closed(Side::Provider, Some(frame)) if !is_good(frame.code) => {
                self.ledger.fail(&ApiError::upstream(why), tally);
            }
            End::Lost(Side::Provider, _) | End::TooLarge(Side::Provider) => {
                self.ledger.fail(&ApiError::upstream(why), tally);
            }
            End::TooLarge(Side::Client) => {
                self.ledger
                    .fail(&ApiError::invalid("message_too_large", why), tally);
            }
            End::Lost(Side::Client, _) => self.ledger.cancel(tally),
            End::Closed(..) | End::Idle | End::Expired | End::Stopped => drop(self.ledger.succeed(tally)),
        }
    }
}

impl End {
    /// Whether it is this side that ended it, or is gone.
    fn is_of(&self, side: Side) -> bool {
        match self {
            Self::Closed(who, _) | Self::Lost(who, _) => *who == side,
            Self::TooLarge(_) | Self::Idle | Self::Expired | Self::Stopped => false,
        }
    }
}

/// The frame that closes the provider's connection.
fn for_provider(end: &End) -> Option<CloseFrame> {
    match end {
        End::Closed(_, frame) => frame.clone(),
        End::Lost(Side::Provider, _) => None,
        End::TooLarge(Side::Provider) => Some(pass::frame(CloseCode::Size, "the message is too large")),
        End::Lost(Side::Client, _)
        | End::TooLarge(Side::Client)
        | End::Idle
        | End::Expired
        | End::Stopped => Some(going_away()),
    }
}

fn going_away() -> CloseFrame {
    pass::frame(CloseCode::Away, "the client is gone")
}

/// Whether a session that ends so went well (<https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>).
fn is_good(code: CloseCode) -> bool {
    matches!(code, CloseCode::Normal | CloseCode::Away | CloseCode::Status)
}
