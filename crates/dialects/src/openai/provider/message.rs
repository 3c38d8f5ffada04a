//! Writing messages.

use crate::{
    chat::{Content, Message, Part, Role, Source, TranslateError, refuse, refuse_native},
    flavors::{Feature, Flavor, Thoughts},
    json::{List, Object},
    openai::reasoning,
};

/// What is written of a conversation.
struct Writer<'w> {
    list: List<'w>,
    flavor: &'w Flavor,
    notes: &'w mut Vec<String>,
    /// Media in results of tools, which a message of the user says after all results.
    media: Vec<(String, &'w Part)>,
}

/// Writes the conversation.
pub(super) fn write<'w>(
    list: List<'w>,
    messages: &'w [Message],
    flavor: &'w Flavor,
    notes: &'w mut Vec<String>,
) -> Result<(), TranslateError> {
    let mut writer = Writer {
        list,
        flavor,
        notes,
        media: Vec::new(),
    };
    for (index, message) in messages.iter().enumerate() {
        writer.message(&format!("messages[{index}]"), message)?;
    }
    writer.flush_media(&[], "messages", None)
}

impl<'w> Writer<'w> {
    fn message(&mut self, param: &str, message: &'w Message) -> Result<(), TranslateError> {
        match message.role {
            Role::Assistant => self.assistant(param, message),
            Role::System | Role::Developer => {
                self.flush_media(&[], param, None)?;
                let role = match message.role {
                    Role::Developer if self.flavor.has(Feature::Developer) => "developer",
                    _ => "system",
                };
                self.said(
                    role,
                    &message.parts.iter().collect::<Vec<_>>(),
                    param,
                    message.name.as_deref(),
                )
            }
            Role::User | Role::Tool => self.user(param, message),
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Results of tools are messages of their own, before what the user says.
    fn user(&mut self, param: &str, message: &'w Message) -> Result<(), TranslateError> {
        let mut rest = Vec::new();
        let mut has_results = false;
        for part in &message.parts {
            match &part.content {
                Content::ToolResult {
                    id,
                    content,
                    is_error,
                    ..
                } => {
                    has_results = true;
                    self.tool_result(id, content, *is_error);
                }
                _ => rest.push(part),
            }
        }
        if rest.is_empty() && has_results {
            return Ok(());
        }
        if self.media.is_empty() {
            return self.said("user", &rest, param, message.name.as_deref());
        }
        self.flush_media(&rest, param, message.name.as_deref())
    }

    fn tool_result(&mut self, id: &str, content: &'w [Part], is_error: bool) {
        if is_error {
            self.note(format!(
                "is_error of a tool's result was left out: {} has no mark for it",
                self.flavor.vendor
            ));
        }
        let mut texts = Vec::new();
        for part in content {
            match &part.content {
                Content::Text { text, .. } => texts.push(text.as_str()),
                _ => self.media.push((id.to_owned(), part)),
            }
        }
        if texts.is_empty() && !content.is_empty() {
            texts.push("(see the next message of the user)");
        }
        self.list
            .object()
            .text("role", "tool")
            .text("tool_call_id", id)
            .text("content", &texts.join("\n"));
    }

    /// Writes the media of results, and what the user says after them; nothing when there are none.
    fn flush_media(
        &mut self,
        said: &[&'w Part],
        param: &str,
        name: Option<&str>,
    ) -> Result<(), TranslateError> {
        let media = std::mem::take(&mut self.media);
        if media.is_empty() {
            return Ok(());
        }
        self.note(format!(
            "media in a tool's result became a message of the user: {} takes only text from tools",
            self.flavor.vendor
        ));
        let labels: Vec<Part> = media
            .iter()
            .map(|(id, _)| Part::text(format!("From the tool's result {id}:")))
            .collect();
        let mut parts = Vec::new();
        for (label, (_, part)) in labels.iter().zip(&media) {
            parts.extend([label, *part]);
        }
        parts.extend(said);
        self.said("user", &parts, param, name)
    }

    /// A message of texts and media. One text alone is written without a list, which the oldest servers want.
    fn said(
        &mut self,
        role: &'static str,
        parts: &[&Part],
        param: &str,
        name: Option<&str>,
    ) -> Result<(), TranslateError> {
        let mut message = self.list.object();
        message.text("role", role).text_if("name", name);
        match parts {
            [] => {
                message.text("content", "");
            }
            [
                Part {
                    content: Content::Text { text, .. },
                    cache,
                },
            ] if cache.is_none() || !self.flavor.has(Feature::CacheMarks) => {
                message.text("content", text);
            }
            parts => {
                let mut list = message.list("content");
                for (index, each) in parts.iter().enumerate() {
                    part(&mut list, each, self.flavor, &format!("{param}.content[{index}]"))?;
                }
            }
        }
        drop(message);
        if !self.flavor.has(Feature::CacheMarks) && parts.iter().any(|part| part.cache.is_some()) {
            self.note(format!(
                "cache_control was left out: {} caches by itself, or not at all",
                self.flavor.vendor
            ));
        }
        Ok(())
    }

    fn assistant(&mut self, param: &str, message: &'w Message) -> Result<(), TranslateError> {
        self.flush_media(&[], param, None)?;
        let (mut texts, mut refusal, mut calls) = (Vec::new(), String::new(), Vec::new());
        for (index, part) in message.parts.iter().enumerate() {
            match &part.content {
                Content::Text { text, .. } => texts.push(text.as_str()),
                Content::Refusal(text) => refusal.push_str(text),
                Content::ToolCall { .. } => calls.push(&part.content),
                Content::Reasoning { .. } | Content::RedactedReasoning { .. } => {}
                Content::Native { .. } => {
                    return refuse_native(format!("{param}.content[{index}]"), self.flavor.vendor);
                }
                _ => {
                    return refuse(
                        format!("{param}.content[{index}]"),
                        format!(
                            "{} takes no media in the model's own messages",
                            self.flavor.vendor
                        ),
                    );
                }
            }
        }
        self.note_thoughts(&message.parts);
        let mut object = self.list.object();
        object
            .text("role", "assistant")
            .text_if("name", message.name.as_deref());
        match texts.as_slice() {
            [] => object.null("content"),
            texts => object.text("content", &texts.concat()),
        };
        if !refusal.is_empty() {
            object.text("refusal", &refusal);
        }
        thoughts(&mut object, &message.parts, self.flavor.thoughts);
        if !calls.is_empty() {
            let mut list = object.list("tool_calls");
            for call in calls {
                tool_call(list.object(), call);
            }
        }
        Ok(())
    }

    fn note_thoughts(&mut self, parts: &[Part]) {
        let has_thoughts = parts.iter().any(|part| {
            matches!(
                part.content,
                Content::Reasoning { .. } | Content::RedactedReasoning { .. }
            )
        });
        let vendor = self.flavor.vendor;
        if has_thoughts && self.flavor.thoughts == Thoughts::Omitted {
            self.note(format!(
                "reasoning of earlier turns was left out: {vendor} takes none back"
            ));
        } else if self.flavor.thoughts == Thoughts::Content && reasoning::needs_details(parts) {
            self.note(format!(
                "signatures of reasoning were left out: {vendor} has none of its own"
            ));
        }
    }
}

fn thoughts(object: &mut Object<'_>, parts: &[Part], how: Thoughts) {
    let texts: String = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Reasoning { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    match how {
        Thoughts::Omitted => {}
        Thoughts::Content if texts.is_empty() => {}
        Thoughts::Content => {
            object.text("reasoning_content", &texts);
        }
        Thoughts::Details if reasoning::needs_details(parts) => {
            reasoning::details(object.list("reasoning_details"), parts);
        }
        Thoughts::Details if texts.is_empty() => {}
        Thoughts::Details => {
            object.text("reasoning", &texts);
        }
    }
}

/// Signatures of calls are Gemini's alone, whose own dialect takes them.
fn tool_call(mut object: Object<'_>, call: &Content) {
    let Content::ToolCall {
        id, name, arguments, ..
    } = call
    else {
        return;
    };
    let arguments = if arguments.trim().is_empty() {
        "{}"
    } else {
        arguments
    };
    object.text("id", id).text("type", "function");
    object
        .object("function")
        .text("name", name)
        .text("arguments", arguments);
}

fn part(list: &mut List<'_>, part: &Part, flavor: &Flavor, param: &str) -> Result<(), TranslateError> {
    let mut object = list.object();
    match &part.content {
        Content::Text { text, .. } | Content::Refusal(text) => {
            object.text("type", "text").text("text", text);
        }
        Content::Image { source, detail } => {
            let Some(url) = source.to_url() else {
                return refuse(
                    format!("{param}.image_url.url"),
                    format!("{} takes pictures by address or as data only", flavor.vendor),
                );
            };
            let feature = match source {
                Source::Base64 { .. } => Feature::ImageData,
                Source::Url { .. } | Source::File { .. } | Source::Text(_) => Feature::ImageUrls,
            };
            if !flavor.has(feature) {
                let other = flavor.has(Feature::ImageData);
                let takes = if other {
                    "pictures as data only"
                } else {
                    "no pictures"
                };
                return refuse(
                    format!("{param}.image_url.url"),
                    format!("{} takes {takes}", flavor.vendor),
                );
            }
            object.text("type", "image_url");
            object
                .object("image_url")
                .text("url", &url)
                .text_if("detail", detail.as_deref());
        }
        Content::Document { source, name, .. } => {
            document(&mut object, source, name.as_deref(), flavor, param)?;
        }
        Content::Audio { source, .. } => audio(&mut object, source, flavor, param)?,
        Content::Video { source } => match source.to_url().filter(|_| flavor.has(Feature::MoreMedia)) {
            Some(url) => {
                object
                    .text("type", "video_url")
                    .object("video_url")
                    .text("url", &url);
            }
            None => return refuse(param, format!("{} takes no video", flavor.vendor)),
        },
        Content::ToolCall { .. }
        | Content::ToolResult { .. }
        | Content::Reasoning { .. }
        | Content::RedactedReasoning { .. }
        | Content::Native { .. } => {
            return refuse(param, "must not stand in a message of this role");
        }
    }
    if let Some(mark) = part.cache.as_ref().filter(|_| flavor.has(Feature::CacheMarks)) {
        object
            .object("cache_control")
            .text("type", "ephemeral")
            .text_if("ttl", mark.ttl.as_deref());
    }
    Ok(())
}

fn document(
    object: &mut Object<'_>,
    source: &Source,
    name: Option<&str>,
    flavor: &Flavor,
    param: &str,
) -> Result<(), TranslateError> {
    match source {
        Source::Text(text) => {
            let text = match name {
                Some(name) => format!("{name}\n\n{text}"),
                None => text.clone(),
            };
            object.text("type", "text").text("text", &text);
        }
        Source::File { id } => {
            object.text("type", "file").object("file").text("file_id", id);
        }
        Source::Url { .. } if !flavor.has(Feature::MoreMedia) => {
            return refuse(
                format!("{param}.file"),
                format!("{} takes documents as data only, not by address", flavor.vendor),
            );
        }
        Source::Base64 { .. } | Source::Url { .. } => {
            object
                .text("type", "file")
                .object("file")
                .text("filename", name.unwrap_or("document.pdf"))
                .text("file_data", &source.to_url().unwrap_or_default());
        }
    }
    Ok(())
}

fn audio(
    object: &mut Object<'_>,
    source: &Source,
    flavor: &Flavor,
    param: &str,
) -> Result<(), TranslateError> {
    let Source::Base64 { media_type, data } = source else {
        return refuse(
            format!("{param}.input_audio"),
            format!("{} takes sound as data only", flavor.vendor),
        );
    };
    let format = match media_type.strip_prefix("audio/").unwrap_or(media_type) {
        "mpeg" | "mpga" => "mp3",
        "x-wav" | "wave" => "wav",
        format => format,
    };
    object
        .text("type", "input_audio")
        .object("input_audio")
        .text("data", data)
        .text("format", format);
    Ok(())
}
