//! `stead import records [FILE]`: the records of a file into the database that the settings name.

use std::{path::PathBuf, sync::Arc};

use clap::{Arg, ArgMatches, value_parser};
use stead_cli::Local;
use stead_kernel::{DataDir, Error, Result, SystemClock};

use crate::{
    config, modules,
    server::{folder::Folder, records},
};

/// The name of the subcommand.
pub(super) const NAME: &str = "records";

/// `import records`.
pub(super) fn spec() -> clap::Command {
    clap::Command::new(NAME)
        .about("Takes the records of a data folder or of a backup into the PostgreSQL database that recordsUrl names")
        .long_about(
            "Takes the records of a data folder or of a backup into the PostgreSQL database that the setting recordsUrl names, all \
             of them or none. The database must hold none yet. The file stays as it is.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The file [default: records.db in the data folder, whose server must not run]"),
        )
}

/// Takes them over.
pub(super) async fn run(matches: &ArgMatches, local: &Local) -> Result<()> {
    let url = config::stored(&local.data)?.records_url;
    if url.is_empty() {
        return Err(Error::invalid("no database is named to take the records into")
            .hint("set STEAD_RECORDS_URL=postgres://user:password@host/database, or recordsUrl in the configuration file"));
    }
    let data = DataDir::new(local.data.clone());
    let (file, _held) = match matches.get_one::<PathBuf>("file") {
        Some(file) => (file.clone(), None),
        // Nothing may be added to the file any more once it was read.
        None => (data.records(), Some(Folder::open(data.root())?)),
    };
    if !file.exists() {
        return Err(Error::not_found(format!("{} is not there", file.display())).hint("name the file"));
    }
    let database = records::database(&url, &modules::collections(), Arc::new(SystemClock)).await?;
    let count = database.import(&file).await?;
    local
        .terminal
        .note(&format!("{count} records taken over from {}", file.display()));
    Ok(())
}
