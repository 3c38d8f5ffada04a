//! Which form of an answer the client wants.

use axum::http::{HeaderMap, header};

use crate::failure::{Failure, Outcome};

/// What is offered.
const OFFERED: &str = "application/json, application/json;as=Table;v=v1;g=meta.k8s.io";

/// The form of objects in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Representation {
    /// Whole objects.
    Whole,
    /// Rows of a table.
    Table,
    /// Objects' metadata.
    Metadata,
}

/// The `Accept` header, in the client's order.
pub(super) struct Accept(String);

pub(super) fn accept(headers: &HeaderMap) -> Accept {
    let values: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    Accept(values.join(","))
}

/// One media type of the header: its name, and its parameters `as`, `g` and `v`.
struct Offer<'a> {
    media_type: &'a str,
    form: &'a str,
    group: &'a str,
    version: &'a str,
}

impl Accept {
    fn offers(&self) -> impl Iterator<Item = Offer<'_>> {
        let text = if self.0.is_empty() { "*/*" } else { &self.0 };
        text.split(',').map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let mut offer = Offer {
                media_type: parts.next().unwrap_or_default(),
                form: "",
                group: "",
                version: "",
            };
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("as", value)) => offer.form = value,
                    Some(("g", value)) => offer.group = value,
                    Some(("v", value)) => offer.version = value,
                    _ => {}
                }
            }
            offer
        })
    }

    /// The first form that is offered; `NotAcceptable` when none is.
    pub(super) fn representation(&self) -> Outcome<Representation> {
        self.offers()
            .filter(|offer| matches!(offer.media_type, "application/json" | "application/*" | "*/*"))
            .find_map(|offer| match (offer.form, offer.group, offer.version) {
                ("", ..) => Some(Representation::Whole),
                ("Table", "meta.k8s.io", "v1") => Some(Representation::Table),
                ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
                    Some(Representation::Metadata)
                }
                _ => None,
            })
            .ok_or_else(|| Failure::not_acceptable(OFFERED))
    }

    /// Whether everything that is served is wanted in one answer.
    pub(super) fn wants_discovery(&self) -> bool {
        self.offers().any(|offer| {
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
            ("application/vnd.kubernetes.protobuf", None),
            ("application/cbor", None),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
    }
}
