//! What holds for all of the configuration: the router's and the library's settings, and the master key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ENVIRONMENT, Scope, object, reasons};
use crate::{
    import::{Notes, Vocabulary, section::Section},
    key_hash,
};

/// What all routes have in common.
#[derive(Default)]
pub(super) struct Settings {
    /// `LiteLLM`'s word for the strategy.
    pub(super) strategy: Option<String>,
    pub(super) retries: Option<f64>,
    /// Seconds before a try.
    pub(super) retry_after: Option<f64>,
    /// In seconds.
    pub(super) timeout: Option<f64>,
    pub(super) stream_timeout: Option<f64>,
    pub(super) fallbacks: Vec<Fallbacks>,
    pub(super) default_fallbacks: Vec<String>,
    /// Alias and the group that it stands for.
    pub(super) aliases: BTreeMap<String, String>,
    /// Where failures and cooldown stand, with their values.
    pub(super) allowed_fails: Option<(String, f64)>,
    pub(super) cooldown: Option<(String, f64)>,
    /// Whether targets that fail are asked all the same.
    pub(super) no_cooldowns: bool,
    master_key: Option<String>,
}

/// What a group falls back to.
pub(super) struct Fallbacks {
    /// Where it stands.
    pub(super) path: String,
    pub(super) group: String,
    pub(super) others: Vec<String>,
    /// After which sort of failure, in Stead's words; after all usual ones when absent.
    pub(super) on: Option<&'static str>,
}

impl Settings {
    pub(super) fn read(root: &mut Section<'_>, scope: &mut Scope<'_>) -> Self {
        let mut settings = Self::default();
        let notes = &mut scope.notes;
        // The router's own settings win over those of the library.
        let mut router = Section::of("router_settings", root.take("router_settings"), notes);
        settings.shared(&mut router, scope.vocabulary, notes);
        settings.strategy = router.text("routing_strategy", notes);
        settings.aliases = aliases(&mut router, notes);
        router.rest(&reasons::ROUTER, reasons::UNKNOWN, notes);
        let mut library = Section::of("litellm_settings", root.take("litellm_settings"), notes);
        settings.shared(&mut library, scope.vocabulary, notes);
        let timeout = library.number("request_timeout", notes);
        settings.timeout = settings.timeout.or(timeout);
        let later = aliases(&mut library, notes);
        for (alias, group) in later {
            settings.aliases.entry(alias).or_insert(group);
        }
        library.rest(&reasons::LITELLM, reasons::UNKNOWN, notes);
        let mut general = Section::of("general_settings", root.take("general_settings"), notes);
        settings.master_key = general.text("master_key", notes);
        general.rest(&reasons::GENERAL, reasons::UNKNOWN, notes);
        settings
    }

    /// What may stand in the router's or the library's settings.
    fn shared(&mut self, section: &mut Section<'_>, vocabulary: &Vocabulary, notes: &mut Notes) {
        let mut number = |name: &str| section.number(name, notes);
        let (retries, after) = (number("num_retries"), number("retry_after"));
        let (timeout, stream) = (number("timeout"), number("stream_timeout"));
        let (fails, cooldown) = (number("allowed_fails"), number("cooldown_time"));
        let disabled = section.take("disable_cooldowns").and_then(Value::as_bool);
        self.retries = self.retries.or(retries);
        self.retry_after = self.retry_after.or(after);
        self.timeout = self.timeout.or(timeout);
        self.stream_timeout = self.stream_timeout.or(stream);
        let at = |name: &str, value: Option<f64>| value.map(|value| (section.at(name), value));
        self.allowed_fails = self.allowed_fails.take().or(at("allowed_fails", fails));
        self.cooldown = self.cooldown.take().or(at("cooldown_time", cooldown));
        if disabled == Some(true) {
            self.no_cooldowns = true;
            if !vocabulary.has_field("ModelRoute", "breaker") {
                let text = "a target that fails is left alone for a while; that cannot be switched off";
                notes.missing(section.at("disable_cooldowns"), text);
            }
        }
        self.read_fallbacks(section, vocabulary, notes);
    }

