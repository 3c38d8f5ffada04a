//! The tree of commands, and commands that modules and the composition root bring.

use clap::ArgMatches;
use futures::{FutureExt as _, future::BoxFuture};
use http::Method;
use stead_kernel::{
    Error, Result,
    command::{Column, Command, Format, Session, View},
};

use super::world::{World, run};
use crate::{Local, LocalCommand, clap_command};

fn module(name: &'static str) -> Command {
    Command {
        spec: clap::Command::new(name).arg(clap::Arg::new("dry-run").long("dry-run").num_args(0)),
        run: greet,
    }
}

fn greet(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    async move {
        if matches.get_flag("dry-run") {
            return session.terminal.write("kind: X\n");
        }
        let version = session.server.json(Method::GET, "/version", None).await?;
        let models: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(
            session.server.client(),
            &session.project,
            &kube::core::ApiResource {
                group: "stead.dev".into(),
                version: "v1alpha1".into(),
                api_version: "stead.dev/v1alpha1".into(),
                kind: "Model".into(),
                plural: "models".into(),
            },
        );
        let missing: Error = models.get("none").await.unwrap_err().into();
        session.terminal.note(missing.message());
        let line = session.terminal.read_line("name? ").await?;
        let end = session.terminal.read_line("name? ").await?;
        session.terminal.print(&View {
            columns: vec![Column::new("VERSION"), Column::new("LINE"), Column::new("END")],
            rows: vec![vec![
                version["version"].to_string(),
                format!("{line:?}"),
                format!("{end:?}"),
            ]],
            ..View::default()
        })
    }
    .boxed()
}

fn local(name: &'static str) -> LocalCommand {
    LocalCommand {
        spec: clap::Command::new(name),
        run: look,
    }
}

fn look(_matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let connected = local.connect().map(|server| server.address());
        let shape = format!("{:?} {}", local.format, local.data.is_absolute());
        local
            .terminal
            .write(&format!("{shape} {}\n", connected.is_ok()))?;
        Err(Error::timeout("it took too long"))
    }
    .boxed()
}

#[test]
fn commands_of_modules_speak_to_server_and_person() {
    let world = World::new();
    let program = || {
        let mut program = world.program();
        program.commands.push(module("greet"));
        program
    };
    insta::assert_snapshot!(run(program(), &["greet"], "ada\n").all(), @r#"
    VERSION   LINE          END
    "1.2.0"   Some("ada")   None
    --- 0
    models "none" not found
    "#);
    std::fs::remove_file(world.path("run/server.json")).unwrap();
    // What needs no server works without one.
    assert_eq!(run(program(), &["greet", "--dry-run"], "").ok(), "kind: X\n");
    let ended = run(program(), &["greet"], "");
    assert_eq!(ended.code, 7);
    assert!(
        ended.stderr.starts_with("error: no server is running on "),
        "{ended:?}"
    );
}

#[test]
fn commands_of_the_composition_root_need_no_server() {
    let world = World::new();
    let program = || {
        let mut program = world.program();
        program.local.push(local("look"));
        program
    };
    let ended = run(program(), &["look", "-o", "json"], "");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (6, "Json true true\n"),
        "{ended:?}"
    );
    let ended = run(program(), &["look", "--data", "elsewhere"], "");
    assert_eq!(ended.stdout, "Table false false\n");
}

#[test]
fn the_tree_is_sound_and_every_command_explains_itself() {
    let world = World::new();
    let mut tree = clap_command(&world.program());
    tree.build();
    tree.clone().debug_assert();
    for command in tree.get_subcommands() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(
                argument.get_help().is_some(),
                "{} {}",
                command.get_name(),
                argument.get_id()
            );
        }
    }
}

#[test]
fn a_module_may_mean_something_of_its_own_by_project() {
    let world = World::new();
    let own = clap::Arg::new("project")
        .long("project")
        .help("Its own")
        .action(clap::ArgAction::Append);
    let program = || {
        let mut program = world.program();
        let spec = clap::Command::new("user")
            .about("Users")
            .subcommand(clap::Command::new("add").arg(own.clone()));
        program.commands.push(Command {
            spec,
            run: tell_project,
        });
        program
    };
    clap_command(&program()).build();
    for arguments in [
        ["user", "add", "--project", "a", "-n", "b"],
        ["-n", "b", "user", "add", "--project", "a"],
    ] {
        assert_eq!(run(program(), &arguments, "").ok(), "a in b\n");
    }
    assert_eq!(
        run(world.program(), &["get", "models", "--project", "b"], "").stderr,
        "no models in project b\n"
    );
}

fn tell_project(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    async move {
        let own = matches
            .subcommand()
            .and_then(|(_, matches)| matches.get_one::<String>("project"))
            .unwrap();
        session.terminal.write(&format!("{own} in {}\n", session.project))
    }
    .boxed()
}

#[test]
#[should_panic(expected = "command name `get` is duplicated")]
fn two_commands_of_one_name_are_a_defect() {
    let world = World::new();
    let mut program = world.program();
    program.commands.push(module("get"));
    clap_command(&program).debug_assert();
}

#[test]
fn the_default_format_is_a_table() {
    assert_eq!(Format::default(), Format::Table);
}
