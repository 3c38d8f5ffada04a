//! Configuration: flag > environment > file > default, each value with its source.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value};
use stead_kernel::{Error, Result, Settings, StoreUrl};

use crate::environment::Environment;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Built in.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => write!(formatter, "file {}", path.display()),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::Flag(name) => write!(formatter, "flag {name}"),
        }
    }
}

/// The settings and where each came from, in the order of [`Settings`]' fields.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The settings.
    pub(crate) settings: Settings,
    /// Name, value, source.
    pub(crate) values: Vec<(String, Value, Source)>,
}

/// The flags that set configuration, shared by `up` and `config`.
pub(crate) fn arguments() -> Vec<Arg> {
    let mut arguments = server_arguments();
    arguments.push(
        Arg::new("no-discover")
            .long("no-discover")
            .action(ArgAction::SetTrue)
            .help("Looks for no model servers and API keys at the first start"),
    );
    arguments.push(
        Arg::new("no-default-model")
            .long("no-default-model")
            .action(ArgAction::SetTrue)
            .help("Fetches no model at the first start"),
    );
    arguments
}

/// Those of them that concern every process that serves.
pub(crate) fn server_arguments() -> Vec<Arg> {
    vec![
        Arg::new("listen")
            .long("listen")
            .value_name("ADDRESS")
            .help("Where to listen [default: 127.0.0.1:7832]"),
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("The configuration file [default: DATA/config.yaml]"),
        Arg::new("set")
            .long("set")
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .help("Sets any value of `stead config view`"),
        Arg::new("access-log")
            .long("access-log")
            .value_name("FORM[:FILE]")
            .help("Writes a line for each request, as text or json, to standard error or to a file"),
    ]
}

/// Puts the settings together.
///
/// # Errors
/// `Invalid` for an unknown name, a value of the wrong shape, or a file that cannot be read; it names the source.
pub(crate) fn resolve(data: &Path, environment: &Environment, flags: &ArgMatches) -> Result<Resolved> {
    let data = &std::path::absolute(data)
        .map_err(|error| Error::invalid(format!("{} is no folder", data.display())).because(error))?;
    let mut layers = Layers::new()?;
    layers.file(&file_path(data, environment, flags))?;
    layers.environment(environment)?;
    layers.flags(flags)?;
    layers.put(
        "data",
        Value::from(data.to_string_lossy()),
        data_source(environment, data),
    )?;
    layers.finish()
}

/// The settings of a data folder for a command that has no flags for them: of the environment and of the file.
///
/// # Errors
/// As [`resolve`].
pub(crate) fn stored(data: &Path) -> Result<Settings> {
    let none = clap::Command::new("stored")
        .no_binary_name(true)
        .args(arguments())
        .get_matches_from(std::iter::empty::<String>());
    Ok(resolve(data, &Environment::read(), &none)?.settings)
}

/// The configuration file, and whether someone asked for it by name.
fn file_path(data: &Path, environment: &Environment, flags: &ArgMatches) -> (PathBuf, bool) {
    let named = flags
        .try_get_one::<String>("config")
        .ok()
        .flatten()
        .map(String::as_str)
        .or_else(|| environment.get("STEAD_CONFIG"));
    named.map_or_else(
        || (data.join("config.yaml"), false),
        |path| (PathBuf::from(path), true),
    )
}

fn data_source(environment: &Environment, data: &Path) -> Source {
    match environment.get("STEAD_HOME") {
        Some(home) if Path::new(home) == data => Source::Environment("STEAD_HOME".into()),
        _ if environment.data() == data => Source::Default,
        _ => Source::Flag("--data".into()),
    }
}

/// Values on top of each other.
struct Layers(Vec<(String, Value, Source)>);

