//! Finding threads by what was said in them.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use stead_kernel::{Result, ports::RecordQuery};

use super::{
    MESSAGES, Thread,
    store::{Owner, Part, Threads},
    text_of,
};

/// How many messages are looked through at most, the newest first.
const LOOKED_THROUGH: usize = 20_000;
/// How many threads are answered at most.
const FOUND: usize = 50;
/// How many records are read at a time.
const PAGE: usize = 500;
/// How much of a message is shown around what was found, in characters.
const AROUND: usize = 60;

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    items: Vec<Hit>,
    /// Whether everything was looked through.
    complete: bool,
}

/// A thread, and where the text occurs.
#[derive(Debug, Serialize)]
struct Hit {
    thread: Thread,
    /// The message, unless it was the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Some of the text around it.
    excerpt: String,
}

impl Threads {
    /// Looks for a text, in any case of letters: in titles, then in what was said, the newest first.
    pub(super) async fn search(&self, owner: &Owner, text: &str) -> Result<Found> {
        let wanted = text.trim().to_lowercase();
        let mut found = Found {
            items: Vec::new(),
            complete: true,
        };
        if wanted.is_empty() {
            return Ok(found);
        }
        let mut threads = self.by_id(owner).await?;
        let mut titled: Vec<&Thread> = threads
            .values()
            .filter(|thread| thread.title.to_lowercase().contains(&wanted))
            .collect();
        titled.sort_by_key(|thread| std::cmp::Reverse(thread.updated));
        found
            .items
            .extend(titled.into_iter().take(FOUND).map(|thread| Hit {
                thread: thread.clone(),
                message: None,
                excerpt: thread.title.clone(),
            }));
        for hit in &found.items {
            threads.remove(&hit.thread.id);
        }
        self.said(owner, &wanted, threads, &mut found).await?;
        Ok(found)
    }

    /// All of the owner's threads.
    async fn by_id(&self, owner: &Owner) -> Result<HashMap<String, Thread>> {
        let mut threads = HashMap::new();
        let mut after = None;
        loop {
            let page = self.list(owner, Part { limit: PAGE, after }).await?;
            threads.extend(page.items.into_iter().map(|thread| (thread.id.clone(), thread)));
            after = page.next;
            if after.is_none() {
                return Ok(threads);
            }
        }
    }

    /// Looks through messages; each thread is found once.
    async fn said(
        &self,
        owner: &Owner,
        wanted: &str,
        mut threads: HashMap<String, Thread>,
        found: &mut Found,
    ) -> Result<()> {
        let mut query = RecordQuery {
            collection: MESSAGES.into(),
            project: Some(owner.project.clone()),
            order_by: Some("created".into()),
            descending: true,
            limit: PAGE,
            ..RecordQuery::default()
        };
        let mut looked = 0;
        while found.items.len() < FOUND && !threads.is_empty() {
            let page = self.records.list(query.clone()).await?;
            looked += page.items.len();
            for record in page.items {
                let thread = record.body.get("thread").and_then(Value::as_str);
                let Some(thread) = thread.filter(|thread| threads.contains_key(*thread)) else {
                    continue;
                };
                let text = record.body.get("content").map(text_of).unwrap_or_default();
                let Some(excerpt) = excerpt(&text, wanted) else {
                    continue;
                };
                if let Some(thread) = threads.remove(thread) {
                    let message = Some(record.key.id);
                    found.items.push(Hit {
                        thread,
                        message,
                        excerpt,
                    });
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(());
            }
            if looked >= LOOKED_THROUGH {
                found.complete = false;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Some of a text around what is looked for, which is in lower case; `None` when it is not there.
fn excerpt(text: &str, wanted: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let at = lower.find(wanted)?;
    // Lowering may change lengths, so that places are counted in characters, which it seldom changes.
    let start = lower.get(..at)?.chars().count().saturating_sub(AROUND);
    let length = wanted.chars().count() + 2 * AROUND;
    let cut: String = text.chars().skip(start).take(length).collect();
    let cut = cut.split_whitespace().collect::<Vec<_>>().join(" ");
    let before = if start > 0 { "…" } else { "" };
    let after = if text.chars().count() > start + length {
        "…"
    } else {
        ""
    };
    Some(format!("{before}{cut}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_what_was_found_and_what_is_around_it() {
        assert_eq!(excerpt("Über  den\nWolken", "den w").as_deref(), None);
        assert_eq!(
            excerpt("Über  den\nWolken", "wolken").as_deref(),
            Some("Über den Wolken")
        );
        let long = format!("{}needle{}", "a".repeat(200), "b".repeat(200));
        let found = excerpt(&long, "needle").unwrap();
        assert!(
            found.starts_with('…') && found.ends_with('…') && found.contains("aneedleb"),
            "{found}"
        );
        assert!(excerpt("İİİİneedle", "needle").unwrap().contains("needle"));
    }
}
