//! The parameters of a request, and what is wrong with them, in the words of the original.

use std::time::Duration;

use stead_resource::{FieldError, FieldErrorKind};

use crate::{
    engine::{DeleteOptions, FieldValidation, ListOptions, Propagation, Selectors, WriteOptions},
    failure::{Failure, Outcome},
    kinds::ResourceType,
};

/// The longest name of a manager, in bytes.
const MANAGER_LIMIT: usize = 128;

/// How long a request may take that is no watch, if its client asks for less or for nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a watch begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Initial {
    /// What its version says.
    Unsaid,
    /// What is now, and a bookmark.
    State,
    /// What happens after its version, or from now on.
    Nothing,
}

/// Decoded query parameters.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// Sets a parameter that the path implies.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(key, _)| key != name);
        self.0.push((name.into(), value.into()));
    }

    /// The first value of a parameter; empty when absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let same = self.0.iter().filter(|(key, _)| key == name);
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a parameter says yes: it is there and neither `0` nor `false`.
    pub(super) fn flag(&self, name: &str) -> bool {
        let given = self.all(name).first().copied();
        given.is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// A number; 0 when it is absent or negative.
    pub(super) fn number(&self, name: &str) -> Outcome<u64> {
        match self.get(name) {
            "" => Ok(0),
            text => text
                .parse::<i64>()
                .map(|number| u64::try_from(number).unwrap_or_default())
                .map_err(|_| {
                    Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
                }),
        }
    }

    /// How long the request may take, as `timeout` has it.
    pub(super) fn timeout(&self) -> Outcome<Duration> {
        let refuse =
            |why| Failure::bad_request(format!("invalid timeout specified in the request URL - {why}"));
        let asked = match self.get("timeout") {
            "" => return Ok(PATIENCE),
            text => duration(text).map_err(refuse)?,
        };
        Ok(Some(asked)
            .filter(|asked| !asked.is_zero())
            .unwrap_or(PATIENCE)
            .min(PATIENCE))
    }

    /// What a watch begins with.
    pub(super) fn initial(&self) -> Initial {
        match (self.has("sendInitialEvents"), self.flag("sendInitialEvents")) {
            (false, _) => Initial::Unsaid,
            (true, true) => Initial::State,
            (true, false) => Initial::Nothing,
        }
    }

    /// Which values of `dryRun` are given; `All` is the only one there is.
    fn dry_run(&self, errors: &mut Vec<FieldError>) -> bool {
        let given: Vec<&str> = self
            .all("dryRun")
            .into_iter()
            .filter(|value| !value.is_empty())
            .collect();
        errors.extend(check_dry_run(&given));
        !given.is_empty()
    }

    /// How a write is done; `agent` names the manager if the request does not. `options` is what the original calls
    /// the parameters, as `CreateOptions`.
    pub(super) fn write_options(&self, agent: &str, options: &str) -> Outcome<WriteOptions> {
        let mut errors = Vec::new();
        let is_apply = agent.is_empty();
        if self.has("force") && options == "PatchOptions" && !is_apply {
            let why = "may not be specified for non-apply patch";
            errors.push(FieldError::new("force", FieldErrorKind::Forbidden, why));
        }
        let manager = match self.get("fieldManager") {
            "" => agent,
            given => given,
        };
        if manager.is_empty() && is_apply {
            let why = "is required for apply patch";
            errors.push(FieldError::new("fieldManager", FieldErrorKind::Required, why));
        }
        errors.extend(check_manager(manager));
        let dry_run = self.dry_run(&mut errors);
        let validation = match self.get("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let known = ["", "Ignore", "Strict", "Warn"];
                errors.push(unsupported("fieldValidation", other, &known));
                FieldValidation::Warn
            }
        };
        if !errors.is_empty() {
            return Err(Failure::invalid_options(options, &errors));
        }
        Ok(WriteOptions {
            dry_run,
            manager: manager.into(),
            validation,
            force: self.flag("force"),
            duplicates: Vec::new(),
        })
    }

    /// How to delete, before the body is looked at; the body's options take the place of all of these.
    pub(super) fn delete_options(&self) -> Outcome<DeleteOptions> {
        self.number("gracePeriodSeconds")?;
        let mut errors = Vec::new();
        let dry_run = self.dry_run(&mut errors);
        let orphan = self
            .has("orphanDependents")
            .then(|| self.flag("orphanDependents"));
        let propagation = propagation(self.get("propagationPolicy"), orphan, &mut errors);
        if !errors.is_empty() {
            return Err(Failure::invalid_options("DeleteOptions", &errors));
        }
        Ok(DeleteOptions {
            dry_run,
            propagation,
            ..DeleteOptions::default()
        })
    }

    /// Which objects to list.
    pub(super) fn list_options(&self, kind: &ResourceType) -> Outcome<ListOptions> {
        self.check_versions()?;
        let limit = usize::try_from(self.number("limit")?).unwrap_or(usize::MAX);
        let version = self.get("resourceVersion");
        // Any state will do: the original answers from its cache, which knows no pages.
        let limit = if version == "0" { 0 } else { limit };
        let page = self.get("continue");
        let number = match version {
            "" => 0,
            text => text.parse::<u64>().map_err(|_| {
                Failure::bad_request(format!("invalid resource version: {}", not_a_version(text)))
            })?,
        };
        if !page.is_empty() && number > 0 {
            let message = "specifying resource version is not allowed when using continue";
            return Err(Failure::bad_request(message));
        }
        let matching = self.get("resourceVersionMatch");
        // A page of a version that was given is a page of that version, as the original has it.
        let exact = matching == "Exact" || (matching.is_empty() && limit > 0);
        Ok(ListOptions {
            exact: Some(number).filter(|version| exact && *version > 0),
            at_least: number,
            selectors: self.selectors(kind)?,
            limit,
            page: page.into(),
        })
    }

    /// Refuses what contradicts itself in the versions that a list or watch asks for.
    pub(super) fn check_versions(&self) -> Outcome<()> {
        let (version, matching) = (self.get("resourceVersion"), self.get("resourceVersionMatch"));
        let forbidden = |path: &str, why: &str| FieldError::new(path, FieldErrorKind::Forbidden, why);
        let mut errors = Vec::new();
        let initial = self.has("sendInitialEvents");
        if self.flag("watch") {
            if initial && matching != "NotOlderThan" {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                errors.push(forbidden("resourceVersionMatch", why));
            }
            if !initial && !matching.is_empty() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                errors.push(forbidden("resourceVersionMatch", why));
            }
            if initial && !matches!(matching, "" | "NotOlderThan") {
                errors.push(unsupported("resourceVersionMatch", matching, &["NotOlderThan"]));
            }
        } else {
            if !matching.is_empty() {
                if version.is_empty() {
                    let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                    errors.push(forbidden("resourceVersionMatch", why));
                }
                if !self.get("continue").is_empty() {
                    let why = "resourceVersionMatch is forbidden when continue is provided";
                    errors.push(forbidden("resourceVersionMatch", why));
                }
                if !matches!(matching, "Exact" | "NotOlderThan") {
                    let known = ["Exact", "NotOlderThan", ""];
                    errors.push(unsupported("resourceVersionMatch", matching, &known));
                }
                if matching == "Exact" && version == "0" {
                    let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                    errors.push(forbidden("resourceVersionMatch", why));
                }
            }
            if initial {
                let why = "sendInitialEvents is forbidden for list";
                errors.push(forbidden("sendInitialEvents", why));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Failure::invalid_options("ListOptions", &errors))
        }
    }

    /// Which objects of a collection.
    pub(super) fn selectors(&self, kind: &ResourceType) -> Outcome<Selectors> {
        Selectors::parse(kind, self.get("labelSelector"), self.get("fieldSelector"))
    }
}

