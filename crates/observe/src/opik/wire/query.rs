//! Parameters of a request's address.

use std::str::FromStr;

use axum::{extract::FromRequestParts, http::request::Parts};
use uuid::Uuid;

use super::OpikError;
use crate::opik::Opik;

/// The parameters; what nobody asks for is passed over, as Opik does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl FromRequestParts<Opik> for Query {
    type Rejection = OpikError;

    async fn from_request_parts(parts: &mut Parts, _: &Opik) -> Result<Self, OpikError> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Reads `a=b&c=d`.
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            url::form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        let (_, value) = all.find(|(own, value)| own == name && !value.is_empty())?;
        Some(value)
    }

    /// A parameter that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, OpikError> {
        self.text(name)
            .ok_or_else(|| OpikError::invalid(format!("query param {name} must not be null")))
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<usize>, OpikError> {
        self.parsed(name)
    }

    /// A UUID.
    pub(crate) fn id(&self, name: &str) -> Result<Option<Uuid>, OpikError> {
        self.parsed(name)
    }

    /// Whether a switch is on; off when it is not told.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, OpikError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        let parsed = value.parse();
        parsed
            .map(Some)
            .map_err(|_| OpikError::invalid(format!("invalid query param {name}: {value:?}")))
    }
}
