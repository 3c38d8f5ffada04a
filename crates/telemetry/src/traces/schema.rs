//! The tables of the two sorts of files. Formats only ever grow by a step at the end.

use crate::sqlite::Layout;

/// A file per UTC day. Entries are clustered in the order in which they are listed; what is large lies apart, so that
/// lists and sums read few pages. Times are in microseconds since 1970; `kind` is 0 for traces, 1 for spans; `mask`
/// says which of input (1), output (2), metadata (4) and error (8) there are; `ranks` is in the form of `codec`. Where
/// there is a slot, `body` is the number of a block, else of a row of `bodies`, in which the first format put each.
/// `usage` is in the form of `usage`; an `updated` of 0 and an empty `updated_by` are `created` and `created_by`.
/// Rollups are of stretches of `level` minutes; `totals` is what a trace's spans in this file come to; both in the form
/// of `rollup::agg`.
pub(super) const DAY: Layout = Layout {
    what: "a day of traces",
    application_id: 0x5374_6574,
    migrations: &["
CREATE TABLE projects (n INTEGER PRIMARY KEY, workspace TEXT NOT NULL, id BLOB NOT NULL, UNIQUE (workspace, id)) STRICT;

CREATE TABLE entries (
    project INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id BLOB NOT NULL,
    trace BLOB,
    parent BLOB,
    name TEXT,
    sort TEXT,
    start INTEGER,
    end INTEGER,
    tags TEXT,
    model TEXT,
    provider TEXT,
    usage TEXT,
    told_cost REAL,
    cost_version TEXT,
    first_token REAL,
    thread TEXT,
    source TEXT,
    environment TEXT,
    cost REAL,
    mask INTEGER NOT NULL,
    ranks BLOB NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    body INTEGER,
    PRIMARY KEY (project, kind, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entries_by_id ON entries (kind, id);
CREATE INDEX entries_by_trace ON entries (trace) WHERE trace IS NOT NULL;
CREATE INDEX entries_by_thread ON entries (project, thread) WHERE thread IS NOT NULL;

CREATE TABLE bodies (seq INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;

CREATE TABLE scores (
    kind INTEGER NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    author TEXT NOT NULL,
    workspace TEXT NOT NULL,
    value REAL NOT NULL,
    category TEXT,
    reason TEXT,
    source TEXT NOT NULL,
    queue BLOB,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (kind, id, name, author)
) STRICT, WITHOUT ROWID;

CREATE TABLE counts (
    project INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (project, kind)
) STRICT, WITHOUT ROWID;
", "
ALTER TABLE entries ADD COLUMN slot INTEGER;
CREATE TABLE blocks (seq INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE uses (seq INTEGER PRIMARY KEY, entries INTEGER NOT NULL) STRICT;
", "
CREATE TABLE rollups (
    level INTEGER NOT NULL,
    project INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    sort TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    user TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (level, project, kind, minute, sort, model, provider, user)
) STRICT, WITHOUT ROWID;
CREATE TABLE totals (trace BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO marks SELECT 'summed up', NOT EXISTS (SELECT 1 FROM entries);
CREATE INDEX entries_by_start ON entries (project, kind, start);
", "
INSERT INTO marks SELECT 'of blocks', NOT EXISTS (SELECT 1 FROM entries WHERE slot IS NULL);
", "
INSERT INTO marks VALUES ('short rows', 1);
"],
};

/// The file of what belongs to no day: ids that do not tell the day of their file, traces whose spans lie in other days
/// too (`away` says whether the trace itself lies in another one), threads, scores on threads, and comments.
pub(super) const INDEX: Layout = Layout {
    what: "an index of traces",
    application_id: 0x5374_6578,
    migrations: &[
        "
CREATE TABLE ids (
    kind INTEGER NOT NULL, id BLOB NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE spread (
    trace BLOB NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (trace, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE threads (
    id BLOB PRIMARY KEY,
    workspace TEXT NOT NULL,
    project BLOB NOT NULL,
    name TEXT NOT NULL,
    closed INTEGER NOT NULL,
    tags TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (workspace, project, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE thread_scores (
    thread BLOB NOT NULL,
    name TEXT NOT NULL,
    author TEXT NOT NULL,
    value REAL NOT NULL,
    category TEXT,
    reason TEXT,
    source TEXT NOT NULL,
    queue BLOB,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (thread, name, author)
) STRICT, WITHOUT ROWID;

CREATE TABLE comments (
    id BLOB PRIMARY KEY,
    workspace TEXT NOT NULL,
    kind INTEGER NOT NULL,
    subject BLOB NOT NULL,
    project BLOB,
    name TEXT,
    text TEXT NOT NULL,
    queue BLOB,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX comments_by_subject ON comments (subject, kind);
",
        "
ALTER TABLE spread ADD COLUMN away INTEGER NOT NULL DEFAULT 1;
",
    ],
};
