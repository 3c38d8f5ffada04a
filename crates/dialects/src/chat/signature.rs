//! Opaque tokens that vendors want back, marked with whose they are.
//!
//! A conversation may change its provider from one turn to the next, and a vendor refuses a signature that is not its
//! own. So in this form every signature and every redacted reasoning begins with its vendor and a colon (no vendor's
//! tokens, base64 all of them, have one): whoever reads an answer marks, whoever writes a request takes its own only.
//! A client's dialect whose own vendor it is shows the token bare, and marks it again when it comes back.

use super::Wire;

/// Whose tokens they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// Anthropic's `signature` and redacted `data`, which Bedrock and Vertex AI give and take too.
    Anthropic,
    /// Gemini's `thoughtSignature`, on Vertex AI too.
    Gemini,
    /// OpenAI's `encrypted_content`.
    OpenAi,
    /// Mistral's `signature` of thinking.
    Mistral,
}

impl Vendor {
    /// Every vendor.
    pub const ALL: [Self; 4] = [Self::Anthropic, Self::Gemini, Self::OpenAi, Self::Mistral];

    /// The mark, without its colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::OpenAi => "openai",
            Self::Mistral => "mistral",
        }
    }

    /// Marks a token as this vendor's, unless it is marked already.
    pub fn mark(self, token: &str) -> String {
        match Self::of(token) {
            Some(_) => token.to_owned(),
            None => format!("{}:{token}", self.as_str()),
        }
    }

    /// The token without its mark when it is this vendor's; `None` when it is another's or nobody's.
    pub fn own(self, marked: &str) -> Option<&str> {
        marked.strip_prefix(self.as_str())?.strip_prefix(':')
    }

    /// The token as this vendor's own clients see it: bare when it is its own, marked otherwise.
    pub fn show(self, marked: &str) -> &str {
        self.own(marked).unwrap_or(marked)
    }

    /// Whose token it is by its mark.
    pub fn of(marked: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.own(marked).is_some())
    }
}

/// Whether a client's body seems to hold tokens that another vendor than the dialect's own gave it. Such a body must be
/// translated even when its provider speaks its dialect. It looks at how texts begin, so it may be wrong, but never
/// misses one.
pub fn holds_foreign_tokens(body: &[u8], wire: Wire) -> bool {
    let own = match wire {
        Wire::Gemini => return crate::gemini::holds_foreign_signatures(body),
        Wire::Anthropic | Wire::Bedrock => Some(Vendor::Anthropic),
        Wire::Responses => Some(Vendor::OpenAi),
        Wire::Mistral => Some(Vendor::Mistral),
        // Their own clients see all tokens marked.
        Wire::OpenAi | Wire::Ollama | Wire::OllamaGenerate | Wire::Cohere => return false,
    };
    Vendor::ALL
        .into_iter()
        .filter(|vendor| Some(*vendor) != own)
        .any(|vendor| memchr::memmem::find(body, format!("\"{}:", vendor.as_str()).as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::Vendor;

    #[test]
    fn a_token_is_given_to_its_own_vendor_only() {
        let marked = Vendor::Gemini.mark("c2ln");
        assert_eq!(marked, "gemini:c2ln");
        assert_eq!(Vendor::Gemini.mark(&marked), marked, "marked once");
        assert_eq!(Vendor::Anthropic.mark(&marked), marked, "it stays whose it is");
        assert_eq!(Vendor::Gemini.own(&marked), Some("c2ln"));
        assert_eq!(Vendor::Anthropic.own(&marked), None);
        assert_eq!(Vendor::Anthropic.own("c2ln"), None);
        assert_eq!(Vendor::Gemini.show(&marked), "c2ln");
        assert_eq!(Vendor::Anthropic.show(&marked), "gemini:c2ln");
        assert_eq!(Vendor::of("c2ln"), None);
    }
}
