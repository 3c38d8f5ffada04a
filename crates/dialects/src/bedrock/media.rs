//! Images, documents, sound and moving pictures: as bytes (base64) or from S3, with formats by name.

use serde_json::{Value, json};

use super::NAME;
use crate::chat::{Source, TranslateError, refuse};

/// A sort of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Document,
    Audio,
    Video,
}

/// Media types and endings of files with the format that Converse knows them by (`ImageBlock`, `DocumentBlock`,
/// `AudioBlock`, `VideoBlock`).
const FORMATS: &[(Kind, &str, &str, &str)] = &[
    (Kind::Image, "image/png", "png", "png"),
    (Kind::Image, "image/jpeg", "jpg", "jpeg"),
    (Kind::Image, "image/jpg", "jpeg", "jpeg"),
    (Kind::Image, "image/gif", "gif", "gif"),
    (Kind::Image, "image/webp", "webp", "webp"),
    (Kind::Document, "application/pdf", "pdf", "pdf"),
    (Kind::Document, "text/csv", "csv", "csv"),
    (Kind::Document, "application/msword", "doc", "doc"),
    (
        Kind::Document,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
        "docx",
    ),
    (Kind::Document, "application/vnd.ms-excel", "xls", "xls"),
    (
        Kind::Document,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
        "xlsx",
    ),
    (Kind::Document, "text/html", "html", "html"),
    (Kind::Document, "text/plain", "txt", "txt"),
    (Kind::Document, "text/markdown", "md", "md"),
    (Kind::Audio, "audio/mp3", "mp3", "mp3"),
    (Kind::Audio, "audio/mpeg", "mp3", "mp3"),
    (Kind::Audio, "audio/opus", "opus", "opus"),
    (Kind::Audio, "audio/wav", "wav", "wav"),
    (Kind::Audio, "audio/x-wav", "wav", "wav"),
    (Kind::Audio, "audio/aac", "aac", "aac"),
    (Kind::Audio, "audio/flac", "flac", "flac"),
    (Kind::Audio, "audio/mp4", "m4a", "m4a"),
    (Kind::Audio, "audio/ogg", "ogg", "ogg"),
    (Kind::Audio, "audio/webm", "webm", "webm"),
    (Kind::Audio, "audio/pcm", "pcm", "pcm"),
    (Kind::Video, "video/x-matroska", "mkv", "mkv"),
    (Kind::Video, "video/quicktime", "mov", "mov"),
    (Kind::Video, "video/mp4", "mp4", "mp4"),
    (Kind::Video, "video/webm", "webm", "webm"),
    (Kind::Video, "video/x-flv", "flv", "flv"),
    (Kind::Video, "video/mpeg", "mpeg", "mpeg"),
    (Kind::Video, "video/x-ms-wmv", "wmv", "wmv"),
    (Kind::Video, "video/3gpp", "3gp", "three_gp"),
];

impl Kind {
    const fn noun(self) -> &'static str {
        match self {
            Self::Image => "images",
            Self::Document => "documents",
            Self::Audio => "sound",
            Self::Video => "videos",
        }
    }

    /// The format by media type, without its parameters.
    fn by_type(self, media_type: &str) -> Option<&'static str> {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        self.find(|kind, _| kind.eq_ignore_ascii_case(media_type))
    }

    /// The format by the ending of an address or a name.
    fn by_ending(self, name: &str) -> Option<&'static str> {
        let (_, ending) = name.rsplit_once('.')?;
        self.find(|_, known| known.eq_ignore_ascii_case(ending))
    }

    fn find(self, is_it: impl Fn(&str, &str) -> bool) -> Option<&'static str> {
        FORMATS
            .iter()
            .find(|(kind, media_type, ending, _)| *kind == self && is_it(media_type, ending))
            .map(|(_, _, _, format)| *format)
    }

    /// The media type of a format in an answer.
    pub(super) fn media_type(self, format: &str) -> &'static str {
        FORMATS
            .iter()
            .find(|(kind, _, _, known)| *kind == self && *known == format)
            .map_or("application/octet-stream", |(_, media_type, _, _)| media_type)
    }
}

