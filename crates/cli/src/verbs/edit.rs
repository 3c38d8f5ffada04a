//! `stead edit`: an object in the person's editor, sent back as what they changed.
//!
//! *Invariant:* what the person typed is never lost: an edit that is refused comes back into the editor with the
//! reason, and one that is given up is kept in a file.

use std::{io::Write as _, path::PathBuf};

use clap::ArgMatches;
use serde_json::{Map, Value, json};
use stead_kernel::{
    Error, Reason, Result,
    command::{Format, Terminal as _},
};
use tempfile::{NamedTempFile, TempPath};

use super::{Call, words};
use crate::{
    report::{self, usage},
    resource::{Discovery, Resource, apply_patch, hide_managed_fields, merge_patch, name, overlaps, version},
    server::{Api, Query},
    yaml,
};

/// As whom fields are managed.
const MANAGER: &str = "stead-edit";
/// The editor where the environment names none.
const EDITOR: &str = "vi";
/// How often a change of others is stepped around before the person is asked.
const TRIES: usize = 5;

pub(super) fn spec() -> clap::Command {
    clap::Command::new("edit")
        .about("Edits an object in your editor: stead edit KIND NAME")
        .arg(words().required(true))
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let api = call.api()?;
    let discovery = Discovery::load(&api).await?;
    let chosen = Call::chosen(&matches, &discovery)?;
    let [
        crate::resource::Chosen {
            resource,
            name: Some(name),
        },
    ] = chosen.as_slice()
    else {
        return Err(usage("one object is edited at a time: stead edit KIND NAME"));
    };
    let path = resource.object(&call.globals.project, name);
    let mut original = api.get(&path).await?;
    hide_managed_fields(&mut original);
    // Ctrl-C is the editor's.
    let _hold = call.screen.hold_interrupts();
    let mut edit = Edit {
        api,
        path,
        resource,
        call: &call,
        version: version(&original).to_owned(),
        original,
    };
    let done = edit.until_accepted().await?;
    let label = format!("{}/{name}", resource.label());
    match (call.globals.format, done) {
        (_, false) => call.screen.note(&format!("{label} is left as it was")),
        (Format::Name, true) => call.screen.write(&format!("{label}\n"))?,
        (_, true) => call.screen.write(&format!("{label} edited\n"))?,
    }
    Ok(())
}

struct Edit<'a> {
    api: Api,
    path: String,
    resource: &'a Resource,
    call: &'a Call,
    /// The object that the person's text is a change of.
    original: Value,
    /// The version of the object that the change goes to.
    version: String,
}

/// What came of sending an edit.
enum Outcome {
    Changed,
    Unchanged,
    /// Refused; the text goes back into the editor.
    Refused {
        why: Error,
        text: String,
    },
}

