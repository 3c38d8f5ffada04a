//! `stead explain`: which kinds there are, and what their fields mean.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::json;
use stead_kernel::{
    Error, Result,
    command::{Column, Terminal as _, View},
};

use super::Call;
use crate::{
    arguments::text,
    report::printable,
    resource::{Discovery, Field, Resource, Schemas, nearest},
};

/// The width that descriptions are wrapped to where no terminal says another.
const WIDTH: usize = 100;
/// What leads the allowed values.
const ONE_OF: &str = "One of: ";
/// What leads the default.
const DEFAULT: &str = "Default: ";

pub(super) fn spec() -> clap::Command {
    clap::Command::new("explain")
        .about("Shows the kinds that there are, or the fields of one: stead explain KIND[.FIELD…]")
        .arg(
            Arg::new("path")
                .value_name("KIND[.FIELD…]")
                .help("A kind and the way to a field; without, all kinds"),
        )
        .arg(
            Arg::new("recursive")
                .long("recursive")
                .action(ArgAction::SetTrue)
                .help("Fields of fields, too"),
        )
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let api = call.api()?;
    let discovery = Discovery::load(&api).await?;
    let Some(path) = text(&matches, "path") else {
        return call.screen.print(&kinds(&discovery));
    };
    let (resource, fields) = understand(&discovery, &path)?;
    let schemas = Schemas::load(&api, &resource).await?;
    let Some(mut field) = schemas.kind(&resource) else {
        return Err(Error::not_found(format!(
            "the server has no schema of {}",
            resource.kind
        )));
    };
    let mut way = resource.singular.clone();
    for name in &fields {
        field = step(field, name, &way)?;
        let _ = write!(way, ".{name}");
    }
    let page = Page {
        resource: &resource,
        width: call.screen.width().unwrap_or(WIDTH).clamp(40, WIDTH),
    };
    let text = if matches.get_flag("recursive") {
        page.tree(field)
    } else {
        page.text(&way, field, fields.is_empty())
    };
    call.screen.write(&printable(&text))
}

fn kinds(discovery: &Discovery) -> View {
    let columns = vec![
        Column::new("NAME"),
        Column::new("SHORT"),
        Column::new("APIVERSION"),
        Column::new("IN PROJECTS"),
        Column::new("KIND"),
        Column::wide("VERBS"),
    ];
    let mut view = View {
        columns,
        list: true,
        ..View::default()
    };
    for resource in discovery.all() {
        view.rows.push(vec![
            resource.plural.clone(),
            resource.short_names.join(","),
            resource.api_version(),
            if resource.namespaced { "yes" } else { "no" }.to_owned(),
            resource.kind.clone(),
            resource.verbs.join(","),
        ]);
        view.items.push(json!({
            "name": resource.plural, "shortNames": resource.short_names, "apiVersion": resource.api_version(),
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.verbs,
        }));
        view.names.push(resource.plural.clone());
    }
    view
}

/// The kind and the fields in `provider.spec.type`; a kind's name may hold dots itself.
fn understand(discovery: &Discovery, path: &str) -> Result<(Resource, Vec<String>)> {
    let fields = |rest: &str| {
        rest.split('.')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let dots = path
        .match_indices('.')
        .map(|(index, _)| index)
        .chain([path.len()]);
    // The longest qualified name wins, so that `events.events.k8s.io` is not the field `events` of an event.
    for (name, rest) in dots
        .rev()
        .filter_map(|index| path.split_at_checked(index))
        .filter(|(name, _)| name.contains('.'))
    {
        if let Ok(resource) = discovery.resolve(name) {
            return Ok((resource.clone(), fields(rest)));
        }
    }
    Ok((discovery.resolve(first)?.clone(), fields(rest)))
}

fn step<'a>(field: Field<'a>, name: &str, way: &str) -> Result<Field<'a>> {
    if let Some(next) = field.field(name) {
        return Ok(next);
    }
    let error = Error::not_found(format!("{way} has no field {name:?}"));
    let names: Vec<&str> = field.fields().into_iter().map(|(name, _)| name).collect();
    Err(match nearest(name, names.iter().copied()) {
        Some(similar) => error.hint(format!("did you mean {similar:?}?")),
        None if names.is_empty() => error.hint(format!("{way} is a {}", field.type_name())),
        None => error.hint(format!("it has: {}", names.join(", "))),
    })
}