/// The format and the `source` of media; `name` helps to tell the format.
///
/// # Errors
/// When Converse does not know the format or cannot fetch it from where it is.
pub(super) fn source(
    param: &str,
    kind: Kind,
    source: &Source,
    name: Option<&str>,
) -> Result<(&'static str, Value), TranslateError> {
    let by_name = || name.and_then(|name| kind.by_ending(name));
    let (format, source) = match source {
        Source::Base64 { media_type, data } => {
            (kind.by_type(media_type).or_else(by_name), json!({"bytes": data}))
        }
        Source::Url { url, media_type } if url.starts_with("s3://") => {
            let format = media_type
                .as_deref()
                .and_then(|media_type| kind.by_type(media_type));
            (
                format.or_else(|| kind.by_ending(url)).or_else(by_name),
                json!({"s3Location": {"uri": url}}),
            )
        }
        Source::Text(text) => (Some("txt"), json!({"text": text})),
        Source::Url { .. } => {
            return refuse(
                param,
                format!(
                    "{NAME} takes {} in the request itself (base64) or from S3 (s3://), not from other addresses",
                    kind.noun()
                ),
            );
        }
        Source::File { .. } => return refuse(param, format!("{NAME} has no uploaded files")),
    };
    if let Some(format) = format {
        return Ok((format, source));
    }
    let mut known: Vec<&str> = FORMATS
        .iter()
        .filter(|(each, ..)| *each == kind)
        .map(|(_, _, _, format)| *format)
        .collect();
    known.dedup();
    refuse(
        param,
        format!(
            "{NAME} takes {} of these formats only: {}",
            kind.noun(),
            known.join(", ")
        ),
    )
}

/// A name as Converse takes it: letters, digits, single spaces, hyphens, parentheses and square brackets, at most 200.
pub(super) fn document_name(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        let plain = match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '(' | ')' | '[' | ']' => character,
            _ if character.is_whitespace() => ' ',
            _ => '-',
        };
        if !(plain == ' ' && (out.ends_with(' ') || out.is_empty())) {
            out.push(plain);
        }
    }
    out.truncate(190);
    out.truncate(out.trim_end().len());
    if out.is_empty() {
        "document".to_owned()
    } else {
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_documents_are_made_of_what_converse_takes() {
        let cases = [
            ("report", "report"),
            ("Q3 report.pdf", "Q3 report-pdf"),
            ("  a \t\n b  ", "a b"),
            ("übersicht_2", "-bersicht-2"),
            ("", "document"),
        ];
        for (name, wanted) in cases {
            assert_eq!(document_name(name), wanted);
        }
        assert_eq!(document_name(&"x".repeat(500)).len(), 190);
    }

    #[test]
    fn formats_come_of_media_types_and_endings() {
        let s3 = |url: &str| Source::Url {
            url: url.to_owned(),
            media_type: None,
        };
        let (format, place) = source("p", Kind::Video, &s3("s3://bucket/a.3gp"), None).unwrap();
        assert_eq!(
            (format, place),
            ("three_gp", json!({"s3Location": {"uri": "s3://bucket/a.3gp"}}))
        );
        let data = Source::Base64 {
            media_type: "application/octet-stream".to_owned(),
            data: "AA==".to_owned(),
        };
        assert_eq!(
            source("p", Kind::Document, &data, Some("a.DOCX")).unwrap().0,
            "docx"
        );
        let error = source("p", Kind::Document, &data, None).unwrap_err();
        assert!(error.message.contains("pdf, csv"), "{error}");
        assert!(source("p", Kind::Image, &s3("https://example.com/a.png"), None).is_err());
    }
}
