//! `stead import litellm FILE`: another gateway's configuration as resources.
//!
//! *Invariant:* no value of a Secret is printed.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use futures::{FutureExt, future::BoxFuture};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use stead_cli::{Local, LocalCommand, print_manifests};
use stead_gateway::{Import, Note};
use stead_kernel::{
    Error, GROUP, Result, VERSION,
    command::{Column, Terminal, View},
};

use super::records;
use crate::environment::Environment;

const HELP: &str = "Without --apply and --to, the manifests are printed; Secrets never are. What has no equivalent, or not exactly the \
same, is listed with its path and the reason.

Credentials that the configuration takes from variables are taken from this command's environment: run it where LiteLLM runs.";

/// `import`.
pub(super) fn command() -> LocalCommand {
    let litellm = clap::Command::new("litellm")
        .about("Turns the configuration of LiteLLM's proxy into providers, routes, keys and quotas")
        .after_help(HELP)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("LiteLLM's config.yaml"),
        )
        .arg(
            Arg::new("apply")
                .long("apply")
                .action(ArgAction::SetTrue)
                .conflicts_with("to")
                .help("Applies what comes out to the server"),
        )
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Writes what comes out into a folder; secrets.yaml can be read by nobody else"),
        );
    LocalCommand {
        spec: clap::Command::new("import")
            .about("Takes over what another program or another store keeps")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(litellm)
            .subcommand(records::spec()),
        run,
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let matches = match matches.subcommand() {
            Some(("litellm", matches)) => matches,
            Some((records::NAME, matches)) => return records::run(matches, &local).await,
            _ => return Err(Error::invalid("name what is taken over: litellm or records")),
        };
        let file = matches.get_one::<PathBuf>("file").cloned().unwrap_or_default();
        let import = read(&file)?;
        let terminal = local.terminal.as_ref();
        if matches.get_flag("apply") {
            let project = matches
                .get_one::<String>("namespace")
                .cloned()
                .unwrap_or_default();
            apply(&local.connect()?.client(), &project, &import, terminal).await?;
            return terminal.print(&report(&import));
        }
        if let Some(folder) = matches.get_one::<PathBuf>("to") {
            write(folder, &import, terminal)?;
            return terminal.print(&report(&import));
        }
        for note in &import.notes {
            terminal.note(&format!("{}: {}: {}", note.sort.as_str(), note.path, note.text));
        }
        terminal.write(&print_manifests(&import.objects)?)
    }
    .boxed()
}

fn read(file: &Path) -> Result<Import> {
    let text = fs::read_to_string(file)
        .map_err(|error| Error::invalid(format!("{} cannot be read", file.display())).because(error))?;
    let config: Value = serde_saphyr::from_str(&text).map_err(|error| {
        Error::invalid(format!("{} is no YAML", file.display())).because(error.without_snippet().to_string())
    })?;
    let environment = Environment::read();
    stead_gateway::import_litellm(&config, &|name| environment.get(name).map(str::to_owned))
}

/// The notes as a table.
fn report(import: &Import) -> View {
    let cells = |note: &Note| {
        vec![
            note.sort.as_str().to_owned(),
            note.path.clone(),
            note.text.clone(),
        ]
    };
    let item = |note: &Note| json!({"path": note.path, "sort": note.sort.as_str(), "text": note.text});
    View {
        columns: ["SORT", "PATH", "WHY"].map(Column::new).into(),
        rows: import.notes.iter().map(cells).collect(),
        items: import.notes.iter().map(item).collect(),
        names: import.notes.iter().map(|note| note.path.clone()).collect(),
        list: true,
    }
}

/// The Secrets of which every value is known; the others are among the notes.
fn secrets(import: &Import) -> Vec<Value> {
    let mut all: BTreeMap<&str, Option<serde_json::Map<String, Value>>> = BTreeMap::new();
    for part in &import.secrets {
        let data = all
            .entry(&part.secret)
            .or_insert_with(|| Some(serde_json::Map::new()));
        match (data.as_mut(), &part.value) {
            (Some(fields), Some(value)) => {
                fields.insert(part.key.clone(), STANDARD.encode(value).into());
            }
            (_, None) => *data = None,
            (None, Some(_)) => {}
        }
    }
    let known = all.into_iter().filter_map(|(name, data)| Some((name, data?)));
    known
        .map(|(name, data)| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}))
        .collect()
}

