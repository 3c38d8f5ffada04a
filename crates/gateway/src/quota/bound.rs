//! What a request can use at most, known before it is sent. Nothing here performs I/O.
//!
//! A token of text is at least a byte, so a body has no more tokens than bytes, beside what a provider adds of its own.
//! Media are bounded by a table, or by the longest input that the model takes. What a provider may do by itself
//! (search the web, run code) is bounded by nothing.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::Value;
use stead_kernel::ports::{ModelLimits, NanoUsd, Price, TokenUsage};
use stead_metering::Bound;

use crate::{
    operation::{Makes, Operation},
    provider::ProviderType,
    scan::Scanned,
};

/// Tokens that chat templates add to a request.
const TEMPLATE: u64 = 128;
/// Tokens that the description of tools adds beside the tools' own text: Anthropic's is the longest, with up to 804
/// (<https://docs.anthropic.com/en/docs/build-with-claude/tool-use#pricing>).
const TOOLS: u64 = 1_024;
/// Tokens of the largest picture that is made.
const IMAGE_OUTPUT: u64 = 6_240;
/// Texts in a body without which it is plain text.
const HINTS: [&str; 11] = [
    "\"type\"",
    "\"images\"",
    "Data\"",
    "_data\"",
    "\"tools\"",
    "\"best_of\"",
    "\"prediction\"",
    "\"previous_response_id\"",
    "\"conversation\"",
    "\"web_search_options\"",
    "\\u00",
];
/// Types of tools that the client runs, by their beginnings.
const CLIENT_TOOLS: [&str; 9] = [
    "function",
    "custom",
    "bash",
    "text_editor",
    "computer",
    "apply_patch",
    "shell",
    "local_shell",
    "memory",
];

static FINDERS: LazyLock<[Finder<'static>; HINTS.len()]> = LazyLock::new(|| HINTS.map(Finder::new));

/// What is known of a request before it is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size<'a> {
    /// As the client sent it.
    pub(crate) body: &'a [u8],
    /// The most output tokens of one answer.
    pub(crate) max_tokens: Option<u64>,
    /// How many answers.
    pub(crate) choices: u64,
    /// Pictures that are uploaded.
    pub(crate) images: u64,
    /// What is asked for in other units: images, characters, sound.
    pub(crate) units: TokenUsage,
    /// How long it may take, in milliseconds.
    pub(crate) milliseconds: u64,
    /// Whether providers take nothing for it.
    pub(crate) free: bool,
    /// Whether nobody can tell before how long it gets.
    pub(crate) open_ended: bool,
}

impl<'a> Size<'a> {
    /// What an operation can use at most, as far as the request tells.
    ///
    /// Pictures: OpenAI's largest take 6,240 tokens
    /// (<https://platform.openai.com/docs/guides/image-generation#cost-and-latency>). Speech: a letter takes less than
    /// half a second even when it is spoken slowly, and a second about twenty tokens. Sound that is heard has at least
    /// six thousand bits a second.
    pub(crate) fn of(operation: Operation, request: &'a Scanned) -> Self {
        let fields = &request.fields;
        let bytes = u64::try_from(request.body.len()).unwrap_or(u64::MAX);
        let choices = fields.choices.unwrap_or(1).max(1);
        let size = Self {
            body: &request.body,
            max_tokens: Some(0),
            choices: 1,
            free: operation == Operation::CountTokens,
            open_ended: operation.facts().makes == Makes::Talk,
            ..Self::default()
        };
        match operation.facts().makes {
            Makes::Text => Self {
                max_tokens: fields.longest_output,
                choices,
                ..size
            },
            Makes::Numbers | Makes::Talk => size,
            Makes::Images => Self {
                max_tokens: Some(IMAGE_OUTPUT),
                choices,
                images: memchr::memmem::find_iter(&request.body, b"filename=").count() as u64,
                units: TokenUsage {
                    images: choices,
                    ..TokenUsage::default()
                },
                ..size
            },
            Makes::Sound => Self {
                max_tokens: Some(bytes.saturating_mul(10)),
                units: TokenUsage {
                    characters: bytes,
                    audio_ms: bytes.saturating_mul(500),
                    ..TokenUsage::default()
                },
                ..size
            },
            Makes::Transcript => Self {
                max_tokens: Some(fields.longest_output.unwrap_or(bytes)),
                units: TokenUsage {
                    audio_ms: bytes.saturating_mul(8) / 6,
                    ..TokenUsage::default()
                },
                ..size
            },
        }
    }
}

