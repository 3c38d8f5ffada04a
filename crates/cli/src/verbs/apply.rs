//! `stead apply`: makes the server's objects be what manifests say, by server-side apply.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::Value;
use stead_kernel::{
    Error, Reason, Result,
    command::{Format, Terminal as _},
};
use tokio::time::Instant;

use super::{Call, Tally, manifests};
use crate::{
    report::{self, Causes, usage},
    resource::{Discovery, Document, Resource, Schemas, hide_managed_fields, nearest, version, view},
    server::{Api, Query},
};

/// As whom fields are managed.
const MANAGER: &str = "stead";
/// How long a kind may take to be served after its definition was applied.
const ESTABLISH: Duration = Duration::from_secs(10);
/// The pause between looks whether it is.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn spec() -> clap::Command {
    clap::Command::new("apply")
        .about("Makes objects be what manifests say: stead apply -f FILE")
        .args(manifests())
        .mut_arg("filename", |argument| argument.required(true))
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Checks everything, changes nothing"),
        )
        .arg(
            Arg::new("force-conflicts")
                .long("force-conflicts")
                .action(ArgAction::SetTrue)
                .help("Takes over fields that others manage"),
        )
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let mut documents = call.documents(&matches).await?;
    // What others stand in or are an instance of comes first.
    documents.sort_by_key(|document| !matches!(document.kind(), "Namespace" | "CustomResourceDefinition"));
    let api = call.api()?;
    let mut query = Query::default();
    query.set("fieldManager", MANAGER);
    query.set("fieldValidation", "Strict");
    if matches.get_flag("force-conflicts") {
        query.set("force", "true");
    }
    let dry_run = matches.get_flag("dry-run");
    if dry_run {
        query.set("dryRun", "All");
    }
    let discovery = Discovery::load(&api).await?;
    let mut apply = Apply {
        api,
        call: &call,
        query,
        dry_run,
        discovery,
        defined: None,
        results: Vec::new(),
    };
    let mut tally = Tally::new(&call.screen, documents.len());
    for document in &documents {
        let result = apply.one(document).await;
        tally.count(result.map_err(|error| placed(document, error)));
    }
    let results = std::mem::take(&mut apply.results);
    if matches!(call.globals.format, Format::Json | Format::Yaml) && !results.is_empty() {
        call.screen.print(&view(results, documents.len() > 1))?;
    }
    tally.end("applied")
}

struct Apply<'a> {
    api: Api,
    call: &'a Call,
    query: Query,
    dry_run: bool,
    discovery: Discovery,
    /// When a definition of a kind was last applied.
    defined: Option<Instant>,
    results: Vec<(Resource, Value)>,
}

impl Apply<'_> {
    async fn one(&mut self, document: &Document) -> Result<()> {
        let resource = self.resource(document).await?;
        let object = self.placed_in_project(&resource, document)?;
        let project = crate::resource::project(&object).unwrap_or_default().to_owned();
        let path = resource.object(&project, document.name());
        let before = self.api.find(&path).await?;
        let applied = self
            .api
            .patch(&self.query.on(&path), "application/apply-patch+yaml", &object)
            .await;
        let after = match applied {
            Ok(after) => after,
            Err(error) => return Err(explain_unknown_fields(&self.api, &resource, document, error).await),
        };
        if document.kind() == "CustomResourceDefinition" && !self.dry_run {
            self.defined = Some(Instant::now());
        }
        self.tell(&resource, before.as_ref(), after)
    }

    /// The kind that a document is of; one whose definition was only just applied is waited for.
    async fn resource(&mut self, document: &Document) -> Result<Resource> {
        loop {
            match self
                .discovery
                .of_manifest(document.api_version(), document.kind())
            {
                Ok(resource) => return Ok(resource.clone()),
                Err(error) => {
                    if self.defined.is_none_or(|since| since.elapsed() > ESTABLISH) {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
            self.discovery = Discovery::load(&self.api).await?;
        }
    }

    /// The object with the project that it goes to.
    fn placed_in_project(&self, resource: &Resource, document: &Document) -> Result<Value> {
        let mut object = document.value.clone();
        let globals = &self.call.globals;
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return Ok(object);
        };
        if !resource.namespaced {
            metadata.remove("namespace");
            return Ok(object);
        }
        let own = metadata
            .get("namespace")
            .and_then(Value::as_str)
            .filter(|own| !own.is_empty());
        match own {
            Some(own) if globals.project_named && own != globals.project => Err(usage(format!(
                "{} is in project {own}, not in {} as -n says",
                document.place(),
                globals.project
            ))),
            Some(_) => Ok(object),
            None => {
                metadata.insert("namespace".into(), globals.project.as_str().into());
                Ok(object)
            }
        }
    }

    fn tell(&mut self, resource: &Resource, before: Option<&Value>, mut after: Value) -> Result<()> {
        let done = match before {
            None => "created",
            Some(before) if self.is_same(before, &after) => "unchanged",
            Some(_) => "configured",
        };
        let name = format!("{}/{}", resource.label(), crate::resource::name(&after));
        hide_managed_fields(&mut after);
        self.results.push((resource.clone(), after));
        let dry_run = if self.dry_run { " (dry run)" } else { "" };
        match self.call.globals.format {
            Format::Table | Format::Wide => self.call.screen.write(&format!("{name} {done}{dry_run}\n")),
            Format::Name => self.call.screen.write(&format!("{name}\n")),
            Format::Json | Format::Yaml => Ok(()),
        }
    }

    fn is_same(&self, before: &Value, after: &Value) -> bool {
        if !self.dry_run {
            return version(before) == version(after);
        }
        let content = |object: &Value| {
            let mut object = object.clone();
            hide_managed_fields(&mut object);
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("resourceVersion");
                metadata.remove("generation");
            }
            object
        };
        content(before) == content(after)
    }
}

