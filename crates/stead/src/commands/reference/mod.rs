//! `stead reference FOLDER`: the reference manual, and the kinds as the console's types, from the code itself. Hidden:
//! `cargo xtask docs` calls it.

mod types;

use std::{fmt::Write as _, fs, path::PathBuf};

use clap::{Arg, ArgMatches};
use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;
use stead_cli::{Local, LocalCommand};
use stead_kernel::{Error, Kind, Reason, Result, Settings};

use crate::{config, modules};

/// `reference`.
pub(super) fn command() -> LocalCommand {
    LocalCommand {
        spec: clap::Command::new("reference")
            .about("Writes the reference manual")
            .hide(true)
            .arg(Arg::new("folder").required(true)),
        run,
    }
}

fn run(matches: ArgMatches, _local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let folder = PathBuf::from(matches.get_one::<String>("folder").cloned().unwrap_or_default());
        let write = |name: &str, text: String| {
            fs::write(folder.join(name), text)
                .map_err(|error| Error::unavailable(format!("cannot write {name}")).because(error))
        };
        fs::create_dir_all(&folder)
            .map_err(|error| Error::unavailable("cannot make the folder").because(error))?;
        write("kinds.md", kinds())?;
        write("cli.md", cli())?;
        write("configuration.md", configuration())?;
        write("errors.md", errors())?;
        write("kinds.ts", kinds_in_typescript())
    }
    .boxed()
}

const NOTE: &str = "<!-- Written by `cargo xtask docs`; edits are lost. -->\n\n";

fn kinds() -> String {
    let mut text = format!("# Kinds\n\n{NOTE}");
    for kind in modules::all().iter().flat_map(|module| &module.kinds) {
        write_kind(&mut text, kind);
    }
    text
}

fn kinds_in_typescript() -> String {
    let mut text = "/** The server's kinds. Written by `cargo xtask docs`; edits are lost. */\n".to_owned();
    for kind in modules::all().iter().flat_map(|module| &module.kinds) {
        types::write(&mut text, &kind.definition.spec.names.kind, &schema_of(kind));
    }
    text
}

fn schema_of(kind: &Kind) -> Value {
    let version = kind.definition.spec.versions.first();
    let schema = version.and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    serde_json::to_value(schema).unwrap_or_default()
}

fn write_kind(text: &mut String, kind: &Kind) {
    let spec = &kind.definition.spec;
    let version = spec.versions.first();
    let schema = schema_of(kind);
    let names = spec.names.short_names.clone().unwrap_or_default().join(", ");
    let _ = write!(text, "## {}\n\n{}\n\n", spec.names.kind, describe(&schema));
    let _ = write!(
        text,
        "`{}/{}`, {}, plural `{}`{}\n\n",
        spec.group,
        version.map_or("", |version| version.name.as_str()),
        spec.scope,
        spec.names.plural,
        if names.is_empty() {
            String::new()
        } else {
            format!(", short `{names}`")
        }
    );
    let example = serde_saphyr::to_string(&kind.example).unwrap_or_default();
    let _ = write!(text, "```yaml\n{}\n```\n\n", example.trim_end());
    for part in ["spec", "status"] {
        let Some(fields) = schema.pointer(&format!("/properties/{part}")) else {
            continue;
        };
        text.push_str("| field | type | what |\n| --- | --- | --- |\n");
        write_fields(text, part, fields, 0);
        text.push('\n');
    }
}

/// A row a field, nested ones below their parent.
fn write_fields(text: &mut String, path: &str, schema: &Value, depth: usize) {
    let items = schema
        .get("items")
        .filter(|items| items.get("properties").is_some());
    let (schema, suffix) = items.map_or((schema, ""), |items| (items, "[]"));
    let required = required(schema);
    for (name, field) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = format!("{path}{suffix}.{name}");
        let needed = if required.contains(&name.as_str()) {
            ", required"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| `{path}` | {}{needed} | {} |",
            type_name(field),
            describe(field)
        );
        if depth < 6 {
            write_fields(text, &path, field, depth + 1);
        }
    }
}

/// The names of the properties that must be there.
fn required(schema: &Value) -> Vec<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn type_name(field: &Value) -> String {
    if let Some(values) = field.get("enum").and_then(Value::as_array) {
        let names: Vec<String> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        return names.join(" ");
    }
    let name = field.get("type").and_then(Value::as_str).unwrap_or("any");
    match (name, field.pointer("/items/type").and_then(Value::as_str)) {
        ("array", Some(item)) => format!("list of {item}"),
        _ => name.to_owned(),
    }
}

/// The description, on one line and without what would break a table.
fn describe(field: &Value) -> String {
    let text = field
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut line = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|");
    if let Some(default) = field.get("default") {
        let _ = write!(line, " Default: `{default}`.");
    }
    line
}

fn cli() -> String {
    let mut text = format!("# Command line\n\n{NOTE}");
    let mut root = stead_cli::clap_command(&crate::program());
    root.build();
    write_command(&mut text, &mut root, "");
    text
}

fn write_command(text: &mut String, command: &mut clap::Command, parent: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let path = format!("{parent} {}", command.get_name()).trim().to_owned();
    let help = command.clone().term_width(110).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(text, "## {path}\n\n```\n{}\n```\n\n", lines.join("\n").trim_end());
    for subcommand in command.get_subcommands_mut() {
        write_command(text, subcommand, &path);
    }
}

fn configuration() -> String {
    let mut text = format!(
        "# Configuration\n\n{NOTE}Flag > environment > file (`DATA/config.yaml`) > default; `stead config view` shows \
         each value with its source.\n\n| setting | variable | default |\n| --- | --- | --- |\n"
    );
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    for (name, value) in defaults
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "data")
    {
        let _ = writeln!(text, "| `{name}` | `{}` | `{value}` |", config::variable(name));
    }
    text
}

fn errors() -> String {
    let mut text = format!(
        "# Errors\n\n{NOTE}Every error has one reason. `/api` answers `{{\"error\": {{\"reason\", \"message\", \"hint\"}}}}`; \
         `/v1` and `/k8s` say the same in their own shapes.\n\n| reason | HTTP status | exit code |\n| --- | --- | --- |\n"
    );
    for reason in Reason::ALL {
        let status = stead_kernel::http::status(reason).as_u16();
        let _ = writeln!(
            text,
            "| `{}` | {status} | {} |",
            reason.as_str(),
            stead_cli::exit_code(reason)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_reason_has_its_place_in_the_manual() {
        let (kinds, errors) = (kinds(), errors());
        for kind in modules::all().iter().flat_map(|module| &module.kinds) {
            assert!(kinds.contains(&format!("## {}\n", kind.definition.spec.names.kind)));
        }
        assert!(
            Reason::ALL
                .iter()
                .all(|reason| errors.contains(&format!("`{}`", reason.as_str())))
        );
    }
}
