//! The tables of the three sorts of files. Formats only ever grow by a step at the end.

use crate::sqlite::Layout;

/// Rollups by route, team and replica too, and of what is not counted in tokens.
const WIDER_ROLLUPS: &str = "
CREATE TABLE wider (
    minute INTEGER NOT NULL,
    project INTEGER NOT NULL,
    user INTEGER NOT NULL,
    key INTEGER NOT NULL,
    model INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    route INTEGER NOT NULL,
    team INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached_input INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_hour INTEGER NOT NULL,
    audio_input INTEGER NOT NULL,
    audio_output INTEGER NOT NULL,
    image_input INTEGER NOT NULL,
    image_output INTEGER NOT NULL,
    images INTEGER NOT NULL,
    audio_ms INTEGER NOT NULL,
    characters INTEGER NOT NULL,
    gpu_ms INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    first_token_us INTEGER NOT NULL,
    first_tokens INTEGER NOT NULL,
    PRIMARY KEY (minute, project, user, key, model, provider, route, team, replica)
) STRICT, WITHOUT ROWID;
INSERT INTO wider SELECT minute, project, user, key, model, provider, 0, 0, 0, requests, errors, 0, input, output,
    cached_input, reasoning, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, cost, unpriced, duration_us, first_token_us, first_tokens
    FROM rollups;
DROP TABLE rollups;
ALTER TABLE wider RENAME TO rollups;
";

/// A file per UTC day. Texts that repeat are numbers of `names`; `at` is in microseconds since 1970, `minute` in
/// minutes. Bodies lie apart, so that lists read few pages; a body is TEXT as it came or a BLOB of zstd. A `trace` of 0
/// is the request's own id: random ids in an index cost a page of the log each, so most rows are not in that one.
pub(super) const DAY: Layout = Layout {
    what: "a day of events",
    application_id: 0x5374_6564,
    migrations: &[
        "
CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO names VALUES (0, '');

CREATE TABLE requests (
    seq INTEGER PRIMARY KEY,
    id ANY NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    trace ANY,
    project INTEGER NOT NULL,
    user INTEGER NOT NULL,
    key INTEGER NOT NULL,
    model INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    route INTEGER NOT NULL,
    provider_model INTEGER NOT NULL,
    dialect INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    status INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    first_token_us INTEGER,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached_input INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cost INTEGER,
    error TEXT,
    attempts TEXT,
    labels TEXT
) STRICT;
CREATE INDEX requests_at ON requests (at);
CREATE INDEX requests_project ON requests (project, at);
CREATE INDEX requests_failed ON requests (outcome, at) WHERE outcome <> 0;
CREATE INDEX requests_trace ON requests (trace) WHERE trace IS NOT NULL;
CREATE TABLE bodies (seq INTEGER PRIMARY KEY, input ANY, output ANY) STRICT;

CREATE TABLE rollups (
    minute INTEGER NOT NULL,
    project INTEGER NOT NULL,
    user INTEGER NOT NULL,
    key INTEGER NOT NULL,
    model INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached_input INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    first_token_us INTEGER NOT NULL,
    first_tokens INTEGER NOT NULL,
    PRIMARY KEY (minute, project, user, key, model, provider)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    id ANY NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    user INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    api_group INTEGER NOT NULL,
    resource INTEGER NOT NULL,
    subresource INTEGER NOT NULL,
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    resource_version TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_project ON audit (project, at);
",
        "
ALTER TABLE requests ADD COLUMN team INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN replica INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN usage TEXT;
",
        WIDER_ROLLUPS,
        "
DROP INDEX requests_trace;
CREATE INDEX requests_trace ON requests (trace) WHERE trace <> 0;
",
        // The request's span and its caller's, eight bytes each, zeros for none; no bytes for a span that is the
        // second half of the trace, with no caller's.
        "ALTER TABLE requests ADD COLUMN spans BLOB;",
        // The ids of requests that were removed before their day's file is.
        "CREATE TABLE gone (id ANY NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;",
    ],
};

/// What is left of days whose file is gone: their rollups, with the first minute of the hour as `minute`, and which
/// days they are.
pub(super) const USAGE: Layout = Layout {
    what: "the usage of past days",
    application_id: 0x5374_6575,
    migrations: &[
        "
CREATE TABLE folded (day INTEGER PRIMARY KEY) STRICT;
CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO names VALUES (0, '');
CREATE TABLE rollups (
    minute INTEGER NOT NULL,
    project INTEGER NOT NULL,
    user INTEGER NOT NULL,
    key INTEGER NOT NULL,
    model INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached_input INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    first_token_us INTEGER NOT NULL,
    first_tokens INTEGER NOT NULL,
    PRIMARY KEY (minute, project, user, key, model, provider)
) STRICT, WITHOUT ROWID;
",
        WIDER_ROLLUPS,
    ],
};

/// The day of every id that does not tell it by itself. It can be made anew from the days.
pub(super) const IDS: Layout = Layout {
    what: "the index of event ids",
    application_id: 0x5374_6569,
    migrations: &["
CREATE TABLE ids (kind INTEGER NOT NULL, id ANY NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (kind, id))
    STRICT, WITHOUT ROWID;
CREATE INDEX ids_day ON ids (day);
CREATE TABLE built (done INTEGER PRIMARY KEY) STRICT;
"],
};
