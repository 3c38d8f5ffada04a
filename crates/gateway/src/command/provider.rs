//! `stead provider add|list|rm|test`.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches};
use futures::{FutureExt, future::BoxFuture};
use http::{Method, Request, header};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use stead_kernel::{
    Body, Error, Reason, Result,
    command::{Column, Command, Session, View},
};

use super::{api, list, many, ready, remove, required, value};
use crate::provider::{
    ModelProvider, ModelProviderSpec, Network, ProviderCredential, ProviderType, SecretKeyRef,
    plan::Endpoints,
};

/// The key under which the credential lies in the Secret.
const SECRET_KEY: &str = "api-key";
/// Who writes the objects, for server-side apply.
const MANAGER: &str = "stead-cli";

/// The command.
pub(crate) fn command() -> Command {
    let types = ProviderType::ALL.map(ProviderType::as_str);
    let name = || Arg::new("NAME").required(true).help("Name of the provider");
    let add = clap::Command::new("add")
        .about("Add or change a provider")
        .arg(name())
        .arg(
            Arg::new("type")
                .long("type")
                .required(true)
                .value_parser(types)
                .help("The API that it speaks"),
        )
        .arg(
            Arg::new("url")
                .long("url")
                .help("Its address, usually ending in /v1"),
        )
        .arg(
            Arg::new("api-version")
                .long("api-version")
                .help("The version of an azure-openai provider's older API, 2024-10-21 for example"),
        )
        .arg(
            Arg::new("key-stdin")
                .long("key-stdin")
                .action(ArgAction::SetTrue)
                .help("Read its API key from standard input; it is stored in a Secret of the same name"),
        )
        .arg(
            Arg::new("model")
                .long("model")
                .action(ArgAction::Append)
                .help("A model that it has (repeatable); asked for in the background without this"),
        )
        .arg(
            Arg::new("private")
                .long("private")
                .action(ArgAction::SetTrue)
                .help("Its address may be on this machine or a private network (admins only)"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Only print the object, with -o yaml as a file to apply"),
        );
    let spec = clap::Command::new("provider")
        .about("Places where models answer")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(add)
        .subcommand(
            clap::Command::new("list")
                .visible_alias("ls")
                .about("List providers"),
        )
        .subcommand(
            clap::Command::new("rm")
                .visible_alias("delete")
                .about("Remove a provider")
                .arg(name()),
        )
        .subcommand(
            clap::Command::new("test")
                .about("Ask a model of the provider for one word")
                .arg(name())
                .arg(Arg::new("model").long("model").help("Which of its models to ask")),
        );
    Command { spec, run }
}

fn run(arguments: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    async move {
        match arguments.subcommand() {
            Some(("add", arguments)) => add(arguments, &session).await,
            Some(("list", _)) => {
                let columns = ["NAME", "TYPE", "READY", "MODELS", "AVAILABILITY", "ERROR"];
                list::<ModelProvider>(&session, &columns, cells).await
            }
            Some(("rm", arguments)) => {
                remove::<ModelProvider>(&session, "provider", required(arguments, "NAME")?, "removed").await
            }
            Some(("test", arguments)) => test(arguments, &session).await,
            Some(_) | None => Err(Error::invalid("which of add, list, rm, test?")),
        }
    }
    .boxed()
}

fn cells(provider: &ModelProvider) -> Vec<String> {
    let status = provider.status.clone().unwrap_or_default();
    vec![
        provider.name_any(),
        provider.spec.kind.as_str().to_owned(),
        ready(&status.conditions),
        status.model_count.to_string(),
        format!("{:?}", provider.spec.availability),
        status.last_error.unwrap_or_default(),
    ]
}

async fn add(arguments: &ArgMatches, session: &Session) -> Result<()> {
    let name = required(arguments, "NAME")?;
    let keyed = arguments.get_flag("key-stdin");
    let spec = spec(arguments, name, keyed)?;
    Endpoints::of(&spec)?;
    let mut object = ModelProvider::new(name, spec);
    object.metadata.namespace = Some(session.project.clone());
    if arguments.get_flag("dry-run") {
        return print(session, &object);
    }
    if keyed {
        store_key(session, name).await?;
    }
    let patched = api::<ModelProvider>(session)
        .patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object))
        .await?;
    print(session, &patched)
}

