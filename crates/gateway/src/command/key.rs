//! `stead key create|list|rotate|revoke`.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches};
use futures::{FutureExt, future::BoxFuture};
use kube::{ResourceExt, api::PostParams};
use serde_json::json;
use stead_kernel::{
    Clock, Error, Result, SystemClock, Timestamp,
    command::{Column, Command, Session, View},
};

use super::{api, list, many, ready, remove, required};
use crate::{
    duration::Span,
    key::{ApiKey, ApiKeySpec, KeyOwner, PreviousKey, text},
};

/// The command.
pub(crate) fn command() -> Command {
    let name = || Arg::new("NAME").required(true).help("Name of the key");
    let create =
        clap::Command::new("create")
            .about("Make a key and show it once; only its hash is stored")
            .arg(name())
            .arg(
                Arg::new("owner")
                    .long("owner")
                    .help("Who is charged; yourself without this (others: admins only)"),
            )
            .arg(
                Arg::new("route")
                    .long("route")
                    .action(ArgAction::Append)
                    .help("A route that it may use (repeatable); everything without --route and --model"),
            )
            .arg(Arg::new("model").long("model").action(ArgAction::Append).help(
                "A model that it may use without a route, as provider/model or provider/* (repeatable)",
            ))
            .arg(
                Arg::new("expires")
                    .long("expires")
                    .help("When it stops working: 30d, 12h, or a time (RFC 3339)"),
            )
            .arg(
                Arg::new("team")
                    .long("team")
                    .help("The team that its usage counts for (admins only)"),
            )
            .arg(
                Arg::new("address")
                    .long("address")
                    .action(ArgAction::Append)
                    .help("An address or network that it may be used from (repeatable); any without this"),
            )
            .arg(
                Arg::new("metadata")
                    .long("metadata")
                    .action(ArgAction::Append)
                    .value_name("NAME=VALUE")
                    .help("A label of every request with this key (repeatable)"),
            );
    let rotate = clap::Command::new("rotate")
        .about("Replace a key by a new one, which is shown once; the old one works for a while")
        .arg(name())
        .arg(
            Arg::new("overlap")
                .long("overlap")
                .default_value("24h")
                .help("How long the old one goes on working: 24h, 30m, 0s"),
        );
    let spec = clap::Command::new("key")
        .about("Keys for the model APIs")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(create)
        .subcommand(clap::Command::new("list").visible_alias("ls").about("List keys"))
        .subcommand(rotate)
        .subcommand(
            clap::Command::new("revoke")
                .visible_alias("rm")
                .about("Make a key useless at once")
                .arg(name()),
        );
    Command { spec, run }
}

fn run(arguments: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    async move {
        match arguments.subcommand() {
            Some(("create", arguments)) => create(arguments, &session).await,
            Some(("list", _)) => {
                list::<ApiKey>(&session, &["NAME", "OWNER", "READY", "ROUTES", "EXPIRES"], cells).await
            }
            Some(("rotate", arguments)) => rotate(arguments, &session).await,
            Some(("revoke", arguments)) => {
                remove::<ApiKey>(&session, "key", required(arguments, "NAME")?, "revoked").await
            }
            Some(_) | None => Err(Error::invalid("which of create, list, rotate, revoke?")),
        }
    }
    .boxed()
}

fn cells(key: &ApiKey) -> Vec<String> {
    let spec = &key.spec;
    let conditions = key.status.clone().unwrap_or_default().conditions;
    let mut allowed = spec.routes.clone();
    allowed.extend(spec.models.iter().cloned());
    vec![
        key.name_any(),
        spec.owner
            .as_ref()
            .map(|owner| owner.user.clone())
            .unwrap_or_default(),
        ready(&conditions),
        if allowed.is_empty() {
            "all".into()
        } else {
            allowed.join(",")
        },
        spec.expires.clone().unwrap_or_else(|| "never".into()),
    ]
}