impl Layers {
    fn new() -> Result<Self> {
        let defaults = serde_json::to_value(Settings::default())
            .map_err(|error| Error::internal("the default settings have no JSON form").because(error))?;
        let fields = defaults.as_object().cloned().unwrap_or_default();
        Ok(Self(
            fields
                .into_iter()
                .map(|(name, value)| (name, value, Source::Default))
                .collect(),
        ))
    }

    fn put(&mut self, name: &str, value: Value, source: Source) -> Result<()> {
        let Some(slot) = self.0.iter_mut().find(|(known, ..)| known == name) else {
            return Err(Error::invalid(format!("unknown setting {name:?} in {source}"))
                .hint("the names are listed by: stead config view"));
        };
        (slot.1, slot.2) = (value, source);
        Ok(())
    }

    /// A value that came as text takes the shape of the default.
    fn put_text(&mut self, name: &str, text: &str, source: Source) -> Result<()> {
        let shape = self
            .0
            .iter()
            .find(|(known, ..)| known == name)
            .map(|(_, value, _)| value.clone());
        let value = match shape {
            Some(Value::Bool(_)) => text.parse().map_or_else(|_| Value::from(text), Value::Bool),
            Some(Value::Number(_)) => text
                .parse::<u64>()
                .map_or_else(|_| Value::from(text), Value::from),
            Some(Value::Array(_)) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .collect(),
            _ => Value::from(text),
        };
        self.put(name, value, source)
    }

    fn file(&mut self, (path, required): &(PathBuf, bool)) -> Result<()> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(()),
            Err(error) => {
                return Err(
                    Error::invalid(format!("cannot read the configuration file {}", path.display()))
                        .because(error),
                );
            }
        };
        let values: Map<String, Value> = serde_saphyr::from_str(&text).map_err(|error| {
            Error::invalid(format!(
                "the configuration file {} is not a YAML mapping",
                path.display()
            ))
            .because(error)
        })?;
        values
            .into_iter()
            .try_for_each(|(name, value)| self.put(&name, value, Source::File(path.clone())))
    }

    fn environment(&mut self, environment: &Environment) -> Result<()> {
        let names: Vec<String> = self.0.iter().map(|(name, ..)| name.clone()).collect();
        for name in names.into_iter().filter(|name| name != "data") {
            let variable = variable(&name);
            if let Some(text) = environment.get(&variable) {
                self.put_text(&name, text, Source::Environment(variable))?;
            }
        }
        Ok(())
    }

    fn flags(&mut self, flags: &ArgMatches) -> Result<()> {
        for pair in flags.get_many::<String>("set").into_iter().flatten() {
            let Some((name, text)) = pair.split_once('=') else {
                return Err(Error::invalid(format!("--set {pair}: expected NAME=VALUE")));
            };
            let hint = match name {
                "recordsUrl" => {
                    "give the address in STEAD_RECORDS_URL or in the configuration file, or leave the password to a passfile"
                }
                "eventsUrl" => "give the address in STEAD_EVENTS_URL or in the configuration file",
                _ => "",
            };
            if !hint.is_empty() && StoreUrl::new(text).has_password() {
                let wrong = format!("--set {name}: others on this machine can read the password in it");
                return Err(Error::invalid(wrong).hint(hint));
            }
            self.put_text(name, text, Source::Flag("--set".into()))?;
        }
        if let Some(listen) = flags.get_one::<String>("listen") {
            self.put_text("listen", listen, Source::Flag("--listen".into()))?;
        }
        if let Some(log) = flags.get_one::<String>("access-log") {
            let source = Source::Flag("--access-log".into());
            let (form, file) = log.split_once(':').unwrap_or((log.as_str(), ""));
            self.put_text("accessLog", form, source.clone())?;
            self.put_text("accessLogFile", file, source)?;
        }
        // Only commands with a first start have these.
        for (flag, name) in [("no-discover", "discover"), ("no-default-model", "defaultModel")] {
            if flags.try_get_one::<bool>(flag).ok().flatten() == Some(&true) {
                let source = Source::Flag(format!("--{flag}"));
                self.put(name, Value::Bool(false), source)?;
            }
        }
        Ok(())
    }

    /// Checks each value by itself, so that an error can name it and its source.
    fn finish(self) -> Result<Resolved> {
        let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
        for (name, value, source) in &self.0 {
            let mut probe = defaults.clone();
            if let Some(fields) = probe.as_object_mut() {
                fields.insert(name.clone(), value.clone());
            }
            if let Err(error) = serde_json::from_value::<Settings>(probe) {
                return Err(
                    Error::invalid(format!("{name} = {value} from {source} is not valid")).because(error),
                );
            }
        }
        let whole: Map<String, Value> = self
            .0
            .iter()
            .map(|(name, value, _)| (name.clone(), value.clone()))
            .collect();
        let settings: Settings = serde_json::from_value(Value::Object(whole))
            .map_err(|error| Error::invalid("the settings do not fit together").because(error))?;
        Ok(Resolved {
            values: shown(&settings, self.0),
            settings,
        })
    }
}

