//! Prompts of gateway processes that have no records: `POST /api/gateway/prompts` tells what changed after a place, and
//! waits for a while when nothing did. It is for gateway processes and admins.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, Router, extract::State, routing::post};
use stead_kernel::{Error, Identity, Result, Tasks, http::ApiError, ports::Control};

use super::{
    book::Book,
    changes::{Page, Place},
    shelves::{Shelves, take},
};
use crate::peers;

const PATH: &str = "/api/gateway/prompts";
/// How long the question waits for a change.
const WAIT: Duration = Duration::from_secs(20);
/// The pause after a question that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What tells other processes.
pub(crate) fn sharing(book: Arc<Book>) -> Router {
    Router::new().route(PATH, post(after)).with_state(book)
}

async fn after(
    State(book): State<Arc<Book>>,
    Extension(identity): Extension<Identity>,
    Json(place): Json<Place>,
) -> std::result::Result<Json<Page>, ApiError> {
    let principal = peers::known(&identity)?;
    if !peers::is_one(&principal) {
        return Err(Error::forbidden("only gateway processes and admins are told all prompts").into());
    }
    let changes = book.changes();
    // Whoever has waited in vain is answered with nothing, and asks again.
    let _ = tokio::time::timeout(WAIT, changes.beyond(&place)).await;
    Ok(Json(changes.after(&place)))
}

/// Keeps a book as the control process has it; while that is away, as it was.
pub(crate) fn follow(book: Arc<Book>, control: Arc<dyn Control>, tasks: &Tasks) {
    tasks.spawn_until_stopped("gateway prompts", async move {
        let mut reader = Reader::default();
        let mut failed = false;
        loop {
            match ask(&*control, &reader.place).await {
                Ok(page) => {
                    failed = false;
                    reader.take_in(&book, page);
                }
                Err(error) => {
                    if !std::mem::replace(&mut failed, true) {
                        tracing::warn!(
                            error = error.full_message(),
                            "the control process does not tell its prompts; those that are known stay"
                        );
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    });
}

async fn ask(control: &dyn Control, place: &Place) -> Result<Page> {
    let odd = |error| Error::internal("the control process speaks another version of prompts").because(error);
    let body = serde_json::to_value(place).map_err(odd)?;
    let answer = control.post(PATH, &body).await?;
    serde_json::from_value(answer).map_err(odd)
}

/// Reads page after page.
#[derive(Default)]
struct Reader {
    place: Place,
    /// What was read anew and is not whole yet; until it is, what was known before stays.
    fresh: Option<Shelves>,
}

impl Reader {
    fn take_in(&mut self, book: &Book, page: Page) {
        let fresh = self.fresh.take();
        let whole = !page.more || (fresh.is_none() && !page.anew);
        let mut shelves = match fresh {
            _ if page.anew => Shelves::default(),
            Some(fresh) => fresh,
            None => book.shelves(),
        };
        let changed = page.anew || !page.changes.is_empty();
        for change in page.changes {
            take(&mut shelves, change);
        }
        self.place = page.place;
        if !whole {
            self.fresh = Some(shelves);
        } else if changed || !book.is_known() {
            book.replace(shelves);
        }
    }
}