impl Edit<'_> {
    /// Opens the editor until the server takes the edit; `false` when the person changed nothing.
    async fn until_accepted(&mut self) -> Result<bool> {
        let mut text = yaml::print(&self.original)?;
        let mut remark =
            self.remark("change what is to be changed, save and leave; an unchanged or empty file cancels");
        let mut refused = false;
        loop {
            let shown = format!("{remark}{text}");
            let (edited, draft) = self.in_editor(&shown).await?;
            let own = without_remarks(&edited);
            if own.trim().is_empty() {
                return Ok(false);
            }
            // Remarks are the program's own: who changes only these has changed nothing; who deletes them agrees.
            let agreed = shown.starts_with('#') && !edited.starts_with('#');
            if own == without_remarks(&shown) && !agreed {
                // Nothing typed is lost when an edit was refused and is given up.
                return if refused {
                    Err(kept(draft, &remark))
                } else {
                    Ok(false)
                };
            }
            let (why, again) = match self.send(&own).await {
                Ok(Outcome::Changed) => return Ok(true),
                Ok(Outcome::Unchanged) => return Ok(false),
                Ok(Outcome::Refused { why, text }) => (why, text),
                Err(error) => {
                    let place = format!("your edit is kept in {}", keep(draft).display());
                    return Err(report::within(&place, &error));
                }
            };
            self.call.screen.error(&why);
            remark = self.remark(&refusal_text(&why));
            (text, refused) = (again, true);
        }
    }

    fn remark(&self, text: &str) -> String {
        let lines = text.lines().map(|line| format!("# {line}\n"));
        format!(
            "# {} {}\n{}#\n",
            self.resource.kind,
            name(&self.original),
            lines.collect::<String>()
        )
    }

    async fn in_editor(&self, text: &str) -> Result<(String, TempPath)> {
        let unwritable = |error| Error::internal("the text for the editor cannot be written").because(error);
        // A name that ends so lets editors know what it is; the file is the person's alone (mode 0600).
        let mut file = tempfile::Builder::new()
            .prefix("stead-edit-")
            .suffix(".yaml")
            .tempfile()
            .map_err(unwritable)?;
        file.write_all(text.as_bytes()).map_err(unwritable)?;
        let draft = NamedTempFile::into_temp_path(file);
        let editor = self.call.environment.editor.as_deref().unwrap_or(EDITOR);
        if let Err(error) = open(editor, &draft).await {
            let place = keep(draft);
            return Err(error.hint(format!(
                "the text is in {}; name an editor with EDITOR",
                place.display()
            )));
        }
        match tokio::fs::read_to_string(&draft).await {
            Ok(edited) => Ok((edited, draft)),
            Err(error) => Err(Error::invalid("the edited text cannot be read").because(error)),
        }
    }

    /// Sends what was changed.
    async fn send(&mut self, text: &str) -> Result<Outcome> {
        let refused = |why| {
            Ok(Outcome::Refused {
                why,
                text: text.to_owned(),
            })
        };
        let edited = match self.understand(text) {
            Ok(edited) => edited,
            Err(why) => return refused(why),
        };
        let change = merge_patch(&self.original, &edited);
        if is_nothing(&change) {
            return Ok(Outcome::Unchanged);
        }
        for _ in 0..TRIES {
            match self.patch(&change).await {
                Ok(()) => return Ok(Outcome::Changed),
                Err(error) if error.reason() == Reason::Conflict => {
                    if let Some(text) = self.rebase(&change).await? {
                        let why = Error::conflict("someone else changed the same fields meanwhile").hint(
                            "what follows is theirs with your changes: delete these lines to have it so",
                        );
                        return Ok(Outcome::Refused { why, text });
                    }
                }
                Err(error) if is_worth_another_try(&error) => return refused(error),
                Err(error) => return Err(error),
            }
        }
        refused(Error::conflict("others keep changing the object"))
    }

    /// The object in the person's text, if it is still the same one.
    fn understand(&self, text: &str) -> Result<Value> {
        let edited = yaml::parse(text).map_err(|fault| {
            Error::invalid(format!(
                "line {}, column {}: {}",
                fault.line, fault.column, fault.message
            ))
        })?;
        for field in ["/kind", "/apiVersion", "/metadata/name", "/metadata/namespace"] {
            if edited.pointer(field) != self.original.pointer(field) {
                let field = field.trim_start_matches('/').replace('/', ".");
                return Err(Error::invalid(format!("{field} of an object cannot be changed")));
            }
        }
        Ok(edited)
    }

    async fn patch(&self, change: &Value) -> Result<()> {
        let mut patch = change.clone();
        apply_patch(
            &mut patch,
            &json!({"metadata": {"resourceVersion": self.version}}),
        );
        let mut query = Query::default();
        query.set("fieldManager", MANAGER);
        query.set("fieldValidation", "Strict");
        let path = query.on(&self.path);
        self.api
            .patch(&path, "application/merge-patch+json", &patch)
            .await
            .map(drop)
    }

    /// Takes over what others changed meanwhile. When it is what the person changed too, returns the text of the
    /// latest object with the person's changes.
    async fn rebase(&mut self, change: &Value) -> Result<Option<String>> {
        let mut latest = self.api.get(&self.path).await?;
        hide_managed_fields(&mut latest);
        version(&latest).clone_into(&mut self.version);
        let mut theirs = merge_patch(&self.original, &latest);
        if let Some(metadata) = theirs.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            metadata.remove("generation");
        }
        if is_nothing(change) || is_nothing(&theirs) || !overlaps(change, &theirs) {
            return Ok(None);
        }
        self.original = latest.clone();
        apply_patch(&mut latest, change);
        yaml::print(&latest).map(Some)
    }
}

fn is_nothing(patch: &Value) -> bool {
    patch.as_object().is_some_and(Map::is_empty)
}

fn is_worth_another_try(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::Invalid | Reason::Conflict | Reason::TooLarge
    )
}

fn refusal_text(error: &Error) -> String {
    let hint = error
        .get_hint()
        .map(|hint| format!("\n{hint}"))
        .unwrap_or_default();
    format!("refused: {}{hint}", error.full_message().replace("; ", "\n  "))
}

fn without_remarks(text: &str) -> String {
    text.lines()
        .skip_while(|line| line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn kept(draft: TempPath, remark: &str) -> Error {
    let place = keep(draft);
    let why = remark.lines().nth(1).unwrap_or_default().trim_start_matches("# ");
    Error::invalid(format!("the edit was given up: {why}")).hint(format!("it is kept in {}", place.display()))
}

/// Keeps the file; its place.
fn keep(draft: TempPath) -> PathBuf {
    let place = draft.to_path_buf();
    draft.keep().unwrap_or(place)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an editor needs the terminal itself, which the Exec port does not give"
)]
async fn open(editor: &str, file: &std::path::Path) -> Result<()> {
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(EDITOR);
    let ended = tokio::process::Command::new(program)
        .args(words)
        .arg(file)
        .status()
        .await;
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::invalid(format!(
            "the editor {program} ended with a failure: {status}"
        ))),
        Err(error) => {
            Err(Error::unavailable(format!("the editor {program} could not be started")).because(error))
        }
    }
}
