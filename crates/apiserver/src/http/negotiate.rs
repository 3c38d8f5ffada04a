//! Which form of an answer the client wants.

use axum::http::{HeaderMap, header};
use stead_kernel::Verb;

use crate::{
    failure::{Failure, Outcome},
    kinds::ResourceType,
};

/// What is offered.
const OFFERED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// What is offered of a watch.
const STREAMED: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// The form of objects in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Representation {
    /// Whole objects.
    Whole,
    /// Rows of a table.
    Table,
    /// An object's metadata.
    Metadata,
    /// The metadata of a list's objects.
    MetadataList,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
}

/// The `Accept` header.
pub(super) struct Accept(String);

pub(super) fn accept(headers: &HeaderMap) -> Accept {
    let values: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    Accept(values.join(","))
}

/// One media type of the header: its name, and its parameters `as`, `g`, `v` and `stream`.
#[derive(Default)]
struct Offer<'a> {
    media_type: &'a str,
    form: &'a str,
    group: &'a str,
    version: &'a str,
    stream: &'a str,
    /// From 0 to 1: how much it is wanted.
    quality: f32,
}

impl<'a> Offer<'a> {
    fn read(range: &'a str) -> Self {
        let mut parts = range.split(';').map(str::trim);
        let mut offer = Offer {
            media_type: parts.next().unwrap_or_default(),
            quality: 1.0,
            ..Offer::default()
        };
        for parameter in parts {
            match parameter.split_once('=') {
                Some(("as", value)) => offer.form = value,
                Some(("g", value)) => offer.group = value,
                Some(("v", value)) => offer.version = value,
                Some(("stream", value)) => offer.stream = value,
                Some(("q", value)) => offer.quality = value.parse().unwrap_or(1.0),
                _ => {}
            }
        }
        offer
    }

    fn format(&self) -> Option<Format> {
        match self.media_type {
            "application/json" | "application/*" | "*/*" => Some(Format::Json),
            "application/yaml" => Some(Format::Yaml),
            _ => None,
        }
    }

    fn representation(&self) -> Option<Representation> {
        match (self.form, self.group, self.version) {
            _ if !matches!(self.stream, "" | "watch") => None,
            ("", ..) => Some(Representation::Whole),
            ("Table", "meta.k8s.io", "v1") => Some(Representation::Table),
            ("PartialObjectMetadata", "meta.k8s.io", "v1") => Some(Representation::Metadata),
            ("PartialObjectMetadataList", "meta.k8s.io", "v1") => Some(Representation::MetadataList),
            _ => None,
        }
    }
}

impl Accept {
    /// What is wanted, the most wanted first; of what is wanted alike, the special before the general.
    fn offers(&self) -> Vec<Offer<'_>> {
        let text = if self.0.is_empty() { "*/*" } else { &self.0 };
        let mut offers: Vec<Offer<'_>> = text.split(',').map(str::trim).map(Offer::read).collect();
        let general = |offer: &Offer<'_>| (offer.media_type == "*/*", offer.media_type.ends_with("/*"));
        offers.sort_by(|a, b| {
            let wanted = b.quality.total_cmp(&a.quality);
            wanted.then_with(|| general(a).cmp(&general(b)))
        });
        offers
    }

    /// The first form that is offered; `NotAcceptable` when none is.
    pub(super) fn representation(&self) -> Outcome<Representation> {
        self.form()
            .map(|(_, form)| form)
            .ok_or_else(|| Failure::not_acceptable(OFFERED))
    }

    /// The same for a kind: the original asks twice for those of its core, and says so in other words; of a list it
    /// offers to stream it, too.
    pub(super) fn representation_of(&self, kind: &ResourceType, verb: Verb) -> Outcome<Representation> {
        let refuse = || {
            let names_one = |offer: &Offer<'_>| offer.format().is_some();
            if kind.defined || self.offers().iter().any(names_one) {
                Failure::not_acceptable(OFFERED)
            } else if verb == Verb::List {
                Failure::not_acceptable_at_all(&format!("{OFFERED}, {STREAMED}"))
            } else {
                Failure::not_acceptable_at_all(OFFERED)
            }
        };
        self.form().map(|(_, form)| form).ok_or_else(refuse)
    }

    /// The form of a watch's objects; a watch is told in JSON only, since YAML has no way to say where one ends.
    pub(super) fn representation_of_watch(&self) -> Outcome<Representation> {
        match self.form() {
            Some((Format::Json, form)) => Ok(form),
            Some((Format::Yaml, _)) | None => Err(Failure::not_acceptable(STREAMED)),
        }
    }

    /// How answers are written, if anything that is offered is accepted.
    pub(super) fn format(&self) -> Format {
        self.form().map_or(Format::Json, |(format, _)| format)
    }

    fn form(&self) -> Option<(Format, Representation)> {
        self.offers()
            .iter()
            .find_map(|offer| Some((offer.format()?, offer.representation()?)))
    }

    /// Whether everything that is served is wanted in one answer.
    pub(super) fn wants_discovery(&self) -> bool {
        self.offers().iter().any(|offer| {
            offer.media_type == "application/json"
                && (offer.form, offer.group, offer.version)
                    == ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_is_offered_is_taken() {
        let form = |text: &str| Accept(text.into()).representation().ok();
        for (text, expected) in [
            ("", Some(Representation::Whole)),
            ("*/*", Some(Representation::Whole)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Some(Representation::Table),
            ),
            (
                "application/json;as=Table;v=v1beta1;g=meta.k8s.io, application/json",
                Some(Representation::Whole),
            ),
            (
                "application/vnd.kubernetes.protobuf, application/json",
                Some(Representation::Whole),
            ),
            (
                "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
                Some(Representation::Metadata),
            ),
            ("application/yaml", Some(Representation::Whole)),
            ("application/json;stream=watch", Some(Representation::Whole)),
            ("application/json;stream=other", None),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/cbor", None),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
    }

    #[test]
    fn answers_are_written_in_what_is_wanted_most() {
        for (text, expected) in [
            ("", Format::Json),
            ("application/yaml", Format::Yaml),
            ("application/yaml, application/json", Format::Yaml),
            ("application/yaml;q=0.5, application/json", Format::Json),
            ("*/*, application/yaml", Format::Yaml),
            ("text/html, application/yaml;q=0.1", Format::Yaml),
        ] {
            assert_eq!(Accept(text.into()).format(), expected, "{text}");
        }
    }

    #[test]
    fn a_watch_is_told_in_json() {
        for (text, expected) in [
            ("application/json;stream=watch", Some(Representation::Whole)),
            ("application/yaml, application/json", None),
            ("application/json, application/yaml", Some(Representation::Whole)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io",
                Some(Representation::Table),
            ),
            ("application/yaml", None),
        ] {
            let form = Accept(text.into()).representation_of_watch().ok();
            assert_eq!(form, expected, "{text}");
        }
    }
}