    fn read_fallbacks(&mut self, section: &mut Section<'_>, vocabulary: &Vocabulary, notes: &mut Notes) {
        let table = [
            ("fallbacks", None),
            ("context_window_fallbacks", Some("ContextLength")),
            ("content_policy_fallbacks", Some("ContentFilter")),
        ];
        for (field, sort) in table {
            let on = sort.filter(|sort| vocabulary.mentions("ModelRoute", "fallbacks", sort));
            let lists = lists(section, field, notes);
            if let (false, Some(sort), None) = (lists.is_empty(), sort, on) {
                let text =
                    format!("the fallbacks of a route are tried after every failure, not only after {sort}");
                notes.changed(section.at(field), text);
            }
            self.fallbacks
                .extend(lists.into_iter().map(|(path, group, others)| Fallbacks {
                    path,
                    group,
                    others,
                    on,
                }));
        }
        let default = section.texts("default_fallbacks", notes);
        if self.default_fallbacks.is_empty() {
            self.default_fallbacks = default;
        }
    }

    /// An `ApiKey` with the master key.
    pub(super) fn key(&self, scope: &mut Scope<'_>) -> Option<Value> {
        const PATH: &str = "general_settings.master_key";
        let text = self.master_key.as_deref()?;
        let value = match text.strip_prefix(ENVIRONMENT) {
            Some(name) => scope.variable(name),
            None => Some(text.to_owned()),
        };
        let Some(value) = value else {
            let name = text.trim_start_matches(ENVIRONMENT);
            let text =
                format!("its variable {name} is not set here, so there is no hash to make an ApiKey of");
            scope.notes.todo(PATH, text);
            return None;
        };
        scope.notes.changed(
            PATH,
            "it becomes an ApiKey of the admin, good for the model APIs; what manages Stead is the admin token, or a user",
        );
        let spec = json!({"owner": {"user": "admin"}, "keyHash": key_hash(&value)});
        Some(object("ApiKey", "litellm-master", &spec))
    }
}

/// `[{group: [others]}, …]`, each with its path.
fn lists(section: &mut Section<'_>, field: &str, notes: &mut Notes) -> Vec<(String, String, Vec<String>)> {
    let Some(value) = section.take(field) else {
        return Vec::new();
    };
    let path = section.at(field);
    let mut found = Vec::new();
    let Some(items) = value.as_array() else {
        notes.missing(path, "a list was expected here");
        return found;
    };
    for (index, item) in items.iter().enumerate() {
        let place = format!("{path}[{index}]");
        let Some(fields) = item.as_object() else {
            notes.missing(place, "a mapping was expected here");
            continue;
        };
        for (group, targets) in fields {
            let names = targets.as_array().map(|targets| {
                let texts = targets.iter().filter_map(Value::as_str).map(str::to_owned);
                texts.collect::<Vec<_>>()
            });
            match names.filter(|names| Some(names.len()) == targets.as_array().map(Vec::len)) {
                Some(names) => found.push((format!("{place}.{group}"), group.clone(), names)),
                None => notes.missing(
                    format!("{place}.{group}"),
                    "fallbacks are names of groups here; other parameters in them have no equivalent",
                ),
            }
        }
    }
    found
}

fn aliases(section: &mut Section<'_>, notes: &mut Notes) -> BTreeMap<String, String> {
    let Some(value) = section.take("model_group_alias") else {
        return BTreeMap::new();
    };
    let path = section.at("model_group_alias");
    let Some(fields) = value.as_object() else {
        notes.missing(path, "a mapping was expected here");
        return BTreeMap::new();
    };
    let mut aliases = BTreeMap::new();
    for (alias, target) in fields {
        let group = match target {
            Value::String(group) => Some(group.as_str()),
            Value::Object(fields) => {
                if fields.get("hidden").and_then(Value::as_bool) == Some(true) {
                    notes.missing(
                        format!("{path}.{alias}.hidden"),
                        "every route is listed by GET /v1/models",
                    );
                }
                fields.get("model").and_then(Value::as_str)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        };
        match group {
            Some(group) => drop(aliases.insert(alias.clone(), group.to_owned())),
            None => notes.missing(format!("{path}.{alias}"), "the name of a group was expected here"),
        }
    }
    aliases
}
