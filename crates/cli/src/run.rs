//! From arguments to an exit code.

use std::{ffi::OsString, io::Write as _, process::ExitCode, sync::Arc};

use clap::ArgMatches;
use futures::future::BoxFuture;
use stead_kernel::{
    Error, Result,
    command::{Command, Session},
};

use crate::{
    Local, Program, VERSION,
    arguments::{self, Globals},
    exit, report, server,
    terminal::{Interrupts, Screen, Streams},
    verbs::{self, Call, Verb},
};

/// Runs the program that the arguments ask for, the first of which is the program's own name.
///
/// The question for the version is answered before anything is built.
pub fn run(program: impl FnOnce() -> Program, arguments: Vec<OsString>) -> ExitCode {
    if asks_version(&arguments) {
        let written = writeln!(std::io::stdout(), "stead {VERSION}");
        return ExitCode::from(u8::from(
            written.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe),
        ));
    }
    ExitCode::from(execute(program(), arguments, Streams::process()))
}

fn asks_version(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments
        .iter()
        .skip(1)
        .map(|argument| argument.to_str().unwrap_or_default())
        .collect();
    matches!(words.as_slice(), ["--version" | "-V"] | ["version", "--client"])
}

/// Runs the program on the given streams and returns its exit code.
pub(crate) fn execute(program: Program, arguments: Vec<OsString>, streams: Streams) -> u8 {
    let tree = arguments::clap_command(&program);
    let matches = match tree.clone().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return explain_usage(&error, &program, streams),
    };
    let Some((name, chosen)) = matches.subcommand() else {
        return exit::USAGE;
    };
    let globals = Globals::read(chosen, &program.environment);
    let task = task(name, &program);
    let interrupts = match task {
        Some(Task::Local(_)) => Interrupts::direct(),
        _ => Interrupts::driven(),
    };
    let colour = streams.colour && !globals.no_color;
    let history = program.environment.history.clone();
    let screen = Arc::new(Screen::new(
        Streams { colour, ..streams },
        globals.format,
        history,
        interrupts,
    ));
    let result = perform(task, chosen.clone(), program, globals, Arc::clone(&screen), tree);
    conclude(&screen, result)
}

fn explain_usage(error: &clap::Error, program: &Program, streams: Streams) -> u8 {
    let (mut out, mut err) = (streams.out, streams.err);
    let colour = streams.colour && !program.environment.no_color;
    let text = error.render();
    let text = if colour {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    // Nobody is left to be told when this cannot be written.
    let _ = if error.use_stderr() {
        err.write_all(text.as_bytes())
    } else {
        out.write_all(text.as_bytes())
    };
    u8::try_from(error.exit_code()).unwrap_or(exit::USAGE)
}

/// Who carries out a command.
#[derive(Clone, Copy)]
enum Task {
    Own(&'static Verb),
    Module(fn(ArgMatches, Session) -> BoxFuture<'static, Result<()>>),
    Local(fn(ArgMatches, Local) -> BoxFuture<'static, Result<()>>),
}

fn task(name: &str, program: &Program) -> Option<Task> {
    if let Some(local) = program.local.iter().find(|local| local.spec.get_name() == name) {
        return Some(Task::Local(local.run));
    }
    if let Some(verb) = verbs::ALL.iter().find(|verb| (verb.spec)().get_name() == name) {
        return Some(Task::Own(verb));
    }
    let has_name = |command: &&Command| command.spec.get_name() == name;
    program
        .commands
        .iter()
        .find(has_name)
        .map(|command| Task::Module(command.run))
}

/// `None` when Ctrl-C ended it.
fn perform(
    task: Option<Task>,
    matches: ArgMatches,
    program: Program,
    globals: Globals,
    screen: Arc<Screen>,
    tree: clap::Command,
) -> Option<Result<()>> {
    let mut builder = match task {
        Some(Task::Local(_)) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Some(Err(Error::internal("the runtime could not start").because(error))),
    };
    let listener = Arc::clone(&screen);
    let outcome = runtime.block_on(async move {
        let work = start(task, matches, program, globals, screen, tree);
        listener.until_interrupted(work).await
    });
    // A thread may still wait for a line of input, and must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}

fn start(
    task: Option<Task>,
    matches: ArgMatches,
    program: Program,
    globals: Globals,
    screen: Arc<Screen>,
    tree: clap::Command,
) -> BoxFuture<'static, Result<()>> {
    match task {
        Some(Task::Local(run)) => {
            let Globals {
                format, data, finder, ..
            } = globals;
            run(
                matches,
                Local {
                    terminal: screen,
                    format,
                    data,
                    exec: program.exec,
                    finder,
                },
            )
        }
        Some(Task::Module(run)) => {
            let Globals {
                project,
                format,
                finder,
                ..
            } = globals;
            run(
                matches,
                Session {
                    server: server::connect_lazily(&finder),
                    terminal: screen,
                    project,
                    format,
                },
            )
        }
        Some(Task::Own(verb)) => (verb.run)(matches, Call::new(program.environment, globals, screen, tree)),
        None => Box::pin(async { Err(Error::internal("the command has nobody who runs it")) }),
    }
}

fn conclude(screen: &Screen, outcome: Option<Result<()>>) -> u8 {
    match outcome {
        // Whoever read the output has seen enough.
        _ if screen.output_closed() => exit::OK,
        None => exit::INTERRUPTED,
        Some(Ok(())) => exit::OK,
        Some(Err(error)) => {
            screen.error(&error);
            report::code(&error)
        }
    }
}
