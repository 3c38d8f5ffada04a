//! The table, and whether a server has what is needed.

use stead_kernel::{Error, Result};

use super::{
    facts::rows,
    http::{Server, quoted, text},
};

/// The name of the table.
pub(super) const TABLE: &str = "stead_facts";
/// The form of the table, which is noted in its comment.
const FORM: u32 = 1;
/// The oldest server that has all that is used: `DELETE FROM` without leave.
const OLDEST: (u32, u32) = (23, 3);

/// How the table is made. The order is that in which lists are read; ids of version 7 grow with time, so that what is
/// told now lies together.
fn definition() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (\
         workspace LowCardinality(String), kind UInt8, id UInt128, seq UInt64, writer UInt64, \
         what LowCardinality(String), at Int64 CODEC(Delta, ZSTD(1)), by LowCardinality(String), project UInt128, \
         trace UInt128, name String, item UInt128, day Int32, start Nullable(Int64), rank Int64, mask UInt8, \
         told String CODEC(ZSTD(1)), input Nullable(String) CODEC(ZSTD(1)), output Nullable(String) CODEC(ZSTD(1)), \
         metadata Nullable(String) CODEC(ZSTD(1)), error Nullable(String) CODEC(ZSTD(1)), \
         INDEX by_trace trace TYPE bloom_filter(0.01) GRANULARITY 1, \
         INDEX by_item item TYPE bloom_filter(0.01) GRANULARITY 1, \
         INDEX by_name name TYPE bloom_filter(0.01) GRANULARITY 1) \
         ENGINE = MergeTree ORDER BY (workspace, kind, id, seq) \
         SETTINGS fsync_after_insert = 1, fsync_part_directory = 1 \
         COMMENT 'stead: facts of traces, form {FORM}'"
    )
}

#[derive(serde::Deserialize)]
struct Found {
    version: String,
    comment: String,
    there: u64,
}

/// Makes the table if it is not there, and checks that this user can do all that is done.
///
/// # Errors
/// `Unsupported` when the server is too old, or a newer version of Stead made the table; what the server says.
pub(super) async fn prepare(server: &Server) -> Result<()> {
    let sql = format!(
        "SELECT version() AS version, anyLast(comment) AS comment, count() AS there FROM system.tables \
         WHERE database = {} AND name = '{TABLE}'",
        text(&server.database)
    );
    let found: Vec<Found> = rows(&server.select(&sql).await?)?;
    let Some(found) = found.into_iter().next() else {
        return Err(super::facts::damaged());
    };
    check_version(&found.version)?;
    if found.there > 0 {
        check_form(&found.comment, &server.database)?;
    } else {
        server.command(&definition()).await?;
    }
    // Each needs a right of its own; none of them changes anything.
    server
        .command(&format!("INSERT INTO {TABLE} SELECT * FROM {TABLE} WHERE 0"))
        .await?;
    server
        .command(&format!("DELETE FROM {TABLE} WHERE seq = 0"))
        .await
}

fn check_version(version: &str) -> Result<()> {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let found = parts.next().flatten().zip(parts.next().flatten());
    if found.is_some_and(|found| found >= OLDEST) {
        return Ok(());
    }
    let (major, minor) = OLDEST;
    Err(
        Error::unsupported(format!("ClickHouse {version} is too old to keep traces"))
            .hint(format!("eventsUrl needs version {major}.{minor} or newer")),
    )
}

fn check_form(comment: &str, database: &str) -> Result<()> {
    let form = comment
        .rsplit_once("form ")
        .and_then(|(_, form)| form.parse::<u32>().ok());
    let place = format!("{}.{TABLE}", quoted(database));
    match form {
        Some(FORM) => Ok(()),
        Some(form) => Err(Error::unsupported(format!(
            "the table {place} has form {form}, which a newer version of Stead made; this one knows form {FORM}"
        ))
        .hint("use that version, or another database")),
        None => Err(Error::conflict(format!("the table {place} is not one that Stead made"))
            .hint("name another database in eventsUrl; a table made by hand needs the comment of Stead's own")),
    }
}

#[cfg(test)]
mod tests {
    use stead_kernel::Reason;

    use super::*;

    #[test]
    fn old_servers_and_strange_tables_are_refused() {
        for (version, good) in [
            ("23.3.1.2823", true),
            ("26.9.2.1", true),
            ("22.8.1", false),
            ("what", false),
        ] {
            assert_eq!(check_version(version).is_ok(), good, "{version}");
        }
        let reason = |comment: &str| check_form(comment, "d").err().map(|error| error.reason());
        assert_eq!(reason("stead: facts of traces, form 1"), None);
        assert_eq!(
            reason("stead: facts of traces, form 2"),
            Some(Reason::Unsupported)
        );
        assert_eq!(reason(""), Some(Reason::Conflict));
    }
}