/// The values as the settings show them, which is without passwords.
fn shown(settings: &Settings, values: Vec<(String, Value, Source)>) -> Vec<(String, Value, Source)> {
    let shown = serde_json::to_value(settings).unwrap_or_default();
    let show = |(name, value, source): (String, Value, Source)| {
        let value = shown.get(&name).cloned().unwrap_or(value);
        (name, value, source)
    };
    values.into_iter().map(show).collect()
}

/// The environment variable of a setting: `bodyLimit` is `STEAD_BODY_LIMIT`.
pub(crate) fn variable(name: &str) -> String {
    let mut variable = String::from("STEAD_");
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            variable.push('_');
        }
        variable.push(letter.to_ascii_uppercase());
    }
    variable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> ArgMatches {
        clap::Command::new("up")
            .no_binary_name(true)
            .args(arguments())
            .get_matches_from(words)
    }

    fn source_of(resolved: &Resolved, name: &str) -> String {
        resolved
            .values
            .iter()
            .find(|(known, ..)| known == name)
            .unwrap()
            .2
            .to_string()
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("config.yaml"),
            "bodyLimit: 1\nretentionDays: 2\nhosts: [a]\n",
        )
        .unwrap();
        let environment = Environment::of(&[("STEAD_BODY_LIMIT", "3"), ("STEAD_RETENTION_DAYS", "4")]);
        let resolved = resolve(folder.path(), &environment, &flags(&["--set", "bodyLimit=5"])).unwrap();
        assert_eq!(
            (resolved.settings.body_limit, resolved.settings.retention_days),
            (5, 4)
        );
        assert_eq!(resolved.settings.hosts, ["a"]);
        assert_eq!(source_of(&resolved, "bodyLimit"), "flag --set");
        assert_eq!(
            source_of(&resolved, "retentionDays"),
            "environment STEAD_RETENTION_DAYS"
        );
        assert_eq!(source_of(&resolved, "capture"), "default");
    }

    #[test]
    fn an_unknown_name_and_a_wrong_value_are_refused_with_their_source() {
        let folder = tempfile::tempdir().unwrap();
        let none = Environment::of(&[]);
        let error = resolve(folder.path(), &none, &flags(&["--set", "bodylimit=5"])).unwrap_err();
        assert_eq!(error.message(), "unknown setting \"bodylimit\" in flag --set");
        let error = resolve(
            folder.path(),
            &Environment::of(&[("STEAD_LISTEN", "here")]),
            &flags(&[]),
        )
        .unwrap_err();
        assert_eq!(
            error.message(),
            "listen = \"here\" from environment STEAD_LISTEN is not valid"
        );
        let error = resolve(folder.path(), &none, &flags(&["--config", "/nowhere.yaml"])).unwrap_err();
        assert!(error.message().contains("/nowhere.yaml"), "{error}");
    }
}