fn spec(arguments: &ArgMatches, name: &str, keyed: bool) -> Result<ModelProviderSpec> {
    let kind = required(arguments, "type")?;
    let kind = ProviderType::ALL.into_iter().find(|known| known.as_str() == kind);
    let models = many(arguments, "model");
    Ok(ModelProviderSpec {
        responses: None,
        api_version: arguments.get_one::<String>("api-version").cloned(),
        kind: kind.ok_or_else(|| Error::invalid("there is no such type of provider"))?,
        base_url: arguments.get_one::<String>("url").cloned(),
        credential: keyed.then(|| ProviderCredential {
            secret_ref: SecretKeyRef {
                name: name.to_owned(),
                key: SECRET_KEY.to_owned(),
            },
        }),
        models: (!models.is_empty()).then_some(models),
        availability: crate::provider::Availability::default(),
        network: if arguments.get_flag("private") {
            Network::Private
        } else {
            Network::Public
        },
        prices: Vec::new(),
        allowed_projects: None,
    })
}

fn print(session: &Session, object: &ModelProvider) -> Result<()> {
    let columns = ["NAME", "TYPE", "READY", "MODELS", "AVAILABILITY", "ERROR"];
    session.terminal.print(&View {
        columns: columns.map(Column::new).into(),
        rows: vec![cells(object)],
        items: vec![value(object)?],
        names: vec![object.name_any()],
        list: false,
    })
}

/// Reads the key and stores it; the label says that this command made the Secret and may replace it.
async fn store_key(session: &Session, name: &str) -> Result<()> {
    let key = session.terminal.read_secret("API key: ").await?;
    let key = key.trim();
    if key.is_empty() {
        return Err(Error::invalid("no API key came from standard input"));
    }
    let labels = BTreeMap::from([("stead.dev/provider".to_owned(), name.to_owned())]);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.clone()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(
            SECRET_KEY.to_owned(),
            ByteString(key.as_bytes().to_vec()),
        )])),
        type_: Some("Opaque".into()),
        ..Secret::default()
    };
    let secrets: Api<Secret> = api(session);
    match secrets.get_opt(name).await? {
        None => secrets.create(&PostParams::default(), &secret).await?,
        Some(found) if found.labels() == &labels => {
            let patch =
                json!({"data": {SECRET_KEY: secret.data.as_ref().and_then(|data| data.get(SECRET_KEY))}});
            secrets
                .patch(name, &PatchParams::default(), &Patch::Merge(patch))
                .await?
        }
        Some(_) => {
            return Err(Error::conflict(format!(
                "Secret `{name}` exists and was not made for this provider"
            ))
            .hint("choose another name for the provider, or write spec.credential by hand"));
        }
    };
    Ok(())
}

/// Asks a model of the provider for one word, the way any client does.
async fn test(arguments: &ArgMatches, session: &Session) -> Result<()> {
    let name = required(arguments, "NAME")?;
    let provider = api::<ModelProvider>(session).get(name).await?;
    let known = provider
        .status
        .and_then(|status| status.models.into_iter().next());
    let model = arguments
        .get_one::<String>("model")
        .cloned()
        .or(known)
        .ok_or_else(|| {
            Error::not_found(format!("no model of provider `{name}` is known")).hint("name one with --model")
        })?;
    let body = json!({"model": format!("{name}/{model}"), "max_tokens": 5,
        "messages": [{"role": "user", "content": "Say: ok"}]});
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/chat/completions")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-stead-project", &session.project)
        .body(Body::from(body.to_string()))
        .map_err(|error| Error::internal("the request cannot be made").because(error))?;
    let response = session.server.send(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), 1 << 20)
        .collect()
        .await
        .map_err(|error| Error::unavailable("the answer broke off").because(error))?
        .to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        let said = answer.pointer("/error/message").and_then(Value::as_str);
        return Err(Error::new(
            Reason::Unavailable,
            said.unwrap_or("the server gave no reason"),
        ));
    }
    let text = answer
        .pointer("/choices/0/message/content")
        .and_then(Value::as_str);
    let text = text.unwrap_or_default().trim().to_owned();
    session.terminal.print(&View {
        columns: ["PROVIDER", "MODEL", "ANSWER"].map(Column::new).into(),
        rows: vec![vec![name.to_owned(), model.clone(), text.clone()]],
        items: vec![json!({"provider": name, "model": model, "answer": text})],
        names: vec![name.to_owned()],
        list: false,
    })
}
