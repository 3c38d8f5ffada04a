//! The parameters of a request.

use crate::{
    engine::{DeleteOptions, FieldValidation, ListOptions, Propagation, Selectors, WriteOptions},
    failure::{Failure, Outcome},
    kinds::ResourceType,
};

/// Decoded query parameters.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The first value of a parameter; empty when absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    }

    /// Whether a parameter says yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.iter().any(|(key, value)| {
            key == name && matches!(value.as_str(), "" | "1" | "t" | "T" | "true" | "True" | "TRUE")
        })
    }

    /// A number that is not negative; 0 when absent.
    pub(super) fn number(&self, name: &str) -> Outcome<u64> {
        match self.get(name) {
            "" => Ok(0),
            text => text
                .parse()
                .map_err(|_| Failure::bad_request(format!("the parameter {name} is no number: {text:?}"))),
        }
    }

    /// Whether nothing is to be stored.
    fn dry_run(&self) -> Outcome<bool> {
        match self.get("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(Failure::bad_request(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
        }
    }

    /// How a write is done; `agent` names the manager if the request does not.
    pub(super) fn write_options(&self, agent: &str) -> Outcome<WriteOptions> {
        let manager = match self.get("fieldManager") {
            "" => agent,
            given => given,
        };
        if manager.chars().count() > 128 || manager.chars().any(char::is_control) {
            return Err(Failure::bad_request(
                "fieldManager: must be at most 128 printable characters",
            ));
        }
        let validation = match self.get("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                return Err(Failure::bad_request(format!(
                    "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Warn\", \"Strict\""
                )));
            }
        };
        Ok(WriteOptions {
            dry_run: self.dry_run()?,
            manager: manager.into(),
            validation,
            force: self.flag("force"),
        })
    }

    /// How to delete, before the body is looked at.
    pub(super) fn delete_options(&self) -> Outcome<DeleteOptions> {
        Ok(DeleteOptions {
            dry_run: self.dry_run()?,
            propagation: propagation(self.get("propagationPolicy"), self.flag("orphanDependents"))?,
            ..DeleteOptions::default()
        })
    }

    /// Which objects to list.
    pub(super) fn list_options(&self, kind: &ResourceType) -> Outcome<ListOptions> {
        let exact = match self.get("resourceVersionMatch") {
            "" | "NotOlderThan" => None,
            "Exact" => Some(self.number("resourceVersion")?).filter(|version| *version > 0),
            other => {
                return Err(Failure::bad_request(format!(
                    "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
                )));
            }
        };
        Ok(ListOptions {
            exact,
            selectors: self.selectors(kind)?,
            limit: usize::try_from(self.number("limit")?).unwrap_or(usize::MAX),
            page: self.get("continue").into(),
        })
    }

    /// Which objects of a collection.
    pub(super) fn selectors(&self, kind: &ResourceType) -> Outcome<Selectors> {
        Selectors::parse(kind, self.get("labelSelector"), self.get("fieldSelector"))
    }
}

/// What a policy's name means.
pub(super) fn propagation(policy: &str, orphan: bool) -> Outcome<Propagation> {
    match policy {
        "" if orphan => Ok(Propagation::Orphan),
        "" | "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        "Orphan" => Ok(Propagation::Orphan),
        other => Err(Failure::bad_request(format!(
            "propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\""
        ))),
    }
}
