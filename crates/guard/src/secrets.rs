//! Secrets: the key formats of vendors, tokens, private keys, and values that are assigned to names like `api_key`.
//!
//! The formats are those that the vendors document or have agreed on with secret scanners
//! (<https://docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns>).

use regex::Captures;

use crate::{
    detector::{Check, Detector, Extent, Family, Open, as_found},
    entropy,
};

/// The most bytes of a private key or token that is taken as one; what follows is not part of it.
const LONGEST_BLOCK: usize = 64 << 10;

const fn token(name: &'static str, label: &'static str, pattern: &'static str, longest: usize) -> Detector {
    Detector {
        name,
        label,
        family: Family::Secret,
        pattern,
        check: as_found,
        inside: is_token,
        open: None,
        longest,
    }
}

const fn checked(detector: Detector, check: Check) -> Detector {
    Detector { check, ..detector }
}

/// The detectors, more precise ones first.
pub(crate) const TABLE: &[Detector] = &[
    // https://docs.anthropic.com/en/api/overview#authentication
    token(
        "anthropic-key",
        "ANTHROPIC_KEY",
        r"\bsk-ant-[A-Za-z0-9]{2,12}-[A-Za-z0-9_-]{20,200}",
        240,
    ),
    // https://openrouter.ai/docs/api-reference/authentication
    token("openrouter-key", "OPENROUTER_KEY", r"\bsk-or-v1-[0-9a-f]{64}", 74),
    token("stead-key", "STEAD_KEY", r"\bsk-stead-[A-Za-z0-9_-]{20,100}", 110),
    // https://platform.openai.com/docs/api-reference/authentication
    checked(
        token(
            "openai-key",
            "OPENAI_KEY",
            r"\bsk-(?:proj-|svcacct-|admin-)?([A-Za-z0-9_-]{20,220})",
            232,
        ),
        mixed,
    ),
    // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
    token(
        "aws-access-key",
        "AWS_ACCESS_KEY",
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
        20,
    ),
    // https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
    token(
        "github-token",
        "GITHUB_TOKEN",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,244})\b",
        255,
    ),
    // https://docs.gitlab.com/security/tokens/#token-prefixes
    token(
        "gitlab-token",
        "GITLAB_TOKEN",
        r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_.-]{20,200}",
        210,
    ),
    // https://cloud.google.com/docs/authentication/api-keys
    token(
        "google-key",
        "GOOGLE_KEY",
        r"\b(?:AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{20,250})",
        256,
    ),
    // https://docs.slack.dev/authentication/tokens and /messaging/sending-messages-using-incoming-webhooks
    token(
        "slack-token",
        "SLACK_TOKEN",
        r"\b(?:xox[abeoprs]-(?:[0-9]-)?[A-Za-z0-9-]{10,240}|xapp-[0-9]-[A-Za-z0-9-]{20,200}|hooks\.slack\.com/services/[A-Z0-9]{8,14}/[A-Z0-9]{8,14}/[A-Za-z0-9]{20,40})",
        250,
    ),
    // https://docs.stripe.com/keys
    token(
        "stripe-key",
        "STRIPE_KEY",
        r"\b(?:[sr]k_(?:live|test)_[A-Za-z0-9]{10,240}|whsec_[A-Za-z0-9+/=]{20,100})",
        255,
    ),
    // https://huggingface.co/docs/hub/security-tokens
    token(
        "huggingface-token",
        "HUGGINGFACE_TOKEN",
        r"\b(?:hf|api_org)_[A-Za-z]{34}\b",
        42,
    ),
    // https://docs.npmjs.com/about-access-tokens, https://pypi.org/help/#apitoken
    token(
        "registry-token",
        "REGISTRY_TOKEN",
        r"\b(?:npm_[A-Za-z0-9]{36}\b|pypi-AgE[A-Za-z0-9_-]{50,250})",
        260,
    ),
    // https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys
    token(
        "sendgrid-key",
        "SENDGRID_KEY",
        r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}",
        100,
    ),
    // https://core.telegram.org/bots/api#authorizing-your-bot
    token(
        "telegram-token",
        "TELEGRAM_TOKEN",
        r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b",
        46,
    ),
    // Groq, xAI, Perplexity, DigitalOcean: prefixes of their consoles.
    token(
        "vendor-key",
        "VENDOR_KEY",
        r"\b(?:gsk_[A-Za-z0-9]{52}|xai-[A-Za-z0-9]{80}|pplx-[A-Za-z0-9]{48}|do[opr]_v1_[a-f0-9]{64})\b",
        84,
    ),
    // https://www.rfc-editor.org/rfc/rfc7519#section-3
    Detector {
        name: "jwt",
        label: "JWT",
        family: Family::Secret,
        pattern: "eyJ",
        check: jwt,
        inside: is_jwt,
        open: None,
        longest: LONGEST_BLOCK,
    },
    // https://www.rfc-editor.org/rfc/rfc7468#section-10
    Detector {
        name: "private-key",
        label: "PRIVATE_KEY",
        family: Family::Secret,
        pattern: r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        check: private_key,
        inside: |letter| letter == '-',
        open: Some(Open::Function(open_key)),
        longest: LONGEST_BLOCK,
    },
    // https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1
    Detector {
        name: "url-password",
        label: "URL_PASSWORD",
        family: Family::Secret,
        pattern: r#"\b[a-z][a-z0-9+]{1,15}://[^\s:@/"'<>\[\]]{0,64}:([^\s:@/"'<>\[\]]{3,128})@"#,
        check: as_found,
        inside: |letter| !letter.is_whitespace() && !"\"'<>[]".contains(letter),
        open: None,
        longest: 1_024,
    },
    Detector {
        name: "assigned-secret",
        label: "SECRET",
        family: Family::Secret,
        pattern: r#"(?i-u)(?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|pwd|credential|authorization)[a-z0-9_-]{0,20}["'`]?[ \t]{0,3}(?:=>|:=|=|:)[ \t]{0,3}["'`]?(?:bearer |basic )?([!#-&(-+\--:=?-Z^_a-z|~]{12,200})"#,
        check: assigned,
        inside: is_token,
        open: Some(Open::Pattern(
            r#"(?i-u)(?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|pwd|credential|authorization)[a-z0-9_-]{0,20}["'`]?[ \t]{0,3}(?:(?:=>?|:=?)[ \t]{0,3}["'`]?(?:b[a-z]{0,5} ?)?[!#-&(-+\--:=?-Z^_a-z|~]{0,200})?\z"#,
        )),
        longest: 300,
    },
];

fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-.:/+=".contains(letter)
}

fn is_jwt(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-.".contains(letter)
}

/// A key whose random part has letters and digits: a name with dashes (`sk-learn-pipeline-for-text`) is none.
fn mixed(_: &str, found: &Captures<'_>) -> Option<Extent> {
    let random = found.get(1)?.as_str();
    let digits = random.bytes().any(|byte| byte.is_ascii_digit());
    let upper = random.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = random.bytes().any(|byte| byte.is_ascii_lowercase());
    let entropy = entropy::entropy(random);
    let enough = digits && (lower || upper) && entropy >= 3.0;
    let whole = found.get(0)?;
    enough.then(|| Extent::whole(whole.start(), whole.end()))
}

fn assigned(_: &str, found: &Captures<'_>) -> Option<Extent> {
    let value = found.get(1)?;
    entropy::looks_random(value.as_str()).then(|| Extent {
        end: value.end(),
        value: value.range(),
    })
}

/// Three parts in base64url, of which the first two are JSON objects; looked at only where such letters begin, so that
/// each is looked at once.
fn jwt(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let start = found.get(0)?.start();
    if before(text, start).is_some_and(is_jwt) {
        return None;
    }
    let rest = text.get(start..)?;
    let bound = rest.floor_char_boundary(LONGEST_BLOCK);
    let end = rest.get(..bound)?.find(|letter| !is_jwt(letter)).unwrap_or(bound);
    let token = rest.get(..end)?.trim_end_matches(['.', '-']);
    let mut parts = token.split('.');
    let (header, claims) = (parts.next()?, parts.next()?);
    let long = header.len() >= 13 && claims.len() >= 10;
    (long && claims.starts_with("eyJ") && parts.next().is_some())
        .then(|| Extent::whole(start, start + token.len()))
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// What may follow the first line: base64, headers as OpenSSL writes them, and the escapes of JSON.
fn is_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter.is_ascii_whitespace() || "+/=\\:.,()_-".contains(letter)
}

/// From its first line to its last, or to where it breaks off.
fn private_key(text: &str, found: &Captures<'_>) -> Option<Extent> {
    let opener = found.get(0)?;
    let rest = text.get(opener.end()..)?;
    let bound = rest.floor_char_boundary(LONGEST_BLOCK - opener.len());
    let body = rest.get(..bound)?;
    let body = body.get(..body.find(|letter| !is_key(letter)).unwrap_or(bound))?;
    let length = last_line(body).unwrap_or_else(|| body.trim_end().len());
    Some(Extent::whole(opener.start(), opener.end() + length))
}

/// Where the last line of a block ends, if it is there.
fn last_line(body: &str) -> Option<usize> {
    let at = body.find(END)? + END.len();
    let dashes = body.get(at..)?.find("-----")?;
    Some(at + dashes + 5)
}

/// Where a key begins, or may begin, that has no last line yet.
fn open_key(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(BEGIN) {
        let start = from + at;
        let rest = text.get(start + BEGIN.len()..)?;
        let bound = rest.floor_char_boundary(LONGEST_BLOCK);
        let body = rest.get(..bound)?;
        if bound == rest.len() && body.chars().all(is_key) && last_line(body).is_none() {
            return Some(start);
        }
        from = start + BEGIN.len();
    }
    (1..BEGIN.len())
        .rev()
        .find(|length| text.ends_with(BEGIN.get(..*length).unwrap_or_default()))
        .map(|length| text.len() - length)
}

/// The letter before a byte.
pub(crate) fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}
