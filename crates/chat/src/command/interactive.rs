//! The loop of questions and answers, and the commands within it.

use serde_json::Value;
use stead_kernel::{
    Error, Result,
    command::{Column, View},
};

use super::{answer, conversation::Conversation};

/// What the person sees before each question.
const PROMPT: &str = "> ";
/// How many conversations `/threads` shows.
const SHOWN_THREADS: usize = 20;

/// The commands: name, arguments, what it does.
const COMMANDS: [(&str, &str, &str); 5] = [
    ("/new", "", "begin a new conversation"),
    (
        "/model",
        "[NAME]",
        "talk with another model; without NAME, list them",
    ),
    (
        "/threads",
        "[ID]",
        "list the last conversations; with ID, go on with that one",
    ),
    ("/help", "", "this list"),
    ("/quit", "", "end (as Ctrl-D does)"),
];

/// Asks and answers until the person ends it.
pub(super) async fn run(conversation: &mut Conversation) -> Result<()> {
    let terminal = conversation.session.terminal.clone();
    terminal.aside(&format!(
        "talking with {}; /help lists the commands, Ctrl-D ends",
        conversation.model
    ));
    while let Some(line) = terminal.read_line(PROMPT).await? {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let result = match line.strip_prefix('/') {
            Some(_) if matches!(line, "/quit" | "/exit") => break,
            Some(_) => command(conversation, line).await,
            None => conversation.ask(line).await,
        };
        if let Err(error) = result {
            terminal.note(&format!("error: {}", error.full_message()));
            if let Some(hint) = error.get_hint() {
                terminal.note(&format!("hint: {hint}"));
            }
        }
    }
    if let Some(id) = conversation.thread() {
        terminal.aside(&format!("go on later with: stead chat --thread {id}"));
    }
    Ok(())
}

async fn command(conversation: &mut Conversation, line: &str) -> Result<()> {
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let terminal = conversation.session.terminal.clone();
    match (name, argument.trim()) {
        ("/new", _) => {
            conversation.begin_anew();
            terminal.note("a new conversation");
        }
        ("/model", "") => list_models(conversation).await?,
        ("/model", model) => {
            conversation.set_model(model).await?;
            terminal.note(&format!("talking with {model}"));
        }
        ("/threads" | "/thread", "") => list_threads(conversation).await?,
        ("/threads" | "/thread", id) => {
            let past = conversation.history.load(id).await?;
            terminal.note(&format!("going on with: {}", past.thread.title));
            conversation.go_on_with(past);
        }
        ("/help", _) => {
            for (name, arguments, about) in COMMANDS {
                terminal.note(&format!("{:18} {about}", format!("{name} {arguments}")));
            }
        }
        _ => return Err(Error::invalid(format!("there is no command {name}")).hint("/help lists them")),
    }
    Ok(())
}

async fn list_models(conversation: &Conversation) -> Result<()> {
    let list = answer::look_up(&conversation.session, "/v1/models").await?;
    let models = list
        .get("data")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for model in models
        .iter()
        .filter_map(|model| model.get("id").and_then(Value::as_str))
    {
        let mark = if model == conversation.model { "*" } else { " " };
        conversation.session.terminal.note(&format!("{mark} {model}"));
    }
    Ok(())
}

async fn list_threads(conversation: &Conversation) -> Result<()> {
    let threads = conversation.history.last(SHOWN_THREADS).await?;
    let rows = threads.iter().map(|thread| {
        vec![
            thread.id.clone(),
            thread.title.clone(),
            thread.model.clone(),
            thread.updated.strftime("%Y-%m-%dT%H:%MZ").to_string(),
        ]
    });
    conversation.session.terminal.print(&View {
        columns: ["ID", "TITLE", "MODEL", "UPDATED"].map(Column::new).into(),
        rows: rows.collect(),
        names: threads
            .iter()
            .map(|thread| format!("thread/{}", thread.id))
            .collect(),
        list: true,
        ..View::default()
    })
}