/// An error with the place of the document that it is about.
fn placed(document: &Document, error: Error) -> Error {
    let error = match error
        .message()
        .strip_prefix("namespaces \"")
        .and_then(|rest| rest.split_once("\" not found"))
    {
        Some((project, _)) => {
            let manifest = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {project}}}}}");
            Error::not_found(format!("there is no project {project:?}"))
                .hint(format!("make it by applying {manifest}"))
        }
        None => error,
    };
    let names_place = error.message().contains(&document.place()) || report::is_usage(&error);
    if names_place {
        return error;
    }
    report::within(&document.place(), &error)
}

/// A field that the server does not know.
#[derive(Debug, PartialEq, Eq)]
struct Unknown {
    path: String,
    /// The path that was probably meant, if the server said one.
    meant: Option<String>,
}

/// What follows a field that applied objects do not have, in the words of Kubernetes.
const UNDECLARED: &str = ": field not declared in schema";

/// The fields in `unknown field "spec.typ"`, and in `.spec.typ: field not declared in schema`, which is said of what is applied.
fn unknown_fields(text: &str) -> Vec<Unknown> {
    let mut fields: Vec<Unknown> = Vec::new();
    for after in text.split("unknown field \"").skip(1) {
        let Some((path, after)) = after.split_once('"') else {
            continue;
        };
        let path = path.trim_start_matches('.').to_owned();
        let meant = after
            .strip_prefix(", did you mean \"")
            .and_then(|after| after.split_once('"'));
        if !fields.iter().any(|known| known.path == path) {
            fields.push(Unknown {
                path,
                meant: meant.map(|(meant, _)| meant.to_owned()),
            });
        }
    }
    for (end, _) in text.match_indices(UNDECLARED) {
        let before = text.get(..end).unwrap_or_default();
        let path = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        let path = path.trim_start_matches('.').to_owned();
        if !fields.iter().any(|known| known.path == path) {
            fields.push(Unknown { path, meant: None });
        }
    }
    fields
}

/// Makes an error about unknown fields say where they are and what they may have meant.
async fn explain_unknown_fields(api: &Api, resource: &Resource, document: &Document, error: Error) -> Error {
    let unknown = unknown_fields(&error.full_message());
    // Of what is applied, Kubernetes says it as a fault of its own.
    let is_said = matches!(error.reason(), Reason::Invalid | Reason::Internal);
    let Some(first) = unknown.first().filter(|_| is_said) else {
        return error;
    };
    let place = explained_place(resource, &first.path);
    let count = if unknown.len() == 1 {
        "an unknown field"
    } else {
        "unknown fields"
    };
    let schemas = if unknown.iter().any(|field| field.meant.is_none()) {
        Schemas::load(api, resource).await.ok()
    } else {
        None
    };
    let lines = unknown.iter().map(|field| {
        let own = || similar_field(schemas.as_ref()?, resource, &field.path);
        match field.meant.clone().or_else(own) {
            Some(meant) => format!("{}: there is no such field, did you mean {meant}?", field.path),
            None => format!("{}: there is no such field", field.path),
        }
    });
    Error::invalid(format!("{} {:?} has {count}", document.kind(), document.name()))
        .because(Causes(lines.collect()))
        .hint(format!("the fields there are: stead explain {place}"))
}

/// What `stead explain` shows the neighbours of a field for.
fn explained_place(resource: &Resource, path: &str) -> String {
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let mut place = resource.singular.clone();
    for name in parent.split('.').filter(|name| !name.is_empty()) {
        place.push('.');
        place.push_str(name.split('[').next().unwrap_or(name));
    }
    place
}

/// The path that is most like this one.
fn similar_field(schemas: &Schemas, resource: &Resource, path: &str) -> Option<String> {
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut field = schemas.kind(resource)?;
    for name in parent.split('.').filter(|name| !name.is_empty()) {
        field = field.field(name.split('[').next().unwrap_or(name))?;
    }
    let names: Vec<&str> = field.fields().into_iter().map(|(name, _)| name).collect();
    let similar = nearest(last, names.iter().copied())?;
    Some(if parent.is_empty() {
        similar.to_owned()
    } else {
        format!("{parent}.{similar}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_found_in_every_form() {
        let text = "strict decoding error: unknown field \"spec.typ\", unknown field \".spec.targets[0].x\", \
                    did you mean \"spec.targets[0].y\"?, unknown field \"spec.typ\"";
        let unknown = |path: &str, meant: Option<&str>| Unknown {
            path: path.into(),
            meant: meant.map(str::to_owned),
        };
        let expected = [
            unknown("spec.typ", None),
            unknown("spec.targets[0].x", Some("spec.targets[0].y")),
        ];
        assert_eq!(unknown_fields(text), expected);
        assert!(unknown_fields("unknown field \"").is_empty());
        let text = "failed to create typed patch object (a/b; x/v1, Kind=C): errors:\n  .spec.typ: field not declared in schema\n  \
                    .spec.targets[0].x: field not declared in schema";
        assert_eq!(
            unknown_fields(text),
            [unknown("spec.typ", None), unknown("spec.targets[0].x", None)]
        );
    }
}
