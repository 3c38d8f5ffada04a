//! The tables of a day of logs and metrics. Formats only ever grow by a step at the end.

use crate::sqlite::Layout;

/// A file per UTC day. Times are in microseconds since 1970. What lines have in common (where they come from) is told
/// once, in `origins`; `body` is JSON as TEXT, or a BLOB of zstd. A series is a metric with its labels; its points are
/// clustered by time, a number as REAL (with `start` beside it), all else as a BLOB of zstd.
pub(super) const DAY: Layout = Layout {
    what: "a day of logs and metrics",
    application_id: 0x5374_6573,
    migrations: &["
CREATE TABLE projects (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE origins (n INTEGER PRIMARY KEY, service TEXT NOT NULL, scope TEXT NOT NULL, resource TEXT NOT NULL,
    UNIQUE (service, scope, resource)) STRICT;

CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL,
    at INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    trace BLOB,
    span BLOB,
    uid TEXT,
    body ANY NOT NULL
) STRICT;
CREATE INDEX logs_at ON logs (project, at, seq);
CREATE INDEX logs_trace ON logs (trace) WHERE trace IS NOT NULL;
CREATE UNIQUE INDEX logs_uid ON logs (project, uid) WHERE uid IS NOT NULL;

CREATE TABLE series (
    n INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    metric TEXT NOT NULL,
    labels TEXT NOT NULL,
    UNIQUE (project, name, metric, labels)
) STRICT;

CREATE TABLE points (
    series INTEGER NOT NULL,
    at INTEGER NOT NULL,
    start INTEGER,
    value ANY NOT NULL,
    PRIMARY KEY (series, at)
) STRICT, WITHOUT ROWID;
"],
};
