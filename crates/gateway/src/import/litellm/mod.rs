//! `LiteLLM`'s proxy configuration (<https://docs.litellm.ai/docs/proxy/config_settings>) as resources.

mod deployment;
mod providers;
mod reasons;
mod routes;
mod settings;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_kernel::{Error, GROUP, Result, VERSION};

use self::{deployment::Deployment, providers::Providers, routes::Routes, settings::Settings};
use super::{Import, Notes, SecretValue, Vocabulary, section::Section};

/// Answers what a variable of the environment holds.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a translation works with.
struct Scope<'a> {
    vocabulary: &'a Vocabulary,
    /// `environment_variables` of the configuration, which win over the environment.
    own: BTreeMap<String, String>,
    environment: Variables<'a>,
    notes: Notes,
    secrets: Vec<SecretValue>,
}

impl Scope<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let own = self.own.get(name).cloned();
        own.or_else(|| (self.environment)(name))
            .filter(|value| !value.is_empty())
    }

    /// A text that may stand for a variable (`os.environ/NAME`); noted when nobody knows the variable.
    fn resolve(&mut self, path: &str, text: &str) -> Option<String> {
        let Some(name) = text.strip_prefix(ENVIRONMENT) else {
            return Some(text.to_owned());
        };
        let value = self.variable(name);
        if value.is_none() {
            let text = format!("the variable {name} is not set here: set it, and import again");
            self.notes.todo(path, text);
        }
        value
    }

    /// Keeps a value of a Secret; the same value of the same Secret once.
    fn keep(&mut self, secret: &str, key: &str, source: &Source) {
        let (origin, value) = match source {
            Source::Variable(name) => (format!("${name}"), self.variable(name)),
            Source::Inline(text) => ("the configuration".to_owned(), Some(text.clone())),
            Source::File(path) => (format!("the file {path}"), None),
        };
        let known = |kept: &SecretValue| kept.secret == secret && kept.key == key;
        if !self.secrets.iter().any(known) {
            self.secrets.push(SecretValue {
                secret: secret.into(),
                key: key.into(),
                origin,
                value,
            });
        }
    }
}

/// How variables are referred to.
const ENVIRONMENT: &str = "os.environ/";

/// Where a credential comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Variable(String),
    Inline(String),
    File(String),
}

impl Source {
    fn of(text: &str) -> Self {
        match text.strip_prefix(ENVIRONMENT) {
            Some(name) => Self::Variable(name.to_owned()),
            None => Self::Inline(text.to_owned()),
        }
    }
}

/// Translates a configuration.
///
/// # Errors
/// `Invalid` for what is no configuration of `LiteLLM`'s proxy at all.
pub(crate) fn translate(
    config: &Value,
    vocabulary: &Vocabulary,
    environment: Variables<'_>,
) -> Result<Import> {
    if !config.is_object() {
        return Err(Error::invalid(
            "this is no configuration of LiteLLM's proxy: it is no mapping",
        ));
    }
    let mut scope = Scope {
        vocabulary,
        own: BTreeMap::new(),
        environment,
        notes: Notes::default(),
        secrets: Vec::new(),
    };
    let mut root = Section::of("", Some(config), &mut scope.notes);
    scope.own = variables(&mut root, &mut scope.notes);
    let settings = Settings::read(&mut root, &mut scope);
    let deployments = deployments(&mut root, &mut scope);
    root.rest(&reasons::ROOT, reasons::UNKNOWN, &mut scope.notes);

    let mut providers = Providers::default();
    let routes = Routes::build(deployments, &settings, &mut providers, &mut scope);
    let mut objects = providers.objects(&mut scope);
    objects.extend(routes.objects());
    objects.extend(routes.quotas(&mut scope));
    objects.extend(settings.key(&mut scope));
    for secret in &scope.secrets {
        if secret.value.is_none() {
            let text = format!(
                "Secret {} needs {} under the key {}",
                secret.secret, secret.origin, secret.key
            );
            scope.notes.0.push(super::Note {
                path: secret.origin.clone(),
                sort: super::NoteSort::Todo,
                text,
            });
        }
    }
    let mut notes = scope.notes.0;
    notes.sort();
    notes.dedup();
    Ok(Import {
        objects,
        secrets: scope.secrets,
        notes,
    })
}

fn variables(root: &mut Section<'_>, notes: &mut Notes) -> BTreeMap<String, String> {
    let Some(Value::Object(fields)) = root.take("environment_variables") else {
        return BTreeMap::new();
    };
    let mut variables = BTreeMap::new();
    for (name, value) in fields {
        match value {
            Value::String(text) => {
                variables.insert(name.clone(), text.clone());
            }
            Value::Number(_) | Value::Bool(_) => {
                variables.insert(name.clone(), value.to_string());
            }
            Value::Null => {}
            Value::Array(_) | Value::Object(_) => {
                notes.missing(
                    format!("environment_variables.{name}"),
                    "a text was expected here",
                );
            }
        }
    }
    if !variables.is_empty() {
        notes.changed(
            "environment_variables",
            "they are used where the configuration names them; other variables of LiteLLM mean nothing here",
        );
    }
    variables
}

fn deployments(root: &mut Section<'_>, scope: &mut Scope<'_>) -> Vec<Deployment> {
    let Some(list) = root.take("model_list") else {
        return Vec::new();
    };
    let Some(items) = list.as_array() else {
        scope.notes.missing("model_list", "a list was expected here");
        return Vec::new();
    };
    let read = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| Deployment::read(index, item, scope));
    read.collect()
}

/// An object of one of Stead's kinds.
fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

#[cfg(test)]
mod tests;