async fn create(arguments: &ArgMatches, session: &Session) -> Result<()> {
    let name = required(arguments, "NAME")?;
    let key = text::generate();
    let owner = arguments.get_one::<String>("owner").cloned();
    let expires = match arguments.get_one::<String>("expires") {
        None => None,
        Some(given) => Some(expiry(given, SystemClock.now())?.to_string()),
    };
    let spec = ApiKeySpec {
        owner: owner.map(|user| KeyOwner { user }),
        routes: many(arguments, "route"),
        models: many(arguments, "model"),
        expires: expires.clone(),
        disabled: false,
        key_hash: Some(text::print(&text::hash(key.as_bytes()))),
        write_to_secret_ref: None,
        previous: None,
        rotations: 0,
        overlap: None,
        allowed_addresses: many(arguments, "address"),
        team: arguments.get_one::<String>("team").cloned(),
        metadata: metadata(&many(arguments, "metadata"))?,
    };
    let object = ApiKey::new(name, spec);
    api::<ApiKey>(session)
        .create(&PostParams::default(), &object)
        .await?;
    show(session, name, &key, expires.as_deref())
}

/// Shows a key, once.
fn show(session: &Session, name: &str, key: &str, expires: Option<&str>) -> Result<()> {
    session
        .terminal
        .note("this key is shown only now; only its hash is stored");
    session.terminal.print(&View {
        columns: ["NAME", "KEY", "EXPIRES"].map(Column::new).into(),
        rows: vec![vec![
            name.to_owned(),
            key.to_owned(),
            expires.unwrap_or("never").to_owned(),
        ]],
        items: vec![json!({"name": name, "project": session.project, "key": key, "expires": expires})],
        names: vec![name.to_owned()],
        list: false,
    })
}

fn metadata(given: &[String]) -> Result<BTreeMap<String, String>> {
    let split = |text: &String| {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
        Some((name.to_owned(), value.to_owned()))
    };
    let pairs: Option<BTreeMap<String, String>> = given.iter().map(split).collect();
    pairs.ok_or_else(|| Error::invalid("--metadata: write NAME=VALUE"))
}

/// Replaces a key; what lies in a Secret is replaced by the server.
async fn rotate(arguments: &ArgMatches, session: &Session) -> Result<()> {
    let name = required(arguments, "NAME")?;
    let overlap: Span = required(arguments, "overlap")?
        .parse()
        .map_err(|error| Error::invalid("--overlap is no duration").because(error))?;
    let api = api::<ApiKey>(session);
    let mut object = api.get(name).await?;
    let now = SystemClock.now();
    if object.spec.write_to_secret_ref.is_some() {
        object.spec.rotations += 1;
        object.spec.overlap = Some(overlap);
        api.replace(name, &PostParams::default(), &object).await?;
        session
            .terminal
            .note("the server puts a new key into the Secret that the key is written to");
        return Ok(());
    }
    let key = text::generate();
    let until = now
        .checked_add(overlap.0)
        .map_err(|error| Error::invalid("--overlap is too long").because(error))?;
    let hash = text::print(&text::hash(key.as_bytes()));
    object.spec.previous = object.spec.key_hash.replace(hash).map(|key_hash| PreviousKey {
        key_hash,
        until: until.to_string(),
    });
    let expires = object.spec.expires.clone();
    // The version that was read goes along, so that of two who rotate at once one is refused.
    api.replace(name, &PostParams::default(), &object).await?;
    session.terminal.note(&format!("the old key works until {until}"));
    show(session, name, &key, expires.as_deref())
}

/// A time, or so long from now.
fn expiry(given: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(time) = given.parse::<Timestamp>() {
        return Ok(time);
    }
    let span: Span = given.parse().map_err(|error| {
        Error::invalid("--expires is neither a time nor a duration")
            .because(error)
            .hint("write for example 30d, 12h or 2027-01-01T00:00:00Z")
    })?;
    now.checked_add(span.0)
        .map_err(|error| Error::invalid("--expires is too far away").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_time_or_a_duration() {
        let now = "2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap();
        let cases = [
            ("30d", Some("2026-12-21T00:00:00Z")),
            ("12h", Some("2026-11-21T12:00:00Z")),
            ("2027-01-01T00:00:00Z", Some("2027-01-01T00:00:00Z")),
            ("soon", None),
            ("9999999d", None),
        ];
        for (given, expected) in cases {
            let found = expiry(given, now).ok().map(|time| time.to_string());
            assert_eq!(found.as_deref(), expected, "{given}");
        }
    }
}