/// What an operation is taken to have used in other units than tokens when its answer does not say: the letters that
/// are spoken, and sound of 128,000 bits a second.
pub(crate) fn units(operation: Operation, body: &[u8]) -> TokenUsage {
    match operation.facts().makes {
        Makes::Sound => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let text = body.get("input").and_then(Value::as_str).unwrap_or_default();
            TokenUsage {
                characters: text.chars().count() as u64,
                ..TokenUsage::default()
            }
        }
        Makes::Transcript => TokenUsage {
            audio_ms: body.len() as u64 / 16,
            ..TokenUsage::default()
        },
        Makes::Text | Makes::Numbers | Makes::Images | Makes::Talk => TokenUsage::default(),
    }
}

/// What a body holds beside text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Contents {
    images: u64,
    extent: Extent,
    tools: bool,
    /// Text that is billed as output too.
    prediction: bool,
    best_of: u64,
}

/// How far a body tells how much it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Extent {
    /// By its bytes.
    #[default]
    Bytes,
    /// It names something whose length it does not tell.
    Opaque,
    /// The provider may do things by itself.
    Unbounded,
}

/// What one target takes for a request.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) kind: ProviderType,
    pub(crate) model: &'a str,
    pub(crate) price: Option<&'a Price>,
    pub(crate) limits: ModelLimits,
}

/// The most that a request can use at any of the targets.
pub(crate) fn bound<'a>(
    size: &Size<'_>,
    contents: &Contents,
    candidates: impl IntoIterator<Item = Candidate<'a>>,
) -> Bound {
    let mut most = Bound {
        input: Some(0),
        output: Some(0),
        spend: Some(0),
    };
    if size.free {
        return most;
    }
    if size.open_ended {
        return Bound::default();
    }
    let larger = |a: Option<u64>, b: Option<u64>| Some(a?.max(b?));
    for candidate in candidates {
        let one = candidate.bound(size, contents);
        most.input = larger(most.input, one.input);
        most.output = larger(most.output, one.output);
        most.spend = larger(most.spend, one.spend);
    }
    most
}

impl Candidate<'_> {
    fn bound(&self, size: &Size<'_>, contents: &Contents) -> Bound {
        let input = self.input(size, contents);
        let output = output(size, contents);
        Bound {
            input,
            output,
            spend: self.spend(size, input, output),
        }
    }

    fn input(&self, size: &Size<'_>, contents: &Contents) -> Option<u64> {
        match contents.extent {
            Extent::Bytes => {}
            Extent::Opaque => return self.limits.input,
            Extent::Unbounded => return None,
        }
        let bytes = u64::try_from(size.body.len()).unwrap_or(u64::MAX);
        let tools = if contents.tools { TOOLS } else { 0 };
        let images = contents
            .images
            .saturating_add(size.images)
            .saturating_mul(image_tokens(self.kind, self.model));
        Some(bytes.saturating_add(TEMPLATE + tools).saturating_add(images))
    }

    fn spend(&self, size: &Size<'_>, input: Option<u64>, output: Option<u64>) -> Option<u64> {
        let price = self.price?;
        let usage = TokenUsage {
            input: input?,
            output: output?,
            gpu_ms: size.milliseconds,
            ..size.units
        };
        let NanoUsd(most) = price.most(&usage);
        u64::try_from(most).ok()
    }
}

fn output(size: &Size<'_>, contents: &Contents) -> Option<u64> {
    if contents.extent == Extent::Unbounded {
        return None;
    }
    let predicted = if contents.prediction {
        size.body.len() as u64
    } else {
        0
    };
    let answers = size.choices.max(contents.best_of).max(1);
    let one = size.max_tokens?.saturating_add(predicted);
    Some(one.saturating_mul(answers))
}

/// The most tokens that an image takes.
///
/// OpenAI: a model's base plus its tile cost for at most eight tiles, `gpt-4o-mini` being the dearest, or at most
/// 10,000 patches (<https://platform.openai.com/docs/guides/images-vision#calculating-costs>). Anthropic: 4,784
/// (<https://docs.anthropic.com/en/docs/build-with-claude/vision#evaluate-image-size>). Gemini: 258 for each of at most
/// sixteen tiles (<https://ai.google.dev/gemini-api/docs/tokens#multimodal-tokens>).
fn image_tokens(kind: ProviderType, model: &str) -> u64 {
    if model.contains("gpt-4o-mini") {
        return 2_833 + 8 * 5_667;
    }
    if kind == ProviderType::Anthropic || model.contains("claude") {
        return 4_784;
    }
    if model.contains("gemini") {
        return 16 * 258;
    }
    16_384
}

