//! `stead completions`: what a shell completes.

use clap::{Arg, ArgMatches, value_parser};
use clap_complete::Shell;
use stead_kernel::{Result, command::Terminal as _};

use super::Call;

pub(super) fn spec() -> clap::Command {
    clap::Command::new("completions")
        .about("Prints completions for a shell: stead completions bash")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(value_parser!(Shell))
                .help("The shell"),
        )
}

pub(super) fn run(matches: ArgMatches, call: Call) -> impl Future<Output = Result<()>> + Send {
    std::future::ready(print(matches, call))
}

fn print(mut matches: ArgMatches, call: Call) -> Result<()> {
    let Some(shell) = matches.remove_one::<Shell>("shell") else {
        return Ok(());
    };
    let mut script = Vec::new();
    let Call { mut tree, screen, .. } = call;
    clap_complete::generate(shell, &mut tree, "stead", &mut script);
    screen.write(&String::from_utf8_lossy(&script))
}