/// A duration as Go writes it: numbers with units, as `1h2m3.5s`. What is below zero is zero.
///
/// # Errors
/// What Go's parser (`time.ParseDuration`) says.
fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 || unsigned.is_empty() {
        return Err(invalid());
    }
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut seconds) = (unsigned, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| letter != '.' && !letter.is_ascii_digit());
        let (number, after) = rest.split_at(digits.unwrap_or(rest.len()));
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let letters = after.find(|letter: char| letter == '.' || letter.is_ascii_digit());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        seconds += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "" => return Err(format!("time: missing unit in duration {text:?}")),
                other => return Err(format!("time: unknown unit {other:?} in duration {text:?}")),
            };
        rest = after;
    }
    if text.starts_with('-') {
        return Ok(Duration::ZERO);
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

/// What the original says of a resource version that is no number.
pub(super) fn not_a_version(text: &str) -> String {
    format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
}

fn unsupported(path: &str, value: &str, known: &[&str]) -> FieldError {
    let known: Vec<String> = known.iter().map(|one| format!("{one:?}")).collect();
    let detail = format!("supported values: {}", known.join(", "));
    FieldError::new(path, FieldErrorKind::NotSupported, detail).with_value(format_args!("{value:?}"))
}

/// What is wrong with the values of `dryRun`.
pub(super) fn check_dry_run(given: &[&str]) -> Option<FieldError> {
    if given.iter().all(|value| *value == "All") {
        return None;
    }
    let error = FieldError::new(
        "dryRun",
        FieldErrorKind::NotSupported,
        "supported values: \"All\"",
    );
    Some(error.with_value(format_args!("{given:?}")))
}

fn check_manager(manager: &str) -> Option<FieldError> {
    if manager.len() > MANAGER_LIMIT {
        let detail = format!("may not be more than {MANAGER_LIMIT} bytes");
        return Some(FieldError::new("fieldManager", FieldErrorKind::TooLong, detail));
    }
    let (position, letter) = manager.char_indices().find(|(_, letter)| letter.is_control())?;
    let detail = format!(
        "invalid character U+{:04X} (at position {position})",
        u32::from(letter)
    );
    let shown: String = manager
        .chars()
        .map(|letter| match letter {
            '"' | '\\' => format!("\\{letter}"),
            letter if letter.is_control() => format!("\\x{:02x}", u32::from(letter)),
            letter => letter.to_string(),
        })
        .collect();
    let error = FieldError::new("fieldManager", FieldErrorKind::Invalid, detail);
    Some(error.with_value(format_args!("\"{shown}\"")))
}

/// What a policy's name means.
pub(super) fn propagation(policy: &str, orphan: Option<bool>, errors: &mut Vec<FieldError>) -> Propagation {
    let meant = match policy {
        "" => match orphan {
            Some(true) => Propagation::Orphan,
            Some(false) | None => Propagation::Background,
        },
        "Background" => Propagation::Background,
        "Foreground" => Propagation::Foreground,
        "Orphan" => Propagation::Orphan,
        other => {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(unsupported("propagationPolicy", other, &known));
            Propagation::Background
        }
    };
    if orphan.is_some() && !policy.is_empty() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        let error = FieldError::new("propagationPolicy", FieldErrorKind::Invalid, why);
        errors.push(error.with_value(format_args!("{policy:?}")));
    }
    meant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("1s", Ok(1_000)),
            ("1m0.5s", Ok(60_500)),
            ("250ms", Ok(250)),
            ("-1h", Ok(0)),
            ("0", Ok(0)),
            ("5", Err("time: missing unit in duration \"5\"")),
            ("x", Err("time: invalid duration \"x\"")),
            ("1d", Err("time: unknown unit \"d\" in duration \"1d\"")),
            ("--1s", Err("time: invalid duration \"--1s\"")),
            ("1.2.3s", Err("time: invalid duration \"1.2.3s\"")),
        ] {
            let found = duration(text).map(|duration| duration.as_millis());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn no_request_takes_longer_than_the_server_lets_it() {
        for (query, seconds) in [
            ("", 60),
            ("timeout=5s", 5),
            ("timeout=0s", 60),
            ("timeout=2h", 60),
        ] {
            let timeout = Query::parse(Some(query)).timeout().expect("a time");
            assert_eq!(timeout.as_secs(), seconds, "{query}");
        }
    }
}
