//! Attached files on the wire. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use stead_kernel::ports::traces::Kind;
use url::Url;
use uuid::Uuid;

use crate::opik::wire::OpikError;

/// What is about to be attached (`StartMultipartUploadRequest`).
#[derive(Debug, Deserialize)]
pub(super) struct Start {
    pub(super) file_name: String,
    #[serde(default)]
    pub(super) mime_type: Option<String>,
    #[serde(default)]
    pub(super) project_name: Option<String>,
    pub(super) entity_type: String,
    pub(super) entity_id: Uuid,
    pub(super) path: String,
}

/// What is to be removed.
#[derive(Debug, Deserialize)]
pub(super) struct ToDelete {
    #[serde(default)]
    pub(super) file_name: Option<String>,
    #[serde(default)]
    pub(super) file_names: Option<Vec<String>>,
    pub(super) entity_type: String,
    pub(super) entity_id: Uuid,
}

/// An attached file as it is answered.
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    pub(super) link: String,
    pub(super) file_name: String,
    pub(super) file_size: u64,
    pub(super) mime_type: String,
}

/// What a name of Opik's stands for.
pub(super) fn kind(name: &str) -> Result<Kind, OpikError> {
    match name {
        "trace" => Ok(Kind::Trace),
        "span" => Ok(Kind::Span),
        _ => Err(OpikError::invalid("entity_type must be one of trace, span")),
    }
}

/// The address of an operation on files, below the address that the client says it reaches this API under, which is
/// base64 of it.
pub(super) fn address(path: &str, operation: &str, parameters: &[(&str, &str)]) -> Result<String, OpikError> {
    let wrong = || OpikError::invalid("path must be the base64 of this API's address");
    let bytes = STANDARD.decode(path).map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let mut base = Url::parse(&text).map_err(|_| wrong())?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(wrong());
    }
    let below = format!(
        "{}/v1/private/attachment/{operation}",
        base.path().trim_end_matches('/')
    );
    base.set_path(&below);
    base.query_pairs_mut().clear().extend_pairs(parameters);
    Ok(base.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_below_the_one_that_the_client_knows() {
        // http://127.0.0.1:38921/api/
        let address = address(
            "aHR0cDovLzEyNy4wLjAuMTozODkyMS9hcGkv",
            "upload",
            &[("file_name", "a b&c")],
        );
        assert_eq!(
            address.unwrap(),
            "http://127.0.0.1:38921/api/v1/private/attachment/upload?file_name=a+b%26c"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for path in ["%", "bm90aGluZw==", "ZmlsZTovLy9ldGM="] {
            assert!(address(path, "upload", &[]).is_err(), "{path}");
        }
    }
}
