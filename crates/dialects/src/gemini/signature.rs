//! Thought signatures on the wire.
//!
//! Gemini's `thoughtSignature` is of the type bytes, so SDKs decode it from base64 and encode it again, in the URL-safe
//! alphabet at times. Tokens of other vendors therefore reach Gemini's clients with their mark, in base64 of their own:
//! whatever alphabet they come back in, they are what they were.
//!
//! Other dialects have one place for signatures, beside the reasoning. So the signature of a text or of media is marked
//! as such behind its vendor's mark (a full stop is in no base64), and finds back to its part from there.
//! <https://ai.google.dev/gemini-api/docs/thought-signatures>

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::chat::Vendor;

const REDACTED: &str = "redacted:";
const OF_TEXT: &str = "text.";

/// What Google's document gives for calls that come from another model, where Gemini 3 requires a signature.
pub(super) const FOREIGN_CALL: &str = "skip_thought_signature_validator";

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client's `thoughtSignature` turns out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signature {
    /// A signature, marked with its vendor.
    Token(String),
    /// Another vendor's redacted reasoning, marked.
    Redacted(String),
}

/// Base64 in the standard alphabet with padding, as the form wants it.
pub(super) fn standard(data: &str) -> String {
    let mut data = data.replace('-', "+").replace('_', "/");
    while !data.len().is_multiple_of(4) {
        data.push('=');
    }
    data
}

/// Reads the signature of a part.
pub(super) fn read(text: &str) -> Signature {
    let inner = ENGINE
        .decode(standard(text))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(inner) = inner {
        if let Some(data) = inner.strip_prefix(REDACTED)
            && Vendor::of(data).is_some()
        {
            return Signature::Redacted(data.to_owned());
        }
        if Vendor::of(&inner).is_some() {
            return Signature::Token(inner);
        }
    }
    Signature::Token(Vendor::Gemini.mark(text))
}

/// A signature of Gemini as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) token: String,
    /// It came with a text or with media, not with a thought or a call.
    pub(super) is_of_text: bool,
}

/// Marks a signature as one that came with a text or with media.
pub(super) fn of_text(marked: String) -> String {
    match Vendor::Gemini.own(&marked) {
        Some(token) if !token.starts_with(OF_TEXT) => Vendor::Gemini.mark(&format!("{OF_TEXT}{token}")),
        _ => marked,
    }
}

/// A marked signature, when it is Gemini's.
pub(super) fn own(marked: &str) -> Option<Own> {
    let token = Vendor::Gemini.own(marked)?;
    let bare = token.strip_prefix(OF_TEXT);
    Some(Own {
        token: bare.unwrap_or(token).to_owned(),
        is_of_text: bare.is_some(),
    })
}

/// A marked signature as Gemini's clients see it.
pub(super) fn show(marked: &str) -> Own {
    own(marked).unwrap_or_else(|| Own {
        token: ENGINE.encode(marked),
        is_of_text: false,
    })
}

/// Whether a client's body seems to hold tokens of other vendors, which Gemini would refuse: such a body must be
/// translated even when it goes to Gemini. It looks at how texts begin, so it may be wrong, but never misses one.
pub fn holds_foreign_signatures(body: &[u8]) -> bool {
    let marks = Vendor::ALL
        .into_iter()
        .filter(|vendor| *vendor != Vendor::Gemini)
        .map(|vendor| format!("{}:", vendor.as_str()));
    marks.chain([REDACTED.to_owned()]).any(|mark| {
        let mut start = ENGINE.encode(&mark);
        // What follows the mark shares its last digit.
        start.truncate(mark.len() * 8 / 6);
        memchr::memmem::find(body, format!("\"{start}").as_bytes()).is_some()
    })
}

/// Marked redacted reasoning as Gemini's clients see it.
pub(super) fn show_redacted(marked: &str) -> String {
    ENGINE.encode(format!("{REDACTED}{marked}"))
}

#[cfg(test)]
mod tests {
    use super::{Signature, holds_foreign_signatures, read, show, show_redacted, standard};
    use crate::chat::Vendor;

    #[test]
    fn signatures_survive_clients_that_encode_bytes_again() {
        for marked in ["gemini:c2ln/+8=", "anthropic:EqQB/+a=", "openai:gAAA-_x"] {
            let shown = show(marked).token;
            assert_eq!(read(&shown), Signature::Token(marked.to_owned()), "{shown}");
            let foreign = !marked.starts_with("gemini:");
            let url_safe = shown.replace('+', "-").replace('/', "_");
            assert!(
                !foreign || read(&url_safe) == Signature::Token(marked.to_owned()),
                "{url_safe}"
            );
        }
        let shown = show_redacted("anthropic:Eme?>");
        for spelled in [
            shown.clone(),
            shown.replace('+', "-").replace('/', "_"),
            shown.replace('=', ""),
        ] {
            assert_eq!(read(&spelled), Signature::Redacted("anthropic:Eme?>".to_owned()));
        }
        assert_eq!(
            read("not base64!"),
            Signature::Token("gemini:not base64!".to_owned())
        );
        assert_eq!(standard("_-8"), "/+8=");
    }

    #[test]
    fn bodies_with_tokens_of_other_vendors_are_told_apart() {
        let body = |shown: &str| format!("{{\"thoughtSignature\": \"{shown}\"}}").into_bytes();
        for vendor in Vendor::ALL {
            for token in ["", "a", "ab", "\u{ff}\u{ff}\u{ff}"] {
                let marked = vendor.mark(token);
                let is_foreign = vendor != Vendor::Gemini;
                assert_eq!(
                    holds_foreign_signatures(&body(&show(&marked).token)),
                    is_foreign,
                    "{marked}"
                );
                assert!(
                    holds_foreign_signatures(&body(&show_redacted(&marked))),
                    "{marked}"
                );
            }
        }
    }
}
