//! Traces and spans: what is told of them, lists, searches, scores and comments. Both are stored alike, and their
//! routes differ in a word.

mod comments;
mod fields;
mod routes;
mod scores;
mod search;
mod shown;
mod stats;
mod told;

use axum::Router;
use stead_kernel::ports::traces::{Counted, Kind};

pub(super) use comments::{
    Text, delete as delete_comments, edit as edit_comment, of as comment_of, write as write_comment,
};
pub(super) use scores::{Given, average, score_of, scored_names, shown as shown_scores};
pub(super) use search::{lookup, stream_limit};
pub(super) use shown::{comments_of, cut};
pub(super) use stats::{of_sums, percentages};
pub(super) use told::Told;

use super::Opik;

/// The routes of both.
pub(super) fn routes() -> Router<Opik> {
    let both = [
        (Kind::Trace, "/v1/private/traces"),
        (Kind::Span, "/v1/private/spans"),
    ];
    both.into_iter().fold(Router::new(), |router, (kind, base)| {
        router
            .merge(routes::routes(kind, base))
            .merge(search::routes(kind, base))
            .merge(scores::routes(kind, base))
            .merge(comments::routes(kind, base))
    })
}

/// What says whether there is such a field of what is counted.
pub(crate) fn known_of(of: Counted) -> fn(&str) -> bool {
    match of {
        Counted::Traces => fields::known(Kind::Trace),
        Counted::Spans => fields::known(Kind::Span),
        Counted::Threads => super::threads::known,
    }
}