/// What a body holds beside text. One that is no JSON is not read: what it means is for its door to say.
pub(crate) fn contents(body: &[u8]) -> Contents {
    let mut contents = Contents::default();
    if !FINDERS.iter().any(|hint| hint.find(body).is_some()) {
        return contents;
    }
    let Ok(Value::Object(top)) = serde_json::from_slice::<Value>(body) else {
        return contents;
    };
    let there = |name: &str| top.get(name).is_some_and(|value| !value.is_null());
    contents.best_of = top.get("best_of").and_then(Value::as_u64).unwrap_or(0);
    contents.prediction = there("prediction");
    let stored = there("previous_response_id") || there("conversation");
    if stored || top.get("prompt").is_some_and(Value::is_object) {
        contents.extends(Extent::Opaque);
    }
    if there("web_search_options") {
        contents.extends(Extent::Unbounded);
    }
    if let Some(tools) = top.get("tools").and_then(Value::as_array) {
        contents.tools = !tools.is_empty();
        if tools.iter().any(is_server_tool) {
            contents.extends(Extent::Unbounded);
        }
    }
    for (name, value) in &top {
        if name != "tools" && name != "response_format" {
            contents.walk(name, value);
        }
    }
    contents
}

/// Whether the provider runs a tool: what says neither a type that clients run nor a function of the client's.
fn is_server_tool(tool: &Value) -> bool {
    if let Some(kind) = tool.get("type").and_then(Value::as_str) {
        return !CLIENT_TOOLS.iter().any(|known| kind.starts_with(known));
    }
    let Some(members) = tool.as_object() else {
        return true;
    };
    let own = [
        "name",
        "function",
        "functionDeclarations",
        "function_declarations",
    ];
    // Gemini lists several tools in one object.
    let gemini = members
        .keys()
        .any(|name| name.starts_with("functionDecl") || name.starts_with("function_decl"));
    !own.iter().any(|name| members.contains_key(*name)) || (gemini && members.len() > 1)
}

impl Contents {
    fn extends(&mut self, extent: Extent) {
        self.extent = self.extent.max(extent);
    }