struct Page<'a> {
    resource: &'a Resource,
    width: usize,
}

impl Page<'_> {
    fn head(&self) -> String {
        format!(
            "KIND:       {}\nVERSION:    {}\n",
            self.resource.kind,
            self.resource.api_version()
        )
    }

    fn text(&self, way: &str, field: Field<'_>, whole: bool) -> String {
        let mut text = self.head();
        if !whole {
            let _ = writeln!(text, "FIELD:      {way} <{}>", field.type_name());
        }
        let description = Self::facts(field);
        if !description.is_empty() {
            let _ = write!(text, "\nDESCRIPTION:\n{}", wrap(&description, self.width, "    "));
        }
        let fields = field.fields();
        if !fields.is_empty() {
            text.push_str("\nFIELDS:\n");
        }
        for (index, (name, field)) in fields.iter().enumerate() {
            let gap = if index > 0 { "\n" } else { "" };
            let _ = writeln!(text, "{gap}  {name} <{}>{}", field.type_name(), required(*field));
            text.push_str(&wrap(&Self::facts(*field), self.width, "    "));
        }
        text
    }

    /// The description, with the allowed values and the default.
    fn facts(field: Field<'_>) -> String {
        let mut text = field.description().to_owned();
        let values = field.values();
        if !values.is_empty() {
            let _ = write!(text, "\n{ONE_OF}{}", values.join(", "));
        }
        if let Some(default) = field.default() {
            let _ = write!(text, "\n{DEFAULT}{default}");
        }
        text.trim().to_owned()
    }

    fn tree(&self, field: Field<'_>) -> String {
        let mut text = self.head();
        text.push_str("\nFIELDS:\n");
        branch(&mut text, field, &mut Vec::new());
        text
    }
}

fn branch(text: &mut String, field: Field<'_>, above: &mut Vec<usize>) {
    // A schema may hold itself: that of definitions does.
    if above.contains(&field.identity()) {
        return;
    }
    above.push(field.identity());
    for (name, field) in field.fields() {
        let _ = writeln!(
            text,
            "{}{name} <{}>{}",
            "  ".repeat(above.len()),
            field.type_name(),
            required(field)
        );
        branch(text, field, above);
    }
    above.pop();
}

fn required(field: Field<'_>) -> &'static str {
    if field.is_required() { " -required-" } else { "" }
}

/// Words in lines of at most so many letters. Line breaks of the text are where its source was narrow, unless an empty
/// line or an item of a list follows.
fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut wrapped = String::new();
    let mut line = String::new();
    let mut end = |line: &mut String| {
        let _ = writeln!(wrapped, "{}", format!("{indent}{line}").trim_end());
        line.clear();
    };
    for source in text.lines() {
        let begins = ["- ", "* ", ONE_OF, DEFAULT]
            .iter()
            .any(|mark| source.trim_start().starts_with(mark));
        if (begins || source.trim().is_empty()) && !line.is_empty() {
            end(&mut line);
        }
        if source.trim().is_empty() {
            end(&mut line);
        }
        for word in source.split_whitespace() {
            if !line.is_empty() && indent.len() + line.chars().count() + 1 + word.chars().count() > width {
                end(&mut line);
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    if !line.is_empty() {
        end(&mut line);
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_flow_and_lists_stay() {
        let text = "one two\nthree\n\nnext:\n- a\n- b c d e f g h i j\nOne of: x";
        let expected = "  one two three\n\n  next:\n  - a\n  - b c d e f g h\n  i j\n  One of: x\n";
        assert_eq!(wrap(text, 17, "  "), expected);
        assert_eq!(wrap("", 17, "  "), "");
    }
}
