//! For which requests a target is meant.

/// What a request is asked about. Answers may be costly, so they are given only when a condition asks.
pub trait Facts {
    /// A label of whoever calls.
    fn label(&self, name: &str) -> Option<&str>;
    /// A value of the request's own metadata.
    fn metadata(&self, name: &str) -> Option<&str>;
    /// A header of the request, by its lowercase name.
    fn header(&self, name: &str) -> Option<&str>;
    /// The model as the client names it.
    fn model(&self) -> &str;
    /// Whether it offers tools.
    fn has_tools(&self) -> bool;
    /// Whether it holds images.
    fn has_images(&self) -> bool;
    /// Whether the answer shall be streamed.
    fn streams(&self) -> bool;
    /// About how many tokens it holds.
    fn input_tokens(&self) -> u64;
}

/// What must hold for a request; all of it. The default holds always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// Labels of the caller, each with the values that it may have.
    pub labels: Vec<(Box<str>, Values)>,
    /// The same for the request's metadata.
    pub metadata: Vec<(Box<str>, Values)>,
    /// The same for headers, by their lowercase names.
    pub headers: Vec<(Box<str>, Values)>,
    /// Names by which the client may ask; empty for all.
    pub models: Values,
    /// Whether there must be tools, or must not.
    pub tools: Option<bool>,
    /// Whether there must be images, or must not.
    pub images: Option<bool>,
    /// Whether the answer must be streamed, or must not.
    pub stream: Option<bool>,
    /// How much the request may hold, in tokens.
    pub input: Bounds,
}

/// A range of counts, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// At least this many.
    pub least: Option<u64>,
    /// At most this many.
    pub most: Option<u64>,
}

impl Bounds {
    fn hold(self, count: impl FnOnce() -> u64) -> bool {
        if self == Self::default() {
            return true;
        }
        let count = count();
        self.least.is_none_or(|least| count >= least) && self.most.is_none_or(|most| count <= most)
    }
}

/// Texts of which one must match; `*` in them stands for anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values(pub Vec<Box<str>>);

impl Values {
    fn hold(&self, found: Option<&str>) -> bool {
        found.is_some_and(|found| self.0.iter().any(|pattern| matches(pattern, found)))
    }
}

impl Condition {
    /// Whether the request is one of those that are meant.
    pub fn holds(&self, facts: &impl Facts) -> bool {
        let agrees =
            |wanted: Option<bool>, found: &dyn Fn() -> bool| wanted.is_none_or(|wanted| wanted == found());
        agrees(self.stream, &|| facts.streams())
            && agrees(self.tools, &|| facts.has_tools())
            && (self.models.0.is_empty() || self.models.hold(Some(facts.model())))
            && all(&self.labels, |name| facts.label(name))
            && all(&self.headers, |name| facts.header(name))
            && self.input.hold(|| facts.input_tokens())
            && all(&self.metadata, |name| facts.metadata(name))
            && agrees(self.images, &|| facts.has_images())
    }
}

fn all<'a>(wanted: &[(Box<str>, Values)], found: impl Fn(&str) -> Option<&'a str>) -> bool {
    wanted.iter().all(|(name, values)| values.hold(found(name)))
}

/// Whether a text matches a pattern in which `*` stands for any letters, none included. Takes time in proportion to
/// the product of both lengths at most.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        // The earliest place for all but the last, which has to be at the end.
        if let Some(part) = last.replace(part) {
            let Some((_, after)) = rest.split_once(part) else {
                return false;
            };
            rest = after;
        }
    }
    match last {
        Some(last) => rest.ends_with(last),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Request;

    impl Facts for Request {
        fn label(&self, name: &str) -> Option<&str> {
            (name == "team").then_some("search")
        }
        fn metadata(&self, name: &str) -> Option<&str> {
            (name == "tier").then_some("gold-eu")
        }
        fn header(&self, name: &str) -> Option<&str> {
            (name == "x-region").then_some("eu")
        }
        fn model(&self) -> &'static str {
            "chat-large"
        }
        fn has_tools(&self) -> bool {
            true
        }
        fn has_images(&self) -> bool {
            false
        }
        fn streams(&self) -> bool {
            true
        }
        fn input_tokens(&self) -> u64 {
            1_000
        }
    }

    fn values(texts: &[&str]) -> Values {
        Values(texts.iter().map(|text| Box::from(*text)).collect())
    }

    fn named(name: &str, texts: &[&str]) -> Vec<(Box<str>, Values)> {
        vec![(name.into(), values(texts))]
    }

    /// Makes a condition say something.
    type Say<'a> = &'a dyn Fn(&mut Condition);

    fn bounds(least: Option<u64>, most: Option<u64>) -> Bounds {
        Bounds { least, most }
    }

    #[test]
    fn everything_that_is_said_must_hold() {
        let cases: [(Say<'_>, bool); 16] = [
            (&|_| {}, true),
            (&|it| it.labels = named("team", &["ads", "search"]), true),
            (&|it| it.labels = named("team", &["ads"]), false),
            (&|it| it.labels = named("other", &["*"]), false),
            (&|it| it.metadata = named("tier", &["gold*"]), true),
            (&|it| it.headers = named("x-region", &["us"]), false),
            (&|it| it.models = values(&["chat-*"]), true),
            (&|it| it.models = values(&["embed"]), false),
            (&|it| it.tools = Some(false), false),
            (&|it| (it.images, it.stream) = (Some(false), Some(true)), true),
            (&|it| it.stream = Some(false), false),
            (&|it| it.input = bounds(Some(1_000), None), true),
            (&|it| it.input = bounds(Some(1_001), None), false),
            (&|it| it.input = bounds(None, Some(999)), false),
            (&|it| it.input = bounds(Some(1), Some(2_000)), true),
            (
                &|it| (it.labels, it.tools) = (named("team", &["search"]), Some(false)),
                false,
            ),
        ];
        for (say, expected) in cases {
            let mut condition = Condition::default();
            say(&mut condition);
            assert_eq!(condition.holds(&Request), expected, "{condition:?}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "x", true),
            ("abc", "abcd", false),
            ("*bc*", "abcd", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// The same by trying every length for every star.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|from| naive(rest, &text[from..])),
            Some((letter, rest)) => text
                .split_first()
                .is_some_and(|(first, text)| first == letter && naive(rest, text)),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
