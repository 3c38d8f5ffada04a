//! `stead chat`: a conversation at the terminal.

mod answer;
mod conversation;
mod history;
mod interactive;

use clap::{Arg, ArgAction, ArgMatches};
use stead_kernel::{
    Error, Result,
    command::{Command, Format, Session},
};

use self::{conversation::Conversation, history::History};

/// The route that the first start makes, and the model that is talked to when nobody says otherwise.
const DEFAULT_MODEL: &str = "chat";

/// The command `stead chat`.
pub(crate) fn command() -> Command {
    Command {
        spec: spec(),
        run: |matches, session| Box::pin(run(matches, session)),
    }
}

fn spec() -> clap::Command {
    clap::Command::new("chat")
        .about("Talk with a model; the conversation is kept on the server")
        .long_about(
            "Talk with a model; the conversation is kept on the server.\n\nWith MESSAGE, or with standard input \
             that is no terminal, there is one answer. Ctrl-C stops an answer, Ctrl-D ends the conversation, and \
             /help lists the commands within it.",
        )
        .arg(
            Arg::new("model").long("model").short('m').value_name("NAME").help(
                "The model: a route, provider/model or a model's name [default: that of the thread, or chat]",
            ),
        )
        .arg(Arg::new("thread").long("thread").value_name("ID").help("Go on with this conversation"))
        .arg(
            Arg::new("continue")
                .long("continue")
                .short('c')
                .action(ArgAction::SetTrue)
                .conflicts_with("thread")
                .help("Go on with the last conversation"),
        )
        .arg(Arg::new("system").long("system").value_name("TEXT").help("What the model is told first"))
        .arg(
            Arg::new("temperature")
                .long("temperature")
                .value_name("NUMBER")
                .value_parser(clap::value_parser!(f64))
                .help("How much chance there is in answers, from 0 to 2 [default: the model's]"),
        )
        .arg(Arg::new("message").value_name("MESSAGE").num_args(0..).help("Ask this and end"))
}

async fn run(matches: ArgMatches, session: Session) -> Result<()> {
    let mut conversation = open(&matches, &session).await?;
    let words: Vec<&str> = matches
        .get_many::<String>("message")
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    if !words.is_empty() {
        return once(&mut conversation, &words.join(" ")).await;
    }
    if session.terminal.interactive() && !whole(session.format) {
        return interactive::run(&mut conversation).await;
    }
    let question = read_all(&session).await?;
    if question.trim().is_empty() {
        return Err(
            Error::invalid("there is no question").hint("stead chat \"Tell me the capital of France.\"")
        );
    }
    once(&mut conversation, question.trim_end()).await
}

async fn open(matches: &ArgMatches, session: &Session) -> Result<Conversation> {
    let history = History::new(session);
    let thread = match matches.get_one::<String>("thread") {
        Some(id) => Some(history.load(id).await?),
        None if matches.get_flag("continue") => Some(history.load_last().await?),
        None => None,
    };
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let mut conversation = Conversation::new(session.clone(), history, thread, text("model"), text("system"));
    conversation.temperature = matches.get_one("temperature").copied();
    Ok(conversation)
}

async fn once(conversation: &mut Conversation, question: &str) -> Result<()> {
    conversation.ask(question).await
}

/// Whether the answer is printed as one object rather than as it comes.
fn whole(format: Format) -> bool {
    matches!(format, Format::Json | Format::Yaml)
}

async fn read_all(session: &Session) -> Result<String> {
    let mut text = String::new();
    while let Some(line) = session.terminal.read_line("").await? {
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