/// Files by kind; that of the Secrets is this user's alone.
fn write(folder: &Path, import: &Import, terminal: &dyn Terminal) -> Result<()> {
    let failed = |path: &Path, error: std::io::Error| {
        Error::unavailable(format!("{} cannot be written", path.display())).because(error)
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .map_err(|error| failed(folder, error))?;
    let mut files: BTreeMap<&str, (Vec<Value>, u32)> = BTreeMap::new();
    for object in &import.objects {
        let file = match object.get("kind").and_then(Value::as_str) {
            Some("ModelProvider") => "providers.yaml",
            Some("ModelRoute") => "routes.yaml",
            Some("ApiKey") => "keys.yaml",
            _ => "quotas.yaml",
        };
        let (objects, _) = files.entry(file).or_insert_with(|| (Vec::new(), 0o644));
        objects.push(object.clone());
    }
    let secrets = secrets(import);
    if !secrets.is_empty() {
        files.insert("secrets.yaml", (secrets, 0o600));
    }
    for (name, (objects, mode)) in files {
        let path = folder.join(name);
        // A file that is there may have another mode, or be somebody's work.
        let opened = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path);
        let mut opened = opened.map_err(|error| failed(&path, error).hint("name a new folder"))?;
        opened
            .write_all(print_manifests(&objects)?.as_bytes())
            .map_err(|error| failed(&path, error))?;
        terminal.note(&format!(
            "wrote {} with {} objects",
            path.display(),
            objects.len()
        ));
    }
    Ok(())
}

async fn apply(client: &Client, project: &str, import: &Import, terminal: &dyn Terminal) -> Result<()> {
    let secrets = secrets(import);
    let mut failed = Vec::new();
    for object in secrets.iter().chain(&import.objects) {
        let text = |path: &str| {
            let text = object.pointer(path).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        let resource = if kind == "Secret" {
            GroupVersionKind::gvk("", "v1", &kind)
        } else {
            GroupVersionKind::gvk(GROUP, VERSION, &kind)
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), project, &ApiResource::from_gvk(&resource));
        let done = api
            .patch(&name, &PatchParams::apply("stead-import"), &Patch::Apply(object))
            .await;
        match done.map_err(Error::from) {
            Ok(_) => terminal.note(&format!("{kind} {name} applied")),
            Err(error) => failed.push(format!("{kind} {name}: {}", error.full_message())),
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    for line in &failed {
        terminal.note(line);
    }
    Err(Error::invalid(format!(
        "{} objects were not applied",
        failed.len()
    )))
}

#[cfg(test)]
mod tests {
    use stead_gateway::{NoteSort, SecretValue};
    use stead_testkit::FakeTerminal;

    use super::*;

    fn import() -> Import {
        let part = |secret: &str, key: &str, value: Option<&str>| SecretValue {
            secret: secret.into(),
            key: key.into(),
            origin: "$X".into(),
            value: value.map(str::to_owned),
        };
        Import {
            objects: vec![json!({"kind": "ModelRoute", "metadata": {"name": "chat"}})],
            secrets: vec![
                part("openai", "api-key", Some("sk-secret")),
                part("bedrock", "access-key-id", Some("id-secret")),
                part("bedrock", "secret-access-key", None),
            ],
            notes: vec![Note {
                path: "a.b".into(),
                sort: NoteSort::Todo,
                text: "do it".into(),
            }],
        }
    }

    #[test]
    fn secrets_are_whole_or_not_there_and_nobody_else_can_read_their_file() {
        use std::os::unix::fs::MetadataExt;
        let import = import();
        let names: Vec<_> = secrets(&import)
            .iter()
            .map(|secret| secret["metadata"]["name"].clone())
            .collect();
        assert_eq!(names, ["openai"]);
        let folder = tempfile::tempdir().unwrap();
        let terminal = FakeTerminal::default();
        write(folder.path(), &import, &terminal).unwrap();
        let file = folder.path().join("secrets.yaml");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert!(folder.path().join("routes.yaml").exists());
        assert!(
            write(folder.path(), &import, &terminal).is_err(),
            "nothing is overwritten"
        );
    }

    #[test]
    fn nothing_that_is_printed_holds_a_secret() {
        let import = import();
        let printed = format!(
            "{import:?} {:?} {}",
            report(&import),
            print_manifests(&import.objects).unwrap()
        );
        assert!(
            !printed.contains("id-secret") && !printed.contains("sk-secret"),
            "{printed}"
        );
    }
}
