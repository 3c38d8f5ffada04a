//! Media by their type, as `inlineData` and `fileData`.
//! <https://ai.google.dev/api/caching#Part>

use serde_json::{Map, Value, json};

use super::signature::standard;
use crate::{
    chat::{Content, Source, TranslateError, refuse},
    fields::Fields,
};

/// What the type of a file is by the ending of its address.
const ENDINGS: &[(&str, &str)] = &[
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".webp", "image/webp"),
    (".gif", "image/gif"),
    (".heic", "image/heic"),
    (".heif", "image/heif"),
    (".pdf", "application/pdf"),
    (".txt", "text/plain"),
    (".html", "text/html"),
    (".csv", "text/csv"),
    (".json", "application/json"),
    (".mp4", "video/mp4"),
    (".mov", "video/quicktime"),
    (".webm", "video/webm"),
    (".mp3", "audio/mp3"),
    (".wav", "audio/wav"),
    (".flac", "audio/flac"),
    (".ogg", "audio/ogg"),
];

/// Reads `inlineData`.
pub(super) fn inline(blob: &Fields<'_>) -> Result<Content, TranslateError> {
    let media_type = blob.required("mimeType")?.to_owned();
    let data = standard(blob.required("data")?);
    Ok(content(
        &media_type.clone(),
        Source::Base64 { media_type, data },
        blob.text("displayName")?,
    ))
}

/// Reads `fileData`.
pub(super) fn file(file: &Fields<'_>) -> Result<Content, TranslateError> {
    let url = file.required("fileUri")?;
    let media_type = file.text("mimeType")?;
    let is_film = url.contains("youtube.com/") || url.contains("youtu.be/");
    let kind = media_type.or_else(|| by_ending(url)).unwrap_or(if is_film {
        "video/*"
    } else {
        "application/octet-stream"
    });
    let source = Source::Url {
        url: url.to_owned(),
        media_type: media_type.map(str::to_owned),
    };
    Ok(content(kind, source, file.text("displayName")?))
}

fn content(media_type: &str, source: Source, name: Option<&str>) -> Content {
    match media_type.split('/').next().unwrap_or_default() {
        "image" => Content::Image { source, detail: None },
        "audio" => Content::Audio {
            source,
            transcript: None,
        },
        "video" => Content::Video { source },
        _ => Content::Document {
            source,
            name: name.map(str::to_owned),
            context: None,
            cite: false,
        },
    }
}

/// The type that the ending of an address tells.
fn by_ending(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
    ENDINGS
        .iter()
        .find(|(ending, _)| path.ends_with(ending))
        .map(|(_, media_type)| *media_type)
}

/// Writes media as the data of a part; `fallback` is the type of an address that does not tell its own.
pub(super) fn write(
    source: &Source,
    fallback: &'static str,
    param: &str,
    notes: &mut Vec<String>,
) -> Result<Map<String, Value>, TranslateError> {
    let mut part = Map::new();
    match source {
        Source::Base64 { media_type, data } => {
            part.insert(
                "inlineData".to_owned(),
                json!({"mimeType": media_type, "data": data}),
            );
        }
        Source::Url { url, media_type } => {
            let mut file = json!({"fileUri": url});
            let is_uploaded = url.contains("generativelanguage.googleapis.com/") || url.contains("youtu");
            let known = media_type.as_deref().or_else(|| by_ending(url));
            if known.is_none() && !is_uploaded {
                notes.push(format!(
                    "{param}: its media type is not known, {fallback} is assumed"
                ));
            }
            if let Some(known) = known.or((!is_uploaded).then_some(fallback)) {
                super::insert(&mut file, "mimeType", known.into());
            }
            part.insert("fileData".to_owned(), file);
        }
        Source::File { id } if id.starts_with("files/") || id.contains("://") => {
            part.insert("fileData".to_owned(), json!({"fileUri": id}));
        }
        Source::File { .. } => {
            return refuse(
                param,
                "must not name a file of another provider: Gemini knows only files that were uploaded to it",
            );
        }
        Source::Text(text) => {
            part.insert("text".to_owned(), text.as_str().into());
        }
    }
    Ok(part)
}