    fn walk(&mut self, name: &str, value: &Value) {
        match value {
            Value::Array(items) if name == "images" => {
                self.images = self.images.saturating_add(items.len() as u64);
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk("", item)),
            Value::Object(members) => {
                self.part(members);
                if matches!(name, "inlineData" | "inline_data") {
                    self.inline(members);
                }
                if matches!(name, "fileData" | "file_data") {
                    self.extends(Extent::Opaque);
                }
                members.iter().for_each(|(name, value)| self.walk(name, value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// A part of a message, by its type.
    fn part(&mut self, members: &serde_json::Map<String, Value>) {
        match members.get("type").and_then(Value::as_str) {
            Some("image_url" | "input_image" | "image") => self.images = self.images.saturating_add(1),
            Some(
                "file" | "input_file" | "document" | "video_url" | "input_video" | "video" | "audio_url"
                | "container_upload" | "item_reference",
            ) => self.extends(Extent::Opaque),
            Some(_) | None => {}
        }
    }

    /// Data of Gemini's by its media type. Sound has fewer tokens than bytes.
    fn inline(&mut self, members: &serde_json::Map<String, Value>) {
        let names = ["mimeType", "mime_type"];
        let sort = names.iter().find_map(|name| members.get(*name)?.as_str());
        match sort.unwrap_or_default().split('/').next() {
            Some("image") => self.images = self.images.saturating_add(1),
            Some("audio" | "text") => {}
            Some(_) | None => self.extends(Extent::Opaque),
        }
    }
}

#[cfg(test)]
mod tests {
    use stead_kernel::ports::PicoUsd;

    use super::*;

    fn of(text: &str) -> Contents {
        contents(text.as_bytes())
    }

    #[test]
    fn what_a_body_holds_is_found_in_every_dialect() {
        let images = |images| Contents {
            images,
            ..Contents::default()
        };
        let opaque = Contents {
            extent: Extent::Opaque,
            ..Contents::default()
        };
        let table = [
            (
                r#"{"model":"m","messages":[{"role":"user","content":"an \"image\""}]}"#,
                Contents::default(),
            ),
            (
                r#"{"messages":[{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
                images(1),
            ),
            (
                r#"{"messages":[{"content":[{"type":"image","source":{"type":"base64"}},{"type":"image"}]}]}"#,
                images(2),
            ),
            (
                r#"{"input":[{"content":[{"type":"input_image","file_id":"x"}]}]}"#,
                images(1),
            ),
            (
                r#"{"messages":[{"content":"a","images":["AA","BB"]}]}"#,
                images(2),
            ),
            (
                r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}]}"#,
                images(1),
            ),
            (
                r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"video/mp4","data":"AA"}}]}]}"#,
                opaque,
            ),
            (
                r#"{"contents":[{"parts":[{"fileData":{"fileUri":"gs://a"}}]}]}"#,
                opaque,
            ),
            (
                r#"{"messages":[{"content":[{"type":"document","source":{}}]}]}"#,
                opaque,
            ),
            (
                r#"{"messages":[{"content":[{"t\u0079pe":"im\u0061ge"}]}]}"#,
                images(1),
            ),
        ];
        for (body, expected) in table {
            assert_eq!(of(body), expected, "{body}");
        }
    }

    #[test]
    fn what_a_request_asks_for_beside_its_messages_is_found() {
        let opaque = Contents {
            extent: Extent::Opaque,
            ..Contents::default()
        };
        let table = [
            (r#"{"previous_response_id":"resp_1","input":"a"}"#, opaque),
            (
                r#"{"previous_response_id":null,"input":"a"}"#,
                Contents::default(),
            ),
            (
                r#"{"prompt":"a","best_of":3}"#,
                Contents {
                    best_of: 3,
                    ..Contents::default()
                },
            ),
            (
                r#"{"messages":[],"prediction":{"type":"content","content":"x"}}"#,
                Contents {
                    prediction: true,
                    ..Contents::default()
                },
            ),
        ];
        for (body, expected) in table {
            assert_eq!(of(body), expected, "{body}");
        }
    }

    #[test]
    fn tools_that_the_provider_runs_are_bounded_by_nothing() {
        let table = [
            (r#"[{"type":"function","function":{"name":"f"}}]"#, false),
            (r#"[{"name":"f","input_schema":{"type":"object"}}]"#, false),
            (r#"[{"functionDeclarations":[]}]"#, false),
            (r#"[{"type":"text_editor_20250728","name":"e"}]"#, false),
            (r#"[{"type":"web_search_20250305","name":"web_search"}]"#, true),
            (r#"[{"type":"web_search"}]"#, true),
            (r#"[{"type":"code_interpreter"}]"#, true),
            (r#"[{"googleSearch":{}}]"#, true),
            (r#"[{"functionDeclarations":[],"googleSearch":{}}]"#, true),
        ];
        for (tools, expected) in table {
            let found = of(&format!(r#"{{"model":"m","tools":{tools}}}"#));
            assert!(found.tools, "{tools}");
            assert_eq!(found.extent == Extent::Unbounded, expected, "{tools}");
        }
        assert!(of(r#"{"web_search_options":{}}"#).extent == Extent::Unbounded);
    }

    #[test]
    fn the_bound_is_that_of_the_dearest_target_and_unknown_where_one_is() {
        let cheap = Price::per_token(PicoUsd(1_000), PicoUsd(2_000));
        let dear = Price::per_token(PicoUsd(10_000), PicoUsd(20_000));
        let candidate = |price| Candidate {
            kind: ProviderType::OpenAi,
            model: "m",
            price,
            limits: ModelLimits {
                input: Some(1_000),
                output: None,
            },
        };
        let size = Size {
            body: b"12345678",
            max_tokens: Some(100),
            choices: 2,
            ..Size::default()
        };
        let text = Contents::default();
        let both = bound(&size, &text, [candidate(Some(&cheap)), candidate(Some(&dear))]);
        let input = 8 + TEMPLATE;
        assert_eq!((both.input, both.output), (Some(input), Some(200)));
        assert_eq!(both.spend, Some(input * 10 + 200 * 20));
        let unknown = bound(&size, &text, [candidate(Some(&cheap)), candidate(None)]);
        assert_eq!((unknown.input, unknown.spend), (Some(input), None));
        let opaque = Contents {
            extent: Extent::Opaque,
            ..text
        };
        assert_eq!(
            bound(&size, &opaque, [candidate(Some(&cheap))]).input,
            Some(1_000)
        );
        let unbounded = Contents {
            extent: Extent::Unbounded,
            ..text
        };
        assert_eq!(
            bound(&size, &unbounded, [candidate(Some(&cheap))]),
            Bound::default()
        );
        let endless = Size {
            max_tokens: None,
            ..size
        };
        assert_eq!(bound(&endless, &text, [candidate(Some(&cheap))]).output, None);
    }
}
