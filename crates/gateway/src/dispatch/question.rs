//! What conditions and strategies want to know of a request, found when they ask.
//!
//! *Invariant:* a route that asks nothing costs nothing.

use http::HeaderMap;
use stead_dialects::{
    chat::{Content, Message, Role, Wire},
    scan,
};
use stead_kernel::ports::{Prices, TokenUsage};
use stead_routing::{Answering, Facts, stable};
use tokio::time::Instant;

use crate::{
    api::surface::Surface,
    operation::Operation,
    route::policy::StickyBy,
    scan::Scanned,
    snapshot::{Asker, Route, Target},
};

/// How much an answer is expected to hold, in tokens, where its price matters and the client sets no limit.
const EXPECTED_OUTPUT: u64 = 500;
/// How much of a conversation's beginning tells it from others, in bytes.
const OPENING: usize = 8 << 10;

/// A request as strategies see it.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) asker: Asker<'a>,
    pub(crate) user: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) request: &'a Scanned,
    /// By which API it came.
    pub(crate) surface: Surface,
    pub(crate) prices: &'a dyn Prices,
}

impl Question<'_> {
    /// How its answer comes.
    pub(crate) fn answering(&self) -> Answering {
        if self.request.fields.stream && self.surface.operation.facts().streams {
            Answering::Streamed
        } else {
            Answering::Whole
        }
    }

    /// What is hashed instead of drawing a number.
    pub(super) fn sticky(&self, route: &Route, by: StickyBy) -> u64 {
        match by {
            StickyBy::Session => self.session(route),
            StickyBy::User => self.hash(b'u', self.user.as_bytes()),
            StickyBy::Key => match self.asker.key {
                Some(key) => self.hash(b'k', key.name.as_bytes()),
                None => self.hash(b'u', self.user.as_bytes()),
            },
        }
    }

    /// The session: by its header, else by the user that the request names, else by the conversation's beginning.
    pub(super) fn session(&self, route: &Route) -> u64 {
        if let Some(named) = self.headers.get(&route.session) {
            return self.hash(b's', named.as_bytes());
        }
        if let Some(user) = &self.request.fields.user {
            return self.hash(b'e', user.as_bytes());
        }
        let parsed = (self.surface.operation == Operation::Chat).then(|| self.request.request().ok());
        let Some(request) = parsed.flatten() else {
            let body = &self.request.body;
            return self.hash(b'b', body.get(..body.len().min(OPENING)).unwrap_or_default());
        };
        let named = request
            .user
            .as_deref()
            .filter(|_| self.request.wire != Wire::OpenAi);
        match named {
            Some(user) => self.hash(b'e', user.as_bytes()),
            None => self.hash(b'c', &opening(&request.messages)),
        }
    }

    /// Sessions of two projects have nothing in common.
    fn hash(&self, sort: u8, bytes: &[u8]) -> u64 {
        stable(stable(u64::from(sort), self.asker.project.as_bytes()), bytes)
    }

    /// The prompt, in pieces.
    pub(super) fn prompt(&self) -> Vec<&[u8]> {
        scan::prompt(&self.request.body)
    }

    /// What the request would cost at a target, in billionths of a dollar, as far as that can be told before.
    pub(super) fn price(&self, target: &Target) -> Option<u64> {
        let provider = &target.provider;
        let price = provider
            .prices
            .price(&provider.vendor, &target.model, self.prices)?;
        let fields = &self.request.fields;
        let usage = TokenUsage {
            input: self.input_tokens(),
            output: fields.max_tokens.unwrap_or(EXPECTED_OUTPUT).min(EXPECTED_OUTPUT),
            gpu_ms: if price.is_by_time() { gpu_ms(target) } else { 0 },
            ..TokenUsage::default()
        };
        u64::try_from(price.cost(&usage).0).ok()
    }
}

/// How long a target works on a request, as it has lately; nothing as long as it was never asked, so that it will be.
fn gpu_ms(target: &Target) -> u64 {
    let now = Instant::now().into_std();
    let expected = target.live.expected(Answering::Whole, now).unwrap_or_default();
    u64::try_from(expected.as_millis()).unwrap_or(u64::MAX)
}

impl Facts for Question<'_> {
    fn label(&self, name: &str) -> Option<&str> {
        self.asker.key?.labels.get(name).map(String::as_str)
    }

    fn metadata(&self, name: &str) -> Option<&str> {
        let request = self.request.request().ok()?;
        request.metadata.get(name).map(String::as_str)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn model(&self) -> &str {
        &self.request.fields.model
    }

    fn has_tools(&self) -> bool {
        self.request.fields.has_tools
    }

    fn has_images(&self) -> bool {
        let Ok(request) = self.request.request() else {
            return false;
        };
        let mut parts = request.messages.iter().flat_map(|message| &message.parts);
        parts.any(|part| matches!(part.content, Content::Image { .. }))
    }

    fn streams(&self) -> bool {
        self.answering() == Answering::Streamed
    }

    fn input_tokens(&self) -> u64 {
        u64::try_from(self.request.body.len().div_ceil(4)).unwrap_or(u64::MAX)
    }
}

/// The texts of the messages up to the first of the user, which every later request of the conversation begins with.
fn opening(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.push(match message.role {
            Role::System | Role::Developer => 1,
            Role::User => 2,
            Role::Assistant => 3,
            Role::Tool => 4,
        });
        for part in &message.parts {
            if let Content::Text { text, .. } = &part.content {
                bytes.extend_from_slice(text.as_bytes());
            }
            bytes.push(0);
        }
        if message.role == Role::User || bytes.len() > OPENING {
            break;
        }
    }
    bytes.truncate(OPENING);
    bytes
}
